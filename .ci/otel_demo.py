#!/usr/bin/env python3
"""Compares scenarios/otel-demo.yaml with the OpenTelemetry Demo's own load generator, task by task.

Both are run for real against one HTTP server that writes down what it is sent and answers flags as
flagd does (OFREP). The tables that come out are those of docs/otel-demo.md.

    python3 -m venv venv
    venv/bin/pip install -c VERSIONS -r DEMO/src/load-generator/requirements.in
    .ci/otel_demo.py DEMO --python venv/bin/python --loadgen target/debug/loadgen

DEMO is a checkout of https://github.com/open-telemetry/opentelemetry-demo whose load generator is the
Locust one (before 18b36c73c, or after #3873). VERSIONS are the pins of its requirements.txt, whose
hashes hold for its own Python only. Nothing is fetched, nothing leaves this machine.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

REPOSITORY = Path(__file__).resolve().parent.parent
SCENARIO = REPOSITORY / "scenarios" / "otel-demo.yaml"
# The demo's weights, by the names of its root spans.
WEIGHTS = {
    "user_index": 1,
    "user_browse_product": 10,
    "user_get_recommendations": 3,
    "user_get_ads": 3,
    "user_view_cart": 3,
    "user_add_to_cart": 2,
    "user_checkout_single": 1,
    "user_checkout_multi": 1,
    "user_flood_home": 5,
}
# How often the home page is asked for in a flood: a number that no other task has.
FLOOD = 3


class Recorder(BaseHTTPRequestHandler):
    """Writes requests down, and answers all of them with 200 and JSON."""

    protocol_version = "HTTP/1.1"
    lock = threading.Lock()
    requests = []
    flags = {}

    def answer(self):
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        flag = re.fullmatch(r"/ofrep/v1/evaluate/flags/(\w+)", self.path)
        said = {}
        status = 200
        if flag and flag[1] in self.flags:
            said = {"key": flag[1], "value": self.flags[flag[1]], "reason": "STATIC", "variant": "now"}
        elif flag:
            status = 404
        else:
            headers = {name.lower(): value for name, value in self.headers.items()}
            # loadgen's look at whether the target is there is not sampled, and no part of the run.
            if not headers.get("traceparent", "").endswith("-00"):
                with self.lock:
                    self.requests.append((self.command, self.path, headers, body))
        text = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = answer

    def handle(self):
        try:
            super().handle()
        except ConnectionError:
            # A generator that is ended lets go of its connections.
            pass

    def log_message(self, *_):
        pass


def run_locust(args, url):
    """The demo's own script, unchanged, with all users from the start; the last tasks are cut off."""
    folder = Path(args.demo) / "src" / "load-generator"
    address = urlsplit(url)
    environment = os.environ | {
        "LOCUST_BROWSER_TRAFFIC_ENABLED": "false",
        "FLAGD_HOST": address.hostname,
        "FLAGD_OFREP_PORT": str(address.port),
        # Nobody listens there: the requests are looked at, and not the generator's own telemetry.
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "OTEL_METRICS_EXPORTER": "none",
    }
    command = [args.python, "-m", "locust", "-f", "locustfile.py", "--headless"]
    command += ["-u", str(args.users), "-r", str(args.users), "-H", url]
    with tempfile.TemporaryFile("w+") as log:
        locust = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            wait_until(lambda: Recorder.requests or locust.poll() is not None, args.seconds + 300)
            time.sleep(args.seconds)
            if locust.poll() is not None or not Recorder.requests:
                log.seek(0)
                sys.exit(f"Locust ended with {locust.returncode}:\n{log.read()}")
        finally:
            # It does not always end by itself: its exporters try again for ever.
            locust.kill()
            locust.wait()


def wait_until(is_so, seconds):
    deadline = time.monotonic() + seconds
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.2)


def run_loadgen(args, url):
    """The scenario file with the addresses of this machine, its normal window only."""
    Recorder.flags["loadGeneratorVUs"] = args.users
    with tempfile.TemporaryDirectory() as folder:
        text = SCENARIO.read_text().replace("http://flagd:8016", url)
        file = Path(folder) / "otel-demo.yaml"
        file.write_text(text)
        command = [args.loadgen, "run", file, "--scenarios", "normal", "--base-url", url]
        command += ["--no-faults", "--no-preflight", "--no-extract", "--out", Path(folder) / "run"]
        # The window is 10 minutes long.
        command += ["--time-scale", str(args.seconds / 600)]
        environment = os.environ | {"LOADGEN_STATE_DIR": folder}
        run(command, args.seconds + 120, env=environment)


def run(command, limit, **options):
    ended = subprocess.run(command, timeout=limit, capture_output=True, text=True, **options)
    if ended.returncode != 0:
        sys.exit(f"{command[0]} ended with {ended.returncode}:\n{ended.stdout}\n{ended.stderr}")


def baggage(headers):
    members = (member.partition("=") for member in headers.get("baggage", "").split(","))
    return {key.strip(): unquote(value.strip()) for key, _, value in members if key}


def shape(value):
    """A JSON value with types in the place of what is not fixed."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {shape(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(sorted({shape(item) for item in value})) + "]"
    return {str: "text", int: "integer", float: "number", bool: "truth"}.get(type(value), "null")


def route(method, path):
    """Method and path with what varies left out."""
    parts = urlsplit(path)
    plain = re.sub(r"^/api/products/[^/]+$", "/api/products/<id>", parts.path)
    query = "&".join(f"{key}=<{key}>" for key, _ in parse_qsl(parts.query, keep_blank_values=True))
    return f"{method} {plain}" + (f"?{query}" if query else "")


def task_of(routes):
    """The task that makes these requests, in this order."""
    add = ["GET /api/products/<id>", "POST /api/cart"]
    if routes[-1] == "POST /api/checkout":
        items, rest = divmod(len(routes) - 1, 2)
        if rest == 0 and routes[:-1] == add * items:
            return {1: "user_checkout_single"}.get(items, "user_checkout_multi")
    known = {
        ("GET /",): "user_index",
        ("GET /",) * FLOOD: "user_flood_home",
        ("GET /api/products/<id>",): "user_browse_product",
        ("GET /api/recommendations?productIds=<productIds>",): "user_get_recommendations",
        ("GET /api/data/?contextKeys=<contextKeys>",): "user_get_ads",
        ("GET /api/data/",): "user_get_ads",
        ("GET /api/cart",): "user_view_cart",
        tuple(add): "user_add_to_cart",
    }
    return known.get(tuple(routes), "another")


class Seen:
    """What a generator sent, by task."""

    def __init__(self, requests, by_trace):
        # The demo has a trace for each task, and a session for each user; loadgen a trace for each
        # request, and a session for each task.
        groups = defaultdict(list)
        for request in requests:
            headers = request[2]
            trace = headers.get("traceparent", "--").split("-")[1]
            groups[trace if by_trace else baggage(headers).get("session.id")].append(request)
        self.requests = requests
        self.tasks = Counter()
        self.routes = defaultdict(set)
        self.bodies = defaultdict(set)
        self.items = Counter()
        self.session_starts = 0
        started = set()
        if by_trace:
            # The last task of each user may have been cut off.
            last = {baggage(group[0][2]).get("session.id"): trace for trace, group in groups.items()}
            groups = {trace: group for trace, group in groups.items() if trace not in last.values()}
        for group in groups.values():
            routes = [route(method, path) for method, path, _, _ in group]
            session = baggage(group[0][2]).get("session.id")
            if by_trace and session not in started:
                started.add(session)
                self.session_starts += 1
                continue
            task = task_of(routes)
            self.tasks[task] += 1
            self.routes[task] |= set(routes)
            if task == "user_checkout_multi":
                self.items[(len(routes) - 1) // 2] += 1
        for method, path, _, body in requests:
            if body:
                self.bodies[route(method, path)].add(shape(json.loads(body)))

    def headers(self):
        """Of how many requests in a hundred each header is."""
        names = Counter(name for _, _, headers, _ in self.requests for name in headers)
        return {name: 100 * count / len(self.requests) for name, count in sorted(names.items())}

    def accepts(self):
        names = ("accept", "accept-encoding")
        return {name: sorted({h.get(name, "–") for _, _, h, _ in self.requests}) for name in names}

    def baggage_keys(self):
        keys = Counter(key for _, _, headers, _ in self.requests for key in baggage(headers))
        return {key: 100 * count / len(self.requests) for key, count in sorted(keys.items())}

    def values(self):
        """What was chosen from fixed lists."""
        found = defaultdict(set)
        for method, path, _, body in self.requests:
            parts = urlsplit(path)
            if match := re.fullmatch(r"/api/products/(.+)", parts.path):
                found["products"].add(match[1])
            if parts.path == "/api/data/":
                found["categories"].add(dict(parse_qsl(parts.query)).get("contextKeys", "none"))
            if method == "POST":
                sent = json.loads(body)
                if "item" in sent:
                    found["quantities"].add(sent["item"]["quantity"])
                if "email" in sent:
                    person = {key: value for key, value in sent.items() if key != "userId"}
                    found["people"].add(json.dumps(person, sort_keys=True))
        return found


def chi_square(counts, weights):
    """Pearson's statistic of counts against weights, and its degrees of freedom."""
    total, of_all = sum(counts.values()), sum(weights.values())
    expected = {task: total * weight / of_all for task, weight in weights.items()}
    return sum((counts[t] - e) ** 2 / e for t, e in expected.items()), len(weights) - 1


def report(demo, ours):
    differences = []
    total = {"demo": sum(demo.tasks.values()), "loadgen": sum(ours.tasks.values())}
    print("| Task | Weight of 29 | Demo | loadgen | Requests |\n|---|---|---|---|---|")
    for task, weight in WEIGHTS.items():
        cells = []
        for seen, name in ((demo, "demo"), (ours, "loadgen")):
            share = 29 * seen.tasks[task] / max(total[name], 1)
            cells.append(f"{seen.tasks[task]} ({share:.1f})")
        if demo.routes[task] != ours.routes[task]:
            differences.append(f"{task}: demo {demo.routes[task]}, loadgen {ours.routes[task]}")
        routes = ", ".join(f"`{route}`" for route in sorted(ours.routes[task]))
        print(f"| `{task}` | {weight} | {cells[0]} | {cells[1]} | {routes} |")
    for seen, name in ((demo, "demo"), (ours, "loadgen")):
        statistic, freedom = chi_square(seen.tasks, WEIGHTS)
        print(f"\n{name}: {total[name]} tasks, {len(seen.requests)} requests, "
              f"{seen.session_starts} session starts; chi-square of the counts against the weights "
              f"{statistic:.1f} with {freedom} degrees of freedom; "
              f"items of user_checkout_multi {dict(sorted(seen.items.items()))}")
        if seen.tasks["another"]:
            differences.append(f"{name}: {seen.tasks['another']} groups of requests are no known task")
    for where in sorted(set(demo.bodies) | set(ours.bodies)):
        same = demo.bodies[where] == ours.bodies[where]
        print(f"\nbody of {where}: {'the same' if same else 'DIFFERENT'}: {sorted(ours.bodies[where])}")
        if not same:
            differences.append(f"body of {where}: demo {demo.bodies[where]}, loadgen {ours.bodies[where]}")
    theirs, own = demo.values(), ours.values()
    for what in sorted(set(theirs) | set(own)):
        same = theirs[what] == own[what]
        print(f"\n{what}: {len(theirs[what])} and {len(own[what])}, {'the same' if same else 'DIFFERENT'}")
        if not same:
            differences.append(f"{what}: only demo {sorted(map(str, theirs[what] - own[what]))}, "
                               f"only loadgen {sorted(map(str, own[what] - theirs[what]))}")
    for what, a, b in (("header", demo.headers(), ours.headers()),
                       ("baggage", demo.baggage_keys(), ours.baggage_keys())):
        print(f"\n| {what} | Demo | loadgen |\n|---|---|---|")
        for name in sorted(set(a) | set(b)):
            cells = (f"{x[name]:.0f} %" if name in x else "–" for x in (a, b))
            print(f"| `{name}` | {' | '.join(cells)} |")
    print(f"\ndemo accepts {demo.accepts()}, loadgen {ours.accepts()}")
    for key in ("synthetic_request", "session.id"):
        for seen, name in ((demo, "demo"), (ours, "loadgen")):
            if seen.baggage_keys().get(key) != 100:
                differences.append(f"{name}: not all requests have `{key}` in their baggage")
    return differences


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("demo", help="checkout of the demo with the Locust load generator")
    parser.add_argument("--python", default=sys.executable, help="a Python with its requirements")
    parser.add_argument("--loadgen", default=str(REPOSITORY / "target" / "debug" / "loadgen"))
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=240)
    args = parser.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    Recorder.flags["loadGeneratorFloodHomepage"] = FLOOD
    seen = []
    for generate, by_trace in ((run_locust, True), (run_loadgen, False)):
        Recorder.requests = []
        generate(args, url)
        seen.append(Seen(Recorder.requests, by_trace))
    differences = report(*seen)
    print("\n" + ("\n".join(["Different:", *differences]) if differences else "No differences."))
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
