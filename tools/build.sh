#!/usr/bin/env bash
# Configure (once) and build one of the build directories; the name decides the flavour.
#   tools/build.sh build/release | build/asan | build/fuzz
set -euo pipefail
cd "$(dirname "$0")/.."
dir=$1
if [ ! -f "$dir/build.ninja" ]; then
	case $(basename "$dir") in
	asan) CC=clang-19 meson setup "$dir" -Db_sanitize=address,undefined -Db_lundef=false -Dbuildtype=debug >/dev/null ;;
	fuzz) CC=clang-19 meson setup "$dir" -Db_sanitize=address,undefined -Db_lundef=false -Dfuzz=true -Dtests=false -Dbuildtype=debugoptimized >/dev/null ;;
	*) CC=gcc meson setup "$dir" --werror -Dbuildtype=release -Ddebug=true >/dev/null ;;
	esac
fi
log=$(mktemp)
ninja -C "$dir" >"$log" 2>&1 || { grep -v '^\[' "$log" >&2; rm -f "$log"; exit 1; }
rm -f "$log"
