"""What trials share: what does not hold, calls that must go well, and environments of Python that
are made once."""

import hashlib
import os
import shutil
import subprocess
import sys
import time


class Wrong(Exception):
    """What does not hold, in words."""


class Skipped(Exception):
    """What this machine does not have."""


def teller(trial):
    """Says what goes on, on standard error, with the trial's name."""
    return lambda text: print(f"{trial}: {text}", file=sys.stderr, flush=True)


class Steps:
    """Steps, each with the time that it takes."""

    def __init__(self, say):
        self.say, self.name, self.began = say, None, 0.0

    def __call__(self, name):
        self.end()
        self.name, self.began = name, time.monotonic()
        self.say(name)

    def end(self):
        if self.name:
            self.say(f"{self.name}: {time.monotonic() - self.began:.0f} s")
        self.name = None


def expect(holds, otherwise):
    if not holds:
        raise Wrong(otherwise)


def call(*command, codes=(0,), env=None, cwd=None, quiet=False):
    """Runs a command that must end with one of these codes. Gives its standard output."""
    done = subprocess.run([str(part) for part in command], env={**os.environ, **(env or {})},
                          cwd=cwd, text=True, check=False, capture_output=True)
    said = done.stdout + done.stderr
    if done.returncode not in codes:
        raise Wrong(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{said[-4000:]}")
    if not quiet:
        print(said, end="", flush=True)
    return done.stdout


def environment(cache, name, python, *groups):
    """A virtual environment with these packages: (options of pip, packages) each. It is made once for
    each list of them; those of older lists are removed. Gives the folder of its programs."""
    known = hashlib.sha256(repr((python, groups)).encode()).hexdigest()[:12]
    place = cache / f"venv-{name}-{known}"
    if not (place / "whole").exists():
        for old in cache.glob(f"venv-{name}-*"):
            shutil.rmtree(old)
        call(python, "-m", "venv", place, quiet=True)
        for options, packages in groups:
            call(place / "bin/python", "-m", "pip", "install", "--quiet",
                 "--disable-pip-version-check", *options, *packages, quiet=True)
        (place / "whole").touch()
    return place / "bin"
