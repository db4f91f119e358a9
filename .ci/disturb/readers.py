"""What reads: the extractor, the build of several runs, campaigns, and scenario files that are large."""

import gzip
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import time

from disturb.base import (DATASET, END_AFTER_SECOND, END_AFTER_SIGNAL, EPISODE, INT, KILL, TERM,
                          Disk, SteppedClock, cell, cells, is_work, lines)
from disturb.services import attributes, empty_spans

class Source:
    """A run that is made once, at its first use, for all cells that read one."""

    def __init__(self, args):
        self.loadgen = args.loadgen
        self.lock = threading.Lock()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="reliability-source-"))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self):
        """Its folder, with telemetry and without a dataset."""
        with self.lock:
            place = self.folder / "run"
            if not place.exists():
                (self.folder / "file.yaml").write_text(EPISODE)
                subprocess.run([self.loadgen, "run", self.folder / "file.yaml", "--out", place, "--quiet",
                                "--no-extract"], check=True, stdout=subprocess.DEVNULL,
                               env={**os.environ, "LOADGEN_STATE_DIR": str(self.folder / "state")})
            return place


class Extraction:
    """An extraction of a copy of the common run."""

    def __init__(self, trial, disk=None):
        self.trial, self.disk = trial, disk
        self.run = trial.path("runs/run")
        shutil.copytree(trial.args.source.run(), self.run)
        self.out = (disk.mount if disk else trial.folder) / "dataset"
        self.telemetry = self.run / "telemetry"

    def words(self, *more):
        return ["extract", self.telemetry, "--timeline", self.run / "timeline.jsonl", "--out", self.out,
                *more]

    def again(self):
        """The next one makes a whole dataset, and removes what is left of the one before."""
        trial = self.trial
        out = self.disk.seen("dataset") if self.disk else self.out
        # A dataset of the same second has the name.
        time.sleep(1.1)
        trial.done(*self.words(), codes=DATASET, within=self.disk.within if self.disk else ())
        tables = list(out.glob("traces_labeled_*.csv"))
        trial.check("there is a dataset", tables)
        audits = list(out.glob("audit_*.json"))
        trial.check("it is whole", len(audits) == len(tables) and audits, f"{len(tables)} tables")
        trial.nothing_left(out)


@cells("extractor", {"killed": [KILL], "SIGINT": [INT], "SIGTERM": [TERM], "SIGINT twice": [INT, INT]},
       ci=["killed", "SIGINT"])
def extractor_signals(trial, disturbance):
    extraction = Extraction(trial)
    program = trial.start(*extraction.words())
    time.sleep(trial.draw.uniform(0.05, 1))
    for number in disturbance:
        program.signal(number)
        time.sleep(0.05)
    seconds = END_AFTER_SIGNAL if len(disturbance) == 1 else END_AFTER_SECOND
    # 0 and 7: it was over before.
    trial.ended(program, {*DATASET, -KILL if disturbance == [KILL] else 5}, seconds)
    if disturbance in ([INT], [TERM]):
        trial.no_work_folder(extraction.out)
    extraction.again()


@cells("extractor", {"--runs killed": [KILL], "--runs SIGINT": [INT]})
def continuous(trial, disturbance):
    extraction = Extraction(trial)
    words = ["extract", extraction.telemetry, "--runs", trial.path("runs"), "--out", extraction.out,
             "--wait", "0"]
    time.sleep(11)
    program = trial.start(*words)
    time.sleep(trial.draw.uniform(0.05, 1))
    for number in disturbance:
        program.signal(number)
    # 8: the run is too short for a dataset that is usable.
    trial.ended(program, {0, 8, -KILL if disturbance == [KILL] else 5}, END_AFTER_SIGNAL)
    trial.done(*words, codes={0, 8})
    trial.check("there is a dataset", list(extraction.out.glob("run/traces_labeled_*.csv")))
    trial.nothing_left()
    left = [one.name for one in extraction.out.iterdir() if one.is_dir() and is_work(one.name)]
    trial.check("no folder left", not left, ", ".join(left))


@cells("extractor", {"--follow killed": KILL, "--follow SIGINT": INT})
def follow(trial, disturbance):
    extraction = Extraction(trial)
    # A run that has no end yet.
    timeline = extraction.run / "timeline.jsonl"
    timeline.write_text("".join(line + "\n" for line in timeline.read_text().splitlines()[:-3]))
    program = trial.start(*extraction.words("--follow", "--every", "1"))
    time.sleep(trial.draw.uniform(0.2, 3))
    program.signal(disturbance)
    trial.ended(program, {5, -KILL, *DATASET}, END_AFTER_SIGNAL)
    if disturbance == INT:
        trial.no_work_folder(extraction.out)
    shutil.copy(trial.args.source.run() / "timeline.jsonl", timeline)
    time.sleep(1.1)
    trial.done(*extraction.words(), codes=DATASET)
    trial.nothing_left(extraction.out)


@cell("extractor", "disk full", ci=True, needs="namespaces")
def extractor_disk_full(trial):
    disk = trial.keep(Disk(trial, f"{trial.draw.randint(100, 2000)}k"))
    extraction = Extraction(trial, disk)
    program = trial.start(*extraction.words(), within=disk.within)
    trial.ended(program, {1, *DATASET}, 60, ["No space left"])
    out = disk.seen("dataset")
    if program.process.returncode == 1:
        trial.check("no folder left", not out.exists() or not list(out.iterdir()), "")
    subprocess.run([*disk.within, "mount", "-o", "remount,size=200m", disk.mount], check=True)
    extraction.again()


@cell("extractor", "disk read-only", needs="namespaces")
def extractor_read_only(trial):
    disk = trial.keep(Disk(trial, "8m"))
    disk.read_only()
    extraction = Extraction(trial, disk)
    trial.done(*extraction.words(), codes={1}, says=["Read-only file system"], within=disk.within)
    trial.nothing_left()


@cell("extractor", "few descriptors")
def extractor_descriptors(trial):
    extraction = Extraction(trial)
    trial.done(*extraction.words(), codes={1, 3, *DATASET}, says=["open files", "descriptors"],
               within=["prlimit", f"--nofile={trial.draw.randint(6, 60)}"])
    extraction.again()


@cell("extractor", "two in one folder")
def extractors_in_one_folder(trial):
    extraction = Extraction(trial)
    programs = [trial.start(*extraction.words())]
    time.sleep(trial.draw.uniform(0, 0.5))
    programs.append(trial.start(*extraction.words()))
    codes = [trial.ended(one, {1, *DATASET}, 60, ["exists already"]) for one in programs]
    trial.check("one makes a dataset", set(codes) & DATASET, str(codes))
    extraction.again()


@cell("extractor", "clock steps", needs="faketime")
def extractor_clock(trial):
    clock = SteppedClock(trial)
    extraction = Extraction(trial)
    program = trial.start(*extraction.words(), env=clock.env)
    time.sleep(trial.draw.uniform(0.05, 0.5))
    clock.set(trial.draw.choice([-86400, 86400]))
    trial.ended(program, DATASET, 60)
    extraction.again()


# Files that lie in the folder of telemetry: each is passed over, or named.
ODD = {
    "a fifo": lambda folder: os.mkfifo(folder / "traces-2.jsonl"),
    "a folder that is called like a file": lambda folder: (folder / "traces-2.jsonl").mkdir(),
    "a link to /dev/zero": lambda folder: (folder / "traces-2.jsonl").symlink_to("/dev/zero"),
    "a link to itself": lambda folder: (folder / "traces-2.jsonl").symlink_to("traces-2.jsonl"),
    "a million empty spans":
        lambda folder: (folder / "traces-2.jsonl").write_bytes(empty_spans(1_000_000) + b"\n"),
    "a million attributes":
        lambda folder: (folder / "traces-2.jsonl").write_bytes(attributes(1_000_000) + b"\n"),
    "a line of a gigabyte": lambda folder: sparse(folder / "traces-2.jsonl", 1 << 30),
    "gzip cut off":
        lambda folder: (folder / "traces-2.jsonl.gz").write_bytes(
            gzip.compress((folder / "traces.jsonl").read_bytes())[:-20]),
    "noise": lambda folder: (folder / "traces-2.jsonl").write_bytes(os.urandom(1 << 20)),
}


def sparse(path, size):
    with path.open("wb") as out:
        out.write(b'{"resourceSpans":[')
        out.truncate(size)


@cells("extractor", ODD, ci=["a fifo"])
def odd(trial, disturbance):
    extraction = Extraction(trial)
    disturbance(extraction.telemetry)
    # Addresses are more than memory: threads have their stacks and arenas.
    trial.done(*extraction.words(), codes=DATASET, seconds=120, within=["prlimit", f"--as={2 << 30}"])
    tables = list(extraction.out.glob("traces_labeled_*.csv"))
    trial.check("there is a dataset", tables)
    trial.nothing_left(extraction.out)


@cell("extractor", "zeros as a timeline", ci=True)
def zeros_as_timeline(trial):
    extraction = Extraction(trial)
    words = extraction.words()
    words[3] = "/dev/zero"
    trial.done(*words, codes={3, 8}, seconds=60, says=["longer than"], within=["prlimit", f"--as={4 << 30}"])
    trial.nothing_left(extraction.out)


@cells("extractor", {"a timeline that never comes, then SIGINT twice": True,
                     "telemetry without end, then SIGINT twice": False})
def without_end(trial, disturbance):
    """What has no end is read until somebody ends that."""
    extraction = Extraction(trial)
    words = extraction.words()
    if disturbance:
        os.mkfifo(trial.path("fifo"))
        words[3] = trial.path("fifo")
    else:
        words[1] = "/dev/zero"
    program = trial.start(*words, within=["prlimit", f"--as={2 << 30}"])
    time.sleep(trial.draw.uniform(0.5, 3))
    for _ in range(2):
        program.signal(INT)
        time.sleep(0.3)
    trial.ended(program, {5}, END_AFTER_SECOND)
    extraction.again()


@cells("dataset build", {"killed": [KILL], "SIGINT": [INT]})
def build(trial, disturbance):
    extraction = Extraction(trial)
    trial.done("extract", extraction.telemetry, "--timeline", extraction.run / "timeline.jsonl", "--out",
               extraction.run / "dataset", codes=DATASET)
    words = ["dataset", "build", extraction.run, "--out", trial.path("built/all")]
    program = trial.start(*words)
    time.sleep(trial.draw.uniform(0.02, 0.6))
    for number in disturbance:
        program.signal(number)
    trial.ended(program, {0, 8, -KILL if disturbance == [KILL] else 5}, END_AFTER_SIGNAL)
    if not trial.path("built/all").exists():
        trial.done(*words, codes={0, 8})
    trial.check("there is a dataset", trial.path("built/all/checksums.sha256").exists()
                or list(trial.path("built/all").iterdir()))
    trial.nothing_left(trial.path("built"))


def campaign_words(trial, out="campaign"):
    trial.path("small.yaml").write_text(EPISODE)
    return ["campaign", trial.path("small.yaml"), "--out", trial.path(out), "--runs", "2", "--quiet"]


@cells("campaign", {"killed": [KILL], "SIGINT": [INT], "SIGINT twice": [INT, INT]}, ci=["killed"])
def campaign(trial, disturbance):
    words = campaign_words(trial)
    program = trial.start(*words)
    time.sleep(trial.draw.uniform(0.5, 25))
    for number in disturbance:
        program.signal(number)
        time.sleep(0.2)
    # Its run has a dataset to make yet, at the first signal.
    trial.ended(program, {0, 8, -KILL if disturbance == [KILL] else 5}, 60)
    # At once is not in good order: what a second signal leaves is removed by the next one.
    trial.nothing_left(temporary=len(disturbance) == 1)
    goes_on(trial, words)


def goes_on(trial, words):
    """The same command makes what is missing."""
    trial.done(*words, codes={0, 8}, seconds=180)
    done = [line for line in lines(trial.path("campaign/campaign.jsonl")) if line["has_dataset"]]
    trial.check("each run once", sorted(line["run"] for line in done) == [0, 1], str(done))
    left = {f"runs/{one.name}" for one in trial.path("campaign/runs").iterdir() if one.is_dir()}
    told = {line["folder"] for line in lines(trial.path("campaign/campaign.jsonl"))}
    trial.check("no folder left", left <= told, str(sorted(left - told)))
    trial.check("there is a dataset", trial.path("campaign/dataset").is_dir())
    trial.nothing_left(trial.path("campaign"))


@cell("campaign", "two in one folder")
def campaigns_in_one_folder(trial):
    words = campaign_words(trial)
    program = trial.start(*words)
    time.sleep(trial.draw.uniform(1, 5))
    trial.done(*words, codes={1, 3}, seconds=END_AFTER_SIGNAL, says=["another", "works on"])
    trial.ended(program, {0, 8}, 180)
    goes_on(trial, words)


@cell("campaign", "disk full", needs="namespaces")
def campaign_disk_full(trial):
    disk = trial.keep(Disk(trial, "64m"))
    words = campaign_words(trial, "disk/campaign")
    program = trial.start(*words, within=disk.within)
    time.sleep(trial.draw.uniform(1, 10))
    disk.fill()
    trial.ended(program, {0, 1, 8}, 120, ["No space left", "disk", "run"])
    trial.nothing_left()
    disk.free()
    trial.done(*words, codes={0, 1, 8}, seconds=180, within=disk.within)
    trial.check("what is done is written down", disk.seen("campaign/campaign.jsonl").exists())
    trial.nothing_left()


@cell("campaign", "disk read-only", needs="namespaces")
def campaign_read_only(trial):
    disk = trial.keep(Disk(trial, "8m"))
    disk.read_only()
    trial.done(*campaign_words(trial, "disk/campaign"), codes={1}, seconds=20,
               says=["Read-only file system"], within=disk.within)
    trial.nothing_left()


@cell("campaign", "its run killed")
def campaign_run_killed(trial):
    words = campaign_words(trial)
    program = trial.start(*words)
    time.sleep(trial.draw.uniform(1, 8))
    listed = subprocess.run(["pgrep", "-P", str(program.pid)], text=True, check=False,
                            capture_output=True).stdout
    for pid in listed.split():
        os.kill(int(pid), KILL)
    trial.ended(program, {0, 8}, 180)
    trial.nothing_left()
    goes_on(trial, words)


@cell("input", "10,000 scenarios", ci=True)
def many_scenarios(trial):
    one = "  s{}: {{executor: constant-vus, vus: 1, duration: 1s}}\n"
    text = ("version: 1\nbase_url: http://127.0.0.1:9\nflows: {default: {steps: [{path: /}]}}\nscenarios:\n"
            + "".join(one.format(number) for number in range(10_000)))
    trial.path("many.yaml").write_text(text)
    for words in (["check", trial.path("many.yaml")], ["plan", trial.path("many.yaml")]):
        trial.done(*words, codes={0, 3}, seconds=60, says=["error"],
                   within=["prlimit", f"--as={2 << 30}"])


class Large(http.server.BaseHTTPRequestHandler):
    """Answers with a value that begins a body of so many megabytes."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        size = self.server.megabytes << 20
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(size))
        self.end_headers()
        begin = b'{"id":"1","rest":"'
        left = size - len(begin) - 2
        try:
            self.wfile.write(begin)
            while left > 0:
                left -= self.wfile.write(b"x" * min(left, 1 << 20))
            self.wfile.write(b'"}')
        except OSError:
            # Who asked has had enough.
            self.close_connection = True

    def log_message(self, *words):
        pass


@cells("input", {"captured bodies of 8 MB": 8, "captured bodies of 200 MB": 200})
def large_bodies(trial, disturbance):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Large)
    server.daemon_threads = True
    server.megabytes = disturbance
    threading.Thread(target=server.serve_forever, daemon=True).start()
    trial.path("large.yaml").write_text(
        "version: 1\ndefaults: {timeout: 20s}\n"
        "flows: {default: {steps: [{path: /, capture: {id: /id}}, {path: '/${id}'}]}}\n"
        "scenarios: {a: {executor: per-vu-iterations, vus: 4, iterations: 2, max_duration: 30s}}\n")
    trial.done("run", trial.path("large.yaml"), "--base-url", f"http://127.0.0.1:{server.server_port}",
               "--out", trial.path("run"), "--quiet", "--no-client-spans", "--no-preflight",
               codes={0, 8}, seconds=90, within=["prlimit", f"--as={2 << 30}"])
    summary = json.loads(trial.path("run/summary.json").read_text())["scenarios"][0]
    if disturbance > 16:
        trial.check("the capture fails", summary["failures"].get("capture", 0) > 0, str(summary))
    server.shutdown()
    server.server_close()
    trial.nothing_left(trial.path("run"))

