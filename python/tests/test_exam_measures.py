"""Formulas against figures worked out by hand, and against scikit-learn."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn import metrics

from loadgen.exam import measures, rules

if TYPE_CHECKING:
    from loadgen.exam.arrays import Flags, Floats

LABELS = np.array([True, True, False, False, True, False, False, False])
SCORES = np.array([0.9, 0.4, 0.4, 0.1, 0.8, 0.85, 0.2, 0.3])


def drawn(seed: int) -> tuple[Flags, Floats]:
    random = np.random.default_rng(seed)
    labels = random.random(200) < 0.2
    # With ties.
    return labels, np.round(random.normal(size=200) + labels, 1)


def test_a_confusion_by_hand() -> None:
    alerts = np.array([True, False, True, False, True, False, False, False])
    counts = measures.confusion(LABELS, alerts)
    assert counts == measures.Confusion(tp=2, fp=1, fn=1, tn=4)
    assert counts.share == 3 / 8
    assert counts.alerted_share == 3 / 8
    assert counts.precision == counts.recall == 2 / 3
    assert counts.f1 == pytest.approx(2 / 3)
    assert counts.false_positive_rate == 1 / 5
    assert counts.lift == pytest.approx((2 / 3) / (6 / 11))


def test_the_floor_is_that_of_the_rules() -> None:
    # FDES §2: 0.020 at 1 %, 0.095 at 5 %, 0.182 at 10 %, 0.333 at 20 %.
    floors = [round(measures.floor(p), 3) for p in (0.01, 0.05, 0.1, 0.2)]
    assert floors == [0.02, 0.095, 0.182, 0.333]
    everything = measures.confusion(LABELS, np.ones(8, bool))
    assert everything.f1 == pytest.approx(measures.floor(3 / 8))
    assert everything.lift == pytest.approx(1.0)


def test_where_nothing_is_flagged_there_is_no_precision() -> None:
    nothing = measures.confusion(LABELS, np.zeros(8, bool))
    assert math.isnan(nothing.precision)
    assert nothing.f1 == 0.0


def test_auc_by_hand() -> None:
    # 15 pairs: 0.9 wins 5, 0.8 wins 4, 0.4 wins 3 and ties 1.
    assert measures.auc_roc(LABELS, SCORES) == pytest.approx(12.5 / 15)


@pytest.mark.parametrize("seed", range(5))
def test_areas_are_those_of_scikit_learn(seed: int) -> None:
    labels, scores = drawn(seed)
    assert measures.auc_roc(labels, scores) == pytest.approx(metrics.roc_auc_score(labels, scores))
    area = measures.pr_auc(labels, scores)
    assert area == pytest.approx(metrics.average_precision_score(labels, scores))
    rates, recalls = measures.roc_curve(labels, scores)
    assert np.trapezoid(recalls, rates) == pytest.approx(measures.auc_roc(labels, scores))


def test_only_buckets_of_one_fold_are_compared() -> None:
    labels = np.array([True, False, True, False])
    # Each fold is in perfect order, on a scale of its own.
    scores = np.array([2.0, 1.0, 20.0, 10.0])
    assert measures.auc_roc(labels, scores) == 0.75
    assert measures.stratified_auc(labels, scores, np.array([0, 0, 1, 1])) == 1.0


def test_weights_count_as_copies() -> None:
    labels, scores = drawn(7)
    weights = np.random.default_rng(1).integers(0, 4, size=200)
    copies = np.repeat(np.arange(200), weights)
    won, pairs = measures.stratified_pairs(
        labels, scores, np.zeros(200, int), weights[None, :].astype(float)
    )
    assert won[0] / pairs[0] == pytest.approx(measures.auc_roc(labels[copies], scores[copies]))


def test_the_best_threshold_is_found_by_trying_all() -> None:
    labels, scores = drawn(3)
    threshold, f1 = measures.best_threshold(labels, scores)
    tried = {at: metrics.f1_score(labels, scores >= at) for at in np.unique(scores)}
    assert f1 == pytest.approx(max(tried.values()))
    assert tried[threshold] == pytest.approx(f1)
    assert measures.best_threshold(np.zeros(3, bool), np.arange(3.0))[0] == math.inf


def test_prevalence_changes_the_weight_of_normal_buckets() -> None:
    # Recall 0.8, false positives 0.1; at p = 0.5 precision is 0.4 / 0.45.
    precision, f1 = measures.at_prevalence(0.8, 0.1, 0.5)
    assert precision == pytest.approx(8 / 9)
    assert f1 == pytest.approx(2 * (8 / 9) * 0.8 / (8 / 9 + 0.8))
    # At their own share it is what is counted.
    counts = measures.confusion(*(drawn(4)[0], drawn(5)[0]))
    own = measures.at_prevalence(counts.recall, counts.false_positive_rate, counts.share)
    assert own == pytest.approx((counts.precision, counts.f1))


def test_the_best_rule_of_one_line() -> None:
    labels = np.array([True, True, False, False, False])
    # From above, from below, and not at all.
    rising = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    assert measures.best_rule(labels, -rising) == measures.Rule(1.0, True, -2.0)
    assert measures.best_rule(labels, rising) == measures.Rule(1.0, False, 2.0)
    assert measures.best_rule(labels, np.ones(5)).f1 == pytest.approx(4 / 7)
    # A missing value is never flagged: one of two is found.
    missing = np.array([9.0, np.nan, 1.0, 2.0, 3.0])
    rule = measures.best_rule(labels, missing)
    assert rule.f1 == pytest.approx(2 / 3)
    assert rule.alerts(missing).tolist() == [True, False, False, False, False]
    assert measures.best_rule(labels, np.full(5, np.nan)).f1 == 0.0


@pytest.mark.parametrize("seed", range(3))
def test_a_rule_has_the_f1_that_it_says(seed: int) -> None:
    labels, values = drawn(seed)
    for sign in (1, -1):
        rule = measures.best_rule(labels, sign * values)
        assert measures.confusion(labels, rule.alerts(sign * values)).f1 == pytest.approx(rule.f1)


def test_balanced_accuracy_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(2)
    truth = random.choice(["a", "b", "c"], 300, p=[0.7, 0.2, 0.1]).astype(object)
    told = random.choice(["a", "b", "c"], 300).astype(object)
    expected = metrics.balanced_accuracy_score(truth.astype(str), told.astype(str))
    assert measures.balanced_accuracy(truth, told, ["a", "b", "c"]) == pytest.approx(expected)


def test_whole_groups_are_drawn_again_as_many_of_each_kind() -> None:
    groups = np.array(["a", "a", "b", "c", "c", "c"], dtype=object)
    kinds = np.array(["x", "x", "x", "y", "y", "y"], dtype=object)
    weights = measures.resampled(groups, kinds, 50, seed=1)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 0] + weights[:, 2] == 2).all()
    assert (weights[:, 3] == 1).all()


def facts(labels: Flags, scores: Floats | None, alerts: Flags) -> str:
    counts = measures.confusion(labels, alerts)
    scored = scores is not None and rules.usable(scores)
    auc = measures.auc_roc(labels, scores) if scored and scores is not None else math.nan
    spread = rules.spread(scores) if scores is not None else math.nan
    of = rules.Facts(counts, measures.floor(counts.share), auc, auc, scored, spread, counts)
    return rules.verdict_on(of).verdict


def labels_of(anomalous: int, of: int) -> Flags:
    return np.arange(of) < anomalous


def test_who_flags_everything_or_nothing_is_found_out() -> None:
    labels = labels_of(10, 100)
    assert facts(labels, None, np.ones(100, bool)) == rules.EXCLUDE
    assert facts(labels, None, np.zeros(100, bool)) == rules.EXCLUDE
    assert facts(labels, np.ones(100), np.ones(100, bool)) == rules.EXCLUDE


def test_a_good_detector_passes_and_a_reversed_one_does_not() -> None:
    labels = labels_of(10, 100)
    scores = np.linspace(1, 0, 100)
    assert facts(labels, scores, scores > 0.9) == rules.PASS
    assert facts(labels, -scores, -scores > -0.1) == rules.EXCLUDE


def test_alerts_alone_must_be_above_the_floor() -> None:
    labels = labels_of(10, 100)
    assert facts(labels, None, np.arange(100) < 12) == rules.PASS
    # One of ten flagged and anomalous, as by chance: F1 0.1, floor 0.182.
    assert facts(labels, None, np.arange(100) % 10 == 0) == rules.EXCLUDE


def test_too_many_alerts_are_found_out_by_volume() -> None:
    # §8b: 0.141 at 1 %, 0.316 at 5 %, 0.5 at 12.5 %.
    for p, bar in ((0.01, 0.141), (0.05, 0.316), (0.125, 0.5)):
        labels = labels_of(int(p * 1000), 1000)
        scores = np.linspace(1, 0, 1000)
        assert facts(labels, scores, np.arange(1000) < 1000 * bar + 2) == rules.EXCLUDE
        assert facts(labels, scores, np.arange(1000) < 1000 * bar - 2) == rules.PASS


def test_what_the_data_cannot_tell_never_passes() -> None:
    scores = np.linspace(1, 0, 100)
    assert facts(np.zeros(100, bool), scores, scores > 0.9) == rules.INSUFFICIENT
    assert facts(np.ones(100, bool), scores, scores > 0.9) == rules.INSUFFICIENT
    # 96 % anomalous: all that flags nearly everything looks good.
    assert facts(labels_of(96, 100), scores, scores > 0.03) == rules.INSUFFICIENT


def test_a_verdict_that_flips_is_unstable() -> None:
    passed, excluded = rules.Verdict(rules.PASS, ()), rules.Verdict(rules.EXCLUDE, ("§8a",))
    assert rules.over_windows({5: passed, 60: excluded}, 5).verdict == rules.UNSTABLE
    assert rules.over_windows({5: passed, 60: passed}, 5) == passed
    unknown = rules.Verdict(rules.INSUFFICIENT, ("nothing is normal",))
    assert rules.over_windows({5: passed, 60: unknown}, 5).verdict == rules.PASS


def test_alerts_alone_that_may_be_luck_are_no_pass() -> None:
    counts = measures.Confusion(tp=12, fp=28, fn=8, tn=52)
    assert counts.lift > 1

    def verdict(low: float) -> str:
        floor = measures.floor(counts.share)
        facts = rules.Facts(counts, floor, 0.625, low, False, math.nan, counts)
        return rules.verdict_on(facts).verdict

    assert verdict(0.49) == rules.INSUFFICIENT
    assert verdict(0.51) == rules.PASS
