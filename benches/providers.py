#!/usr/bin/env python3
"""What asking the deployment's onnxruntime costs beyond the library's own load.

    cargo build --release && make venvs && benches/providers.py

The probe is timed by its own clock; against it stands a bare program that opens the same library and creates a session
of one node. Each figure is the median of several runs with the least beside it, and the goal is held by the least ones.
A goal that is missed makes the exit status 1: a person runs this, no test does, for the figures depend on the machine.
"""
import glob
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCTOR = pathlib.Path(os.environ.get("DOCTOR", ROOT / "target/release/gpu-doctor"))
GOAL_MS = 150
RUNS = 11

# Positions of the calls in OrtApi (onnxruntime_c_api.h), which only ever grows at its end.
BARE = r"""
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
struct base { void **(*api)(unsigned); const char *(*version)(void); };
enum { CREATE_ENV = 3, SESSION_FROM_ARRAY = 8, SESSION_OPTIONS = 10 };
int main(int count, char **arguments)
{
    static char model[1 << 16];
    FILE *file = fopen(arguments[2], "rb");
    size_t bytes = fread(model, 1, sizeof model, file);
    void *library = dlopen(arguments[1], RTLD_NOW), *env, *options, *session, **api;
    struct base *(*base)(void);
    (void)count;
    if (!library)
        return fprintf(stderr, "%s\n", dlerror()), 1;
    base = (struct base *(*)(void))dlsym(library, "OrtGetApiBase");
    api = base()->api(17);
    if (((void *(*)(int, const char *, void **))api[CREATE_ENV])(2, "bare", &env)
        || ((void *(*)(void **))api[SESSION_OPTIONS])(&options)
        || ((void *(*)(void *, void *, size_t, void *, void **))api[SESSION_FROM_ARRAY])(env, model, bytes, options, &session))
        return 2;
    _Exit(0);
}
"""
ONE_NODE = bytes.fromhex(
    "08083a350a0c0a0178120179220452656c7512036f6e655a0f0a0178120a0a080801120"
    "40a020801620f0a0179120a0a08080112040a02080142040a00100d"
)


def bare_ms(folder, library):
    program, source, model = folder / "bare", folder / "bare.c", folder / "one.onnx"
    source.write_text(BARE)
    model.write_bytes(ONE_NODE)
    subprocess.run([os.environ.get("CC", "cc"), "-O1", "-o", program, source, "-ldl"], check=True)
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        subprocess.run([program, library, model], check=True)
        times.append((time.perf_counter() - began) * 1e3)
    return times


def probe_ms(library):
    times = []
    for _ in range(RUNS):
        told = subprocess.run(
            [DOCTOR, "collect", "--only", "ort-cpu-package-only", "--onnxruntime", library],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True,
        )
        snapshot = json.loads(told.stdout)
        if "known" not in snapshot["facts"]["ort"]["cuda_registers"]:
            sys.exit(f"{library}: {snapshot['facts']['ort']['cuda_registers']}")
        times += [probe["duration_ms"] for probe in snapshot["probes"] if probe["id"] == "onnxruntime"]
    return times


def main():
    libraries = [path for venv in ("cpu", "gpu")
                 for path in glob.glob(f"{ROOT}/target/venv-{venv}/lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so.*")]
    if not libraries or not DOCTOR.exists():
        sys.exit("nothing to measure: cargo build --release && make venvs")
    missed = False
    with tempfile.TemporaryDirectory() as folder:
        for library in libraries:
            bare, probe = bare_ms(pathlib.Path(folder), library), probe_ms(library)
            beyond = min(probe) - min(bare)
            # On the GPU wheel CUDA is registered too, which the bare program does not do: told, not held.
            held = "/venv-cpu/" in library
            missed |= held and beyond > GOAL_MS
            print(f"{pathlib.Path(library).relative_to(ROOT)}")
            print(f"  bare load and session   {statistics.median(bare):7.1f} ms  (least {min(bare):.1f})")
            print(f"  probe of the doctor     {statistics.median(probe):7.1f} ms  (least {min(probe):.1f})")
            print(f"  beyond the bare load    {beyond:7.1f} ms  ratio {min(probe) / min(bare):.2f}"
                  + (f"  goal {GOAL_MS} ms: {'missed' if beyond > GOAL_MS else 'met'}" if held else ""))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
