#!/usr/bin/env python3
"""What `loadgen detect` was worth on one run: delay from each fault to its first alert, precision.

    python delay.py RUN scores.csv

Delay is from the moment at which the fault was confirmed (`fault_injected_ns`) to the moment at which
the alert was said (`said_ns`); in a run that was over, where all is said at the end, to the end of the
bucket.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import loadgen
import pandas as pd

SECOND = 1_000_000_000
BUCKET = 5 * SECOND


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="the folder of the run, with its dataset")
    parser.add_argument("scores", type=Path, help="what `loadgen detect --out` wrote")
    args = parser.parse_args()
    dataset = loadgen.load(args.run)
    windows, table = dataset.windows, dataset.windows_features_5s
    scores = pd.read_csv(args.scores)
    alerts = scores[scores.alert == 1]
    last = windows.closed_ns.max()
    live = bool((scores.said_ns < last).any())

    print(f"{'window':12} {'fault':24} {'strength':>8} {'bucket over after':>18} {'said after':>11}")
    delays = []
    faults = windows[windows.fault_injected_ns.notna() & (windows.fault_state == "confirmed")]
    for fault in faults.itertuples():
        begin, end = fault.fault_injected_ns, fault.fault_cleared_ns
        end = last if pd.isna(end) else end
        within = (alerts.start_time_ns < end) & (alerts.start_time_ns + BUCKET > begin)
        first = alerts[within].head(1)
        name = f"{fault.scenario:12} {fault.fault + ' in ' + fault.fault_service:24}"
        if first.empty:
            print(f"{name} {fault.fault_intensity:8.2f} {'no alert':>18}")
            continue
        over = (first.start_time_ns.item() + BUCKET - begin) / SECOND
        said = (first.said_ns.item() - begin) / SECOND
        delays.append(said if live else over)
        print(f"{name} {fault.fault_intensity:8.2f} {over:16.1f} s {f'{said:.1f} s' if live else '-':>11}")
    if delays:
        of = pd.Series(delays)
        print(f"{len(of)} of {len(faults)} faults; delay: median {of.median():.1f} s, "
              f"{of.min():.1f} to {of.max():.1f} s")

    labels = table.drop_duplicates("start_time_ns")
    labels = labels[(labels.phase == "steady") & labels.anomaly_label.isin(["normal", "anomalous"])]
    evaluated = scores.merge(labels[["start_time_ns", "anomaly_label"]], on="start_time_ns")
    raised = evaluated[evaluated.alert == 1]
    hits = int((raised.anomaly_label == "anomalous").sum())
    real = int((evaluated.anomaly_label == "anomalous").sum())
    normal = len(evaluated) - real
    print(f"settled buckets: {real} anomalous, {normal} normal; {len(raised)} alerts; precision "
          f"{hits / max(len(raised), 1):.2f}, recall {hits / max(real, 1):.2f}, false alarms "
          f"{(len(raised) - hits) / max(normal, 1):.1%}; of the set always alarming has precision "
          f"{real / max(len(evaluated), 1):.2f}")


if __name__ == "__main__":
    main()
