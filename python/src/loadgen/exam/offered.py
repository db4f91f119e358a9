"""What was sent to the system, by bucket, without anything that the system did.

A set is fair only if nothing here tells its labels: the rate, the mix, the numbers in paths, the
time. Of each iteration only the first request is offered: what comes after it depends on answers.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from loadgen.cases import SECOND
from loadgen.exam.buckets import SECONDS, texts

if TYPE_CHECKING:
    import pyarrow as pa

    from loadgen.dataset import Dataset
    from loadgen.exam.arrays import Flags, Floats, Integers, Names
    from loadgen.exam.buckets import Buckets

# A number in a path, and the word or the folder before it: `visitor-17`, `rate/HPTD/5`.
_NUMBER = re.compile(r"([A-Za-z]+[-_/=])(\d+)(?![\w-])")
_AROUND = (-2, -1, 0, 1, 2)
_MOST_KINDS = 40


@dataclass(frozen=True)
class Requests:
    """What the generator sent, a row for each request."""

    run: Names
    due_ns: Integers
    flow: Names
    path: Names
    first: Flags
    """The first of its iteration."""


def requests_of(dataset: Dataset[Any]) -> Requests | None:
    """The requests of a dataset; nothing where it has no table of them."""
    if "requests" not in dataset:
        return None
    columns = ["run_id", "sent_by", "iteration", "flow", "path", "intended_ns"]
    table = dataset.arrow("requests", columns)
    return Requests(
        run=texts(table, "run_id"),
        due_ns=table["intended_ns"].to_numpy(),
        flow=texts(table, "flow"),
        path=texts(table, "path"),
        first=_firsts(table),
    )


def _firsts(table: pa.Table) -> Flags:
    """Of each iteration the request that was due first."""
    iterations = [
        texts(table, "run_id").astype(str),
        texts(table, "sent_by").astype(str),
        table["iteration"].to_numpy(),
    ]
    order = np.lexsort((table["intended_ns"].to_numpy(), *iterations))
    new = np.any([column[order][1:] != column[order][:-1] for column in iterations], axis=0)
    first = np.zeros(table.num_rows, bool)
    first[order] = np.concatenate([[True], new])
    return first


Group = dict[str, "Floats"]
"""Features by name."""


def features_of(buckets: Buckets, requests: Requests | None) -> dict[str, Group]:
    """Features of each bucket by where they are from: `time`, and of requests `rate`, `mix` and
    `path_numbers`.
    """
    groups = {"time": _time(buckets)}
    if requests is not None:
        bucket = _bucket_of(buckets, requests)
        offered = (bucket >= 0) & requests.first
        groups["rate"] = _rate(buckets, bucket[offered])
        groups["mix"] = _shares(buckets, bucket[offered], requests.flow[offered])
        groups["path_numbers"] = _path_numbers(buckets, bucket, requests.path)
    return groups


def counts_as_sent(buckets: Buckets, requests: Requests) -> Group:
    """Requests that were really sent, later steps of iterations as well. A system that fails is
    sent fewer of them, so this is told and not evaluated.
    """
    return _rate(buckets, _bucket_of(buckets, requests))


def _bucket_of(buckets: Buckets, requests: Requests) -> Integers:
    """The row of the bucket in which each request was due; −1 where there is none."""
    length = SECONDS * SECOND
    row_of = {key: row for row, key in enumerate(zip(buckets.run, buckets.start_ns, strict=True))}
    starts = requests.due_ns // length * length
    found = [row_of.get(key, -1) for key in zip(requests.run, starts, strict=True)]
    return np.array(found, np.int64)


def _time(buckets: Buckets) -> Group:
    begin_of = {run: buckets.start_ns[buckets.run == run].min() for run in set(buckets.run)}
    begin = np.array([begin_of[run] for run in buckets.run], np.int64)
    return {
        "seconds since the start": (buckets.start_ns - begin) / SECOND,
        "time of day": (buckets.start_ns // SECOND % 86_400).astype(float),
    }


def _rate(buckets: Buckets, bucket: Integers) -> Group:
    """Counts in the bucket and in those around it."""
    counts = np.bincount(bucket[bucket >= 0], minlength=len(buckets)).astype(float)
    return {f"requests {shift:+d}": _shifted(buckets, counts, shift) for shift in _AROUND}


def _shares(buckets: Buckets, bucket: Integers, kinds: Names) -> Group:
    """Of each kind its share in the bucket and its two neighbours; the most frequent kinds."""
    names, number = np.unique(kinds.astype(str), return_inverse=True)
    often = np.argsort(-np.bincount(number, minlength=len(names)), kind="stable")[:_MOST_KINDS]
    counts = np.zeros((len(names), len(buckets)))
    np.add.at(counts, (number, bucket), 1.0)
    wide = sum(_shifted(buckets, counts, shift, 0.0) for shift in (-1, 0, 1))
    whole = np.maximum(np.asarray(wide).sum(axis=0), 1.0)
    return {f"share of {names[place]}": np.asarray(wide)[place] / whole for place in sorted(often)}


def _path_numbers(buckets: Buckets, bucket: Integers, paths: Names) -> Group:
    """The median of the numbers behind each word in paths. Where there is none it is missing, as
    which requests are sent depends on answers.
    """
    numbers: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    total: dict[str, int] = defaultdict(int)
    for row, path in zip(bucket, paths, strict=True):
        if row >= 0:
            for word, digits in _NUMBER.findall(path):
                numbers[word][row].append(float(digits))
                total[word] += 1
    group: Group = {}
    for word in sorted(numbers, key=lambda word: (-total[word], word))[:_MOST_KINDS]:
        column = np.full(len(buckets), np.nan)
        for row, values in numbers[word].items():
            column[row] = float(np.median(values))
        group[f"numbers after {word}"] = column
    return group


def _shifted(buckets: Buckets, values: Floats, shift: int, outside: float = np.nan) -> Floats:
    """The values of the bucket that is `shift` later in the same run."""
    places = np.arange(len(buckets)) + shift
    inside = places.clip(0, len(buckets) - 1)
    same = (places == inside) & (buckets.run[inside] == buckets.run)
    shifted: Floats = np.where(same, values[..., inside], outside)
    return shifted
