"""Whether what was sent, or the time, tells the labels: a model tries, and is tried on other runs.

A leak is told by the balanced accuracy of the model (Brodersen et al. 2010). Of classes that can't
be told apart it is 1 / classes, whatever their shares.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from loadgen.exam import measures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadgen.exam.arrays import Flags, Floats, Integers, Names
    from loadgen.exam.buckets import Buckets
    from loadgen.exam.offered import Group

MARGIN = 0.05
"""How far above chance the upper bound may be."""
_GROUPS = 5
_TREES = 100
_LEAF = 5
_RESAMPLES = 1000
_LEAST_EPISODES = 5
"""Of a class. An interval by a bootstrap of fewer says nothing."""

CLEAN, LEAK, OPEN, UNKNOWN = "clean", "leak", "open", "unknown"


@dataclass(frozen=True)
class Leak:
    """How well labels are told by some features. Bounds are one-sided, 95 % each."""

    source: str
    target: str
    """`label` (normal or anomalous) or `type`."""
    classes: int
    accuracy: float
    low: float
    high: float
    features: int

    @property
    def chance(self) -> float:
        """The balanced accuracy of a model that knows nothing; NaN where there is no choice."""
        return 1 / self.classes if self.classes > 1 else measures.NAN

    @property
    def result(self) -> str:
        """`clean`: it is at most a little above chance, surely. `leak`: it is more than that,
        surely. `open`: there is too little data to tell. `unknown`: nothing to compare.
        """
        if not np.isfinite(self.accuracy):
            return UNKNOWN
        if self.high <= self.chance + MARGIN:
            return CLEAN
        return LEAK if self.low > self.chance + MARGIN else OPEN

    def figures(self) -> dict[str, Any]:
        """As in evaluation.json."""
        return {
            "source": self.source,
            "target": self.target,
            "classes": self.classes,
            "chance": self.chance,
            "balanced_accuracy": self.accuracy,
            "low": self.low,
            "high": self.high,
            "limit": self.chance + MARGIN,
            "features": self.features,
            "result": self.result,
        }


def leaks(buckets: Buckets, groups: dict[str, Group], seed: int) -> list[Leak]:
    """For each group of features, and for all together, how well they tell label and type.
    `buckets` are evaluated ones, and features have as many rows.
    """
    parts = parts_of(buckets)
    together: Group = {name: of for group in groups.values() for name, of in group.items()}
    found = []
    for source, group in {**groups, "together": together}.items():
        values = np.stack(list(group.values()), axis=1) if group else np.zeros((len(buckets), 0))
        labels = np.where(buckets.anomalous, "anomalous", "normal").astype(object)
        for target, truth in (("label", labels), ("type", buckets.anomaly_type)):
            found.append(_leak(source, target, values, truth, buckets.episode, parts, seed))
    return found


def parts_of(buckets: Buckets) -> Integers:
    """Which buckets are tried together: those of whole runs, as neighbours in time are alike. Of a
    single run those of a fold.
    """
    runs = sorted(set(buckets.run.tolist()))
    if len(runs) < 2:
        return buckets.fold
    number = {run: place % _GROUPS for place, run in enumerate(runs)}
    return np.array([number[run] for run in buckets.run], np.int64)


def _leak(
    source: str,
    target: str,
    values: Floats,
    truth: Names,
    episode: Names,
    parts: Integers,
    seed: int,
) -> Leak:
    names = sorted(set(truth.tolist()))
    classes = [name for name in names if _is_tried(truth == name, parts, episode)]
    kept = np.isin(truth.astype(str), classes)
    if len(classes) < 2 or not values.shape[1]:
        nan = measures.NAN
        return Leak(source, target, len(classes), nan, nan, nan, values.shape[1])
    values, truth, episode, parts = values[kept], truth[kept], episode[kept], parts[kept]
    told = _told(values, truth, parts, seed)
    weights = measures.resampled(episode, _kinds(truth, episode), _RESAMPLES, seed)
    draws = np.nanmean(measures.class_recalls(truth, told, classes, weights), axis=1)
    low, high = np.quantile(draws, [0.05, 0.95])
    accuracy = measures.balanced_accuracy(truth, told, classes)
    return Leak(source, target, len(classes), accuracy, float(low), float(high), values.shape[1])


def _is_tried(of_class: Flags, parts: Integers, episode: Names) -> bool:
    """Whether a class is in several parts, so that it can be learned in one and tried in another,
    and in enough episodes.
    """
    episodes = set(episode[of_class].tolist())
    return len(np.unique(parts[of_class])) > 1 and len(episodes) >= _LEAST_EPISODES


def _told(values: Floats, truth: Names, parts: Integers, seed: int) -> Names:
    """What a random forest (Breiman 2001) says of each part, having learned from the others."""
    told = np.full(len(truth), "", dtype=object)
    for part in np.unique(parts):
        learn, try_ = parts != part, parts == part
        usual = np.nan_to_num(_median(values[learn]))
        filled = np.where(np.isfinite(values), values, usual)
        model = RandomForestClassifier(
            n_estimators=_TREES,
            min_samples_leaf=_LEAF,
            class_weight="balanced",
            random_state=seed + int(part),
        ).fit(filled[learn], truth[learn].astype(str))
        told[try_] = model.predict(filled[try_]).astype(object)
    return told


def _median(values: Floats) -> Floats:
    with warnings.catch_warnings():
        # Of a feature without any value it is missing.
        warnings.simplefilter("ignore", RuntimeWarning)
        median: Floats = np.nanmedian(values, axis=0)
    return median


def _kinds(truth: Names, episode: Names) -> Names:
    """What is in each bucket's episode: as many episodes of each kind are drawn as there are."""
    within: dict[str, set[str]] = {}
    for name, of in zip(episode, truth, strict=True):
        within.setdefault(name, set()).add(of)
    return np.array(["+".join(sorted(within[name])) for name in episode], dtype=object)


def verdict(found: Sequence[Leak]) -> tuple[bool, list[str]]:
    """Whether labels can't be told, and else why. All features together must be clean; those of one
    source alone must not be a sure leak.
    """
    why = []
    for leak in found:
        said = (
            f"{leak.source} tells the {leak.target}: balanced accuracy {leak.accuracy:.2f} "
            f"({leak.low:.2f}–{leak.high:.2f}) of {leak.classes} classes, "
            f"by chance {leak.chance:.2f}"
        )
        if leak.result == LEAK:
            why.append(said)
        elif leak.source == "together" and leak.result == OPEN:
            why.append(
                f"too few episodes to rule out that the {leak.target} is told by what was sent: "
                f"upper bound {leak.high:.2f}, allowed {leak.chance + MARGIN:.2f}"
            )
        elif leak.source == "together" and leak.result == UNKNOWN:
            why.append(f"nothing can be said of the {leak.target}: too few runs and episodes")
    return not why, why
