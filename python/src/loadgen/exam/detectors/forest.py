"""Isolation forest (Liu, Ting and Zhou 2008): how few random cuts it takes to be alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sklearn.ensemble import IsolationForest

from loadgen.exam.detectors.kind import Detector, Score
from loadgen.exam.detectors.scaling import RobustScale

if TYPE_CHECKING:
    from loadgen.exam.arrays import Floats
    from loadgen.exam.buckets import Buckets


def _fit(train: Buckets, seed: int) -> Score:
    normal = train.take(~train.anomalous)
    scale = RobustScale.of(normal)
    forest = IsolationForest(n_estimators=300, random_state=seed).fit(scale(normal))

    def score(buckets: Buckets) -> Floats:
        isolation: Floats = -forest.score_samples(scale(buckets))
        return isolation

    return score


DETECTOR = Detector("isolation_forest", "Isolation forest", "normal", _fit)
