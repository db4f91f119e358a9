"""Whether a detector passes: the rules of FDES (M. A. Anjum), and one of our own.

INSUFFICIENT: the data can't tell. One class only; neither a usable score nor an alert; p > 0.5 with
F1 near the floor. Ours: 0.5 is in the interval of its AUC, or of the balanced accuracy of alerts
alone.
EXCLUDE: no better than knowing nothing, by §8a, §8b, by volume, degenerate, or alerts alone with a
lift of at most 1.
UNSTABLE: PASS with one length of window and EXCLUDE with another.
PASS: none of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loadgen.exam.arrays import Floats
    from loadgen.exam.measures import Confusion

PASS, EXCLUDE, INSUFFICIENT, UNSTABLE = "PASS", "EXCLUDE", "INSUFFICIENT", "UNSTABLE"

_AUC_OF_CHANCE = 0.5
_RECALL_OF_ALL = 0.95
_NEAR_FLOOR = 0.05
_NEAR_LIFT = 0.2
_AUC_DEGENERATE = 0.55
_SPREAD = 1e-6
_DISTINCT = 3
_LOW_RECALL = 0.5


@dataclass(frozen=True)
class Facts:
    """What the rules look at, of one detector and one length of window."""

    confusion: Confusion
    floor: float
    auc: float
    """Of alerts alone their balanced accuracy. NaN where there is none."""
    auc_low: float
    """Lower end of its 95 % interval."""
    scored: bool
    """It has scores, of at least three values."""
    spread: float
    """Of its scores, largest less smallest over their mean; NaN without scores."""
    raw: Confusion
    """With buckets as they are, not joined to longer windows."""


@dataclass(frozen=True)
class Verdict:
    """What the rules say, and why."""

    verdict: str
    reasons: tuple[str, ...]
    notices: tuple[str, ...] = ()


def usable(scores: Floats) -> bool:
    """Fewer than three values rank nothing: such scores are alerts."""
    return len(np.unique(scores)) >= _DISTINCT


def spread(scores: Floats) -> float:
    """How far scores are from each other, by their mean."""
    width, mean = float(np.ptp(scores)), abs(float(scores.mean()))
    return width / mean if mean else float("inf") if width else 0.0


def verdict_on(facts: Facts) -> Verdict:
    """The verdict for one length of window."""
    insufficient = _insufficient(facts)
    if insufficient:
        return Verdict(INSUFFICIENT, tuple(insufficient))
    reasons = _exclude(facts)
    if reasons:
        return Verdict(EXCLUDE, tuple(reasons))
    if facts.auc_low <= _AUC_OF_CHANCE:
        name = "AUC" if facts.scored else "the balanced accuracy of its alerts"
        return Verdict(
            INSUFFICIENT,
            (f"{name}, {facts.auc:.3f}, can't be told from chance: its interval begins at "
             f"{facts.auc_low:.3f}",),
        )  # fmt: skip
    return Verdict(PASS, (), tuple(_notices(facts)))


def _insufficient(facts: Facts) -> list[str]:
    counts = facts.confusion
    if not counts.tp + counts.fn:
        return ["nothing is anomalous"]
    if not counts.fp + counts.tn:
        return ["nothing is normal"]
    if counts.share > 0.5 and abs(counts.lift - 1) <= _NEAR_LIFT:
        return [
            f"{counts.share:.1%} are anomalous: flagging everything has an F1 of {facts.floor:.3f}"
        ]
    return []


def _exclude(facts: Facts) -> list[str]:
    counts, reasons = facts.confusion, []
    if not counts.fn + counts.tn:
        reasons.append("degenerate: flags everything")
    if not counts.tp + counts.fp:
        reasons.append("degenerate: flags nothing")
    if facts.spread <= _SPREAD:
        reasons.append("degenerate: its scores are all alike")
    if facts.scored and facts.auc <= _AUC_OF_CHANCE:
        reasons.append(f"§8a: AUC {facts.auc:.3f} is no better than chance, 0.5")
    if counts.recall >= _RECALL_OF_ALL and abs(counts.f1 / facts.floor - 1) <= _NEAR_FLOOR:
        reasons.append(
            f"§8b: recall {counts.recall:.2f} with F1 {counts.f1:.3f}, as flagging everything "
            f"has it ({facts.floor:.3f})"
        )
    if facts.scored and facts.auc <= _AUC_DEGENERATE and counts.f1 >= 0.95 * facts.floor:
        reasons.append(f"degenerate: AUC {facts.auc:.3f} with an F1 at the floor or above")
    # Joining buckets makes each alert longer, so those as they are must break the rule, too.
    if all(of.alerted_share**2 >= 2 * of.share for of in (counts, facts.raw)):
        reasons.append(
            f"volume: {counts.alerted_share:.1%} are flagged where {counts.share:.1%} are anomalous"
        )
    if not facts.scored and counts.lift <= 1 and not reasons:
        reasons.append(f"alerts alone, with F1 at or below the floor (lift {counts.lift:.2f})")
    return reasons


def _notices(facts: Facts) -> list[str]:
    counts, notices = facts.confusion, []
    if abs(counts.lift - 1) <= _NEAR_LIFT:
        notices.append(f"F1 is within 20 % of the floor (lift {counts.lift:.2f})")
    if counts.lift <= 1:
        notices.append(f"F1 is at or below the floor (lift {counts.lift:.2f})")
    if counts.recall < _LOW_RECALL:
        notices.append(f"recall is below one half ({counts.recall:.2f})")
    return notices


def over_windows(verdicts: Mapping[int, Verdict], own: int) -> Verdict:
    """The verdict over several lengths of window, in seconds: that of `own`, unless it flips."""
    said = {of.verdict for of in verdicts.values()}
    if {PASS, EXCLUDE} <= said:
        each = ", ".join(f"{seconds} s {of.verdict}" for seconds, of in sorted(verdicts.items()))
        return Verdict(UNSTABLE, (f"the verdict depends on the length of the window: {each}",))
    return verdicts[own]
