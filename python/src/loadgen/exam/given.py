"""Scores of anybody's detector, from a CSV or Parquet file, laid on the buckets of a dataset.

Columns: `run_id`, `start_time_ns` (of a bucket, as in windows_features_5s), and `score` (higher is
more anomalous), `alert` (0 or 1), or both. Other columns are not looked at.
"""

from __future__ import annotations

import datetime
import math
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from loadgen.cases import SECOND
from loadgen.errors import LoadgenError
from loadgen.exam.buckets import SECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from loadgen.exam.arrays import Flags, Floats, Integers
    from loadgen.exam.buckets import Buckets

_TYPES = {
    "run_id": pa.string(),
    "start_time_ns": pa.int64(),
    "score": pa.float64(),
    "alert": pa.float64(),
}
_LEAST_NS = 10**17
"""In 1973. A time before it is in another unit."""


def read(path: Path, buckets: Buckets, needed: Flags) -> tuple[Floats | None, Flags | None]:
    """Score and alert of each bucket, each only if the file has it. Buckets that are not in the
    file have NaN and no alert; those that are `needed` have to be there.
    """
    table = _table(path)
    rows = _rows(path, table, buckets)
    _check_missing(path, table, rows, buckets, needed)
    scores: Floats | None = None
    alerts: Flags | None = None
    if "score" in table.schema.names:
        scores = np.full(len(buckets), np.nan)
        scores[rows] = table["score"].to_numpy()
        if not np.isfinite(scores[needed]).all():
            raise LoadgenError(f"{path}: a score is missing or no finite number.")
    if "alert" in table.schema.names:
        said = table["alert"].to_numpy()
        if not np.isin(said, (0.0, 1.0)).all():
            raise LoadgenError(f"{path}: an alert is neither 0 nor 1.")
        alerts = np.zeros(len(buckets), bool)
        alerts[rows] = said == 1.0
    return scores, alerts


def _table(path: Path) -> pa.Table:
    """The known columns with their types."""
    if not path.is_file():
        raise LoadgenError(f"{path} does not exist, or is no file.")
    try:
        if path.suffix == ".parquet":
            table = pq.read_table(path)
        elif path.suffix == ".csv":
            known = pyarrow.csv.ConvertOptions(column_types={"run_id": pa.string()})
            table = pyarrow.csv.read_csv(path, convert_options=known)
        else:
            raise LoadgenError(f"{path}: scores are a .csv or a .parquet file.")
        _check_columns(path, table.schema.names)
        columns = {
            name: table[name].cast(of) for name, of in _TYPES.items() if name in table.schema.names
        }
    except (pa.ArrowException, OSError) as wrong:
        raise LoadgenError(f"{path} can't be read: {wrong}") from None
    table = pa.table(columns)
    if not table.num_rows:
        raise LoadgenError(f"{path} has no row.")
    for name in ("run_id", "start_time_ns"):
        if table[name].null_count:
            raise LoadgenError(f"{path}: {name} is missing in {table[name].null_count} rows.")
    return table


def _check_columns(path: Path, names: list[str]) -> None:
    for name in _TYPES:
        if names.count(name) > 1:
            raise LoadgenError(f"{path} has {names.count(name)} columns {name}.")
    for name in ("run_id", "start_time_ns"):
        if name not in names:
            raise LoadgenError(f"{path} has no column {name}. It has: {', '.join(names)}.")
    if "score" not in names and "alert" not in names:
        raise LoadgenError(f"{path} has neither a column score nor a column alert.")


def _rows(path: Path, table: pa.Table, buckets: Buckets) -> Integers:
    """For each row of the file its bucket."""
    runs = table["run_id"].to_pylist()
    starts = table["start_time_ns"].to_numpy()
    strange = sorted(set(runs) - set(buckets.run.tolist()))
    if strange:
        raise LoadgenError(f"{path}: the dataset has no run {strange[0]}.")
    if starts.min() < _LEAST_NS:
        raise LoadgenError(f"{path}: start_time_ns {starts.min()} is no Unix time in nanoseconds.")
    apart = math.gcd(*(int(start) for start in np.unique(starts) - starts.min()))
    if apart and apart != SECONDS * SECOND and (apart % (SECONDS * SECOND) == 0):
        raise LoadgenError(
            f"{path}: its rows are {apart / SECOND:g} s apart. Scores are for the buckets of "
            f"{SECONDS} s of windows_features_5s; longer windows are made of them here."
        )
    place = {key: row for row, key in enumerate(zip(buckets.run, buckets.start_ns, strict=True))}
    rows = np.array([place.get(key, -1) for key in zip(runs, starts, strict=True)], np.int64)
    if (rows < 0).any():
        wrong = int(np.argmax(rows < 0))
        raise LoadgenError(
            f"{path}: {int((rows < 0).sum())} rows are of no bucket of the dataset, the first at "
            f"{_when(int(starts[wrong]))} of run {runs[wrong]}. Buckets begin on whole "
            f"{SECONDS} s of Unix time, as start_time_ns in windows_features_5s."
        )
    known, times = np.unique(rows, return_counts=True)
    if (times > 1).any():
        twice = int(known[np.argmax(times > 1)])
        raise LoadgenError(
            f"{path}: {int((times > 1).sum())} buckets come more than once, the first is that at "
            f"{_when(int(buckets.start_ns[twice]))} of run {buckets.run[twice]}."
        )
    return rows


def _check_missing(
    path: Path, table: pa.Table, rows: Integers, buckets: Buckets, needed: Flags
) -> None:
    there = np.zeros(len(buckets), bool)
    there[rows] = True
    missing = needed & ~there
    if missing.any():
        first = int(np.argmax(missing))
        hint = ""
        tested = np.isin(buckets.split.astype(str), ["test", "validation"]) & buckets.evaluated
        if tested.any() and there[tested].all():
            hint = " It has those of the test split: --split test evaluates these alone."
        raise LoadgenError(
            f"{path}: {int(missing.sum())} of {int(needed.sum())} buckets that are evaluated are "
            f"missing, the first is that at {_when(int(buckets.start_ns[first]))} of run "
            f"{buckets.run[first]}.{hint}"
        )
    for name in ("score", "alert"):
        if name in table.schema.names and pc.any(pc.is_null(table[name])).as_py():
            raise LoadgenError(f"{path}: {name} is missing in some rows.")


def _when(start_ns: int) -> str:
    moment = datetime.datetime.fromtimestamp(start_ns // SECOND, datetime.timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ} ({start_ns})"
