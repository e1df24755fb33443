#!/usr/bin/env bash
# Refuses words that docs/STYLE.md bans, in all text files of the project that people write. The changelog and the decisions
# of the past stay as they were written.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t banned < <(awk -F'|' '/^## Banned words/ { on = 1 } on && /^\| / && $2 !~ /banned|---/ { gsub(/^ +| +$/, "", $2); print $2 }' docs/STYLE.md)
[ ${#banned[@]} -gt 0 ] || { echo "lint-words: docs/STYLE.md has no table of banned words" >&2; exit 1; }
pattern=$(IFS='|'; echo "${banned[*]}")

# Vendored files and licences are not ours; the style guide has to name what it bans.
mapfile -t files < <(git ls-files --cached --others --exclude-standard -- '*.rs' '*.sql' '*.md' '*.js' '*.mjs' '*.ts' '*.py' '*.sh' '*.html' '*.css' '*.conf' \
    '*.service' '*.socket' '*.env' '*.yml' '*.yaml' '*.pml' '*.toml' Makefile |
    grep -Ev '^(static/vendor/|clients/js/tests/suite/|LICENSE|docs/STYLE\.md$|docs/decisions/|CHANGELOG\.md$)')

if found=$(grep -nwiE -- "($pattern)" "${files[@]}"); then
    printf '%s\n' "$found" >&2
    echo "lint-words: docs/STYLE.md says what to write instead of: ${banned[*]}" >&2
    exit 1
fi
echo "ok: no banned word in ${#files[@]} files"
