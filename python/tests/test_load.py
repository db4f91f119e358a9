from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import loadgen

if TYPE_CHECKING:
    from pathlib import Path

TABLES = {
    "traces",
    "metrics",
    "logs",
    "trace_labels",
    "windows",
    "windows_features_1s",
    "windows_features_5s",
    "trace_features",
    "graph_edges",
    "graph_nodes",
    "metrics_wide",
}


def test_tables_are_attributes_and_items(extraction: Path) -> None:
    ds = loadgen.load(extraction)
    assert set(ds) >= TABLES | {"traces_normal", "traces_anomalous"}
    assert ds.traces is ds["traces"]
    assert ds["traces_labeled"] is ds.traces
    assert all(getattr(ds, table) is ds[table] for table in TABLES)
    assert "traces_labeled" in ds
    assert len(ds) == len(list(ds))


def test_pandas_has_the_documented_types(extraction: Path) -> None:
    ds = loadgen.load(extraction)
    expected = {
        "timestamp (ns, UTC)": "datetime64[ns, UTC]",
        "int64": "Int64",
        "int32": "Int32",
        "double": "float64",
        "boolean": "boolean",
        "string": "string",
        "string (JSON)": "string",
        "list of strings, Parquet only": "list<element: string>[pyarrow]",
    }
    for table in TABLES:
        frame = ds[table]
        columns = ds.columns(table)
        assert list(frame.columns) == [column["name"] for column in columns]
        for column in columns:
            dtype = str(frame.dtypes[str(column["name"])]).replace("item:", "element:")
            assert dtype == expected[str(column["type"])], (table, column)


def test_nanoseconds_stay_whole_where_some_are_missing(extraction: Path) -> None:
    traces = loadgen.load(extraction).traces
    assert traces.end_time_ns.isna().any()
    assert 1_770_000_009_999_999_999 in set(traces.start_time_ns.dropna())
    assert (traces.timestamp.astype("int64") == traces.start_time_ns.astype("int64")).all()


def test_nothing_is_null_that_is_never_null(extraction: Path, csv_only: Path) -> None:
    for folder in (extraction, csv_only):
        ds = loadgen.load(folder)
        for table in TABLES:
            for column in ds.columns(table):
                if column["null"] == "never" and column["name"] in ds[table]:
                    assert not ds[table][column["name"]].isna().any(), (table, column)


def test_csv_gives_what_parquet_gives(extraction: Path, csv_only: Path) -> None:
    parquet, csv = loadgen.load(extraction), loadgen.load(csv_only)
    # Which has an apostrophe before it in CSV.
    assert parquet["windows"].anomaly_msg.str.startswith("=").any()
    for table in TABLES:
        frame = csv[table]
        names = [str(column["name"]) for column in csv.columns(table)]
        lists = [name for name in names if name not in frame]
        assert all(str(parquet[table].dtypes[name]).startswith("list") for name in lists)
        pd.testing.assert_frame_equal(frame, parquet[table].drop(columns=lists))


def test_files_of_classes_are_tables_too(extraction: Path) -> None:
    ds = loadgen.load(extraction)
    normal = ds["traces_normal"]
    assert set(normal.anomaly_label) == {"normal"}
    assert normal.dtypes["start_time_ns"] == pd.Int64Dtype()
    wanted = ds.traces.query("anomaly_label == 'normal' and phase == 'steady'")
    wanted = wanted[wanted.verdict.isin(["supported", "weak", "clean"]) & ~wanted.late]
    assert list(normal.span_id) == list(wanted.span_id)


def test_polars_and_arrow_give_the_same(extraction: Path) -> None:
    arrow, polars = loadgen.load(extraction, "arrow"), loadgen.load(extraction, "polars")
    for table in TABLES:
        assert isinstance(arrow[table], pa.Table)
        assert isinstance(polars[table], pl.DataFrame)
        # Unlike Arrow's own comparison, this one takes NaN for equal to NaN.
        assert polars[table].equals(pl.from_arrow(arrow[table]))  # type: ignore[arg-type]
    assert polars.traces.schema["timestamp"] == pl.Datetime("ns", "UTC")
    assert polars.traces.schema["start_time_ns"] == pl.Int64
    assert polars.traces.schema["anomaly_types"] == pl.List(pl.String)


def test_some_columns_and_rows(extraction: Path, csv_only: Path) -> None:
    for folder in (extraction, csv_only):
        ds = loadgen.load(folder)
        where = pc.field("anomaly_label") == "normal"
        some = ds.read("traces", ["span_id", "duration_ms"], where)
        assert list(some.columns) == ["span_id", "duration_ms"]
        assert len(some) == (ds.traces.anomaly_label == "normal").sum()
        with pytest.raises(loadgen.NoTableError, match="no column nonsense"):
            ds.read("traces", ["nonsense"])


def test_documents(extraction: Path) -> None:
    ds = loadgen.load(extraction)
    assert ds.evidence["run_id"] == "0" * 31 + "1"
    assert ds.run_ids == ("0" * 31 + "1",)
    assert ds.audit
    assert ds.causal_graph
    assert "windows" in ds.describe()
    assert ds.stamp is not None
    assert ds.stamp in ds.describe()


def test_what_is_missing_is_said(extraction: Path, tmp_path: Path) -> None:
    ds = loadgen.load(extraction)
    with pytest.raises(loadgen.NoTableError, match=r"no table 'nonsense'\. It has: graph_edges, "):
        ds["nonsense"]
    assert "nonsense" not in ds
    assert ds.get("nonsense") is None
    with pytest.raises(loadgen.NoDatasetError, match="does not exist"):
        loadgen.load(tmp_path / "nowhere")
    with pytest.raises(loadgen.NoDatasetError, match="has no dataset"):
        loadgen.load(tmp_path)
    with pytest.raises(loadgen.NoDatasetError, match="is a file"):
        loadgen.load(next(extraction.glob("windows_*.csv")))
    (tmp_path / "timeline.jsonl").touch()
    with pytest.raises(loadgen.NoDatasetError, match="loadgen extract"):
        loadgen.load(tmp_path)
    with pytest.raises(loadgen.LoadgenError, match="no format 'excel'"):
        loadgen.load(extraction, "excel")  # type: ignore[call-overload]


def test_of_several_extractions_the_newest_or_the_one_named(
    extraction: Path, tmp_path: Path
) -> None:
    stamp = loadgen.load(extraction).stamp
    assert stamp is not None
    for path in extraction.iterdir():
        shutil.copy(path, tmp_path)
        shutil.copy(path, tmp_path / path.name.replace(stamp, "20010101_000000"))
    assert loadgen.load(tmp_path).stamp == stamp
    assert loadgen.load(tmp_path, stamp="20010101_000000").stamp == "20010101_000000"
    with pytest.raises(loadgen.NoDatasetError, match="It has: 20010101_000000, "):
        loadgen.load(tmp_path, stamp="20020202_000000")


def test_a_folder_of_several_datasets_is_no_dataset(extraction: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(extraction, tmp_path / name / "dataset")
    with pytest.raises(loadgen.NoDatasetError, match=r"several datasets inside \(one, two\)"):
        loadgen.load(tmp_path)
    assert set(loadgen.load(tmp_path / "one")) >= TABLES


def test_a_run_folder(run: Path) -> None:
    ds = loadgen.load(run)
    assert set(ds) >= TABLES
    assert set(ds.traces.anomaly_label) >= {"normal", "anomalous"}
    assert list(ds.windows.window) == list(range(9))


def test_a_dataset_of_several_runs(built: Path, run: Path) -> None:
    ds, own = loadgen.load(built), loadgen.load(run)
    assert ds.run_ids == own.run_ids
    # Of classes only those that have rows; the anomalous ones by type alone.
    left_out = {name for name in own if not len(own[name])} | {"traces_anomalous"}
    assert set(ds) >= set(own) - left_out | {"cases"}
    assert set(ds.traces.run_id) == set(ds.run_ids)
    for table in ("traces", "windows", "traces_normal"):
        assert len(ds[table]) == len(own[table])
        assert ds[table][own[table].columns].dtypes.equals(own[table].dtypes)
    one = ds.run(ds.run_ids[0])
    assert len(one.traces) == len(own.traces)
    assert one.evidence == own.evidence
    with pytest.raises(loadgen.NoTableError, match=r"has no evidence\. It is of several runs"):
        ds.evidence  # noqa: B018
    with pytest.raises(loadgen.NoTableError, match="has no run 0"):
        ds.run("0")
