#!/bin/sh
# Feeds each target for FUZZ_SECONDS with whatever reaches new code (libFuzzer). Works on stable: what cargo-fuzz would
# ask the compiler for are flags of LLVM. An input that fails is kept in fuzz/seeds, and `make test` tries it again.
set -eu
cd "$(dirname "$0")"
seconds=${FUZZ_SECONDS:-60}
host=$(rustc -vV | sed -n 's/^host: //p')
# --target keeps the flags away from build scripts and macros.
RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares" \
  cargo build --release --locked --target "$host" --target-dir ../target/fuzz

status=0
for target in ${FUZZ_TARGETS:-frames message cursor filter events}; do
  corpus=../target/fuzz/corpus/$target
  mkdir -p "$corpus"
  log=../target/fuzz/$target.log
  # What leaks grows beyond the limit.
  if PLANK_FUZZ_TARGET=$target "../target/fuzz/$host/release/plank-fuzz" -max_total_time="$seconds" -max_len=2000 -timeout=5 \
    -rss_limit_mb=512 -print_final_stats=1 -artifact_prefix="seeds/$target/" "$corpus" "seeds/$target" >"$log" 2>&1; then
    inputs=$(sed -n 's/^stat::number_of_executed_units: //p' "$log")
    rss=$(sed -n 's/^stat::peak_rss_mb: //p' "$log")
    echo "fuzz: $target ok, $inputs inputs in $seconds s, at most $rss MiB"
  else
    tail -n 30 "$log" >&2
    echo "fuzz: $target has failed; the input is in fuzz/seeds/$target" >&2
    status=1
  fi
done
exit $status
