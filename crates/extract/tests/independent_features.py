#!/usr/bin/env python3
"""Computes the tables of services over time, of traces by their shape, of the graph of calls and of
metrics once more, from the raw telemetry of a run and independently of loadgen, and compares them
with its dataset, cell by cell.

    python3 independent_features.py RUN_FOLDER
    python3 independent_features.py --telemetry FILE_OR_FOLDER [...] --dataset FOLDER

Uses nothing but the standard library. The rules are those of docs/dataset-format.md. Which spans and
records are the run's, which spans are late, what phase a trace is in and what data points say it
takes from the dataset: `independent_join.py` checks those. Exit code 0: all is the same. 1: not so; the first differences
are printed. 2: bad usage or input.
"""

import argparse
import collections
import glob
import json
import math
import os
import re
import sys

sys.dont_write_bytecode = True

from independent import telemetry
from independent.rows import rows_of, text

SECOND = 1_000_000_000
KINDS = {2: "server", 3: "client", 1: "internal", 0: "internal", 4: "producer", 5: "consumer"}
SEVERITIES = ["log_trace", "log_debug", "log_info", "log_warn", "log_error", "log_fatal"]
CLIENT, SERVER, PRODUCER, CONSUMER = 3, 2, 4, 5

Span = collections.namedtuple(
    "Span", "trace id parent service instance name kind start end error of")


def number(cell):
    return int(cell) if cell else 0


def spans_of(message):
    for part in message.get("resourceSpans") or []:
        resource, service = telemetry.resource_of(part)
        names = ("service.instance.id", "k8s.pod.name", "host.name")
        instance = next((resource[n] for n in names if resource.get(n)), "")
        for scope in part.get("scopeSpans") or []:
            for span in scope.get("spans") or []:
                kind = span.get("kind") or 0
                status = (span.get("status") or {}).get("code") or 0
                yield Span(
                    telemetry.identity(span.get("traceId"), 32),
                    telemetry.identity(span.get("spanId"), 16),
                    telemetry.identity(span.get("parentSpanId"), 16), service, instance,
                    span.get("name") or "", telemetry.KINDS.get(kind, kind),
                    telemetry.nanos(span.get("startTimeUnixNano")),
                    telemetry.nanos(span.get("endTimeUnixNano")),
                    status in (2, "STATUS_CODE_ERROR"),
                    telemetry.attributes(span.get("attributes")))


def nearest_rank(values, percent):
    values = sorted(values)
    return values[math.ceil(len(values) * percent / 100) - 1] if values else None


def eleven_bits(ns):
    """A duration as the histograms of the graph keep it: the middle of its bucket."""
    cut = max(ns, 0).bit_length() - 11
    return (ns >> cut << cut) + (1 << cut - 1) if cut > 0 else ns


def milliseconds(ns):
    return None if ns is None else ns / 1e6


def template(body):
    """A body without its values, by the rules of the docs."""
    body = body.encode()[:2048].decode(errors="ignore")
    is_of_word = lambda c: c.isalnum() or c in "_-"
    pieces, at = [], 0
    while at < len(body):
        c, end, is_value = body[at], at + 1, False
        before = body[at - 1] if at else ""
        if c == '"' or c == "'" and not before.isalnum():
            close = re.compile(r"(?:[^\\\n%s]|\\.)*%s" % (c, c), re.S).match(body, at + 1)
            if close:
                end = close.end()
                is_value = not body[end:].lstrip().startswith(":")
        elif is_of_word(c):
            while end < len(body) and is_of_word(body[end]):
                end += 1
            word = body[at:end]
            is_hex = len(word) >= 8 and re.fullmatch("[0-9a-fA-F]+", word)
            is_value = bool(is_hex or re.search("[0-9]", word))
        if not is_value:
            pieces.append(body[at:end])
        else:
            kept = "".join(pieces).rstrip(" ,;\t")
            pieces = [kept] if kept.endswith("<*>") else [*pieces, "<*>"]
        at = end
    return "".join(pieces)


class Trace:
    """The spans of a trace, each once, in the order of their starts, and without late ones."""

    def __init__(self, spans, late):
        self.all = []
        for span in sorted(spans, key=lambda s: (s.start, s.id)):
            same = (span.id, span.start, span.service, span.instance)
            if same not in [(s.id, s.start, s.service, s.instance) for s in self.all
                            if s.start == span.start]:
                self.all.append(span)
        self.spans = [s for s in self.all if not late.get((s.trace, s.id, s.start), False)]
        places = {}
        for place, span in enumerate(self.spans):
            if span.id:
                places.setdefault(span.id, place)
        self.parents = [places.get(s.parent) if s.parent else None for s in self.spans]
        self.parents = [None if p == i else p for i, p in enumerate(self.parents)]
        self.children = [[] for _ in self.spans]
        for place, parent in enumerate(self.parents):
            if parent is not None:
                self.children[parent].append(place)

    def levels(self):
        level = [i for i, p in enumerate(self.parents) if p is None]
        while level:
            yield level
            level = [c for place in level for c in self.children[place]]

    def is_timed(self, place):
        span = self.spans[place]
        return span.start and span.end >= span.start

    def self_times(self):
        times = collections.Counter()
        for place in filter(self.is_timed, range(len(self.spans))):
            span = self.spans[place]
            edges = [span.start, span.end]
            inside = []
            for child in filter(self.is_timed, self.children[place]):
                begin = max(self.spans[child].start, span.start)
                end = min(self.spans[child].end, span.end)
                if begin < end:
                    inside.append((begin, end))
                    edges += [begin, end]
            edges = sorted(set(edges))
            own = sum(b - a for a, b in zip(edges, edges[1:])
                      if not any(x <= a and b <= y for x, y in inside))
            times[span.service] += own
        return times

    def path(self, place, begin, end, times):
        """Recursive, as the rule is written."""
        service = self.spans[place].service
        now = end
        left = [c for c in self.children[place] if self.is_timed(c)]
        while True:
            ended = []
            for child in left:
                a, b = max(self.spans[child].start, begin), min(self.spans[child].end, end)
                if a < b <= now:
                    ended.append((-b, a, self.spans[child].id, child))
            if not ended:
                break
            last, first, _, child = min(ended)
            left.remove(child)
            times[service] += now + last
            self.path(child, first, -last, times)
            now = first
        times[service] += now - begin

    def critical(self, root):
        times = collections.Counter()
        if self.is_timed(root):
            self.path(root, self.spans[root].start, self.spans[root].end, times)
        return {service: ns for service, ns in times.items() if ns > 0}


def system(of, *names):
    return next((of[name] for name in names if isinstance(of.get(name), str) and of[name]), None)


def protocol(span):
    if system(span.of, "db.system.name", "db.system"):
        return "db"
    if system(span.of, "messaging.system") or span.kind in (PRODUCER, CONSUMER):
        return "messaging"
    if system(span.of, "rpc.system.name", "rpc.system"):
        return "rpc"
    return "http" if system(span.of, "http.request.method", "http.method") else "other"


def calls(trace):
    """(caller, callee, kind, the span that measures it) of each call of a trace."""
    seen, spans = set(), trace.spans
    for place, parent in enumerate(trace.parents):
        if parent is None or spans[parent].service == spans[place].service:
            continue
        caller, answer = spans[parent], spans[place]
        kind = protocol(caller)
        kind = protocol(answer) if kind == "other" else kind
        if caller.kind == CLIENT:
            if (parent, answer.service) in seen:
                continue
            seen.add((parent, answer.service))
        yield caller.service, answer.service, kind, caller if caller.kind == CLIENT else answer
    outgoing = [i for i, s in enumerate(spans) if s.kind in (CLIENT, PRODUCER)]
    outer = set()
    for place in outgoing:
        parent = trace.parents[place]
        while parent is not None and spans[parent].service == spans[place].service:
            outer.add(parent)
            parent = trace.parents[parent]
    for place in outgoing:
        span = spans[place]
        answered = any(spans[c].service != span.service for c in trace.children[place])
        peer = (system(span.of, "db.system.name", "db.system") or system(span.of, "messaging.system")
                or system(span.of, "service.peer.name", "peer.service")
                or system(span.of, "server.address", "net.peer.name", "net.peer.ip",
                          "network.peer.address", "net.sock.peer.addr"))
        if not answered and place not in outer and peer:
            yield span.service, peer, protocol(span), span


class Differences:
    def __init__(self, name):
        self.name, self.cells, self.found = name, 0, []

    def check(self, where, column, expected, cell):
        self.cells += 1
        if expected is None:
            same = cell == ""
        elif isinstance(expected, float):
            same = cell != "" and abs(float(cell) - expected) <= 1e-9 * max(1.0, abs(expected))
        else:
            same = cell == str(expected)
        if not same:
            self.found.append(f"{where} {column}: {expected!r} here, {cell!r} in the dataset")

    def tell(self):
        print(f"{self.name}: {self.cells} cells compared, {len(self.found)} different")
        for line in self.found[:8]:
            print(f"  {line}")
        return self.cells > 0 and not self.found


def check_buckets(dataset, seconds, traces, logs):
    counts, durations = collections.Counter(), collections.defaultdict(list)
    open_ns = collections.Counter()
    length = seconds * SECOND
    for trace in traces.values():
        for span in trace.all:
            if not span.start:
                continue
            key = (span.service, span.start // length)
            kind = KINDS.get(span.kind, "internal")
            counts[*key, f"{kind}_count"] += 1
            counts[*key, f"{kind}_errors"] += span.error
            if span.end >= span.start:
                durations[*key, kind].append(span.end - span.start)
            if span.kind in (SERVER, CONSUMER) and span.end > span.start:
                for bucket in range(span.start // length, (span.end - 1) // length + 1):
                    overlap = min(span.end, (bucket + 1) * length) - max(span.start, bucket * length)
                    open_ns[span.service, bucket] += overlap
    first = {}
    for service, time, severity, body in logs:
        key = (service, template(body))
        first[key] = min(time, first.get(key, time))
        column = SEVERITIES[(severity - 1) // 4] if 1 <= severity <= 24 else "log_unspecified"
        counts[service, time // length, column] += 1
    for (service, _), time in first.items():
        counts[service, time // length, "new_log_templates"] += 1
    found, seen = Differences(f"windows_features_{seconds}s"), collections.Counter()
    for row in rows_of(dataset, f"windows_features_{seconds}s"):
        service, bucket = text(row["service_name"]), int(row["start_time_ns"]) // length
        where = f"{service} at {bucket * seconds} s"
        seen[service, bucket] += 1
        found.check(where, "end_time_ns", (bucket + 1) * length, row["end_time_ns"])
        for kind in ("server", "client", "internal", "producer", "consumer"):
            for column in (f"{kind}_count", f"{kind}_errors"):
                found.check(where, column, counts[service, bucket, column], row[column])
                seen[column] += int(row[column])
            of = durations[service, bucket, kind]
            for percent in (50, 95, 99):
                column = f"{kind}_p{percent}_ms"
                found.check(where, column, milliseconds(nearest_rank(of, percent)), row[column])
        for column in [*SEVERITIES, "log_unspecified", "new_log_templates"]:
            found.check(where, column, counts[service, bucket, column], row[column])
        found.check(where, "in_flight", open_ns[service, bucket] / length, row["in_flight"])
    twice = [key for key, times in seen.items() if isinstance(key, tuple) and times > 1]
    found.found += [f"{key} has two rows" for key in twice]
    return found.tell()


def check_traces(dataset, traces, labels):
    found, rows = Differences("trace_features"), 0
    for row in rows_of(dataset, "trace_features"):
        rows += 1
        trace, said = traces[row["trace_id"]], labels[row["trace_id"]]
        spans, where = trace.spans, row["trace_id"]
        starts, ends = [s.start for s in spans if s.start], [s.end for s in spans if s.end]
        services = sorted({s.service for s in spans})
        levels = list(trace.levels())
        expected = {
            "start_time_ns": min(starts), "duration_ns": max(ends) - min(starts),
            "span_count": len(spans), "depth": len(levels), "width": max(map(len, levels)),
            "service_count": len(services), "services": "+".join(services),
            "error_count": sum(s.error for s in spans), "orphan_count": said["orphan_spans"],
            "root_service": said["root_service"], "root_name": said["root_span_name"],
            "anomaly_type": said["anomaly_type"], "phase": said["phase"],
            "verdict": said["verdict"], "service_affected": said["service_affected"],
        }
        for column, value in expected.items():
            found.check(where, column, value, row[column])
        root = next(i for i, s in enumerate(spans) if s.start == int(said["start_time_ns"])
                    and s.service == text(said["root_service"]) and trace.parents[i] is None
                    and s.name == text(said["root_span_name"]))
        path = trace.critical(root)
        for column, times in (("critical_path_ms", path), ("self_time_ms", trace.self_times())):
            cells = json.loads(row[column])
            found.check(where, column, sorted(times), str(sorted(cells)))
            for service, ns in times.items():
                found.check(where, f"{column} {service}", ns / 1e6, str(cells.get(service, "")))
        most = max(sorted(path), key=path.get) if path else ""
        found.check(where, "critical_service", most, text(row["critical_service"]))
    wanted = sum(bool(trace.spans) for trace in traces.values())
    found.check("all", "rows", wanted, str(rows))
    return found.tell()


def check_graph(dataset, traces, labels):
    windows = {w["scenario"]: w for w in rows_of(dataset, "windows")}
    edges, entries = collections.defaultdict(list), collections.defaultdict(list)
    kinds = {}
    for key, trace in traces.items():
        for span in trace.spans:
            kinds[span.service] = "service"
        said = labels.get(key)
        if not said or said["phase"] != "steady" or not said["scenario"]:
            continue
        for scenario in text(said["scenario"]).split("+"):
            window = windows[scenario]["window"]
            for caller, callee, kind, span in calls(trace):
                edges[window, caller, callee, kind].append(span)
                kinds.setdefault(callee, "other")
            for place, span in enumerate(trace.spans):
                parent = trace.parents[place]
                if (parent is None or span.kind in (SERVER, CONSUMER)
                        or trace.spans[parent].service != span.service):
                    entries[window, span.service].append(span)
    found, rows = Differences("graph_edges"), 0
    for row in rows_of(dataset, "graph_edges"):
        rows += 1
        key = (row["window"], text(row["caller"]), text(row["callee"]), row["kind"])
        check_calls(found, key, edges[key], row)
    found.check("all", "rows", sum(map(bool, edges.values())), str(rows))
    nodes = Differences("graph_nodes")
    met = set()
    for row in rows_of(dataset, "graph_nodes"):
        service = text(row["service_name"])
        met.add((row["window"], service))
        key = (row["window"], service)
        spans = entries[key] if kinds[service] == "service" else [
            span for (window, _, callee, _), of in edges.items()
            if (window, callee) == key for span in of]
        check_calls(nodes, key, spans, row)
    nodes.check("all", "rows", len(windows) * len(kinds), str(len(met)))
    is_same = [found.tell(), nodes.tell()]
    return all(is_same)


def check_calls(found, where, spans, row):
    durations = [eleven_bits(s.end - s.start) for s in spans if s.start and s.end >= s.start]
    found.check(where, "count", len(spans), row["count"])
    found.check(where, "errors", sum(s.error for s in spans), row["errors"])
    for percent in (50, 95, 99):
        expected = milliseconds(nearest_rank(durations, percent))
        found.check(where, f"p{percent}_ms", expected, row[f"p{percent}_ms"])


def wide_columns(dataset):
    """By name of a column: second -> value, of gauges, sums and counts of distributions; from the
    rows of metrics_labeled. Columns that only a number tells apart are left out."""
    series, columns = collections.defaultdict(list), collections.defaultdict(dict)
    for row in rows_of(dataset, "metrics_labeled"):
        if row["foreign"] or not (row["value"] or row["count"]):
            continue
        named = [text(row[c]) for c in ("container_name", "k8s_pod_name", "host_name")]
        service = text(row["service_name"])
        if service == "unknown_service":
            service = next((name for name in named if name), service)
        kind = row["metric_type"]
        is_count = kind not in ("gauge", "sum")
        is_rate = is_count or kind == "sum" and (
            row["temporality"] == "delta" or row["monotonic"] == "true" and row["temporality"] != "")
        name = service.replace("_", "-") + "_" + text(row["metric_name"]) + "_count" * is_count
        key = (name, row["attributes"], kind, row["unit"], row["scope_name"], is_rate)
        series[key, row["service_instance_id"], *named].append(row)
        columns[name][key] = json.loads(row["attributes"])
    values = collections.defaultdict(lambda: collections.defaultdict(list))
    for (key, *_), rows in series.items():
        rows.sort(key=lambda row: int(row["time_ns"]))
        seconds = collections.defaultdict(list)
        for row in rows:
            seconds[int(row["time_ns"]) // SECOND].append(row)
        for second, of in seconds.items():
            if not key[-1]:
                values[key][second].append(float(of[-1]["value"]))
                continue
            grown = [(float(row["increase"]), int(row["time_ns"]) - int(row["interval_start_ns"]))
                     for row in of if row["increase"]]
            length = sum(ns for _, ns in grown if ns > 0)
            if length:
                grown = sum(value for value, ns in grown if ns > 0)
                values[key][second].append(grown / (length / SECOND))
    named = {}
    for name, keys in columns.items():
        names = collections.defaultdict(list)
        every = sorted({key for of in keys.values() for key in of})
        telling = [k for k in every if len({json.dumps(of.get(k)) if k in of else ""
                                            for of in keys.values()}) > 1]
        for key, of in keys.items():
            plain = lambda value: value if isinstance(value, str) else json.dumps(value)
            said = ",".join(f"{k}={plain(of[k])}" for k in telling if k in of)
            names[name + (f"{{{said}}}" if said else "")].append(key)
        for full, of in names.items():
            if len(of) == 1:
                together = lambda v, mean=of[0][2] == "gauge": sum(v) / (len(v) if mean else 1)
                named[full] = {second: together(v) for second, v in values[of[0]].items()}
    return named


def check_wide(dataset):
    found, columns = Differences("metrics_wide"), wide_columns(dataset)
    rows = list(rows_of(dataset, "metrics_wide"))
    there = {text(name): name for name in (rows[0] if rows else [])}
    found.found += [f"{name}: no such column" for name in columns if name not in there]
    for row in rows:
        for name, values in columns.items():
            if name in there:
                expected = values.get(int(row["time"]))
                found.check(f"{row['time']} s", name, expected, row[there[name]])
    return found.tell()


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", help="a run folder with everything in its usual place")
    parser.add_argument("--telemetry", nargs="+", default=[])
    parser.add_argument("--dataset")
    arguments = parser.parse_args()
    if arguments.run:
        arguments.telemetry = arguments.telemetry or [os.path.join(arguments.run, "telemetry")]
        arguments.dataset = arguments.dataset or os.path.join(arguments.run, "dataset")
    if not (arguments.telemetry and arguments.dataset):
        parser.error("give a run folder, or telemetry and a dataset")
    files = []
    for path in arguments.telemetry:
        files += sorted(glob.glob(os.path.join(path, "*.jsonl"))) if os.path.isdir(path) else [path]
    arguments.telemetry = files
    return arguments


def main():
    arguments = parse()
    dataset = arguments.dataset
    late, own = {}, set()
    for row in rows_of(dataset, "traces_labeled"):
        if row["foreign"]:
            continue
        key = (row["trace_id"], row["span_id"], number(row["start_time_ns"]))
        late[key] = row["late"] == "true"
        own.add(row["trace_id"])
    labels = {row["trace_id"]: row for row in rows_of(dataset, "trace_labels")}
    grouped = collections.defaultdict(list)
    for span in telemetry.read(arguments.telemetry, spans_of):
        if span.trace in own:
            grouped[span.trace].append(span)
    traces = {key: Trace(spans, late) for key, spans in grouped.items()}
    logs = [(text(row["service_name"]), int(row["time_ns"]), number(row["severity_number"]),
             text(row["body"]))
            for row in rows_of(dataset, "logs_labeled") if row["time_ns"] and not row["foreign"]]
    print(f"{len(traces)} traces, {sum(len(t.all) for t in traces.values())} spans, "
          f"{len(logs)} log records")
    results = [check_buckets(dataset, seconds, traces, logs) for seconds in (1, 5)]
    results += [check_traces(dataset, traces, labels), check_graph(dataset, traces, labels)]
    results.append(check_wide(dataset))
    print("the same" if all(results) else "DIFFERENT")
    return 0 if all(results) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, KeyError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2)
