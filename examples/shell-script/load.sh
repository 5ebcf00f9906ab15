#!/bin/sh
# Pretends to load the days FROM..TO, a month at a time. Real ones call psql, curl or a program of yours.
set -eu

from=${1:?usage: load.sh FROM TO}
to=${2:?usage: load.sh FROM TO}
shift 2

echo "loading $from to $to"
for option in "$@"; do
    echo "option: [$option]"
done

day=$from
while [ "$(date -d "$day" +%s)" -le "$(date -d "$to" +%s)" ]; do
    echo "  $(date -d "$day" +%Y-%m)"
    day=$(date -d "$day +1 month" +%Y-%m-01)
done
echo "done"
