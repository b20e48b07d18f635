#!/usr/bin/env bash
# What is too slow for every change:  tools/check-slow.sh [build/release [STAGE...]]
# Every file of tests/slow is a stage (test_vm -> vm), then every fuzz target (fuzz-json, ...) for
# FUZZ_SECONDS (default 60; a release wants 600). All stages run, also after a failure; the last
# line counts them. Logs stay in build/slow/.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
build=${1:-build/release}
shift || true
wanted=("$@")
seconds=${FUZZ_SECONDS:-60} logs=build/slow
passed=0 failed=0 skipped=0
export PYTHONDONTWRITEBYTECODE=1 CUPEL_BUILD=$PWD/$build
mkdir -p "$logs"

as_root=()
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || { echo "check-slow: tests/slow needs root: run as root, or install sudo" >&2; exit 1; }
	as_root=(sudo --preserve-env=CUPEL_STATE_DIR,CUPEL_BUILD,CUPEL_SOAK_RUNS,CUPEL_SOAK_SANDBOXES,CUPEL_SEED,PYTHONDONTWRITEBYTECODE)
fi

install_packages() {
	local package missing=()
	while read -r package; do
		case $package in '' | '#'*) continue ;; esac
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] ||
			missing+=("$package")
	done <tools/packages-slow.txt
	[ ${#missing[@]} -gt 0 ] || return 0
	echo "check-slow: installing ${#missing[@]} Debian packages (once)"
	{ "${as_root[@]}" apt-get update &&
		"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
			"${missing[@]}"; } >"$logs/packages.log" 2>&1 && return 0
	tail -n 20 "$logs/packages.log" >&2
	echo "check-slow: apt-get failed: stages that need ${missing[*]} will be skipped" >&2
}

is_wanted() {
	local name
	[ ${#wanted[@]} -gt 0 ] || return 0
	for name in "${wanted[@]}"; do
		[ "$name" = "$1" ] && return 0
	done
	return 1
}

stage() { # name, command...
	local name=$1 log=$logs/$1.log begin=$SECONDS result summary
	shift
	printf 'check-slow: %-22s ' "$name"
	if "$@" >"$log" 2>&1 </dev/null; then
		result=ok
		# pytest: every test of the file was skipped
		grep -Eq '^(=+ )?[0-9]+ skipped in ' "$log" && result=SKIPPED
	else
		result=FAILED
	fi
	summary=$(sed -n -E -e 's/^(=+ )?([0-9]+ (passed|failed|skipped).*) in [0-9.]+s.*/\2/p' \
		-e 's/^fuzz: (.*)/\1/p' "$log" | tail -n 1)
	printf '%-7s %4s s  %s\n' "$result" $((SECONDS - begin)) "$summary"
	case $result in
	ok) passed=$((passed + 1)) ;;
	SKIPPED)
		skipped=$((skipped + 1))
		sed -n 's/^SKIPPED /check-slow:   why: /p' "$log" | head -n 3
		;;
	*)
		failed=$((failed + 1))
		tail -n 40 "$log" | sed 's/^/    /' >&2
		;;
	esac
}

install_packages
for file in tests/slow/test_*.py; do
	name=$(basename "$file" .py)
	name=${name#test_}
	is_wanted "$name" || continue
	stage "$name" "${as_root[@]}" /usr/bin/python3 -m pytest -v -s -rs -p no:cacheprovider "$file"
done

targets=$(sed -n "s/^ *\['\([a-z0-9_]*\)'.*/\1/p" fuzz/meson.build)
for name in $targets; do
	is_wanted "fuzz-$name" || continue
	stage "fuzz-$name" tools/fuzz.sh build/fuzz "$seconds" "$name"
done

echo "check-slow: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
