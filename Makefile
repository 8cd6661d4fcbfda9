# The commands of README and CI.

PYTHON ?= python3
TARGET := $(or $(CARGO_TARGET_DIR),target)
LEFT_OUT := $(CURDIR)/target/left-out.txt
NOT_ALLOWED := $(CURDIR)/target/not-allowed.txt

.PHONY: test corpus corpus-mutations help lint venvs drivers rig browser bench load placement requests triage reports fuzz

# Every test, the real components included. What this machine cannot run is named at the end; in CI that is a failure.
# What it does not allow its user (mounts, control groups) is named too.
test: venvs drivers rig browser
	@rm -f $(LEFT_OUT) $(NOT_ALLOWED)
	GPU_DOCTOR_LEFT_OUT=$(LEFT_OUT) GPU_DOCTOR_NOT_ALLOWED=$(NOT_ALLOWED) cargo test --workspace
	@if [ -s $(NOT_ALLOWED) ]; then \
		echo "not allowed to this user:"; sort -u $(NOT_ALLOWED) | sed 's/^/  /'; fi
	@if [ -s $(LEFT_OUT) ]; then \
		echo "left out on this machine:"; sort -u $(LEFT_OUT) | sed 's/^/  /'; \
		if [ "$(CI)" = true ]; then exit 1; fi; \
	else echo "nothing was left out"; fi

# What the doctor says of every case in fixtures/cases: per stage, the first cause right, false causes, unknown told.
corpus:
	@cargo test --quiet --test corpus -- --nocapture the_first_cause

# The same with one fact less, for every fact of every case: nothing may be claimed that was not seen with it. Minutes.
corpus-mutations:
	@GPU_DOCTOR_MUTATIONS=deep cargo test --quiet --test corpus -- --nocapture no_case_is_accused

# The Python deployments that tests examine, under target/.
venvs:
	@PYTHON=$(PYTHON) fixtures/venv.sh

# The fake driver libraries.
drivers:
	@cargo build --quiet -p fake-nvml -p fake-cuda

# Stand-ins for the CUDA libraries, made from the real GPU wheel, so that its CUDA provider registers without a GPU.
rig: venvs
	@$(PYTHON) fixtures/rig/make.py $(TARGET)/venv-gpu $(TARGET)/rig

# A headless Chromium for the HTML report, under target/.
browser:
	@fixtures/browser.sh

# Format and clippy, warnings denied.
lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

# What examining the machine and auditing a model cost: times, and ratios against other commands. For people, not for CI.
bench: venvs drivers
	cargo build --release
	benches/machine.py
	benches/sampler.py
	@[ -x target/venv-bench/bin/python ] || $(PYTHON) -m venv target/venv-bench
	@target/venv-bench/bin/pip install --quiet --disable-pip-version-check onnx==1.23.2
	target/venv-bench/bin/python benches/model.py

# What `stress` costs beside oha, wrk and Locust, and how right its latencies are. Needs oha and wrk. For people, not for CI.
load: drivers
	cargo build --release
	benches/load.py

# What reading a table of requests of 1 GB costs, beside `wc -l` and pandas. For people, not for CI.
triage:
	cargo build --release
	benches/triage.py
	benches/judge.py

# How long each form of the report takes from a snapshot of 5 MB. For people, not for CI.
reports:
	cargo build --release
	benches/reports.py

# The readers of models, schemas and files for triage under libFuzzer, a minute each, on stable Rust.
fuzz:
	fuzz/run.sh

# How well placements are predicted, against the real partitioner of eight versions of onnxruntime-gpu. Fetches some 4 GB
# from PyPI into target/placement. For people, not for CI.
placement:
	cargo build --release
	benches/placement.py

# How many of the first requests are what the schema wants, against schemathesis, on documents of others from PyPI. For
# people, not for CI.
requests:
	cargo build --release
	@[ -x target/venv-requests/bin/python ] || $(PYTHON) -m venv target/venv-requests
	@target/venv-requests/bin/pip install --quiet --disable-pip-version-check schemathesis==4.32.5 jsonschema==4.26.0 pyyaml \
		titiler.application==2.4.0
	target/venv-requests/bin/python benches/requests.py

# What can be made, each with its comment.
help:
	@awk '/^# / { sub(/^# /, ""); said = said ? said " " $$0 : $$0; next } \
		/^[a-z]+:/ && said { sub(/:.*/, ""); printf "make %-9s %s\n", $$0, said } { said = "" }' Makefile
