"""Tables as Arrow: from Parquet as they are, from CSV with the types that they have in Parquet."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.dataset

from loadgen.errors import LoadgenError, NoTableError
from loadgen.folders import table_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from loadgen.folders import Files

# The words for types in the dictionary of columns, and what they are in Arrow.
_TYPES = {
    "timestamp (ns, UTC)": pa.timestamp("ns", tz="UTC"),
    "int64": pa.int64(),
    "int32": pa.int32(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
    "string (JSON)": pa.string(),
}

_SINCE_FEATURES = {
    "windows_features_1s",
    "windows_features_5s",
    "trace_features",
    "graph_edges",
    "graph_nodes",
    "metrics_wide",
}

Dictionary = dict[str, list[dict[str, str | None]]]


def dictionary(files: Files) -> Dictionary:
    """Table → its columns, each with `name`, `type`, `unit`, `meaning`, `null`."""
    path = files.documents.get("columns")
    if path is None:
        raise NoTableError(
            f"{files.folder} has no columns_<stamp>.json, which says what type each column has. "
            "Extract the run again: loadgen writes it since datasets have tables over time."
        )
    by_file_name: Dictionary = json.loads(path.read_text(encoding="utf-8"))["tables"]
    return {table_name(file_name): columns for file_name, columns in by_file_name.items()}


def columns_of(known: Dictionary, table: str) -> list[dict[str, str | None]]:
    """What is known of a table's columns. Files of classes have those of the spans."""
    return known.get(table) or known.get("traces" if table.startswith("traces_") else "", [])


def rows(files: Files, table: str) -> int:
    """How many rows a table has."""
    paths = _paths(files, table)
    if paths[0].suffix == ".csv":
        return int(_read_csv(paths[0], table, dictionary(files), None).num_rows)
    return int(_parquet(paths).count_rows())


def read(
    files: Files,
    table: str,
    columns: Sequence[str] | None = None,
    where: pc.Expression | None = None,
) -> pa.Table:
    """A table, or of it the columns and the rows that are asked for (`where`: an expression of
    `pyarrow.compute`). Rows are in the order of the files.
    """
    paths = _paths(files, table)
    if paths[0].suffix == ".csv":
        # All columns that `where` may speak of.
        found = _read_csv(paths[0], table, dictionary(files), columns if where is None else None)
        if where is not None:
            found = found.filter(where)
        return found if columns is None else _select(found, columns, table)
    source = _parquet(paths)
    if columns is not None:
        _check(source.schema.names, columns, table)
        columns = list(columns)
    return source.to_table(columns=columns, filter=where).replace_schema_metadata(None)


def _paths(files: Files, table: str) -> tuple[Path, ...]:
    paths = files.tables.get(table_name(table))
    if paths is None:
        have = ", ".join(sorted(files.tables))
        why = f"The dataset in {files.folder} has no table {table!r}. It has: {have}."
        if table in _SINCE_FEATURES:
            why += " Older versions of loadgen do not write it: extract the run again."
        raise NoTableError(why)
    return paths


def _parquet(paths: Sequence[Path]) -> pyarrow.dataset.Dataset:
    # Not as a partitioned folder: the run's id is a column of the files as well. Not all runs have
    # the same columns of a wide table.
    parts = [_part(path) for path in paths]
    if len(parts) == 1:
        return parts[0]
    unified = pa.unify_schemas([part.schema.remove_metadata() for part in parts])
    return pyarrow.dataset.dataset([str(path) for path in paths], schema=unified, format="parquet")


def _part(path: Path) -> pyarrow.dataset.Dataset:
    try:
        return pyarrow.dataset.dataset(str(path), format="parquet")
    except (pa.ArrowException, OSError) as wrong:
        raise LoadgenError(f"{path} can't be read: {wrong}") from None


def _check(have: Sequence[str], wanted: Sequence[str], table: str) -> None:
    missing = [name for name in wanted if name not in have]
    if missing:
        raise NoTableError(f"Table {table!r} has no column {', '.join(missing)}.")


def _select(found: pa.Table, columns: Sequence[str], table: str) -> pa.Table:
    _check(found.schema.names, columns, table)
    return found.select(list(columns))


def _read_csv(path: Path, table: str, known: Dictionary, columns: Sequence[str] | None) -> pa.Table:
    """A CSV file with the types of its columns. Those that are not known are text."""
    of_table = columns_of(known, table)
    types = {str(of["name"]): _TYPES.get(of["type"] or "", pa.string()) for of in of_table}
    found = pyarrow.csv.read_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(block_size=1 << 26),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=types, null_values=[""], strings_can_be_null=True
        ),
    )
    never_null = {column["name"] for column in of_table if column["null"] == "never"}
    arrays = []
    for name, array in zip(found.schema.names, found.columns, strict=True):
        arrays.append(_text(array, name in never_null) if pa.types.is_string(array.type) else array)
    found = pa.table(arrays, names=found.schema.names)
    return found if columns is None else _select(found, columns, table)


def _text(array: pa.ChunkedArray, never_null: bool) -> pa.ChunkedArray:
    """Text as it was before it went into a cell: without the apostrophe that keeps a spreadsheet
    from running it. Where nothing is ever missing, an empty cell is empty text.
    """
    array = pc.replace_substring_regex(array, pattern="^'", replacement="")
    return pc.fill_null(array, "") if never_null else array
