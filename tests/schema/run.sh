#!/usr/bin/env bash
# Requests that /openapi.json allows, and ones that it does not, against a real plank with a private PostgreSQL: every
# answer has to be one of the document's, and none a 5xx. PLANK_BIN is the program to test.
#
# schemathesis comes from PyPI into target/, once per checkout and version.
set -euo pipefail
cd "$(dirname "$0")/../.."

what="the HTTP API against its document"
plank_bin=$PWD/${PLANK_BIN:-target/debug/plank}
[ -x "$plank_bin" ] || { scripts/skip.sh "$what" "$plank_bin is missing (make build, or cargo build)"; exit; }
for tool in curl python3-venv; do
    scripts/need.sh --check $tool || { scripts/skip.sh "$what" "$tool is missing"; exit; }
done

command -v psql >/dev/null || { scripts/skip.sh "$what" "psql is missing"; exit; }

venv=$PWD/target/tools/schema
if ! cmp --silent tests/schema/requirements.txt "$venv/installed.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement tests/schema/requirements.txt || {
        scripts/skip.sh "$what" "pip can't install tests/schema/requirements.txt"
        exit
    }
    cp tests/schema/requirements.txt "$venv/installed.txt"
fi

# As root plank drops to the user postgres for its PostgreSQL, who must get in.
tmp=$(mktemp -d /tmp/plank-schema.XXXXXX)
chmod 755 "$tmp"
# shellcheck source=scripts/test-plank.sh
. scripts/test-plank.sh

cleanup() {
    local status=$?
    trap - EXIT
    stop_plank
    if [ $status -ne 0 ]; then
        echo "run.sh failed; the last lines of plank's log:" >&2
        tail -n 20 "$tmp/plank.log" >&2 || true
    fi
    rm -rf "$tmp"
    exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM

start_plank "$plank_bin" "$tmp"
base=http://$address
fetch=(curl --silent --show-error --fail --noproxy '*' --max-time 10)

# Tables of every kind, beside the demo's; plank learns of them in a moment.
psql -Xqo /dev/null -v ON_ERROR_STOP=1 -h "$tmp/data/run" -U postgres -d plank -f tests/schema/tables.sql
deadline=$((SECONDS + 30))
until "${fetch[@]}" --output "$tmp/openapi.json" "$base/openapi.json" && grep -q '"/rest/quiet"' "$tmp/openapi.json"; do
    [ $SECONDS -lt $deadline ] || { echo "the tables did not come into the document" >&2; exit 1; }
    sleep 0.2
done
"$venv/bin/openapi-spec-validator" --subschema-errors all "$tmp/openapi.json"
echo "ok: /openapi.json is a valid OpenAPI 3.1 document"

# Something to read, to change and to catch up with; hooks.py leads to it.
PLANK_TEST_CURSOR=$("${fetch[@]}" "$base/api/changes?table=items" | sed 's/.*"cursor":"\([^"]*\)".*/\1/')
export PLANK_TEST_CURSOR PLANK_TEST_ITEMS=40
for n in $(seq $PLANK_TEST_ITEMS); do
    "${fetch[@]}" --output "$tmp/item" --header 'Content-Type: application/json' \
        --data "{\"name\": \"item $n\", \"data\": {\"n\": $n}}" "$base/api/items"
done

# Without --url: the address comes from the document, as for everybody who reads it.
(
    dir=$PWD/tests/schema
    # Whatever it leaves behind is left there.
    cd "$tmp"
    SCHEMATHESIS_HOOKS=$dir/hooks.py NO_PROXY='*' PYTHONDONTWRITEBYTECODE=1 timeout --kill-after=10 600 \
        "$venv/bin/schemathesis" --config-file "$dir/schemathesis.toml" run --no-color "$base/openapi.json"
)
echo "ok: what is sent by the document is answered by it"

# All of that must not have hurt it.
"${fetch[@]}" --output "$tmp/ready" "$base/readyz"
if grep -E 'panicked|request failed' "$tmp/plank.log"; then
    echo "the log has an internal error" >&2
    exit 1
fi
kill -TERM "$plank_pid"
code=0
wait "$plank_pid" || code=$?
plank_pid=
[ $code -eq 0 ] || { echo "plank ended with $code on SIGTERM, not with 0" >&2; exit 1; }
echo "ok: plank is ready afterwards, and stops on SIGTERM"
