#!/usr/bin/env python3
"""Tries the recipes of examples/recipes for real, where the machine has what they need.

Each recipe's scenario file is run, shortened, against a small HTTP target, with its commands told
by environment variables what to act on: a database, network namespaces or services that are made
here and removed again. While a fault is in force its effect is measured, and again when it is
cleared; the timeline must have what the faults' commands said, and nothing may be left. What the
machine has not got is `not run`. Prints a table in Markdown; ends with 1 if something is wrong.

    .ci/recipes.py --loadgen target/release/loadgen

Wants root. LOADGEN_REAL_APISERVER is the program that .ci/control-plane builds.
"""

import argparse
import glob
import http.server
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
RECIPES = ROOT / "examples" / "recipes"
# Of the files' timetable. A window of 30 s is one of 12 s, longer than an injection may take.
SCALE = 0.4
# How long something may take to start here.
LIMIT = 120


class NotRun(Exception):
    """The machine has not got what a recipe needs."""


class Wrong(Exception):
    """A recipe does not do what it says."""


def need(name, package):
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        raise NotRun(f"no `{name}` (Debian: {package})")
    return found


def need_root():
    if os.geteuid() != 0:
        raise NotRun("not root")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(what, is_so, limit=LIMIT):
    end = time.monotonic() + limit
    while not is_so():
        if time.monotonic() > end:
            raise Wrong(f"{what}: not within {limit} s")
        time.sleep(0.1)


def said(command, **more):
    """What a command prints; it must end with 0."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, **more)
    if done.returncode != 0:
        raise Wrong(f"{command}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()


def seconds(call):
    """How long a call takes that ends with success, else None."""
    start = time.monotonic()
    return time.monotonic() - start if call() else None


def in_seconds(value):
    return "no answer" if value is None else f"{value:.2f} s"


class Recipe:
    """What the recipes have in common: a folder, and processes that are ended with it."""

    name, file = "", ""
    # The code that the run must end with, and what a failed fault's reason must say, by window.
    code, reasons = 0, {}
    # What was stood in for, or left out.
    note = ""

    def __init__(self, folder):
        self.folder = folder
        self.processes = []

    def start(self):
        """Makes what the recipe acts on. Answers the variables for its commands."""
        raise NotImplementedError

    def measure(self, window):
        """Of a window's fault, what it is to change. Seconds, or None for no answer."""
        raise NotImplementedError

    def bites(self, window, before, during):
        raise NotImplementedError

    def show(self, value):
        return in_seconds(value)

    def left(self):
        """What is left of the fault, or nothing."""
        return ""

    def launch(self, command, **more):
        log = open(self.folder / f"log{len(self.processes)}", "wb")
        quiet = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        process = subprocess.Popen(command, start_new_session=True, **{**quiet, **more})
        self.processes.append(process)
        return process

    def stop(self):
        for process in reversed(self.processes):
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()


class Postgresql(Recipe):
    name, file = "SQL lock on PostgreSQL", "postgresql-lock.yaml"

    def start(self):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        path = os.pathsep.join([*found, os.environ["PATH"]])
        initdb, server = shutil.which("initdb", path=path), shutil.which("postgres", path=path)
        if not (initdb and server and shutil.which("psql")):
            raise NotRun("no PostgreSQL (Debian: postgresql)")
        data = self.folder / "data"
        data.mkdir()
        # The server does not run as root.
        user = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
        if user:
            shutil.chown(data, **user)
        said([initdb, "-D", data, "-U", "shop", "--auth=trust", "--no-sync"], **user)
        port = free_port()
        self.launch([server, "-D", data, "-p", str(port), "-c", "listen_addresses=127.0.0.1",
                     "-c", "unix_socket_directories=", "-c", "fsync=off"], **user)
        self.url = f"postgresql://shop@127.0.0.1:{port}/postgres"
        until("PostgreSQL", lambda: self.query("SELECT 1").returncode == 0)
        said(["psql", "-q", self.url, "-c", "CREATE TABLE products (id int)"])
        version = said(["psql", "-qAt", self.url, "-c", "SHOW server_version"])
        self.note = f"PostgreSQL {version.split()[0]}"
        return {"PGURL": self.url}

    def query(self, sql):
        options = {**os.environ, "PGOPTIONS": "-c statement_timeout=4s"}
        return subprocess.run(["psql", "-qAt", self.url, "-c", sql], env=options,
                              capture_output=True, text=True, timeout=LIMIT)

    def measure(self, window):
        return seconds(lambda: self.query("SELECT count(*) FROM products").returncode == 0)

    def bites(self, window, before, during):
        return before is not None and during is None

    def left(self):
        return self.query("SELECT pid FROM pg_stat_activity "
                          "WHERE application_name = 'loadgen_lock'").stdout.strip()


class PostgresqlWaits(Postgresql):
    name = "the same; the lock is not granted, as a transaction goes on"
    code, reasons = 6, {"locked": "by `confirm` the fault is not in force"}

    def start(self):
        variables = super().start()
        self.launch(["psql", "-q", self.url, "-c", "BEGIN", "-c", "SELECT * FROM products",
                     "-c", "SELECT pg_sleep(600)"])
        sleeping = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        until("a transaction", lambda: self.query(sleeping).stdout.strip() != "")
        return variables


class Mariadb(Recipe):
    name, file = "SQL lock on MariaDB", "mariadb-lock.yaml"

    def start(self):
        install = need("mariadb-install-db", "mariadb-server")
        server, client = need("mariadbd", "mariadb-server"), need("mariadb", "mariadb-client")
        data, port, sock = self.folder / "data", free_port(), self.folder / "socket"
        data.mkdir()
        user = "mysql" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        shutil.chown(data, user)
        shutil.chown(self.folder, user)
        said([install, "--no-defaults", f"--datadir={data}", f"--user={user}", "--skip-test-db",
              "--auth-root-authentication-method=normal"])
        self.launch([server, "--no-defaults", f"--datadir={data}", f"--user={user}",
                     f"--port={port}", f"--socket={sock}", "--bind-address=127.0.0.1",
                     f"--pid-file={data}/pid"])
        root = [client, "--no-defaults", f"--socket={sock}", "-u", "root", "-N", "-e"]
        until("MariaDB", lambda: subprocess.run([*root, "SELECT 1"], capture_output=True,
                                                timeout=LIMIT).returncode == 0)
        # A user as a service has it, without rights on anything else.
        said([*root, "CREATE DATABASE cities; CREATE TABLE cities.cities (id int); CREATE USER "
              "shipping@'127.0.0.1' IDENTIFIED BY 'secret'; GRANT ALL ON cities.* TO "
              "shipping@'127.0.0.1'"])
        version = said([*root, "SELECT VERSION()"]).split("-")[0]
        self.note = f"MariaDB {version}; MySQL was not run"
        self.client = f"{client} --no-defaults -h 127.0.0.1 -P {port} -u shipping -psecret cities"
        return {"MARIADB": self.client}

    def query(self, sql):
        return subprocess.run([*self.client.split(), "-N", "-e", sql], capture_output=True,
                              text=True, timeout=LIMIT)

    def measure(self, window):
        sql = "SET STATEMENT max_statement_time = 4 FOR SELECT COUNT(*) FROM cities"
        return seconds(lambda: self.query(sql).returncode == 0)

    def bites(self, window, before, during):
        return before is not None and during is None

    def left(self):
        return self.query("SELECT id FROM information_schema.PROCESSLIST WHERE info LIKE "
                          "'% AS loadgen_lock%' AND id <> CONNECTION_ID()").stdout.strip()


class Kubectl(Recipe):
    name, file = "`kubectl set env` on a Deployment", "kubectl-set-env.yaml"
    note = ("real API server and kubectl; no controllers and no pods: the Deployment's status was "
            "written by the test, a second after each change")

    def start(self):
        kubectl = need("kubectl", "kubernetes-client")
        server = os.environ.get("LOADGEN_REAL_APISERVER")
        if not server:
            raise NotRun("LOADGEN_REAL_APISERVER is not set, and there is no cluster")
        place = self.folder / "cluster"
        place.mkdir()
        # It ends when its standard input does.
        process = self.launch([server, place], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if process.stdout.readline().strip() != b"ready":
            raise Wrong("the API server does not start")
        config = json.loads((place / "admin.conf").read_text())
        self.address = config["clusters"][0]["cluster"]["server"]
        self.token = config["users"][0]["user"]["token"]
        self.trusted = ssl.create_default_context(cafile=place / "certs" / "apiserver.crt")
        self.path = "/apis/apps/v1/namespaces/robot-shop/deployments/catalogue"
        self.command = f"{kubectl} --kubeconfig={place}/admin.conf -n robot-shop"
        self.kubectl("create", "namespace", "robot-shop")
        self.kubectl("create", "deployment", "catalogue", "--image=catalogue")
        self.kubectl("set", "env", "deployment/catalogue", "GO_SLOW=25")
        self.ended = threading.Event()
        self.controller = threading.Thread(target=self.control)
        self.controller.start()
        self.kubectl("rollout", "status", "deployment/catalogue", "--timeout=30s")
        return {"KUBECTL": self.command}

    def kubectl(self, *args):
        return said([*self.command.split(), *args])

    def call(self, path, method="GET", body=None):
        headers = {"authorization": f"Bearer {self.token}",
                   "content-type": "application/merge-patch+json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30, context=self.trusted) as answer:
            return json.load(answer)

    def control(self):
        """Writes the status that the Deployment's controller would, a second after each change."""
        while not self.ended.wait(0.3):
            found = self.call(self.path)
            generation = found["metadata"]["generation"]
            if found.get("status", {}).get("observedGeneration") == generation:
                continue
            time.sleep(1)
            ready = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas",
                                   "availableReplicas"), 1)
            self.call(self.path + "/status", "PATCH",
                      {"status": {"observedGeneration": generation, **ready}})

    def measure(self, window):
        container = self.call(self.path)["spec"]["template"]["spec"]["containers"][0]
        return {one["name"]: one["value"] for one in container.get("env", [])}.get("GO_SLOW")

    def show(self, value):
        return f"GO_SLOW={value}"

    def bites(self, window, before, during):
        return before == "25" and during == "400"

    def left(self):
        return self.call(self.path)["metadata"].get("annotations", {}).get("loadgen-undo", "")

    def stop(self):
        if hasattr(self, "ended"):
            self.ended.set()
            self.controller.join()
        super().stop()


ECHO = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('192.0.2.2', 7777))
while True:
    s.sendto(*s.recvfrom(64))
"""
# Of 200 datagrams, the share that came back, and the median of their round trips in seconds.
ASK = """
import json, socket, statistics, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setblocking(False)
s.connect(('192.0.2.2', 7777))
sent, times = {}, []
for n in range(10**6):
    if n < 200:
        sent[n] = time.monotonic()
        try: s.send(str(n).encode())
        except OSError: pass
    time.sleep(0.005)
    while True:
        try: got = s.recv(64)
        except OSError: break
        times.append(time.monotonic() - sent[int(got)])
    if len(times) == 200 or n >= 200 and time.monotonic() > sent[199] + 1: break
print(json.dumps([len(times) / 200, statistics.median(times) if times else None]))
"""


class Namespaces(Recipe):
    """Two network namespaces with a wire between them: a caller, and one that echoes datagrams."""

    def start(self):
        need_root()
        self.ip = need("ip", "iproute2")
        self.made = []
        caller, echo = (f"lg{os.getpid()}{end}" for end in "ab")
        for one in (caller, echo):
            if subprocess.run([self.ip, "netns", "add", one], capture_output=True).returncode != 0:
                raise NotRun("network namespaces can't be made here")
            self.made.append(one)
        said([self.ip, "-n", caller, "link", "add", "wire", "type", "veth", "peer", "name", "wire",
              "netns", echo])
        for one, address in ((caller, "192.0.2.1/24"), (echo, "192.0.2.2/24")):
            said([self.ip, "-n", one, "address", "add", address, "dev", "wire"])
            said([self.ip, "-n", one, "link", "set", "wire", "up"])
        self.launch(self.within(echo, sys.executable, "-c", ECHO))
        until("an echo", lambda: self.echoes()[0] == 1)
        return {}

    def within(self, namespace, *command):
        return [self.ip, "netns", "exec", namespace, *command]

    def echoes(self):
        return json.loads(said(self.within(self.made[0], sys.executable, "-c", ASK)))

    def stop(self):
        super().stop()
        for one in getattr(self, "made", []):
            subprocess.run([self.ip, "netns", "delete", one])


class Nft(Namespaces):
    name, file = "nft: packet loss and partition", "nft.yaml"

    def start(self):
        nft = need("nft", "nftables")
        super().start()
        self.command = self.within(self.made[1], nft)
        self.note = "between two network namespaces"
        return {"NFT": " ".join(self.command), "PEER": "192.0.2.1"}

    def measure(self, window):
        return self.echoes()[0]

    def show(self, value):
        return f"{1 - value:.0%} lost"

    def bites(self, window, before, during):
        return before == 1 and (during == 0 if window == "partition" else 0.4 < during < 0.9)

    def check(self, injected, cleared):
        """The counter, as it was when the rule was taken away."""
        words = cleared["read_back"]["clear"].split()
        packets = int(words[words.index("packets") + 1])
        if packets == 0:
            raise Wrong("the rule's counter is 0")
        self.note += f"; {cleared['scenario']}: the counter had {packets} packets"

    def left(self):
        return said([*self.command, "list", "tables"])


class Netem(Namespaces):
    name, file = "tc netem: delay and loss", "tc-netem.yaml"

    def start(self):
        tc = need("tc", "iproute2")
        super().start()
        probe = subprocess.run(["unshare", "-n", tc, "qdisc", "add", "dev", "lo", "root", "netem",
                                "delay", "1ms"], capture_output=True, text=True)
        self.missing = probe.returncode != 0
        if self.missing:
            # Then the recipe must say so, and the run's label be that of a failed fault.
            self.code, self.reasons = 6, {"slow": "no netem"}
        self.command = self.within(self.made[0], tc)
        return {"TC": " ".join(self.command), "INTERFACE": "wire"}

    def measure(self, window):
        return self.echoes()[1]

    def bites(self, window, before, during):
        return during >= before + 0.05

    def left(self):
        shown = said([*self.command, "qdisc", "show", "dev", "wire"])
        return shown if "netem" in shown else ""


CATALOGUE = """
import http.server, os, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(int(os.environ.get('GO_SLOW', 0)) / 1000)
        self.send_response(200); self.send_header('content-length', '2'); self.end_headers()
        self.wfile.write(b'{}')
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()
"""
PAYMENT = """
import os, time
def application(environ, start_response):
    environ['wsgi.input'].read(int(environ.get('CONTENT_LENGTH') or 0))
    if environ['PATH_INFO'].startswith('/pay/'):
        time.sleep(int(os.environ.get('PAYMENT_DELAY_MS', 0)) / 1000)
    start_response('200 OK', [('content-length', '2')])
    return [b'{}']
"""


class RobotShop(Recipe):
    name, file = "Robot Shop's own variables; uWSGI ended by INT", "robot-shop.yaml"
    options, send = [], "INT"
    uwsgi = None

    def start(self):
        need("curl", "curl")
        if RobotShop.uwsgi is None:
            raise NotRun("uWSGI can't be installed")
        self.note = f"stand-ins for catalogue and payment, the latter under uWSGI {self.version()}"
        self.ports = {name: free_port() for name in ("catalogue", "payment")}
        (self.folder / "catalogue.py").write_text(CATALOGUE)
        (self.folder / "payment.py").write_text(PAYMENT)
        self.service("catalogue", [sys.executable, self.folder / "catalogue.py",
                                   str(self.ports["catalogue"])])
        self.service("payment", [RobotShop.uwsgi, "--http-socket",
                                 f"127.0.0.1:{self.ports['payment']}", "--master", "--workers", "2",
                                 "--need-app", "--wsgi-file", self.folder / "payment.py",
                                 *self.options])
        for name in self.ports:
            until(name, lambda: self.call(name) is not None)
        return {
            "CATALOGUE": str(self.folder / "catalogue"),
            "CATALOGUE_URL": self.url("catalogue"),
            "PAYMENT": str(self.folder / "payment"),
            "PAYMENT_URL": f"http://127.0.0.1:{self.ports['payment']}",
            "PAYMENT_SIGNAL": self.send,
        }

    def version(self):
        return said([RobotShop.uwsgi, "--version"])

    def service(self, name, command):
        (self.folder / f"{name}.env").write_text("SHOP=robot\n")
        self.launch([RECIPES / "keep-running", self.folder / name, *command])

    def url(self, name):
        path = {"catalogue": "/product/HPTD", "payment": "/pay/somebody"}[name]
        return f"http://127.0.0.1:{self.ports[name]}{path}"

    def call(self, name):
        def answers():
            data = b"{}" if name == "payment" else None
            try:
                with urllib.request.urlopen(self.url(name), data, timeout=5) as answer:
                    return answer.read() == b"{}"
            except OSError:
                return False
        return seconds(answers)

    def measure(self, window):
        return self.call(window.removeprefix("slow_"))

    def bites(self, window, before, during):
        least = {"slow_catalogue": 0.3, "slow_payment": 0.6}[window]
        return during is not None and during - before > least

    def left(self):
        files = [str(file) for file in self.folder.glob("*.before")]
        for name in self.ports:
            pid = (self.folder / f"{name}.pid").read_text().strip()
            environ = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            files += [str(v) for v in environ if v.startswith((b"GO_SLOW", b"PAYMENT_DELAY_MS"))]
        return " ".join(files)


class DieOnTerm(RobotShop):
    name = "the same; uWSGI with `die-on-term`, ended by TERM"
    options, send = ["--die-on-term"], "TERM"


class ReloadTrap(RobotShop):
    name = "the same; uWSGI's reload trap: TERM without `die-on-term`"
    send = "TERM"
    code, reasons = 6, {"slow_payment": "reloaded, not restarted"}


ALL = [Postgresql, PostgresqlWaits, Mariadb, Kubectl, Netem, Nft, RobotShop, DieOnTerm, ReloadTrap]


class Target:
    """Something that answers the run's requests."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_):
            pass

    def __init__(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def timeline(run):
    try:
        lines = (run / "timeline.jsonl").read_text().split("\n")
    except FileNotFoundError:
        return []
    # The last one is empty, or still being written.
    return [json.loads(line) for line in lines[:-1]]


def changes(run, kind):
    return {line["scenario"]: line for line in timeline(run) if line["event"] == kind}


def of_this_run(state):
    """Processes that the run or its commands have started and that still go on."""
    mark = f"LOADGEN_STATE_DIR={state}".encode()
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append(process.name)
        except OSError:
            pass
    return found


def watch(recipe, process, run, usual):
    """Measures the effect of each fault while it is in force, and after it."""
    seen = {}
    goes_on = True
    while goes_on:
        # Once more when the run has ended: its last fault may have been cleared just before.
        goes_on = process.poll() is None
        injected, cleared = changes(run, "fault_injected"), changes(run, "fault_cleared")
        for window in injected:
            if window not in seen:
                during = recipe.measure(window)
                # Else it may have been that of a system without the fault.
                if window in changes(run, "fault_cleared"):
                    raise Wrong(f"{window}: the measurement took longer than the window")
                seen[window] = [usual[window], during, None]
            elif window in cleared and seen[window][2] is None:
                seen[window][2] = recipe.measure(window)
        time.sleep(0.1)
    return seen


def evaluate(recipe, run, seen, windows):
    """Answers what was measured, or raises what is wrong."""
    injected, cleared = changes(run, "fault_injected"), changes(run, "fault_cleared")
    failed = changes(run, "fault_failed")
    shown = []
    for window in windows:
        if window in recipe.reasons:
            reason = failed.get(window, {}).get("reason", "")
            # When time is up, the last look may be cut off, and what it says with it.
            good = recipe.reasons[window], "`confirm` did not end in time"
            if window in injected or not any(one in reason for one in good):
                raise Wrong(f"{window}: not `{recipe.reasons[window]}` but `{reason}`")
            shown.append(f"{window}: `fault_failed`")
            continue
        if window in failed:
            raise Wrong(f"{window}: {failed[window]['reason']}")
        for changed in (injected, cleared):
            if not changed.get(window, {}).get("confirmed_by"):
                raise Wrong(f"{window}: not confirmed: {changed.get(window)}")
        usual, during, after = seen[window]
        if not recipe.bites(window, usual, during):
            raise Wrong(f"{window}: {recipe.show(usual)} before, {recipe.show(during)} during")
        if after is None or recipe.bites(window, usual, after):
            raise Wrong(f"{window}: {recipe.show(after)} after it was cleared")
        if hasattr(recipe, "check"):
            recipe.check(injected[window], cleared[window])
        shown.append(f"{window}: {' → '.join(map(recipe.show, (usual, during, after)))}")
    return "; ".join(shown)


def attempt(recipe, loadgen, folder):
    """Runs a recipe's scenario file. Answers what was measured."""
    variables = recipe.start()
    state, run, file = folder / "state", folder / "run", RECIPES / recipe.file
    plan = json.loads(said([loadgen, "plan", "--format", "json", file]))
    windows = [one["name"] for one in plan["scenarios"] if one.get("fault")]
    usual = {window: recipe.measure(window) for window in windows}
    environ = {**os.environ, **variables, "LOADGEN_STATE_DIR": str(state)}
    log = open(folder / "loadgen.log", "w+")
    command = [loadgen, "run", file, "--base-url", Target().url, "--out", run, "--quiet",
               "--no-client-spans", "--time-scale", str(SCALE)]
    process = subprocess.Popen(command, env=environ, cwd=folder, stdin=subprocess.DEVNULL,
                               stdout=log, stderr=log)
    try:
        seen = watch(recipe, process, run, usual)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait()
    shown = evaluate(recipe, run, seen, windows)
    if process.returncode != recipe.code:
        log.seek(0)
        raise Wrong(f"the run ended with {process.returncode}: {log.read()[-500:]}")
    if left := recipe.left():
        raise Wrong(f"left behind: {left}")
    if journals := [one.name for one in (state / "faults").glob("*")]:
        raise Wrong(f"journals are left: {journals}")
    until(f"an end of the processes {of_this_run(state)}", lambda: not of_this_run(state), 10)
    return shown


def install_uwsgi(folder):
    """uWSGI in a virtual environment, or None."""
    if found := shutil.which("uwsgi"):
        return found
    venv = folder / "venv"
    done = subprocess.run([sys.executable, "-m", "venv", venv], capture_output=True)
    install = [venv / "bin" / "pip", "install", "-q", "uwsgi"]
    if done.returncode == 0 and subprocess.run(install, capture_output=True).returncode == 0:
        return str(venv / "bin" / "uwsgi")
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--loadgen", required=True, type=pathlib.Path)
    parser.add_argument("--only", help="part of the names of the files to run")
    args = parser.parse_args()
    chosen = [one for one in ALL if (args.only or "") in one.file]
    rows, wrong = [], False
    with tempfile.TemporaryDirectory(prefix="recipes-") as top:
        top = pathlib.Path(top)
        # Databases run as users of their own.
        top.chmod(0o711)
        if any(issubclass(one, RobotShop) for one in chosen):
            RobotShop.uwsgi = install_uwsgi(top)
        for kind in chosen:
            folder = top / kind.__name__.lower()
            folder.mkdir(mode=0o711)
            recipe = kind(folder)
            try:
                shown = attempt(recipe, args.loadgen.resolve(), folder)
                missing = getattr(recipe, "missing", False)
                result = "not run: this kernel has no netem" if missing else "passes"
                if missing:
                    recipe.note = "that the recipe finds this out and says so was run"
            except NotRun as why:
                result, shown, recipe.note = f"not run: {why}", "", ""
            except Exception as why:  # The others are to be tried as well.
                result, shown, wrong = f"FAILS: {why}", "", True
            finally:
                recipe.stop()
            print(f"{kind.name}: {result}", file=sys.stderr)
            rows.append([kind.name, f"`{kind.file}`", result, shown, recipe.note])
    head = ["Recipe", "File", "Result", "Before → during → after", "Remark"]
    for row in (head, ["---"] * len(head), *rows):
        print(f"| {' | '.join(row)} |")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
