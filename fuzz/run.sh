#!/usr/bin/env bash
# Fuzzes the readers of models, schemas, metrics and files for triage, and redaction, with libFuzzer, on stable Rust: fuzz/run.sh [SECONDS] [TARGET...]
#
# `cargo fuzz run TARGET` does the same with nightly and AddressSanitizer; the readers have no unsafe code, so coverage is
# what is needed. What is found is left in fuzz/artifacts/TARGET/.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-60}
targets=("${@:2}")
[ ${#targets[@]} -gt 0 ] || targets=(onnx safetensors gguf schema metrics triage redact)
host=$(rustc -vV | sed -n 's/^host: //p')

# What cargo-fuzz passes, without sanitizer. With --target these flags do not reach build scripts.
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing -Cdebug-assertions
    ${RUSTFLAGS:-}"
cargo build --release --target "$host" --target-dir target

for target in "${targets[@]}"; do
    mkdir -p "corpus/$target" "artifacts/$target"
    seeds=../fixtures/models
    [ "$target" = schema ] && seeds=../fixtures/schemas
    [ "$target" = triage ] && seeds=../fixtures/triage
    [ "$target" = metrics ] && seeds=../fixtures/metrics
    [ "$target" = redact ] && seeds=../fixtures/logs
    # -max_len: the small models are below 1 KiB; mutations of larger ones find no other code, only later.
    "target/$host/release/$target" "corpus/$target" "$seeds" \
        -max_total_time="$seconds" -max_len=4096 -rss_limit_mb=512 -timeout=5 -print_final_stats=1 \
        -artifact_prefix="artifacts/$target/"
done
