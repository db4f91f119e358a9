#!/usr/bin/env python3
"""What becomes of faults when a run, its guard, or both are killed at random moments.

For each driver, and each way to be killed, a run is started on a target of its own, killed with
SIGKILL at a moment drawn between its first request for the fault and the end of its window, and the
target is asked until the fault is gone: within 10 s where one of run and guard lives on; by itself
within 25 s where the target ends faults; else, and for what an ended fault leaves behind, by
`loadgen faults clear` and by the next run, in turns.

    .ci/crashes.py --loadgen target/release/loadgen --kills 30
"""

import argparse
import concurrent.futures
import functools
import itertools
import json
import os
import pathlib
import random
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request

FILE = """version: 1
flows: {default: {steps: [{path: /, think_time: 20ms}]}}
SETTINGSanomalies: {wrong: {root_cause: broken, root_cause_service: SERVICE}}
scenarios:
  before: {executor: constant-vus, vus: 1, duration: 1s}
  during:
    executor: constant-vus
    vus: 1
    duration: 6s
    graceful_stop: 1s
    anomaly: wrong
    fault: FAULT
"""


def call(url, method="GET", body=None, headers={}, context=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    with urllib.request.urlopen(request, timeout=5, context=context) as answer:
        return json.loads(answer.read() or "null")


def ready(command, **more):
    """Starts a program that says on one line of JSON that it is ready."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **more)
    return process, json.loads(process.stdout.readline())


class Target:
    """Something that a run sends requests to, and that has its fault."""

    # Whether a fault ends by itself when its run and the guard are gone.
    lease = False
    service = "store"

    def is_left(self):
        """Whether anything of the fault is there, in force or not."""
        return self.in_force()


class Web(Target):
    """Something that answers requests."""

    def __init__(self, folder):
        code = ("import http.server,sys,json\n"
                "class H(http.server.BaseHTTPRequestHandler):\n"
                "  def do_GET(s):\n"
                "    s.send_response(200); s.send_header('content-length','2'); s.end_headers(); s.wfile.write(b'ok')\n"
                "  def log_message(s,*a): pass\n"
                "s=http.server.ThreadingHTTPServer(('127.0.0.1',0),H)\n"
                "print(json.dumps({'port':s.server_port}),flush=True)\n"
                "s.serve_forever()\n")
        self.process, said = ready([sys.executable, "-c", code])
        self.port = said["port"]
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self):
        os.kill(self.process.pid, signal.SIGCONT)
        self.process.kill()
        self.process.wait()


class Exec(Web):
    def __init__(self, folder, loadgen):
        super().__init__(folder)
        self.broken = folder / "broken"
        self.settings = ""
        self.fault = ("{driver: exec, fault: broken, service: store, parameters: "
                      f"{{inject: 'touch {self.broken}', confirm: 'test -f {self.broken}', "
                      f"clear: 'rm -f {self.broken}'}}}}")

    def in_force(self):
        return self.broken.exists()


class Host(Web):
    def __init__(self, folder, loadgen):
        super().__init__(folder)
        self.victim = subprocess.Popen(["sleep", "1000"])
        pid_file = folder / "victim.pid"
        pid_file.write_text(f"{self.victim.pid}\n")
        self.settings = ""
        self.fault = f"{{driver: host, fault: stop, service: store, parameters: {{pid_file: '{pid_file}'}}}}"

    def in_force(self):
        stat = pathlib.Path(f"/proc/{self.victim.pid}/stat").read_text()
        return stat.rsplit(")", 1)[1].split()[0] == "T"

    def stop(self):
        self.victim.kill()
        self.victim.wait()
        super().stop()


class Proxy(Web):
    lease = True

    def __init__(self, folder, loadgen):
        super().__init__(folder)
        self.proxy, said = self.start(loadgen)
        self.api = said
        call(f"{self.api}/proxies", "POST",
             {"name": "edge", "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{self.port}", "enabled": True})
        listen = call(f"{self.api}/proxies/edge")["listen"]
        self.url = f"http://{listen}"
        self.settings = f"drivers: {{proxy: {{url: '{self.api}'}}}}\n"
        self.fault = "{driver: proxy, fault: latency, service: store, parameters: {proxy: edge, latency: 50ms}}"

    def start(self, loadgen):
        process, said = ready([loadgen, "proxy", "--listen", "127.0.0.1:0", "--stop-with-stdin"])
        return process, said["api_url"]

    def in_force(self):
        return bool(call(f"{self.api}/proxies/edge/toxics"))

    def stop(self):
        self.proxy.kill()
        self.proxy.wait()
        super().stop()


class Toxiproxy(Proxy):
    lease = False

    def start(self, loadgen):
        port = random.randint(20000, 30000)
        process = subprocess.Popen([os.environ["LOADGEN_REAL_TOXIPROXY"], "-port", str(port)],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        api = f"http://127.0.0.1:{port}"
        for _ in range(100):
            try:
                call(f"{api}/version")
                break
            except OSError:
                time.sleep(0.1)
        return process, api


class Flagd(Web):
    """Flags that are evaluated as flagd does; FLAGD_PYTHON is a Python that has openfeature-flagd-core."""

    def __init__(self, folder, loadgen):
        super().__init__(folder)
        self.file = folder / "flags.json"
        flag = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off"}
        self.file.write_text(json.dumps({"flags": {"broken": flag}}))
        server = pathlib.Path(__file__).parent.parent / "crates/fault/tests/flagd/server.py"
        self.flagd, said = ready([os.environ["FLAGD_PYTHON"], str(server), str(self.file)])
        self.settings = f"drivers: {{flagd: {{file: '{self.file}', ofrep_url: '{said['url']}'}}}}\n"
        self.fault = "{driver: flagd, fault: broken, service: store, parameters: {variant: 'on'}}"

    def in_force(self):
        return json.loads(self.file.read_text())["flags"]["broken"]["defaultVariant"] == "on"

    def stop(self):
        self.flagd.kill()
        self.flagd.wait()
        super().stop()


@functools.cache
def cluster(loadgen):
    """The server, certificate and token of a real API server, with a stand-in for Chaos Mesh's
    controllers. One for all kills: it ends with this program, which closes its standard input."""
    program = pathlib.Path(loadgen).parent / "examples/chaos_mesh_stand_in"
    process, said = ready([str(program)])
    file = pathlib.Path(said["kubeconfig"])
    config = json.loads(file.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(cafile=file.parent / cluster["certificate-authority"])
    return process, file, cluster["server"], {"Authorization": f"Bearer {user['token']}"}, context


class ChaosMesh(Web):
    """Objects in a namespace of its own."""

    lease = True
    numbers = itertools.count()

    def __init__(self, folder, loadgen):
        super().__init__(folder)
        _, kubeconfig, self.server, self.headers, self.context = cluster(loadgen)
        namespace = f"kill-{next(self.numbers)}"
        self.kubernetes("/api/v1/namespaces", "POST", {"metadata": {"name": namespace}})
        self.path = f"/apis/chaos-mesh.org/v1alpha1/namespaces/{namespace}/networkchaos"
        self.settings = (f"drivers: {{chaos-mesh: {{kubeconfig: '{kubeconfig}', namespace: {namespace}, "
                         "max_duration: 15s}}\n")
        self.fault = ("{driver: chaos-mesh, fault: network_delay, service: store, "
                      "parameters: {labels: app=store, latency: 50ms}}")

    def kubernetes(self, path, method="GET", body=None):
        headers = self.headers | {"Content-Type": "application/json"}
        return call(self.server + path, method, body, headers, self.context)

    def in_force(self):
        # What was not seen yet, or is being injected, will be in force if nobody stops it.
        phases = [one.get("status", {}).get("experiment", {}).get("desiredPhase")
                  for one in self.kubernetes(self.path)["items"]]
        return any(phase != "Stop" for phase in phases)

    def is_left(self):
        return bool(self.kubernetes(self.path)["items"])


class Shop(Target):
    lease = True
    service = "catalogue"

    def __init__(self, folder, loadgen):
        self.process, said = ready([loadgen, "shop", "--listen", "127.0.0.1:0", "--stop-with-stdin"])
        self.url = said["base_url"]
        self.admin = said["admin_url"].rstrip("/")
        self.settings = f"drivers: {{shop: {{admin_url: '{self.admin}'}}}}\n"
        self.fault = "{fault: slow_query, service: catalogue, intensity: 0.1}"

    def in_force(self):
        return bool(call(f"{self.admin}/faults")["faults"])

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


TARGETS = {"exec": Exec, "host": Host, "proxy": Proxy, "toxiproxy": Toxiproxy, "flagd": Flagd,
           "chaos-mesh": ChaosMesh, "shop": Shop}
# What a target needs that not every machine has, by the variable that names it.
NEEDS = {"toxiproxy": "LOADGEN_REAL_TOXIPROXY", "flagd": "FLAGD_PYTHON",
         "chaos-mesh": "LOADGEN_REAL_APISERVER"}


def guard_of(pid):
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = stat.read_text().rsplit(")", 1)[1].split()[1]
            words = (stat.parent / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if parent == str(pid) and words[1:2] == [b"guard"]:
            return int(stat.parent.name)
    return None


def wait_until(condition, seconds):
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if condition():
            return time.monotonic() - began
        time.sleep(0.02)
    return None


def one(name, who, number, loadgen, after):
    """One kill, so many seconds `after` the window has opened. Whether the fault was there then, what
    came of it, and how many seconds it took; None: something stayed, or went wrong."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="crash-"))
    target = TARGETS[name](folder, loadgen)
    environment = dict(os.environ, LOADGEN_STATE_DIR=str(folder / "state"))
    try:
        text = FILE.replace("FAULT", target.fault).replace("SERVICE", target.service)
        text = text.replace("SETTINGS", target.settings)
        (folder / "file.yaml").write_text(text)
        (folder / "next.yaml").write_text(text[:text.index("  during:")])
        sending = lambda name: [loadgen, "run", f"{name}.yaml", "--base-url", target.url, "--out", name,
                                "--quiet", "--no-client-spans", "--no-preflight"]
        run = subprocess.Popen(sending("file"), cwd=folder, env=environment, stdout=subprocess.DEVNULL,
                               stderr=(folder / "errors").open("w"))
        timeline = folder / "file" / "timeline.jsonl"
        opened = lambda: timeline.exists() and timeline.read_text().count('"window_opened"') == 2
        if wait_until(opened, 60) is None:
            return False, "the window never opened: " + (folder / "errors").read_text().strip(), None
        guard = guard_of(run.pid)
        time.sleep(after)
        there = target.is_left()
        for pid in {"run": [run.pid], "guard": [guard], "both": [guard, run.pid]}[who]:
            os.kill(pid, signal.SIGKILL)
        began = time.monotonic()
        if who == "guard":
            # The run goes on to its end, and clears by itself.
            code = run.wait(60)
            if code != 0:
                return there, f"the run ended with {code}: " + (folder / "errors").read_text().strip(), None
            return there, "cleared by the run", 0.0 if not target.is_left() else None
        run.wait()
        # An injection that was on its way may come a little later.
        time.sleep(0.2)
        if who == "run":
            took = wait_until(lambda: not target.is_left(), 10)
            return there, "cleared by the guard", None if took is None else time.monotonic() - began
        took = wait_until(lambda: not target.in_force(), 25 if target.lease else 3)
        took = None if took is None else time.monotonic() - began
        if took is None and target.lease:
            return there, "did not end by itself", None
        how = [] if took is None else ["ended by itself"]
        if target.is_left():
            by, command = [("`faults clear`", [loadgen, "faults", "clear"]),
                           ("the next run", sending("next"))][number % 2]
            subprocess.run(command, cwd=folder, env=environment, check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            how.append(f"undone from the journal by {by}")
            took = None if target.is_left() else took or time.monotonic() - began
        return there, ", then ".join(how), took
    finally:
        target.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loadgen", default="target/release/loadgen", type=os.path.abspath)
    parser.add_argument("--kills", type=int, default=30, help="of each driver")
    parser.add_argument("--drivers", default="shop,proxy,toxiproxy,host,exec,flagd,chaos-mesh")
    parser.add_argument("--at-once", type=int, default=1, help="so many kills of a kind at the same time")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    draw = random.Random(args.seed)
    failed = False
    print("| driver | killed | kills | fault there | gone | how | longest |")
    print("|---|---|---|---|---|---|---|")
    for name in args.drivers.split(","):
        if name in NEEDS and NEEDS[name] not in os.environ:
            print(f"| {name} | – | 0 | – | – | not run: {NEEDS[name]} names none | – |")
            continue
        if name == "chaos-mesh":
            cluster(args.loadgen)
        for who in ["run", "guard", "both"]:
            kills = args.kills // 3
            moments = [draw.uniform(0, 5) for _ in range(kills)]
            kill = lambda number, after: one(name, who, number, args.loadgen, after)
            with concurrent.futures.ThreadPoolExecutor(args.at_once) as pool:
                results = list(pool.map(kill, range(kills), moments))
            there = sum(there for there, _, _ in results)
            gone = [took for _, _, took in results if took is not None]
            ways = ", ".join(sorted({how for _, how, _ in results}))
            failed |= len(gone) < kills
            longest = f"{max(gone):.1f} s" if gone and who != "guard" else "–"
            print(f"| {name} | {who} | {kills} | {there} | {len(gone)} | {ways} | {longest} |", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
