#!/usr/bin/env python3
"""The job of deploy/spark on Apache Spark: a standalone master and two workers, a JVM each.

1. A run of the demo shop, and the repository's files of every form that the Collector writes.
2. Each is labelled by one process and on Spark. Rows of every table that portions make, windows,
   evidence and audit are the same.
3. The run again, and a worker is killed with its executor (-9) as soon as files are read: the same,
   file for file.
4. With --cpu, processor time of both on telemetry that is given: just spark --cpu DIR --cpu-run DIR

    .ci/spark.py --loadgen target/debug/loadgen [--cache DIR] [--run DIR] [--cpu PATH… --cpu-run DIR]

Ends with 0 where all holds, or where this machine has no Java 17 or later (it then says so), and with
1 and what is wrong otherwise.
"""

import argparse
import collections
import gzip
import hashlib
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from trial import Skipped, Wrong, call, environment, expect, teller

ROOT = pathlib.Path(__file__).resolve().parent.parent
JOB = ROOT / "deploy/spark/label.py"
CONF = ROOT / "deploy/spark/spark.conf"
# A folder of this machine as a file system that only Hadoop knows: viewfs://mounted.
MOUNTED = "spark.hadoop.fs.viewfs.mounttable.mounted.linkFallback"
FORMS = ROOT / "crates/extract/tests/forms"
STAMP = "20260301_100000"
TABLES = ["traces_labeled", "trace_labels", "trace_features", "logs_labeled", "metrics_labeled"]
COMPARE = """
import collections, pathlib, sys
import pyarrow.dataset
one, many = sys.argv[1:]
def rows(path):
    if not pathlib.Path(path).exists():
        return 0, collections.Counter()  # No part has a row of it.
    table = pyarrow.dataset.dataset(path, format="parquet").to_table()
    return table.num_rows, collections.Counter(map(repr, zip(*(c.to_pylist() for c in table.columns))))
one, many = rows(one), rows(many)
if one != many:
    print(f"{one[0]} rows by one process, {many[0]} on Spark;",
          f"only by one: {list((one[1] - many[1]))[:2]}; only on Spark: {list((many[1] - one[1]))[:2]}")
    sys.exit(1)
print(one[0])
"""


say = teller("spark")


def java():
    found = shutil.which("java")
    if not found:
        raise Skipped("no Java")
    version = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    major = re.search(r'version "(\d+)', version)
    if not major or int(major[1]) < 17:
        raise Skipped(f"no Java 17: {version.splitlines()[:1]}")


def java_options():
    """What the job's own JVMs are started with, for those of the cluster."""
    return re.search(r"^spark\.driver\.extraJavaOptions\s+(.*)$", CONF.read_text(), re.M)[1]


class Cluster:
    """A master and workers on loopback."""

    def __init__(self, bin_, folder, workers=2):
        self.bin = bin_
        self.folder = folder
        self.processes = []
        self.job = None
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        self.url = f"spark://127.0.0.1:{self.port}"
        self.start("master", "org.apache.spark.deploy.master.Master", "--host", "127.0.0.1",
                   "--port", str(self.port), "--webui-port", "0")
        self.until_open()
        self.workers = [
            self.start(f"worker-{number}", "org.apache.spark.deploy.worker.Worker", "--cores", "1",
                       "--memory", "1400m", "--host", "127.0.0.1", "--webui-port", "0",
                       "--work-dir", str(folder / f"worker-{number}"), self.url)
            for number in range(workers)
        ]

    def start(self, name, main, *arguments):
        home = next(self.bin.parent.glob("lib/python*/site-packages/pyspark"))
        log = open(self.folder / f"{name}.log", "wb")
        process = subprocess.Popen(
            [home / "bin/spark-class", main, *arguments], stdout=log, stderr=log,
            start_new_session=True,
            env={**os.environ, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1",
                 "SPARK_DAEMON_MEMORY": "256m", "SPARK_DAEMON_JAVA_OPTS": java_options(),
                 "PYSPARK_PYTHON": str(self.bin / "python")})
        self.processes.append(process)
        return process

    def until_open(self):
        for _ in range(600):
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise Wrong("the master did not open its port within a minute")

    def label(self, telemetry, run, out, loadgen, portions, at=None, then=None):
        """Has telemetry labelled; calls `then` as soon as the job says `at`."""
        command = [self.bin / "python", JOB, "--telemetry", *telemetry, "--out", out, "--loadgen",
                   loadgen, "--stamp", "2026-03-01T10:00:00Z"]
        command += ["--portions", str(portions)] if portions else []
        command += ["--run", run] if run else []
        submit = " ".join([
            f"--master {self.url}", f"--properties-file {CONF}",
            "--conf spark.executor.memory=1g", "--conf spark.driver.memory=1g",
            "--conf spark.driver.host=127.0.0.1", "--conf spark.ui.enabled=false",
            "--conf spark.ui.showConsoleProgress=false",
            "--conf spark.network.timeout=60s", f"--conf spark.local.dir={self.folder}",
            f"--conf {MOUNTED}=file:{self.folder}",
            "pyspark-shell"])
        job = self.job = subprocess.Popen(
            [str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYSPARK_SUBMIT_ARGS": submit, "SPARK_LOCAL_IP": "127.0.0.1",
                 "PYSPARK_PYTHON": str(self.bin / "python")})
        said = []
        for line in job.stderr:
            said.append(line)
            if line.startswith("label: "):
                say(line.strip())
            if at and f"label: {at}" in line:
                then()
        if job.wait() not in (0, 7, 8):
            raise Wrong(f"the job ended with {job.returncode}\n{''.join(said)[-6000:]}")

    def kill_worker(self):
        """Ends a worker and all that it has started, at once."""
        session = self.workers[0].pid
        found = children(session)
        expect(any("CoarseGrainedExecutorBackend" in command for command in found.values()),
               "the worker that was to be killed had no executor")
        for pid in [session, *found]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        say(f"killed a worker with {len(found)} processes of its own")

    def stop(self):
        for process in reversed(self.processes):
            for pid in [process.pid, *children(process.pid)]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            process.wait()


def children(of):
    """All processes below one, with their commands."""
    parents, commands = collections.defaultdict(list), {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
            commands[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
            parents[int(stat[1])].append(int(folder.name))
        except OSError:
            continue
    found, open_ = {}, [of]
    while open_:
        for pid in parents[open_.pop()]:
            found[pid] = commands[pid]
            open_.append(pid)
    return found


def one_process(loadgen, telemetry, run, out):
    command = [loadgen, "extract", *telemetry, "--out", out]
    command += ["--timeline", run / "timeline.jsonl"] if run else []
    call(*command, codes=(0, 7, 8), quiet=True)


def newest(folder, pattern):
    found = sorted(folder.glob(pattern))
    expect(found, f"no {pattern} in {folder}")
    return found[-1]


def audit(folder):
    """The audit without what differs by intent: files and the time in their names."""
    told = json.loads(newest(folder, "audit_*.json").read_text())
    expect(told.pop("files"), "no files in the audit")
    told.pop("stamp")
    return told


def compare(bin_, one, many):
    first, second = audit(one), audit(many)
    differing = [key for key in first["figures"] if first["figures"][key] != second["figures"].get(key)]
    expect(first == second, f"audits differ: {differing} "
           f"{[(first['figures'][k], second['figures'].get(k)) for k in differing[:2]]}")
    for name in ("evidence_*.json", "windows_2*.csv"):
        expect(newest(one, name).read_bytes() == newest(many, name).read_bytes(), f"{name} differs")
    counts = {}
    for table in TABLES:
        whole = list(one.glob(f"{table}_2*.parquet"))
        if not whole:
            expect(not (many / table).exists(), f"{table} is on Spark alone")
            continue
        counts[table] = int(call(bin_ / "python", "-c", COMPARE, whole[0], many / table,
                                 quiet=True))
    say(f"the same: {counts}")


def same_files(first, second):
    """Each file of rows is the same, byte by byte."""
    def sums(folder):
        files = sorted(folder.glob("*/part-*.parquet"))
        return {f.relative_to(folder): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}
    first, second = sums(first), sums(second)
    expect(first.keys() == second.keys(), f"{first.keys() ^ second.keys()}")
    differing = [str(name) for name in first if first[name] != second[name]]
    expect(not differing, f"these files differ: {differing}")
    say(f"{len(first)} files are the same, byte by byte")


def in_forms(telemetry, folder):
    """The telemetry of a run, of which one file is compressed."""
    folder.mkdir()
    for number, file in enumerate(sorted(telemetry)):
        if number == 0:
            with gzip.open(folder / f"{file.name}.gz", "wb", 1) as packed:
                packed.write(file.read_bytes())
        else:
            shutil.copy(file, folder / file.name)
    return folder


def processor_seconds(who):
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def used_below(pids):
    """Processor seconds of processes and of those below them, by what they are. What Python has
    started and is over was the program."""
    tick = os.sysconf("SC_CLK_TCK")
    used = collections.Counter()
    for pid in {p for of in pids for p in [of, *children(of)]}:
        try:
            head, _, rest = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")
        except OSError:
            continue
        name = head.partition("(")[2].rstrip("0123456789.")
        own, of_children = (sum(map(int, rest.split()[at:at + 2])) / tick for at in (11, 13))
        used[name] += own
        used["loadgen" if name == "python" else name] += of_children
    return used


def processor_time(bin_, loadgen, telemetry, run, folder):
    """Processor time of one process and of all of Spark, master, workers and driver included."""
    before = processor_seconds(resource.RUSAGE_CHILDREN)
    one_process(loadgen, telemetry, run, folder / "one")
    alone = processor_seconds(resource.RUSAGE_CHILDREN) - before
    say(f"one process: {alone:.1f} s of processor time")
    cluster = Cluster(bin_, folder)
    try:
        began = time.monotonic()
        seen = collections.Counter()
        done = threading.Event()

        def look():
            # Executors, and the JVM of the driver, end with the application, and nobody waits for them:
            # what they have used is looked at while they live.
            nonlocal seen
            while not done.wait(0.2):
                own = [cluster.job.pid] if cluster.job else []
                seen = max(seen, used_below([*own, *(p.pid for p in cluster.processes)]),
                           key=collections.Counter.total)

        watcher = threading.Thread(target=look)
        watcher.start()
        try:
            cluster.label(telemetry, run, folder / "many", loadgen, None)
        finally:
            done.set()
            watcher.join()
        wall = time.monotonic() - began
    finally:
        cluster.stop()
    spark = seen.total()
    parts = ", ".join(f"{seconds:.1f} s {name}" for name, seconds in seen.most_common())
    say(f"on Spark: {spark:.1f} s: {parts}; {wall:.0f} s by the clock")
    say(f"ratio: {spark / alone:.2f}")
    compare(bin_, folder / "one", folder / "many")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loadgen", type=pathlib.Path, default=ROOT / "target/debug/loadgen")
    parser.add_argument("--cache", type=pathlib.Path,
                        default=pathlib.Path(os.environ.get("LOADGEN_CI_CACHE") or
                                             pathlib.Path.home() / ".cache/loadgen-ci"))
    parser.add_argument("--run", type=pathlib.Path, help="a run folder with telemetry, instead of a new one")
    parser.add_argument("--cpu", nargs="+", type=pathlib.Path, help="measure with this telemetry")
    parser.add_argument("--cpu-run", type=pathlib.Path, help="the run that it is of")
    args = parser.parse_args()
    loadgen = args.loadgen.resolve()
    out = pathlib.Path(tempfile.mkdtemp(prefix="loadgen-spark-"))
    cluster = None
    try:
        java()
        args.cache.mkdir(parents=True, exist_ok=True)
        packages = (ROOT / "deploy/spark/requirements.txt").read_text().split("\n")
        packages = [line for line in packages if line and not line.startswith("#")]
        bin_ = environment(args.cache.resolve(), "spark", sys.executable, ((), packages))
        if args.cpu:
            processor_time(bin_, loadgen, args.cpu, args.cpu_run, out)
            return 0
        run = args.run
        if not run:
            run = out / "run"
            say("a run of the demo shop")
            call(loadgen, "run", ROOT / "scenarios/quick.yaml", "--time-scale", "0.3", "--out", run,
                 "--quiet", codes=(0, 7, 8), quiet=True)
        telemetry = in_forms([run / "telemetry" / f"{signal}.jsonl" for signal in ("traces", "metrics", "logs")],
                             out / "telemetry")
        call(bin_ / "python", "-m", "unittest", "discover", "-q", JOB.parent, quiet=True)
        cluster = Cluster(bin_, out)
        one_process(loadgen, [telemetry], run, out / "one")
        cluster.label([telemetry], run, out / "many", loadgen, 5)
        compare(bin_, out / "one", out / "many")
        for form in sorted(path for path in FORMS.iterdir() if path.is_dir()):
            say(f"files of the Collector: {form.name}")
            one_process(loadgen, [form], None, out / f"one-{form.name}")
            # More portions than figures of which come to the driver one by one, in one of them.
            cluster.label([form], None, out / f"many-{form.name}", loadgen,
                          40 if form.name == "json-none" else 3)
            compare(bin_, out / f"one-{form.name}", out / f"many-{form.name}")
        say("a worker is killed in the middle; files come by a file system of Hadoop")
        cluster.label(["viewfs://mounted/telemetry"], run, out / "killed", loadgen, 5,
                      "files are read", cluster.kill_worker)
        compare(bin_, out / "one", out / "killed")
        same_files(out / "many", out / "killed")
        say("all holds")
        return 0
    except Skipped as what:
        say(f"skipped: {what}")
        return 0
    except Wrong as wrong:
        say(wrong)
        return 1
    finally:
        if cluster:
            cluster.stop()
        shutil.rmtree(out, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
