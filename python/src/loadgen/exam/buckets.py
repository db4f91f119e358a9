"""A dataset as arrays: a row for each bucket of a run, a column for each thing a detector may see.

What a detector may see are counts, errors, latencies, load of processors and queues, and log
records of each service. Labels, ids, names of scenarios and times are kept apart. The generator is
no part of the system, so its own spans are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loadgen.cases import GENERATOR, SECOND
from loadgen.errors import LoadgenError, NoTableError

if TYPE_CHECKING:
    from loadgen.dataset import Dataset
    from loadgen.exam.arrays import Flags, Floats, Integers, Names


SECONDS = 5
"""Length of a bucket."""

KINDS = ("server", "client", "internal", "producer", "consumer")
COUNTS = (
    *(f"{kind}_{what}" for kind in KINDS for what in ("count", "errors")),
    *(f"log_{of}" for of in ("trace", "debug", "info", "warn", "error", "fatal", "unspecified")),
    "new_log_templates",
)
LEVELS = (
    *(f"{kind}_p{rank}_ms" for kind in KINDS for rank in (50, 95, 99)),
    "in_flight",
    "cpu",
    "saturation",
    "queue",
)
_LABELS = (
    "anomaly_type",
    "anomaly_label",
    "root_cause_service",
    "phase",
    "fault_state",
    "scenario",
)
_OF_BUCKETS = ("run_id", "start_time_ns", "end_time_ns", "service_name")
_OF_CASES = (
    "run_id",
    "episode_id",
    "window",
    "scenario",
    "anomaly_type",
    "sham_of",
    "root_cause_service",
    "fault_service",
    "standing",
    "opened_ns",
    "closed_ns",
    "fault_injected_ns",
    "fault_clear_requested_ns",
)
"""Columns without which nothing can be evaluated."""


@dataclass(frozen=True)
class Buckets:
    """Buckets in the order of run and time. All arrays have as many rows."""

    run: Names
    start_ns: Integers
    values: Floats
    """By feature; NaN where the dataset has null."""
    anomaly_type: Names
    anomalous: Flags
    evaluated: Flags
    """Settled, with a known label, and no warm-up: what a detector is evaluated by."""
    fault_state: Names
    root_cause_service: Names
    episode: Names
    fold: Integers
    """−1 where the bucket has no episode."""
    split: Names
    """`train`, `validation`, `test`, or empty text."""
    features: tuple[str, ...]
    """`<service>.<column>`, in the order of the columns of `values`."""

    def __len__(self) -> int:
        return len(self.start_ns)

    def take(self, rows: Flags | Integers) -> Buckets:
        """Some of the rows."""
        arrays = {
            field.name: getattr(self, field.name)[rows]
            for field in fields(self)
            if field.name != "features"
        }
        return replace(self, **arrays)

    @property
    def end_ns(self) -> Integers:
        """When each bucket is over."""
        return self.start_ns + SECONDS * SECOND


@dataclass(frozen=True)
class Injection:
    """A window that injects a fault, or pretends to. Integers are Unix ns."""

    run: str
    episode: str
    scenario: str
    anomaly_type: str
    """For a sham the type that it pretends."""
    service: str
    standing: str
    """How its window counts, see docs/dataset-build.md: `backed`, `sham`, …"""
    begin_ns: int
    """When the fault was confirmed, or where it never was, when the window opened."""
    end_ns: int
    """When its clearing was asked for, or where it never was, when the window closed."""

    @property
    def anomalous(self) -> bool:
        """Whether its time is labelled as an anomaly."""
        return self.standing in ("backed", "unsupported", "weak_intensity")


def injections_of(dataset: Dataset[Any]) -> list[Injection]:
    """The windows with a fault, a sham or a harmless change, in the order of run and time."""
    found = []
    rows = _cases(dataset)
    for row in sorted(rows, key=lambda row: (row["run_id"], row["opened_ns"], row["window"])):
        if row["standing"] in ("normal", "warm_up"):
            continue
        found.append(
            Injection(
                run=row["run_id"],
                episode=row["episode_id"],
                scenario=row["scenario"],
                anomaly_type=row["sham_of"] or row["anomaly_type"],
                service=row["root_cause_service"] or row["fault_service"] or "",
                standing=row["standing"],
                begin_ns=row["fault_injected_ns"] or row["opened_ns"],
                end_ns=row["fault_clear_requested_ns"] or row["closed_ns"],
            )
        )
    return found


def buckets_of(dataset: Dataset[Any]) -> Buckets:
    """The buckets of a dataset of `loadgen dataset build`."""
    warm_up = {
        (row["run_id"], row["scenario"]) for row in _cases(dataset) if row["standing"] == "warm_up"
    }
    table = dataset.arrow("windows_features_5s")
    _check_columns(dataset, table, "windows_features_5s", _OF_BUCKETS)
    if not table.num_rows:
        raise LoadgenError(f"{dataset.folder} has no bucket: its windows_features_5s has no row.")
    seconds = pc.unique(pc.subtract(table["end_time_ns"], table["start_time_ns"])).to_pylist()
    if seconds != [SECONDS * SECOND]:
        raise LoadgenError(f"The buckets of {dataset.folder} are not all of {SECONDS} s.")
    table = table.filter(pc.field("service_name") != GENERATOR)
    runs, starts, row_of = _places(table)
    first = np.full(len(runs), -1)
    first[row_of[::-1]] = np.arange(len(row_of))[::-1]
    labels = {name: texts(table, name)[first] for name in (*_LABELS, "episode_id", "split")}
    features, values = _pivot(table, row_of, len(runs))
    known = np.isin(labels["anomaly_label"].astype(str), ["normal", "anomalous"])
    warming = np.array(
        [
            any((run, part) in warm_up for part in scenario.split("+"))
            for run, scenario in zip(runs, labels["scenario"], strict=True)
        ],
        bool,
    )
    within = labels["scenario"] != ""
    return Buckets(
        run=runs,
        start_ns=starts,
        values=values,
        anomaly_type=labels["anomaly_type"],
        anomalous=labels["anomaly_label"] == "anomalous",
        evaluated=known & within & ~warming & (labels["phase"] == "steady"),
        fault_state=labels["fault_state"],
        root_cause_service=labels["root_cause_service"],
        episode=labels["episode_id"],
        fold=_folds(table, first),
        split=labels["split"],
        features=features,
    )


def _cases(dataset: Dataset[Any]) -> list[dict[str, Any]]:
    if "cases" not in dataset:
        raise NoTableError(
            f"{dataset.folder} has no index of cases. Make one dataset of your runs: "
            "loadgen dataset build RUN… --out DATASET"
        )
    table = dataset.arrow("cases")
    _check_columns(dataset, table, "cases", _OF_CASES)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _check_columns(
    dataset: Dataset[Any], table: pa.Table, name: str, needed: tuple[str, ...]
) -> None:
    missing = [column for column in needed if column not in table.schema.names]
    if missing:
        raise NoTableError(
            f"Table {name!r} of {dataset.folder} has no column {', '.join(missing)}. "
            "Make the dataset again with loadgen dataset build."
        )


def _places(table: pa.Table) -> tuple[Names, Integers, Integers]:
    """Run and start of each bucket, in order, and for each row of the table its bucket."""
    runs = texts(table, "run_id")
    starts = table["start_time_ns"].to_numpy()
    names, run_number = np.unique(runs.astype(str), return_inverse=True)
    keys = np.stack([run_number, starts], axis=1)
    unique, row_of = np.unique(keys, axis=0, return_inverse=True)
    return (
        names.astype(object)[unique[:, 0]],
        unique[:, 1].astype(np.int64),
        row_of.reshape(-1).astype(np.int64),
    )


def _pivot(table: pa.Table, row_of: Integers, rows: int) -> tuple[tuple[str, ...], Floats]:
    """A column for each service and thing that is seen of it, but for those without any value."""
    services = texts(table, "service_name")
    columns: dict[str, Floats] = {}
    for name in (*COUNTS, *LEVELS):
        if name not in table.schema.names:
            continue
        values = table[name].cast(pa.float64()).to_numpy()
        for service in sorted(set(services.tolist())):
            of = services == service
            # A service that a run does not have did nothing in it.
            column = np.full(rows, 0.0 if name in COUNTS else np.nan)
            column[row_of[of]] = values[of]
            if np.nanmax(np.abs(column), initial=0.0) > 0:
                columns[f"{service}.{name}"] = column
    features = tuple(sorted(columns))
    if not features:
        raise LoadgenError("Nothing that a detector could see has a value in windows_features_5s.")
    return features, np.stack([columns[name] for name in features], axis=1)


def _folds(table: pa.Table, first: Integers) -> Integers:
    if "fold" not in table.schema.names:
        return np.full(len(first), -1)
    folds: Integers = pc.fill_null(table["fold"].cast(pa.int64()), -1).to_numpy()
    return folds[first]


def texts(table: pa.Table, name: str) -> Names:
    """A column of text; empty where it is null or not there."""
    if name not in table.schema.names:
        return np.full(table.num_rows, "", dtype=object)
    # Of a dictionary its values; where all are null it has no type.
    column = pc.fill_null(table[name].cast(pa.string()), "")
    found: Names = column.to_numpy(zero_copy_only=False).astype(object)
    return found
