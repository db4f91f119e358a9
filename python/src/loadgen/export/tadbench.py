"""Traces as TADBench reads them: pickled lists of trees of spans, each span with its own truth."""

from __future__ import annotations

import contextlib
import datetime
import pickle
import sys
import types
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from loadgen.errors import NoCasesError, NoTableError
from loadgen.export.result import Exported, whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from loadgen.dataset import Dataset

_EPOCH = datetime.datetime(1970, 1, 1)
_STATUSES = ("Unset", "Ok", "Error")
_COLUMNS = [
    "trace_id", "span_id", "parent_span_id", "start_time_ns", "duration_ms", "service_name",
    "span_name", "span_kind", "span_status", "http_status_code", "span_anomaly",
    "is_root_cause_span",
]  # fmt: skip
# Of its classes of traces, by (latency, structure).
_TYPES = {(False, False): 0, (True, False): 1, (False, True): 2, (True, True): 3}


# Its readers look for these classes in a module `data_format` of their own: only the names of
# module, classes and attributes are in a pickle.
class Span:
    """A span, with those that it is the parent of."""

    def __init__(self, attributes: dict[str, Any]) -> None:
        self.__dict__.update(attributes)


class Trace:
    """A trace, by its root."""

    def __init__(self, attributes: dict[str, Any]) -> None:
        self.__dict__.update(attributes)


def export(dataset: Dataset[Any], out: Path, *, train: float = 0.7) -> Exported:
    """Writes `train_normal.pkl` and so on.

    Normal traces are those of steady normal time, with nothing said of their spans: no fault was
    there, and the slow among them belong to what is normal. The first `train` of them, in the order
    of time, are to train on. Abnormal ones are those of steady anomalous time in which at least one
    span is itself unusual (`span_anomaly`). The others of that time, which the fault did not touch
    or of which that is not known, are in no file.
    """
    _check(dataset)
    normal: list[Trace] = []
    abnormal: list[Trace] = []
    left_out: dict[str, int] = defaultdict(int)
    for run_id in dataset.run_ids or ("",):
        run = dataset.run(run_id) if run_id else dataset
        labels = run.arrow(
            "trace_labels",
            ["trace_id", "anomaly_label", "has_root"],
            (pc.field("phase") == "steady") & pc.field("trace_id").is_valid(),
        )
        spans = _spans(run)
        for row in labels.to_pylist():
            if row["anomaly_label"] not in ("normal", "anomalous"):
                continue
            is_normal = row["anomaly_label"] == "normal"
            trace, kinds = _trace(spans.pop(row["trace_id"], []), run_id, is_normal)
            if trace is None:
                left_out["has no root, or a cycle"] += 1
            elif is_normal:
                normal.append(trace)
            elif kinds:
                abnormal.append(trace)
            else:
                left_out["is of anomalous time, and none of its spans is known to be unusual"] += 1
    if not normal or not abnormal:
        raise NoCasesError(
            f"TADBench needs both: there are {len(normal)} normal traces of steady time and "
            f"{len(abnormal)} with an unusual span."
        )
    for traces in (normal, abnormal):
        traces.sort(key=lambda trace: (trace.root_span.start_time, trace.trace_id))  # type: ignore[attr-defined]
    files = _files(normal, abnormal, train)
    with whole(out) as folder, _their_names():
        for name, traces in files.items():
            # Protocol 4, which Python 3.6 reads, as some of its algorithms need.
            (folder / f"{name}.pkl").write_bytes(pickle.dumps(traces, protocol=4))
    return Exported(
        out,
        tuple(f"{name}.pkl: {len(traces)} traces" for name, traces in files.items()),
        notes=tuple(f"{count} traces left out: each {why}" for why, count in left_out.items()),
    )


def _check(dataset: Dataset[Any]) -> None:
    for column in ("span_anomaly", "is_root_cause_span"):
        if column not in dataset.arrow("traces", None, pc.scalar(False)).schema.names:
            raise NoTableError(
                f"TADBench has a truth for each span, and table 'traces' has no column {column!r}. "
                "Extract the run again with a loadgen that writes it."
            )


def _spans(run: Dataset[Any]) -> dict[str, list[dict[str, Any]]]:
    """Spans by trace, without late ones."""
    where = ~pc.field("late") & pc.field("start_time_ns").is_valid()
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in run.arrow("traces", _COLUMNS, where).to_pylist():
        found[row["trace_id"]].append(row)
    return found


def _trace(
    rows: list[dict[str, Any]], source: str, is_normal: bool
) -> tuple[Trace | None, set[str]]:
    """The tree below the earliest root, nothing if there is no root; and what is unusual in it.

    Spans whose parent did not arrive hang on the root, as its readers walk from there.
    """
    rows.sort(key=lambda row: (row["start_time_ns"], row["span_id"] or ""))
    kinds_of = {row["span_id"]: set() if is_normal else _kinds(row) for row in rows}
    spans = {row["span_id"]: _span(row, kinds_of[row["span_id"]]) for row in rows}
    root = next((spans[row["span_id"]] for row in rows if not row["parent_span_id"]), None)
    if root is None:
        return None, set()
    for row in rows:
        span = spans[row["span_id"]]
        if span is not root:
            parent = spans.get(row["parent_span_id"], root)
            parent.__dict__["children_span_list"].append(span)
    if _count(root) != len(spans):
        return None, set()
    kinds = set().union(*kinds_of.values())
    # An error alone is of neither of its two classes.
    type_ = None if kinds == {"error"} else _TYPES["latency" in kinds, "structure" in kinds]
    trace = Trace(
        {
            "trace_id": rows[0]["trace_id"],
            "root_span": root,
            "span_count": len(spans),
            "anomaly_type": type_,
            "source": source,
        }
    )
    return trace, kinds


def _kinds(row: dict[str, Any]) -> set[str]:
    """What is unusual about a span; nothing also where that is not known."""
    return set((row["span_anomaly"] or "none").split("+")) - {"none"}


def _span(row: dict[str, Any], kinds: set[str]) -> Span:
    status = row["http_status_code"]
    return Span(
        {
            "trace_id": row["trace_id"],
            "span_id": row["span_id"],
            "parent_span_id": row["parent_span_id"],
            "children_span_list": [],
            "start_time": _EPOCH + datetime.timedelta(microseconds=row["start_time_ns"] // 1000),
            "duration": row["duration_ms"] or 0.0,
            "service_name": row["service_name"],
            "anomaly": int(bool(kinds)),
            "status_code": _STATUSES[row["span_status"]] if status is None else str(status),
            "operation_name": row["span_name"],
            "root_cause": bool(kinds and row["is_root_cause_span"]),
            "latency": 1 if "latency" in kinds else None,
            "structure": 1 if "structure" in kinds else None,
            "extra": {
                "span_kind": row["span_kind"],
                "error": "error" in kinds,
                "span_anomaly": row["span_anomaly"],
            },
        }
    )


def _count(root: Span) -> int:
    """How many spans are reached from the root, without recursion."""
    count, waiting = 0, [root]
    while waiting:
        count += 1
        waiting += waiting.pop().__dict__["children_span_list"]
    return count


def _files(normal: list[Trace], abnormal: list[Trace], train: float) -> dict[str, list[Trace]]:
    first = int(len(normal) * train)

    def of(type_: int) -> list[Trace]:
        return [trace for trace in abnormal if trace.__dict__["anomaly_type"] == type_]

    return {
        "train_normal": normal[:first],
        "test_normal": normal[first:],
        "normal": normal,
        "abnormal": abnormal,
        "only_latency_abnormal": of(1),
        "only_structure_abnormal": of(2),
        "both_abnormal": of(3),
    }


@contextlib.contextmanager
def _their_names() -> Iterator[None]:
    """While it lasts, classes are pickled as those of its module."""
    before = sys.modules.get("data_format")
    module = types.ModuleType("data_format")
    ours = {cls: cls.__module__ for cls in (Span, Trace)}
    for cls in ours:
        cls.__module__ = "data_format"
        setattr(module, cls.__name__, cls)
    sys.modules["data_format"] = module
    try:
        yield
    finally:
        for cls, name in ours.items():
            cls.__module__ = name
        if before is None:
            del sys.modules["data_format"]
        else:
            sys.modules["data_format"] = before
