"""RCAEval's own loader and methods on an export: `rcaeval.py FOLDER METHOD…`.

Ends with 1 where a method does not rank the services of every case.
"""

import contextlib
import io
import pathlib
import sys
import time

import pandas as pd
from RCAEval import e2e
from RCAEval.benchmark.evaluation import Evaluator
from RCAEval.classes.graph import Node
from RCAEval.utility import read_logs, read_metrics, read_traces

OF_TRACES = {"tracerca", "microrank"}
MICROSECONDS = 1_000_000


def services_of(ranks):
    """The services of a ranking, each once, the best first."""
    return list(dict.fromkeys(name.split("_")[0] for name in ranks))


def rank(method, case):
    """A ranking of services by one method, and how many there were to choose from."""
    inject_time = int((case / "inject_time.txt").read_text())
    if method in OF_TRACES:
        data = read_traces(case)
        services = data["serviceName"].unique()
        inject_time *= MICROSECONDS
    else:
        # Callers fill gaps, as its own program does.
        data = read_metrics(case).ffill().fillna(0)
        services = services_of(name for name in data.columns if name != "time")
    # They print their progress.
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        ranks = getattr(e2e, method)(data, inject_time, dataset="lg-shop")["ranks"]
    return services_of(ranks), len(services)


def main():
    folder, methods = pathlib.Path(sys.argv[1]), sys.argv[2:]
    index = pd.read_parquet(folder / "cases.parquet")
    for row in index.itertuples():
        metrics, traces, logs = (
            read(folder / row.case) for read in (read_metrics, read_traces, read_logs))
        assert metrics["time"].is_monotonic_increasing and metrics.shape[1] == row.n_metrics + 1
        assert len(traces) == row.n_traces and (len(logs) if logs is not None else 0) == row.n_logs
    for method in methods:
        began, evaluator = time.monotonic(), Evaluator()
        for row in index.itertuples():
            ranks, candidates = rank(method, folder / row.case)
            assert ranks, f"{method} ranks nothing of {row.case}"
            answer = Node(row.root_cause_service, "")
            evaluator.add_case([Node(name, "") for name in ranks], answer, candidates)
        print(f"{method}: {len(index)} cases, AC@1 {evaluator.accuracy_service(1):.2f}, "
              f"Avg@5 {evaluator.average_service(5):.2f} (by chance "
              f"{evaluator.chance_average(5):.2f}), {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
