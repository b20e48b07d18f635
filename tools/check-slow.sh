#!/usr/bin/env bash
# What is too slow for every change:  tools/check-slow.sh [build/release]
# tests/slow (image built twice, other kernels, ...) and five minutes of each fuzz target.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}
export PYTHONDONTWRITEBYTECODE=1 CUPEL_BUILD=$PWD/$build
as_root=()
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || { echo "check-slow: tests/slow needs root: run as root, or install sudo" >&2; exit 1; }
	as_root=(sudo --preserve-env=CUPEL_STATE_DIR,CUPEL_BUILD,PYTHONDONTWRITEBYTECODE)
fi
"${as_root[@]}" /usr/bin/python3 -m pytest -v -p no:cacheprovider tests/slow
tools/fuzz.sh build/fuzz "${CUPEL_FUZZ_SECONDS:-300}"
echo "check-slow: all passed"
