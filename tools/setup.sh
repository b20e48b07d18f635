#!/usr/bin/env bash
# Install what the build, the image and the tests need from Debian's package registry.
# Does nothing (and asks nothing) when everything is there; needs root or sudo otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t wanted < <(grep -v '^#' tools/packages.txt)
missing=()
for package in "${wanted[@]}"; do
	status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
	[ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || {
		echo "setup: these Debian packages are missing: ${missing[*]}" >&2
		echo "setup: run again as root, or install sudo" >&2
		exit 1
	}
	as_root=(sudo)
fi
echo "setup: installing ${#missing[@]} Debian packages (once)"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if ! { "${as_root[@]}" apt-get update && "${as_root[@]}" apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	echo "setup: apt-get failed; the full log is $log" >&2
	exit 1
fi
rm -f "$log"
