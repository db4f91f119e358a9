"""Robust z: how far the ten features that are furthest off are from their medians."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from loadgen.exam.detectors.kind import Detector, Score
from loadgen.exam.detectors.scaling import RobustScale

if TYPE_CHECKING:
    from loadgen.exam.arrays import Floats
    from loadgen.exam.buckets import Buckets

_FURTHEST = 10
"""One alone is too often a matter of chance among hundreds."""


def _fit(train: Buckets, _seed: int) -> Score:
    scale = RobustScale.of(train.take(~train.anomalous))

    def score(buckets: Buckets) -> Floats:
        furthest = np.sort(np.abs(scale(buckets)), axis=1)[:, -_FURTHEST:]
        mean: Floats = furthest.mean(axis=1)
        return mean

    return score


DETECTOR = Detector("robust_z", "Robust z (median, MAD)", "normal", _fit)
