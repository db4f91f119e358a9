#!/usr/bin/env python3
"""Measures the engine and its peers in one go, each on processors of its own.

The target is nginx on processor 1, the generator is on processor 0, one at a time. Sections: the
open model beside a bare loop of `clock_nanosleep`, two workers, throughput beside wrk and k6,
client spans, virtual users with a connection each, a plan of a thousand scenarios, and how long
`loadgen plan` takes. Each figure is the median of the rounds, with the worst one beside it. Prints
tables in Markdown and writes all rounds to `--out`.

    .ci/engine_speed.py --loadgen target/release/loadgen --rounds 3

Needs nginx, wrk and a C compiler (Debian: nginx, wrk, gcc). k6 is taken from the PATH, or from K6,
where there is one. Lag is measured at `nice -5`, for peer and product, which wants root. VUs are
measured in a network of their own with nearly all ports for connections; where the hard limit of
file descriptors can't be raised above 20,000, as many as it allows.
"""

import argparse
import json
import os
import pathlib
import platform
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
GENERATOR, TARGET = "0", "1"
BODY = "x" * 1024
DESCRIPTORS = 65536

NGINX = """
worker_processes {workers}; worker_rlimit_nofile {descriptors}; daemon off; pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 60000; }}
http {{
    access_log off; keepalive_requests 1000000000; client_max_body_size 0;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    client_body_buffer_size 2m;
    server {{
        listen 127.0.0.1:{port} backlog=60000;
        location / {{ default_type text/plain; return 200 "{body}"; }}
        location /slow {{ default_type text/plain; limit_rate 128; return 200 "{body}"; }}
        location /v1/traces {{ default_type application/x-protobuf; return 200 ""; }}
    }}
}}
"""

HEADERS = {
    "x-anomaly-type": "none", "x-anomaly-label": "normal", "x-anomaly-root-cause": "none",
    "x-anomaly-msg": "Normal operation",
}


class Failed(Exception):
    """Something did not do what a figure stands for."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(what, holds):
    for _ in range(200):
        if holds():
            return
        time.sleep(0.05)
    raise Failed(f"{what}: not within 10 s")


def listens(process, port):
    """Whether anybody listens on a port of the network that a process is in."""
    lines = pathlib.Path(f"/proc/{process.pid}/net/tcp").read_text().splitlines()[1:]
    return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in lines)


def network():
    """A network of its own, with nearly all ports for connections, as a process that is in it.

    Linux looks for the port of a connection among one half of the range first, here 14,000, and
    past that through all of them each time.
    """
    setup = ("ip link set lo up && echo '1024 65535' > /proc/sys/net/ipv4/ip_local_port_range"
             " && exec sleep 3600")
    process = subprocess.Popen(["unshare", "--net", "sh", "-c", setup])
    comm = pathlib.Path(f"/proc/{process.pid}/comm")
    until("a network of its own", lambda: comm.read_text().strip() == "sleep")
    return process, ["nsenter", f"--net=/proc/{process.pid}/ns/net"]


def stop(process):
    process.terminate()
    process.wait()


def measure(command, cpus=GENERATOR, nice=None, within=()):
    """Runs a command to its end: what it printed, its processor time, its largest memory."""
    pinned = [*within, "taskset", "-c", cpus] + (["nice", "-n", str(nice)] if nice else [])
    begin = time.monotonic()
    with subprocess.Popen([*pinned, *map(str, command)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        said = []
        reader = threading.Thread(target=lambda: said.append(process.stderr.read()))
        reader.start()
        printed = process.stdout.read()
        reader.join()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{said[0]}{printed}")
    return {"printed": printed, "said": said[0], "cpu_s": used.ru_utime + used.ru_stime,
            "max_rss_mb": used.ru_maxrss / 1024, "seconds": time.monotonic() - begin}


def scenario(executor, path="/", more=""):
    lines = "".join(f"  {name}: {{{how}}}\n" for name, how in executor.items())
    return ("version: 1\ndefaults: {timeout: 60s, graceful_stop: 30s}\n" + more
            + f"flows: {{default: {{steps: [{{path: '{path}'}}]}}}}\nscenarios:\n{lines}")


class Bench:
    def __init__(self, args, folder):
        self.args, self.folder = args, folder
        self.loadgen = pathlib.Path(args.loadgen).resolve()
        self.rounds = {}
        self.count = 0

    def run(self, text, port, *more, **how):
        """A run of loadgen: its summary, and what the process used."""
        self.count += 1
        file, out = self.folder / f"{self.count}.yaml", self.folder / f"run-{self.count}"
        file.write_text(text)
        command = [self.loadgen, "run", file, "--base-url", f"http://127.0.0.1:{port}", "--out", out,
                   "--quiet", "--no-extract", "--no-preflight", *more]
        used = measure(command, **how)
        summary = json.loads((out / "summary.json").read_text())
        beats = [json.loads(line) for line in (out / "timeline.jsonl").read_text().splitlines()]
        failed = sum(s["failed"] for s in summary["scenarios"])
        if failed:
            raise Failed(f"{failed} requests failed: {[s['failures'] for s in summary['scenarios']][:3]}")
        shutil.rmtree(out)
        return summary, beats, used

    def nginx(self, workers=1, cpus=TARGET, within=()):
        port = free_port()
        config = self.folder / f"nginx-{port}.conf"
        config.write_text(NGINX.format(workers=workers, folder=self.folder, port=port, body=BODY,
                                       descriptors=resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        command = [*within, "taskset", "-c", cpus, "nginx", "-p", self.folder, "-c", config]
        process = subprocess.Popen([str(part) for part in command])
        until("nginx listens", lambda: listens(process, port))
        return process, port

    def keep(self, section, name, **figures):
        self.rounds.setdefault(section, {}).setdefault(name, []).append(figures)
        print(f"  {section}: {name}: {figures}", file=sys.stderr, flush=True)

    def table(self, section, columns):
        """Median and worst of each figure. The worst is the largest but for rates."""
        print(f"\n### {section}\n\n| | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
        for name, rounds in self.rounds.get(section, {}).items():
            cells = []
            for column in columns:
                values = [r[column] for r in rounds if r.get(column) is not None]
                worst = min if "requests" in column else max
                cells.append(f"{shown(statistics.median(values))} ({shown(worst(values))})" if values else "-")
            print(f"| {name} | {' | '.join(cells)} |")
        sys.stdout.flush()

    # The sections.

    def open_model(self, rate=10_000, seconds=60):
        section = f"Open loop, {rate:,}/s on one processor, {seconds} s"
        process, port = self.nginx()
        text = scenario({"load": f"executor: constant-arrival-rate, rate: {rate}, time_unit: 1s, "
                         f"duration: {seconds}s, pre_allocated_vus: 500, max_vus: 5000"})
        program = self.folder / "nanosleep_loop"
        source = pathlib.Path(__file__).with_suffix("") / "nanosleep_loop.c"
        subprocess.run(["cc", "-O2", "-o", program, source], check=True)
        loop = [program, rate, seconds]
        try:
            for _ in range(self.args.rounds):
                for name, command in (("clock_nanosleep", loop), ("clock_nanosleep, slack 1 ns", loop + [1])):
                    lag = json.loads(measure(command, nice=-5)["printed"])
                    self.keep(section, name, **{f"lag {q}": lag[q] for q in lag})
                summary, _, used = self.run(text, port, "--no-client-spans", nice=-5)
                self.keep(section, "loadgen", **lag_of(summary), dropped=dropped(summary),
                          cpu_us=used["cpu_s"] / requests(summary) * 1e6)
        finally:
            stop(process)
        self.table(section, ["lag p50_us", "lag p99_us", "lag p999_us", "lag max_us", "dropped", "cpu_us"])

    def two_workers(self, rate=30_000, seconds=30):
        section = f"Open loop, {rate:,}/s with --workers 2, {seconds} s"
        process, port = self.nginx(workers=2, cpus="0,1")
        text = scenario({"load": f"executor: constant-arrival-rate, rate: {rate}, time_unit: 1s, "
                         f"duration: {seconds}s, pre_allocated_vus: 2000, max_vus: 10000"})
        try:
            for _ in range(self.args.rounds):
                summary, _, used = self.run(text, port, "--no-client-spans", "--workers", 2, cpus="0,1", nice=-5)
                self.keep(section, "loadgen", **lag_of(summary), dropped=dropped(summary),
                          requests_per_s=summary["scenarios"][0]["requests_per_s"],
                          cpu_us=used["cpu_s"] / requests(summary) * 1e6)
        finally:
            stop(process)
        self.table(section, ["requests_per_s", "dropped", "lag p50_us", "lag p99_us", "lag max_us", "cpu_us"])

    def closed_loop(self, seconds=10):
        """Throughput of one processor, and what client spans take of it."""
        section = "Closed loop, 50 connections, four headers, 1 KB answers, one processor"
        process, port = self.nginx()
        text = scenario({"load": f"executor: constant-vus, vus: 50, duration: {seconds}s"})
        wrk = ["wrk", "-t1", "-c50", f"-d{seconds}s"]
        for name, value in HEADERS.items():
            wrk += ["-H", f"{name}: {value}"]
        script = self.folder / "bare.js"
        script.write_text(
            "import http from 'k6/http';\n"
            f"export const options = {{vus: 50, duration: '{seconds}s', discardResponseBodies: true}};\n"
            f"const params = {{headers: {json.dumps(HEADERS)}}};\n"
            f"export default function () {{ http.get('http://127.0.0.1:{port}/', params); }}\n"
            "export function handleSummary(data) {"
            " return {stdout: String(data.metrics.http_reqs.values.count)}; }\n")
        k6 = os.environ.get("K6") or shutil.which("k6")
        otlp = ["--otlp-endpoint", f"http://127.0.0.1:{port}", "--otlp-protocol", "http/protobuf"]
        try:
            for _ in range(self.args.rounds):
                used = measure([*wrk, f"http://127.0.0.1:{port}/"])
                count = next(int(line.split()[0]) for line in used["printed"].splitlines() if "requests in" in line)
                self.keep(section, "wrk, no labels, no histogram by request", **rate_of(count, used, seconds))
                if k6:
                    used = measure([k6, "run", "--quiet", "--no-usage-report", script])
                    self.keep(section, "k6, bare script", **rate_of(int(used["printed"].split()[-1]), used, seconds))
                for name, more in (("loadgen, without client spans", ["--no-client-spans"]),
                                   ("loadgen, with client spans", otlp)):
                    summary, _, used = self.run(text, port, *more)
                    if "warning" in used["printed"]:
                        raise Failed(used["printed"])
                    self.keep(section, name, **rate_of(requests(summary), used, seconds))
        finally:
            stop(process)
        self.table(section, ["requests_per_s", "requests_per_cpu_s", "max_rss_mb"])

    def vus(self, many=20_000, few=100):
        # Each answer takes seven seconds, so that all virtual users wait at the same time.
        many = min(many, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 100)
        section = f"{many:,} VUs that wait for an answer, with a connection each"
        holder, within = network()
        process, port = self.nginx(within=within)
        try:
            for _ in range(self.args.rounds):
                used = {}
                for vus in (few, many):
                    text = scenario({"load": f"executor: per-vu-iterations, vus: {vus}, iterations: 1, "
                                     "max_duration: 60s"}, path="/slow")
                    summary, beats, used[vus] = self.run(text, port, "--no-client-spans", within=within)
                    if requests(summary) != vus:
                        raise Failed(f"{requests(summary)} requests of {vus} VUs")
                zero = next(line["at_ns"] for line in beats if line["event"] == "window_opened")
                sent = [(line["at_ns"] - zero, line["sent"]) for line in beats if line["event"] == "heartbeat"]
                started = next(at for at, count in sent if count == many) / 1e9
                took = (used[many]["max_rss_mb"] - used[few]["max_rss_mb"]) * 1024 / (many - few)
                self.keep(section, "loadgen", kb_a_vu=took, all_sent_by_s=started,
                          max_rss_mb=used[many]["max_rss_mb"])
        finally:
            stop(process)
            stop(holder)
        self.table(section, ["kb_a_vu", "all_sent_by_s", "max_rss_mb"])

    def thousand_scenarios(self):
        section = "1,000,000 iterations in a plan of 1,000 scenarios"
        process, port = self.nginx()
        one = ("executor: constant-arrival-rate, rate: 10000, time_unit: 1s, duration: 100ms, "
               "pre_allocated_vus: 1000, max_vus: 5000")
        text = scenario({f"s{n:03}": one for n in range(1000)})
        try:
            summary, _, used = self.run(text, port, "--no-client-spans")
            self.keep(section, "loadgen", iterations=sum(s["iterations"] for s in summary["scenarios"]),
                      dropped=dropped(summary), max_rss_mb=used["max_rss_mb"], cpu_s=used["cpu_s"])
        finally:
            stop(process)
        self.table(section, ["iterations", "dropped", "max_rss_mb", "cpu_s"])

    def plan(self):
        section = "loadgen plan scenarios/default.yaml, in ms"
        command = [self.loadgen, "plan", ROOT / "scenarios" / "default.yaml"]
        for _ in range(max(20, self.args.rounds)):
            used = measure(command)
            self.keep(section, "file cached", wall_ms=used["seconds"] * 1e3, cpu_ms=used["cpu_s"] * 1e3)
            forget(self.loadgen)
            used = measure(command)
            self.keep(section, "file not cached", wall_ms=used["seconds"] * 1e3, cpu_ms=used["cpu_s"] * 1e3)
        self.table(section, ["wall_ms", "cpu_ms"])


def shown(value):
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def forget(file):
    """Has the system drop a file from its cache."""
    with open(file, "rb") as f:
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def rate_of(count, used, seconds):
    return {"requests_per_s": count / seconds, "requests_per_cpu_s": count / used["cpu_s"],
            "max_rss_mb": used["max_rss_mb"]}


def lag_of(summary):
    lag = summary["scenarios"][0]["scheduling_lag"]
    return {f"lag {q}_us": lag[f"{q}_ms"] * 1e3 for q in ("p50", "p99", "p999", "max")}


def requests(summary):
    return sum(s["requests"] for s in summary["scenarios"])


def dropped(summary):
    return sum(s["dropped_iterations"] for s in summary["scenarios"])


SECTIONS = {"open": Bench.open_model, "workers": Bench.two_workers, "closed": Bench.closed_loop,
            "vus": Bench.vus, "scenarios": Bench.thousand_scenarios, "plan": Bench.plan}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loadgen", default=ROOT / "target/release/loadgen")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=SECTIONS, nargs="+", default=list(SECTIONS))
    parser.add_argument("--out", type=pathlib.Path, help="all rounds, as JSON")
    args = parser.parse_args()
    missing = [name for name in ("nginx", "wrk", "cc", "taskset") if not shutil.which(name)]
    if missing:
        sys.exit(f"needs {', '.join(missing)}")
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    except (ValueError, OSError):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")
    print(f"{model}, {os.cpu_count()} processors, Linux {platform.release()}; median (worst) of {args.rounds}")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(args, pathlib.Path(folder))
        try:
            for name in args.only:
                SECTIONS[name](bench)
        finally:
            if args.out:
                args.out.write_text(json.dumps(bench.rounds, indent=1))


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        sys.exit(str(failed))
