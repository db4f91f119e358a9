#!/usr/bin/env python3
"""The scripts of examples/train on a small set, and `loadgen detect` with what they make.

1. Two short runs of scenarios/training.yaml at a time, and a dataset of them (or --set and --run).
2. scikit_learn.py with each of its models; with --torch also pytorch.py, whose packages take 6 GB.
3. Where the program has `detect`: each model scores the telemetry of a run, and gives the scores that
   the script gave from the dataset.

    .ci/examples.py --loadgen target/debug/loadgen [--cache DIR] [--torch]

Ends with 0 where all holds, with 1 and what is wrong otherwise. What the models are worth is no
matter here: the set is far too small.
"""

import argparse
import csv
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from trial import Steps, Wrong, call, environment, teller

ROOT = pathlib.Path(__file__).resolve().parent.parent
TRAIN = ROOT / "examples/train"

SKLEARN = ["numpy==2.3.5", "onnx==1.23.2", "pandas==3.1.1", "pyarrow==26.0.1",
           "scikit-learn==1.9.1", "skl2onnx==1.20.0"]
TORCH = ["numpy==2.3.5", "onnx==1.23.2", "pandas==3.1.1", "pyarrow==26.0.1", "torch==2.15.0"]

# Scores of one model by two runtimes, in float32.
CLOSE = 1e-3


say = teller("examples")


def runs(loadgen, out):
    """Two runs, side by side: they are for trying and measure nothing."""
    file = out / "training.yaml"
    text = (ROOT / "scenarios/training.yaml").read_text()
    for was, is_ in [("length: 20m", "length: 150s"), ("period: 20m", "period: 150s"),
                     ("anomalous_share: 10%", "anomalous_share: 20%"),
                     ("length: [8s, 15s]", "length: [10s, 15s]"), ("apart: 15s", "apart: 12s"),
                     ("length: [12s, 25s]", "length: [10s, 15s]")]:
        if was not in text:
            raise Wrong(f"scenarios/training.yaml has no {was}")
        text = text.replace(was, is_)
    file.write_text(text)
    folders = [out / f"run-{seed}" for seed in (1, 2)]
    started = [subprocess.Popen([loadgen, "run", file, "--seed", str(seed), "--out", folder, "--quiet"],
                                stdout=subprocess.DEVNULL)
               for seed, folder in enumerate(folders, 1)]
    # 6 to 8: what so short a run on a busy machine is worth is not tried here.
    codes = [run.wait() for run in started]
    if not set(codes) <= {0, 6, 7, 8}:
        raise Wrong(f"the runs ended with {codes}")
    return folders


def scores(path):
    with path.open(newline="") as file:
        return {(row["run_id"], int(row["start_time_ns"])): float(row["score"])
                for row in csv.DictReader(file)}


def same_scores(loadgen, run, model):
    """Whether the program gives the scores from telemetry that the script gave from tables."""
    live = model / "live.csv"
    call(loadgen, "detect", "--model", model / "model.onnx", run, "--out", live, quiet=True)
    found, expected = scores(live), scores(model / "scores.csv")
    # The first and the last bucket are also of the time around the run.
    inside = sorted(key for key in expected if key[0] == next(iter(found))[0])[1:-1]
    if len(inside) < 10:
        raise Wrong(f"{model.name}: only {len(inside)} buckets of {run}")
    for key in inside:
        if key not in found or abs(found[key] - expected[key]) > CLOSE:
            raise Wrong(f"{model.name}: bucket {key} has {found.get(key)} and not {expected[key]}")
    say(f"{model.name}: {len(inside)} buckets with the same scores")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loadgen", type=pathlib.Path, default=ROOT / "target/debug/loadgen")
    parser.add_argument("--cache", type=pathlib.Path, help="where environments are kept",
                        default=os.environ.get("LOADGEN_CI_CACHE",
                                               pathlib.Path.home() / ".cache/loadgen-ci"))
    parser.add_argument("--set", type=pathlib.Path, help="a dataset of several runs, with --run")
    parser.add_argument("--run", type=pathlib.Path, help="one of its runs")
    parser.add_argument("--torch", action="store_true", help="also the script with PyTorch")
    args = parser.parse_args()
    args.cache.mkdir(parents=True, exist_ok=True)
    loadgen = args.loadgen.resolve()
    step = Steps(say)
    out = pathlib.Path(tempfile.mkdtemp(prefix="loadgen-examples-"))
    try:
        found, run = args.set, args.run
        if found is None:
            step("two short runs, and a dataset of them")
            folders = runs(loadgen, out)
            found, run = out / "set", folders[0]
            call(loadgen, "dataset", "build", *folders, "--out", found, "--unusable", "keep",
                    codes=(0, 8), quiet=True)
        source = {"PYTHONPATH": str(ROOT / "python/src"), "PYTHONDONTWRITEBYTECODE": "1"}
        kinds = [("sklearn", SKLEARN, "scikit_learn.py", ["--model", "random_forest"]),
                 ("sklearn", SKLEARN, "scikit_learn.py", ["--model", "logistic_regression"])]
        if args.torch:
            kinds.append(("torch-cpu", TORCH, "pytorch.py", ["--epochs", "10"]))
        models = []
        for number, (name, packages, script, options) in enumerate(kinds):
            step(f"{script} {' '.join(options)}")
            bin_ = environment(args.cache, name, sys.executable, ((), packages))
            models.append(out / f"{name}-{number}")
            call(bin_ / "python", TRAIN / script, found, "--out", models[-1], *options, env=source)
        step("loadgen detect with each model")
        asked = subprocess.run([loadgen, "detect", "--model", "none.onnx", out], text=True,
                               capture_output=True, check=False)
        if "this build has no" in asked.stderr:
            say("SKIPPED: this build has no detect")
        else:
            for model in models:
                same_scores(loadgen, run, model)
        step.end()
    except Wrong as wrong:
        sys.exit(f"examples: wrong: {wrong}")
    finally:
        shutil.rmtree(out, ignore_errors=True)


if __name__ == "__main__":
    main()
