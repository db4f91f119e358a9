#!/usr/bin/env python3
"""Labels every span once more, independently of loadgen, and compares with its CSV.

    python3 independent_join.py --timeline timeline.jsonl [--ledger ledger.arrows] --traces traces.jsonl [...] --labeled traces_labeled_*.csv

Uses nothing but the standard library (pyarrow for the ledger) and what a run leaves behind. The
rule: a span has the label of the scenario that sent its trace, by the ledger; else that of the
window in which its trace's root started (the earliest span where no root arrived), half-open;
`unknown` where there is no window, or several that disagree. Exit code 0:
every span has the same label in both, and there are as many rows as spans. 1: not so. 2: bad usage
or input.
"""

import argparse
import collections
import csv
import json
import re
import sys


def read_windows(path):
    """[(opened_ns, closed_ns, anomaly, scenario)]; a window that never closed ends at the last event."""
    windows, still_open, last = [], {}, None
    with open(path, "rb") as lines:
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            kind, at = event.get("event"), event.get("at_ns")
            if at is not None:
                last = at if last is None else max(last, at)
            if kind == "window_opened":
                window = [at, None, event["anomaly"], event["scenario"]]
                windows.append(window)
                still_open.setdefault(event["scenario"], []).append(window)
            elif kind == "window_closed" and still_open.get(event["scenario"]):
                still_open[event["scenario"]].pop(0)[1] = at
    for window in windows:
        if window[1] is None:
            window[1] = last
    return windows


def identity(text, digits):
    """An id in lower case; "" where there is none. A malformed one spoils its line."""
    text = (text or "").lower()
    if text and not re.fullmatch(f"[0-9a-f]{{{digits}}}", text):
        raise ValueError(f"not an id: {text}")
    return text if text.strip("0") else ""


def spans_of(path):
    """Every span as (trace id, span id, parent id or "", start in ns or 0)."""
    with open(path, "rb") as lines:
        for line in lines:
            try:
                message = json.loads(line)
                yield from [
                    (
                        identity(span.get("traceId"), 32),
                        identity(span.get("spanId"), 16),
                        identity(span.get("parentSpanId"), 16),
                        int(span.get("startTimeUnixNano") or 0),
                    )
                    for resource in message.get("resourceSpans") or []
                    for scope in resource.get("scopeSpans") or []
                    for span in scope.get("spans") or []
                ]
            except ValueError:
                continue


def label_at(windows, start):
    hits = [w[2] for w in windows if start and w[0] <= start < w[1]]
    agreed = hits and all(anomaly == hits[0] for anomaly in hits)
    return (hits[0]["type"], hits[0]["label"]) if agreed else ("unknown", "unknown")


def read_senders(path, windows):
    """{trace id: anomaly of the scenario that sent it}."""
    import pyarrow.ipc

    by_scenario = {scenario: anomaly for _, _, anomaly, scenario in windows}
    with pyarrow.ipc.open_stream(path) as stream:
        table = stream.read_all()
    pairs = zip(table["trace_id"].to_pylist(), table["scenario"].to_pylist())
    return {trace: by_scenario[scenario] for trace, scenario in pairs if scenario in by_scenario}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--timeline", required=True)
    parser.add_argument("--ledger")
    parser.add_argument("--traces", required=True, nargs="+")
    parser.add_argument("--labeled", required=True)
    arguments = parser.parse_args()

    windows = read_windows(arguments.timeline)
    spans = [span for path in arguments.traces for span in spans_of(path)]
    roots, earliest = {}, {}
    for trace, _, parent, start in spans:
        if start:
            earliest[trace] = min(start, earliest.get(trace, start))
            if not parent:
                roots[trace] = min(start, roots.get(trace, start))

    senders = read_senders(arguments.ledger, windows) if arguments.ledger else {}
    expected = collections.Counter()
    for trace, span, _, start in spans:
        began = roots.get(trace, earliest.get(trace, 0)) if trace else start
        sender = senders.get(trace)
        label = (sender["type"], sender["label"]) if sender else label_at(windows, began)
        expected[(trace, span, *label)] += 1

    found = collections.Counter()
    with open(arguments.labeled, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            plain = [row[c].removeprefix("'") for c in ("anomaly_type", "anomaly_label")]
            found[(row["trace_id"], row["span_id"], *plain)] += 1

    missing, surplus = expected - found, found - expected
    by_type = collections.Counter()
    for key, count in expected.items():
        by_type[key[2]] += count
    print(f"{len(windows)} windows, {len(spans)} spans, {found.total()} rows")
    for kind, count in sorted(by_type.items()):
        print(f"  {kind}: {count}")
    for what, rows in (("in the telemetry but not so in the CSV", missing), ("in the CSV only", surplus)):
        if rows:
            print(f"{rows.total()} spans {what}; for example:")
            for key in list(rows)[:5]:
                print("  trace {} span {} type {} label {}".format(*key))
    if missing or surplus or found.total() != len(spans):
        print("DIFFERENT")
        return 1
    print("same label for every span")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, KeyError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2)
