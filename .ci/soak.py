#!/usr/bin/env python3
"""A long run at most of the rate of a core, beside a collector and a demo shop: does anything grow,
and is each request counted?

A short closed loop measures the rate of a core; the run then sends 80 % of it to an nginx that logs
each trace id, and its client spans to a collector with rotated files. A second run sends 20 requests a
second to a demo shop, whose telemetry goes to the same collector. Every five seconds memory, file
descriptors and threads of each process are looked at. At the end the ids and counts of the ledger, the
timeline and the summary must be those of nginx, and over the second half nothing may grow by more
than is stated.

    .ci/soak.py --loadgen target/release/loadgen --minutes 30

Needs Linux and nginx; some 6 GB of disk for 30 minutes, which are free again at the end.
"""

import argparse
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import recording
from trial import Wrong, call, expect, teller

say = teller("soak")
LOOK_S = 5
# What each figure may grow by in the second half: so much, or this share of its mean. A VU that had
# not been needed before takes a descriptor here, and one in the shop.
MOST = {"memory": (2.0, 0.02), "descriptors": (5, 0.02), "threads": (1, 0)}
SHOP_RATE = 20

NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 4096; }}
http {{
    log_format id '$http_traceparent';
    access_log {folder}/seen.log id buffer=256k flush=1s;
    keepalive_requests 1000000000; keepalive_time 10h;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{ default_type text/plain; return 200 "ok"; }}
    }}
}}
"""

FILE = """version: 1
defaults: {{timeout: 5s}}
flows: {{default: {{steps: [{{path: '{path}'}}]}}}}
scenarios:
  load: {{{executor}}}
"""


class Soak:
    def __init__(self, args, folder):
        self.args, self.folder = args, folder
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
        self.env["LOADGEN_STATE_DIR"] = str(folder / "state")
        self.programs = {}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.seen = folder / "seen.log"
        config = folder / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, port=port))
        # The target has a processor of its own, where there are two.
        self.start("nginx", ["taskset", "-c", "1", "nginx", "-c", config, "-p", folder])
        self.collector = self.ready("collect", "--out", folder / "telemetry", "--grpc", "127.0.0.1:0",
                                    "--http", "127.0.0.1:0", "--max-megabytes", "64", "--max-backups", "4")
        self.otlp = f"http://{self.collector['grpc']}"
        self.shop = self.ready("shop", "--listen", "127.0.0.1:0", "--otlp-endpoint", self.otlp)

    def start(self, name, command, **more):
        process = subprocess.Popen([str(word) for word in command], env=self.env, cwd=self.folder,
                                   stderr=(self.folder / f"{name}.err").open("w"), **more)
        self.programs[name] = process
        return process

    def ready(self, name, *words):
        """Starts a program that says on a line of JSON that it is ready."""
        process = self.start(name, [self.args.loadgen, name, *words], stdout=subprocess.PIPE, text=True)
        return json.loads(process.stdout.readline())

    def run(self, name, executor, url, path="/", pinned=True):
        file = self.folder / f"{name}.yaml"
        file.write_text(FILE.format(executor=executor, path=path))
        command = [self.args.loadgen, "run", file, "--base-url", url, "--out", self.folder / name, "--quiet",
                   "--json", "--otlp-endpoint", self.otlp, "--otlp-protocol", "grpc"]
        return self.start(name, (["taskset", "-c", "0"] if pinned else []) + command,
                          stdout=(self.folder / f"{name}.json").open("w"))

    def result(self, name):
        return json.loads((self.folder / f"{name}.json").read_text())

    def rate_of_a_core(self):
        process = self.run("closed", f"executor: constant-vus, vus: 50, duration: {self.args.measure}s",
                           self.url)
        expect(process.wait() == 0, "the closed loop did not end well")
        of = self.result("closed")["summary"]["scenarios"][0]
        shutil.rmtree(self.folder / "closed")
        return of["requests"] / self.args.measure

    def soak(self, rate):
        seconds = int(self.args.minutes * 60)
        asked = f"executor: constant-arrival-rate, rate: {rate}, duration: {seconds}s, pre_allocated_vus: 300"
        load = self.run("load", asked, self.url)
        beside = self.run("beside", f"executor: constant-arrival-rate, rate: {SHOP_RATE}, "
                          f"duration: {seconds}s, pre_allocated_vus: 40", self.shop["base_url"],
                          path="/api/catalogue/products", pinned=False)
        time.sleep(2)
        watched = {"run": load.pid, "its guard": guard_of(load.pid), "run of the shop": beside.pid,
                   "collector": self.programs["collect"].pid, "shop": self.programs["shop"].pid}
        watched |= {f"shop: {name}": one["pid"] for name, one in self.shop["services"].items()}
        looks = {name: [] for name in watched}
        began = time.monotonic()
        while load.poll() is None:
            at = time.monotonic() - began
            if at < seconds:
                for name, pid in watched.items():
                    looks[name].append((at, *look(pid)))
            time.sleep(LOOK_S)
        codes = (load.wait(), beside.wait())
        expect(codes == (0, 0), f"the runs ended with {codes}: {(self.folder / 'load.err').read_text()}")
        return looks

    def close(self):
        for process in self.programs.values():
            process.terminate()
        for process in self.programs.values():
            process.wait()


def guard_of(pid):
    return int(call("pgrep", "-P", pid, "-f", "guard", quiet=True).split()[0])


def look(pid):
    """Memory in MB, file descriptors, threads."""
    status = dict(line.split(":", 1) for line in
                  pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    return (int(status["VmRSS"].split()[0]) / 1024, len(os.listdir(f"/proc/{pid}/fd")),
            int(status["Threads"]))


def growth(looks, column):
    """What a figure grew by in the second half, by least squares."""
    half = looks[len(looks) // 2:]
    times, values = [one[0] for one in half], [one[column] for one in half]
    slope = statistics.linear_regression(times, values).slope
    return slope * (times[-1] - times[0]), statistics.fmean(values), max(one[column] for one in looks)


def grown(looks):
    """Prints what each process took. Gives what grew."""
    print("| Process | Memory MB, mean and growth in the second half, most | Descriptors | Threads |")
    print("|---|---|---|---|")
    wrong = []
    for name, of in looks.items():
        texts = []
        for column, (what, (least, share)) in enumerate(MOST.items(), 1):
            by, mean, most = growth(of, column)
            allowed = max(least, share * mean)
            texts.append(f"{mean:.1f}, {by:+.2f}, {most:.1f}")
            if by > allowed:
                wrong.append(f"{what} of {name} grew by {by:.2f}")
        print(f"| {name} | {' | '.join(texts)} |")
    return wrong


def counted(trace_ids):
    """How many, and what their sum is: the same for the same ids in any order."""
    count = total = 0
    for trace in trace_ids:
        count += 1
        total += int(trace, 16)
    return count, total % (1 << 128)


def seen_by(log, skipped):
    """Trace ids of requests in nginx's log. Those that are not sampled are looks before a run."""
    with log.open() as lines:
        lines.seek(skipped)
        for line in lines:
            if line.endswith("-01\n"):
                yield line[3:35]


def compare(soak, skipped):
    """Counts of all that say how many requests there were."""
    folder = soak.folder / "load"
    of_target = counted(seen_by(soak.seen, skipped))
    of_ledger = counted(trace for trace, _ in recording.ledger(folder / "ledger.arrows"))
    timeline = [json.loads(line) for line in (folder / "timeline.jsonl").read_text().splitlines()]
    drained = sum(line["sent"] for line in timeline if line["event"] == "window_drained")
    result = soak.result("load")
    of = result["summary"]["scenarios"][0]
    told = of["requests"]
    print(f"target {of_target[0]}, ledger {of_ledger[0]}, timeline {drained}, summary {told} requests; "
          f"{of['dropped_iterations']} iterations dropped, as no VU was free; {of['failed']} failed; "
          f"client spans: {result['client_spans']}")
    wrong = []
    if of_target != of_ledger:
        wrong.append("the ids of the ledger are not those that the target has seen")
    if {of_target[0], drained, told} != {of_ledger[0]}:
        wrong.append("the counts differ")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loadgen", default="target/release/loadgen", type=os.path.abspath)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--share", type=float, default=0.8, help="of the rate of a core")
    parser.add_argument("--measure", type=int, default=10, help="seconds of the closed loop")
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="soak-"))
    soak = Soak(args, folder)
    try:
        of_a_core = soak.rate_of_a_core()
        rate = int(of_a_core * args.share)
        say(f"a core sends {of_a_core:.0f} requests/s; {rate}/s for {args.minutes:g} minutes")
        # Lines are in the log a second after they were made.
        time.sleep(2)
        skipped = soak.seen.stat().st_size
        looks = soak.soak(rate)
        time.sleep(2)
        wrong = grown(looks) + compare(soak, skipped)
        expect(not wrong, "; ".join(wrong))
    except Wrong as reason:
        sys.exit(f"soak: {reason}")
    finally:
        soak.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
