#!/usr/bin/env bash
# All tests that belong to every change:  tools/check.sh [build/release [build/asan]]
# Each stage says its name and how long it took; the first failure shows its log and ends it.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release} asan=${2:-build/asan}
log=$(mktemp) started=$SECONDS
trap 'rm -f "$log"' EXIT

stage() { # name, command...
	local name=$1 begin=$SECONDS
	shift
	printf 'check: %-44s' "$name"
	if ! "$@" >"$log" 2>&1; then
		printf ' FAILED\n'
		tail -n 60 "$log" >&2
		echo "check: $name failed after $((SECONDS - begin)) s" >&2
		exit 1
	fi
	printf ' ok, %s s\n' "$((SECONDS - begin))"
	closing
}

closing() { # the runner's own closing lines: meson's counts, pytest's last line
	sed -n -E -e 's/^(Ok|Expected Fail|Fail|Unexpected Pass|Skipped|Timeout): +([0-9]+) *$/    \1: \2/p' \
		-e 's/^(=+ )?([0-9]+ (passed|failed|skipped).* in [0-9.]+s.*)$/    \2/p' "$log"
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo --preserve-env=CUPEL_STATE_DIR,CUPEL_BUILD,PYTHONDONTWRITEBYTECODE "$@"
	else
		echo "the integration tests start sandboxes and need root: run as root, or install sudo"
		return 1
	fi
}

export PYTHONDONTWRITEBYTECODE=1
stage "release build" tools/build.sh "$build"
stage "unit tests" meson test -C "$build" --suite unit --print-errorlogs
stage "build with address and undefined sanitizers" tools/build.sh "$asan"
stage "unit tests, sanitized" meson test -C "$asan" --suite unit --print-errorlogs --timeout-multiplier 4
export CUPEL_BUILD=$PWD/$build
stage "integration tests" as_root /usr/bin/python3 -m pytest -q -p no:cacheprovider tests/integration
export CUPEL_BUILD=$PWD/$asan
stage "service tests, sanitized" as_root /usr/bin/python3 -m pytest -q -p no:cacheprovider \
	tests/integration/test_{service,http,results,secrets,parked,cli,operation}.py
echo "check: all passed in $((SECONDS - started)) s"
