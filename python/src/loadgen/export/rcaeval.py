"""Cases as RCAEval reads them: a folder each, with the files of its Parquet layout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from loadgen.cases import (
    ANOMALOUS,
    GENERATOR,
    SECOND,
    STEADY_NORMAL,
    Case,
    Part,
    cases_of,
    no_cases,
    parts_of,
)
from loadgen.export.result import Exported, whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from loadgen.dataset import Dataset

_MICROSECOND = 1_000
# What it calls memory, in bytes.
_RENAMED = {"process.memory.usage": "mem"}
# Of the table of features, per service and second: RCAEval's name → the column.
_FROM_FEATURES = {
    "workload": "server_count",
    "error": "server_errors",
    "latency-50": "server_p50_ms",
    "latency": "server_p95_ms",
    "cpu": "cpu",
}


def export(
    dataset: Dataset[Any],
    out: Path,
    *,
    suite: str = "lg",
    system: str = "shop",
    verdicts: Sequence[str] | None = None,
    normal_seconds: float = 600.0,
) -> Exported:
    """Writes `<suite><system>_<service>_<fault>_<n>/` for each case, and `cases.parquet`."""
    found, skipped = cases_of(dataset, verdicts=verdicts, normal_seconds=normal_seconds)
    if not found:
        raise no_cases(skipped)
    rows: list[dict[str, Any]] = []
    unseen: set[tuple[str, str]] = set()
    with whole(out) as folder:
        for case in found:
            name = f"{suite}{system}_{case.name}"
            normal, anomalous = parts_of(dataset, case)
            run = dataset.run(case.run_id) if case.run_id else dataset
            place = folder / name
            place.mkdir()
            metrics = metrics_of(run, case)
            pq.write_table(metrics, place / "metrics.parquet")
            (place / "inject_time.txt").write_text(f"{inject_time(case)}\n", encoding="utf-8")
            traces = traces_of(normal, anomalous)
            pq.write_table(traces, place / "traces.parquet")
            unseen |= set(_unseen(normal, anomalous))
            logs = logs_of(normal, anomalous)
            if logs is not None:
                pq.write_table(logs, place / "logs.parquet")
            rows.append(_index_row(case, name, suite, system, metrics, traces, logs))
        pq.write_table(pa.Table.from_pylist(rows), folder / "cases.parquet")
    notes = [
        f"spans of {service} {operation} are left out where the normal part has none"
        for service, operation in sorted(unseen)
    ]
    return Exported(out, tuple(row["case"] for row in rows), tuple(skipped), tuple(notes))


def inject_time(case: Case) -> int:
    """Unix seconds. The confirmed injection is within this second, which is in neither part."""
    return case.injected_ns // SECOND


def traces_of(normal: Part, anomalous: Part) -> pa.Table:
    """Spans with RCAEval's names, in microseconds."""
    spans = pa.concat_tables([normal.traces, anomalous.traces])
    # The generator is no part of the system that has a root cause.
    spans = spans.filter(pc.field("service_name") != GENERATOR)
    for service, operation in _unseen(normal, anomalous):
        spans = spans.filter(
            (pc.field("service_name") != service) | (pc.field("span_name") != operation)
        )
    micro = _MICROSECOND
    return pa.table(
        {
            "traceID": spans["trace_id"],
            "spanID": spans["span_id"],
            "parentSpanID": spans["parent_span_id"],
            "serviceName": _service(spans["service_name"]),
            # Where there is none, readers take the operation's name.
            "methodName": pa.nulls(spans.num_rows, pa.string()),
            "operationName": spans["span_name"],
            "startTime": pc.divide(spans["start_time_ns"], micro),
            "duration": pc.divide(spans["duration_ns"], micro),
            "statusCode": spans["http_status_code"],
        }
    )


def logs_of(normal: Part, anomalous: Part) -> pa.Table | None:
    """Log records with RCAEval's names, in seconds; nothing where there are none."""
    if normal.logs is None or anomalous.logs is None:
        return None
    logs = pa.concat_tables([normal.logs, anomalous.logs])
    if not logs.num_rows:
        return None
    return pa.table(
        {
            "timestamp": pc.divide(logs["time_ns"], SECOND),
            "container_name": _service(logs["service_name"]),
            "message": logs["body"],
        }
    )


def metrics_of(run: Dataset[Any], case: Case) -> pa.Table:
    """A row for each second of both parts: what each service did, and its own series."""
    condition = (_during(case) & (pc.field("time") < inject_time(case)) & STEADY_NORMAL) | (
        _during(case)
        & (pc.field("time") > inject_time(case))
        & ANOMALOUS
        & (pc.field("anomaly_type") == case.anomaly_type)
    )
    features = run.arrow("windows_features_1s")
    seconds = pc.divide(features["start_time_ns"], SECOND)
    features = features.append_column("time", seconds).filter(condition)
    times = sorted(set(features["time"].to_pylist()))
    columns: dict[str, Any] = {}
    for row in features.to_pylist():
        service = row["service_name"].replace("_", "-")
        if service != GENERATOR:
            for name, column in _FROM_FEATURES.items():
                columns.setdefault(f"{service}_{name}", {})[row["time"]] = row[column]
    if "metrics_wide" in run:
        wide = run.arrow("metrics_wide", None, condition)
        own = wide["time"].to_pylist()
        for name in wide.schema.names:
            service, _, series = name.partition("_")
            if pa.types.is_floating(wide.schema.field(name).type) and service != GENERATOR:
                column = f"{service}_{_RENAMED.get(series, series)}"
                columns.setdefault(column, dict(zip(own, wide[name].to_pylist(), strict=True)))
    arrays = {
        name: pa.array([columns[name].get(time) for time in times], pa.float64())
        for name in sorted(columns)
    }
    found = {name: array for name, array in arrays.items() if array.null_count < len(times)}
    return pa.table({"time": pa.array(times, pa.int64()), **found})


def _during(case: Case) -> pc.Expression:
    time = pc.field("time")
    return (time >= case.normal_from_ns // SECOND) & (time < case.cleared_ns // SECOND)


def _service(names: pa.ChunkedArray) -> pa.ChunkedArray:
    # What stands before the first underscore of a name in a ranking is taken for the service.
    return pc.replace_substring(names, "_", "-")


def _unseen(normal: Part, anomalous: Part) -> list[tuple[str, str]]:
    """Services and operations that only the anomalous part has. Methods that read traces compare
    each operation with its normal spans, and stop where it has none.
    """

    def operations(part: Part) -> set[tuple[str, str]]:
        names = part.traces.group_by(["service_name", "span_name"]).aggregate([]).to_pylist()
        return {(name["service_name"], name["span_name"]) for name in names}

    return sorted(operations(anomalous) - operations(normal))


def _index_row(
    case: Case,
    name: str,
    suite: str,
    system: str,
    metrics: pa.Table,
    traces: pa.Table,
    logs: pa.Table | None,
) -> dict[str, Any]:
    """A row of `cases.parquet`: RCAEval's 22 columns, and behind them what is ours."""
    times = metrics["time"].to_pylist()
    faulty = sum(time >= inject_time(case) for time in times)
    return {
        "case": name,
        "dataset": f"{suite}-{system}".upper(),
        "suite": suite.upper(),
        "system": system.upper(),
        "system_name": system,
        "root_cause_service": case.service_name,
        "fault": case.fault,
        "fault_description": case.anomaly_type,
        "repetition": case.repetition,
        "inject_time": inject_time(case),
        "n_metrics": metrics.num_columns - 1,
        "n_timesteps": len(times),
        "time_start": times[0] if times else None,
        "time_end": times[-1] if times else None,
        "duration_minutes": (times[-1] - times[0]) / 60 if times else None,
        "normal_timesteps": len(times) - faulty,
        "faulty_timesteps": faulty,
        "has_logs": logs is not None,
        "n_logs": logs.num_rows if logs is not None else 0,
        "has_traces": traces.num_rows > 0,
        "n_traces": traces.num_rows,
        "has_root_cause_file": False,
        "run_id": case.run_id,
        "window": case.window,
        "intensity": case.intensity,
        "verdict": case.verdict,
    }
