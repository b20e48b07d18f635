#!/usr/bin/env bash
# The main job, end to end:  tools/demo.sh [build/release]
# Makes patient records, starts the service on a free port with a state directory of its own (the
# sandbox image is the machine's), runs two jobs through POST /execute, shows results, certificates
# and their checks, and stops everything it started, also after a failure or Ctrl-C.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || { echo "demo: the service needs root: run again as root, or install sudo" >&2; exit 1; }
	exec sudo --preserve-env=CUPEL_STATE_DIR "$0" "$@"
fi
python=/usr/bin/python3 cupel=$build/src/programs/cupel/cupel
work=$(mktemp -d /tmp/cupel-demo.XXXXXX) service= interrupted=
export PYTHONDONTWRITEBYTECODE=1

finish() {
	status=$?
	trap - EXIT INT TERM
	if [ -n "$service" ]; then
		kill -TERM "$service" 2>/dev/null || true
		wait "$service" 2>/dev/null || true
	fi
	[ $status -eq 0 ] || [ -n "$interrupted" ] || { echo "demo: failed; the service's last words:" >&2; tail -n 5 "$work/log" >&2 2>/dev/null || true; }
	rm -rf "$work"
	exit $status
}
trap finish EXIT
trap 'echo "demo: interrupted" >&2; interrupted=1; exit 130' INT TERM

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n%s\n' "$*"; }
indent() { sed 's/^/  /'; }

say "The platform is SIMULATED: everything below is real but the hardware that would vouch for it."

say "1. A private dataset: 10,000 made-up patient records with a known number of personal data in them"
$python examples/pii-scan/make_patients.py --rows 10000 --seed 7 \
	--output "$work/patients.csv" --counts "$work/planted.json" >/dev/null
head -n 2 "$work/patients.csv" | cut -c1-110 | indent
$python examples/pii-scan/request.py "$work/patients.csv" >"$work/pii.json"
echo "  ... $(wc -c <"$work/patients.csv") bytes; the request also carries $($python -c '
import json, sys
print(", ".join(json.load(open(sys.argv[1]))["sandbox"]["scripts"]))' "$work/pii.json")"

say "2. The service"
"$build/src/programs/cced/cced" --port 0 --state-dir "$work/state" 2>"$work/log" &
service=$!
for _ in $(seq 200); do
	[ ! -s "$work/state/url" ] || break
	kill -0 "$service" 2>/dev/null || { service=; exit 1; }
	sleep 0.05
done
[ -s "$work/state/url" ] || { echo "demo: the service did not come up in 10 s" >&2; exit 1; }
echo "  cced listens at $(cat "$work/state/url"), token in a 0600 file, state in $work/state"

run() { # request, output, certificate
	if ! $cupel execute "$1" --state-dir "$work/state" --output "$2" --certificate "$3" 2>"$work/words"; then
		cat "$work/words" >&2
		return 1
	fi
	indent <"$work/words"
}

say "3. PII scan: POST /execute, in a sandbox that has python, bash and grep and nothing else"
run "$work/pii.json" "$work/pii.out" "$work/pii.certificate.json"
say "   Its result, beside what was planted (the sandbox never saw these numbers)"
$python examples/pii-scan/check.py "$work/pii.out" "$work/planted.json" | indent

say "4. Real open data: Debian's ISO code tables, checked against each other with python and jq"
$python examples/iso-codes/request.py >"$work/iso.json"
run "$work/iso.json" "$work/iso.out" "$work/iso.certificate.json"
say "   Its result"
$python -c '
import json, sys
result = json.load(open(sys.argv[1]))
for name, value in result.items():
    text = json.dumps(value)
    print(f"{name}: {text if len(text) < 96 else text[:93] + chr(46) * 3}")' "$work/iso.out" | indent

say "5. The certificate verified offline, with the service's key and this platform's anchor"
code=0
$cupel verify "$work/pii.certificate.json" --result "$work/pii.out" --state-dir "$work/state" \
	>"$work/verdict" 2>/dev/null || code=$?
grep -E "^ +[a-z-]+ +result |verdict" "$work/verdict" | indent
[ "$code" -eq 3 ] || { echo "demo: expected exit code 3 (simulated), got $code" >&2; exit 1; }
echo "  exit code 3: intact, on a simulated platform (0 would mean real hardware)"

say "Done. Everything started here is stopped and its state removed."
