"""Runs of both engines against a target that writes down what it gets, and their guards."""

import collections
import json
import os
import pathlib
import subprocess
import time

import recording
from disturb.base import (CLEAN_AFTER_KILL, CONT, DATASET, END_AFTER_SECOND, END_AFTER_SIGNAL, INT, KILL, STOP,
                          TERM, Disk, SteppedClock, cell, cells, lines, until)

RATE, LENGTH = 100, 5
# Requests that a killed run may have sent and not written down: docs/timeline-format.md says 250 ms,
# with k6 500 ms; and k6 goes on until the guard has ended it. Twice as much where all is busy.
UNWRITTEN = {"rust": RATE // 2, "k6": RATE * 3 // 2}

FILE = """version: 1
defaults: {timeout: 2s, graceful_stop: 1s}
flows: {default: {steps: [{path: /}]}}
SETTINGSanomalies: {wrong: {root_cause: broken, root_cause_service: store}}
scenarios:
  before: {executor: constant-arrival-rate, rate: RATE, duration: 1s, pre_allocated_vus: VUS}
  during:
    executor: constant-arrival-rate
    rate: RATE
    duration: 4s
    pre_allocated_vus: VUS
    anomaly: wrong
    fault: FAULT
"""
# Commands of the driver `exec`, by which a file is the fault.
MARKED = ("{driver: exec, fault: broken, service: store, parameters: {inject: 'touch FILE', "
          "confirm: 'test -f FILE', clear: 'rm -f FILE'}}")


class Run:
    """A run with a collector for its client spans and a target, on places of their own."""

    def __init__(self, trial, engine, disk=None, within=(), env=None, more=(), otlp=None, vus=50,
                 fault=MARKED, settings="", folder="run"):
        self.trial, self.engine, self.disk = trial, engine, disk
        self.target = trial.keep(recording.Target())
        self.collector = trial.start("collect", "--out", trial.path("telemetry"), "--grpc",
                                     "127.0.0.1:0", "--http", "127.0.0.1:0", ready=True)
        self.marker = trial.path("broken")
        text = FILE.replace("FAULT", fault.replace("FILE", str(self.marker)))
        text = text.replace("SETTINGS", settings).replace("RATE", str(RATE)).replace("VUS", str(vus))
        trial.path("file.yaml").write_text(text)
        out = disk.mount / folder if disk else trial.path(folder)
        self.folder = disk.seen(folder) if disk else out
        receiver = otlp or f"http://{self.collector.ready['grpc']}"
        protocol = "http/protobuf" if otlp else "grpc"
        self.words = ["run", trial.path("file.yaml"), "--base-url", self.target.url, "--out", out,
                      "--engine", engine, "--quiet", "--otlp-endpoint", receiver,
                      "--otlp-protocol", protocol, *more]
        self.program = trial.start(*self.words, within=[*(disk.within if disk else ()), *within],
                                   env=env)
        self.timeline = self.folder / "timeline.jsonl"

    def opened(self, window=2):
        """Waits until so many windows have opened, or the run has ended."""
        def holds():
            found = sum(line["event"] == "window_opened" for line in lines(self.timeline))
            return found >= window or self.program.process.poll() is not None
        until(holds, 60)

    def somewhere(self):
        """Waits for a drawn moment of the whole of the run."""
        time.sleep(self.trial.draw.uniform(0.3, LENGTH + 2.0))

    def within_load(self):
        """Waits for a drawn moment after the fault's window has opened."""
        self.opened()
        time.sleep(self.trial.draw.uniform(0.2, 2.5))

    def check(self, in_order=True, spans=True, may_repeat=False):
        """Holds what the run claims against what the target has got."""
        trial, seen = self.trial, self.target.seen()
        ledger = self.folder / "ledger.arrows"
        rows = list(recording.ledger(ledger)) if ledger.exists() else []
        claimed = collections.Counter(trace for trace, _ in rows)
        unseen = [trace for trace, answered in rows if answered and trace not in seen]
        trial.check("claimed is received", not unseen, f"{len(unseen)} of {len(rows)} rows")
        # Go's client, and so k6, sends a request again whose connection breaks before its answer.
        once = (claimed,) if may_repeat and self.engine == "k6" else (claimed, seen)
        twice = [trace for counts in once for trace, count in counts.items() if count > 1]
        trial.check("each request once", not twice, f"{len(twice)} twice, such as {twice[:1]}")
        unwritten = sum(trace not in claimed for trace in seen)
        allowed = 0 if in_order else UNWRITTEN[self.engine]
        trial.check("received is claimed", unwritten <= allowed,
                    f"{unwritten} of {len(seen)} requests are not in the ledger; {allowed} may be")
        timeline = lines(self.timeline)
        sent = sum(line["sent"] for line in timeline if line["event"] == "window_drained")
        if in_order and any(line["event"] == "window_drained" for line in timeline):
            trial.check("counts agree", sent == len(rows), f"timeline {sent}, ledger {len(rows)}")
            summary = json.loads((self.folder / "summary.json").read_text())
            told = sum(one["requests"] for one in summary["scenarios"])
            trial.check("counts agree", told == len(rows), f"summary {told}, ledger {len(rows)}")
        began = any(line["event"] == "run_started" for line in timeline)
        if in_order and began:
            trial.check("timeline has its end", timeline[-1]["event"] == "run_finished", timeline[-1:])
        trial.check("no fault left", until(lambda: not self.marker.exists(), CLEAN_AFTER_KILL),
                    "the marker of the fault is there")
        self.extract(has_spans=spans and len(rows) > RATE, began=began)

    def extract(self, has_spans, began):
        """Stops the collector, and labels what there is."""
        trial = self.trial
        self.collector.signal(TERM)
        trial.ended(self.collector, {0, -KILL}, END_AFTER_SIGNAL)
        within = self.disk.within if self.disk else ()
        timeline = self.disk.mount / "run/timeline.jsonl" if self.disk else self.timeline
        if began:
            trial.done("extract", trial.path("telemetry"), "--timeline", timeline, "--out",
                       trial.path("dataset"), within=within,
                       codes=DATASET if has_spans else {3, *DATASET}, says=["error"])
        trial.nothing_left(self.folder, self.folder.parent, trial.path("dataset"))


def both(disturbances, ci=(), needs=""):
    """Cells of both engines."""
    def add(function):
        for component, engine in (("engine", "rust"), ("k6", "k6")):
            def of_engine(trial, disturbance, engine=engine):
                return function(trial, engine, disturbance)
            chosen = [name.split("/")[1] for name in ci if name.startswith(component)]
            cells(component, disturbances, chosen, needs or ("k6" if engine == "k6" else ""))(of_engine)
        return function
    return add


@both({"killed": [KILL], "SIGINT": [INT], "SIGTERM": [TERM], "SIGINT twice": [INT, INT],
       "SIGTERM three times": [TERM, TERM, TERM]},
      ci=["engine/killed", "k6/killed", "engine/SIGINT twice", "k6/SIGINT"])
def signals(trial, engine, sequence):
    run = Run(trial, engine)
    run.somewhere()
    for number in sequence:
        run.program.signal(number)
        time.sleep(0.3)
    killed = sequence == [KILL]
    seconds = END_AFTER_SECOND if len(sequence) > 1 else END_AFTER_SIGNAL
    # 0: it was over before. 5 comes from a run that has begun to listen; a signal before ends it.
    codes = {-KILL, 0} if killed else {5, 0}
    trial.ended(run.program, codes, seconds, ["stopping", "signal"])
    # After the third, and after a kill, the guard sees to the end.
    run.check(in_order=not killed and len(sequence) < 3)


@both({"stopped for a while": (STOP, CONT)}, ci=["engine/stopped for a while"])
def paused(trial, engine, _):
    run = Run(trial, engine)
    run.within_load()
    run.program.signal(STOP)
    time.sleep(trial.draw.uniform(0.5, 3))
    run.program.signal(CONT)
    trial.ended(run.program, {0}, 60)
    run.check()


@both({f"target {name}": name for name in recording.FAILURES},
      ci=["engine/target gone", "k6/target reset"])
def target(trial, engine, failure):
    run = Run(trial, engine)
    run.within_load()
    run.target.mode(failure)
    if trial.draw.random() < 0.5:
        # It comes back while the load goes on.
        time.sleep(trial.draw.uniform(0.2, 1.5))
        run.target.mode("ok")
    trial.ended(run.program, {0}, 60)
    run.target.mode("ok")
    run.check(may_repeat=True)


@both({f"OTLP {name}": name for name in recording.FAILURES}, ci=["engine/OTLP silent"])
def receiver(trial, engine, failure):
    otlp = trial.keep(recording.Target())
    run = Run(trial, engine, otlp=otlp.url)
    run.within_load()
    otlp.mode(failure)
    trial.ended(run.program, {0}, 60)
    run.check(spans=False)


@both({f"OTLP {name}, then SIGINT twice": name for name in ["silent", "gone", "stopped"]},
      ci=["engine/OTLP silent, then SIGINT twice"])
def receiver_signals(trial, engine, failure):
    """Spans that nobody takes hold up no end that is asked for twice."""
    otlp = trial.keep(recording.Target())
    run = Run(trial, engine, otlp=otlp.url)
    run.within_load()
    otlp.mode(failure)
    # Within the load, or while spans are waited for after it.
    time.sleep(trial.draw.choice([0.5, LENGTH]))
    run.program.signal(INT)
    time.sleep(trial.draw.uniform(0.3, 2))
    run.program.signal(INT)
    trial.ended(run.program, {0, 5}, END_AFTER_SECOND, ["stopping"])
    run.check(spans=False)


@both({"collector killed": KILL, "collector stopped": STOP})
def collector(trial, engine, number):
    run = Run(trial, engine)
    run.within_load()
    run.collector.signal(number)
    trial.ended(run.program, {0}, 60)
    run.collector.signal(CONT)
    run.check(spans=False)


@both({"disk full": True}, ci=["engine/disk full", "k6/disk full"], needs="namespaces")
def disk_full(trial, engine, _):
    disk = trial.keep(Disk(trial, "8m"))
    run = Run(trial, engine, disk=disk)
    run.within_load()
    disk.fill()
    # A run that has nothing to write any more at this moment comes to its end.
    trial.ended(run.program, {0, 1}, 60, ["No space left"])
    disk.free()
    # What was sent while nothing could be written is lost, and said to be: the run failed.
    run.check(in_order=False)


@both({"disk read-only": True}, needs="namespaces")
def read_only(trial, engine, _):
    disk = trial.keep(Disk(trial, "8m"))
    disk.read_only()
    run = Run(trial, engine, disk=disk)
    trial.ended(run.program, {1}, 20, ["Read-only file system"])
    run.check()
    trial.check("nothing was sent", not run.target.seen())


@both({"few descriptors": True}, ci=["engine/few descriptors"])
def descriptors(trial, engine, _):
    run = Run(trial, engine, within=["prlimit", f"--nofile={trial.draw.randint(8, 70)}"])
    trial.ended(run.program, {0, 1, 4, 6, 8}, 60, ["descriptors", "Too many open files"])
    run.check(in_order=run.program.process.returncode in (0, 6, 8), spans=False)


@cell("engine", "clock steps", ci=True, needs="faketime")
def clock(trial):
    clock = SteppedClock(trial)
    run = Run(trial, "rust", env=clock.env)
    run.within_load()
    clock.set(trial.draw.choice([-1, 1]) * trial.draw.choice([2, 60, 3600, 86400]))
    trial.ended(run.program, {0}, 60)
    stepped = any(line["event"] == "clock_stepped" for line in lines(run.timeline))
    trial.check("the step is on the timeline", stepped)
    times = [line["at_ns"] for line in lines(run.timeline) if line["event"] == "heartbeat"]
    apart = [(b - a) / 1e9 for a, b in zip(times, times[1:])]
    trial.check("times don't follow the clock", all(0 < one < 10 for one in apart), str(apart))
    run.check()


@both({"two runs in one folder": True}, ci=["engine/two runs in one folder"])
def one_folder(trial, engine, _):
    run = Run(trial, engine)
    if trial.draw.random() < 0.7:
        run.somewhere()
    other = trial.start(*run.words)
    codes = [trial.ended(one, {0, 1}, 60, ["is there already"]) for one in (run.program, other)]
    trial.check("one of them runs", sorted(codes, key=str) == [0, 1], str(codes))
    run.check()


@both({"two runs on one target": True})
def one_target(trial, engine, _):
    run = Run(trial, engine)
    time.sleep(trial.draw.uniform(0, 3))
    words = list(run.words)
    words[words.index("--out") + 1] = trial.path("other")
    other = trial.start(*words)
    # They undo each other's fault. The one that loses it says so.
    for one in (run.program, other):
        trial.ended(one, {0, 6}, 60)
    rows = [row for name in ("run", "other")
            for row in recording.ledger(trial.path(name) / "ledger.arrows")]
    claimed, seen = {trace for trace, _ in rows}, run.target.seen()
    unseen = [trace for trace, answered in rows if answered and trace not in seen]
    trial.check("claimed is received", not unseen, f"{len(unseen)} of {len(rows)} rows")
    trial.check("received is claimed", seen.keys() <= claimed, f"{len(rows)} rows, {len(seen)} seen")
    trial.check("each request once", len(rows) == len(claimed))
    trial.check("no fault left", not run.marker.exists())
    run.collector.signal(TERM)
    trial.ended(run.collector, {0}, END_AFTER_SIGNAL)
    trial.nothing_left(run.folder, trial.path("other"))


@cell("k6", "k6 itself killed", ci=True, needs="k6")
def k6_killed(trial):
    run = Run(trial, "k6")
    run.within_load()
    own = [pid for pid in children(run.program.pid) if "replay.js" in words_of(pid)]
    for pid in own:
        os.kill(pid, KILL)
    trial.check("the trial itself", own, "no k6 was found")
    trial.ended(run.program, {1}, END_AFTER_SIGNAL, ["k6"])
    run.check(in_order=False)


@cell("k6", "k6 itself stopped", needs="k6")
def k6_stopped(trial):
    run = Run(trial, "k6")
    run.within_load()
    own = [pid for pid in children(run.program.pid) if "replay.js" in words_of(pid)]
    for pid in own:
        os.kill(pid, STOP)
    time.sleep(1)
    for number in (INT, INT):
        run.program.signal(number)
        time.sleep(0.3)
    trial.ended(run.program, {1, 5}, END_AFTER_SECOND)
    run.check(in_order=False)


def words_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def children(parent):
    listed = subprocess.run(["pgrep", "-P", str(parent)], text=True, check=False,
                            capture_output=True).stdout
    return [int(pid) for pid in listed.split()]


def guard_of(run):
    """The guard's pid; it is there before the first request."""
    found = []

    def holds():
        found[:] = [pid for pid in children(run.program.pid) if "\0guard\0" in words_of(pid)]
        return found
    until(holds, 30)
    return found[0] if found else None


@cells("guard", {"killed": KILL, "SIGTERM": TERM, "SIGINT": INT}, ci=["killed"])
def guard(trial, disturbance):
    run = Run(trial, "rust")
    run.opened(1)
    pid = guard_of(run)
    run.within_load()
    if trial.check("the trial itself", pid, "no guard was found"):
        os.kill(pid, disturbance)
    # The run needs no guard to come to its end.
    trial.ended(run.program, {0}, 60)
    run.check()


@cell("guard", "killed with its run", ci=True)
def killed_together(trial):
    run = Run(trial, "rust")
    run.opened(1)
    pid = guard_of(run)
    run.within_load()
    for one in (pid, run.program.pid):
        os.kill(one, KILL)
    run.program.wait(5)
    if trial.draw.random() < 0.5:
        trial.done("faults", "clear")
    else:
        # The next run does it before it begins.
        words = list(run.words)
        words[words.index("--out") + 1] = trial.path("next")
        words += ["--scenarios", "before"]
        following = trial.start(*words)
        trial.ended(following, {0}, 60)
        for trace, _ in recording.ledger(trial.path("next") / "ledger.arrows"):
            trial.check("claimed is received", trace in run.target.seen())
            break
        trial.check("no fault left", not run.marker.exists())
        run.collector.signal(TERM)
        trial.ended(run.collector, {0}, END_AFTER_SIGNAL)
        trial.nothing_left(run.folder, trial.path("next"))
        return
    run.check(in_order=False)


@cell("guard", "stopped")
def guard_stopped(trial):
    run = Run(trial, "rust")
    run.opened(1)
    pid = guard_of(run)
    run.within_load()
    os.kill(pid, STOP)
    # The run waits 20 s for its guard, and kills it then.
    trial.ended(run.program, {0}, LENGTH + 20 + END_AFTER_SIGNAL)
    run.check()


HANGING = "{driver: proxy, fault: latency, service: store, parameters: {proxy: edge, latency: 50ms}}"


@cells("guard", {"fault API hangs": "silent", "fault API gone": "gone", "fault API garbage": "garbage",
                 "fault API refuses": "refuse"}, ci=["fault API hangs"])
def fault_api(trial, disturbance):
    """An API that says nothing, or nonsense: the fault fails, and the run says so."""
    api = trial.keep(recording.Target())
    api.mode(disturbance)
    run = Run(trial, "rust", fault=HANGING, settings=f"drivers: {{proxy: {{url: '{api.url}'}}}}\n")
    codes = {1, 4, 6}
    if trial.draw.random() < 0.5:
        run.somewhere()
        run.program.signal(INT)
        codes = {1, 4, 5, 6}
    trial.ended(run.program, codes, LENGTH + 2 * END_AFTER_SIGNAL, ["fault", "proxy", "driver", "signal"])
    run.check()


@cells("guard", {"inject hangs": "inject", "confirm hangs": "confirm", "clear hangs": "clear"})
def command_hangs(trial, disturbance):
    """A command of `exec` that never ends is ended, with what it has started."""
    commands = {"inject": "touch FILE", "confirm": "test -f FILE", "clear": "rm -f FILE"}
    commands[disturbance] = f"test -f {trial.path('let')} || sleep 1000; " + commands[disturbance]
    parameters = ", ".join(f"{name}: '{text}'" for name, text in commands.items())
    run = Run(trial, "rust", fault=f"{{driver: exec, fault: broken, service: store, "
                                   f"parameters: {{{parameters}}}}}")
    trial.ended(run.program, {6}, LENGTH + 40, ["can't"])
    trial.path("let").touch()
    trial.done("faults", "clear")
    run.check()


@cells("guard", {"inject hangs, then SIGINT twice": "inject", "clear hangs, then SIGINT twice": "clear"},
       ci=["inject hangs, then SIGINT twice"])
def command_hangs_at_end(trial, disturbance):
    commands = {"inject": "touch FILE", "confirm": "test -f FILE", "clear": "rm -f FILE"}
    commands[disturbance] = f"test -f {trial.path('let')} || sleep 1000; " + commands[disturbance]
    parameters = ", ".join(f"{name}: '{text}'" for name, text in commands.items())
    run = Run(trial, "rust", fault=f"{{driver: exec, fault: broken, service: store, "
                                   f"parameters: {{{parameters}}}}}")
    run.within_load()
    for _ in range(2):
        run.program.signal(INT)
        time.sleep(0.3)
    trial.ended(run.program, {5, 6}, END_AFTER_SECOND, ["stopping"])
    trial.path("let").touch()
    trial.done("faults", "clear")
    run.check()


@cell("guard", "run killed while the fault API hangs")
def killed_while_hanging(trial):
    """The guard gives up within its time, and the journal stays for the next one."""
    proxy = trial.start("proxy", "--listen", "127.0.0.1:0", "--stop-with-stdin", ready=True)
    run = Run(trial, "rust", fault=HANGING,
              settings=f"drivers: {{proxy: {{url: '{proxy.ready['api_url']}'}}}}\n")
    run.opened(1)
    pid = guard_of(run)
    time.sleep(1)
    proxy.signal(STOP)
    run.program.signal(KILL)
    # Five attempts of at most 10 s each, a second apart, and as much for looking again.
    trial.check("ends in time", until(lambda: not words_of(pid), 90), "the guard goes on")
    proxy.signal(CONT)
    trial.done("faults", "clear")
    run.check(in_order=False)


@cell("guard", "disk full when its run is killed", needs="namespaces")
def guard_disk_full(trial):
    disk = trial.keep(Disk(trial, "8m"))
    run = Run(trial, "rust", disk=disk)
    run.within_load()
    disk.fill()
    run.program.signal(KILL)
    trial.ended(run.program, {-KILL, 1}, 20)
    until(lambda: not run.marker.exists(), CLEAN_AFTER_KILL)
    disk.free()
    run.check(in_order=False)
