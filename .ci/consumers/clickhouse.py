"""ClickHouse itself (chdb) on an export: `clickhouse.py FOLDER`.

Makes tables with the columns of the Collector's ClickHouse exporter, loads the files into them, and
asks what dashboards ask. Ends with 1 where rows are missing or a query has no answer.
"""

import pathlib
import sys

from chdb.session import Session

MAP = "Map(LowCardinality(String), String)"
NAME = "LowCardinality(String)"
TIME = "DateTime64(9)"
EXEMPLARS = (f"Nested (FilteredAttributes {MAP}, TimeUnix {TIME}, Value Float64, SpanId String, "
             "TraceId String)")
POINT = {
    "ResourceAttributes": MAP, "ResourceSchemaUrl": "String", "ScopeName": "String",
    "ScopeVersion": "String", "ScopeAttributes": MAP, "ScopeDroppedAttrCount": "UInt32",
    "ScopeSchemaUrl": "String", "ServiceName": NAME, "MetricName": NAME,
    "MetricDescription": "String", "MetricUnit": "String", "Attributes": MAP,
    "StartTimeUnix": TIME, "TimeUnix": TIME,
}
FLAGS = {"Flags": "UInt32"}
COUNTED = {"Count": "UInt64", "Sum": "Float64"}
EXTREMES = {"Min": "Float64", "Max": "Float64", "AggregationTemporality": "Int32"}
TABLES = {
    "otel_traces": {
        "Timestamp": TIME, "TraceId": "String", "SpanId": "String", "ParentSpanId": "String",
        "TraceState": "String", "SpanName": NAME, "SpanKind": NAME, "ServiceName": NAME,
        "ResourceAttributes": MAP, "ScopeName": "String", "ScopeVersion": "String",
        "SpanAttributes": MAP, "Duration": "UInt64", "StatusCode": NAME, "StatusMessage": "String",
        "Events": f"Nested (Timestamp {TIME}, Name {NAME}, Attributes {MAP})",
        "Links": f"Nested (TraceId String, SpanId String, TraceState String, Attributes {MAP})",
    },
    "otel_traces_trace_id_ts": {"TraceId": "String", "Start": "DateTime", "End": "DateTime"},
    "otel_logs": {
        "Timestamp": TIME, "TraceId": "String", "SpanId": "String", "TraceFlags": "UInt8",
        "SeverityText": NAME, "SeverityNumber": "UInt8", "ServiceName": NAME, "Body": "String",
        "ResourceSchemaUrl": NAME, "ResourceAttributes": MAP, "ScopeSchemaUrl": NAME,
        "ScopeName": "String", "ScopeVersion": NAME, "ScopeAttributes": MAP, "LogAttributes": MAP,
        "EventName": "String",
    },
    "otel_metrics_gauge": {**POINT, "Value": "Float64", **FLAGS, "Exemplars": EXEMPLARS},
    "otel_metrics_sum": {**POINT, "Value": "Float64", **FLAGS, "Exemplars": EXEMPLARS,
                         "AggregationTemporality": "Int32", "IsMonotonic": "Bool"},
    "otel_metrics_histogram": {**POINT, **COUNTED, "BucketCounts": "Array(UInt64)",
                               "ExplicitBounds": "Array(Float64)", "Exemplars": EXEMPLARS,
                               **FLAGS, **EXTREMES},
    "otel_metrics_exp_histogram": {
        **POINT, **COUNTED, "Scale": "Int32", "ZeroCount": "UInt64", "PositiveOffset": "Int32",
        "PositiveBucketCounts": "Array(UInt64)", "NegativeOffset": "Int32",
        "NegativeBucketCounts": "Array(UInt64)", "Exemplars": EXEMPLARS, **FLAGS, **EXTREMES},
    "otel_metrics_summary": {**POINT, **COUNTED,
                             "ValueAtQuantiles": "Nested (Quantile Float64, Value Float64)", **FLAGS},
}
QUERIES = {
    "requests a second and the 95th percentile by service":
        "SELECT ServiceName, toStartOfInterval(Timestamp, INTERVAL 5 SECOND) AS at, count() / 5, "
        "quantile(0.95)(Duration) / 1e6 FROM otel_traces WHERE SpanKind = 'Server' "
        "GROUP BY ServiceName, at ORDER BY at, ServiceName",
    "the slowest trace, found by its time":
        "WITH (SELECT TraceId FROM otel_traces WHERE ParentSpanId = '' ORDER BY Duration DESC "
        "LIMIT 1) AS id, (SELECT min(Start) FROM otel_traces_trace_id_ts WHERE TraceId = id) AS s, "
        "(SELECT max(End) + 1 FROM otel_traces_trace_id_ts WHERE TraceId = id) AS e "
        "SELECT SpanName, ServiceName, Duration FROM otel_traces WHERE TraceId = id "
        "AND Timestamp >= s AND Timestamp <= e",
    "errors by answer":
        "SELECT ServiceName, SpanAttributes['http.response.status_code'] AS status, count() "
        "FROM otel_traces WHERE StatusCode = 'Error' GROUP BY ServiceName, status",
    "spans by label":
        "SELECT SpanAttributes['loadgen.anomaly_type'] AS type, count() FROM otel_traces "
        "GROUP BY type",
    "log records of the traces with an error":
        "SELECT SeverityText, count() FROM otel_logs WHERE TraceId IN "
        "(SELECT TraceId FROM otel_traces WHERE StatusCode = 'Error') GROUP BY SeverityText",
    "processor time":
        "SELECT ServiceName, max(Value) - min(Value) FROM otel_metrics_sum "
        "WHERE MetricName = 'process.cpu.time' GROUP BY ServiceName",
    "mean durations by histogram":
        "SELECT ServiceName, Attributes['http.route'] AS route, max(Sum) / max(Count) "
        "FROM otel_metrics_histogram WHERE MetricName = 'http.server.request.duration' "
        "GROUP BY ServiceName, route",
}


def columns_of(session, table):
    lines = session.query(f"DESCRIBE {table}", "TSV").bytes().decode().splitlines()
    return [line.split("\t")[0] for line in lines]


def main():
    folder = pathlib.Path(sys.argv[1]).resolve()
    session = Session()
    session.query("CREATE DATABASE otel")
    session.query("USE otel")
    for table, columns in TABLES.items():
        file = folder / f"{table}.parquet"
        if not file.exists():
            continue
        definition = ", ".join(f"`{name}` {type_}" for name, type_ in columns.items())
        session.query(f"CREATE TABLE {table} ({definition}) ENGINE = MergeTree ORDER BY tuple()")
        # In the exporter's own order, so that all can be taken as they are.
        session.query(f"INSERT INTO {table} SELECT * FROM file('{file}', Parquet)")
        names = [columns_of(session, what) for what in (table, f"file('{file}', Parquet)")]
        assert names[0] == names[1], f"{table}: {names}"
        count = f"SELECT (SELECT count() FROM {table}), (SELECT count() FROM file('{file}', Parquet))"
        loaded, written = session.query(count, "TSV").bytes().decode().split()
        assert loaded == written, f"{table}: {loaded} of {written} rows"
        print(f"{table}: {loaded} rows")
    for what, query in QUERIES.items():
        rows = session.query(query, "TSV").bytes().decode().splitlines()
        assert rows, f"no answer: {what}"
        print(f"{what}: {len(rows)} rows, such as {rows[0].split(chr(9))}")


if __name__ == "__main__":
    main()
