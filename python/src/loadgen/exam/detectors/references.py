"""Two detectors that know nothing. Both have to fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from loadgen.exam.detectors.kind import Detector, Score

if TYPE_CHECKING:
    from loadgen.exam.arrays import Floats
    from loadgen.exam.buckets import Buckets


def _everything(_train: Buckets, _seed: int) -> Score:
    def score(buckets: Buckets) -> Floats:
        return np.ones(len(buckets))

    return score


def _random(_train: Buckets, seed: int) -> Score:
    def score(buckets: Buckets) -> Floats:
        return np.random.default_rng(seed).random(len(buckets))

    return score


FLAG_EVERYTHING = Detector(
    "flag_everything", "Flags everything", "nothing", _everything, reference=True
)
RANDOM = Detector("random", "Random scores", "nothing", _random, reference=True)
