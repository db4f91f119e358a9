"""The exam of a dataset, from its folder to the files of the result."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import sklearn

import loadgen
from loadgen.errors import LoadgenError, OptionError
from loadgen.exam import audit as audits
from loadgen.exam import folds, given, measures, offered, page, root_cause, rules, text
from loadgen.exam.buckets import SECONDS, Buckets, Injection, buckets_of, injections_of
from loadgen.exam.detectors import DETECTORS, Detector
from loadgen.exam.evaluation import Scored, evaluate_detector

if TYPE_CHECKING:
    from pathlib import Path

    from loadgen.dataset import Dataset
    from loadgen.exam.arrays import Flags, Floats

PARTS = ("audit", "detectors", "root_cause")
VERSION = 1
_FALLBACK = 0.99
"""Where the validation fold has nothing anomalous: the quantile of its scores to alert from."""


@dataclass(frozen=True)
class Options:
    """What is asked for."""

    folder: Path
    out: Path
    scores: Path | None = None
    split: str = "all"
    """Which buckets are evaluated: `all`, by folds, or only those of the split `test`."""
    only: tuple[str, ...] = ()
    """Parts, or names of detectors; none: everything."""
    windows: tuple[int, ...] = (5, 10, 30, 60)
    """Lengths of windows in seconds; multiples of a bucket."""
    seed: int = 42
    quiet: bool = False


@dataclass
class Exam:
    """The material of an exam."""

    options: Options
    dataset: Dataset[Any]
    buckets: Buckets
    injections: list[Injection]
    evaluated: Flags
    untrainable: str | None
    """Why no detector can be trained."""
    scores: dict[str, Scored] = field(default_factory=dict)

    def say(self, text: str) -> None:
        """Progress, for people."""
        if not self.options.quiet:
            print(f"exam: {text}", file=sys.stderr, flush=True)

    def wants(self, part: str) -> bool:
        """Whether a part is asked for."""
        only = self.options.only
        if not only:
            # Whoever brings scores wants them evaluated, not our detectors.
            return part != "root_cause" or self.options.scores is None
        return part in only or (part == "detectors" and any(name in DETECTORS for name in only))


def evaluate(options: Options) -> dict[str, Any]:
    """Holds the exam, writes its files, and gives what is in evaluation.json."""
    exam = _prepare(options)
    result: dict[str, Any] = {
        "version": VERSION,
        "dataset": options.folder.resolve().name,
        "seed": options.seed,
        "split": options.split,
        "windows_s": list(options.windows),
        "made_with": {"scikit-learn": sklearn.__version__, "numpy": np.__version__},
        "data": _data(exam),
    }
    why = audits.why_not_learnable(exam.buckets, exam.injections)
    result["nothing_to_learn"] = why
    result["untrainable"] = exam.untrainable
    if exam.wants("audit"):
        requests = offered.requests_of(exam.dataset)
        checks = audits.audit(exam.buckets, exam.injections, requests, options.seed, exam.say)
        result["audit"] = [asdict(check) for check in checks]
    if why is None:
        result["detectors"] = _detectors(exam)
    # Cases are windows: they need no bucket that can be evaluated.
    if exam.wants("root_cause"):
        result["root_cause"] = root_cause.evaluate(exam.dataset, exam.say)
    result["passed"], result["why"] = _passed(result, options)
    result = _plain(result)
    _write(exam, result)
    return result


def _prepare(options: Options) -> Exam:
    known = {*PARTS, *DETECTORS}
    for name in options.only:
        if name not in known:
            raise OptionError(f"--only {name} is not known: {', '.join(sorted(known))}.")
    for seconds in options.windows:
        if seconds <= 0 or seconds % SECONDS:
            raise OptionError(f"A window of {seconds} s is no multiple of {SECONDS} s.")
    dataset = loadgen.load(options.folder, "arrow")
    injections = injections_of(dataset)
    buckets = folds.with_folds(buckets_of(dataset), injections)
    evaluated = buckets.evaluated & (buckets.fold >= 0)
    if options.split == "test":
        evaluated = evaluated & (folds.split_of(buckets) == "test")
        if not evaluated.any():
            raise LoadgenError(f"{options.folder} has no evaluated bucket in the split test.")
    untrainable = folds.why_not_trainable(buckets)
    exam = Exam(options, dataset, buckets, injections, evaluated, untrainable)
    if options.scores is not None:
        exam.scores["given"] = _given(exam, options.scores)
    return exam


def _data(exam: Exam) -> dict[str, Any]:
    """What is evaluated."""
    evaluated = exam.buckets.take(exam.evaluated)
    standings = [of.standing for of in exam.injections]
    return {
        "runs": len(set(evaluated.run.tolist())),
        "episodes": len(set(evaluated.episode.tolist())),
        "buckets": len(exam.buckets),
        "judged": len(evaluated),
        "anomalous": int(evaluated.anomalous.sum()),
        "p": measures.ratio(float(evaluated.anomalous.sum()), len(evaluated)),
        "features": len(evaluated.features),
        "windows": {standing: standings.count(standing) for standing in sorted(set(standings))},
        "folds": [
            {
                "fold": number,
                "judged": int((evaluated.fold == number).sum()),
                "anomalous": int((evaluated.anomalous & (evaluated.fold == number)).sum()),
            }
            for number in range(folds.FOLDS)
        ],
    }


def _detectors(exam: Exam) -> dict[str, Any]:
    """Each detector's evaluation: ours, and that of the file."""
    options, found = exam.options, {}
    if exam.wants("detectors") and exam.untrainable is None:
        named = [name for name in options.only if name in DETECTORS]
        for name in named or DETECTORS:
            exam.scores[name] = _by_folds(exam, DETECTORS[name])
    for name, scored in exam.scores.items():
        exam.say(f"evaluating {name}")
        own = DETECTORS.get(name)
        found[name] = {
            "title": own.title if own else f"Scores of {options.scores and options.scores.name}",
            "learns_from": own.learns_from if own else "not known",
            "reference": own.reference if own else False,
            **evaluate_detector(
                exam.buckets, exam.injections, scored, exam.evaluated, options.windows, options.seed
            ),
        }
    return found


def _by_folds(exam: Exam, detector: Detector) -> Scored:
    """Scores of each fold by a detector that learned from the others."""
    buckets = exam.buckets
    scores = np.full(len(buckets), np.nan)
    alerts = np.zeros(len(buckets), bool)
    thresholds: list[float | None] = [None] * folds.FOLDS
    for fold in folds.rounds(buckets):
        exam.say(f"{detector.name}, fold {fold.number}")
        train = buckets.take(fold.train)
        said = detector.fit(train, exam.options.seed + fold.number)(buckets)
        threshold = _threshold(buckets.anomalous[fold.validation], said[fold.validation])
        scores[fold.test] = said[fold.test]
        alerts[fold.test] = said[fold.test] >= threshold
        thresholds[fold.number] = threshold
    return Scored(alerts, scores, tuple(thresholds))


def _given(exam: Exam, path: Path) -> Scored:
    """What the file says. Where it has no alerts, thresholds are chosen as for our detectors."""
    buckets = exam.buckets
    needed = exam.evaluated
    if exam.options.split == "test":
        split = folds.split_of(buckets)
        rounds = [(0, buckets.evaluated & (split == "validation"), split == "test")]
    else:
        rounds = [(of.number, of.validation, of.test) for of in folds.rounds(buckets)]
    scores, alerts = given.read(path, buckets, needed)
    if alerts is not None:
        return Scored(alerts, scores)
    assert scores is not None  # the file has one or the other
    alerts = np.zeros(len(buckets), bool)
    thresholds: list[float | None] = [None] * folds.FOLDS
    for number, validation, test in rounds:
        known = validation & np.isfinite(scores)
        if not known.any():
            raise LoadgenError(
                f"{path} has no alerts, and no scores of the buckets of which a threshold could "
                "be chosen. Give the scores of the validation split as well, or alerts."
            )
        threshold = _threshold(buckets.anomalous[known], scores[known])
        alerts[test] = scores[test] >= threshold
        thresholds[number] = threshold
    return Scored(alerts, scores, tuple(thresholds))


def _threshold(labels: Flags, scores: Floats) -> float:
    """The score to alert from: that with the best F1 on validation."""
    if labels.any():
        return measures.best_threshold(labels, scores)[0]
    if not len(scores):
        return float("inf")
    return float(np.quantile(scores, _FALLBACK))


def _passed(result: dict[str, Any], options: Options) -> tuple[bool, list[str]]:
    """Whether the exam is passed: by the file's detector if there is one, else by the dataset."""
    if result["nothing_to_learn"]:
        return False, [f"Nothing can be learned: {result['nothing_to_learn']}."]
    detectors = result.get("detectors", {})
    if options.scores is not None:
        own = detectors["given"]
        return own["verdict"] == rules.PASS, [": ".join([own["verdict"], *own["reasons"]])]
    why = [
        f"{check['title']} No: {'; '.join(check['told'])}."
        for check in result.get("audit", [])
        if not check["passed"]
    ]
    if result["untrainable"]:
        why.append(f"No detector can be trained: {result['untrainable']}.")
    honest = {name: of for name, of in detectors.items() if not of["reference"]}
    if honest and not any(of["verdict"] == rules.PASS for of in honest.values()):
        why.append("No detector passes.")
    why += [
        f"{of['title']} passes, which it must not."
        for of in detectors.values()
        if of["reference"] and of["verdict"] == rules.PASS
    ]
    return not why, why


def _plain(result: dict[str, Any]) -> dict[str, Any]:
    """As JSON has it: numbers to six decimals, null for those that are not finite."""

    def of(value: Any) -> Any:  # noqa: ANN401 (any JSON value)
        if isinstance(value, dict):
            return {str(key): of(inner) for key, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [of(inner) for inner in value]
        if isinstance(value, (bool, np.bool_)):
            return bool(value)
        if isinstance(value, (int, np.integer)):
            return int(value)
        if isinstance(value, (float, np.floating)):
            return round(float(value), 6) if np.isfinite(value) else None
        return value

    return {key: of(value) for key, value in result.items()}


def _write(exam: Exam, result: dict[str, Any]) -> None:
    """The files. What was there of an earlier exam is replaced."""
    out = exam.options.out
    try:
        (out / "scores").mkdir(parents=True, exist_ok=True)
        for old in (out / "scores").glob("*_fold*.parquet"):
            old.unlink()
        for name, scored in exam.scores.items():
            _write_scores(out / "scores", name, exam.buckets, scored)
        document = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
        (out / "evaluation.json").write_text(document, encoding="utf-8")
        (out / "evaluation.md").write_text(text.markdown(result), encoding="utf-8")
        (out / "index.html").write_text(page.html(result), encoding="utf-8")
    except OSError as wrong:
        raise LoadgenError(f"{out} can't be written: {wrong}") from None


def _write_scores(folder: Path, name: str, buckets: Buckets, scored: Scored) -> None:
    """Raw scores and labels of each fold, from which every figure can be made again."""
    for fold in range(folds.FOLDS):
        rows = buckets.fold == fold
        if not rows.any():
            continue
        of = buckets.take(rows)
        columns = {
            "run_id": pa.array(of.run.tolist(), pa.string()),
            "episode_id": pa.array(of.episode.tolist(), pa.string()),
            "start_time_ns": pa.array(of.start_ns),
            "judged": pa.array(of.evaluated),
            "anomalous": pa.array(of.anomalous),
            "anomaly_type": pa.array(of.anomaly_type.tolist(), pa.string()),
            "root_cause_service": pa.array(of.root_cause_service.tolist(), pa.string()),
            "alert": pa.array(scored.alerts[rows]),
        }
        if scored.scores is not None:
            columns["score"] = pa.array(scored.scores[rows], from_pandas=True)
        pq.write_table(pa.table(columns), folder / f"{name}_fold{fold}.parquet")
