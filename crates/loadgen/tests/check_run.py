#!/usr/bin/env python3
"""Checks a run of the eight classic scenarios on the embedded shop: is every file there, is every
window on the timeline, do traces hang together, and do the faults show in the data?

    python3 check_run.py RUN_FOLDER [--min-spans 200]

Standard library only, and written against the documented formats, not against loadgen's code.
Exit code 1 when a check fails.
"""

import argparse
import collections
import csv
import glob
import json
import math
import os
import sys

TABLES = ["traces_labeled", "metrics_labeled", "logs_labeled", "trace_labels", "windows",
          "windows_features_1s", "windows_features_5s", "trace_features", "graph_edges",
          "graph_nodes", "metrics_wide"]
TYPES = ["none", "latency_spike", "db_exhaustion", "cpu_saturation", "cache_miss",
         "dependency_bottleneck", "timeout", "error_spike"]
SECOND = 1_000_000_000

failed = []


def check(name, ok, figure):
    print(f"{'ok  ' if ok else 'FAIL'}  {name}: {figure}")
    if not ok:
        failed.append(name)


def p95(spans):
    values = sorted(s["ms"] for s in spans)
    return values[min(len(values) - 1, int(0.95 * len(values)))] if values else float("nan")


def read_timeline(folder):
    with open(os.path.join(folder, "timeline.jsonl"), encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def check_timeline(events):
    opened = [e for e in events if e["event"] == "window_opened"]
    closed = {e["scenario"]: e for e in events if e["event"] == "window_closed"}
    shown = [o for o in opened if not o.get("warm_up")]
    check("eight windows, in order", [o["anomaly"]["type"] for o in shown] == TYPES,
          [o["scenario"] for o in shown])
    gap = 0.0
    for a, b in zip(opened, opened[1:]):
        length = b["planned_end_ns"] - b["planned_start_ns"]
        gap = max(gap, abs(b["at_ns"] - closed[a["scenario"]]["at_ns"]) / length)
    check("no gap over 1 % of a window", gap <= 0.01, f"{100 * gap:.3f} %")
    injected = [e["scenario"] for e in events if e["event"] == "fault_injected"]
    cleared = [e["scenario"] for e in events if e["event"] == "fault_cleared"]
    check("seven faults injected and cleared", len(injected) == 7 and injected == cleared, injected)
    last = events[-1]
    check("the run is complete",
          last["event"] == "run_finished" and last["status"] == "completed", last)


def check_files(dataset):
    names = [f"{t}.{form}" for t in TABLES for form in ("csv", "parquet")]
    names += [f"traces_{kind}.csv" for kind in ["normal", "anomalous"] + TYPES[1:]]
    names += ["audit.json", "evidence.json", "causal_graph.json", "columns.json"]
    stamps = set()
    for name in names:
        stem, form = name.split(".")
        found = glob.glob(os.path.join(dataset, f"{stem}_[0-9]*.{form}"))
        if len(found) != 1:
            check(f"{stem}_*.{form}", False, found)
        stamps.update(f[-16 - len(form):-1 - len(form)] for f in found)
    check("every file, with one stamp", len(stamps) == 1, stamps)
    check("no file of `none`: that is `normal`",
          not glob.glob(os.path.join(dataset, "traces_none_*")), "none")


def rows(dataset, name):
    path, = glob.glob(os.path.join(dataset, f"{name}_[0-9]*.csv"))
    with open(path, encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def read_spans(dataset):
    spans = []
    for row in rows(dataset, "traces_labeled"):
        status = int(row["http_status_code"]) if row["http_status_code"] else None
        spans.append({"trace": row["trace_id"], "id": row["span_id"],
                      "parent": row["parent_span_id"], "service": row["service_name"],
                      "name": row["span_name"], "kind": int(row["span_kind"]), "start": int(row["start_time_ns"]),
                      "ms": float(row["duration_ms"]), "status": status,
                      "type": row["anomaly_type"], "phase": row["phase"],
                      "label": row["anomaly_label"], "state": row["fault_state"],
                      "source": row["label_source"], "sent_by": row["sent_by"]})
    return spans


def check_labels(spans):
    labels = {(s["type"], s["label"], s["state"]) for s in spans}
    expected = {("none", "normal", "none")} | {(t, "anomalous", "confirmed") for t in TYPES[1:]}
    # A request that was sent before a fault was asked for is labelled with what was in force then.
    check("labels are of the condition, and each is backed by a fault", labels == expected,
          sorted(labels ^ expected))
    by_source = collections.Counter(s["source"] for s in spans)
    sent = sum(bool(s["sent_by"]) for s in spans)
    check("at least 99 % of the spans are of requests in the ledger",
          by_source["ledger"] == sent and sent >= 0.99 * len(spans), dict(by_source))
    steady = sum(s["phase"] == "steady" for s in spans)
    check("at least 60 % of the spans are steady", steady >= 0.6 * len(spans),
          f"{100 * steady / len(spans):.1f} %")


def check_traces(spans, min_spans):
    counts = collections.Counter(s["type"] for s in spans)
    check(f"at least {min_spans} spans of each type",
          all(counts[t] >= min_spans for t in TYPES), dict(counts))
    traces = collections.defaultdict(list)
    for span in spans:
        traces[span["trace"]].append(span)
    whole = checkouts = short = 0
    for members in traces.values():
        ids = {s["id"] for s in members}
        roots = [s for s in members if not s["parent"]]
        orphans = [s for s in members if s["parent"] and s["parent"] not in ids]
        whole += len(roots) == 1 and not orphans
        paid = [s for s in members if s["service"] == "payment" and s["kind"] == 2]
        if paid and all(s["status"] == 200 for s in paid):
            checkouts += 1
            short += len({s["service"] for s in members}) < 5
    check("traces with one root and no orphan", whole >= 0.99 * len(traces),
          f"{100 * whole / len(traces):.2f} % of {len(traces)}")
    check("checkout traces cross at least 5 services", checkouts > 0 and short == 0,
          f"{checkouts} checkouts, {short} of them with fewer")


def check_effects(spans):
    server = collections.defaultdict(list)
    services = collections.defaultdict(set)
    for span in spans:
        services[span["trace"]].add(span["service"])
        # What was sent shortly before a change may have met it: that is marked as transition.
        if span["kind"] == 2 and span["phase"] == "steady":
            server[span["service"], span["type"]].append(span)

    def touched(service, kind):
        """What the edge saw of traces that pass through a service."""
        return [s for s in server["web", kind] if service in services[s["trace"]]]

    def ratio(service, kind):
        return p95(server[service, kind]) / p95(server[service, "none"])

    figure = p95(touched("catalogue", "latency_spike")) / p95(touched("catalogue", "none"))
    check("latency spike: p95 of what touches catalogue >= 3x", figure >= 3, f"{figure:.1f}x")
    figure = ratio("shipping", "db_exhaustion")
    check("DB exhaustion: p95 of shipping >= 2x", figure >= 2, f"{figure:.1f}x")
    figure = ratio("payment", "dependency_bottleneck")
    check("dependency bottleneck: p95 of payment >= 3x", figure >= 3, f"{figure:.1f}x")
    others = {s: ratio(s, "dependency_bottleneck")
              for s in ["catalogue", "user", "cart", "shipping", "ratings"]}
    check("dependency bottleneck: on payment only", all(r < 3 for r in others.values()),
          {s: f"{r:.1f}x" for s, r in others.items()})
    late = [s for s in spans if s["type"] == "timeout" and s["status"] == 504]
    check("timeout: timeouts at the edge", len(late) > 0, f"{len(late)} spans with status 504")
    share = {}
    for kind in TYPES:
        answers = [s["status"] for s in spans
                   if s["type"] == kind and s["phase"] == "steady" and not s["parent"]]
        share[kind] = sum(a is None or a >= 500 for a in answers) / max(1, len(answers))
    check("error spike: at least 20 % of answers 5xx", share["error_spike"] >= 0.2,
          f"{100 * share['error_spike']:.1f} %")
    check("baseline: below 1 % errors", share["none"] < 0.01, f"{100 * share['none']:.2f} %")


def check_metrics(dataset):
    cpu = collections.defaultdict(list)
    pending = collections.defaultdict(float)
    grown = collections.defaultdict(collections.Counter)
    for row in rows(dataset, "metrics_labeled"):
        kind, name, service = row["anomaly_type"], row["metric_name"], row["service_name"]
        if name == "process.cpu.utilization" and service == "cart":
            cpu[kind].append(float(row["value"]))
        elif name == "db.client.connection.pending_requests" and service == "shipping":
            pending[kind] = max(pending[kind], float(row["value"]))
        elif name == "cache.requests" and service == "catalogue" and row["increase"]:
            # Cumulative counters: what was added in the time that the point speaks of.
            result = json.loads(row["attributes"])["cache.result"]
            grown[kind][result] += float(row["increase"])
    check("DB exhaustion: requests wait for connections", pending["db_exhaustion"] > 0,
          f"{pending['db_exhaustion']:.0f} at most; at baseline {pending['none']:.0f}")
    mean = {kind: sum(v) / len(v) for kind, v in cpu.items()}
    figure = mean["cpu_saturation"] / max(mean["none"], 1e-9)
    check("CPU saturation: CPU of cart >= 2x", figure >= 2,
          f"{figure:.1f}x, from {mean['none']:.3f} to {mean['cpu_saturation']:.3f}")
    hit_ratio = {kind: grown[kind]["hit"] / max(1, sum(grown[kind].values()))
                 for kind in ["none", "cache_miss"]}
    check("cache-miss storm: hit ratio of catalogue at most half",
          hit_ratio["cache_miss"] <= 0.5 * hit_ratio["none"],
          f"from {hit_ratio['none']:.2f} to {hit_ratio['cache_miss']:.2f}")


def check_recovery(events, spans):
    """Within a second after a fault is cleared, the service that had it is half as slow as under
    the fault at most, or as fast as before. Only faults that slow a service can show that."""
    slow = {"latency_spike", "db_exhaustion", "cpu_saturation", "dependency_bottleneck", "timeout"}
    cleared = {e["scenario"]: e for e in events if e["event"] == "fault_cleared"}
    windows = [e for e in events if e["event"] == "window_opened"]
    for window, following in zip(windows, windows[1:]):
        kind, fault = window["anomaly"]["type"], cleared.get(window["scenario"])
        if fault is None or kind not in slow:
            continue
        service, begin = fault["service"], fault["at_ns"] + SECOND
        end = begin + (following["planned_end_ns"] - following["planned_start_ns"]) // 2
        of = [s for s in spans if s["service"] == service and s["kind"] == 2]
        if service == "payment":
            # The next fault, in user, slows payments too, and makes them rare: look at the gateway
            # alone, from the moment of clearing on, for the whole window.
            begin, end = fault["at_ns"], following["planned_end_ns"]
            of = [s for s in spans if s["service"] == service and s["name"] == "POST /charge"]
        under = p95([s for s in of if s["type"] == kind])
        after = p95([s for s in of if begin <= s["start"] < end])
        before = p95([s for s in of if s["type"] == "none" and s["phase"] == "steady"])
        if math.isnan(after):
            print(f"      recovery of {service} after {kind}: nothing was sent to it in that time")
            continue
        check(f"recovery of {service} after {kind}", after <= max(under / 2, 2 * before),
              f"p95 {before:.1f} ms at baseline, {under:.1f} under the fault, {after:.1f} after")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("--min-spans", type=int, default=200)
    args = parser.parse_args()
    dataset = os.path.join(args.folder, "dataset")
    events = read_timeline(args.folder)
    check_timeline(events)
    check_files(dataset)
    spans = read_spans(dataset)
    check_labels(spans)
    check_traces(spans, args.min_spans)
    check_effects(spans)
    check_metrics(dataset)
    check_recovery(events, spans)
    print(f"{len(failed)} checks failed" if failed else "all checks passed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
