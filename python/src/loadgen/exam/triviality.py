"""The flaws that Wu and Keogh (2021) found in the field's datasets: whether the anomalies can be
found by one line, how dense they are, and where in a run they lie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from loadgen.exam import measures

if TYPE_CHECKING:
    from loadgen.exam.buckets import Buckets

MOST_F1 = 0.6
"""Above it one line is enough."""
_DENSE = 0.5
_POSITION = (0.4, 0.6)
_RESAMPLES = 500


def one_line_rules(buckets: Buckets) -> list[dict[str, Any]]:
    """For each anomaly type the best rule `feature ≥ x` or `feature ≤ x`, of all features and all
    thresholds, found with the labels in hand: no rule of one line can do better.

    F1 is of the type's buckets among all normal ones. Beside it the F1 of the rule that is best if
    the type were as frequent as all anomalies together are.
    """
    normal = ~buckets.anomalous
    p = float(buckets.anomalous.mean()) if len(buckets) else measures.NAN
    found = []
    for family in sorted(set(buckets.anomaly_type[buckets.anomalous].tolist())):
        own = buckets.anomalous & (buckets.anomaly_type == family)
        rows = own | normal
        labels = own[rows]
        # Normal buckets weigh as much as makes the share p.
        weight = measures.ratio(float(own.sum()) * (1 - p), p * float(normal.sum()))
        plain = [
            measures.weighted_best_f1(labels, buckets.values[rows, place])
            for place in range(len(buckets.features))
        ]
        weighted = [
            measures.weighted_best_f1(labels, buckets.values[rows, place], weight)
            for place in range(len(buckets.features))
        ]
        best = int(np.argmax(plain))
        found.append(
            {
                "anomaly_type": family,
                "buckets": int(own.sum()),
                "feature": buckets.features[best],
                "f1": plain[best],
                "f1_floor": measures.floor(float(labels.mean())),
                "feature_at_p": buckets.features[int(np.argmax(weighted))],
                "f1_at_p": max(weighted),
                "f1_floor_at_p": measures.floor(p),
            }
        )
    return found


def position(buckets: Buckets, seed: int) -> dict[str, float]:
    """Whether anomalies lie late in their run (or early): the chance that an anomalous bucket is
    later than a normal one of the same run, with its 95 % interval by a bootstrap of episodes.
    0.5: neither.
    """
    _, run = np.unique(buckets.run.astype(str), return_inverse=True)
    at = buckets.start_ns.astype(float)
    later = measures.stratified_auc(buckets.anomalous, at, run)
    every = np.full(len(buckets), "", dtype=object)
    weights = measures.resampled(buckets.episode, every, _RESAMPLES, seed)
    won, pairs = measures.stratified_pairs(buckets.anomalous, at, run, weights)
    known = pairs > 0
    if not known.any():
        return {"later": later, "low": measures.NAN, "high": measures.NAN}
    low, high = np.quantile(won[known] / pairs[known], [0.025, 0.975])
    return {"later": later, "low": float(low), "high": float(high)}


def is_at_one_end(figures: dict[str, float]) -> bool:
    """Whether anomalies surely lie at one end of their runs."""
    return figures["low"] > _POSITION[1] or figures["high"] < _POSITION[0]


def is_dense(p: float) -> bool:
    """Whether more is anomalous than not."""
    return p > _DENSE
