"""The flaws that Wu and Keogh (2021) found in the field's datasets: whether the anomalies can be
found by one line, how dense they are, and where in a run they lie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from loadgen.exam import measures

if TYPE_CHECKING:
    from loadgen.exam.arrays import Flags, Floats
    from loadgen.exam.buckets import Buckets

MOST_F1 = 0.6
"""Above it one line is enough."""
LEAST_BUCKETS = 5
"""Of fewer a type is told and not evaluated: among hundreds of features one fits them by chance."""
_DENSE = 0.5
_POSITION = (0.4, 0.6)
_RESAMPLES = 500


def one_line_rules(buckets: Buckets) -> list[dict[str, Any]]:
    """For each anomaly type the best rule `feature ≥ x` or `feature ≤ x` of all features and all
    thresholds. F1 is that of the type's buckets among all normal ones.

    `f1_on_other_folds` is that of rules which were found on all folds but one and tried on that. It
    decides: among hundreds of features some fits a few buckets by chance, and then says nothing of
    others. `f1` is that of the rule which fits the type's own buckets best; no rule can do better.
    `f1_of_one_for_all` is that of the one rule that is best for all types together, as nobody knows
    the type of what is to be found.
    """
    found = []
    feature, rule = _best(buckets.anomalous, buckets.values)
    for_all = rule.alerts(buckets.values[:, feature])
    for family in sorted(set(buckets.anomaly_type[buckets.anomalous].tolist())):
        own = buckets.anomalous & (buckets.anomaly_type == family)
        rows = own | ~buckets.anomalous
        labels, values, fold = own[rows], buckets.values[rows], buckets.fold[rows]
        feature, rule = _best(labels, values)
        tried = np.zeros(len(labels), bool)
        for number in np.unique(fold):
            learned, of_rule = _best(labels[fold != number], values[fold != number])
            inside = fold == number
            tried[inside] = of_rule.alerts(values[inside, learned])
        found.append(
            {
                "anomaly_type": family,
                "buckets": int(own.sum()),
                "rule": _named(buckets, feature, rule),
                "f1": rule.f1,
                "f1_on_other_folds": measures.confusion(labels, tried).f1,
                "f1_of_one_for_all": measures.confusion(labels, for_all[rows]).f1,
                "f1_floor": measures.floor(float(labels.mean())),
                "judged": int(own.sum()) >= LEAST_BUCKETS,
            }
        )
    return found


def one_rule_for_all(buckets: Buckets) -> dict[str, Any]:
    """The rule of one line that is best for all anomalies together."""
    feature, rule = _best(buckets.anomalous, buckets.values)
    return {"rule": _named(buckets, feature, rule), "f1": rule.f1}


def _named(buckets: Buckets, feature: int, rule: measures.Rule) -> str:
    sign = "≥" if rule.above else "≤"
    return f"{buckets.features[feature]} {sign} {rule.threshold:.4g}"


def _best(labels: Flags, values: Floats) -> tuple[int, measures.Rule]:
    """The best rule, and the place of its feature."""
    rules = [measures.best_rule(labels, values[:, place]) for place in range(values.shape[1])]
    best = int(np.argmax([rule.f1 for rule in rules]))
    return best, rules[best]


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
