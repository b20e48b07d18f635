#!/usr/bin/env bash
# Build the static supervisor with musl: tools/musl-cc.sh OUT DEPFILE SOURCE... (see engines/sandbox/musl.h)
# Called by meson in the build directory; writes the headers that were used to DEPFILE.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
out=$1 depfile=$2
shift 2
flags=(-std=gnu17 -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -D_GNU_SOURCE -I"$root/src" -I"$(dirname "$out")/../.."
	-idirafter /usr/include -idirafter "/usr/include/$(gcc -print-multiarch)" # for linux/*.h
	-include "$root/src/engines/sandbox/musl.h"
	-fstack-protector-strong -fstack-clash-protection -fcf-protection -fno-strict-aliasing -ftrivial-auto-var-init=zero -fno-common)
musl-gcc "${flags[@]}" -static -Wl,-z,relro,-z,now,-z,noexecstack -o "$out" "$@"
{ printf '%s:' "$out"; musl-gcc "${flags[@]}" -MM "$@" | sed 's/^[^ ]*://; s/\\$//' | tr -d '\n'; } >"$depfile"
