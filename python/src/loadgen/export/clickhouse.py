"""The tables of the Collector's ClickHouse exporter, as Parquet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from loadgen.export import otel
from loadgen.export.result import Exported, whole

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from loadgen.dataset import Dataset


def export(dataset: Dataset[Any], out: Path) -> Exported:
    """Writes `otel_traces.parquet` and so on: all rows, labels among the attributes."""
    with whole(out) as folder:
        names = []

        def write(name: str, table: pa.Table) -> None:
            # ClickHouse reads a map only from Parquet's own form of it, which this is.
            pq.write_table(table, folder / f"{name}.parquet", compression="zstd")
            names.append(f"{name}.parquet")

        spans = dataset.arrow("traces")
        write("otel_traces", otel.traces(spans, labels=True))
        write("otel_traces_trace_id_ts", otel.trace_id_ts(spans))
        if "logs" in dataset:
            write("otel_logs", otel.logs(dataset.arrow("logs"), labels=True))
        if "metrics" in dataset:
            kinds = otel.metrics(dataset.arrow("metrics"), labels=True)
            for kind, table in kinds.items():
                write(f"otel_metrics_{kind}", table)
    return Exported(out, tuple(names))
