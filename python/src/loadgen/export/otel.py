"""Spans, data points and log records with the column names of the Collector's ClickHouse exporter.

Text that is missing is empty text, as there: its columns are not nullable.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ATTRIBUTES = pa.map_(pa.string(), pa.string())
_TIME = pa.timestamp("ns", tz="UTC")
_KINDS = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")
_STATUSES = ("Unset", "Ok", "Error")
_TEMPORALITIES = {"delta": 1, "cumulative": 2}
# OTLP's flag "no recorded value".
_NO_VALUE = 1

# Attribute → column.
_RESOURCE = {
    "service.name": "service_name",
    "service.instance.id": "service_instance_id",
    "host.name": "host_name",
    "container.name": "container_name",
    "k8s.pod.name": "k8s_pod_name",
}
_SPAN = {
    "http.request.method": "http_method",
    "http.response.status_code": "http_status_code",
    "server.address": "server_address",
    "server.port": "server_port",
    "client.address": "client_address",
    "network.protocol.version": "network_protocol_version",
}
# Columns that say what was wrong, as attributes `loadgen.<column>`.
LABELS = (
    "anomaly_type",
    "anomaly_label",
    "anomaly_root_cause",
    "root_cause_service",
    "scenario",
    "phase",
    "fault_state",
    "verdict",
    "service_affected",
    "touches_root_cause",
    "span_anomaly",
    "is_root_cause_span",
)

Columns = dict[str, Any]


def traces(spans: pa.Table, *, labels: bool) -> pa.Table:
    """The columns of `otel_traces`; with `labels` they are among the attributes."""
    attributes = [*_pairs(spans, _SPAN), *_targets(spans)]
    if labels:
        attributes += _labels(spans)
    return pa.table(
        {
            "Timestamp": spans["timestamp"].cast(_TIME),
            "TraceId": _text(spans, "trace_id"),
            "SpanId": _text(spans, "span_id"),
            "ParentSpanId": _text(spans, "parent_span_id"),
            "TraceState": _empty(spans),
            "SpanName": _text(spans, "span_name"),
            "SpanKind": _named(spans["span_kind"], _KINDS),
            "ServiceName": _text(spans, "service_name"),
            "ResourceAttributes": _maps(spans, _pairs(spans, _RESOURCE)),
            "ScopeName": _empty(spans),
            "ScopeVersion": _empty(spans),
            "SpanAttributes": _maps(spans, attributes),
            # A clock that went back: less than nothing can't be said there.
            "Duration": pc.max_element_wise(pc.fill_null(spans["duration_ns"], 0), 0).cast(
                pa.uint64()
            ),
            "StatusCode": _named(spans["span_status"], _STATUSES),
            "StatusMessage": _empty(spans),
            **_nested(
                spans, "Events", {"Timestamp": _TIME, "Name": pa.string(), "Attributes": ATTRIBUTES}
            ),
            **_nested(
                spans,
                "Links",
                {
                    "TraceId": pa.string(),
                    "SpanId": pa.string(),
                    "TraceState": pa.string(),
                    "Attributes": ATTRIBUTES,
                },
            ),
        }
    )


def trace_id_ts(spans: pa.Table) -> pa.Table:
    """The columns of `otel_traces_trace_id_ts`: when spans of a trace began, first and last."""
    found = (
        spans.filter(pc.field("trace_id").is_valid() & pc.field("timestamp").is_valid())
        .group_by("trace_id")
        .aggregate([("timestamp", "min"), ("timestamp", "max")])
        .sort_by("trace_id")
    )
    return pa.table(
        {
            "TraceId": found["trace_id"],
            "Start": found["timestamp_min"].cast(_TIME),
            "End": found["timestamp_max"].cast(_TIME),
        }
    )


def logs(records: pa.Table, *, labels: bool) -> pa.Table:
    """The columns of `otel_logs`."""
    attributes = list(_json(records["attributes"]))
    if labels:
        attributes += _labels(records)
    return pa.table(
        {
            "Timestamp": records["timestamp"].cast(_TIME),
            "TraceId": _text(records, "trace_id"),
            "SpanId": _text(records, "span_id"),
            "TraceFlags": _zeros(records, pa.uint8()),
            "SeverityText": _text(records, "severity_text"),
            "SeverityNumber": pc.fill_null(records["severity_number"], 0).cast(pa.uint8()),
            "ServiceName": _text(records, "service_name"),
            "Body": _text(records, "body"),
            "ResourceSchemaUrl": _empty(records),
            "ResourceAttributes": _maps(records, _pairs(records, _RESOURCE)),
            "ScopeSchemaUrl": _empty(records),
            "ScopeName": _text(records, "scope_name"),
            "ScopeVersion": _empty(records),
            "ScopeAttributes": _maps(records, []),
            "LogAttributes": _maps(records, attributes),
            "EventName": _text(records, "event_name"),
        }
    )


def metrics(points: pa.Table, *, labels: bool) -> dict[str, pa.Table]:
    """Of each kind of metric the columns of its table; the kinds by the names of the tables behind
    `otel_metrics_`.
    """
    columns = {
        "gauge": _gauge,
        "sum": _sum,
        "histogram": _histogram,
        "exponential_histogram": _exponential,
        "summary": _summary,
    }
    tables = {}
    for kind, own in columns.items():
        of_kind = points.filter(pc.equal(points["metric_type"], kind))
        table = pa.table({**_point(of_kind, labels=labels), **own(of_kind, _flags(of_kind))})
        tables["exp_histogram" if kind == "exponential_histogram" else kind] = table
    return tables


def _point(points: pa.Table, *, labels: bool) -> Columns:
    """What all kinds of metrics have."""
    attributes = list(_json(points["attributes"]))
    if labels:
        attributes += _labels(points)
    return {
        "ResourceAttributes": _maps(points, _pairs(points, _RESOURCE)),
        "ResourceSchemaUrl": _empty(points),
        "ScopeName": _text(points, "scope_name"),
        "ScopeVersion": _empty(points),
        "ScopeAttributes": _maps(points, []),
        "ScopeDroppedAttrCount": _zeros(points, pa.uint32()),
        "ScopeSchemaUrl": _empty(points),
        "ServiceName": _text(points, "service_name"),
        "MetricName": _text(points, "metric_name"),
        "MetricDescription": _empty(points),
        "MetricUnit": _text(points, "unit"),
        "Attributes": _maps(points, attributes),
        "StartTimeUnix": pc.fill_null(points["start_time_ns"], 0).cast(_TIME),
        "TimeUnix": pc.fill_null(points["time_ns"], 0).cast(_TIME),
    }


def _flags(points: pa.Table) -> Columns:
    missing = pc.is_null(pc.coalesce(points["value"], points["count"].cast(pa.float64())))
    return {"Flags": pc.multiply(missing.cast(pa.uint32()), pa.scalar(_NO_VALUE, pa.uint32()))}


# Of each kind its own columns, in the order of the exporter, with the flags among them.


def _gauge(points: pa.Table, flags: Columns) -> Columns:
    return {"Value": _number(points, "value"), **flags, **_exemplars(points)}


def _sum(points: pa.Table, flags: Columns) -> Columns:
    return {
        "Value": _number(points, "value"),
        **flags,
        **_exemplars(points),
        "AggregationTemporality": _temporality(points),
        "IsMonotonic": pc.fill_null(points["monotonic"], False),
    }


def _histogram(points: pa.Table, flags: Columns) -> Columns:
    buckets = [json.loads(text) if text else {} for text in points["buckets"].to_pylist()]
    return {
        **_counted(points),
        "BucketCounts": _lists(buckets, "counts", pa.uint64()),
        "ExplicitBounds": _lists(buckets, "bounds", pa.float64()),
        **_exemplars(points),
        **flags,
        "Min": _number(points, "min"),
        "Max": _number(points, "max"),
        "AggregationTemporality": _temporality(points),
    }


def _exponential(points: pa.Table, flags: Columns) -> Columns:
    buckets = [json.loads(text) if text else {} for text in points["buckets"].to_pylist()]
    columns = {
        **_counted(points),
        "Scale": pa.array([bucket.get("scale", 0) for bucket in buckets], pa.int32()),
        "ZeroCount": pa.array([bucket.get("zero_count", 0) for bucket in buckets], pa.uint64()),
    }
    for side in ("positive", "negative"):
        sides = [bucket.get(side, {}) for bucket in buckets]
        name = side.capitalize()
        columns[f"{name}Offset"] = pa.array([of.get("offset", 0) for of in sides], pa.int32())
        columns[f"{name}BucketCounts"] = _lists(sides, "counts", pa.uint64())
    return {
        **columns,
        **_exemplars(points),
        **flags,
        "Min": _number(points, "min"),
        "Max": _number(points, "max"),
        "AggregationTemporality": _temporality(points),
    }


def _summary(points: pa.Table, flags: Columns) -> Columns:
    found = [json.loads(text) if text else {} for text in points["buckets"].to_pylist()]
    pairs = [list(zip(*of.get("quantiles", []), strict=True)) or [(), ()] for of in found]
    doubles = pa.list_(pa.float64())
    return {
        **_counted(points),
        "ValueAtQuantiles.Quantile": pa.array([list(pair[0]) for pair in pairs], doubles),
        "ValueAtQuantiles.Value": pa.array([list(pair[1]) for pair in pairs], doubles),
        **flags,
    }


def _counted(points: pa.Table) -> Columns:
    return {
        "Count": pc.fill_null(points["count"], 0).cast(pa.uint64()),
        "Sum": _number(points, "sum"),
    }


def _exemplars(points: pa.Table) -> Columns:
    return _nested(
        points,
        "Exemplars",
        {
            "FilteredAttributes": ATTRIBUTES,
            "TimeUnix": _TIME,
            "Value": pa.float64(),
            "SpanId": pa.string(),
            "TraceId": pa.string(),
        },
    )


def _temporality(points: pa.Table) -> pa.Array:
    names = points["temporality"].to_pylist()
    return pa.array([_TEMPORALITIES.get(name, 0) for name in names], pa.int32())


def _text(table: pa.Table, column: str) -> pa.ChunkedArray:
    return pc.fill_null(table[column], "")


def _number(table: pa.Table, column: str) -> pa.ChunkedArray:
    return pc.fill_null(table[column], 0.0)


def _empty(table: pa.Table) -> pa.Array:
    """Of what a dataset does not have."""
    return pa.repeat(pa.scalar("", pa.string()), table.num_rows)


def _zeros(table: pa.Table, type_: pa.DataType) -> pa.Array:
    return pa.repeat(pa.scalar(0, type_), table.num_rows)


def _nested(table: pa.Table, name: str, fields: Mapping[str, pa.DataType]) -> Columns:
    """Columns of a nested structure of which a dataset has nothing: empty lists."""
    return {
        f"{name}.{field}": pa.array([[]] * table.num_rows, pa.list_(type_))
        for field, type_ in fields.items()
    }


def _lists(found: list[dict[str, Any]], key: str, type_: pa.DataType) -> pa.Array:
    return pa.array([of.get(key, []) for of in found], pa.list_(type_))


def _named(numbers: pa.ChunkedArray, names: tuple[str, ...]) -> pa.Array:
    known = dict(enumerate(names))
    return pa.array([known.get(number, names[0]) for number in numbers.to_pylist()], pa.string())


# Attributes: lists of pairs, a list for each row; several of them make a map.
Pairs = list[list[tuple[str, str]]]


def _pairs(table: pa.Table, columns: Mapping[str, str]) -> list[Pairs]:
    """Of columns that a table has, where they are not null."""
    found: list[Pairs] = []
    for attribute, column in columns.items():
        if column in table.schema.names:
            values = table[column].cast(pa.string()).to_pylist()
            found.append([[] if value is None else [(attribute, value)] for value in values])
    return found


def _labels(table: pa.Table) -> list[Pairs]:
    return _pairs(table, {f"loadgen.{column}": column for column in LABELS})


def _targets(spans: pa.Table) -> list[Pairs]:
    """Path and query."""

    def split(target: str | None) -> list[tuple[str, str]]:
        path, mark, query = (target or "").partition("?")
        pairs = [("url.path", path)] if path else []
        return pairs + ([("url.query", query)] if mark else [])

    return [[split(target) for target in spans["http_target"].to_pylist()]]


def _json(texts: pa.ChunkedArray) -> Iterable[Pairs]:
    """JSON objects; what is no text in them is JSON again, as the exporter does it."""

    def plain(value: object) -> str:
        if isinstance(value, str):
            return value
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)

    known: dict[str | None, list[tuple[str, str]]] = {None: []}
    for text in pc.unique(texts).to_pylist():
        if text is not None:
            known[text] = [(key, plain(value)) for key, value in json.loads(text).items()]
    yield [known[text] for text in texts.to_pylist()]


def _maps(table: pa.Table, parts: Iterable[Pairs]) -> pa.Array:
    lists = list(parts)
    if not lists:
        return pa.array([[]] * table.num_rows, ATTRIBUTES)
    # Sorted, as the exporter does it: maps that are the same are equal.
    rows = (sorted(pair for pairs in row for pair in pairs) for row in zip(*lists, strict=True))
    return pa.array(rows, ATTRIBUTES, size=table.num_rows)
