#!/usr/bin/env python3
"""The whole pipeline with real parts: demo shop, nginx, Collector with the files of deploy/collector,
Prometheus, and a scenario with faults by three drivers (pipeline.yaml).

1. The shipped files are valid, alone and together.
2. Every spelling of a header ends up in the attribute that the extractor reads, and a span without
   one gets none.
3. The receivers of databases that the machine has (MariaDB, Redis) work with the shipped grants.
4. A run without a disturbance: all windows `supported` or `clean`, no error in the audit.
   Prometheus answers by anomaly type, and every query of the dashboard has an answer.
5. A run in which the Collector is killed and started again: the audit names the gap, the windows
   beside it are `supported`, and what waits for Jaeger on disk is not lost.

    .ci/pipeline.py --loadgen target/debug/loadgen [--collector PATH] [--jaeger PATH] [--keep DIR]

Without a Jaeger, `loadgen collect` takes OTLP in its place; with one (`just jaeger`), its API also
shows the spans' tags.

Ends with 0 where all holds, or where nginx, Prometheus or Go can't be had (it then says so), and
with 1 and what is wrong otherwise.
"""

import argparse
import csv
import hashlib
import json
import math
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
FILES = ROOT / "deploy/collector"
SOURCES = ROOT / "crates/collector/tests/otelcol"
TYPES = {"slow_query", "slow_network", "stopped_process"}
CALLS = "traces_span_metrics_calls_total"


class Wrong(Exception):
    """What does not hold, in words."""


class Skipped(Exception):
    """What this machine does not have."""


def say(text):
    print(f"pipeline: {text}", file=sys.stderr, flush=True)


def expect(holds, otherwise):
    if not holds:
        raise Wrong(otherwise)


def call(url, body=None, timeout=5):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} if data else {}
    request = urllib.request.Request(url, data=data, headers=headers)
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return answer.read().decode()


def until(what, holds, seconds=30):
    end = time.monotonic() + seconds
    while True:
        try:
            if found := holds():
                return found
        except (OSError, urllib.error.URLError, ValueError):
            pass
        if time.monotonic() > end:
            raise Wrong(f"{what}: not within {seconds} s")
        time.sleep(0.1)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


# What there is of programs.

def find_packages():
    missing = [name for name in ("nginx", "prometheus") if not shutil.which(name)]
    if missing and shutil.which("apt-get"):
        subprocess.run(["apt-get", "-o", "DPkg::Lock::Timeout=120", "install", "-y", "-qq",
                        "--no-install-recommends", *missing],
                       capture_output=True, timeout=600, check=False)
    for name in missing:
        if not shutil.which(name):
            raise Skipped(f"no {name}")
    # Without these the receivers of databases are not tried, which is told.
    databases = {"mariadbd": "mariadb-server", "redis-server": "redis-server"}
    absent = [package for program, package in databases.items() if not shutil.which(program)]
    if absent and shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *absent],
                       capture_output=True, timeout=600, check=False,
                       env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def find_collector(given):
    """The Collector: the one that is named, or one that is built once for each state of its sources."""
    if given:
        return given
    if not shutil.which("go"):
        raise Skipped("no Collector, and no Go to build one")
    cache = pathlib.Path(os.environ.get("LOADGEN_CI_CACHE", pathlib.Path.home() / ".cache/loadgen-ci"))
    sources = b"".join((SOURCES / name).read_bytes() for name in ("main.go", "go.mod", "go.sum"))
    built = cache / f"otelcol-{hashlib.sha256(sources).hexdigest()[:12]}"
    if not built.exists():
        say("building the Collector")
        cache.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["go", "build", "-o", built, "."], cwd=SOURCES,
                              capture_output=True, text=True, check=False)
        expect(done.returncode == 0, f"the Collector can't be built: {done.stderr[-800:]}")
    return built


class Program:
    """A process with a log; `ready` is the line of JSON with which loadgen's say that they are."""

    def __init__(self, name, command, folder, env=None, has_ready_line=False):
        self.name, self.log = name, folder / f"{name}.log"
        self.process = subprocess.Popen(
            [str(part) for part in command], cwd=folder, env={**os.environ, **(env or {})},
            stdin=subprocess.PIPE, stderr=open(self.log, "ab"), text=True,
            stdout=subprocess.PIPE if has_ready_line else open(self.log, "ab"))
        self.ready = None
        if has_ready_line:
            line = self.process.stdout.readline()
            expect(line, f"{name} does not start: {self.tail()}")
            self.ready = json.loads(line)

    def tail(self):
        return self.log.read_text(errors="replace")[-1500:]

    def stop(self, signal_number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


# The Collector.

class Collector:
    """The Collector with the shipped files; only addresses and folders are given."""

    def __init__(self, binary, folder, names, more=None):
        self.binary, self.folder, self.names = binary, folder, names
        grpc, http, prometheus, health, own = free_ports(5)
        self.grpc, self.http = f"127.0.0.1:{grpc}", f"127.0.0.1:{http}"
        self.prometheus, self.health = f"127.0.0.1:{prometheus}", f"127.0.0.1:{health}"
        self.own = f"127.0.0.1:{own}"
        self.telemetry = folder / "telemetry"
        self.env = {
            "OTLP_GRPC_ADDRESS": self.grpc, "OTLP_HTTP_ADDRESS": self.http,
            "PROMETHEUS_ADDRESS": self.prometheus, "HEALTH_ADDRESS": self.health,
            "COLLECTOR_METRICS_HOST": "127.0.0.1", "COLLECTOR_METRICS_PORT": str(own),
            "TELEMETRY_DIR": str(self.telemetry), "QUEUE_DIR": str(folder / "queue"), **(more or {}),
        }
        self.program = None

    def start(self):
        configs = [part for name in self.names for part in ("--config", FILES / name)]
        self.program = Program("otelcol", [self.binary, *configs], self.folder, self.env)
        until(f"the Collector is ready ({self.program.log})",
              lambda: call(f"http://{self.health}/"), 60)

    def kill(self):
        self.program.process.kill()
        self.program.process.wait()

    def stop(self):
        if self.program:
            self.program.stop()


def validate(binary):
    """Each file is valid beside the base, and all of them together."""
    parts = sorted(path.name for path in FILES.glob("*.yaml")
                   if path.name not in ("collector.yaml", "prometheus.yaml", "kustomization.yaml"))
    for names in [[], *([part] for part in parts), parts]:
        configs = [f"--config={FILES / name}" for name in ["collector.yaml", *names]]
        # There is no service account outside of a cluster.
        done = subprocess.run([binary, "validate", *configs], env={**os.environ, "KUBELET_AUTH": "none"},
                              capture_output=True, text=True, check=False)
        expect(done.returncode == 0, f"collector.yaml with {names} is not valid: {done.stderr[-800:]}")
    say(f"valid: collector.yaml, beside each of {', '.join(parts)}, and all together")


# Spellings.

def text(value):
    return {"stringValue": value}


def listed(*values):
    return {"arrayValue": {"values": list(values)}}


HEADER = "http.request.header."
# What a span has, and the anomaly.type that must come out; None: no such attribute.
SPELLINGS = {
    "dashes, list": ({HEADER + "x-anomaly-type": listed(text("a"))}, "a"),
    "dashes, string": ({HEADER + "x-anomaly-type": text("a")}, "a"),
    "underscores, list": ({HEADER + "x_anomaly_type": listed(text("a"))}, "a"),
    "underscores, string": ({HEADER + "x_anomaly_type": text("a")}, "a"),
    "two headers": ({HEADER + "x-anomaly-type": listed(text("a"), text("b"))}, "a"),
    "baggage": ({"anomaly.type": text("a")}, "a"),
    "baggage with a prefix": ({"baggage.anomaly.type": text("a")}, "a"),
    "baggage before the header": ({"anomaly.type": text("a"), HEADER + "x-anomaly-type": text("b")}, "a"),
    "sent as none": ({HEADER + "x-anomaly-type": listed(text("none"))}, "none"),
    "nothing": ({"http.route": text("/")}, None),
    "empty, as nginx writes it": ({HEADER + "x-anomaly-type": text("")}, None),
    "empty in a list": ({HEADER + "x-anomaly-type": listed(text(""))}, None),
    "empty list": ({HEADER + "x-anomaly-type": listed()}, None),
    "empty, and underscores": ({HEADER + "x-anomaly-type": text(""), HEADER + "x_anomaly_type": text("a")}, "a"),
    "a number": ({HEADER + "x-anomaly-type": {"intValue": "7"}}, None),
}
OTHER_FIELDS = {
    "anomaly.label": (HEADER + "x-anomaly-label", "anomalous"),
    "anomaly.root_cause": (HEADER + "x_anomaly_root_cause", "pool"),
    "anomaly.msg": (HEADER + "x-anomaly-msg", "It is slow"),
}


def span(number, name, attributes):
    now = time.time_ns()
    return {
        "traceId": f"{number + 1:032x}", "spanId": f"{number + 1:016x}", "name": name, "kind": 2,
        "startTimeUnixNano": str(now - 10**6), "endTimeUnixNano": str(now),
        "attributes": [{"key": key, "value": value} for key, value in attributes.items()],
    }


def stored_spans(folder):
    """All spans of the files of a Collector, with their attributes as they stand there."""
    for path in sorted(folder.glob("traces*.jsonl")):
        for line in path.read_bytes().split(b"\n"):
            try:
                message = json.loads(line or b"{}")
            except ValueError:  # Torn by a kill.
                continue
            for resource in message.get("resourceSpans", []):
                for scope in resource["scopeSpans"]:
                    yield from scope["spans"]


def attributes_of(one):
    return {each["key"]: each["value"] for each in one.get("attributes", [])}


def spellings(binary, folder):
    spans = [span(n, name, given) for n, (name, (given, _)) in enumerate(SPELLINGS.items())]
    others = {header: listed(text(value)) for header, value in OTHER_FIELDS.values()}
    spans.append(span(len(spans), "other fields", others))
    service = {"key": "service.name", "value": text("spelled")}
    body = {"resourceSpans": [{"resource": {"attributes": [service]}, "scopeSpans": [{"spans": spans}]}]}
    collector = Collector(binary, folder, ["collector.yaml"])
    collector.start()
    try:
        call(f"http://{collector.http}/v1/traces", body)
        until("the spans are in the file", lambda: len(list(stored_spans(collector.telemetry))) == len(spans))
        has = until("span_metrics has the spans", lambda: metrics_of(collector))
    finally:
        collector.stop()
    found = {one["name"]: attributes_of(one) for one in stored_spans(collector.telemetry)}
    for name, (given, wanted) in SPELLINGS.items():
        expect(found[name].get("anomaly.type") == (wanted and text(wanted)),
               f"spelling `{name}`: {found[name].get('anomaly.type')}, and not {wanted}")
        expect(given.keys() <= found[name].keys(), f"`{name}` has lost an attribute")
    for key, (_, value) in OTHER_FIELDS.items():
        expect(found["other fields"].get(key) == text(value), f"{key}: {found['other fields'].get(key)}")
    for name, (_, wanted) in SPELLINGS.items():
        expect(has[name] == wanted, f"span_metrics has anomaly_type {has[name]} for `{name}`, not {wanted}")
    say(f"{len(SPELLINGS)} spellings are mapped, and where nothing is said nothing is filled in")


def metrics_of(collector):
    """anomaly_type by span name, as span_metrics exports it; None while there is nothing yet."""
    lines = call(f"http://{collector.prometheus}/metrics").splitlines()
    calls = [dict(re.findall(r'(\w+)="([^"]*)"', line)) for line in lines if line.startswith(CALLS)]
    found = {labels["span_name"]: labels.get("anomaly_type") for labels in calls}
    return found if len(found) > len(SPELLINGS) else None


# Databases, where the machine has them.

def mariadb(folder):
    """A MariaDB with the user of the shipped grants: the variables of mysql.yaml."""
    if not all(map(shutil.which, ("mariadb-install-db", "mariadbd", "mariadb"))):
        return None
    data, sock, [port] = folder / "data", folder / "socket", free_ports(1)
    data.mkdir(parents=True)
    user = "mysql" if os.geteuid() == 0 else os.environ["USER"]
    for owned in (folder, data):
        shutil.chown(owned, user)
    subprocess.run(["mariadb-install-db", "--no-defaults", f"--datadir={data}", f"--user={user}",
                    "--skip-test-db", "--auth-root-authentication-method=normal"],
                   capture_output=True, check=True)
    server = Program("mariadb", [
        "mariadbd", "--no-defaults", f"--datadir={data}", f"--user={user}", f"--port={port}",
        f"--socket={sock}", "--bind-address=127.0.0.1", f"--pid-file={data}/pid",
        "--performance-schema=ON"], folder)
    client = ["mariadb", "--no-defaults", f"--socket={sock}", "-u", "root"]
    until("MariaDB", lambda: not subprocess.run([*client, "-e", "SELECT 1"], capture_output=True,
                                                check=False).returncode, 60)
    for name in ("mysql-grants.sql", "mariadb-grants.sql"):
        done = subprocess.run(client, input=(FILES / name).read_bytes(), capture_output=True, check=False)
        expect(done.returncode == 0, f"{name}: {done.stderr.decode()}")
    return server, {"MYSQL_ADDRESS": f"127.0.0.1:{port}"}


def redis(folder):
    """A Redis: the variables of redis.yaml."""
    if not shutil.which("redis-server"):
        return None
    folder.mkdir()
    [port] = free_ports(1)
    server = Program("redis", ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", ""], folder)
    return server, {"REDIS_ADDRESS": f"127.0.0.1:{port}"}


def databases(binary, folder):
    """The receivers of databases that are there send metrics under a service's name, and no error."""
    servers, variables = {}, {"RECEIVER_INTERVAL": "1s"}
    collector = None
    try:
        for name, start in {"mysql": mariadb, "redis": redis}.items():
            if started := start(folder / name):
                servers[name] = started[0]
                variables.update(started[1])
        if not servers:
            say("receivers of databases: skipped, as there is no MariaDB and no Redis")
            return
        collector = Collector(binary, folder, ["collector.yaml", *(f"{name}.yaml" for name in servers)],
                              variables)
        collector.start()
        until(f"metrics of {', '.join(servers)}", lambda: set(servers) <= metric_services(collector))
        complaints = re.findall(r".*\t(?:error|warn)\t.*", collector.program.log.read_text())
    finally:
        if collector:
            collector.stop()
        for server in servers.values():
            server.stop()
    expect(not complaints, f"the Collector complains of its databases: {complaints[:3]}")
    absent = sorted({"mysql", "redis"} - set(servers))
    say(f"receivers of {', '.join(servers) or 'no database'} work"
        + (f"; skipped, as there is no server: {', '.join(absent)}" if absent else ""))


def metric_services(collector):
    names = set()
    for line in (collector.telemetry / "metrics.jsonl").read_text().splitlines():
        for resource in json.loads(line)["resourceMetrics"]:
            attributes = attributes_of(resource["resource"])
            names.add(attributes.get("service.name", {}).get("stringValue"))
    return names


# The system.

NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    {temporary}
    upstream edge {{ server {upstream}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port};
        location = /nginx_status {{ stub_status; }}
        location / {{
            proxy_pass http://edge;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
        }}
    }}
}}
"""


class System:
    """Shop ← proxy ← nginx, a Collector that the shop exports to, and Prometheus."""

    def __init__(self, binary, loadgen, jaeger, folder):
        self.loadgen, self.real_jaeger, self.folder = loadgen, jaeger, folder
        self.nginx_port, self.prometheus_port, jaeger, query, query_grpc = free_ports(5)
        self.jaeger = f"127.0.0.1:{jaeger}"
        self.jaeger_query, self.jaeger_query_grpc = f"127.0.0.1:{query}", f"127.0.0.1:{query_grpc}"
        self.collector = Collector(
            binary, folder, ["collector.yaml", "jaeger.yaml", "host.yaml", "nginx.yaml"],
            {"JAEGER_ADDRESS": self.jaeger, "RECEIVER_INTERVAL": "1s",
             "NGINX_STATUS_URL": f"http://127.0.0.1:{self.nginx_port}/nginx_status"})
        self.programs, self.kills = [], []

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for program in reversed(self.programs):
            program.stop()
        self.collector.stop()

    def run(self, *args, **more):
        self.programs.append(Program(*args, **more))
        return self.programs[-1]

    def start(self):
        self.collector.start()
        shop = self.run("shop", [self.loadgen, "shop", "--listen", "127.0.0.1:0", "--otlp-endpoint",
                                 f"http://{self.collector.grpc}"], self.folder, has_ready_line=True)
        self.admin_url = shop.ready["admin_url"].rstrip("/")
        self.shipping = shop.ready["services"]["shipping"]["pid"]
        upstream = urllib.parse.urlparse(shop.ready["base_url"]).netloc
        proxy = self.run("proxy", [self.loadgen, "proxy", "--listen", "127.0.0.1:0"], self.folder,
                         has_ready_line=True)
        self.proxy_url = proxy.ready["api_url"]
        edge = call(f"{self.proxy_url}/proxies", {"name": "edge", "listen": "127.0.0.1:0",
                                                  "upstream": upstream, "enabled": True})
        self.start_nginx(json.loads(edge)["listen"])
        self.start_prometheus()

    def start_nginx(self, upstream):
        paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        temporary = " ".join(f"{path}_temp_path {self.folder}/{path};" for path in paths)
        config = self.folder / "nginx.conf"
        config.write_text(NGINX.format(folder=self.folder, temporary=temporary, upstream=upstream,
                                       port=self.nginx_port))
        self.base_url = f"http://127.0.0.1:{self.nginx_port}"
        nginx = self.run("nginx", ["nginx", "-p", self.folder, "-c", config], self.folder)
        until(f"nginx answers ({nginx.log})", lambda: call(f"{self.base_url}/api/catalogue/categories"))

    def start_prometheus(self):
        """With the shipped file, but for addresses, and more frequent scrapes, as the run is short."""
        shipped = (FILES / "prometheus.yaml").read_text()
        config = (shipped.replace("otel-collector:8889", self.collector.prometheus)
                  .replace("otel-collector:8888", self.collector.own)
                  .replace("scrape_interval: 5s", "scrape_interval: 1s"))
        expect("otel-collector" not in config, "prometheus.yaml has an address that is not known here")
        (self.folder / "prometheus.yaml").write_text(config)
        self.prometheus = f"http://127.0.0.1:{self.prometheus_port}"
        prometheus = self.run("prometheus", [
            "prometheus", f"--config.file={self.folder}/prometheus.yaml",
            f"--storage.tsdb.path={self.folder}/prometheus",
            f"--web.listen-address=127.0.0.1:{self.prometheus_port}"], self.folder)
        until(f"Prometheus is ready ({prometheus.log})", lambda: call(f"{self.prometheus}/-/ready"))

    def start_jaeger(self):
        """Jaeger, or what takes spans in its place, the first time that it is asked for."""
        if any(program.name == "jaeger" for program in self.programs):
            return
        if not self.real_jaeger:
            self.run("jaeger", [self.loadgen, "collect", "--output", self.folder / "jaeger", "--grpc",
                                self.jaeger, "--http", "127.0.0.1:0"], self.folder, has_ready_line=True)
            return
        jaeger = self.run("jaeger", [self.real_jaeger, "--config", ROOT / ".ci/jaeger/jaeger.yaml"],
                          self.folder, {"JAEGER_OTLP": self.jaeger, "JAEGER_QUERY_HTTP": self.jaeger_query,
                                        "JAEGER_QUERY_GRPC": self.jaeger_query_grpc})
        until(f"Jaeger answers ({jaeger.log})", lambda: self.ask_jaeger("services") is not None)

    def ask_jaeger(self, path, **parameters):
        """An answer of Jaeger's API, as its page asks for it."""
        url = f"http://{self.jaeger_query}/api/{path}?{urllib.parse.urlencode(parameters)}"
        return json.loads(call(url, timeout=60))["data"]

    def in_jaeger(self):
        """The ids of the spans that are in Jaeger, or in what is in its place."""
        if not self.real_jaeger:
            return {one["spanId"] for one in stored_spans(self.folder / "jaeger")}
        return {one["spanID"] for service in self.ask_jaeger("services")
                for trace in self.ask_jaeger("traces", service=service, limit=200_000, lookback="1h")
                for one in trace["spans"]}

    def ask(self, path, **parameters):
        """An answer of Prometheus."""
        url = f"{self.prometheus}/api/v1/{path}?{urllib.parse.urlencode(parameters, doseq=True)}"
        try:
            return json.loads(call(url))["data"]
        except urllib.error.HTTPError as error:
            raise Wrong(f"Prometheus: {json.loads(error.read())['error']} ({parameters})") from None

    def scenario(self):
        """pipeline.yaml with this system's addresses."""
        shipped = (ROOT / ".ci/pipeline.yaml").read_text()
        file = self.folder / "pipeline.yaml"
        file.write_text(shipped.replace("http://127.0.0.1:18474", self.proxy_url)
                        .replace("http://127.0.0.1:18081", self.admin_url))
        (self.folder / "shipping.pid").write_text(f"{self.shipping}\n")
        return file

    def start_run(self, name):
        run = self.folder / f"{name}-{time.time_ns()}"
        command = [self.loadgen, "run", self.scenario(), "--base-url", self.base_url, "--out", run,
                   "--telemetry", self.collector.telemetry, "--quiet", "--otlp-protocol", "grpc",
                   "--otlp-endpoint", f"http://{self.collector.grpc}"]
        return run, Program(name, command, self.folder, {"LOADGEN_STATE_DIR": str(self.folder / "state")})


# What a run left.

def timeline(run):
    try:
        lines = (run / "timeline.jsonl").read_text().split("\n")
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines[:-1]]  # The last is empty, or being written.


def windows_of(run):
    [path] = (run / "dataset").glob("windows_2*.csv")
    with open(path, newline="") as file:
        return {row["scenario"]: row for row in csv.DictReader(file)}


def audit_of(run):
    [path] = (run / "dataset").glob("audit_*.json")
    audit = json.loads(path.read_text())
    return {check["id"]: check for check in audit["audit"]["checks"]}


def check_verdicts(windows, but=()):
    """Raises what is wrong; answers normal windows that something else on this machine disturbed."""
    disturbed = []
    for name, row in windows.items():
        wanted = "supported" if name in TYPES else "clean"
        if name in ("warm_up", *but) or row["verdict"] == wanted:
            continue
        expect(row["verdict"] == "disturbed", f"window {name} is `{row['verdict']}`, and not `{wanted}`")
        disturbed.append(name)
    return disturbed


def quietly(what, attempt):
    """Once more where something else on the machine disturbed a normal window."""
    for last in (False, True):
        disturbed, result = attempt()
        if not disturbed:
            return result
        expect(not last, f"{what}: {', '.join(disturbed)} disturbed, twice: is the machine busy?")
        say(f"{what}: {', '.join(disturbed)} disturbed by other work on the machine; once more")


def told(audit, levels=("error",)):
    return [f"{name}: {check['figure']} {check.get('details', '')}"
            for name, check in audit.items() if check["level"] in levels]


def wait_for(program, seconds=300):
    try:
        return program.process.wait(seconds)
    except subprocess.TimeoutExpired:
        program.stop(signal.SIGINT)
        raise Wrong(f"{program.name} takes longer than {seconds} s: {program.tail()}") from None


def undisturbed(system):
    began = time.time()
    run, program = system.start_run("undisturbed")
    code = wait_for(program)
    expect(code == 0, f"the undisturbed run ended with {code}: {program.tail()}")
    if disturbed := check_verdicts(windows_of(run)):
        return disturbed, None
    audit = audit_of(run)
    expect(not told(audit), f"errors in the audit: {told(audit)}")
    say(f"undisturbed: all windows supported or clean; warnings: {told(audit, ('warning',)) or 'none'}")
    until("Prometheus knows each anomaly type", lambda: TYPES | {"none"} <= types_in(system), 15)
    return [], (began, time.time(), run)


def types_in(system):
    answer = system.ask("query", query=f'sum by (anomaly_type) ({CALLS}{{span_kind="SPAN_KIND_SERVER"}})')
    return {one["metric"].get("anomaly_type", "") for one in answer["result"]}


# The dashboard.

def queries(dashboard):
    """What the dashboard asks: (where, query)."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield f"panel `{panel['title']}`, {target['refId']}", target["expr"]
    for annotation in dashboard["annotations"]["list"]:
        if "expr" in annotation:
            yield f"annotation `{annotation['name']}`", annotation["expr"]


def filled(query, seconds):
    """The query as Grafana would send it, with all of every variable."""
    values = {"$__rate_interval": "10s", "$__range": f"{seconds}s", "$service": ".+", "$anomaly_type": ".+"}
    for name, value in values.items():
        query = query.replace(name, value)
    expect("$" not in query, f"a variable that is not known here: {query}")
    return query


def dashboard(system, began, ended):
    files = sorted((ROOT / "deploy/grafana").glob("*.json"))
    asked = 0
    for path in files:
        content = json.loads(path.read_text())
        for where, query in queries(content):
            expr = filled(query, int(ended - began))
            answer = system.ask("query_range", query=expr, start=began, end=ended, step=5)
            values = [float(value) for one in answer["result"] for _, value in one["values"]]
            expect(any(math.isfinite(value) for value in values), f"{path.name}: {where} has no answer: {expr}")
            asked += 1
        for variable in content["templating"]["list"]:
            if variable["type"] == "query":
                metric, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()
                expect(system.ask(f"label/{label}/values", **{"match[]": metric}),
                       f"{path.name}: no value for the variable {variable['name']}")
                asked += 1
    expect(asked, "no dashboard has a query")
    say(f"{asked} queries of {len(files)} dashboards have an answer of Prometheus")


def annotations(run):
    """annotate.py makes a region of each window and of each fault of the timeline."""
    done = subprocess.run([sys.executable, ROOT / "deploy/grafana/annotate.py", "--print", run],
                          capture_output=True, text=True, check=False)
    expect(done.returncode == 0, f"annotate.py: {done.stderr}")
    regions = [json.loads(line) for line in done.stdout.splitlines()]
    faults = {tag for one in regions if "fault" in one["tags"] for tag in one["tags"]}
    expect(TYPES <= faults, f"annotate.py has no region of {TYPES - faults}")
    expect(all(one["time"] < one["timeEnd"] for one in regions), "a region ends before it begins")


# The Collector is killed.

DOWN_S = 4


def opened(run, window):
    return any(line["event"] == "window_opened" and line["scenario"] == window for line in timeline(run))


def killed(system):
    """Kills the Collector in a normal window between two faults, and starts it again."""
    run, program = system.start_run("killed")
    try:
        until("normal_3 opens", lambda: opened(run, "normal_3") or program.process.poll() is not None, 120)
        time.sleep(3)
        gone = time.time_ns()
        system.collector.kill()
        time.sleep(DOWN_S)
        system.collector.start()
        back = time.time_ns()
        system.kills.append(gone)
        system.start_jaeger()
        code = wait_for(program)
    finally:
        program.stop(signal.SIGINT)
    expect(code == 8, f"the run with a Collector that was killed ended with {code}, not 8: {program.tail()}")
    if disturbed := check_verdicts(windows_of(run), but=("normal_3",)):
        return disturbed, None
    check_gap(run, gone, back)
    return [], None


def check_gap(run, gone, back):
    audit = audit_of(run)
    gaps = audit["gaps"]
    expect(gaps["level"] == "error", f"`gaps` is {gaps['level']}: {gaps['figure']}")
    [path] = (run / "dataset").glob("audit_*.json")
    found = json.loads(path.read_text())["figures"]["gaps"]
    expect(found and all(gap["scenarios"] == ["normal_3"] for gap in found), f"gaps elsewhere: {found}")
    from_ns, to_ns = min(gap["from_ns"] for gap in found), max(gap["to_ns"] for gap in found)
    # A second before the kill may be in `batch`; what SDKs kept comes when the Collector is back.
    is_that = gone - 2 * 10**9 < from_ns < gone + 10**9 and from_ns + 2 * 10**9 <= to_ns < back + 10**9
    expect(is_that, f"the gap is not that from {gone} to {back}: {found}")
    elsewhere = {name: row["lost_traces"] for name, row in windows_of(run).items()
                 if name != "normal_3" and int(row["lost_traces"])}
    expect(not elsewhere, f"traces are lost in other windows, too: {elsewhere}")
    others = [one for one in told(audit) if not one.startswith(("gaps", "evidence"))]
    expect(not others, f"errors beside the gap: {others}")
    say(f"killed: {gaps['figure']}; {'; '.join(gaps['details'])}; "
        f"warnings: {told(audit, ('warning',)) or 'none'}")


def jaeger_gets_all(system):
    """All that waited on disk for Jaeger, which was not there before the kill."""
    # The last second before a kill was in the batch of one pipeline or of the other.
    in_a_batch = lambda ended: any(gone - 3 * 10**9 < ended < gone + 10**9 for gone in system.kills)
    stored = {one["spanId"] for one in stored_spans(system.collector.telemetry)
              if (ended := int(one["endTimeUnixNano"])) < system.kills[-1] and not in_a_batch(ended)}
    missing = lambda: stored - system.in_jaeger()
    until("what waited on disk is delivered", lambda: not missing(), 60)
    say(f"Jaeger's queue on disk: {len(stored)} spans from before the kill were delivered after it")


def jaeger_shows_tags(system):
    """Traces of each type that was in force can be found by the tags that the headers became."""
    for kind in sorted(TYPES):
        tags = json.dumps({"anomaly.type": kind})
        found = system.ask_jaeger("traces", service="web", tags=tags, limit=5, lookback="1h")
        expect(found, f"Jaeger has no trace of web with anomaly.type {kind}")
    say(f"Jaeger: {len(system.ask_jaeger('services'))} services; traces of {', '.join(sorted(TYPES))} "
        "are found by the tag anomaly.type")


def trial(binary, loadgen, jaeger, folder):
    validate(binary)
    (folder / "spellings").mkdir()
    spellings(binary, folder / "spellings")
    (folder / "databases").mkdir(mode=0o711)
    databases(binary, folder / "databases")
    with System(binary, loadgen, jaeger, folder) as system:
        began, ended, run = quietly("undisturbed", lambda: undisturbed(system))
        dashboard(system, began, ended)
        annotations(run)
        quietly("killed", lambda: killed(system))
        jaeger_gets_all(system)
        if jaeger:
            jaeger_shows_tags(system)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--loadgen", required=True, type=pathlib.Path)
    parser.add_argument("--collector", type=pathlib.Path, default=os.environ.get("LOADGEN_REAL_COLLECTOR"),
                        help="built with the components of crates/collector/tests/otelcol")
    parser.add_argument("--jaeger", type=pathlib.Path, help="Jaeger 2, built as .ci/jaeger says")
    parser.add_argument("--keep", type=pathlib.Path, help="a folder for all that is written; else it is removed")
    args = parser.parse_args()
    began = time.monotonic()
    folder = (args.keep or pathlib.Path(tempfile.mkdtemp(prefix="pipeline-"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)  # MariaDB runs as a user of its own.
    try:
        find_packages()
        binary = pathlib.Path(find_collector(args.collector)).resolve()
        trial(binary, args.loadgen.resolve(), args.jaeger and args.jaeger.resolve(), folder)
    except Skipped as why:
        say(f"skipped: {why}")
    except Wrong as why:
        say(f"FAILS: {why}")
        return 1
    finally:
        if not args.keep:
            shutil.rmtree(folder, ignore_errors=True)
    say(f"done after {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
