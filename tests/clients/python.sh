#!/usr/bin/env bash
# The Python client: its package is built, installed into an empty environment, type-checked, and tested against a real plank.
# PLANK_BIN is the program.
set -euo pipefail
cd "$(dirname "$0")/../.."

what="the Python client"
export PLANK_BIN=${PLANK_BIN:-$PWD/target/debug/plank}
[ -x "$PLANK_BIN" ] || { scripts/skip.sh "$what" "$PLANK_BIN is missing (make build, or cargo build)"; exit; }
scripts/need.sh --check python3-venv || { scripts/skip.sh "$what" "python3-venv is missing"; exit; }
command -v psql >/dev/null || { scripts/skip.sh "$what" "psql is missing"; exit; }

tools=$PWD/target/tools/python-client
if [ ! -x "$tools/bin/mypy" ]; then
    rm -rf "$tools"
    { python3 -m venv "$tools" && "$tools/bin/pip" install --quiet --disable-pip-version-check build==1.3.0 mypy==1.18.2 \
        hatchling==1.27.0 'websockets==15.0.1' 'httpx==0.28.1'; } || {
        rm -rf "$tools"
        scripts/skip.sh "$what" "pip can't install its tools"
        exit
    }
fi

tmp=$(mktemp -d /tmp/plank-python-client.XXXXXX)
trap 'rm -rf "$tmp"' EXIT
cp -a clients/python "$tmp/source"
(cd "$tmp/source" && "$tools/bin/mypy")
echo "ok: the Python client is fully typed"
# Without isolation: what it is built with has been installed above, in the version that is named there.
(cd "$tmp/source" && "$tools/bin/python" -m build --no-isolation --outdir "$tmp/dist" . >/dev/null)

# Only the package and what it asks for: the sources are elsewhere.
python3 -m venv "$tmp/empty"
"$tmp/empty/bin/pip" install --quiet --disable-pip-version-check "$tmp"/dist/*.whl pytest==8.4.2
"$tmp/empty/bin/python" -c 'import plank, pathlib; assert (pathlib.Path(plank.__file__).parent / "py.typed").exists()'
echo "ok: the Python client is built and installed into an empty environment"
cp -a clients/python/tests clients/python/README.md "$tmp/"
"$tmp/empty/bin/python" -m pytest -q -p no:cacheprovider --rootdir "$tmp/tests" "$tmp/tests" | tee "$tmp/out"
passed=$(grep -oE '^[0-9]+ passed' "$tmp/out" | cut -d ' ' -f 1)
echo "# pass ${passed:-0}"
