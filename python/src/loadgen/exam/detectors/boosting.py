"""Gradient boosting of decision trees on histograms (Friedman 2001; Ke et al. 2017): the one
baseline that learns from labels of faults.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from loadgen.exam.detectors.kind import Detector, Score

if TYPE_CHECKING:
    from loadgen.exam.arrays import Floats
    from loadgen.exam.buckets import Buckets


def _fit(train: Buckets, seed: int) -> Score:
    if len(np.unique(train.anomalous)) < 2:

        def nothing(buckets: Buckets) -> Floats:
            return np.zeros(len(buckets))

        return nothing
    model = HistGradientBoostingClassifier(
        max_iter=200,
        learning_rate=0.08,
        min_samples_leaf=10,
        early_stopping=False,
        class_weight="balanced",
        random_state=seed,
    ).fit(train.values, train.anomalous)

    def score(buckets: Buckets) -> Floats:
        chance: Floats = model.decision_function(buckets.values)
        return chance

    return score


DETECTOR = Detector("gradient_boosting", "Gradient boosting", "labels", _fit)
