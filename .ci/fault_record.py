#!/usr/bin/env python3
"""Compares what a dataset says of single spans with the record that the demo shop kept of what its
faults did to single requests, as a Markdown table: precision and recall by fault.

    loadgen run scenarios/retry_storm.yaml --record-faults --out runs/retry
    .ci/fault_record.py runs/retry

A request is touched if the record has it failed, repeated, missed, corrupted, or delayed by at least
--least-ms. It is marked if is_root_cause_span is true of one of its spans. Of all requests in the
steady time of the fault. Clean time has no record; of it the share of spans is told that are unusual
all the same.
"""

import argparse
import collections
import csv
import json
import pathlib
import sys

csv.field_size_limit(1 << 27)


def table(run, name):
    (path,) = sorted(run.glob(f"dataset/{name}_[0-9]*.csv"))[-1:]
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def record_of(run):
    """What was done to each request, by trace and fault."""
    touched = collections.defaultdict(list)
    for line in (run / "fault-record.jsonl").read_text().splitlines():
        line = json.loads(line)
        touched[line["trace_id"], line["fault"]].append(line)
    return touched


def faults_of(run):
    """The faults of each scenario, as (fault, service)."""
    faults = collections.defaultdict(set)
    for line in (run / "timeline.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "fault_injected":
            faults[event["scenario"]].add((event["fault"], event["service"]))
    return faults


class Request:
    def __init__(self):
        self.root_causes, self.unusual, self.spans = set(), False, {}

    def take(self, row):
        self.spans[row["span_id"]] = row["parent_span_id"]
        self.unusual |= row["span_anomaly"] not in ("", "none")
        if row["is_root_cause_span"] == "true":
            self.root_causes.add(row["span_id"])

    def is_near(self, spans):
        """Whether a marked span is one of these, the caller of one, or called by one."""
        around = spans | {self.spans.get(s) for s in spans}
        around |= {s for s, parent in self.spans.items() if parent in spans}
        return bool(around & self.root_causes)


class Count(collections.Counter):
    @property
    def precision(self):
        return self["hits"] / self["marked"] if self["marked"] else float("nan")

    @property
    def recall(self):
        return self["hits"] / self["touched"] if self["touched"] else float("nan")


def count(run, least_ms):
    """Counts by fault, and of clean time."""
    record, faults = record_of(run), faults_of(run)
    requests = collections.defaultdict(lambda: collections.defaultdict(Request))
    clean = collections.defaultdict(Count)
    for row in table(run, "traces_labeled"):
        if row["phase"] != "steady" or row["foreign"]:
            continue
        if row["anomaly_label"] == "anomalous" and row["anomaly_type"].count("+") == 0:
            requests[row["scenario"]][row["trace_id"]].take(row)
        elif row["anomaly_label"] == "normal":
            of = clean["sham" if row["fault_state"] == "sham" else "normal"]
            of["spans"] += 1
            of["known"] += row["span_anomaly"] != ""
            of["unusual"] += row["span_anomaly"] not in ("", "none")
    counts = {}
    for scenario, of in requests.items():
        for fault, service in sorted(faults.get(scenario, ())):
            counts[scenario, fault, service] = counted(of, record, fault, least_ms)
    return counts, clean


def counted(requests, record, fault, least_ms):
    of = Count(requests=len(requests))
    shows = lambda line: line["effect"] != "delayed" or line["ns"] >= least_ms * 1e6
    for trace, request in requests.items():
        lines = [line for line in record.get((trace, fault), ()) if shows(line)]
        marked = bool(request.root_causes)
        of["touched"] += bool(lines)
        of["marked"] += marked
        of["hits"] += marked and bool(lines)
        of["near"] += marked and request.is_near({line["span_id"] for line in lines})
        of["seen"] += request.unusual and bool(lines)
    return of


def percent(part, whole):
    return f"{100 * part / whole:.1f} %" if whole else "–"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=pathlib.Path, metavar="RUN")
    parser.add_argument("--least-ms", type=float, default=1.0,
                        help="a request is touched by a delay of so much (default 1)")
    parser.add_argument("--least-precision", type=float, default=0.0)
    parser.add_argument("--least-recall", type=float, default=0.0)
    arguments = parser.parse_args()
    totals, clean, good = collections.defaultdict(Count), collections.defaultdict(Count), True
    for run in arguments.runs:
        counts, of_clean = count(run, arguments.least_ms)
        for key, of in counts.items():
            totals[key[1:]].update(of)
        for key, of in of_clean.items():
            clean[key].update(of)
    print("| Fault | In | Requests | Touched | Marked | Precision | Recall | Right span | Any span unusual |")
    print("|---|---|---|---|---|---|---|---|---|")
    for (fault, service), of in sorted(totals.items()):
        print(f"| `{fault}` | {service} | {of['requests']} | {of['touched']} | {of['marked']} | "
              f"{percent(of['hits'], of['marked'])} | {percent(of['hits'], of['touched'])} | "
              f"{percent(of['near'], of['hits'])} | {percent(of['seen'], of['touched'])} |")
        good &= not of["touched"] or (of.precision >= arguments.least_precision
                                      and of.recall >= arguments.least_recall)
    for name, of in sorted(clean.items()):
        print(f"\n{name} time: {of['unusual']} of {of['known']} spans unusual "
              f"({percent(of['unusual'], of['known'])}); of {of['spans'] - of['known']} more nothing "
              f"is known ({percent(of['spans'] - of['known'], of['spans'])})")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
