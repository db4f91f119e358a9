"""The demo shop and the collector."""

import functools
import json
import os
import re
import socket
import struct
import threading
import time
import urllib.request
import zlib

import recording
from disturb.base import (BUSY, CLEAN_AFTER_KILL, CONT, END_AFTER_SECOND, END_AFTER_SIGNAL, EPISODE, INT,
                          KILL, STOP, TERM, Disk, SteppedClock, cell, cells, get, lines, processes,
                          resident, until)

# A shop ends its edge within 1.2 s, and kills a service that does not end within 4.5 s.
END_OF_SHOP = 8


class Shop:
    """A shop, and a client that asks for a page of it over and over."""

    def __init__(self, trial, *more, listen="127.0.0.1:0", within=(), env=None):
        self.trial = trial
        self.program = trial.start("shop", "--listen", listen, "--stop-with-stdin", *more, ready=True,
                                   within=within, env=env)
        self.ready = self.program.ready
        self.services = {name: one["pid"] for name, one in (self.ready or {}).get("services", {}).items()}

    def answers(self, path="/api/catalogue/products"):
        try:
            get(self.ready["base_url"].rstrip("/") + path)
            return True
        except (OSError, ValueError):
            return False

    def use(self):
        """Uses it for a drawn time, so that it has something to do when it is disturbed."""
        end = time.monotonic() + self.trial.draw.uniform(0, 2)
        while time.monotonic() < end:
            self.answers(f"/api/cart/add/anonymous-{self.trial.draw.randint(1, 9)}/Watson/1")

    def gone(self):
        """No process of it is left; and no folder, once the next shop has begun and ended."""
        self.trial.check(
            "no process left",
            until(lambda: not any(alive(pid) for pid in self.services.values()), CLEAN_AFTER_KILL),
            f"{[name for name, pid in self.services.items() if alive(pid)]}")
        next_shop(self.trial)


def next_shop(trial):
    shop = Shop(trial)
    if trial.check("the next one starts", shop.ready, shop.program.said()[-400:]):
        trial.check("the next one answers", shop.answers())
    shop.program.signal(TERM)
    trial.ended(shop.program, {0}, END_OF_SHOP)
    trial.nothing_left()


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@cells("shop", {"killed": [KILL], "SIGTERM": [TERM], "SIGINT": [INT], "SIGINT twice": [INT, INT]},
       ci=["killed"])
def shop_signals(trial, disturbance):
    shop = Shop(trial)
    shop.use()
    for number in disturbance:
        shop.program.signal(number)
        time.sleep(0.2)
    trial.ended(shop.program, {0} if disturbance != [KILL] else {-KILL}, END_OF_SHOP)
    shop.gone()


@cell("shop", "killed before it is ready")
def shop_killed_early(trial):
    program = trial.start("shop", "--listen", "127.0.0.1:0", "--stop-with-stdin")
    time.sleep(trial.draw.uniform(0, 1))
    program.signal(KILL)
    program.wait(5)
    # Its services see that it is gone, and end.
    trial.no_process()
    next_shop(trial)


@cell("shop", "a service killed", ci=True)
def service_killed(trial):
    shop = Shop(trial)
    shop.use()
    name = trial.draw.choice(sorted(shop.services))
    os.kill(shop.services[name], KILL)
    # A shop that lacks a service is none: it ends, and says which it was.
    trial.ended(shop.program, {1}, END_OF_SHOP, [f"{name} service"])
    shop.gone()


@cells("shop", {"a service stopped, then SIGTERM": TERM, "a service stopped, then killed": KILL})
def service_stopped(trial, disturbance):
    shop = Shop(trial)
    shop.use()
    name = trial.draw.choice(sorted(shop.services))
    os.kill(shop.services[name], STOP)
    time.sleep(0.3)
    shop.program.signal(disturbance)
    trial.ended(shop.program, {0} if disturbance == TERM else {-KILL}, END_OF_SHOP)
    if disturbance == KILL:
        # Nobody is left to kill it; it ends when it goes on.
        os.kill(shop.services[name], CONT)
    shop.gone()


@cell("shop", "stopped for a while")
def shop_stopped(trial):
    shop = Shop(trial)
    shop.program.signal(STOP)
    time.sleep(trial.draw.uniform(0.5, 2))
    shop.program.signal(CONT)
    trial.check("it answers again", until(shop.answers, 10))
    shop.program.signal(TERM)
    trial.ended(shop.program, {0}, END_OF_SHOP)
    shop.gone()


@cell("shop", "disk full", needs="namespaces")
def shop_disk_full(trial):
    disk = trial.keep(Disk(trial, "24m"))
    shop = Shop(trial, "--data-dir", disk.mount / "data", within=disk.within)
    if not trial.check("it starts", shop.ready, shop.program.said()[-400:]):
        return
    disk.fill()
    shop.use()
    trial.check("it goes on", alive(shop.program.pid))
    disk.free()
    trial.check("it answers again",
                until(lambda: shop.answers("/api/cart/add/anonymous-1/Watson/1"), 10))
    shop.program.signal(TERM)
    trial.ended(shop.program, {0}, END_OF_SHOP)
    shop.gone()


@cell("shop", "disk read-only", needs="namespaces")
def shop_read_only(trial):
    disk = trial.keep(Disk(trial, "8m"))
    disk.read_only()
    shop = Shop(trial, "--data-dir", disk.mount / "data", within=disk.within)
    trial.ended(shop.program, {1}, END_AFTER_SIGNAL, ["Read-only file system"])
    shop.gone()


@cell("shop", "few descriptors")
def shop_descriptors(trial):
    shop = Shop(trial, within=["prlimit", f"--nofile={trial.draw.randint(8, 60)}"])
    if shop.ready:
        shop.use()
        shop.program.signal(TERM)
    # It starts and ends in good order, or says what it lacks.
    trial.ended(shop.program, {0, 1}, END_AFTER_SIGNAL, ["open files", "open database file", "descriptors"])
    shop.gone()


@cell("shop", "two on one port")
def shops_on_one_port(trial):
    shop = Shop(trial)
    address = shop.ready["base_url"].removeprefix("http://").rstrip("/")
    other = Shop(trial, listen=address)
    trial.ended(other.program, {1}, END_AFTER_SIGNAL, ["in use"])
    trial.check("the first goes on", shop.answers())
    shop.program.signal(TERM)
    trial.ended(shop.program, {0}, END_OF_SHOP)
    shop.gone()


@cells("shop", {f"OTLP {name}": name for name in ["gone", "silent", "refuse", "garbage", "stopped"]})
def shop_telemetry(trial, disturbance):
    otlp = trial.keep(recording.Target())
    shop = Shop(trial, "--otlp-endpoint", otlp.url)
    shop.use()
    otlp.mode(disturbance)
    shop.use()
    trial.check("it answers", shop.answers())
    shop.program.signal(TERM)
    trial.ended(shop.program, {0}, END_OF_SHOP)
    shop.gone()


SHOP_FILE = """version: 1
flows: {default: {steps: [{path: /api/catalogue/products}]}}
anomalies: {wrong: {root_cause: broken, root_cause_service: catalogue}}
scenarios:
  before: {executor: constant-arrival-rate, rate: 20, duration: 1s, pre_allocated_vus: 20}
  during:
    executor: constant-arrival-rate
    rate: 20
    duration: 4s
    pre_allocated_vus: 20
    anomaly: wrong
    fault: {fault: slow_query, service: catalogue, intensity: 0.1}
"""


def shop_run(trial, shop, name):
    trial.path("shop.yaml").write_text(SHOP_FILE)
    return trial.start("run", trial.path("shop.yaml"), "--base-url", shop.ready["base_url"],
                       "--admin-url", shop.ready["admin_url"], "--out", trial.path(name), "--quiet",
                       "--no-client-spans")


@cell("shop", "two runs on one shop", ci=True)
def two_runs(trial):
    shop = Shop(trial)
    runs = [shop_run(trial, shop, "one")]
    time.sleep(trial.draw.uniform(0, 3))
    runs.append(shop_run(trial, shop, "other"))
    # The fault is held by one of them; the other says that it could not inject it.
    codes = [trial.ended(run, {0, 6}, 60) for run in runs]
    trial.check("one has its fault", 0 in codes, str(codes))
    faults = get(shop.ready["admin_url"].rstrip("/") + "/faults")["faults"]
    trial.check("no fault left", not faults, str(faults))
    shop.program.signal(TERM)
    trial.ended(shop.program, {0}, END_OF_SHOP)
    shop.gone()


@cells("shop", {"killed in a run": KILL, "stopped in a run": STOP})
def shop_fails_in_run(trial, disturbance):
    shop = Shop(trial)
    run = shop_run(trial, shop, "run")
    time.sleep(trial.draw.uniform(2, 4))
    # Without its supervisor the services end; while that is stopped its admin API says nothing.
    shop.program.signal(disturbance)
    trial.ended(run, {0, 4, 6, 8}, 60, ["fault", "reachable", "succeeded"])
    shop.program.signal(CONT)
    if disturbance == KILL:
        # What was to be undone went with its target, which only a person can know.
        for run_id in {line["run_id"] for line in lines(trial.path("run/timeline.jsonl"))
                       if "run_id" in line}:
            trial.start("faults", "clear", run_id, "--forget").wait(60)
    else:
        trial.done("faults", "clear")
        faults = get(shop.ready["admin_url"].rstrip("/") + "/faults")["faults"]
        trial.check("no fault left", not faults, str(faults))
        shop.program.signal(TERM)
        trial.ended(shop.program, {0}, END_OF_SHOP)
    shop.gone()


@cells("embedded", {"collector killed": ("collect", KILL), "collector stopped": ("collect", STOP),
                    "shop killed": ("shop", KILL), "shop stopped": ("shop", STOP)},
       ci=["collector stopped"])
def embedded(trial, disturbance):
    """A run whose own collector or shop is gone, or says nothing."""
    name, number = disturbance
    trial.path("file.yaml").write_text(EPISODE)
    run = trial.start("run", trial.path("file.yaml"), "--out", trial.path("run"), "--quiet")
    timeline = trial.path("run/timeline.jsonl")
    until(lambda: lines(timeline) or run.process.poll() is not None, 60)
    time.sleep(trial.draw.uniform(0, 5))
    own = [pid for pid, line in processes(str(trial.folder).encode()) if line.split(" ")[1:2] == [name]]
    if trial.check("the trial itself", own, f"no {name} was found"):
        os.kill(own[0], number)
    seconds = 60
    if trial.draw.random() < 0.5:
        for _ in range(2):
            run.signal(INT)
            time.sleep(0.3)
        seconds = END_AFTER_SECOND
    # 1: it is told that one of them ended, or had to be killed. 6: its fault can't be cleared.
    trial.ended(run, {1, 5, 6, 8}, seconds, ["ended during the run", "did not end", "fault", "stopping",
                                             "usable"])
    for run_id in {line["run_id"] for line in lines(timeline) if "run_id" in line}:
        # What is left in the journal is a fault in a shop that is gone for good.
        trial.start("faults", "clear", run_id, "--forget").wait(60)
    next_shop(trial)
    trial.nothing_left(trial.path("run"))


class Sender:
    """Sends spans to a collector, one a request, and knows which were acknowledged."""

    def __init__(self, trial, url):
        self.url, self.acknowledged, self.refused, self.number = url, set(), 0, 0
        self.draw = trial.draw
        self.going = True
        self.thread = threading.Thread(target=self.send_on)
        self.thread.start()
        trial.keep(self)

    def send_on(self):
        while self.going:
            self.number += 1
            span_id = f"{self.number:016x}"
            span = {"traceId": f"{self.number:032x}", "spanId": span_id, "name": "x" * 200,
                    "startTimeUnixNano": "1", "endTimeUnixNano": "2"}
            try:
                post(self.url, {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})
                self.acknowledged.add(span_id)
            except OSError:
                self.refused += 1
                time.sleep(0.05)

    def stop(self):
        self.going = False
        self.thread.join()


def post(url, message, seconds=20):
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    request = urllib.request.Request(f"{url}/v1/traces", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=seconds) as answer:
        answer.read()


SPAN_ID = re.compile(rb'"spanId":"([0-9a-f]{16})"')


class Collector:
    def __init__(self, trial, *more, out="telemetry", within=(), env=None, address="127.0.0.1:0"):
        self.trial, self.folder = trial, trial.path(out)
        self.program = trial.start("collect", "--out", self.folder, "--grpc", "127.0.0.1:0", "--http",
                                   address, *more, ready=True, within=within, env=env)
        self.url = self.program.ready and f"http://{self.program.ready['http']}"

    def stored(self, folder=None):
        """Ids of spans in its files. What is hostile makes lines that are too long to be parsed here."""
        found = []
        for path in sorted((folder or self.folder).glob("traces*.jsonl")):
            with path.open("rb") as file:
                for line in file:
                    if line.endswith(b"\n"):
                        found += SPAN_ID.findall(line)
        return [span_id.decode() for span_id in found]

    def holds(self, *senders, folder=None):
        """All that was acknowledged is in the files, once."""
        stored = self.stored(folder)
        for sender in senders:
            missing = sender.acknowledged - set(stored)
            self.trial.check("what was acknowledged is there", not missing,
                             f"{len(missing)} of {len(sender.acknowledged)} missing")
            self.trial.check("the trial itself", sender.acknowledged, "nothing was sent")
        if len(senders) == 1:
            own = [one for one in stored if one in senders[0].acknowledged]
            self.trial.check("nothing twice", len(own) == len(set(own)))


@cells("collector", {"killed": [KILL], "SIGTERM": [TERM], "SIGINT": [INT], "SIGINT twice": [INT, INT]},
       ci=["killed"])
def collector_signals(trial, disturbance):
    collector = Collector(trial)
    sender = Sender(trial, collector.url)
    time.sleep(trial.draw.uniform(0.5, 2))
    for number in disturbance:
        collector.program.signal(number)
        time.sleep(0.1)
    trial.ended(collector.program, {0} if disturbance != [KILL] else {-KILL}, END_AFTER_SIGNAL)
    sender.stop()
    # The next one appends, also to a line that a kill has torn.
    following = Collector(trial)
    post(following.url, {"resourceSpans": []})
    following.program.signal(TERM)
    trial.ended(following.program, {0}, END_AFTER_SIGNAL)
    collector.holds(sender)
    trial.nothing_left(collector.folder)


@cell("collector", "killed while files rotate")
def collector_rotates(trial):
    collector = Collector(trial, "--max-megabytes", "1")
    sender = Sender(trial, collector.url)
    big = {"resourceSpans": [{"scopeSpans": [{"spans": [
        {"traceId": "f" * 32, "spanId": "e" * 16, "name": "y" * 300_000}]}]}]}
    end = time.monotonic() + trial.draw.uniform(0.5, 2)
    while time.monotonic() < end:
        post(collector.url, big)
    collector.program.signal(KILL)
    trial.ended(collector.program, {-KILL}, END_AFTER_SIGNAL)
    sender.stop()
    missing = sender.acknowledged - set(collector.stored())
    trial.check("what was acknowledged is there", not missing, f"{len(missing)} missing")


@cell("collector", "stopped for a while")
def collector_stopped(trial):
    collector = Collector(trial)
    sender = Sender(trial, collector.url)
    time.sleep(0.5)
    collector.program.signal(STOP)
    time.sleep(trial.draw.uniform(1, 3))
    collector.program.signal(CONT)
    time.sleep(0.5)
    sender.stop()
    collector.program.signal(TERM)
    trial.ended(collector.program, {0}, END_AFTER_SIGNAL)
    collector.holds(sender)


@cell("collector", "disk full, then free", ci=True, needs="namespaces")
def collector_disk_full(trial):
    disk = trial.keep(Disk(trial, "4m"))
    collector = Collector(trial, out="disk/telemetry", within=disk.within)
    sender = Sender(trial, collector.url)
    time.sleep(trial.draw.uniform(0.3, 1.5))
    disk.fill()
    trial.check("senders are told", until(lambda: sender.refused > 2, 10), "nothing was refused")
    disk.free()
    before = len(sender.acknowledged)
    trial.check("it takes again", until(lambda: len(sender.acknowledged) > before + 10, 10))
    sender.stop()
    collector.program.signal(TERM)
    trial.ended(collector.program, {0}, END_AFTER_SIGNAL)
    collector.holds(sender, folder=disk.seen("telemetry"))


@cell("collector", "disk read-only", needs="namespaces")
def collector_read_only(trial):
    disk = trial.keep(Disk(trial, "4m"))
    disk.read_only()
    collector = Collector(trial, out="disk/telemetry", within=disk.within)
    trial.ended(collector.program, {1}, END_AFTER_SIGNAL, ["Read-only file system"])


@cell("collector", "few descriptors")
def collector_descriptors(trial):
    collector = Collector(trial, within=["prlimit", f"--nofile={trial.draw.randint(24, 40)}"])
    if collector.url:
        sender = Sender(trial, collector.url)
        address = collector.url.removeprefix("http://").split(":")
        idle = [socket.create_connection((address[0], int(address[1])), 5) for _ in range(30)]
        time.sleep(1)
        for one in idle:
            one.close()
        before = len(sender.acknowledged)
        trial.check("it takes again", until(lambda: len(sender.acknowledged) > before, 15))
        sender.stop()
        collector.program.signal(TERM)
        collector.holds(sender)
    trial.ended(collector.program, {0, 1}, END_AFTER_SIGNAL, ["open files", "descriptors"])


@cell("collector", "two in one folder")
def collectors_in_one_folder(trial):
    collectors = [Collector(trial), Collector(trial)]
    sender = Sender(trial, collectors[0].url)
    other = Sender(trial, collectors[1].url or collectors[0].url)
    other.number = 10 ** 9
    time.sleep(trial.draw.uniform(0.5, 2))
    sender.stop(), other.stop()
    for one in collectors:
        one.program.signal(TERM)
        # The second may refuse the folder.
        trial.ended(one.program, {0, 1}, END_AFTER_SIGNAL, ["another"])
    collectors[0].holds(sender, other)


@cell("collector", "two on one port")
def collectors_on_one_port(trial):
    collector = Collector(trial)
    sender = Sender(trial, collector.url)
    other = Collector(trial, address=collector.url.removeprefix("http://"))
    trial.ended(other.program, {1, 4}, END_AFTER_SIGNAL, ["in use"])
    sender.stop()
    collector.program.signal(TERM)
    trial.ended(collector.program, {0}, END_AFTER_SIGNAL)
    collector.holds(sender)


@cell("collector", "clock steps", needs="faketime")
def collector_clock(trial):
    clock = SteppedClock(trial)
    collector = Collector(trial, "--max-megabytes", "1", env=clock.env)
    sender = Sender(trial, collector.url)
    for seconds in (3600, -3600, 0):
        time.sleep(trial.draw.uniform(0.2, 0.6))
        clock.set(seconds)
    sender.stop()
    collector.program.signal(TERM)
    trial.ended(collector.program, {0}, END_AFTER_SIGNAL)
    collector.holds(sender)


@functools.cache
def zeros(megabytes):
    """That many megabytes of zeros, compressed."""
    packer, megabyte = zlib.compressobj(9, wbits=31), bytes(1 << 20)
    return b"".join(packer.compress(megabyte) for _ in range(megabytes)) + packer.flush()


def empty_spans(count):
    return b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + b",".join([b"{}"] * count) + b"]}]}]}"


def attributes(count):
    each = b'{"key":"a","value":{"intValue":"1"}}'
    span = b'{"traceId":"%032x","spanId":"%016x","attributes":[' % (1 << 100, 1 << 60) + b",".join([each] * count)
    return b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + span + b"]}]}]}]}"


def request(body, more=b""):
    return (b"POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n%b\r\n" % (len(body), more) + body)


# What a client may send, how many at the same time, and how it goes on until it is cut off: None is
# that it waits for an answer.
HOSTILE = {
    "gigabytes in gzip": (lambda: request(zeros(3500), b"content-encoding: gzip\r\n"), 8, None),
    "a million empty spans": (lambda: request(empty_spans(1_300_000)), 8, None),
    "100,000 attributes": (lambda: request(attributes(100_000)), 8, None),
    "depth without end": (lambda: request(b'{"a":' * 500_000), 8, None),
    "headers without end": (lambda: b"POST /v1/traces HTTP/1.1\r\n", 40, b"x-a: " + b"b" * 1000 + b"\r\n"),
    "slow headers": (lambda: b"POST /v1/traces HTTP/1.1\r\n", 40, b"x"),
    "slow bodies": (lambda: request(b"{")[:-1].replace(b": 1\r", b": 100000\r"), 40, b" "),
    "no byte at all": (lambda: b"", 40, b""),
}
# A request whose body or head does not come ends within 30 s; a few seconds for what is at work then.
CUT_OFF = 45
# 64 MiB under way, their decoded form and their lines (docs/collector.md); and, of what is hostile,
# two requests that are decoded before they are refused.
MOST_MB = 1000


@cells("collector", HOSTILE, ci=["gigabytes in gzip"])
def hostile(trial, disturbance):
    make, count, then = disturbance
    collector = Collector(trial)
    address = ("127.0.0.1", int(collector.url.rsplit(":", 1)[1]))
    sender = Sender(trial, collector.url)
    message, clients = make(), []
    for _ in range(count):
        clients.append(threading.Thread(target=until_cut_off, args=(trial, address, message, then)))
        clients[-1].start()
    time.sleep(1)
    # Bodies that don't come may take all room for as long as they have; then there is some again.
    before = len(sender.acknowledged)
    trial.check("others are served", until(lambda: len(sender.acknowledged) > before, CUT_OFF))
    if then is None or trial.draw.random() < 0.5:
        for client in clients:
            client.join()
    sender.stop()
    memory = resident(collector.program.pid)
    trial.check("memory is bounded", memory < MOST_MB, f"{memory:.0f} MB")
    collector.program.signal(INT)
    collector.program.signal(INT)
    trial.ended(collector.program, {0}, END_AFTER_SECOND)
    for client in clients:
        client.join()
    collector.holds(sender)


def until_cut_off(trial, address, message, then):
    """Sends, and goes on as long as the other side lets it."""
    began = time.monotonic()
    try:
        with socket.create_connection(address, 5) as client:
            client.settimeout(0.5 if then is not None else CUT_OFF)
            client.sendall(message)
            while time.monotonic() - began < CUT_OFF + BUSY:
                try:
                    if client.recv(1000) == b"" or then is None:
                        break
                except TimeoutError:
                    if then:
                        client.sendall(then)
    except OSError:
        pass
    took = time.monotonic() - began
    trial.check("ends in time", took < CUT_OFF, f"a client was served for {took:.0f} s")


@cell("collector", "SIGSTOP while gRPC is connected")
def collector_grpc(trial):
    """A client that has sent the preface of HTTP/2 and nothing more does not hold up the end."""
    collector = Collector(trial)
    host, port = collector.program.ready["grpc"].rsplit(":", 1)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + struct.pack(">IBI", 0, 4, 0)
    with socket.create_connection((host, int(port)), 5) as client:
        client.sendall(preface)
        time.sleep(0.5)
        collector.program.signal(STOP)
        collector.program.signal(TERM)
        time.sleep(1)
        collector.program.signal(CONT)
        # Open requests have 5 s; there are none.
        trial.ended(collector.program, {0}, END_AFTER_SIGNAL)
    trial.nothing_left(collector.folder)

