#!/usr/bin/env bash
# Build the sandbox image `base` unless the one for this recipe and these package versions is there.
#   tools/image.sh [--force] [--check] [--name base] [--state DIR]     see images/README.md
# Writes below CUPEL_STATE_DIR (default /var/lib/cupel); building needs root or sudo.
set -euo pipefail
build=(/usr/bin/python3 "$(dirname "$0")/../images/build.py"
	--state "${CUPEL_STATE_DIR:-/var/lib/cupel}" "$@")
if [ "$(id -u)" -eq 0 ]; then
	exec "${build[@]}"
fi
"${build[@]}" --check >/dev/null 2>&1 && exit 0
command -v sudo >/dev/null || {
	echo "image: building the sandbox image needs root: run again as root, or install sudo" >&2
	exit 1
}
exec sudo "${build[@]}"
