"""One detector evaluated: its scores and alerts over all buckets → measures and verdict."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from loadgen.cases import SECOND
from loadgen.exam import measures, rules
from loadgen.exam.buckets import SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadgen.exam.arrays import Flags, Floats, Integers, Names
    from loadgen.exam.buckets import Buckets, Injection

PREVALENCES = (0.01, 0.05, 0.10, 0.20)
_RESAMPLES = 500
_CURVE = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True)
class Scored:
    """What a detector says of each bucket. Buckets that it says nothing of have no alert, and NaN
    for a score.
    """

    alerts: Flags
    scores: Floats | None = None
    thresholds: tuple[float | None, ...] = ()
    """By fold, from which score on it alerts; None where its alerts are its own."""


@dataclass(frozen=True)
class Sample:
    """Evaluated windows of one length. Arrays have as many rows."""

    labels: Flags
    alerts: Flags
    scores: Floats | None
    fold: Integers
    episode: Names
    anomaly_type: Names


def sample(buckets: Buckets, scored: Scored, evaluated: Flags, seconds: int = SECONDS) -> Sample:
    """Evaluated buckets joined to windows of some seconds. One is anomalous if any of its buckets
    is, alerted if any is, and has the highest of their scores.
    """
    rows = np.flatnonzero(evaluated)
    _, run = np.unique(buckets.run[rows].astype(str), return_inverse=True)
    places = np.stack([run, buckets.start_ns[rows] // (seconds * SECOND)], axis=1)
    # The anomalous part first: fold, episode and type of a window are those of its first row.
    order = np.lexsort((~buckets.anomalous[rows], places[:, 1], places[:, 0]))
    rows, places = rows[order], places[order]
    new = np.concatenate([[True], (np.diff(places, axis=0) != 0).any(axis=1)])
    starts = np.flatnonzero(new[: len(rows)])
    first = rows[starts]
    scores = None
    if scored.scores is not None:
        scores = np.maximum.reduceat(scored.scores[rows], starts) if len(rows) else np.zeros(0)
    alerts = np.logical_or.reduceat(scored.alerts[rows], starts) if len(rows) else np.zeros(0, bool)
    return Sample(
        labels=buckets.anomalous[first],
        alerts=alerts,
        scores=scores,
        fold=buckets.fold[first],
        episode=buckets.episode[first],
        anomaly_type=buckets.anomaly_type[first],
    )


def evaluate_detector(
    buckets: Buckets,
    injections: Sequence[Injection],
    scored: Scored,
    evaluated: Flags,
    windows: Sequence[int],
    seed: int,
) -> dict[str, Any]:
    """All that is said of a detector, as it goes into evaluation.json."""
    samples = {seconds: sample(buckets, scored, evaluated, seconds) for seconds in windows}
    own = samples[SECONDS]
    raw = measures.confusion(own.labels, own.alerts)
    by_window = {seconds: _window(of, raw, seed) for seconds, of in samples.items()}
    verdicts = {seconds: verdict for seconds, (_, verdict) in by_window.items()}
    verdict = rules.over_windows(verdicts, SECONDS)
    episodes = set(buckets.episode[evaluated].tolist())
    of_evaluated = [injection for injection in injections if injection.episode in episodes]
    return {
        "verdict": verdict.verdict,
        "reasons": list(verdict.reasons),
        "notices": list(verdict.notices),
        "thresholds": list(scored.thresholds),
        **by_window[SECONDS][0],
        "prevalence": _prevalence(raw),
        "folds": _folds(own),
        "families": _families(own, buckets, of_evaluated, scored.alerts),
        "detection": _detection(buckets, of_evaluated, scored.alerts),
        "undisturbed": _undisturbed(buckets, of_evaluated, scored.alerts, evaluated),
        "windows": {
            str(seconds): {**figures, "verdict": verdicts[seconds].verdict}
            for seconds, (figures, _) in by_window.items()
        },
        "curves": _curves(own),
    }


def _window(of: Sample, raw: measures.Confusion, seed: int) -> tuple[dict[str, Any], rules.Verdict]:
    """Figures and verdict for one length of window."""
    counts = measures.confusion(of.labels, of.alerts)
    floor = measures.floor(counts.share)
    auc = low = high = area = chance = spread = measures.NAN
    scored = of.scores is not None and len(of.scores) > 0 and rules.usable(of.scores)
    if of.scores is not None and len(of.scores):
        spread = rules.spread(of.scores)
    if of.scores is not None and scored:
        auc = measures.stratified_auc(of.labels, of.scores, of.fold)
        low, high = _auc_interval(of, of.scores, seed)
        area, chance = _pr(of, of.scores)
    facts = rules.Facts(counts, floor, auc, low, scored, spread, raw)
    if not scored:
        # What alerts alone are worth: the area under their one point is the balanced accuracy.
        alerts = of.alerts.astype(np.float64)
        worth = measures.stratified_auc(of.labels, alerts, of.fold)
        facts = replace(facts, auc=worth, auc_low=_auc_interval(of, alerts, seed)[0])
    figures = {
        "judged": int(counts.total),
        "anomalous": int(counts.tp + counts.fn),
        "p": counts.share,
        "alerted": counts.alerted_share,
        "precision": counts.precision,
        "recall": counts.recall,
        "false_positive_rate": counts.false_positive_rate,
        "f1": counts.f1,
        "f1_floor": floor,
        "lift": counts.lift,
        "auc_roc": auc,
        "auc_roc_low": low,
        "auc_roc_high": high,
        "auc_roc_chance": 0.5,
        "pr_auc": area,
        "pr_auc_chance": chance,
        "pr_auc_normalised": measures.normalised_pr(area, chance),
    }
    return figures, rules.verdict_on(facts)


def _auc_interval(of: Sample, scores: Floats, seed: int) -> tuple[float, float]:
    """95 % interval of the AUC, by a bootstrap of whole episodes."""
    anomalous = set(of.episode[of.labels].tolist())
    kinds = np.array([str(name in anomalous) for name in of.episode], dtype=object)
    weights = measures.resampled(of.episode, kinds, _RESAMPLES, seed)
    won, pairs = measures.stratified_pairs(of.labels, scores, of.fold, weights)
    known = pairs > 0
    if not known.any():
        return measures.NAN, measures.NAN
    low, high = np.quantile(won[known] / pairs[known], [0.025, 0.975])
    return float(low), float(high)


def _pr(of: Sample, scores: Floats) -> tuple[float, float]:
    """PR-AUC and p, both as the mean over the folds that have something anomalous."""
    areas, chances = [], []
    for fold in np.unique(of.fold):
        inside = of.fold == fold
        if of.labels[inside].any():
            areas.append(measures.pr_auc(of.labels[inside], scores[inside]))
            chances.append(float(of.labels[inside].mean()))
    return (float(np.mean(areas)), float(np.mean(chances))) if areas else (np.nan, np.nan)


def _prevalence(raw: measures.Confusion) -> list[dict[str, float]]:
    figures = []
    for p in PREVALENCES:
        precision, f1 = measures.at_prevalence(raw.recall, raw.false_positive_rate, p)
        figures.append({"p": p, "precision": precision, "f1": f1, "f1_floor": measures.floor(p)})
    return figures


def _folds(of: Sample) -> list[dict[str, Any]]:
    figures = []
    for fold in np.unique(of.fold):
        inside = of.fold == fold
        counts = measures.confusion(of.labels[inside], of.alerts[inside])
        auc = measures.NAN
        if of.scores is not None and rules.usable(of.scores):
            auc = measures.auc_roc(of.labels[inside], of.scores[inside])
        figures.append(
            {
                "fold": int(fold),
                "judged": int(counts.total),
                "anomalous": int(counts.tp + counts.fn),
                "precision": counts.precision,
                "recall": counts.recall,
                "f1": counts.f1,
                "f1_floor": measures.floor(counts.share),
                "auc_roc": auc,
            }
        )
    return figures


def _families(
    of: Sample, buckets: Buckets, injections: Sequence[Injection], alerts: Flags
) -> list[dict[str, Any]]:
    """For each anomaly type: its own buckets against all normal ones."""
    figures = []
    for family in sorted(set(of.anomaly_type[of.labels].tolist())):
        own = of.labels & (of.anomaly_type == family)
        compared = own | ~of.labels
        auc = measures.NAN
        if of.scores is not None and rules.usable(of.scores):
            auc = measures.stratified_auc(own[compared], of.scores[compared], of.fold[compared])
        delays = [
            first_alert(buckets, injection, alerts)
            for injection in injections
            if injection.anomalous and injection.episode in set(of.episode[own].tolist())
        ]
        found = [delay for delay in delays if delay is not None]
        figures.append(
            {
                "anomaly_type": family,
                "buckets": int(own.sum()),
                "recall": measures.ratio(float((own & of.alerts).sum()), float(own.sum())),
                "auc_roc": auc,
                "episodes": len(delays),
                "detected": len(found),
                "median_delay_s": measures.quantiles(found, [0.5])[0],
            }
        )
    return figures


def first_alert(buckets: Buckets, injection: Injection, alerts: Flags) -> float | None:
    """Seconds from the injection to the end of the first alerted bucket that meets it; none: no
    alert before it was cleared. A bucket can be evaluated only when it is over.
    """
    within = (
        (buckets.run == injection.run)
        & (buckets.end_ns > injection.begin_ns)
        & (buckets.start_ns < injection.end_ns)
        & alerts
    )
    if not within.any():
        return None
    return float(buckets.end_ns[within].min() - injection.begin_ns) / SECOND


def _detection(buckets: Buckets, injections: Sequence[Injection], alerts: Flags) -> dict[str, Any]:
    """How many injections were noticed while they lasted, and how soon."""
    delays = [first_alert(buckets, of, alerts) for of in injections if of.anomalous]
    found = sorted(delay for delay in delays if delay is not None)
    names = ("p10", "p50", "p90")
    at = measures.quantiles(found, (0.1, 0.5, 0.9))
    return {
        "injections": len(delays),
        "detected": len(found),
        "rate": measures.ratio(len(found), len(delays)),
        **{f"delay_{name}_s": value for name, value in zip(names, at, strict=True)},
        "delays_s": found,
    }


def _undisturbed(
    buckets: Buckets, injections: Sequence[Injection], alerts: Flags, evaluated: Flags
) -> dict[str, Any]:
    """Alarms where nothing was wrong: in windows that inject nothing, and in an hour of it.
    That a window has an alert by chance is what the rate of detections has to be seen beside.
    """
    normal = evaluated & ~buckets.anomalous
    hours = float(normal.sum()) * SECONDS / 3600
    figures: dict[str, Any] = {
        "false_alarms_per_hour": measures.ratio(float((normal & alerts).sum()), hours)
    }
    for standing in ("sham", "harmless"):
        those = [of for of in injections if of.standing == standing]
        alarmed = [of for of in those if first_alert(buckets, of, alerts) is not None]
        figures[standing] = {
            "windows": len(those),
            "alarmed": len(alarmed),
            "rate": measures.ratio(len(alarmed), len(those)),
        }
    return figures


def _curves(of: Sample) -> dict[str, Any]:
    """ROC and precision-recall curves, averaged over folds at fixed places (Fawcett 2006)."""
    if of.scores is None or not rules.usable(of.scores):
        return {}
    recalls, precisions = [], []
    for fold in np.unique(of.fold):
        inside = of.fold == fold
        labels, scores = of.labels[inside], of.scores[inside]
        if len(np.unique(labels)) < 2:
            continue
        recalls.append(np.interp(_CURVE, *measures.roc_curve(labels, scores)))
        recall, precision = measures.pr_curve(labels, scores)
        # The best precision that can be had at a recall or above.
        reached = np.maximum.accumulate(precision[::-1])[::-1]
        precisions.append(reached[np.searchsorted(recall, _CURVE).clip(max=len(recall) - 1)])
    if not recalls:
        return {}
    return {
        "at": _CURVE.tolist(),
        "recall_by_false_positive_rate": np.mean(recalls, axis=0).tolist(),
        "precision_by_recall": np.mean(precisions, axis=0).tolist(),
    }
