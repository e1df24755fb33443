#!/usr/bin/env bash
# What no compiler looks at: the shell scripts, and that vendored files are still the ones that were vendored.
set -euo pipefail
cd "$(dirname "$0")/.."

# A new script is linted without being listed here.
scripts=(.ci/run scripts/*.sh tests/autobahn/*.sh tests/clients/*.sh tests/deploy/*.sh tests/dist/*.sh tests/image/*.sh tests/model/*.sh tests/rest/*.sh tests/schema/*.sh tests/versions/*.sh)
for script in "${scripts[@]}"; do
    bash -n "$script"
done
if command -v shellcheck >/dev/null; then
    shellcheck "${scripts[@]}"
    echo "ok: shellcheck, ${#scripts[@]} scripts"
else
    scripts/skip.sh shellcheck "shellcheck is missing"
fi

(cd static/vendor && sha256sum --check --quiet --strict SHA256SUMS)
# A file that nobody has signed for must not slip in beside the others.
for file in static/vendor/*; do
    name=${file##*/}
    case $name in SHA256SUMS | README*) continue ;; esac
    grep -qE "[ *](\./)?$name\$" static/vendor/SHA256SUMS || { echo "$file is not in SHA256SUMS" >&2; exit 1; }
done
echo "ok: static/vendor is what SHA256SUMS says"
