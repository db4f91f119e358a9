"""Arrow tables as frames of pandas and Polars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from loadgen.errors import LoadgenError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """A frame of pandas without loss: integers stay integers where some are missing.

    | Arrow | pandas |
    |---|---|
    | int64, int32 | `Int64`, `Int32` |
    | bool | `boolean` |
    | double | `float64` (missing is NaN) |
    | string | `string` |
    | timestamp | `datetime64[ns, UTC]` |
    | list | Arrow's list |
    """
    try:
        import pandas as pd  # noqa: PLC0415 (not everyone has it)
    except ImportError:
        raise _missing("pandas") from None
    types = {
        pa.int64(): pd.Int64Dtype(),
        pa.int32(): pd.Int32Dtype(),
        pa.bool_(): pd.BooleanDtype(),
        pa.string(): pd.StringDtype(),
    }

    def of(arrow: pa.DataType) -> pd.api.extensions.ExtensionDtype | None:
        if pa.types.is_list(arrow):
            return pd.ArrowDtype(arrow)
        return types.get(arrow)

    frame: pd.DataFrame = table.to_pandas(types_mapper=of)
    return frame


def to_polars(table: pa.Table) -> pl.DataFrame:
    """A frame of Polars; each type has its like there."""
    try:
        import polars as pl  # noqa: PLC0415 (not everyone has it)
    except ImportError:
        raise _missing("polars") from None
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)  # a table never becomes a series
    return frame


def _missing(package: str) -> LoadgenError:
    return LoadgenError(
        f"{package} is not installed: pip install 'loadgen[{package}]', or load(…, format='arrow')."
    )
