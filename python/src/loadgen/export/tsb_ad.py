"""Time series as TSB-AD reads them: a CSV file each, with the end of training in its name."""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loadgen.errors import NoCasesError
from loadgen.export.result import Exported, whole

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pyarrow as pa

    from loadgen.dataset import Dataset

# What a series of one value is made of, where a service has it.
_SIGNALS = (
    "server_p95_ms",
    "server_count",
    "server_errors",
    "consumer_p95_ms",
    "client_p95_ms",
    "cpu",
)
_DOMAIN = "WebService"


@dataclass(frozen=True)
class _Series:
    """Columns of numbers of one service, and whether each moment is anomalous."""

    run_id: str
    service: str
    signal: str
    """`all` of a series with many columns."""
    columns: dict[str, list[float]]
    labels: list[int]

    @property
    def kind(self) -> str:
        """TSB-AD's: univariate or multivariate."""
        return "M" if self.signal == "all" else "U"

    def file_name(self, number: int, name: str) -> str:
        # Where training ends is read from the third last part of the name: all before the first
        # anomalous row.
        first = self.labels.index(1)
        return f"{number:03}_{name}_id_{number}_{_DOMAIN}_tr_{first}_1st_{first}.csv"


def export(
    dataset: Dataset[Any], out: Path, *, name: str = "loadgen", table: str = "windows_features_1s"
) -> Exported:
    """Writes `TSB-AD-U/`, a series for each signal of a service, `TSB-AD-M/`, one for each service,
    and the lists of their files.

    A moment is anomalous where a fault that reached the service is in force. Moments of which it is
    not known are left out.
    """
    series: list[_Series] = []
    skipped: list[str] = []
    for run_id in dataset.run_ids or ("",):
        run = dataset.run(run_id) if run_id else dataset
        for service, rows in _by_service(run.arrow(table)):
            labels = [int(_anomalous(row)) for row in rows]
            if 1 not in labels:
                skipped.append(f"{service} is left out: no fault reached it")
            elif labels[0] == 1:
                skipped.append(f"{service} is left out: nothing normal is before its first anomaly")
            else:
                columns = _columns(rows)
                series.append(_Series(run_id, service, "all", columns, labels))
                for signal in _SIGNALS:
                    if signal in columns:
                        data = {"Data": columns[signal]}
                        series.append(_Series(run_id, service, signal, data, labels))
    if not series:
        raise NoCasesError("TSB-AD has no series:\n  " + "\n  ".join(skipped))
    names: list[str] = []
    with whole(out) as folder:
        for kind in ("U", "M"):
            names += _write(folder, kind, name, [one for one in series if one.kind == kind])
    return Exported(out, tuple(names), notes=tuple(skipped))


def _by_service(features: pa.Table) -> Iterable[tuple[str, list[dict[str, Any]]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in features.sort_by("start_time_ns").to_pylist():
        if row["anomaly_label"] != "unknown":
            found[row["service_name"]].append(row)
    return sorted(found.items())


def _anomalous(row: dict[str, Any]) -> bool:
    """Whether a fault is in force that reached the service: as the evidence found, or else because
    it is in this service.
    """
    if row["anomaly_label"] != "anomalous":
        return False
    affected = row["service_affected"]
    return bool(row["is_root_cause_service"] if affected is None else affected)


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[float]]:
    """The columns that are numbers and not always the same. Where nothing was measured stands 0,
    since its reader drops rows with gaps.
    """
    first = rows[0]
    no_signals = {"start_time_ns", "end_time_ns", "fold"}
    found: dict[str, list[float]] = {}
    for column in first:
        values = [row[column] for row in rows]
        numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
        if column in no_signals or not numbers or len(numbers) < sum(v is not None for v in values):
            continue
        filled = [float(value) if value is not None else 0.0 for value in values]
        if len(set(filled)) > 1:
            found[column] = filled
    return found


def _write(folder: Path, kind: str, name: str, series: list[_Series]) -> list[str]:
    """The files of one kind, and their list; gives what was written, for people."""
    place = folder / f"TSB-AD-{kind}"
    place.mkdir()
    lists = folder / "File_List"
    lists.mkdir(exist_ok=True)
    written: list[str] = []
    with (lists / f"TSB-AD-{kind}-Eva.csv").open("w", newline="", encoding="utf-8") as file:
        index = csv.writer(file, lineterminator="\n")
        index.writerow(["file_name", "run_id", "service", "signal", "rows", "anomalous_rows"])
        for number, one in enumerate(series, start=1):
            file_name = one.file_name(number, name)
            _write_csv(place / file_name, one)
            counts = [len(one.labels), sum(one.labels)]
            index.writerow([file_name, one.run_id, one.service, one.signal, *counts])
            written.append(f"{file_name} ({one.service} {one.signal})")
    return written


def _write_csv(path: Path, series: _Series) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*series.columns, "Label"])
        writer.writerows(zip(*series.columns.values(), series.labels, strict=True))
