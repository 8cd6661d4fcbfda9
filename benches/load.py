#!/usr/bin/env python3
"""Whether gpu-doctor is ever slower than the server: `gpu-doctor stress` beside oha, wrk and Locust, in one run.

    cargo build --release && make drivers && benches/load.py [--part speed|latency|memory]...

All send the same 16 KB form over kept connections to the same server: benches/load/server.c, or nginx with `--server nginx`
(only for the speed). The server runs on one core and the clients, one after the other, on another one; both go before what
else the machine does, where this user may set priorities. A round is one short run of each; what is told of several rounds is
the median of the rounds' ratios. CPU is user and system time of the whole client process; of the doctor's, that of a run
which only examines is taken off. oha and wrk are looked for in PATH (`--oha EXE`, `--wrk EXE`); Locust is fetched from PyPI
into target/venv-load. A goal that is missed makes the exit status 1: a person runs this, no test does, for the figures depend
on the machine.
"""
import argparse
import json
import math
import os
import pathlib
import random
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
DRIVER = ROOT / "target/fake-driver"
SCENARIO = ROOT / "fixtures/drivers/scenarios/healthy-busy.yaml"
BODY = 16384
BOUNDARY = "gpu-doctor-0123456789abcdef0123456789abcdef"
NGINX = """
worker_processes 1; daemon off; error_log {0}/error.log; pid {0}/pid; events {{ worker_connections 2048; }}
http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 600; client_body_buffer_size 64k;
client_body_temp_path {0}/b; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f; uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;
server {{ listen 127.0.0.1:{1}; location / {{ default_type application/json; return 200 '{{"text":"ok"}}'; }} }} }}
"""
LOCUST = """
import os
from locust import HttpUser, task
body = open(os.environ["BODY"], "rb").read()
class User(HttpUser):
    @task
    def ask(self):
        self.client.post("/asr", data=body, headers={"Content-Type": os.environ["TYPE"]})
"""
missed = []


def form():
    """A form with a sound, as the doctor writes it, and the sound alone."""
    def part(name, more, content):
        return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + content + b"\r\n"
    def whole(sound):
        file = '; filename="speech.wav"\r\nContent-Type: audio/wav'
        return part("audio", file, sound) + part("lang", "", b"en") + f"--{BOUNDARY}--\r\n".encode()
    samples = (BODY - len(whole(b"")) - 44) // 2 * 2
    head = struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", 36 + samples, b"WAVEfmt ", 16, 1, 1, 16000, 32000, 2, 16, b"data", samples)
    sound = head + random.Random(7).randbytes(samples)
    return whole(sound), sound


def place(cores, at_once):
    """Puts the process that begins on these cores, before what else the machine does, where that is allowed: as soon as it
    has something to do, or by its share of the time."""
    os.sched_setaffinity(0, cores)
    try:
        if at_once:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        else:
            os.setpriority(os.PRIO_PROCESS, 0, -20)
    except PermissionError:
        pass


class Run:
    """What a client came to."""

    def __init__(self, requests, seconds, cpu, p99_ms=math.nan, peak_mb=math.nan):
        self.requests, self.rps, self.p99_ms, self.peak_mb = requests, requests / seconds, p99_ms, peak_mb
        self.cpu_us = cpu / max(requests, 1) * 1e6


class Bench:
    # Where half of a core's time is used at most, the system lets processes go before all others.
    at_once = False

    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.body, sound = form()
        (folder / "body").write_bytes(self.body)
        (folder / "speech.wav").write_bytes(sound)
        self.media = f"multipart/form-data; boundary={BOUNDARY}"
        cores = sorted(os.sched_getaffinity(0))
        self.server_cores, self.client_cores = cores[:1], cores[1:2] or cores[:1]

    # Servers.

    def serve(self, mean_us=0):
        """Starts our server and tells its port."""
        program = self.folder / "server"
        if not program.exists():
            subprocess.run(["cc", "-O2", "-o", program, ROOT / "benches/load/server.c"], check=True)
        self.server = subprocess.Popen([program, str(mean_us)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                       preexec_fn=lambda: place(self.server_cores, self.at_once))
        self.connect(int(self.server.stdout.readline()))

    def serve_nginx(self):
        (self.folder / "nginx").mkdir(exist_ok=True)
        port = 20000 + os.getpid() % 20000
        (self.folder / "nginx.conf").write_text(NGINX.format(self.folder / "nginx", port))
        self.server = subprocess.Popen(["nginx", "-c", self.folder / "nginx.conf"], stderr=subprocess.DEVNULL,
                                       preexec_fn=lambda: place(self.server_cores, self.at_once))
        time.sleep(0.5)
        self.connect(port)

    def connect(self, port):
        self.url = f"http://127.0.0.1:{port}/asr"
        command = f"curl -X POST {self.url} -F 'audio=@{self.folder}/speech.wav;type=audio/wav' -F lang=en\n"
        (self.folder / "client.sh").write_text(command)
        # wrk sends this.
        script = f'wrk.method="POST"\nlocal f=io.open("{self.folder}/body","rb")\nwrk.body=f:read("*a")\nf:close()\n'
        (self.folder / "post.lua").write_text(f'{script}wrk.headers["Content-Type"]="{self.media}"\n')

    def stop(self):
        if self.server.stdin:
            self.server.stdin.close()
        self.server.terminate()
        self.server.wait()

    def forget(self):
        print("reset", file=self.server.stdin, flush=True)

    def record(self):
        """Requests since, and their median, 99th percentile and largest, ms, as the server saw them."""
        print("record", file=self.server.stdin, flush=True)
        count, *times = self.server.stdout.readline().split()
        return int(count), [float(us) / 1e3 for us in times]

    # Clients.

    def run(self, command, environment=None):
        """Runs a client on its core: its output, CPU time and peak memory."""
        child = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 env={**os.environ, **(environment or {})},
                                 preexec_fn=lambda: place(self.client_cores, self.at_once))
        peak, over = [0], threading.Event()
        watcher = threading.Thread(target=self.watch, args=(child.pid, peak, over))
        watcher.start()
        said, errors = [], []
        readers = [threading.Thread(target=lambda into, pipe: into.append(pipe.read()), args=pair)
                   for pair in ((said, child.stdout), (errors, child.stderr))]
        [reader.start() for reader in readers]
        [reader.join() for reader in readers]
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        over.set()
        watcher.join()
        text = said[0].decode(errors="replace")
        return text, used.ru_utime + used.ru_stime, peak[0], errors[0].decode(errors="replace")

    def watch(self, pid, peak, over):
        """The largest resident memory of a process and its children together, MB."""
        def tree(pid):
            yield pid
            try:
                children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            except OSError:
                return
            for child in children:
                yield from tree(int(child))
        while not over.wait(0.25):
            total = 0
            for one in tree(pid):
                try:
                    status = pathlib.Path(f"/proc/{one}/status").read_text()
                    total += int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024 / 1e6
                except (OSError, TypeError):
                    pass
            peak[0] = max(peak[0], total)

    def doctor(self, users, seconds, rate=None, more=(), environment=None):
        """A load by the doctor, less what examining costs it."""
        def stress(*load):
            command = [self.options.doctor, "stress", "--format", "json", "--only", "request", "--server",
                       self.url.removesuffix("/asr"), "--client-request", self.folder / "client.sh", "--users", users,
                       *load, *(["--rate", rate] if rate else []), *more]
            text, cpu, peak, errors = self.run(command, environment)
            try:
                load = json.loads(text)["load"]
                return load, load["steps"][0], cpu, peak
            except (ValueError, KeyError, TypeError, IndexError):
                sys.exit(f"gpu-doctor stress told no load: {text[:2000]} {errors[:2000]}")
        if not hasattr(self, "examining"):
            self.examining = {}
        if environment is None and users not in self.examining:
            self.examining[users] = min(stress("--duration", "2s", "--max-requests", "30")[2] for _ in range(2))
        load, step, cpu, peak = stress("--duration", f"{seconds}s")
        if step["failed"] or step["requests"] != step["ok"]:
            sys.exit(f"gpu-doctor: requests failed: {step}")
        self.told = load
        run = Run(step["requests"], step["seconds"], cpu - self.examining.get(users, 0), step["latency_ms"]["p99"], peak)
        run.own_cpu_us = load.get("own_cpu_us_per_request", math.nan)
        return run

    def oha(self, users, seconds, rate=None):
        limit = ["-q", f"{rate:g}", "--latency-correction"] if rate else []
        text, cpu, peak, errors = self.run([self.options.oha, "--no-tui", "--output-format", "json", "-z", f"{seconds}s", "-c", users,
                                    *limit, "-m", "POST", "-T", self.media, "-D", self.folder / "body", self.url])
        told = json.loads(text)
        count = told["statusCodeDistribution"]["200"]
        return Run(count, told["summary"]["total"], cpu, told["latencyPercentiles"]["p99"] * 1e3, peak)

    def wrk(self, users, seconds):
        text, cpu, peak, _ = self.run([self.options.wrk, "-t1", f"-c{users}", f"-d{seconds}s", "--latency", "-s",
                                       self.folder / "post.lua", self.url])
        count = int(re.search(r"(\d+) requests in", text)[1])
        return Run(count, count / float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]), cpu, peak_mb=peak)

    def locust(self, users, seconds):
        python = ROOT / "target/venv-load/bin/python"
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", python.parent.parent], check=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "locust==2.47.0"], check=True)
        (self.folder / "locustfile.py").write_text(LOCUST)
        command = [python, "-m", "locust", "-f", self.folder / "locustfile.py", "--headless", "--only-summary", "-u", users,
                   "-r", users, "-t", f"{seconds}s", "--host", self.url.removesuffix("/asr")]
        _, cpu, peak, errors = self.run(command, {"BODY": str(self.folder / "body"), "TYPE": self.media})
        total = re.findall(r"Aggregated\s+(\d+)", errors) or ["0"]
        return Run(int(total[0]), seconds, cpu, peak_mb=peak)


def held(what, value, goal, most):
    """Whether a goal is met, in words."""
    met = value <= goal if most else value >= goal
    if not met:
        missed.append(what)
    return f"goal {'<=' if most else '>='} {goal:g}: {'met' if met else 'MISSED'}"


def speed(bench):
    """Requests a second and CPU time per request."""
    options = bench.options
    bench.serve_nginx() if options.server == "nginx" else bench.serve()
    where = "nginx" if options.server == "nginx" else "benches/load/server.c"
    print(f"speed: {where}, {BODY} bytes, {options.rounds} rounds of {options.seconds} s each; medians")
    for users in options.users:
        rounds = {"doctor": [], "oha": [], "wrk": []}
        names = list(rounds)
        for turn in range(options.rounds):
            # Who comes first changes.
            for name in names[turn % 3:] + names[:turn % 3]:
                rounds[name].append(getattr(bench, name)(users, options.seconds))
        size = bench.told["body_bytes"]
        if abs(size / BODY - 1) > 0.02:
            sys.exit(f"the doctor's bodies have {size} bytes")
        ratio = lambda of, other: statistics.median(getattr(a, of) / getattr(b, of) for a, b in zip(rounds["doctor"], rounds[other]))
        middle = lambda name, of: statistics.median(getattr(run, of) for run in rounds[name])
        spread = [a.rps / b.rps for a, b in zip(rounds["doctor"], rounds["oha"])]
        figures = ", ".join(f"{name} {middle(name, 'rps'):.0f}/s {middle(name, 'cpu_us'):.1f} us" for name in rounds)
        print(f"  {users} connections: {figures}; {bench.told['distinct_payloads']} different bodies")
        print(f"    requests/s: {ratio('rps', 'oha'):.2f} x oha ({min(spread):.2f} to {max(spread):.2f}), "
              f"{held(f'{users}: requests/s against oha', ratio('rps', 'oha'), 1.0, False)}; "
              f"{ratio('rps', 'wrk'):.2f} x wrk, {held(f'{users}: requests/s against wrk', ratio('rps', 'wrk'), 0.8, False)}")
        print(f"    CPU per request: {ratio('cpu_us', 'oha'):.2f} x oha, "
              f"{held(f'{users}: CPU against oha', ratio('cpu_us', 'oha'), 1.0, True)}; {ratio('cpu_us', 'wrk'):.2f} x wrk",
              flush=True)
    bench.stop()


def latency(bench):
    """The 99th percentile as the client tells it against the server's own record, at half of what the server can do."""
    for mean_us, users in ((0, 50), (2000, 50), (20000, 50)):
        bench.at_once = True
        bench.serve(mean_us)
        most = bench.doctor(users, 2).rps
        rate = round(most / 2)
        about = f"{mean_us / 1e3:g} ms of work, one at a time" if mean_us else "answers at once"
        print(f"latency: server that {about if not mean_us else 'takes ' + about}: {rate} requests/s, half of its most")
        errors = {"doctor": [], "oha": []}
        for _ in range(bench.options.rounds):
            for name in errors:
                bench.forget()
                run = getattr(bench, name)(users, (5 if mean_us > 10_000 else 2) * bench.options.seconds, rate)
                # The conversation's requests are few against those of the load.
                count, (_, p99, _) = bench.record()
                errors[name].append((run.p99_ms - p99, p99))
        for name, found in errors.items():
            apart = [abs(error) for error, _ in found]
            worst = [max(abs(error) - max(0.1, 0.02 * p99), 0) for error, p99 in found]
            line = f"  {name}: p99 {statistics.median(e + p for e, p in found):.3f} ms, the server's {statistics.median(p for _, p in found):.3f} ms; "
            line += f"apart by {statistics.median(apart):.3f} ms ({min(apart):.3f} to {max(apart):.3f})"
            if name == "doctor":
                line += f", over 2 % or 0.1 ms by {statistics.median(worst):.3f} ms, "
                line += held(f"latency ({mean_us} us of work)", statistics.median(worst), 0, True)
            print(line, flush=True)
        bench.stop()


def memory(bench):
    """200 users for a minute, with NVML at 20 Hz and the server's counters."""
    seconds = bench.options.long
    bench.serve(200)
    faked = {"LD_LIBRARY_PATH": str(DRIVER), "GPU_DOCTOR_FAKE_DRIVER": str(SCENARIO)}
    print(f"memory: 200 users, {seconds} s, NVML at 20 Hz; peak resident memory with all children")
    own = bench.doctor(200, seconds, more=["--sample-rate", 20], environment=faked)
    step = bench.told["steps"][0]
    seen = f"{len(step.get('gpus') or [])} GPUs and counters of {len(step.get('models') or [])} models watched"
    other = bench.locust(200, seconds)
    print(f"  doctor {own.peak_mb:.1f} MB ({own.requests} requests, {seen}), {held('memory', own.peak_mb, 60, True)} MB")
    print(f"  Locust {other.peak_mb:.1f} MB ({other.requests} requests): {other.peak_mb / own.peak_mb:.1f} times as much", flush=True)
    bench.stop()


PARTS = {"speed": speed, "latency": latency, "memory": memory}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part")
    parser.add_argument("--server", choices=["own", "nginx"], default="own", help="what is loaded for the speed")
    parser.add_argument("--users", type=int, action="append", help="connections [1, 10, 50, 100]")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2, help="of one run")
    parser.add_argument("--long", type=int, default=60, help="seconds of the part about memory")
    parser.add_argument("--doctor", default=str(ROOT / "target/release/gpu-doctor"))
    parser.add_argument("--oha", default="oha")
    parser.add_argument("--wrk", default="wrk")
    options = parser.parse_args()
    options.users = options.users or [1, 10, 50, 100]
    for program in (options.doctor, options.oha, options.wrk):
        if not shutil.which(program):
            sys.exit(f"{program} is missing: `cargo build --release`, `cargo install --locked oha`, `apt-get install wrk`")
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load average {load:.1f} before it began", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in options.part or PARTS:
            PARTS[name](Bench(options, pathlib.Path(folder)))
    if missed:
        sys.exit("missed: " + ", ".join(missed))


if __name__ == "__main__":
    main()
