#!/usr/bin/env python3
"""Compares the figures of a page with those that plain Python finds in the CSV tables.

    independent_figures.py report.html DATASET

DATASET is the folder of the tables. Nothing of the program's own is used but what is compared: rates,
errors, quantiles, log records and gauges by service and step, rows by label, windows with their
verdicts, graphs, and the typical trace of each window. Prints how many figures were compared; exit
code 1 if one differs.
"""

import csv
import glob
import json
import math
import os
import re
import sys
from collections import Counter, defaultdict

csv.field_size_limit(1 << 30)
KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
SECOND = 1_000_000_000

compared = Counter()
differences = []


def check(what, where, page, own, relative=0.0, absolute=0.0):
    """Notes a difference. Of numbers of a chart the page has four digits, of others six."""
    compared[what] += 1
    if isinstance(page, float) or isinstance(own, float):
        if page is None or own is None:
            same = page is own
        else:
            same = math.isclose(page, own, rel_tol=relative, abs_tol=absolute)
    else:
        same = page == own
    if not same:
        differences.append(f"{what} of {where}: the page has {page}, the tables {own}")


def figures(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', text, re.S)
    return json.loads(found.group(1))


def rows(folder, table, stamp):
    path = os.path.join(folder, f"{table}_{stamp}.csv")
    if not os.path.exists(path):
        return
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            # Taking one leading ' off gives back what was there.
            yield {key: value[1:] if value.startswith("'") else value for key, value in row.items()}


def number(text):
    return float(text) if text else None


def whole(text):
    return int(text) if text else None


def quantile(values, q):
    """Nearest rank: the value at place ceil(n * q)."""
    if not values:
        return None
    values = sorted(values)
    return values[max(0, math.ceil(len(values) * q) - 1)]


def spans_of(folder, stamp):
    """Every span of the run, each copy once, as few fields as are needed."""
    seen = set()
    for row in rows(folder, "traces_labeled", stamp):
        if row.get("foreign"):
            continue
        key = (row["trace_id"], row["span_id"])
        if row["span_id"] and key in seen:
            continue
        seen.add(key)
        yield row


def series(run, folder, stamp):
    """Rates, errors, quantiles and log records, counted anew from spans and records."""
    data = run["series"]
    if data is None:
        return
    step = round(data["step_s"])
    origin = round(run["t0_ms"] / 1000 + data["from_s"]) * SECOND
    fine = step // data["rows_per_step"]

    def place(ns):
        # Also the row that it was before steps were joined.
        return (ns - origin) // (step * SECOND), (ns - origin) // (fine * SECOND)

    counts, errors, durations = Counter(), Counter(), defaultdict(list)
    for row in spans_of(folder, stamp):
        kind = KINDS.get(int(row["span_kind"]))
        start = whole(row["start_time_ns"])
        if kind is None or start is None:
            continue
        at, row_at = place(start)
        if not 0 <= at < data["steps"]:
            continue
        key = (row["service_name"], kind, at)
        counts[key] += 1
        errors[key] += row["span_status"] == "2"
        duration = whole(row["duration_ns"])
        if duration is not None and duration >= 0:
            durations[(row["service_name"], kind, row_at)].append(duration / 1e6)
    logs = defaultdict(Counter)
    for row in rows(folder, "logs_labeled", stamp):
        if row.get("foreign") or not row["time_ns"]:
            continue
        at, _ = place(int(row["time_ns"]))
        if 0 <= at < data["steps"]:
            severity = whole(row["severity_number"]) or 0
            logs[(row["service_name"], at)]["log_records"] += 1
            logs[(row["service_name"], at)]["log_warnings"] += 13 <= severity <= 16
            logs[(row["service_name"], at)]["log_errors"] += 17 <= severity <= 24
    joined = data["rows_per_step"]
    for of in data["services"]:
        service = of["service"]
        for kind in KINDS.values():
            shown = of["kinds"].get(kind)
            for at in range(data["steps"]):
                key = (service, kind, at)
                where = f"{service} {kind} at step {at}"
                check("rate", where, shown["count"][at] if shown else 0, counts[key])
                check("errors", where, shown["errors"][at] if shown else 0, errors[key])
                if not shown:
                    continue
                for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
                    parts = [
                        durations[(service, kind, at * joined + n)] for n in range(joined)
                    ]
                    known = [(quantile(part, q), len(part)) for part in parts if part]
                    weight = sum(n for _, n in known)
                    own = sum(v * n for v, n in known) / weight if weight else None
                    check(name, where, shown[name][at], own, relative=1e-3)
        for name in ("log_records", "log_warnings", "log_errors"):
            shown = of["counts"].get(name)
            for at in range(data["steps"]):
                own = logs[(service, at)][name]
                where = f"{service} at step {at}"
                check("log records", where, shown[at] if shown else 0, own)
    seen = {of["service"] for of in data["services"]}
    check("services", "charts", sorted({s for s, _, _ in counts} - seen), [])


def gauges(run, folder, stamp):
    """What metrics say of services over time, as the table has it."""
    data = run["series"]
    if data is None or data["rows_per_step"] != 1:
        return
    step = round(data["step_s"])
    origin = round(run["t0_ms"] / 1000 + data["from_s"]) * SECOND
    shown = {of["service"]: of["gauges"] for of in data["services"]}
    for row in rows(folder, data["table"], stamp):
        at = (int(row["start_time_ns"]) - origin) // (step * SECOND)
        for name in ("in_flight", "cpu", "saturation", "queue"):
            of = shown[row["service_name"]].get(name)
            page = of[at] if of else None
            check("gauges", f"{row['service_name']} {name} at step {at}", page, number(row[name]), relative=1e-3)


def balance(run, folder, stamp):
    data = run["balance"]
    by_type = defaultdict(Counter)
    by_phase, by_source = Counter(), Counter()
    for row in rows(folder, "traces_labeled", stamp):
        of = by_type[row["anomaly_type"]]
        of["spans"] += 1
        if row["phase"]:
            of["phase " + row["phase"]] += 1
            by_phase[row["phase"]] += 1
        by_source[row["label_source"]] += 1
    for table, name in (("trace_labels", "traces"), ("metrics_labeled", "points"), ("logs_labeled", "logs")):
        for row in rows(folder, table, stamp):
            by_type[row["anomaly_type"]][name] += 1
    check("labels", "types", sorted(data["types"]), sorted(by_type))
    for kind, of in data["types"].items():
        own = by_type[kind]
        for name in ("spans", "traces", "points", "logs"):
            check("labels", f"{name} of {kind}", of[name], own[name])
        for phase, count in of["spans_by_phase"].items():
            check("labels", f"{phase} spans of {kind}", count, own["phase " + phase])
        if of["class_file"] is not None:
            name = "normal" if kind == "none" else kind
            count = sum(1 for _ in rows(folder, f"traces_{name}", stamp))
            check("labels", f"class file of {kind}", of["class_file"], count)
    check("labels", "phases", {k: v for k, v in data["spans_by_phase"].items() if v}, dict(by_phase))
    check("labels", "sources", {k: v for k, v in data["spans_by_source"].items() if v}, dict(by_source))
    traces = sum(1 for _ in rows(folder, "trace_labels", stamp))
    check("glance", "spans", run["dataset"]["spans"]["written"], sum(by_source.values()))
    check("glance", "traces", run["dataset"]["traces"], traces)
    for table, name in (("metrics_labeled", "points"), ("logs_labeled", "logs")):
        check("glance", name, run["dataset"][name]["written"], sum(1 for _ in rows(folder, table, stamp)))


def windows(run, folder, stamp):
    own = list(rows(folder, "windows", stamp))
    check("windows", "their number", len(run["windows"]), len(own))
    began = run["t0_ms"] / 1000
    for page, row in zip(run["windows"], own):
        where = row["scenario"]
        for name, column in (
            ("scenario", "scenario"),
            ("anomaly_type", "anomaly_type"),
            ("verdict", "verdict"),
            ("effect_signal", "effect_signal"),
        ):
            check("windows", f"{name} of {where}", page[name] or "", row[column])
        for name in ("requests", "lost_traces", "traces", "spans", "steady_spans", "traces_met"):
            check("windows", f"{name} of {where}", page[name], whole(row[name]))
        check("windows", f"rank of {where}", page["rank"], whole(row["root_cause_rank"]))
        for name in ("onset_s", "recovery_s"):
            check("windows", f"{name} of {where}", page[name], number(row[name]), relative=1e-5)
        effect = page["effect"] or {"value": None, "low": None, "high": None}
        for name, column in (("value", "effect"), ("low", "effect_low"), ("high", "effect_high")):
            check("windows", f"{column} of {where}", effect[name], number(row[column]), relative=1e-5)
        for name, column in (("opened_s", "opened_ns"), ("closed_s", "closed_ns")):
            check("windows", f"{name} of {where}", page[name] + began, int(row[column]) / SECOND, absolute=0.003)
        if row["fault_injected_ns"] and page["faults"]:
            own_s = int(row["fault_injected_ns"]) / SECOND
            check("windows", f"injection in {where}", page["faults"][0]["injected_s"] + began, own_s, absolute=0.003)


def graphs(run, folder, stamp):
    data = run["graphs"]
    if data is None or data["source"] != "tables":
        return
    for table, part in (("graph_edges", "edges"), ("graph_nodes", "nodes")):
        shown = {}
        for window, of in data["windows"].items():
            for item in of[part]:
                name = (item["caller"], item["callee"], item["kind"]) if part == "edges" else (item["name"],)
                shown[(int(window), *name)] = item
        own = 0
        for row in rows(folder, table, stamp):
            own += 1
            name = (row["caller"], row["callee"], row["kind"]) if part == "edges" else (row["service_name"],)
            item = shown.get((int(row["window"]), *name))
            where = f"{' to '.join(name)} in window {row['window']}"
            if item is None:
                check("graphs", where, None, "a row")
                continue
            for field in ("count", "errors"):
                check("graphs", f"{field} of {where}", item["figures"][field], int(row[field]))
            for field in ("p50", "p95", "p99"):
                check("graphs", f"{field} of {where}", item["figures"][field], number(row[f"{field}_ms"]), relative=1e-5)
        check("graphs", f"number of {part}", len(shown), own)


def traces(run, folder, stamp):
    """The typical trace of each window, chosen anew by the rule that docs/report.md states."""
    data = run["traces"]
    if data is None:
        return
    of_window = defaultdict(lambda: defaultdict(list))
    labels = [row for row in rows(folder, "trace_labels", stamp) if row["phase"] == "steady" and row["duration_ns"]]
    normal = defaultdict(list)
    for row in labels:
        kind = (row["root_service"], row["root_span_name"])
        trace = (int(row["duration_ns"]), int(row["trace_id"], 16), row["trace_id"])
        if row["anomaly_type"] == "none":
            normal[kind].append(trace)
        for window in run["windows"]:
            if row["anomaly_type"] == window["anomaly_type"] and window["scenario"] in row["scenario"].split("+"):
                of_window[window["number"]][(row["touches_root_cause"] == "true", kind)].append(trace)
    wanted = {}

    def median(of):
        of = sorted(of)
        return of[(len(of) - 1) // 2]

    for window in run["windows"]:
        groups = of_window[window["number"]]
        page = data["windows"].get(str(window["number"]))
        if not groups:
            check("traces", window["scenario"], page, None)
            continue
        most = max((touches, len(of)) for (touches, _), of in groups.items())
        (touches, kind), of = min(
            ((key, of) for key, of in groups.items() if (key[0], len(of)) == most), key=lambda x: x[0][1]
        )
        where = f"the trace of {window['scenario']}"
        check("traces", f"number of which {where} is one", page["of"], len(of))
        check("traces", where, page["within"]["trace_id"], median(of)[2])
        wanted[page["within"]["trace_id"]] = page["within"]
        if page["normal"]:
            check("traces", f"normal beside {where}", page["normal"]["trace_id"], median(normal[kind])[2])
            wanted[page["normal"]["trace_id"]] = page["normal"]
    spans = defaultdict(list)
    for row in rows(folder, "traces_labeled", stamp):
        if row["trace_id"] in wanted and row["late"] != "true" and row["start_time_ns"] and row["end_time_ns"]:
            spans[row["trace_id"]].append(row)
    for trace, page in wanted.items():
        own = spans[trace]
        check("traces", f"spans of {trace}", page["span_count"], len(own))
        begin = min(int(row["start_time_ns"]) for row in own)
        if len(page["spans"]) != len(own):
            continue
        cut = lambda name: name if len(name) <= 160 else name[:160] + "…"
        mine = sorted(
            (row["service_name"], cut(row["span_name"]), (int(row["start_time_ns"]) - begin) / 1e6, float(row["duration_ms"]))
            for row in own
        )
        shown = sorted((s["service"], s["name"], s["start_ms"], s["duration_ms"]) for s in page["spans"])
        for a, b in zip(shown, mine):
            check("traces", f"a span of {trace}", a[:2], b[:2])
            check("traces", f"start of {a[1]} in {trace}", a[2], b[2], relative=1e-5)
            check("traces", f"duration of {a[1]} in {trace}", a[3], b[3], relative=1e-5)


def main():
    page = figures(sys.argv[1])
    folder = sys.argv[2]
    stamps = {os.path.basename(path)[6:-5] for path in glob.glob(os.path.join(folder, "audit_*.json"))}
    run = next(run for run in page["runs"] if run["dataset"] and run["dataset"]["stamp"] in stamps)
    stamp = run["dataset"]["stamp"]
    for part in (series, gauges, balance, windows, graphs, traces):
        part(run, folder, stamp)
    print(", ".join(f"{count} of {what}" for what, count in sorted(compared.items())), "compared")
    for difference in differences[:20]:
        print(difference)
    if differences:
        sys.exit(f"{len(differences)} of {sum(compared.values())} figures differ")


if __name__ == "__main__":
    main()
