#!/usr/bin/env bash
# skip.sh WHAT WHY: says what was not checked. A developer may go on (exit 0); in CI nothing may be skipped (exit 1).
set -euo pipefail

printf 'skipped: %s: %s\n' "$1" "$2"
[ "${CI:-}" != true ]
