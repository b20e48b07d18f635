# Count matches of one expression with grep:  cross_check.sh PATTERN FILE...
set -eu -o pipefail
pattern=$1
shift
# grep's status 1 means nothing was found, which is an answer
{ LC_ALL=C grep -a -o -h -P -e "$pattern" -- "$@" || [ $? -eq 1 ]; } | { grep -c '' || [ $? -eq 1 ]; }
