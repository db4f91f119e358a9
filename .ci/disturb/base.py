"""What cells share: a place of its own for each repetition, the programs in it, and named checks."""

import dataclasses
import functools
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request

from trial import Skipped

# Exit codes with which a message says why.
SAYS_WHY = {1, 3, 4, 5, 6}
# How an extraction ends that has made a dataset, whatever its audit says.
DATASET = {0, 7, 8}
KILL, INT, TERM, STOP, CONT = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGSTOP,
                               signal.SIGCONT)
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"

# Stated times in seconds; docs/reliability.md has them. On a busy machine each may take so much more.
BUSY = 3
END_AFTER_SIGNAL, END_AFTER_SECOND, CLEAN_AFTER_KILL = 20, 5, 15

# A run of some seconds with an episode, on an embedded shop.
EPISODE = """version: 1
name: small
seed: 5
target: embedded
guard: 300ms
anomalies: {slow: {root_cause: slow_query, root_cause_service: catalogue}}
flows: {default: {steps: [{path: /api/catalogue/products}]}}
scenarios:
  calm: {executor: constant-arrival-rate, rate: 20, duration: 3s, pre_allocated_vus: 20}
  slow:
    executor: constant-arrival-rate
    rate: 20
    duration: 3s
    pre_allocated_vus: 40
    anomaly: slow
    fault: {fault: slow_query, service: catalogue, intensity: 0.8}
"""


@dataclasses.dataclass
class Cell:
    """A component and what is done to it."""

    name: str
    disturb: object
    ci: bool = False
    needs: str = ""


CELLS = []


def cell(component, disturbance, ci=False, needs=""):
    """Adds a cell that this function tries. `ci`: it is in the small size, too."""
    def add(function):
        CELLS.append(Cell(f"{component}/{disturbance}", function, ci, needs))
        return function
    return add


def cells(component, disturbances, ci=(), needs=""):
    """Adds a cell for each disturbance by name; the function is given its value."""
    def add(function):
        for name, value in disturbances.items():
            disturb = functools.partial(function, disturbance=value)
            CELLS.append(Cell(f"{component}/{name}", disturb, name in ci, needs))
        return function
    return add


def have(what):
    """Whether this machine has what a cell needs."""
    if what == "namespaces":
        return subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "x", "/mnt"], check=False,
                              capture_output=True).returncode == 0
    if what == "faketime":
        return os.path.exists(FAKETIME)
    return True


class Program:
    """A process that was started, with what it says in files."""

    def __init__(self, command, folder, env, ready=False, within=()):
        self.name = next(word for word in command[1:] if not str(word).startswith("-"))
        number = len(list(folder.glob("said-*")))
        self.out, self.err = folder / f"said-{number}.out", folder / f"said-{number}.err"
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen([*map(str, within), *map(str, command)], cwd=folder, env=env,
                                            stdin=subprocess.PIPE, stdout=out, stderr=err)
        self.pid = self.process.pid
        self.ready = self.wait_ready() if ready else None

    def wait_ready(self):
        """The line by which it says that it is ready; None: it has ended."""
        def line():
            text = self.out.read_text()
            return "\n" in text or self.process.poll() is not None
        until(line, 60)
        text = self.out.read_text()
        return json.loads(text.splitlines()[0]) if text else None

    def said(self):
        return self.out.read_text(errors="replace") + self.err.read_text(errors="replace")

    def signal(self, number):
        if self.process.poll() is None:
            self.process.send_signal(number)

    def wait(self, seconds):
        """Its exit code; None: it has not ended in this time."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()


def until(holds, seconds):
    """Whether something came to hold in this time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.02)
    return bool(holds())


class Trial:
    """One repetition of a cell."""

    def __init__(self, args, name, seed):
        self.args, self.loadgen, self.k6 = args, args.loadgen, args.k6
        self.draw = random.Random(f"{seed} {name}")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="reliability-"))
        self.temporary = self.folder / "tmp"
        self.temporary.mkdir()
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
        self.env |= {"LOADGEN_STATE_DIR": str(self.folder / "state"), "TMPDIR": str(self.temporary)}
        if self.k6:
            self.env["K6_BIN"] = self.k6
        self.to_close = []
        self.checks = []

    def path(self, name):
        return self.folder / name

    def check(self, name, holds, why=""):
        """A named invariant. What does not hold is told with its reason."""
        self.checks.append((name, bool(holds), why))
        return holds

    def start(self, *words, ready=False, within=(), env=None):
        """Starts loadgen with these words."""
        command = [self.loadgen, *words]
        program = Program(command, self.folder, {**self.env, **(env or {})}, ready, within)
        self.to_close.append(program.close)
        return program

    def keep(self, thing):
        """Stops it at the end."""
        self.to_close.append(thing.stop)
        return thing

    def ended(self, program, codes, seconds, says=()):
        """Waits for a program's end, and checks time, code and message. Gives the code."""
        began = time.monotonic()
        code = program.wait(seconds + BUSY)
        took = time.monotonic() - began
        self.check("ends in time", code is not None, f"{program.name}: not within {took:.0f} s")
        said = program.said()
        if code is not None:
            self.check("exit code", code in codes,
                       f"{program.name}: {code}, not one of {sorted(codes)}: {said[-600:]}")
        self.check("no panic", "panicked" not in said, said[-600:])
        if says and code in SAYS_WHY:
            found = any(word in said for word in says)
            self.check("message", found, f"{program.name}: none of {says} in: {said[-600:]}")
        return code

    def done(self, *words, codes=(0,), seconds=60, says=(), within=(), env=None):
        """Runs loadgen to its end, with the same checks."""
        program = self.start(*words, within=within, env=env)
        self.ended(program, codes, seconds, says)
        return program

    def nothing_left(self, *folders, temporary=True):
        """Checks that no process, fault or work folder outlives what was done. `temporary`: nor
        anything in the folder for temporary files."""
        self.no_process()
        listed = subprocess.run([self.loadgen, "faults", "list"], env=self.env, text=True, check=False,
                                capture_output=True).stdout
        self.check("no fault left", "no " in listed.lower() or not listed.strip(), listed)
        self.no_work_folder(*folders)
        if temporary:
            left = [one.name for one in self.temporary.iterdir()]
            self.check("no folder left", not left, ", ".join(left))

    def no_process(self):
        own = str(self.folder).encode()
        known = {os.getpid(), *(one.__self__.pid for one in self.to_close
                                if getattr(one.__self__, "pid", None))}

        def left():
            return [text for pid, text in processes(own) if pid not in known]
        self.check("no process left", until(lambda: not left(), CLEAN_AFTER_KILL + BUSY), str(left()))

    def no_work_folder(self, *folders):
        hidden = [str(one) for folder in folders if folder.exists()
                  for one in folder.iterdir() if is_work(one.name)]
        self.check("no folder left", not hidden, ", ".join(hidden))

    def close(self, keep):
        for one in reversed(self.to_close):
            try:
                one()
            except OSError as error:
                self.check("the trial itself", False, str(error))
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)


def is_work(name):
    """Whether a name is one of what is only needed on the way."""
    return name.startswith(".") or name.startswith("loadgen-shop-")


def processes(needle):
    """Processes whose command line, or folder of journals, names a path."""
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes()
            if needle in line or needle in (entry / "environ").read_bytes():
                yield int(entry.name), line.replace(b"\0", b" ").decode(errors="replace")[:200]
        except OSError:
            continue


class Disk:
    """A small file system in a mount namespace of its own."""

    def __init__(self, trial, size):
        self.mount = trial.path("disk")
        self.mount.mkdir()
        self.process = subprocess.Popen(
            ["unshare", "-m", "sh", "-c",
             f"mount -t tmpfs -o size={size} disk '{self.mount}' && echo on && exec sleep 3600"],
            stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        if self.process.stdout.readline() != "on\n":
            raise Skipped("a file system of its own can't be mounted here")
        # A command in it; paths are the same there.
        self.within = ["nsenter", f"--mount=/proc/{self.pid}/ns/mnt"]

    def seen(self, name):
        """A file of it, as others can read it."""
        return pathlib.Path(f"/proc/{self.pid}/root{self.mount / name}")

    def fill(self):
        """Writes until nothing fits any more."""
        try:
            with self.seen("ballast").open("ab", buffering=0) as ballast:
                while True:
                    ballast.write(b"x" * 4096)
        except OSError:
            pass

    def free(self):
        self.seen("ballast").unlink()

    def read_only(self):
        subprocess.run([*self.within, "mount", "-o", "remount,ro", self.mount], check=True)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class SteppedClock:
    """A wall clock that a trial steps, for programs that are started in its environment."""

    def __init__(self, trial):
        self.file = trial.path("clock")
        self.set(0)
        self.env = {"LD_PRELOAD": FAKETIME, "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                    "FAKETIME_TIMESTAMP_FILE": str(self.file), "FAKETIME_NO_CACHE": "1"}

    def set(self, seconds):
        new = self.file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.rename(self.file)


def get(url, seconds=10):
    with urllib.request.urlopen(url, timeout=seconds) as answer:
        return json.loads(answer.read() or "null")


def lines(path):
    """The lines of a JSON-lines file that are whole."""
    found = []
    for line in path.read_text(errors="replace").splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def resident(pid):
    """Memory of a process in MB, the most that it ever had."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0
