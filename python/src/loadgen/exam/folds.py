"""Which buckets a detector learns from, which set its threshold, and which it is evaluated on.

Folds are made of whole episodes, by repetition of the injection (FDES §5.1): what is learned of one
repetition of a fault is tried on another. Test is fold k, the threshold is chosen on fold k + 1,
and the rest is for training.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from loadgen.cases import SECOND
from loadgen.exam.buckets import SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from loadgen.exam.arrays import Flags, Names
    from loadgen.exam.buckets import Buckets, Injection

FOLDS = 5
EMBARGO_S = 10
"""Training keeps this far from what is tested, as neighbours in time are alike."""


@dataclass(frozen=True)
class Fold:
    """One round. Flags of evaluated buckets, but for `test`, which has all of its episodes."""

    number: int
    train: Flags
    validation: Flags
    test: Flags


def with_folds(buckets: Buckets, injections: Sequence[Injection]) -> Buckets:
    """The buckets with the folds that the dataset has; with our own where it has none.

    Our own: episodes are put into groups by fault (shams apart; those without an injection are a
    group, too) and dealt out to folds one by one, group after group, each in the order of run and
    time. So repetitions of a fault are in different folds, and few episodes leave no fold empty.
    """
    if (buckets.fold >= 0).any():
        return buckets
    kinds: dict[str, set[str]] = defaultdict(set)
    for injection in injections:
        mark = "" if injection.anomalous else f"{injection.standing} "
        kinds[injection.episode].add(mark + injection.anomaly_type)
    # Names of episodes sort in the order of run and time.
    episodes = sorted(set(buckets.episode.tolist()) - {""})
    by_group = sorted((sorted(kinds[episode]), episode) for episode in episodes)
    fold_of = {episode: place % FOLDS for place, (_, episode) in enumerate(by_group)}
    fold_of[""] = -1
    folds = np.array([fold_of[episode] for episode in buckets.episode], np.int64)
    return replace(buckets, fold=folds)


def rounds(buckets: Buckets) -> Iterator[Fold]:
    """A round for each fold that has something to evaluate."""
    for number in range(FOLDS):
        of_test = buckets.fold == number
        of_validation = buckets.fold == (number + 1) % FOLDS
        if not (of_test & buckets.evaluated).any():
            continue
        rest = buckets.evaluated & (buckets.fold >= 0) & ~of_test & ~of_validation
        validation = buckets.evaluated & of_validation & ~_near(buckets, of_test)
        train = rest & ~_near(buckets, of_test | of_validation)
        yield Fold(number, train, validation, of_test)


def why_not_trainable(buckets: Buckets) -> str | None:
    """Why detectors can't be trained on all but a fold; nothing if they can."""
    for fold in rounds(buckets):
        if not (fold.train & ~buckets.anomalous).any():
            return (
                f"there is no normal time to learn from where fold {fold.number} is tested: "
                "it takes more runs or more episodes"
            )
    return None


def split_of(buckets: Buckets) -> Names:
    """`train`, `validation` or `test` of each bucket: the dataset's. Where it has none, fold 4 is
    for test and 3 for validation.
    """
    if (buckets.split != "").any():
        return buckets.split
    names = np.array(["train", "train", "train", "validation", "test", ""], dtype=object)
    return names[buckets.fold]


def _near(buckets: Buckets, others: Flags) -> Flags:
    """Which buckets are less than the embargo away from one of the others in their run."""
    near = np.zeros(len(buckets), bool)
    for run in set(buckets.run.tolist()):
        inside = np.flatnonzero(buckets.run == run)
        times = np.sort(buckets.start_ns[inside][others[inside]])
        if not len(times):
            continue
        own = buckets.start_ns[inside]
        after = np.searchsorted(times, own)
        to_next = times[np.minimum(after, len(times) - 1)] - own
        to_last = own - times[np.maximum(after - 1, 0)]
        away = np.minimum(np.abs(to_next), np.abs(to_last))
        near[inside] = away - SECONDS * SECOND < EMBARGO_S * SECOND
    return near
