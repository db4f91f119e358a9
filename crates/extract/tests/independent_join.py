#!/usr/bin/env python3
"""Labels every span, log record and data point of a run once more, by time and independently of
loadgen, and compares with its dataset, row by row.

    python3 independent_join.py RUN_FOLDER
    python3 independent_join.py --timeline timeline.jsonl [--ledger ledger.arrows] \
        [--faults more.jsonl] --telemetry FILE_OR_FOLDER [...] --dataset FOLDER

Uses nothing but the standard library and what a run leaves behind: its telemetry (plain OTLP JSON
lines), its timeline and its ledger. The rules are those of docs/dataset-format.md. From the dataset
it takes only when the system had recovered after each fault (`recovered_ns` of `windows`) and the
verdicts. Exit code 0: all is the same. 1: not so; the first differences are printed. 2: bad usage or
input.
"""

import argparse
import collections
import glob
import json
import os
import sys

sys.dont_write_bytecode = True

from independent import telemetry, unusual
from independent.arrow import read_stream
from independent.rows import rows_of, text
from independent.telemetry import CONSUMER, PRODUCER
from independent.timeline import Phases, Timeline, describe

SECOND = 1_000_000_000
LATE = 5 * SECOND
BACKED = ("supported", "weak", "clean")
LABELS = ["anomaly_type", "anomaly_label", "anomaly_symptom", "anomaly_root_cause",
          "root_cause_service", "fault_state", "scenario", "label_source", "is_root_cause_service",
          "foreign"]
UNKNOWN = (*describe("unknown", []), "none", "")


class Run:
    """What is known of a run before its telemetry is looked at."""

    def __init__(self, arguments):
        self.timeline = Timeline(arguments.timeline, arguments.faults)
        self.requests, self.is_whole = {}, False
        if arguments.ledger:
            rows, self.is_whole = read_stream(arguments.ledger)
            order = lambda r: (r["sent_ns"], r["span_id"])
            for row in sorted(rows, key=order):
                self.requests.setdefault(row["trace_id"], row)

    def said(self, moment):
        piece = self.timeline.at(moment) if moment else None
        return (*piece.columns(), piece.state, piece.scenario) if piece else UNKNOWN

    def is_outside(self, moment):
        return not moment or self.timeline.at(moment) is None


class Trace:
    def __init__(self, run, spans, request):
        self.spans, self.request = spans, request
        self.moment, self.source = None, "none"
        self.foreign = ""
        self.sent_by = request["scenario"] if request else ""
        starts = [s for s in spans if s.start]
        roots = [s for s in starts if not s.parent]
        root = min(roots or starts, key=lambda s: (s.start, s.id), default=None)
        if request:
            self.moment, self.source = request["sent_ns"], "ledger"
            self.ended = request["finished_ns"]
        else:
            self.moment = root and root.start
            self.source = "window" if root else "none"
            self.ended = root and max(root.start, root.end)
            self.foreign = self.whose(run)
        self.duration = (request["finished_ns"] - request["sent_ns"] if request
                         else root.end - root.start if root else 0)

    def whose(self, run):
        """Whose telemetry it is, if not the run's, of a trace that is not in the ledger."""
        headers = [s.header[0] for s in self.spans if s.header and not s.header[1]]
        if "loadgen_doctor" in headers:
            return "doctor"
        runs = {s.run for s in self.spans if s.run}
        if runs and run.timeline.run_id:
            return "" if run.timeline.run_id in runs else "other_run"
        if headers and run.is_whole:
            return "other_run"
        return "outside" if run.is_outside(self.moment) else ""

    def late(self):
        """By span: whether it began so long after the request's end that it is none of it."""
        by_id = {s.id: s for s in self.spans}

        def is_late(span):
            if not span.start or not self.ended or span.start - self.ended <= LATE:
                return False
            seen = set()
            while span and span.id not in seen:
                if span.linked or span.kind in (PRODUCER, CONSUMER) and (seen or span.kind == CONSUMER):
                    return False
                seen.add(span.id)
                span = by_id.get(span.parent) if span.parent else None
            return True
        return [is_late(s) for s in self.spans]


def traces_of(run, spans):
    groups = collections.defaultdict(list)
    for index, span in enumerate(spans):
        groups[span.trace or index].append(span)
    return {key: Trace(run, of, run.requests.get(key)) for key, of in groups.items()}


def phases_of(run, traces, dataset):
    """The phases, by the durations of what was sent in each window."""
    durations = collections.defaultdict(list)
    for trace in traces.values():
        if trace.foreign or not trace.moment:
            continue
        piece = run.timeline.at(trace.moment)
        for window in run.timeline.windows if piece else ():
            if window.opened <= piece.begin and piece.end <= window.closed:
                durations[id(window)].append(trace.duration)

    def p99(window):
        of = sorted(durations[id(window)])
        return max(of[max(0, -(-99 * len(of) // 100) - 1)], 0) if of else 0
    recoveries = [(int(w["fault_cleared_ns"]), int(w["recovered_ns"]))
                  for w in rows_of(dataset, "windows") if w["recovered_ns"]]
    return Phases(run.timeline, p99, recoveries)


def said_of(run, phases, moment, source, foreign, service):
    """The cells of LABELS, and the phase."""
    said = UNKNOWN if foreign else run.said(moment)
    services = said[4].split("+") if said[4] else []
    own = str(service in services).lower() if services else ""
    known = not foreign and not run.is_outside(moment)
    return (*said, source, own, foreign), phases.at(moment) if known else ""


def expected_spans(run, phases, traces):
    for trace in traces.values():
        for span, late in zip(trace.spans, trace.late()):
            moment, source = (span.start, "window") if late and not trace.foreign else (
                trace.moment, trace.source)
            labels, phase = said_of(run, phases, moment, source, trace.foreign, span.service)
            key = (span.trace, span.id, span.parent, span.service, span.start, span.end, span.kind)
            yield key, (*labels, trace.sent_by, str(late).lower()), phase, moment, span.service


def expected_logs(run, phases, traces, logs):
    for log in logs:
        trace = traces.get(log.trace)
        if trace is None and log.trace in run.requests:
            trace = Trace(run, [], run.requests[log.trace])
        if trace:
            moment, source, foreign = trace.moment, trace.source, trace.foreign
        else:
            moment, source = log.time or None, "window" if log.time else "none"
            foreign = "outside" if run.is_outside(moment) else ""
        labels, phase = said_of(run, phases, moment, source, foreign, log.service)
        key = (log.trace, log.id, log.service, log.time, log.observed, log.severity)
        yield key, (*labels, trace.sent_by if trace else ""), phase, moment, log.service


def expected_points(run, phases, points):
    series = collections.defaultdict(list)
    for point in points:
        series[point.series].append(point)
    order = lambda p: (p.time, p.start, float("-inf") if p.total is None else p.total)
    for of in series.values():
        of.sort(key=order)
        for point, (start, increase) in zip(of, telemetry.intervals(of)):
            service = point.row[0]
            placed = run.timeline.over(start, point.time) if point.time else None
            if placed is None:
                said, phase, foreign = UNKNOWN, "", "outside"
            else:
                columns, piece, settled = placed
                said, foreign = (*columns, piece.state, piece.scenario), ""
                phase = (phases.at(point.time) if start >= point.time
                         else phases.of(start, point.time) if settled else "transition")
            services = said[4].split("+") if said[4] else []
            own = str(service in services).lower() if services else ""
            source = "window" if point.time else "none"
            grown = None if point.total is None else increase
            labels = (*said, source, own, foreign, start or "", grown)
            yield point.row, labels, phase, (start, point.time), service


def number(cell):
    return int(cell) if cell else 0


def span_row(row):
    key = (row["trace_id"], row["span_id"], row["parent_span_id"], text(row["service_name"]),
           number(row["start_time_ns"]), number(row["end_time_ns"]), number(row["span_kind"]))
    return key, (*(text(row[c]) for c in LABELS), text(row["sent_by"]), row["late"])


def log_row(row):
    key = (row["trace_id"], row["span_id"], text(row["service_name"]), number(row["time_ns"]),
           number(row["observed_time_ns"]), number(row["severity_number"]))
    return key, (*(text(row[c]) for c in LABELS), text(row["sent_by"]))


def point_row(row):
    origin = ("service_instance_id", "host_name", "container_name", "k8s_pod_name", "scope_name")
    key = (text(row["service_name"]), text(row["metric_name"]), text(row["unit"]),
           row["metric_type"], number(row["time_ns"]), number(row["start_time_ns"]),
           *(text(row[c]) for c in origin), telemetry.canonical(json.loads(row["attributes"])))
    increase = float(row["increase"]) if row["increase"] else None
    return key, (*(text(row[c]) for c in LABELS), number(row["interval_start_ns"]) or "", increase)


def compare(name, columns, expected, rows, row_of, keeps_foreign):
    """Compares all rows of a table; gives whether they are the same."""
    foreign_at = LABELS.index("foreign")
    by_key, left_out = collections.defaultdict(list), collections.Counter()
    for key, labels, phase, *_ in expected:
        if labels[foreign_at] and not keeps_foreign:
            left_out[labels[foreign_at]] += 1
        else:
            by_key[key].append((labels, phase))
    count, by_type, undecided, different = 0, collections.Counter(), 0, []
    for row in rows:
        count += 1
        key, labels = row_of(row)
        by_type[labels[0]] += 1
        same = [i for i, (l, p) in enumerate(by_key[key]) if l == labels and p in (row["phase"], None)]
        if same:
            undecided += by_key[key].pop(same[0])[1] is None
        elif by_key[key]:
            wanted, phase = by_key[key].pop(0)
            cells = zip([*columns, "phase"], [*wanted, phase], [*labels, row["phase"]])
            different.append((key, "; ".join(f"{c}: {w!r} here, {g!r} in the dataset"
                                             for c, w, g in cells if w != g)))
        else:
            different.append((key, "a row that should not be there"))
    missing = [(key, "no row") for key, of in by_key.items() for _ in of]
    print(f"{name}: {count} rows; {dict(sorted(by_type.items()))}")
    if left_out:
        print(f"  left out as foreign: {dict(sorted(left_out.items()))}")
    if undecided:
        print(f"  {undecided} rows whose phase hangs on the last digit of a p99 were not compared by it")
    different += missing
    if different:
        print(f"  {len(different)} DIFFERENT; for example:")
        for key, what in different[:8]:
            print(f"    {' '.join(map(str, key))}\n      {what}")
    return not different


def check_seconds(timeline, phases, spans, points):
    """Spans and points of one service and second have one label, outside of transitions; and a
    span's is that of every settled interval that holds its moment."""
    seen, windows = collections.defaultdict(lambda: ({}, {})), collections.defaultdict(list)
    calm = lambda second: phases.of(second * SECOND, (second + 1) * SECOND) not in ("transition", None)
    for _, labels, phase, moment, service in spans:
        if not labels[LABELS.index("foreign")] and moment and phase not in ("transition", None, ""):
            seen[service, moment // SECOND][0][labels[:2]] = moment
    for _, labels, phase, (_, end), service in points:
        if not labels[LABELS.index("foreign")] and phase not in ("transition", None, ""):
            seen[service, end // SECOND][1][labels[:2]] = end
    both = different = 0
    for (service, second), (of_spans, of_points) in sorted(seen.items()):
        if of_spans and of_points and calm(second):
            both += 1
            if len(set(of_spans) | set(of_points)) > 1:
                different += 1
                print(f"  {service} at {second} s: spans {set(of_spans)}, points {set(of_points)}")
    print(f"seconds of a service with spans and points: {both}, {different} of them disagree")
    return not different


def check_filter(dataset):
    """The filters that people write give the rows of the files of classes."""
    wanted = {"normal": collections.Counter(), "anomalous": collections.Counter()}
    is_ok = True
    for row in rows_of(dataset, "traces_labeled"):
        label = row["anomaly_label"]
        kind = text(row["anomaly_type"])
        said = {"none": "normal", "unknown": "unknown"}.get(kind, "anomalous")
        if said != label:
            print(f"  anomaly_label is {label} where anomaly_type is {kind}")
            is_ok = False
        is_settled = row["phase"] == "steady" and row["late"] == "false"
        if label in wanted and is_settled and row["verdict"] in BACKED:
            wanted[label][tuple(row.values())] += 1
    for label, expected in wanted.items():
        found = collections.Counter(tuple(r.values()) for r in rows_of(dataset, f"traces_{label}"))
        same = found == expected
        print(f"traces_{label}: {found.total()} rows, {'as' if same else 'NOT as'} filtered")
        is_ok &= same
    return is_ok


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", help="a run folder with everything in its usual place")
    parser.add_argument("--timeline")
    parser.add_argument("--ledger")
    parser.add_argument("--faults", nargs="*", default=[])
    parser.add_argument("--telemetry", nargs="+", default=[])
    parser.add_argument("--dataset")
    parser.add_argument("--all-phases", action="store_true",
                        help="the dataset was made with --all-phases, --steady-only or "
                             "--include-foreign: its files of classes and the columns of unusual "
                             "spans are not compared")
    arguments = parser.parse_args()
    if arguments.run:
        place = lambda name: os.path.join(arguments.run, name)
        arguments.timeline = arguments.timeline or place("timeline.jsonl")
        arguments.telemetry = arguments.telemetry or [place("telemetry")]
        arguments.dataset = arguments.dataset or place("dataset")
        if not arguments.ledger and os.path.exists(place("ledger.arrows")):
            arguments.ledger = place("ledger.arrows")
    if not (arguments.timeline and arguments.telemetry and arguments.dataset):
        parser.error("give a run folder, or a timeline, telemetry and a dataset")
    files = []
    for path in arguments.telemetry:
        files += sorted(glob.glob(os.path.join(path, "*.jsonl"))) if os.path.isdir(path) else [path]
    arguments.telemetry = files
    return arguments


def main():
    arguments = parse()
    run, dataset = Run(arguments), arguments.dataset
    spans, logs, points = (list(telemetry.read(arguments.telemetry, of)) for of in (
        telemetry.spans_of, telemetry.logs_of, telemetry.points_of))
    print(f"{len(run.timeline.windows)} windows, {len(run.requests)} requests, {len(spans)} spans, "
          f"{len(logs)} log records, {len(points)} data points")
    if not spans:
        raise ValueError(f"no span in {arguments.telemetry}: say where the telemetry is with --telemetry")
    traces = traces_of(run, spans)
    phases = phases_of(run, traces, dataset)
    of_spans = list(expected_spans(run, phases, traces))
    of_points = list(expected_points(run, phases, points))
    of_logs = expected_logs(run, phases, traces, logs)
    keeps = any(row["foreign"] for row in rows_of(dataset, "traces_labeled"))
    late = sum(labels[-1] == "true" for _, labels, *_ in of_spans)
    print(f"late spans: {late}")
    tables = [
        ("spans", [*LABELS, "sent_by", "late"], of_spans, "traces_labeled", span_row),
        ("log records", [*LABELS, "sent_by"], of_logs, "logs_labeled", log_row),
        ("data points", [*LABELS, "interval_start_ns", "increase"], of_points, "metrics_labeled",
         point_row),
    ]
    results = [compare(name, columns, expected, rows_of(dataset, table), row_of, keeps)
               for name, columns, expected, table, row_of in tables]
    results.append(check_seconds(run.timeline, phases, of_spans, of_points))
    if not arguments.all_phases:
        results.append(check_filter(dataset))
        results.append(unusual.check(rows_of(dataset, "traces_labeled"), rows_of(dataset, "windows")))
    print("the same" if all(results) else "DIFFERENT")
    return 0 if all(results) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, KeyError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2)
