#!/usr/bin/env python3
"""How often the evidence is wrong: runs with real faults and with shams, under the same loads.

Each run has a warm-up, a baseline, and for each fault of the given scenario file two windows in
random order: the real one, and a sham under the same load, which goes through all motions and
injects nothing. A sham that is `supported` is an error of the evidence, and so is a real fault that
is not. Bounds are those of Clopper and Pearson (1934), 95 %, two-sided.

    .ci/calibrate.py --loadgen target/release/loadgen --runs 50 --out calibration
"""

import argparse
import csv
import glob
import json
import math
import pathlib
import random
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor


def windows_of(text):
    """The file up to its scenarios, and the text of each scenario by name."""
    head, _, body = text.partition("\nscenarios:\n")
    blocks = re.split(r"(?m)^(?=  [a-z_]+:$)", body)
    named = {block.split(":")[0].strip(): block for block in blocks[1:]}
    return head + "\nscenarios:\n" + blocks[0], named


def scenario_file(text, seed):
    """The same file with a sham beside each real window, in an order that the seed decides."""
    head, named = windows_of(text)
    kept, drawn = [], []
    for name, block in named.items():
        if "\n    fault: {" not in block:
            kept.append(block)
            continue
        drawn.append(block)
        sham = block.replace(f"  {name}:\n", f"  {name}_sham:\n", 1)
        drawn.append(sham.replace("fault: {", "fault: {sham: true, ", 1))
    if not drawn:
        sys.exit("no scenario with a fault in one line, `fault: {...}`")
    random.Random(seed).shuffle(drawn)
    return head + "".join(kept + drawn)


def binomial_tail(successes, trials, share):
    """P(X >= successes)."""
    if share <= 0:
        return 1.0 if successes == 0 else 0.0
    if share >= 1:
        return 1.0
    def log_term(k):
        return (math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
                + k * math.log(share) + (trials - k) * math.log1p(-share))
    return sum(math.exp(log_term(k)) for k in range(successes, trials + 1))


def clopper_pearson(successes, trials):
    """95 % interval of a share."""
    def root(of):
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if of(middle) else (low, middle)
        return low
    if trials == 0:
        return 0.0, 1.0
    low = 0.0 if successes == 0 else root(lambda p: binomial_tail(successes, trials, p) < 0.025)
    high = 1.0 if successes == trials else root(
        lambda p: 1 - binomial_tail(successes + 1, trials, p) > 0.025)
    return low, high


def share(successes, trials):
    low, high = clopper_pearson(successes, trials)
    return f"{successes} of {trials} ({100 * low:.1f} to {100 * high:.1f} %)"


def rows_of(run):
    """The windows of a run, each with the rate at which affected traces were sent."""
    for path in glob.glob(f"{run}/dataset/windows_2*.csv"):
        with open(path, newline="") as file:
            for row in csv.DictReader(file):
                seconds = (int(row["closed_ns"]) - int(row["opened_ns"])) / 1e9
                met = int(row["traces_met"] or 0)
                row["met_per_second"] = met / seconds if seconds > 0 else 0
                yield row


def report(rows):
    """Figures as Markdown, and whether the data can bear them at all."""
    shams = [row for row in rows if row["fault_state"] == "sham"]
    real = [row for row in rows if row["fault_state"] == "confirmed" and row["anomaly_label"] == "anomalous"]
    lines = []
    wrong = [row for row in shams if row["verdict"] == "supported"]
    lines.append(f"Shams that are `supported`: {share(len(wrong), len(shams))}.")
    weak = sum(row["verdict"] == "weak" for row in shams)
    lines.append(f"Shams that are `weak`: {share(weak, len(shams))}.")
    lines += ["", "| fault | `supported` | declared service first or tied | not supported because of |",
              "|---|---|---|---|"]
    for kind in sorted({row["anomaly_type"] for row in real}) + [None]:
        of = [row for row in real if kind in (None, row["anomaly_type"])]
        supported = sum(row["verdict"] == "supported" for row in of)
        first = sum(row["root_cause_rank"] == "1" for row in of)
        others = sorted({row["verdict"] for row in of} - {"supported"})
        lines.append(f"| {kind or 'all'} | {share(supported, len(of))} | {share(first, len(of))} | {', '.join(others) or '–'} |")
    onsets = sorted(abs(float(row["onset_s"])) for row in real if row["onset_s"] and row["met_per_second"] >= 5)
    if onsets:
        p90 = onsets[min(len(onsets) - 1, math.ceil(0.9 * len(onsets)) - 1)]
        lines += ["", f"Onset after the confirmation where at least 5 traces a second met the service: "
                  f"median {onsets[len(onsets) // 2]:.2f} s, p90 {p90:.2f} s, {len(onsets)} windows."]
    return "\n".join(lines)


def check(run, rows, loadgen):
    """Ends the program unless shams and real faults are handled as they should be; verdicts may be any."""
    shown = subprocess.run([loadgen, "show", str(run), "--json"], capture_output=True, text=True)
    if shown.returncode != 0:
        sys.exit(f"the evidence of {run} can't be read:\n{shown.stderr}")
    evaluated = {"supported", "weak", "not_supported", "not_enough_data"}
    kinds = {
        "sham": ("normal", evaluated),
        "confirmed": ("anomalous", evaluated),
        "failed": ("unknown", evaluated),
        "none": ("normal", {"clean", "disturbed", ""}),
    }
    for row in rows:
        label, verdicts = kinds.get(row["fault_state"], ("", set()))
        if row["anomaly_label"] != label or row["verdict"] not in verdicts:
            sys.exit(f"{run}: {row['scenario']} is {row['anomaly_label']}, {row['fault_state']}, {row['verdict']}")
        if row["scenario"].endswith("_sham") != (row["fault_state"] == "sham"):
            sys.exit(f"{run}: {row['scenario']} is {row['fault_state']}")


def one_run(args, text, seed):
    """Makes a run and gives its windows."""
    run = args.out / f"run-{seed}"
    file = args.out / f"run-{seed}.yaml"
    file.write_text(scenario_file(text, seed))
    command = [args.loadgen, "run", str(file), "--time-scale", args.time_scale,
               "--seed", str(seed), "--out", str(run)]
    done = subprocess.run(command, capture_output=True, text=True)
    rows = [dict(row, run=seed) for row in rows_of(run)]
    if not rows:
        sys.exit(f"run {seed} made no dataset (exit code {done.returncode}):\n{done.stderr}")
    if args.check:
        check(run, rows, args.loadgen)
    if not args.keep:
        subprocess.run(["rm", "-rf", str(run / "telemetry"), *glob.glob(f"{run}/dataset/*_labeled_*"),
                        *glob.glob(f"{run}/dataset/trace*")], check=True)
    verdicts = ", ".join(f"{row['scenario']} {row['verdict']}" for row in rows)
    print(f"run {seed}: exit code {done.returncode}; {verdicts}", flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loadgen", default="target/release/loadgen", help="the program")
    parser.add_argument("--file", default="scenarios/default.yaml", help="the scenario file")
    parser.add_argument("--runs", type=int, default=50, help="how many runs")
    parser.add_argument("--at-once", type=int, default=1, help="how many of them at the same time")
    parser.add_argument("--first-seed", type=int, default=1, help="seed of the first; the others follow")
    parser.add_argument("--time-scale", default="0.1")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("calibration"))
    parser.add_argument("--check", action="store_true",
                        help="only see that shams and real faults are handled as such; no rates")
    parser.add_argument("--keep", action="store_true", help="keep each run's telemetry and tables")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    text = pathlib.Path(args.file).read_text()
    seeds = range(args.first_seed, args.first_seed + args.runs)
    found = args.out / "windows.jsonl"
    with ThreadPoolExecutor(args.at_once) as pool, found.open("a") as file:
        for rows in pool.map(lambda seed: one_run(args, text, seed), seeds):
            file.writelines(json.dumps(row) + "\n" for row in rows)
            file.flush()
    if args.check:
        return
    text = report([json.loads(line) for line in found.read_text().splitlines()])
    (args.out / "report.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
