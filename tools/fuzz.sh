#!/usr/bin/env bash
# Run every fuzz target for some seconds: tools/fuzz.sh [build/fuzz [SECONDS [NAME]]]
# Begins with fuzz/corpus/<name> (inputs that once broke something) and the seeds of fuzz/seeds.py;
# keeps what it learns in build/fuzz/corpus/<name>. The first crash ends it with status 1.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=${1:-build/fuzz} seconds=${2:-20} only=${3:-}
tools/build.sh "$dir"
/usr/bin/python3 fuzz/seeds.py "$dir/seeds"
for target in "$dir"/fuzz/fuzz_*; do
	[ -f "$target" ] && [ -x "$target" ] || continue
	name=$(basename "$target"); name=${name#fuzz_}
	[ -z "$only" ] || [ "$name" = "$only" ] || continue
	mkdir -p "$dir/corpus/$name" "$dir/crashes" "$dir/seeds/$name"
	seeds=("$dir/seeds/$name"); [ ! -d "fuzz/corpus/$name" ] || seeds+=("fuzz/corpus/$name")
	log="$dir/$name.log"
	if ! ASAN_OPTIONS=detect_leaks=1 "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
		-max_len=65536 -print_final_stats=1 -artifact_prefix="$dir/crashes/$name-" \
		"$dir/corpus/$name" "${seeds[@]}" >"$log" 2>&1; then
		tail -n 40 "$log"
		echo "fuzz: $name failed; input in $dir/crashes, log in $log"
		exit 1
	fi
	echo "fuzz: $name clean, $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs in $seconds s"
done
