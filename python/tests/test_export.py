from __future__ import annotations

import csv
import hashlib
import json
import pickle
import shutil
import subprocess
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import loadgen
from loadgen import cases
from loadgen.__main__ import main
from loadgen.export import clickhouse, datapack, rcaeval, tadbench, tsb_ad

SECOND = 1_000_000_000


@pytest.fixture(scope="session")
def frames(run: Path) -> loadgen.Dataset[pd.DataFrame]:
    return loadgen.load(run)


@pytest.fixture(scope="session")
def found(dataset: loadgen.Dataset[pa.Table]) -> list[cases.Case]:
    return cases.cases_of(dataset)[0]


def test_a_case_is_a_window_with_a_confirmed_fault(
    dataset: loadgen.Dataset[pa.Table], frames: loadgen.Dataset[pd.DataFrame]
) -> None:
    found, skipped = cases.cases_of(dataset, verdicts=["supported"])
    windows = frames.windows.query("anomaly_label == 'anomalous'")
    supported = windows[windows.verdict == "supported"].set_index("window")
    # On a busy machine the fault before may be cleared only when the next is in force.
    overlapping = {window.window for window in skipped if "verdict" not in window.why}
    assert [case.window for case in found] == [
        window for window in supported.index if window not in overlapping
    ]
    for case in found:
        assert case.injected_ns == supported.fault_injected_ns[case.window]
    assert len(skipped) + len(found) == len(windows)
    assert len({case.name for case in found}) == len(found)


def test_parts_are_of_one_condition_each(
    dataset: loadgen.Dataset[pa.Table], found: list[cases.Case]
) -> None:
    for case in found:
        normal, anomalous = cases.parts_of(dataset, case)
        for part in (normal, anomalous):
            assert part.logs is not None
            assert part.metrics is not None
            for rows in (part.traces, part.logs, part.metrics):
                assert rows.num_rows
        spans = normal.traces.to_pandas()
        assert set(spans.anomaly_label) == {"normal"}
        assert set(spans.phase) == {"steady"}
        assert spans.end_time_ns.max() < case.injected_ns
        spans = anomalous.traces.to_pandas()
        assert set(spans.anomaly_type) == {case.anomaly_type}
        roots = spans[spans.parent_span_id.isna()]
        assert roots.start_time_ns.min() >= case.injected_ns
        assert roots.start_time_ns.max() < case.cleared_ns
        # Traces are whole.
        assert not set(normal.traces["trace_id"].to_pylist()) & set(spans.trace_id)


def test_less_normal_time_is_that_nearest_to_the_injection(
    dataset: loadgen.Dataset[pa.Table], found: list[cases.Case]
) -> None:
    short = cases.cases_of(dataset, normal_seconds=2)[0]
    for whole, case in zip(found, short, strict=True):
        assert whole.normal_from_ns < case.normal_from_ns < case.injected_ns
        wide, narrow = (cases.parts_of(dataset, one)[0].traces for one in (whole, case))
        assert set(narrow["span_id"].to_pylist()) < set(wide["span_id"].to_pylist())


def test_why_there_is_no_case(extraction: Path, tmp_path: Path) -> None:
    ds = loadgen.load(extraction, "arrow")
    with pytest.raises(loadgen.NoCasesError, match="its fault is not confirmed but declared"):
        rcaeval.export(ds, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.iterdir())


def test_what_a_layout_needs_is_said(run: Path, tmp_path: Path) -> None:
    files = tmp_path / "dataset"
    shutil.copytree(loadgen.load(run).folder, files)
    for path in files.glob("windows_features_*"):
        path.unlink()
    with pytest.raises(loadgen.NoTableError, match="extract the run again"):
        tsb_ad.export(loadgen.load(files, "arrow"), tmp_path / "out")
    for path in files.glob("logs_labeled_*"):
        path.unlink()
    with pytest.raises(loadgen.NoCasesError, match="needs log records and metrics"):
        datapack.export(loadgen.load(files, "arrow"), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


def test_nothing_is_written_over(dataset: loadgen.Dataset[pa.Table], tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(loadgen.LoadgenError, match="not empty"):
        clickhouse.export(dataset, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_rcaeval(
    dataset: loadgen.Dataset[pa.Table],
    frames: loadgen.Dataset[pd.DataFrame],
    found: list[cases.Case],
    tmp_path: Path,
) -> None:
    exported = rcaeval.export(dataset, tmp_path / "out")
    index = pd.read_parquet(tmp_path / "out/cases.parquet")
    assert list(index.case) == list(exported.names)
    assert list(index.columns[:3]) == ["case", "dataset", "suite"]
    assert len(index.columns) == 22 + 4
    for case, row in zip(found, index.to_dict("records"), strict=True):
        place = tmp_path / "out" / row["case"]
        inject_time = int((place / "inject_time.txt").read_text())
        assert inject_time == case.injected_ns // SECOND
        metrics = pd.read_parquet(place / "metrics.parquet")
        assert metrics.columns[0] == "time"
        assert metrics.dtypes["time"] == "int64"
        assert set(map(str, metrics.dtypes[1:])) == {"float64"}
        assert (metrics.time < inject_time).sum() == row["normal_timesteps"] > 0
        assert (metrics.time > inject_time).sum() == row["faulty_timesteps"] > 0
        assert metrics.time.is_monotonic_increasing
        services = {name.split("_")[0] for name in metrics.columns[1:]}
        assert row["root_cause_service"] in services
        assert "loadgen" not in services
        # One figure, counted from the spans.
        spans = frames.traces
        spans = spans[(spans.span_kind == 2) & (spans.service_name == case.root_cause_service)]
        second = int(metrics.time.iloc[-1])
        begun = (spans.start_time_ns // SECOND == second).sum()
        assert metrics[row["root_cause_service"] + "_workload"].iloc[-1] == begun
        traces = pd.read_parquet(place / "traces.parquet")
        ends = traces.startTime + traces.duration
        before = set(traces[ends < inject_time * 1_000_000].traceID)
        after = set(traces[ends >= inject_time * 1_000_000].traceID)
        assert before
        assert after
        assert not before & after
        logs = pd.read_parquet(place / "logs.parquet")
        assert set(logs.columns) == {"timestamp", "container_name", "message"}
        assert logs.timestamp.between(metrics.time.min() - 60, metrics.time.max() + 60).all()


def test_datapack(
    dataset: loadgen.Dataset[pa.Table], found: list[cases.Case], tmp_path: Path
) -> None:
    exported = datapack.export(dataset, tmp_path / "out")
    labels = pd.read_parquet(tmp_path / "out/meta/loadgen/labels.parquet")
    assert list(labels.datapack) == list(exported.names)
    assert list(labels["gt.name"]) == [case.root_cause_service for case in found]
    for case, name in zip(found, exported.names, strict=True):
        place = tmp_path / "out/data/loadgen" / name
        env = json.loads((place / "env.json").read_text())
        assert env["NORMAL_END"] == env["ABNORMAL_START"] == str(case.injected_ns // SECOND)
        injection = json.loads((place / "injection.json").read_text())
        assert injection["ground_truth"][0]["service"] == [case.root_cause_service]
        for line in (place / "sha256sum.txt").read_text().splitlines():
            checksum, file = line.split("  ")
            assert hashlib.sha256((place / file).read_bytes()).hexdigest() == checksum
        for path in place.glob("*.parquet"):
            table = pq.read_table(path)
            assert table.num_rows, path
            # The answer is in no file that a method reads.
            assert not [name for name in table.schema.names if "anomaly" in name.lower()]
            for column in ("SpanAttributes", "ResourceAttributes", "Attributes", "LogAttributes"):
                if column in table.schema.names:
                    texts = table[column].to_pylist()
                    assert all(isinstance(json.loads(text), dict) for text in texts)
                    assert not [text for text in texts if "loadgen." in text]
        traces = pq.read_table(place / "abnormal_traces.parquet").to_pandas()
        assert set(traces[traces.ParentSpanId == ""].ServiceName) == {"loadgenerator"}


def test_clickhouse(
    dataset: loadgen.Dataset[pa.Table], frames: loadgen.Dataset[pd.DataFrame], tmp_path: Path
) -> None:
    clickhouse.export(dataset, tmp_path / "out")
    traces = pq.read_table(tmp_path / "out/otel_traces.parquet")
    assert traces.num_rows == len(frames.traces)
    first = traces.slice(0, 1).to_pylist()[0]
    own = frames.traces.iloc[0]
    assert (first["TraceId"], first["SpanId"]) == (own.trace_id, own.span_id)
    assert first["Duration"] == own.duration_ns
    assert first["Timestamp"].value == own.start_time_ns
    assert dict(first["ResourceAttributes"])["service.name"] == own.service_name
    assert dict(first["SpanAttributes"])["loadgen.anomaly_type"] == own.anomaly_type
    assert set(traces["SpanKind"].to_pylist()) >= {"Client", "Server", "Internal"}
    metrics = frames.metrics.metric_type.value_counts()
    for kind, name in (("gauge", "gauge"), ("sum", "sum"), ("histogram", "histogram")):
        table = pq.read_table(tmp_path / f"out/otel_metrics_{name}.parquet")
        assert table.num_rows == metrics[kind]
    histogram = pq.read_table(tmp_path / "out/otel_metrics_histogram.parquet").to_pylist()
    for point in histogram[:100]:
        assert sum(point["BucketCounts"]) == point["Count"]
        assert len(point["BucketCounts"]) == len(point["ExplicitBounds"]) + 1


def test_clickhouse_of_all_kinds(extraction: Path, tmp_path: Path) -> None:
    clickhouse.export(loadgen.load(extraction, "arrow"), tmp_path / "out")
    rows = {
        path.stem.removeprefix("otel_metrics_"): pq.read_table(path).to_pylist()
        for path in (tmp_path / "out").glob("otel_metrics_*.parquet")
    }
    assert all(rows.values())
    (exponential,) = rows["exp_histogram"]
    assert exponential["Scale"] == -1
    assert exponential["PositiveOffset"] == 3
    assert exponential["PositiveBucketCounts"] == [1, 4]
    (summary,) = rows["summary"]
    assert summary["ValueAtQuantiles.Quantile"] == [0.5, 1.0]
    assert summary["ValueAtQuantiles.Value"] == [2.0, 4.5]


@dataclass
class Span:
    """What TADBench says that a span has."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    children_span_list: list[Span]
    start_time: Any
    duration: float
    service_name: str
    anomaly: int = 0
    status_code: str | None = None
    operation_name: str | None = None
    latency: int | None = None
    structure: int | None = None
    root_cause: bool | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class Trace:
    """And a trace."""

    trace_id: str
    root_span: Span
    span_count: int = 0
    anomaly_type: int | None = None
    source: str | None = None


def test_tadbench(
    dataset: loadgen.Dataset[pa.Table],
    frames: loadgen.Dataset[pd.DataFrame],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tadbench.export(dataset, tmp_path / "out")
    assert "data_format" not in sys.modules
    # Its readers have classes of these names in a module of this name.
    module = types.ModuleType("data_format")
    vars(module).update(Span=Span, Trace=Trace)
    monkeypatch.setitem(sys.modules, "data_format", module)
    read = {path.stem: pickle.loads(path.read_bytes()) for path in (tmp_path / "out").iterdir()}
    assert read["normal"] == read["train_normal"] + read["test_normal"]
    assert read["train_normal"][-1].root_span.start_time <= (
        read["test_normal"][0].root_span.start_time
    )
    spans = frames.traces.set_index("span_id")
    for name, kinds in (("normal", {0}), ("only_latency_abnormal", {1}), ("abnormal", None)):
        for trace in read[name][:200]:
            assert isinstance(trace, Trace)
            own = [trace.root_span]
            for span in own:
                own += span.children_span_list
            assert len(own) == trace.span_count
            assert kinds is None or trace.anomaly_type in kinds
            assert any(span.anomaly for span in own) == (name != "normal")
            for span in own:
                row = spans.loc[span.span_id]
                assert span.duration == row.duration_ms
                assert span.service_name == row.service_name
                if name != "normal":
                    said: Any = "none" if pd.isna(row.span_anomaly) else row.span_anomaly
                    assert span.anomaly == int(said != "none")


def test_tsb_ad(
    dataset: loadgen.Dataset[pa.Table], frames: loadgen.Dataset[pd.DataFrame], tmp_path: Path
) -> None:
    tsb_ad.export(dataset, tmp_path / "out")
    for kind in ("U", "M"):
        with (tmp_path / f"out/File_List/TSB-AD-{kind}-Eva.csv").open(newline="") as file:
            index = list(csv.DictReader(file))
        assert index
        for row in index:
            series = pd.read_csv(tmp_path / f"out/TSB-AD-{kind}" / row["file_name"])
            assert len(series.dropna()) == len(series) == int(row["rows"])
            assert series.columns[-1] == "Label"
            assert kind == "M" or list(series.columns) == ["Data", "Label"]
            *_, train, _, first = row["file_name"].removesuffix(".csv").split("_")
            assert series.Label[: int(train)].sum() == 0
            assert series.Label.idxmax() == int(first)
            features = frames.windows_features_1s
            features = features[features.service_name == row["service"]]
            affected = (features.anomaly_label == "anomalous") & features.service_affected
            known = features.anomaly_label != "unknown"
            assert list(affected[known].fillna(False).astype(int)) == list(series.Label)


def test_the_command_line(
    run: Path, extraction: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["describe", str(run)]) == 0
    assert "error_spike" in capsys.readouterr().out
    assert main(["export", "clickhouse", str(extraction), str(tmp_path / "out")]) == 0
    assert "otel_traces.parquet" in capsys.readouterr().out
    assert main(["describe", str(tmp_path / "nowhere")]) == 3
    assert "does not exist" in capsys.readouterr().err
    assert main(["export", "rcaeval", str(extraction), str(tmp_path / "cases")]) == 3
    assert "no case" in capsys.readouterr().err
    package = Path(loadgen.__file__).parents[1]
    command = [sys.executable, "-W", "error", "-m", "loadgen", "describe", str(extraction)]
    subprocess.run(command, check=True, env={"PYTHONPATH": str(package)}, stdout=subprocess.DEVNULL)
