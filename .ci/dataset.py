#!/usr/bin/env python3
"""Two real runs of the demo shop as one dataset, read by those that it is for.

    .ci/dataset.py --loadgen target/debug/loadgen --cache ~/.cache/loadgen-ci

makes two short runs, builds a dataset of them twice and in both orders, and compares the checksums.
Then the folder is read by mlcroissant (`validate`, and records of each record set), by
`datasets.load_dataset` without network, by DuckDB, Polars and pandas, and rows are compared with
those of the runs. With `--dataset DIR` only the reading is tried, on a folder that is there.

The readers are installed once, in pinned versions, into an environment in the cache.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from trial import Wrong, call, environment

REPOSITORY = Path(__file__).resolve().parent.parent
READERS = [
    "mlcroissant==1.1.1",
    "datasets==5.2.0",
    "duckdb==2.0.1",
    "pandas==3.1.1",
    "polars==2.1.0",
    "pyarrow==26.0.1",
]
# Records that are read of each record set by mlcroissant, which takes a millisecond for each.
RECORDS = 20


def two_runs(loadgen, folder, time_scale):
    """Two runs of the demo shop, with other choices each."""
    runs = []
    for seed in (1, 2):
        out = folder / f"run-{seed}"
        scenario = REPOSITORY / "scenarios" / "quick.yaml"
        command = [loadgen, "run", scenario, "--out", out, "--seed", seed, "--time-scale", time_scale]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        # 8: too short a run backs not all of its labels. The dataset is there all the same.
        if done.returncode not in (0, 8):
            sys.exit(f"run {seed}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        runs.append(out)
    return runs


def build(loadgen, out, *runs):
    began = time.monotonic()
    # What such short runs lack is not what is tried here.
    command = [loadgen, "dataset", "build", *runs, "--out", out, "--unusable", "keep", "--json"]
    command += ["--licence", "cc0-1.0", "--title", "Two short runs of the demo shop"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode not in (0, 8):
        sys.exit(f"dataset build: exit code {done.returncode}\n{done.stderr}")
    report = json.loads(done.stdout)
    print(f"built {report['files']} files, {report['bytes']} bytes in {time.monotonic() - began:.1f} s")
    call("sha256sum", "--check", "--quiet", "SHA256SUMS", cwd=out, quiet=True)
    return (out / "SHA256SUMS").read_text()


def check(holds, what):
    if not holds:
        sys.exit(f"FAILED: {what}")
    print(f"ok: {what}")


def read_all(dataset, runs):
    """Everything below is what the readers see; it runs in their environment."""
    import duckdb
    import pandas
    import polars

    tables = {path.name: path for path in sorted((dataset / "tables").iterdir())}
    dictionary = json.loads((dataset / "columns.json").read_text())["tables"]
    rows = {}
    with duckdb.connect() as connection:
        for name, path in tables.items():
            files = f"read_parquet('{path}/**/*.parquet', hive_partitioning = true)"
            counts = connection.sql(
                f"SELECT run_id, count(*), count(episode_id) FROM {files} GROUP BY 1 ORDER BY 1"
            ).fetchall()
            rows[name] = sum(count for _, count, _ in counts)
            check(all(count == with_id for _, count, with_id in counts), f"{name}: an episode in each row")
            columns = [column[0] for column in connection.sql(f"SELECT * FROM {files} LIMIT 0").description]
            check(columns == [column["name"] for column in dictionary[name]], f"{name}: columns as said")
        with_traces = [name for name in tables if "trace_id" in {of["name"] for of in dictionary[name]}]
        files = [f"{dataset}/tables/{name}/**/*.parquet" for name in with_traces]
        torn = connection.sql(
            f"SELECT count(*) FROM (SELECT trace_id FROM read_parquet({files}, "
            "union_by_name = true, hive_partitioning = false) WHERE trace_id IS NOT NULL GROUP BY 1 "
            "HAVING count(DISTINCT (episode_id, fold, coalesce(split, 'none'))) > 1)"
        ).fetchall()[0][0]
        check(torn == 0, f"no trace in two episodes, nor in two splits, of {len(files)} tables")
        splits(connection, dataset, tables)
    for name, path in tables.items():
        frame = polars.scan_parquet(f"{path}/**/*.parquet", hive_partitioning=True)
        lazy = frame.select(polars.len()).collect().item()
        check(lazy == rows[name], f"{name}: Polars counts {lazy} rows as DuckDB")
        check(len(pandas.read_parquet(path)) == rows[name], f"{name}: pandas does, of the folder")
    for name in [name for name in tables if name != "requests"] if runs else ():
        before = [path for run in runs for path in (run / "dataset").glob(f"{name}_[0-9]*.parquet")]
        count = sum(len(pandas.read_parquet(path)) for path in before)
        check(count == rows[name], f"{name}: {count} rows in the runs")
    if runs:
        requests(dataset, runs)
    cases = pandas.read_parquet(dataset / "cases.parquet")
    as_csv = pandas.read_csv(dataset / "cases.csv")
    check(list(cases) == list(as_csv) and len(cases) == len(as_csv), "the index as CSV is the same")
    check(len(cases) == rows["windows"], f"the index has a row for each of {len(cases)} windows")
    hugging_face(dataset, rows)
    croissant(dataset, rows, len(cases))


def requests(dataset, runs):
    """The table of requests against the ledgers, read by pyarrow."""
    import pandas
    import pyarrow

    columns = ["trace_id", "intended_ns", "sent_ns", "finished_ns", "path"]
    with_label = pandas.read_parquet(dataset / "tables" / "requests", columns=columns)
    ledgers = [pyarrow.ipc.open_stream(run / "ledger.arrows").read_all().to_pandas() for run in runs]
    sent = pandas.concat(ledgers)[columns]
    by_trace = [frame.sort_values("trace_id", ignore_index=True) for frame in (with_label, sent)]
    alike = by_trace[0].astype("object").equals(by_trace[1].astype("object"))
    check(alike, f"requests: the {len(sent)} rows of the ledgers")


def splits(connection, dataset, tables):
    """The lists of episodes against the columns of each table."""
    lists = json.loads((dataset / "splits.json").read_text())
    fold_of = {episode: fold for fold, ids in enumerate(lists["folds"]) for episode in ids}
    split_of = {episode: name for name, ids in lists["default"].items() for episode in ids}
    files = [f"{path}/**/*.parquet" for path in tables.values()]
    seen = connection.sql(
        "SELECT DISTINCT episode_id, fold, split "
        f"FROM read_parquet({files}, union_by_name = true, hive_partitioning = false)"
    ).fetchall()
    check(
        all(fold_of[episode] == fold and split in (None, split_of[episode]) for episode, fold, split in seen),
        f"fold and split of {len(fold_of)} episodes as listed",
    )


def hugging_face(dataset, rows):
    from datasets import get_dataset_config_names, load_dataset

    names = get_dataset_config_names(str(dataset))
    for name in names:
        loaded = load_dataset(str(dataset), name)["train"]
        if name in rows:
            check(len(loaded) == rows[name], f"load_dataset({name!r}): {len(loaded)} rows")
        else:
            check(len(loaded) > 0, f"load_dataset({name!r}): {len(loaded)} rows")
    missing = {name for name, count in rows.items() if count} - set(names)
    check(not missing, f"each table is a configuration {missing or ''}")


def croissant(dataset, rows, cases):
    import itertools

    import mlcroissant

    loaded = mlcroissant.Dataset(jsonld=str(dataset / "croissant.json"))
    version = json.loads((dataset / "croissant.json").read_text())["conformsTo"]
    check(version.endswith("/1.1"), "Croissant 1.1")
    for records in loaded.metadata.record_sets:
        wanted = min(RECORDS, {"cases": cases, "classes": RECORDS}.get(records.id, rows.get(records.id, 0)))
        seen = list(itertools.islice(loaded.records(records.id), RECORDS))
        fields = {field.id for field in records.fields}
        check(len(seen) == wanted, f"mlcroissant: {len(seen)} records of {records.id}")
        check(all(set(record) == fields for record in seen), f"{records.id}: each record has all fields")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loadgen", type=Path, help="the program; not with --dataset")
    parser.add_argument("--cache", type=Path, required=True, help="folder for the readers' environment")
    parser.add_argument("--time-scale", type=float, default=0.1, help="of scenarios/quick.yaml")
    parser.add_argument("--dataset", type=Path, help="a folder that is there: only read it")
    parser.add_argument("--read", nargs="+", type=Path, metavar="DIR", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.read:
        return read_all(args.read[0].resolve(), args.read[1:])
    python = environment(args.cache.resolve(), "dataset-readers", sys.executable, ((), READERS)) / "python"
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        runs = []
        dataset = args.dataset
        if dataset is None:
            if args.loadgen is None:
                parser.error("give --loadgen or --dataset")
            loadgen = args.loadgen.resolve()
            runs = two_runs(loadgen, folder, args.time_scale)
            dataset = folder / "dataset"
            first = build(loadgen, dataset, *runs)
            check(first == build(loadgen, folder / "again", *runs), "built twice: the same checksums")
            check(
                first == build(loadgen, folder / "other", *reversed(runs)),
                "built in another order: the same checksums",
            )
        # Nothing is to be fetched, and no copy is to outlive this.
        offline = {
            "HF_HUB_OFFLINE": "1",
            "HF_DATASETS_OFFLINE": "1",
            "HF_HOME": str(folder / "hugging-face"),
            "TQDM_DISABLE": "1",
        }
        readers = os.environ | offline
        validate = python.parent / "mlcroissant"
        said = call(validate, "validate", "--jsonld", dataset / "croissant.json", env=readers,
                    quiet=True)
        print(f"ok: mlcroissant validate {said.strip()}")
        reading = [python, Path(__file__).resolve(), "--cache", args.cache, "--read", dataset, *runs]
        subprocess.run([str(part) for part in reading], check=True, env=readers)


if __name__ == "__main__":
    try:
        main()
    except Wrong as wrong:
        sys.exit(f"FAILED: {wrong}")
