"""What a detector is measured by: pure functions of labels, scores and alerts.

Labels and alerts are arrays of booleans, one for each evaluated bucket; scores are numbers, higher
for more anomalous. p is the anomalous share. Where a measure can't be told, it is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadgen.exam.arrays import Flags, Floats, Integers, Names

NAN = float("nan")


@dataclass(frozen=True)
class Confusion:
    """How many buckets were rightly and wrongly flagged. Counts, or sums of weights."""

    tp: float
    fp: float
    fn: float
    tn: float

    @property
    def total(self) -> float:
        """Of how many buckets."""
        return self.tp + self.fp + self.fn + self.tn

    @property
    def share(self) -> float:
        """p, the anomalous share."""
        return ratio(self.tp + self.fn, self.total)

    @property
    def alerted_share(self) -> float:
        """The flagged share."""
        return ratio(self.tp + self.fp, self.total)

    @property
    def precision(self) -> float:
        """TP / (TP + FP); NaN where nothing is flagged."""
        return ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """TP / (TP + FN)."""
        return ratio(self.tp, self.tp + self.fn)

    @property
    def false_positive_rate(self) -> float:
        """FP / (FP + TN)."""
        return ratio(self.fp, self.fp + self.tn)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall (van Rijsbergen
        1979); 0 where nothing is flagged and something is anomalous.
        """
        return ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def lift(self) -> float:
        """F1 over that of a detector that flags everything."""
        return ratio(self.f1, floor(self.share))


def ratio(part: float, whole: float) -> float:
    """A quotient; NaN where there is nothing to divide by."""
    return float(part / whole) if whole else NAN


def confusion(labels: Flags, alerts: Flags) -> Confusion:
    """Counts of right and wrong alerts."""
    return Confusion(
        tp=float((labels & alerts).sum()),
        fp=float((~labels & alerts).sum()),
        fn=float((labels & ~alerts).sum()),
        tn=float((~labels & ~alerts).sum()),
    )


def floor(p: float) -> float:
    """F1 of a detector that flags everything: 2p / (1 + p) (Lipton et al. 2014)."""
    return 2 * p / (1 + p)


def at_prevalence(recall: float, false_positive_rate: float, p: float) -> tuple[float, float]:
    """Precision and F1 of the same alerts if a share p were anomalous: normal buckets get another
    weight, recall and false positive rate stay (Siblini et al. 2020).
    """
    flagged = p * recall + (1 - p) * false_positive_rate
    precision = ratio(p * recall, flagged)
    return precision, ratio(2 * p * recall, flagged + p)


def auc_roc(labels: Flags, scores: Floats) -> float:
    """The chance that an anomalous bucket scores higher than a normal one, ties half: the area
    under the ROC curve (Hanley and McNeil 1982). 0.5 for random scores.
    """
    return stratified_auc(labels, scores, np.zeros(len(labels), int))


def stratified_auc(labels: Flags, scores: Floats, strata: Integers) -> float:
    """The same over pairs within one stratum. Scores of different folds come from different models,
    so only buckets of the same fold are compared; all pairs count alike.
    """
    won, pairs = stratified_pairs(labels, scores, strata, np.ones((1, len(labels))))
    return ratio(float(won[0]), float(pairs[0]))


def stratified_pairs(
    labels: Flags, scores: Floats, strata: Integers, weights: Floats
) -> tuple[Floats, Floats]:
    """For each row of `weights` (one weight a bucket) the pairs that the anomalous side wins, and
    all pairs.
    """
    won = np.zeros(len(weights))
    pairs = np.zeros(len(weights))
    for stratum in np.unique(strata):
        inside = np.flatnonzero(strata == stratum)
        order = inside[np.argsort(scores[inside], kind="stable")]
        anomalous = weights[:, order] * labels[order]
        normal = weights[:, order] * ~labels[order]
        # Normal weight below each place, and below its run of equal scores.
        below = np.cumsum(normal, axis=1)
        ordered = scores[order]
        first = np.searchsorted(ordered, ordered, side="left")
        last = np.searchsorted(ordered, ordered, side="right") - 1
        under = np.where(first > 0, below[:, np.maximum(first - 1, 0)], 0.0)
        won += (anomalous * (under + below[:, last]) / 2).sum(axis=1)
        pairs += anomalous.sum(axis=1) * normal.sum(axis=1)
    return won, pairs


def pr_auc(labels: Flags, scores: Floats) -> float:
    """Average precision, the area under the steps of the precision-recall curve (Davis and
    Goadrich 2006; Boyd, Eng and Page 2013). p for random scores.
    """
    if not labels.any():
        return NAN
    recall, precision = pr_curve(labels, scores)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def normalised_pr(area: float, p: float) -> float:
    """(PR-AUC − p) / (1 − p): 0 for random scores, 1 for perfect ones."""
    return ratio(area - p, 1 - p)


def roc_curve(labels: Flags, scores: Floats) -> tuple[Floats, Floats]:
    """False positive rate and recall for each threshold, from (0, 0) to (1, 1)."""
    tp, fp = _flagged(labels, scores)
    start = np.zeros(1)
    return (
        np.concatenate([start, fp / max(1.0, fp[-1])]),
        np.concatenate([start, tp / max(1.0, tp[-1])]),
    )


def pr_curve(labels: Flags, scores: Floats) -> tuple[Floats, Floats]:
    """Recall and precision for each threshold, from the highest on."""
    tp, fp = _flagged(labels, scores)
    return tp / max(1.0, tp[-1]), tp / (tp + fp)


def _flagged(labels: Flags, scores: Floats) -> tuple[Floats, Floats]:
    """True and false positives when all from a score on are flagged, for each score downwards."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)
    tp = np.cumsum(labels[order]).astype(float)[last]
    fp = np.cumsum(~labels[order]).astype(float)[last]
    return tp, fp


def best_threshold(labels: Flags, scores: Floats) -> tuple[float, float]:
    """The score from which on to alert so that F1 is highest, and that F1; of several the highest
    score. Without an anomalous bucket: (infinity, NaN).
    """
    if not labels.any():
        return float("inf"), NAN
    tp, fp = _flagged(labels, scores)
    f1 = 2 * tp / (tp + fp + labels.sum())
    best = int(np.argmax(f1))
    return float(np.unique(scores)[::-1][best]), float(f1[best])


@dataclass(frozen=True)
class Rule:
    """A rule of one line: a value at or above a threshold, or at or below it, is anomalous."""

    f1: float
    """On the buckets that it was found on."""
    above: bool
    threshold: float

    def alerts(self, values: Floats) -> Flags:
        """What it flags; never a missing value."""
        with np.errstate(invalid="ignore"):
            return values >= self.threshold if self.above else values <= self.threshold


def best_rule(labels: Flags, values: Floats) -> Rule:
    """The rule with the best F1 of all thresholds and both directions."""
    known = np.isfinite(values)
    best = Rule(0.0, True, float("inf"))
    if not labels.any():
        return best
    for above in (True, False):
        signed = values[known] if above else -values[known]
        if not len(signed):
            continue
        tp, fp = _flagged(labels[known], signed)
        f1 = 2 * tp / (tp + fp + labels.sum())
        place = int(np.argmax(f1))
        if f1[place] > best.f1:
            threshold = float(np.unique(signed)[::-1][place])
            best = Rule(float(f1[place]), above, threshold if above else -threshold)
    return best


def balanced_accuracy(truth: Names, told: Names, classes: Sequence[str]) -> float:
    """The mean of the recalls of all classes (Brodersen et al. 2010). 1 / classes by chance."""
    return float(class_recalls(truth, told, classes, np.ones((1, len(truth)))).mean())


def class_recalls(truth: Names, told: Names, classes: Sequence[str], weights: Floats) -> Floats:
    """For each row of `weights` the recall of each class; NaN where a class has no weight."""
    right = weights * (truth == told)
    recalls = []
    for name in classes:
        of_class = truth == name
        whole = weights[:, of_class].sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            recalls.append(right[:, of_class].sum(axis=1) / whole)
    return np.stack(recalls, axis=1)


def quantiles(values: Sequence[float], which: Sequence[float]) -> list[float]:
    """Quantiles by linear interpolation; NaN of nothing."""
    if not len(values):
        return [NAN for _ in which]
    return [float(value) for value in np.quantile(np.asarray(values, float), which)]


def resampled(groups: Names, strata: Names, times: int, seed: int) -> Floats:
    """Weights of a bootstrap (Efron 1979) of whole groups (Field and Welsh 2007), as they are
    dependent within: for each of `times` draws how often each element's group was drawn. As many
    groups of each stratum are drawn as there are.
    """
    random = np.random.default_rng(seed)
    names, index = np.unique(groups.astype(str), return_inverse=True)
    stratum_of = np.empty(len(names), dtype=object)
    stratum_of[index] = strata
    weights = np.zeros((times, len(names)))
    for stratum in sorted(set(stratum_of.tolist())):
        inside = np.flatnonzero(stratum_of == stratum)
        weights[:, inside] = random.multinomial(
            len(inside), np.full(len(inside), 1 / len(inside)), size=times
        )
    return weights[:, index]
