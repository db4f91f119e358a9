#!/usr/bin/env python3
"""Runs scenario files and shows what the evidence says of each anomaly, as a Markdown table.

A file whose anomalies the evidence can't see says so in a comment with `Not supported:`. The exit
code is 1 where a verdict is another one than the file promises.

    .ci/anomalies.py --loadgen target/release/loadgen scenarios/retry_storm.yaml
"""

import argparse
import csv
import json
import pathlib
import subprocess
import sys
import time


def windows_of(run):
    """The windows of a run that declare an anomaly, each with its evidence."""
    tables = list(run.glob("dataset/windows_2*.csv"))
    evidence = list(run.glob("dataset/evidence_*.json"))
    if not tables or not evidence:
        return
    of_evidence = json.loads(evidence[0].read_text())["windows"]
    evaluated = {window["window"]: window for window in of_evidence}
    with tables[0].open(newline="") as file:
        for row in csv.DictReader(file):
            if row["anomaly_label"] == "anomalous":
                yield row, evaluated[int(row["window"])]


def one_file(args, file):
    """Runs a file; gives rows of the table and whether each is as promised."""
    run = args.out / file.stem
    began = time.monotonic()
    done = subprocess.run(
        [args.loadgen, "run", str(file), "--out", str(run), "--quiet"], capture_output=True, text=True)
    took = time.monotonic() - began
    promised = "Not supported:" not in file.read_text()
    rows = []
    for row, evidence in windows_of(run):
        supported = row["verdict"] == "supported"
        what = evidence["reasons"][0] if evidence["reasons"] else ""
        cells = [f"`{row['scenario']}`", row["root_cause_service"], f"`{row['verdict']}`",
                 row["root_cause_rank"] or "–", what.replace("|", "\\|"), f"{took:.0f} s"]
        rows.append(("| " + " | ".join(cells) + " |", supported == promised))
    if not rows:
        rows.append((f"| `{file.stem}` | no dataset, exit code {done.returncode} | | | | |", False))
        print(done.stderr, file=sys.stderr)
    if not args.keep:
        subprocess.run(["rm", "-rf", str(run)], check=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=pathlib.Path,
                        help="scenario files; all of one anomaly type if none is given")
    parser.add_argument("--loadgen", default="target/release/loadgen", help="the program")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/anomalies"))
    parser.add_argument("--keep", action="store_true", help="keep the folders of the runs")
    args = parser.parse_args()
    several = {"default", "quick"}
    files = args.files or [f for f in sorted(pathlib.Path("scenarios").glob("*.yaml")) if f.stem not in several]
    args.out.mkdir(parents=True, exist_ok=True)
    print("| window | service | verdict | its rank | what differs | whole run |")
    print("|---|---|---|---|---|---|")
    as_promised = True
    for file in files:
        for line, promised in one_file(args, file):
            print(line, flush=True)
            as_promised &= promised
    if not as_promised:
        sys.exit("not every verdict is as its file promises")


if __name__ == "__main__":
    main()
