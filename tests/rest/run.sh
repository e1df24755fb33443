#!/usr/bin/env bash
# PostgREST's own clients for JavaScript and Python, from their registries, against a plank. The packages come once per checkout and
# version: those of npm into tests/rest, those of PyPI into target/.
set -euo pipefail
cd "$(dirname "$0")/../.."

what="PostgREST's clients against /rest"
for tool in node python3-venv; do
    scripts/need.sh --check $tool || { scripts/skip.sh "$what" "$tool is missing"; exit; }
done
(cd tests/rest && npm ci --no-audit --no-fund --silent) || { scripts/skip.sh "$what" "npm can't install tests/rest/package.json"; exit; }
venv=$PWD/target/tools/rest
if ! cmp --silent tests/rest/requirements.txt "$venv/installed.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement tests/rest/requirements.txt || {
        scripts/skip.sh "$what" "pip can't install tests/rest/requirements.txt"
        exit
    }
    cp tests/rest/requirements.txt "$venv/installed.txt"
fi
PLANK_REST_PYTHON=$venv/bin/python cargo test --locked --all-features --test it -- --nocapture rest::clients
