"""Root causes: methods of RCAEval, unchanged, on the cases of a dataset, beside a random ranking.

BARO (Pham, Ha and Zhang 2024) reads metrics, TraceRCA (Li et al. 2021) reads traces. RCAEval is not
among our dependencies: where it is not installed, that is said.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import io
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from loadgen.errors import LoadgenError
from loadgen.exam import measures
from loadgen.export import rcaeval

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import ModuleType

    from loadgen.dataset import Dataset

METHODS = ("baro", "tracerca")
_OF_TRACES = {"tracerca", "microrank"}
_MICROSECONDS = 1_000_000
_DEPTH = 5


def evaluate(dataset: Dataset[Any], say: Callable[[str], None]) -> dict[str, Any]:
    """Top-1, top-3 and Avg@5 of each method, by fault, beside chance; or why there is none."""
    try:
        library = importlib.import_module("RCAEval.utility")
        methods = {name: getattr(importlib.import_module("RCAEval.e2e"), name) for name in METHODS}
    except (ImportError, AttributeError) as missing:
        return {"skipped": f"RCAEval can't be used here ({missing}): docs/evaluate.md says how"}
    with tempfile.TemporaryDirectory(prefix="loadgen-rca-") as scratch:
        folder = Path(scratch) / "cases"
        try:
            rcaeval.export(dataset, folder)
        except LoadgenError as none:
            return {"skipped": str(none).splitlines()[0]}
        index = pq.read_table(folder / "cases.parquet").to_pylist()
        answers: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for number, row in enumerate(index, 1):
            say(f"root causes, case {number} of {len(index)}")
            for name, method in methods.items():
                answers[name].append(_answer(name, method, library, folder / row["case"], row))
    return {
        "rcaeval": importlib.metadata.version("RCAEval"),
        "cases": len(index),
        "methods": {name: _by_fault(of) for name, of in answers.items()},
    }


def _answer(
    name: str, method: Callable[..., Any], library: ModuleType, case: Path, row: dict[str, Any]
) -> dict[str, Any]:
    """Where a method ranks the service that the fault is in. A method that fails ranks nothing."""
    inject_time = int((case / "inject_time.txt").read_text(encoding="utf-8"))
    if name in _OF_TRACES:
        data = library.read_traces(case)
        candidates = len(set(data["serviceName"]))
        inject_time *= _MICROSECONDS
    else:
        # Callers fill gaps, as its own program does.
        data = library.read_metrics(case).ffill().fillna(0)
        candidates = len(_services(column for column in data.columns if column != "time"))
    answer = {"fault": row["fault"], "rank": None, "candidates": candidates, "failed": None}
    quiet = io.StringIO()
    try:
        with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            ranks = _services(method(data, inject_time, dataset="lg-shop")["ranks"])
    except Exception as wrong:
        answer["failed"] = f"{type(wrong).__name__}: {wrong}"[:200]
        return answer
    if row["root_cause_service"] in ranks:
        answer["rank"] = ranks.index(row["root_cause_service"]) + 1
    return answer


def _services(names: Iterable[str]) -> list[str]:
    """The services of a ranking of `<service>_<metric>`, each once, the best first."""
    return list(dict.fromkeys(name.split("_")[0] for name in names))


def _by_fault(answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    faults = sorted({answer["fault"] for answer in answers})
    return {
        "all": figures(answers),
        "by_fault": {
            fault: figures([answer for answer in answers if answer["fault"] == fault])
            for fault in faults
        },
    }


def figures(answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of some cases the share whose root cause is among the first k (AC@k), their mean over k from
    1 to 5 (Avg@5), and the same of a random ranking: k of n services.
    """

    def top(k: int) -> float:
        found = [answer["rank"] is not None and answer["rank"] <= k for answer in answers]
        return measures.ratio(sum(found), len(found))

    def chance(k: int) -> float:
        shares = [min(1.0, k / answer["candidates"]) for answer in answers if answer["candidates"]]
        return measures.ratio(sum(shares), len(answers))

    depths = range(1, _DEPTH + 1)
    return {
        "cases": len(answers),
        "failed": sum(answer["failed"] is not None for answer in answers),
        "top1": top(1),
        "top3": top(3),
        "avg5": sum(top(k) for k in depths) / _DEPTH,
        "chance_top1": chance(1),
        "chance_top3": chance(3),
        "chance_avg5": sum(chance(k) for k in depths) / _DEPTH,
    }
