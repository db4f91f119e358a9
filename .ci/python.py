#!/usr/bin/env python3
"""The Python package: types, style and tests; and its exports, read by the tools they are for.

1. mypy, ruff and pytest, the tests on a real run of the demo shop; exams of the example and of
   that run, with RCAEval's methods for root causes.
2. Exports of that run, each read by its consumer unchanged: RCAEval (loader and methods),
   rcabench-platform (its rule, its loader), TSB-AD (reader, a detector, its measures), ClickHouse.
3. With --heavy what takes minutes or gigabytes: microrank, detectors of TSB-AD that need torch.
4. With --tadbench TADBench's own programs, in a clone of github.com/nkalgo/TADBench (it has no
   licence, so nothing of it is here).
5. With --wheel a wheel is built and installed into a fresh environment.

    .ci/python.py --loadgen target/debug/loadgen [--cache DIR] [--run DIR] [--heavy]

Packages go into environments in the cache folder, made anew when their list changes. Ends with 0
where all holds, with 1 and what is wrong otherwise; what this machine can't have is said.
"""

import argparse
import glob
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from trial import Steps, Wrong, call, environment, teller

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "python"
CONSUMERS = ROOT / ".ci/consumers"

# What checks the package.
CHECKS = ["mypy==2.4.1", "numpy==2.4.6", "pandas==3.1.1", "pandas-stubs==3.1.0.261029",
          "polars==2.1.0", "pyarrow==26.0.1", "pytest==9.2.0", "ruff==0.17.6",
          "scikit-learn==1.9.1", "tzdata==2026.6"]
# Who reads the exports: all in one environment, so that what they share is there once.
SHARED = ["chdb==4.4.0", "loguru==0.7.3", "matplotlib==3.11.2", "networkx==3.7", "numpy==2.3.5",
          "pandas==2.3.3", "polars==2.1.0", "pyarrow==26.0.1", "pydantic==2.14.4",
          "python-dateutil==2.9.0.post0", "python-dotenv==1.2.4", "PyYAML==6.0.4",
          "requests==2.34.2", "scikit-learn==1.9.1", "scipy==1.17.1", "statsmodels==0.15.0",
          "tqdm==4.70.1", "typer==0.29.2"]
# Without all that they name for parts of theirs that are not used here: torch, transformers, 150
# pinned packages.
READERS = ["RCAEval==1.8.1", "rcabench-platform==0.4.46", "TSB-AD==1.5"]
TORCH = ["torch", "hurst", "arch", "stumpy", "tslearn", "einops", "h5py", "torchinfo"]


say = teller("python")


# Environments.

def interpreter(versions):
    """A Python of one of these versions, the first that works."""
    for version in versions:
        places = [shutil.which(f"python{version}"),
                  *glob.glob(f"{pathlib.Path.home()}/.pyenv/versions/{version}.*/bin/python")]
        for place in filter(None, places):
            asked = subprocess.run([place, "-c", "import sys, venv; print(sys.version_info[:2])"],
                                   capture_output=True, text=True, check=False)
            if asked.returncode == 0:
                return place
    return None


# What is checked.

def lint(step, bin_):
    step("mypy")
    call(bin_ / "mypy", "--cache-dir", "/dev/null", cwd=PACKAGE)
    step("ruff")
    call(bin_ / "ruff", "check", "--no-cache", cwd=PACKAGE)
    call(bin_ / "ruff", "format", "--check", "--no-cache", cwd=PACKAGE)


def tests(step, bin_, loadgen, run):
    source = {"PYTHONPATH": str(PACKAGE / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    step("pytest")
    call(bin_ / "pytest", "-q", "-p", "no:cacheprovider", cwd=PACKAGE,
         env={**source, "LOADGEN_BIN": str(loadgen), "LOADGEN_RUN": str(run)})
    return source


def exam(step, bin_, source, loadgen, run, out):
    """The run is no set to train on, and why is told."""
    step("an exam of the run")
    # Whether the run is usable is not what is tried here.
    call(loadgen, "dataset", "build", run, "--unusable", "keep", "--out", out / "built",
         codes=(0, 8), quiet=True)
    told = call(loadgen, "evaluate", out / "built", "--only", "audit", "--quiet", codes=(8,),
                env={**source, "LOADGEN_PYTHON": str(bin_ / "python")})
    # Its windows are so short that sometimes no bucket of a fault can be evaluated.
    if not re.search("Is each fault injected more than once\\? NO|othing can be learned", told):
        raise Wrong("a run in which each fault comes once is no set to train on")


def example(step, bin_, source, loadgen, out):
    """The shipped example gives the figures that the docs have, to 0.02; what has weights that are
    drawn, to 0.05.
    """
    step("the exam of the example, against the docs")
    call(loadgen, "evaluate", ROOT / "examples/exam/dataset", "--only", "audit,detectors",
         "--out", out / "example", "--quiet",
         env={**source, "LOADGEN_PYTHON": str(bin_ / "python")})
    documented = detectors_in((ROOT / "docs/evaluate.md").read_text(encoding="utf-8"))
    found = detectors_in((out / "example/evaluation.md").read_text(encoding="utf-8"))
    for name, (verdict, figures) in documented.items():
        margin = 0.05 if name.startswith("Autoencoder") else 0.02
        of_found = found[name][1]
        near = all(abs(a - b) <= margin for a, b in zip(figures, of_found, strict=True))
        if verdict != found[name][0] or not near:
            raise Wrong(f"{name}: documented {verdict} {figures}, found {found[name]}")


def detectors_in(text):
    """Of the first table of detectors: title → verdict and figures."""
    rows = text.split("| Detector | Verdict |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows if "|" in row]
    number = re.compile(r"[0-9.]+")
    return {
        row[0]: (row[1], [float(cell) for cell in row[2:] if number.fullmatch(cell)])
        for row in cells
    }


def root_causes(step, readers, source, loadgen, out):
    step("root causes by RCAEval")
    package = {**source, "LOADGEN_PYTHON": str(readers / "python")}
    told = call(loadgen, "evaluate", out / "built", "--only", "root_cause", "--quiet", env=package,
                codes=(0, 8))
    if "tracerca" not in told:
        raise Wrong("RCAEval ranked nothing")


def export(bin_, source, form, run, out, codes=(0,)):
    call(bin_ / "python", "-W", "error", "-m", "loadgen", "export", form, run, out, env=source,
         codes=codes, quiet=True)
    return out


def consumers(step, args, bin_, readers, source, run, out):
    step("RCAEval 1.8.1: its loader, nsigma, baro, tracerca")
    folder = export(bin_, source, "rcaeval", run, out / "rcaeval")
    methods = ["nsigma", "baro", "tracerca", *(["microrank"] if args.heavy else [])]
    call(readers / "python", CONSUMERS / "rcaeval.py", folder, *methods)

    step("rcabench-platform 0.4.46: its rule, its loader")
    folder = export(bin_, source, "datapack", run, out / "datapack")
    call(readers / "python", CONSUMERS / "datapack.py", folder)

    step("ClickHouse (chdb 4.4.0): the exporter's tables, dashboards' queries")
    folder = export(bin_, source, "clickhouse", run, out / "clickhouse")
    call(readers / "python", CONSUMERS / "clickhouse.py", folder)

    step("TSB-AD 1.5: its reader, SR, its measures")
    folder = export(bin_, source, "tsb-ad", run, out / "tsb-ad")
    call(readers / "python", CONSUMERS / "tsb_ad.py", folder)

    if args.heavy:
        step("TSB-AD 1.5: its program with IForest, which needs torch")
        heavy = environment(args.cache, "torch", args.python, ((), SHARED + TORCH),
                            (("--no-deps",), READERS))
        call(heavy / "python", CONSUMERS / "tsb_ad.py", folder, "IForest")

    if args.tadbench:
        step("TADBench: its programs' preprocessing")
        folder = export(bin_, source, "tadbench", run, out / "tadbench")
        call(readers / "python", CONSUMERS / "tadbench.py", args.tadbench, folder)


def wheel(step, args, out):
    """A wheel brings program and package along."""
    step("wheel")
    tool = environment(args.cache, "maturin", sys.executable, ((), ["maturin==1.16.0"]))
    call(tool / "maturin", "build", "--profile", args.wheel, "--out", out, cwd=PACKAGE, quiet=True)
    (built,) = out.glob("loadgen-*.whl")
    say(f"{built.name}, {built.stat().st_size / 1e6:.0f} MB")
    fresh = out / "fresh"
    call(sys.executable, "-m", "venv", fresh, quiet=True)
    call(fresh / "bin/pip", "install", "--quiet", "--disable-pip-version-check", built, quiet=True)
    call(fresh / "bin/loadgen", "--version")
    call(fresh / "bin/python", "-c", "import loadgen; print(loadgen.__version__, loadgen.load)")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loadgen", type=pathlib.Path, default=ROOT / "target/debug/loadgen")
    parser.add_argument("--cache", type=pathlib.Path, help="where environments are kept",
                        default=os.environ.get("LOADGEN_CI_CACHE",
                                               pathlib.Path.home() / ".cache/loadgen-ci"))
    parser.add_argument("--run", type=pathlib.Path,
                        help="a run of scenarios/quick.yaml; without it one is made")
    parser.add_argument("--lint", action="store_true", help="only types and format")
    parser.add_argument("--no-consumers", action="store_true", help="only the package's own checks")
    parser.add_argument("--heavy", action="store_true", help="also what takes minutes or gigabytes")
    parser.add_argument("--tadbench", type=pathlib.Path, help="a clone of TADBench to try")
    parser.add_argument("--wheel", metavar="PROFILE", help="build a wheel, by `dev` or `release`")
    args = parser.parse_args()
    args.cache = pathlib.Path(args.cache).resolve()
    args.cache.mkdir(parents=True, exist_ok=True)
    loadgen = args.loadgen.resolve()
    step = Steps(say)
    out = pathlib.Path(tempfile.mkdtemp(prefix="loadgen-python-"))
    try:
        step("environment of the checks")
        bin_ = environment(args.cache, "checks", sys.executable, ((), CHECKS))
        lint(step, bin_)
        if args.lint:
            step.end()
            return
        run = args.run
        if run is None:
            step("a run of the demo shop")
            run = out / "quick"
            # 7 and 8: what the audit says of so short a run is not what is tried here.
            call(loadgen, "run", ROOT / "scenarios/quick.yaml", "--out", run, "--quiet",
                 codes=(0, 7, 8), quiet=True)
        source = tests(step, bin_, loadgen, run.resolve())
        exam(step, bin_, source, loadgen, run.resolve(), out)
        example(step, bin_, source, loadgen, out)
        # RCAEval offers its methods on these alone.
        args.python = interpreter(["3.12", "3.10", "3.14"])
        if args.no_consumers:
            pass
        elif args.python is None:
            say("SKIPPED: consumers of exports, which need Python 3.12, 3.10 or 3.14")
        else:
            step("environment of the consumers")
            readers = environment(args.cache, "readers", args.python, ((), SHARED),
                                  (("--no-deps",), READERS))
            consumers(step, args, bin_, readers, source, run.resolve(), out)
            root_causes(step, readers, source, loadgen, out)
        if args.wheel:
            wheel(step, args, out / "wheel")
        step.end()
    except Wrong as wrong:
        sys.exit(f"python: wrong: {wrong}")
    finally:
        shutil.rmtree(out, ignore_errors=True)


if __name__ == "__main__":
    main()
