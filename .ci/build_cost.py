#!/usr/bin/env python3
"""What a clean release build takes: processor time in all and by crate, and the size of the program.

    .ci/build_cost.py [--keep DIR] [--most 30]

Everything is built anew, into a folder of its own that is deleted at the end (`--keep` names one that
stays). rustc and the C compiler run below this script, which writes down the processor time of each
(user and system, of all its threads). What a crate takes is what its own compilation takes, that of its
build script and of its C sources included. What is left of the total is cargo itself and build scripts
while they run.
"""

import argparse
import collections
import json
import os
import pathlib
import platform
import resource
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOG = "LOADGEN_BUILD_COST"


def children_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def compile_(command):
    """Runs a compiler and writes down what it took."""
    # cargo hands its job server on by open descriptors.
    code = subprocess.run(command, check=False, close_fds=False).returncode
    # cargo says so to rustc and to build scripts, so also to the C compilers below these.
    of = {"crate": os.environ.get("CARGO_PKG_NAME", "?"), "version": os.environ.get("CARGO_PKG_VERSION", ""),
          "s": children_seconds()}
    with open(os.environ[LOG], "a", encoding="utf-8") as log:
        log.write(json.dumps(of) + "\n")
    return code


def build(folder):
    """Builds the program. Gives the processor and wall seconds, and those of each crate."""
    log = folder / "cost.jsonl"
    log.unlink(missing_ok=True)
    compiler = folder / "cc"
    compiler.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} --compile cc "$@"\n')
    compiler.chmod(0o755)
    rustc = folder / "rustc"
    rustc.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} --compile "$@"\n')
    rustc.chmod(0o755)
    before, began = children_seconds(), time.monotonic()
    subprocess.run(
        ["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True,
        env={**os.environ, "CARGO_TARGET_DIR": str(folder / "target"), "RUSTC_WRAPPER": str(rustc),
             "CC": str(compiler), LOG: str(log)})
    total, wall = children_seconds() - before, time.monotonic() - began
    by_crate = collections.Counter()
    for line in log.read_text().splitlines():
        one = json.loads(line)
        by_crate[one["crate"], one["version"]] += one["s"]
    return total, wall, by_crate


def main():
    if sys.argv[1:2] == ["--compile"]:
        return compile_(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", type=pathlib.Path, help="folder of the build, which stays; it must be new")
    parser.add_argument("--most", type=int, default=30, help="crates to list")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.keep or pathlib.Path(scratch)
        folder.mkdir(parents=True, exist_ok=args.keep is None)
        total, wall, by_crate = build(folder.resolve())
        size = (folder / "target/release/loadgen").stat().st_size
    version = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout
    print(f"{platform.machine()}, {len(os.sched_getaffinity(0))} processors, {version.strip()}\n")
    print(f"Processor time {total / 60:.1f} min, wall time {wall / 60:.1f} min, {len(by_crate)} crates; "
          f"the program has {size / 1e6:.1f} MB.\n")
    print("| Crate | Processor time, s | of all |\n|---|---|---|")
    for (crate, version), seconds in by_crate.most_common(args.most):
        print(f"| {crate} {version} | {seconds:.1f} | {100 * seconds / total:.1f} % |")
    rest = sum(seconds for _, seconds in by_crate.most_common()[args.most:])
    print(f"| the other {max(0, len(by_crate) - args.most)} | {rest:.1f} | {100 * rest / total:.1f} % |")
    left = total - sum(by_crate.values())
    print(f"| cargo, and build scripts while they run | {left:.1f} | {100 * left / total:.1f} % |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
