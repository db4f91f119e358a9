"""What is unusual about spans, once more: span_anomaly and is_root_cause_span of each row, from the
other columns of the table alone. The rules are those of docs/dataset-format.md.
"""

import collections
import math

INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = 1, 2, 3, 4, 5
LEAST_SPANS, SHARE, ERROR_SHARE = 20, 0.005, 0.01
LEAST_EXCESS = 1000
MOST_SHAPES = 256
FLAGS = ("latency", "error", "structure")

Shape = collections.namedtuple("Shape", "operation parent took own wait kinds shape children error")


def number(cell):
    return int(cell) if cell else 0


class Span:
    def __init__(self, row):
        text = lambda name: row[name][1:] if row[name].startswith("'") else row[name]
        self.row = row
        self.id, self.parent = row["span_id"], row["parent_span_id"]
        self.service, self.name, self.kind = text("service_name"), text("span_name"), int(row["span_kind"])
        self.start, self.end = number(row["start_time_ns"]), number(row["end_time_ns"])
        self.operation = (self.service, self.name, self.kind)
        self.error = row["span_status"] == "2" or number(row["http_status_code"]) >= 500
        self.took = self.end - self.start if self.start and self.end >= self.start else None
        self.address = text("server_address")
        self.services = text("root_cause_service").split("+") if row["root_cause_service"] else []
        self.counts = row["late"] == "false" and not row["foreign"]
        self.above, self.below = None, []

    @property
    def own(self):
        covered, answer, until = 0, 0, self.start
        for child in sorted(self.below, key=lambda c: c.start):
            if child.kind == CONSUMER or child.end < child.start:
                continue
            if self.kind == CLIENT and child.service != self.service:
                answer = max(answer, child.end - child.start)
                continue
            covered += max(min(child.end, self.end) - max(child.start, until), 0)
            until = max(until, child.end)
        return max(self.end - self.start - max(covered, answer), 0)

    @property
    def wait(self):
        producer = self.above
        if self.kind == CONSUMER and producer and producer.kind == PRODUCER and producer.start and self.start:
            return max(self.start - producer.start, 0)
        return None


def trees(rows):
    """All spans, with their parents and children."""
    traces = collections.defaultdict(list)
    spans = [Span(row) for row in rows]
    for index, span in enumerate(spans):
        traces[span.row["trace_id"] or index].append(span)
    for of in traces.values():
        seen, by_id = set(), collections.defaultdict(list)
        for span in of:
            who = (span.id, span.start, span.service, span.row["service_instance_id"])
            span.counts = span.counts and who not in seen
            seen.add(who)
            if span.counts:
                by_id[span.id].append(span)
        for span in of:
            found = [s for s in by_id[span.parent][:2] if s is not span] if span.parent else []
            own = [s for s in found if s.service == span.service]
            span.above = (own or found or [None])[0]
            if span.counts and span.above:
                span.above.below.append(span)
    return spans


def shape_of(span):
    below = sorted(child.operation for child in span.below)
    us = lambda ns: None if ns is None else ns // 1000
    return Shape(span.operation, span.above, us(span.took), us(None if span.took is None else span.own),
                 us(span.wait), tuple(sorted(set(below))), tuple(below), len(below), span.error)


def top(value):
    """The largest value that is the same to two digits."""
    shift = max(value.bit_length() - 8, 0)
    return (((value >> shift) + 1) << shift) - 1


def quantile(values, share):
    return top(values[max(math.ceil(share * len(values)), 1) - 1])


def fails_rarely(shapes):
    return sum(shape.error for shape in shapes) <= ERROR_SHARE * len(shapes)


class Limit:
    def __init__(self, shapes):
        self.took, self.own, self.wait = (
            self.slowest(sorted(getattr(s, of) for s in shapes if getattr(s, of) is not None))
            for of in ("took", "own", "wait"))
        self.children = quantile(sorted(s.children for s in shapes), 1 - SHARE)
        self.rarely_fails = fails_rarely(shapes)
        self.kinds, self.shapes = (self.usual([getattr(s, of) for s in shapes]) for of in ("kinds", "shape"))

    @staticmethod
    def slowest(values):
        if len(values) < LEAST_SPANS:
            return math.inf
        longest = quantile(values, 1 - SHARE)
        return max(longest + longest // 2, quantile(values, 0.5) + LEAST_EXCESS)

    @staticmethod
    def usual(shapes):
        """The shapes that are usual; none where all are."""
        counts = collections.Counter(shapes)
        as_rare = lambda most: sum(count for count in counts.values() if count <= most)
        is_small = lambda count: count <= SHARE * len(shapes)
        if len(counts) > MOST_SHAPES or not is_small(as_rare(1)):
            return None
        return {shape for shape, count in counts.items() if not is_small(as_rare(count))}

    def has_other_kinds(self, shape):
        return self.kinds is not None and shape.kinds not in self.kinds

    def unusual(self, shape):
        """(latency, error, structure, whether it is slow by itself, False)."""
        waited = shape.wait is not None and shape.wait > self.wait
        slow = lambda took, limit: took is not None and took > limit
        other = (self.has_other_kinds(shape) or shape.children > self.children
                 or self.shapes is not None and shape.shape not in self.shapes)
        return (waited or slow(shape.took, self.took), shape.error and self.rarely_fails, other,
                waited or slow(shape.own, self.own), False)


def is_reference(row, normal_scenarios):
    return (row["anomaly_label"] == "normal" and row["phase"] == "steady" and not row["foreign"]
            and bool(normal_scenarios & set(row["scenario"].split("+"))))


def expected(rows, normal_scenarios):
    """For each row, in their order: the row, and its two cells."""
    spans = trees(rows)
    shapes = {id(span): shape_of(span) for span in spans}
    normal = collections.defaultdict(list)
    for span in spans:
        if span.counts and is_reference(span.row, normal_scenarios):
            normal[span.operation].append(shapes[id(span)])
    limits = {operation: Limit(of) for operation, of in normal.items() if len(of) >= LEAST_SPANS}
    services = collections.defaultdict(list)
    for (service, *_), of in normal.items():
        services[service] += of
    reliable = {service for service, of in services.items()
                if len(of) >= LEAST_SPANS and fails_rarely(of)}
    findings = {}
    for span in spans:
        if span.counts and span.operation in limits:
            findings[id(span)] = limits[span.operation].unusual(shapes[id(span)])
        elif span.counts and span.error and span.service in reliable:
            findings[id(span)] = (False, True, False, False, False)
    for span in spans:
        above = span.above
        if span.counts and span.operation not in limits and above and above.operation in limits \
                and limits[above.operation].has_other_kinds(shapes[id(above)]):
            fails = findings.get(id(span), (False, False))[1]
            findings[id(span)] = (False, fails, True, False, True)

    def place(span):
        if span.service in span.services:
            return "service"
        answers = [child for child in span.below if child.service != span.service]
        callee = answers[0].service if answers else span.address.split(".")[0]
        return "call" if span.kind == CLIENT and callee and callee in span.services else None

    def is_suspect(span):
        return place(span) == "service" or not any(
            any(findings[id(c)][:3]) for c in span.below if id(c) in findings)

    def begins(span):
        if id(span) not in findings or not place(span):
            return False
        latency, error, _, own, rare = findings[id(span)]
        fails = error and not any(child.error for child in span.below)
        waits = latency and not any(findings[id(c)][0] for c in span.below if id(c) in findings)
        return latency and own or (fails or waits or rare) and is_suspect(span)

    for span in spans:
        found = findings.get(id(span))
        if found is None:
            yield span.row, "", ""
            continue
        anomaly = "+".join(flag for flag, is_so in zip(FLAGS, found) if is_so) or "none"
        if span.row["anomaly_label"] == "normal":
            root = "false"
        elif not span.services:
            root = ""
        else:
            root = str(bool(begins(span) or found[2] and place(span) and is_suspect(span)
                            and not any(map(begins, span.below)))).lower()
        yield span.row, anomaly, root


def check(rows, windows):
    """Compares all rows; gives whether they are the same."""
    rows = list(rows)
    if rows and not {"service_name", "span_name", "span_kind", "span_status", "http_status_code",
                     "server_address", "service_instance_id"} <= set(rows[0]):
        print("unusual spans: not compared, as columns were left out")
        return True
    normal = {w["scenario"] for w in windows if w["anomaly_type"] == "none" and not w["sham_of"]}
    counts, different = collections.Counter(), []
    for row, anomaly, root in expected(rows, normal):
        counts[anomaly] += 1
        counts["root cause"] += root == "true"
        if (row["span_anomaly"], row["is_root_cause_span"]) != (anomaly, root):
            different.append((row, anomaly, root))
    print(f"unusual spans: {dict(sorted(counts.items()))}, {len(different)} different")
    for row, anomaly, root in different[:8]:
        print(f"    {row['trace_id']} {row['span_id']} {row['service_name']} {row['span_name']}: "
              f"{anomaly!r}, {root!r} here, {row['span_anomaly']!r}, {row['is_root_cause_span']!r} "
              "in the dataset")
    return not different
