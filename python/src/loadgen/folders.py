"""Which files in a folder are a dataset: those of a run, of an extraction, or of several runs."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loadgen.errors import NoDatasetError

if TYPE_CHECKING:
    from pathlib import Path

# Tables whose files are called otherwise than the table.
_FILE_NAMES = {"traces": "traces_labeled", "metrics": "metrics_labeled", "logs": "logs_labeled"}
_TABLE_NAMES = {file: table for table, file in _FILE_NAMES.items()}

# Every file of one extraction carries the time of the extraction.
_STAMPED = re.compile(r"(?P<name>.+)_(?P<stamp>\d{8}_\d{6})\.(?P<form>csv|parquet|json)")

# A folder holds a dataset if it has one of these.
_ESSENTIAL = {"traces", "windows", "trace_labels", "metrics", "logs"}


@dataclass(frozen=True)
class Files:
    """The files of one dataset.

    `tables` and `documents` go by the names of tables and of JSON files, without the stamp. A table
    has several files only in a dataset of several runs, one for each.
    """

    folder: Path
    stamp: str | None
    tables: dict[str, tuple[Path, ...]]
    documents: dict[str, Path]
    run: Path | None
    """The run folder, where there is one: timeline, ledger, summary."""
    run_ids: tuple[str, ...] = ()
    """Of a dataset of several runs, which ones."""

    def of_run(self, run_id: str) -> Files:
        """Only the files of one run, of a dataset of several."""
        part = f"run_id={run_id}"
        tables = {
            table: tuple(path for path in paths if path.parent.name == part)
            for table, paths in self.tables.items()
            if table != "cases"
        }
        folder = self.folder / "runs" / run_id
        return Files(
            folder=self.folder,
            stamp=None,
            tables={table: paths for table, paths in tables.items() if paths},
            documents={path.stem: path for path in sorted(folder.glob("*.json"))},
            run=folder if folder.is_dir() else None,
            run_ids=(run_id,),
        )


def table_name(file_name: str) -> str:
    """The name of a table, of that of its files without stamp."""
    return _TABLE_NAMES.get(file_name, file_name)


def find(folder: Path, stamp: str | None = None) -> Files:
    """The dataset in a folder; of several extractions the newest, or that with the stamp."""
    if not folder.exists():
        raise NoDatasetError(f"{folder} does not exist.")
    if not folder.is_dir():
        raise NoDatasetError(f"{folder} is a file. Name the folder that it is in.")
    if (folder / "tables").is_dir():
        if stamp is not None:
            raise NoDatasetError(f"{folder} is a dataset of several runs, which has no stamps.")
        return _built(folder)
    for place in (folder, folder / "dataset"):
        extractions = _extractions(place)
        if extractions:
            run = place.parent if _is_run(place.parent) else None
            return _extraction(place, extractions, stamp, run)
    raise NoDatasetError(_why_not(folder))


def _extractions(folder: Path) -> dict[str, list[tuple[str, str, Path]]]:
    """The stamped files of a folder, by stamp; only of stamps with an essential table."""
    found: dict[str, list[tuple[str, str, Path]]] = defaultdict(list)
    if not folder.is_dir():
        return found
    for path in sorted(folder.iterdir()):
        match = _STAMPED.fullmatch(path.name)
        if match and path.is_file():
            found[match["stamp"]].append((table_name(match["name"]), match["form"], path))
    return {
        stamp: files
        for stamp, files in found.items()
        if any(name in _ESSENTIAL and form != "json" for name, form, _ in files)
    }


def _extraction(
    folder: Path,
    extractions: dict[str, list[tuple[str, str, Path]]],
    stamp: str | None,
    run: Path | None,
) -> Files:
    """One of the extractions in a folder."""
    if stamp is None:
        stamp = max(extractions)
    elif stamp not in extractions:
        have = ", ".join(sorted(extractions))
        raise NoDatasetError(f"{folder} has no extraction {stamp}. It has: {have}.")
    tables: dict[str, tuple[Path, ...]] = {}
    documents: dict[str, Path] = {}
    for name, form, path in extractions[stamp]:
        if form == "json":
            documents[name] = path
        elif form == "parquet" or name not in tables:
            tables[name] = (path,)
    return Files(folder, stamp, tables, documents, run)


def _built(folder: Path) -> Files:
    """A dataset of several runs: `tables/<table>/run_id=<run>/part.parquet`. Its spans of a class
    are a table `traces_<type>`, as in an extraction.
    """
    tables = {
        prefix + table_name(place.name): tuple(sorted(place.glob("run_id=*/*.parquet")))
        for prefix, parent in (("", "tables"), ("traces_", "classes"))
        for place in sorted(folder.glob(f"{parent}/*/"))
    }
    tables = {table: paths for table, paths in tables.items() if paths}
    if not tables:
        raise NoDatasetError(f"{folder / 'tables'} has no table: no */run_id=*/*.parquet.")
    parts = {path.parent.name for paths in tables.values() for path in paths}
    if (folder / "cases.parquet").is_file():
        tables["cases"] = (folder / "cases.parquet",)
    return Files(
        folder=folder,
        stamp=None,
        tables=tables,
        documents={path.stem: path for path in sorted(folder.glob("*.json"))},
        run=None,
        run_ids=tuple(sorted(part.removeprefix("run_id=") for part in parts)),
    )


def _is_run(folder: Path) -> bool:
    return (folder / "timeline.jsonl").is_file()


def _why_not(folder: Path) -> str:
    """Why a folder has no dataset, and what to do."""
    inside = sorted(
        place.name
        for place in folder.iterdir()
        if place.is_dir()
        and ((place / "tables").is_dir() or _extractions(place) or _extractions(place / "dataset"))
    )
    if inside:
        names = ", ".join(inside[:5]) + (", …" if len(inside) > 5 else "")
        return f"{folder} has several datasets inside ({names}). Name one of them."
    if _is_run(folder):
        return (
            f"{folder} is a run that has no dataset yet. Make one: "
            f"loadgen extract {folder / 'telemetry'} --timeline {folder / 'timeline.jsonl'} "
            f"--out {folder / 'dataset'}"
        )
    return (
        f"{folder} has no dataset. That is a folder of a run, the output folder of "
        "`loadgen extract`, or that of `loadgen dataset build`."
    )
