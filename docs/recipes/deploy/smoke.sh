#!/bin/sh
# Usage: smoke.sh CONFIG
config=${1:?the config file}
gpu-doctor run --config "$config" --wait=5m --format short --save after-deployment.json
code=$?
case $code in 1|2) echo "exit code $code; the whole report: gpu-doctor diagnose after-deployment.json" >&2 ;; esac
exit "$code"
