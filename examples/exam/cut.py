#!/usr/bin/env python3
"""Cuts from a dataset what an exam reads, so that it is small enough to be passed on.

    examples/exam/cut.py DATASET OUT

Kept are the index of cases, the features of buckets of 5 s, and of the requests what was offered.
Spans, data points and log records are not, so root causes can't be examined.
"""

import pathlib
import sys

import pyarrow.parquet as pq

TABLES = {
    "windows_features_5s": None,
    "requests": ["run_id", "episode_id", "sent_by", "iteration", "flow", "path", "intended_ns"],
}


def main():
    source, out = map(pathlib.Path, sys.argv[1:])
    for table, columns in TABLES.items():
        for part in sorted(source.glob(f"tables/{table}/*/part.parquet")):
            place = out / part.relative_to(source)
            place.parent.mkdir(parents=True)
            # Times are told from each other by a few bytes.
            encodings = {"intended_ns": "DELTA_BINARY_PACKED"} if columns else None
            pq.write_table(
                pq.ParquetFile(part).read(columns),
                place,
                compression="zstd",
                compression_level=19,
                use_dictionary=["run_id", "episode_id", "sent_by", "flow", "path"]
                if columns
                else True,
                column_encoding=encodings,
            )
    cases = pq.ParquetFile(source / "cases.parquet").read()
    pq.write_table(cases, out / "cases.parquet", compression="zstd")


if __name__ == "__main__":
    main()
