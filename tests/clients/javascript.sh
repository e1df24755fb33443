#!/usr/bin/env bash
# The npm packages: made, installed into an empty project, and tested against a real plank, in Node.js and in a real browser; docs/START.md and examples/shop.
# PLANK_BIN is the program.
set -euo pipefail
cd "$(dirname "$0")/../.."

# nginx is for examples/shop, and rarely in the path of a user.
export PATH=$PATH:/usr/sbin:/sbin

what="the npm packages"
export PLANK_BIN=${PLANK_BIN:-$PWD/target/debug/plank}
[ -x "$PLANK_BIN" ] || { scripts/skip.sh "$what" "$PLANK_BIN is missing (make build, or cargo build)"; exit; }
for tool in node chromium nginx; do
    scripts/need.sh --check $tool || { scripts/skip.sh "$what" "$tool is missing"; exit; }
done
command -v psql >/dev/null || { scripts/skip.sh "$what" "psql is missing"; exit; }

# docs/START.md has a worker in Python.
export PLANK_PYTHON=$PWD/target/tools/python-client/bin/python
[ -x "$PLANK_PYTHON" ] || { scripts/skip.sh "$what" "$PLANK_PYTHON is missing: tests/clients/python.sh installs it"; exit; }

cd clients/js
npm ci --no-audit --no-fund --silent || { ../../scripts/skip.sh "$what" "npm can't install clients/js/package.json"; exit; }
node build.mjs
npm test --silent
