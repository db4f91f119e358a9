"""Cases as datapacks of RCABench (Aegis, OpenRCA 2): the raw form, which its own rule checks."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from loadgen.cases import GENERATOR, SECOND, Case, Part, cases_of, no_cases, parts_of
from loadgen.export import otel
from loadgen.export.result import Exported, whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from loadgen.dataset import Dataset

# Its rule calls the environment unstable where a request of the normal part took longer.
_LONGEST_ROOT_NS = 3_000_000_000
# Who sends the requests. Its methods look for this name.
ITS_GENERATOR = "loadgenerator"
# What its queries select of each signal.
_COLUMNS = {
    "traces": [
        "Timestamp", "TraceId", "SpanId", "ParentSpanId", "TraceState", "SpanName", "SpanKind",
        "ServiceName", "ResourceAttributes", "SpanAttributes", "Duration", "StatusCode",
        "StatusMessage",
    ],
    "logs": [
        "Timestamp", "TimestampTime", "TraceId", "SpanId", "SeverityText", "SeverityNumber",
        "ServiceName", "Body", "ResourceAttributes", "LogAttributes",
    ],
    "metrics": [
        "TimeUnix", "MetricName", "MetricDescription", "Value", "ServiceName", "MetricUnit",
        "ResourceAttributes", "Attributes",
    ],
    "metrics_histogram": [
        "TimeUnix", "MetricName", "ServiceName", "MetricUnit", "ResourceAttributes", "Attributes",
        "Count", "Sum", "BucketCounts", "ExplicitBounds", "Min", "Max", "AggregationTemporality",
    ],
}  # fmt: skip
_COLUMNS["metrics_sum"] = _COLUMNS["metrics"]


def export(
    dataset: Dataset[Any],
    out: Path,
    *,
    name: str = "loadgen",
    verdicts: Sequence[str] | None = None,
    normal_seconds: float = 600.0,
) -> Exported:
    """Writes `data/<name>/<datapack>/` for each case, and `meta/<name>/`."""
    found, skipped = cases_of(dataset, verdicts=verdicts, normal_seconds=normal_seconds)
    if not found:
        raise no_cases(skipped)
    index: list[dict[str, str]] = []
    labels: list[dict[str, str]] = []
    notes: list[str] = []
    with whole(out) as folder:
        for case in found:
            pack = re.sub(r"[^A-Za-z0-9_-]", "-", case.name)
            place = folder / "data" / name / pack
            place.mkdir(parents=True)
            normal, anomalous = parts_of(dataset, case)
            for prefix, part in (("normal", normal), ("abnormal", anomalous)):
                for signal, table in _signals(part).items():
                    pq.write_table(table, place / f"{prefix}_{signal}.parquet")
                    if not table.num_rows and signal != "metrics_histogram":
                        notes.append(f"{pack}: {prefix}_{signal} has no row, so it is not valid")
            notes += _unstable(pack, normal)
            _documents(place, case, normal, anomalous)
            _sums(place)
            index.append({"dataset": name, "datapack": pack})
            gt = {"gt.level": "service", "gt.name": case.root_cause_service}
            labels.append({**index[-1], **gt})
        meta = folder / "meta" / name
        meta.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(index), meta / "index.parquet")
        pq.write_table(pa.Table.from_pylist(labels), meta / "labels.parquet")
    packs = tuple(row["datapack"] for row in index)
    return Exported(out, packs, tuple(skipped), tuple(notes))


def _signals(part: Part) -> dict[str, pa.Table]:
    """The six files of a part, without labels: they are the answer."""
    spans = part.traces
    names = pc.if_else(
        pc.equal(spans["service_name"], GENERATOR), ITS_GENERATOR, spans["service_name"]
    )
    spans = spans.set_column(spans.schema.get_field_index("service_name"), "service_name", names)
    found = {
        "traces": otel.traces(spans, labels=False),
        "logs": _with_seconds(otel.logs(part.logs, labels=False)),
    }
    metrics = otel.metrics(part.metrics, labels=False)
    found["metrics"] = metrics["gauge"]
    found["metrics_sum"] = metrics["sum"]
    found["metrics_histogram"] = metrics["histogram"]
    selected = {signal: _plain(table.select(_COLUMNS[signal])) for signal, table in found.items()}
    return {**selected, "trace_id_ts": otel.trace_id_ts(part.traces)}


def _with_seconds(logs: pa.Table) -> pa.Table:
    """The exporter's tables had whole seconds beside the times until 2026, and its packs have."""
    seconds = pc.floor_temporal(logs["Timestamp"], unit="second")
    return logs.append_column("TimestampTime", seconds)


def _plain(table: pa.Table) -> pa.Table:
    """Attributes as text of JSON, which its queries make of them."""
    for place, field in enumerate(table.schema):
        if field.type == otel.ATTRIBUTES:
            texts = [
                json.dumps(dict(pairs), separators=(",", ":"), ensure_ascii=False)
                for pairs in table[field.name].to_pylist()
            ]
            table = table.set_column(place, field.name, pa.array(texts, pa.string()))
    return table


def _unstable(pack: str, normal: Part) -> list[str]:
    roots = normal.traces.filter(pc.is_null(normal.traces["parent_span_id"]))
    longest = pc.max(roots["duration_ns"]).as_py() or 0
    if longest <= _LONGEST_ROOT_NS:
        return []
    return [f"{pack}: a normal request took {longest / SECOND:.1f} s, so it is not valid"]


def _documents(place: Path, case: Case, normal: Part, anomalous: Part) -> None:
    # The end of the one has to be the start of the other. What lay between is in neither.
    middle = case.injected_ns // SECOND
    times = {
        "NORMAL_START": normal.start_ns // SECOND,
        "NORMAL_END": middle,
        "ABNORMAL_START": middle,
        "ABNORMAL_END": -(-anomalous.end_ns // SECOND),
    }
    env = {"NAMESPACE": "loadgen", "DB_TIMEZONE": "UTC"}
    _write(place / "env.json", {**env, **{key: str(value) for key, value in times.items()}})
    nothing: list[str] = []
    _write(
        place / "injection.json",
        {
            "name": place.name,
            "fault": case.fault,
            "start_time": _iso(case.injected_ns),
            "end_time": _iso(case.cleared_ns),
            "ground_truth": [
                {
                    "service": [case.root_cause_service],
                    "pod": nothing,
                    "container": nothing,
                    "metric": nothing,
                    "function": nothing,
                    "span": nothing,
                }
            ],
            "loadgen": {
                "run_id": case.run_id,
                "window": case.window,
                "scenario": case.scenario,
                "anomaly_type": case.anomaly_type,
                "intensity": case.intensity,
                "verdict": case.verdict,
                "injected_ns": case.injected_ns,
                "cleared_ns": case.cleared_ns,
            },
        },
    )
    # What Kubernetes knew: there was none, or loadgen did not ask it.
    _write(place / "k8s.json", {})


def _iso(ns: int) -> str:
    moment = pa.scalar(ns // 1000, pa.timestamp("us", tz="UTC")).as_py()
    return str(moment.isoformat())


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _sums(place: Path) -> None:
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(place.iterdir())
    ]
    (place / "sha256sum.txt").write_text("".join(lines), encoding="utf-8")
