#!/bin/bash
# Runs every fuzz target of the repository, one after the other, for FUZZTIME
# each (20s if not set). Arguments limit it to folders: tools/fuzz.sh internal/image
set -euo pipefail
cd "$(dirname "$0")/.."

go=${GO:-go}
time=${FUZZTIME:-20s}
[ $# -gt 0 ] || set -- .

failed=0 count=0
while IFS=: read -r file decl; do
	[ -n "$file" ] || continue
	name=${decl#func }
	name=${name%%(*}
	dir=./$(dirname "${file#./}")
	echo "== $name in $dir for $time"
	count=$((count + 1))
	# Shrinking inputs is bounded: it would take most of a short run.
	"$go" test -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 50x -timeout 30m "$dir" || failed=$((failed + 1))
done < <(grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*\(' "$@" | sort)

if [ "$count" = 0 ]; then
	echo "fuzz: no target found in $*" >&2
	exit 1
fi
echo "fuzz: $count targets, $failed failed"
[ "$failed" = 0 ]
