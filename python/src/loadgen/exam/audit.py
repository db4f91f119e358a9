"""Whether a dataset is fit for an exam: something can be learned, and only what should be."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from loadgen.exam import leakage, measures, offered, triviality

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loadgen.exam.buckets import Buckets, Injection
    from loadgen.exam.offered import Requests

_REPETITIONS = 2
"""Fewer and nothing that is learned of a fault can be tried on another one of its kind."""


@dataclass(frozen=True)
class Check:
    """One question to the dataset."""

    name: str
    title: str
    passed: bool
    told: tuple[str, ...]
    """What was found, as sentences."""
    figures: dict[str, Any] = field(default_factory=dict)


def why_not_learnable(buckets: Buckets, injections: Sequence[Injection]) -> str | None:
    """Why there is nothing to learn in a dataset; nothing if there is something."""
    evaluated = buckets.take(buckets.evaluated)
    if not len(evaluated):
        return "no bucket is settled and has a label"
    if not evaluated.anomalous.any():
        return "no evaluated bucket is anomalous"
    if evaluated.anomalous.all():
        return "no evaluated bucket is normal"
    if not any(of.standing in ("backed", "weak_intensity") for of in injections):
        return "the evidence backs none of the windows that declare an anomaly"
    return None


def audit(
    buckets: Buckets,
    injections: Sequence[Injection],
    requests: Requests | None,
    seed: int,
    say: Callable[[str], None],
) -> list[Check]:
    """All checks, in the order in which they are told."""
    checks = [_learnable(buckets, injections)]
    evaluated = buckets.take(buckets.evaluated)
    if not len(evaluated) or len(np.unique(evaluated.anomalous)) < 2:
        return checks
    checks += [_repetitions(injections), _density(evaluated), _position(evaluated, seed)]
    say("audit: what the offered load tells")
    checks.append(_leaks(buckets, requests, seed))
    say("audit: rules of one line")
    checks.append(_one_line(evaluated))
    return checks


def _learnable(buckets: Buckets, injections: Sequence[Injection]) -> Check:
    why = why_not_learnable(buckets, injections)
    told = f"nothing can be learned: {why}" if why else "some windows have a fault that shows"
    return Check("learnable", "Is there anything to learn?", why is None, (told,))


def _repetitions(injections: Sequence[Injection]) -> Check:
    times = Counter(of.anomaly_type for of in injections if of.anomalous)
    once = sorted(name for name, count in times.items() if count < _REPETITIONS)
    passed = 2 * len(once) <= len(times)
    told = f"{len(times)} types, each injected {min(times.values())} to {max(times.values())} times"
    if once:
        told += f"; only once: {', '.join(once)}"
    return Check(
        "repetitions",
        "Is each fault injected more than once?",
        passed,
        (told,),
        {"injections": dict(sorted(times.items()))},
    )


def _density(evaluated: Buckets) -> Check:
    p = float(evaluated.anomalous.mean())
    told = f"{p:.1%} of the evaluated buckets are anomalous"
    if triviality.is_dense(p):
        told += f": flagging everything has an F1 of {measures.floor(p):.3f}"
    return Check(
        "density",
        "Is most of the time normal?",
        not triviality.is_dense(p),
        (told,),
        {"p": p, "f1_floor": measures.floor(p)},
    )


def _position(evaluated: Buckets, seed: int) -> Check:
    figures = triviality.position(evaluated, seed)
    told = (
        f"an anomalous bucket is later in its run than a normal one in {figures['later']:.0%} of "
        f"pairs ({figures['low']:.0%} to {figures['high']:.0%})"
    )
    passed = not triviality.is_at_one_end(figures)
    return Check("position", "Are anomalies anywhere in a run?", passed, (told,), figures)


def _leaks(buckets: Buckets, requests: Requests | None, seed: int) -> Check:
    # Features look at neighbours, so they are made before buckets are left out.
    rows = buckets.evaluated
    groups = {
        source: {name: values[rows] for name, values in group.items()}
        for source, group in offered.features_of(buckets, requests).items()
    }
    evaluated = buckets.take(rows)
    found = leakage.leaks(evaluated, groups, seed)
    passed, told = leakage.verdict(found)
    known = set(requests.run.tolist()) if requests else set()
    unknown = sorted(set(evaluated.run.tolist()) - known)
    if unknown:
        told.append(
            f"of {len(unknown)} runs it is not known what was sent, such as {unknown[0]}: build "
            "the dataset again, with the folders of its runs"
        )
    figures: dict[str, Any] = {
        "runs_without_requests": unknown,
        "margin": leakage.MARGIN,
        "leaks": [leak.figures() for leak in found],
    }
    if requests is not None:
        sent = {
            name: values[rows] for name, values in offered.counts_as_sent(buckets, requests).items()
        }
        of_sent = leakage.leaks(evaluated, {"as sent": sent}, seed)
        figures["as_sent"] = [leak.figures() for leak in of_sent if leak.source == "as sent"]
    if passed and not unknown:
        told.append("what was sent, and when, does not tell the labels")
    return Check(
        "leaks",
        "Is the offered load silent about the labels?",
        passed and not unknown,
        tuple(told),
        figures,
    )


def _one_line(evaluated: Buckets) -> Check:
    rules = triviality.one_line_rules(evaluated)
    one_for_all = triviality.one_rule_for_all(evaluated)
    tried = [rule for rule in rules if rule["judged"]]
    limit = triviality.MOST_F1
    easy = [rule for rule in tried if rule["f1_on_other_folds"] > limit]
    fitted = [rule for rule in tried if rule["f1"] > limit]
    hard = len(tried) - len(easy)
    told = [
        f"in {hard} of {len(tried)} fault families no rule of one feature and one threshold that "
        f"was found on other folds has an F1 above {limit}; in {len(tried) - len(fitted)} none, "
        "not even one that was fitted to its own buckets"
    ]
    if easy:
        named = ", ".join(f"{of['anomaly_type']} ({of['rule']})" for of in easy)
        told.append(f"one line is enough for {named}")
    told.append(
        f"for all anomalies together the best is {one_for_all['rule']}, with an F1 of "
        f"{one_for_all['f1']:.2f}"
    )
    if len(tried) < len(rules):
        told.append(f"{len(rules) - len(tried)} have too few buckets to tell")
    return Check(
        "one_line",
        "Does it take more than one line?",
        bool(tried) and 2 * hard >= len(tried),
        tuple(told),
        {"limit": limit, "rules": rules, "one_for_all": one_for_all},
    )
