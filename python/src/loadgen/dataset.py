"""A dataset in a folder: its tables as frames, its documents as dicts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from loadgen import folders, frames, tables
from loadgen.errors import LoadgenError, NoTableError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    import pandas as pd
    import polars as pl
    import pyarrow as pa
    import pyarrow.compute as pc

Frame = TypeVar("Frame")
Format = Literal["pandas", "polars", "arrow"]


@overload
def load(
    folder: str | os.PathLike[str],
    format: Literal["pandas"] = "pandas",
    *,
    stamp: str | None = None,
) -> Dataset[pd.DataFrame]: ...
@overload
def load(
    folder: str | os.PathLike[str], format: Literal["polars"], *, stamp: str | None = None
) -> Dataset[pl.DataFrame]: ...
@overload
def load(
    folder: str | os.PathLike[str], format: Literal["arrow"], *, stamp: str | None = None
) -> Dataset[pa.Table]: ...
def load(
    folder: str | os.PathLike[str], format: Format = "pandas", *, stamp: str | None = None
) -> Dataset[Any]:  # of what, the overloads say
    """The dataset in a folder of a run, of an extraction, or of several runs.

    Nothing is read before it is asked for. Where a folder has several extractions it is the newest
    one, or that with the `stamp` (`YYYYMMDD_HHMMSS`).

    >>> ds = loadgen.load("runs/quick-20260202T024000Z")
    >>> ds.traces.query("phase == 'steady'").groupby("anomaly_type").duration_ms.median()
    """
    as_frame: dict[str, Callable[[pa.Table], Any]] = {
        "pandas": frames.to_pandas,
        "polars": frames.to_polars,
        "arrow": lambda table: table,
    }
    if format not in as_frame:
        raise LoadgenError(f"There is no format {format!r}: pandas, polars or arrow.")
    return Dataset(folders.find(Path(folder), stamp), as_frame[format])


class Dataset(Mapping[str, Frame], Generic[Frame]):
    """Tables by name, as attributes or as a mapping; each is read once, when it is asked for.

    Which columns a table has, their units and what a missing value means: `columns(table)`, or
    docs/dataset-format.md.
    """

    def __init__(self, files: folders.Files, as_frame: Callable[[pa.Table], Frame]) -> None:
        self._files = files
        self._as_frame = as_frame
        self._read: dict[str, Frame] = {}

    # The mapping.

    def __getitem__(self, table: str) -> Frame:
        """A whole table."""
        table = folders.table_name(table)
        if table not in self._read:
            self._read[table] = self._as_frame(tables.read(self._files, table))
        return self._read[table]

    def __iter__(self) -> Iterator[str]:
        """Names of the tables."""
        return iter(sorted(self._files.tables))

    def __len__(self) -> int:
        return len(self._files.tables)

    def __contains__(self, table: object) -> bool:
        # That of Mapping would read the table.
        return isinstance(table, str) and folders.table_name(table) in self._files.tables

    def __repr__(self) -> str:
        return f"<loadgen dataset {self._files.folder}: {', '.join(self)}>"

    # The tables.

    @property
    def traces(self) -> Frame:
        """Every span (`traces_labeled`)."""
        return self["traces"]

    @property
    def metrics(self) -> Frame:
        """Every data point (`metrics_labeled`)."""
        return self["metrics"]

    @property
    def logs(self) -> Frame:
        """Every log record (`logs_labeled`)."""
        return self["logs"]

    @property
    def trace_labels(self) -> Frame:
        """Every trace, with its label."""
        return self["trace_labels"]

    @property
    def windows(self) -> Frame:
        """Every window of the timeline, with its fault and its verdict."""
        return self["windows"]

    @property
    def windows_features_1s(self) -> Frame:
        """What each service did in each second."""
        return self["windows_features_1s"]

    @property
    def windows_features_5s(self) -> Frame:
        """What each service did in each five seconds."""
        return self["windows_features_5s"]

    @property
    def trace_features(self) -> Frame:
        """Shape, time and critical path of every trace."""
        return self["trace_features"]

    @property
    def graph_edges(self) -> Frame:
        """Who called whom in each window."""
        return self["graph_edges"]

    @property
    def graph_nodes(self) -> Frame:
        """The services of each window."""
        return self["graph_nodes"]

    @property
    def requests(self) -> Frame:
        """What was asked of the target, by the ledgers: only in a dataset of several runs."""
        return self["requests"]

    @property
    def metrics_wide(self) -> Frame:
        """A column for each series, a row for each second."""
        return self["metrics_wide"]

    def read(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        where: pc.Expression | None = None,
    ) -> Frame:
        """Some columns and rows of a table, without reading the rest.

        `where` is an expression of `pyarrow.compute`, such as
        `pc.field("service_name") == "catalogue"`.
        """
        return self._as_frame(self.arrow(table, columns, where))

    def arrow(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        where: pc.Expression | None = None,
    ) -> pa.Table:
        """The same as an Arrow table, whichever format the dataset was loaded with."""
        return tables.read(self._files, table, columns, where)

    def columns(self, table: str) -> list[dict[str, str | None]]:
        """Of each column of a table `name`, `type`, `unit`, `meaning` and `null` (when a value is
        missing).
        """
        table = folders.table_name(table)
        known = tables.columns_of(tables.dictionary(self._files), table)
        if table not in self._files.tables or not known:
            raise NoTableError(f"Nothing is written about columns of a table {table!r}.")
        return known

    # The documents.

    @property
    def evidence(self) -> dict[str, Any]:
        """What was compared for each window, and the verdict (docs/evidence.md)."""
        return self._document("evidence")

    @property
    def audit(self) -> dict[str, Any]:
        """Whether the dataset can be trusted, and all that was counted (docs/audit.md)."""
        return self._document("audit")

    @property
    def causal_graph(self) -> dict[str, Any]:
        """Of each anomaly which services it reached, when, and along which calls."""
        return self._document("causal_graph")

    @property
    def splits(self) -> dict[str, Any]:
        """Of a dataset of several runs: ids of episodes to train, validate and test with
        (docs/dataset-build.md).
        """
        return self._document("splits")

    def _document(self, name: str) -> dict[str, Any]:
        path = self._files.documents.get(name)
        if path is None:
            where = f"{self.folder} has no {name}."
            if self._files.run is None and self._files.run_ids:
                where += " It is of several runs, each of which has its own: ds.run(run_id)."
            raise NoTableError(where)
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return document

    # The folder.

    @property
    def folder(self) -> Path:
        """Where the tables are."""
        return self._files.folder

    @property
    def stamp(self) -> str | None:
        """Of which extraction it is; nothing in a dataset of several runs."""
        return self._files.stamp

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The runs that it is of."""
        if self._files.run_ids:
            return self._files.run_ids
        run_id = self.evidence.get("run_id") if "evidence" in self._files.documents else None
        return (run_id,) if run_id else ()

    def run(self, run_id: str) -> Dataset[Frame]:
        """Of a dataset of several runs, that of one."""
        if run_id not in self.run_ids:
            raise NoTableError(f"{self.folder} has no run {run_id}. It has: {self.run_ids}.")
        if not self._files.run_ids:
            return self
        return Dataset(self._files.of_run(run_id), self._as_frame)

    def describe(self) -> str:
        """What is in it, for people: rows of each table, and what became of each window; of several
        runs how many windows there are of each kind.
        """
        lines = [str(self.folder) + (f", extraction {self.stamp}" if self.stamp else "")]
        lines += [f"  {table:<28} {tables.rows(self._files, table):>12,} rows" for table in self]
        if "windows" in self:
            names = ["anomaly_type", "root_cause_service", "fault_state", "verdict"]
            if len(self.run_ids) > 1:
                lines[0] += f", {len(self.run_ids)} runs"
                found = self.arrow("windows", names).group_by(names).aggregate([([], "count_all")])
                found = found.rename_columns([*names, "windows"]).sort_by("anomaly_type")
            else:
                found = self.arrow("windows", ["scenario", *names])
            lines += ["", *_table(found)]
        return "\n".join(lines)


def _table(found: pa.Table) -> list[str]:
    """Rows as lines of text below the names of the columns."""
    names = found.schema.names
    rows = [names] + [
        ["-" if row[name] is None else str(row[name]) for name in names]
        for row in found.to_pylist()
    ]
    widths = [max(len(row[place]) for row in rows) for place in range(len(names))]
    return [
        (
            "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
