"""Spans, log records and data points of OTLP JSON lines, as plain tuples."""

import collections
import json
import re

PRODUCER, CONSUMER = 4, 5
KINDS = {"SPAN_KIND_" + name: number for number, name in
         enumerate(["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"])}

Span = collections.namedtuple("Span", "trace id parent service kind start end linked run header")
Log = collections.namedtuple("Log", "trace id service time observed severity")
Point = collections.namedtuple("Point", "series row start time kind monotonic temporality total")

DEFAULTS = ("", "none", "normal")
ORIGIN = [("service.instance.id",), ("host.name",), ("container.name", "k8s.container.name"),
          ("k8s.pod.name",)]


def messages(paths):
    """Whole lines; one that is damaged costs itself."""
    for path in paths:
        with open(path, "rb") as lines:
            for line in lines:
                try:
                    message = json.loads(line)
                except ValueError:
                    continue
                if isinstance(message, dict):
                    yield message


def identity(text, digits):
    """An id in lower case; "" where there is none. A malformed one spoils its line."""
    text = (text or "").lower()
    if text and not re.fullmatch(f"[0-9a-f]{{{digits}}}", text):
        raise ValueError(f"not an id: {text}")
    return text if text.strip("0") else ""


def nanos(value):
    return int(value or 0)


def plain(value):
    """An OTLP value as JSON has it."""
    if not value:
        return None
    (kind, value), = list(value.items())[:1]
    if kind == "intValue":
        return int(value)
    if kind == "doubleValue":
        return value if isinstance(value, str) else float(value)
    if kind == "arrayValue":
        return [plain(v) for v in (value or {}).get("values") or []]
    if kind == "kvlistValue":
        return attributes((value or {}).get("values"))
    return value


def attributes(pairs):
    found = {}
    for pair in pairs or []:
        found.setdefault(pair.get("key", ""), plain(pair.get("value")))
    return found


def word(value):
    """A text, also where it is the only one of a list."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, str) else None


def header(of_span):
    """(anomaly type, whether it is only a default) that a span's attributes name."""
    found = {"sent": None, "mapped": None}
    for key, value in of_span.items():
        if re.fullmatch(r"http\.request\.header\.x[-_]anomaly[-_]type", key):
            found["sent"] = found["sent"] or word(value)
        elif key in ("anomaly.type", "baggage.anomaly.type"):
            found["mapped"] = found["mapped"] or word(value)
    if found["sent"]:
        return found["sent"], False
    if found["mapped"]:
        return found["mapped"], found["mapped"] in DEFAULTS
    return None


def resource_of(message_part):
    of = attributes((message_part.get("resource") or {}).get("attributes"))
    return of, word(of.get("service.name")) or "unknown_service"


def spans_of(message):
    for part in message.get("resourceSpans") or []:
        resource, service = resource_of(part)
        instance = resource.get("service.instance.id") if service == "loadgen" else None
        for scope in part.get("scopeSpans") or []:
            for span in scope.get("spans") or []:
                of = attributes(span.get("attributes"))
                run = (of.get("loadgen.run_id") or of.get("baggage.loadgen.run_id")
                       or resource.get("loadgen.run_id") or instance)
                kind = span.get("kind") or 0
                yield Span(
                    identity(span.get("traceId"), 32), identity(span.get("spanId"), 16),
                    identity(span.get("parentSpanId"), 16), service,
                    KINDS.get(kind, kind), nanos(span.get("startTimeUnixNano")),
                    nanos(span.get("endTimeUnixNano")), bool(span.get("links")), run, header(of))


def logs_of(message):
    for part in message.get("resourceLogs") or []:
        _, service = resource_of(part)
        for scope in part.get("scopeLogs") or []:
            for log in scope.get("logRecords") or []:
                observed = nanos(log.get("observedTimeUnixNano"))
                yield Log(identity(log.get("traceId"), 32), identity(log.get("spanId"), 16), service,
                          nanos(log.get("timeUnixNano")) or observed, observed,
                          log.get("severityNumber") or 0)


def canonical(value):
    return json.dumps(value, sort_keys=True)


def points_of(message):
    for part in message.get("resourceMetrics") or []:
        resource, service = resource_of(part)
        origin = [next((word(resource.get(k)) for k in keys if resource.get(k)), "") for keys in ORIGIN]
        for scope_part in part.get("scopeMetrics") or []:
            scope = scope_part.get("scope") or {}
            scope = (scope.get("name") or "", scope.get("version") or "")
            for metric in scope_part.get("metrics") or []:
                names = (metric.get("name") or "", metric.get("unit") or "")
                for key, kind in (("gauge", "gauge"), ("sum", "sum"), ("histogram", "histogram"),
                                  ("exponentialHistogram", "exponential_histogram"),
                                  ("summary", "summary")):
                    data = metric.get(key) or {}
                    for point in data.get("dataPoints") or []:
                        of = canonical(attributes(point.get("attributes")))
                        start, time = (nanos(point.get(k)) for k in ("startTimeUnixNano", "timeUnixNano"))
                        series = (canonical(resource), scope, names, kind, of)
                        row = (service, *names, kind, time, start, *origin, scope[0], of)
                        yield Point(series, row, start, time, kind, data.get("isMonotonic", False),
                                    {1: "delta", 2: "cumulative"}.get(data.get("aggregationTemporality")),
                                    total(kind, point))


def total(kind, point):
    """Value of a sum or a gauge, count of the other kinds; None: none was recorded."""
    if (point.get("flags") or 0) & 1:
        return None
    if kind not in ("gauge", "sum"):
        return float(int(point.get("count") or 0))
    for key in ("asInt", "asDouble"):
        if point.get(key) is not None:
            return float(point[key])
    return None


def read(paths, of):
    """Whatever `of` finds in whole lines; a line with something malformed in it costs itself."""
    for message in messages(paths):
        try:
            found = list(of(message))
        except (ValueError, TypeError, AttributeError):
            continue
        yield from found


def intervals(points):
    """[(start, increase)] of a series' points, which are in the order of their times."""
    found, before = [], None
    for p in points:
        since = min(p.start, p.time) if p.start else p.time
        kind = p.temporality or ("cumulative" if p.kind == "summary" else None)
        if kind is None:
            found.append((p.time, None))
        elif kind == "delta":
            found.append((since, p.total))
        elif before is None:
            found.append((p.time, None))
        elif p.start != before.start and p.start >= before.time:
            found.append((since, p.total))
        else:
            grows = p.kind != "sum" or p.monotonic
            begin = min(max(before.time, since), p.time) if p.start else before.time
            known = p.total is not None and before.total is not None
            fell = grows and known and p.total < before.total
            found.append((begin, p.total if fell else p.total - before.total if known else None))
        before = p
    return found
