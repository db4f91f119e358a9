"""Limits as people set them by hand: a service is in trouble when its 95th percentile or its share
of errors is beyond what is usual for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from loadgen.exam.buckets import KINDS
from loadgen.exam.detectors.kind import Detector, Score

if TYPE_CHECKING:
    from loadgen.exam.arrays import Floats
    from loadgen.exam.buckets import Buckets

_USUAL = 0.99
"""The quantile of normal training time that is the limit."""
_LEAST_MS = 1.0
_LEAST_ERRORS = 0.01


def _fit(train: Buckets, _seed: int) -> Score:
    normal = train.take(~train.anomalous)
    latency = _limit(_latencies(normal), _LEAST_MS)
    errors = _limit(_error_shares(normal), _LEAST_ERRORS)

    def score(buckets: Buckets) -> Floats:
        over = np.hstack([_latencies(buckets) / latency, _error_shares(buckets) / errors])
        largest: Floats = np.nan_to_num(over).max(axis=1, initial=0.0)
        return largest

    return score


def _limit(values: Floats, least: float) -> Floats:
    # A service that never answered in normal time has the least limit.
    known = np.where(np.isfinite(values), values, 0.0)
    limit: Floats = np.maximum(np.quantile(known, _USUAL, axis=0), least)
    return limit


def _latencies(buckets: Buckets) -> Floats:
    columns = [
        place
        for place, name in enumerate(buckets.features)
        if name.endswith(tuple(f"{kind}_p95_ms" for kind in KINDS))
    ]
    return buckets.values[:, columns]


def _error_shares(buckets: Buckets) -> Floats:
    place_of = {name: place for place, name in enumerate(buckets.features)}
    shares = []
    for name, place in place_of.items():
        count = place_of.get(name.removesuffix("_errors") + "_count")
        if name.endswith(tuple(f"{kind}_errors" for kind in KINDS)) and count is not None:
            shares.append(buckets.values[:, place] / np.maximum(buckets.values[:, count], 1.0))
    return np.stack(shares, axis=1) if shares else np.zeros((len(buckets), 0))


DETECTOR = Detector("thresholds", "Limits on p95 and errors", "normal", _fit)
