#!/usr/bin/env bash
# manual.sh BIN DIR: the manual pages and the completions of a plank, below DIR/share, where programs look for them. BIN writes
# them itself.
set -euo pipefail

bin=$1
share=$2/share
install -d "$share/man/man1" "$share/bash-completion/completions" "$share/zsh/site-functions" "$share/fish/vendor_completions.d"
rm -f "$share"/man/man1/plank*.1
"$bin" gen man --output "$share/man/man1"
"$bin" gen completions bash >"$share/bash-completion/completions/plank"
"$bin" gen completions zsh >"$share/zsh/site-functions/_plank"
"$bin" gen completions fish >"$share/fish/vendor_completions.d/plank.fish"
