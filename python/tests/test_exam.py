"""Whole exams, of small datasets that are made here and of a real run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from made import SECOND, Made, make

import loadgen
from loadgen.__main__ import main
from loadgen.exam import folds, run
from loadgen.exam.buckets import buckets_of, injections_of
from loadgen.exam.evaluation import Scored, first_alert, sample

if TYPE_CHECKING:
    from pathlib import Path

    from loadgen.exam.arrays import Flags, Floats, Integers
    from loadgen.exam.buckets import Buckets


@pytest.fixture(scope="module")
def fair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("fair"), Made(runs=8, episodes=12, seed=3))


@pytest.fixture(scope="module")
def examined(fair: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    out = tmp_path_factory.mktemp("examined")
    only = ("audit", "flag_everything", "random", "thresholds", "isolation_forest")
    return run.evaluate(run.Options(fair, out, only=only, quiet=True)), out


def buckets_in(folder: Path) -> Buckets:
    dataset = loadgen.load(folder, "arrow")
    return folds.with_folds(buckets_of(dataset), injections_of(dataset))


def check(result: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [check for check in result["audit"] if check["name"] == name]
    return dict(found)


def test_a_fair_set_passes_with_an_honest_detector(examined: tuple[dict[str, Any], Path]) -> None:
    result, _ = examined
    assert result["passed"], result["why"]
    assert result["detectors"]["thresholds"]["verdict"] == "PASS"
    assert result["detectors"]["thresholds"]["auc_roc"] > 0.9
    assert result["data"]["windows"] == {"backed": 80, "sham": 16}


def test_who_knows_nothing_fails(examined: tuple[dict[str, Any], Path]) -> None:
    detectors = examined[0]["detectors"]
    assert detectors["flag_everything"]["verdict"] == "EXCLUDE"
    assert detectors["flag_everything"]["lift"] == 1.0
    assert detectors["random"]["verdict"] in ("EXCLUDE", "INSUFFICIENT")


def test_figures_follow_from_the_files_of_scores(examined: tuple[dict[str, Any], Path]) -> None:
    result, out = examined
    parts = [pq.read_table(out / "scores" / f"thresholds_fold{fold}.parquet") for fold in range(5)]
    rows = [row for row in pa.concat_tables(parts).to_pylist() if row["judged"]]
    right = sum(row["alert"] and row["anomalous"] for row in rows)
    assert result["detectors"]["thresholds"]["recall"] == pytest.approx(
        right / sum(row["anomalous"] for row in rows), abs=1e-6
    )
    assert len(rows) == result["data"]["judged"]
    for fold, threshold in enumerate(result["detectors"]["thresholds"]["thresholds"]):
        for row in parts[fold].to_pylist():
            assert row["alert"] == (row["score"] >= threshold - 1e-6)


def test_the_files_say_what_the_result_says(examined: tuple[dict[str, Any], Path]) -> None:
    result, out = examined
    assert json.loads((out / "evaluation.json").read_text(encoding="utf-8")) == result
    page = (out / "index.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 7
    assert "http://www.w3.org/2000/svg" in page
    assert "src=" not in page
    assert "Isolation forest" in (out / "evaluation.md").read_text(encoding="utf-8")


def test_the_same_seed_gives_the_same_result(fair: Path, tmp_path: Path) -> None:
    options = [
        run.Options(fair, tmp_path / str(n), only=("isolation_forest",), quiet=True)
        for n in range(2)
    ]
    assert run.evaluate(options[0]) == run.evaluate(options[1])


def test_a_planted_leak_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make(tmp_path / "leak", Made(leak=True))
    assert main(["evaluate", str(folder), "--only", "audit", "--quiet"]) == 8
    assert "rate tells the label" in capsys.readouterr().out
    result = json.loads((folder / "evaluation/evaluation.json").read_text(encoding="utf-8"))
    leaks = {
        (leak["source"], leak["target"]): leak
        for leak in check(result, "leaks")["figures"]["leaks"]
    }
    assert leaks["rate", "label"]["result"] == "leak"
    assert leaks["time", "label"]["result"] != "leak"


def test_a_clean_set_tells_nothing(examined: tuple[dict[str, Any], Path]) -> None:
    leaks = check(examined[0], "leaks")
    assert leaks["passed"]
    sources = {leak["source"] for leak in leaks["figures"]["leaks"]}
    assert sources == {"time", "rate", "mix", "path_numbers", "together"}


def test_without_faults_nothing_can_be_learned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    none = make(tmp_path / "none", Made(runs=2, faults=False))
    assert main(["evaluate", str(none), "--quiet"]) == 8
    told = capsys.readouterr().out
    assert "Nothing can be learned: no evaluated bucket is anomalous." in told
    # Root causes need no bucket. There are no telemetry and no RCAEval here.
    assert "Root causes: " in told
    declared = make(tmp_path / "declared", Made(runs=2, injected=False))
    assert main(["evaluate", str(declared), "--only", "audit", "--quiet"]) == 8
    assert "the evidence backs none of the windows" in capsys.readouterr().out


def test_folds_are_derived_where_there_are_none(tmp_path: Path) -> None:
    buckets = buckets_in(make(tmp_path, Made(runs=2, folds=False)))
    for episode in set(buckets.episode.tolist()):
        assert len(set(buckets.fold[buckets.episode == episode].tolist())) == 1
    for kind in ("latency_spike", "error_spike"):
        own = buckets.fold[buckets.anomaly_type == kind]
        assert set(own.tolist()) == {0, 1, 2, 3, 4}


def test_training_keeps_away_from_what_is_tested(fair: Path) -> None:
    buckets = buckets_in(fair)
    tested = np.zeros(len(buckets), bool)
    for fold in folds.rounds(buckets):
        assert not (fold.train & fold.validation).any()
        assert not ((fold.train | fold.validation) & fold.test).any()
        tested |= fold.test
        other = np.flatnonzero(fold.test)
        for row in np.flatnonzero(fold.train):
            same = other[buckets.run[other] == buckets.run[row]]
            apart = np.abs(buckets.start_ns[same] - buckets.start_ns[row]).min() / SECOND - 5
            assert apart >= folds.EMBARGO_S
    assert tested.all()


def test_what_is_not_settled_is_not_evaluated(fair: Path) -> None:
    dataset = loadgen.load(fair, "arrow")
    features = dataset.arrow("windows_features_5s", ["phase"])
    settled = sum(phase == "steady" for phase in features["phase"].to_pylist()) / 3
    assert buckets_in(fair).evaluated.sum() == settled


def test_longer_windows_are_anomalous_if_any_part_is(fair: Path) -> None:
    buckets = buckets_in(fair)
    scored = Scored(buckets.anomalous, buckets.anomalous.astype(float))
    for seconds in (5, 10, 30, 60):
        of = sample(buckets, scored, buckets.evaluated, seconds)
        assert (of.labels == of.alerts).all()
        assert of.scores is not None
        assert (of.scores == of.labels).all()
        rows = np.flatnonzero(buckets.evaluated & buckets.anomalous)
        keys = {(buckets.run[row], buckets.start_ns[row] // (seconds * SECOND)) for row in rows}
        assert of.labels.sum() == len(keys)


def test_the_delay_is_to_the_end_of_the_first_alerted_bucket(fair: Path) -> None:
    buckets = buckets_in(fair)
    injection = injections_of(loadgen.load(fair, "arrow"))[0]
    of_run = buckets.run == injection.run
    second = of_run & (buckets.start_ns == injection.begin_ns + 5 * SECOND)
    before = of_run & (buckets.end_ns == injection.begin_ns)
    assert first_alert(buckets, injection, second | before) == 10.0
    assert first_alert(buckets, injection, before) is None


# Scores of others.


def table_of(buckets: Buckets, **columns: Flags | Floats | Integers) -> pa.Table:
    rows = buckets.evaluated
    given = {name: values[rows] for name, values in columns.items()}
    return pa.table(
        {"run_id": buckets.run[rows].tolist(), "start_time_ns": buckets.start_ns[rows], **given}
    )


def evaluated(fair: Path, table: pa.Table, tmp_path: Path, *more: str, form: str = "csv") -> int:
    path = tmp_path / f"scores.{form}"
    if form == "csv":
        pyarrow.csv.write_csv(table, path)
    else:
        pq.write_table(table, path)
    out = str(tmp_path / "out")
    # Of the other parts only one that has nothing to do here.
    arguments = ["evaluate", str(fair), "--scores", str(path), "--only", "root_cause"]
    return main([*arguments, "--out", out, "--quiet", *more])


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_good_detector_of_others_passes(fair: Path, tmp_path: Path, form: str) -> None:
    buckets = buckets_in(fair)
    noise = np.random.default_rng(3).normal(size=len(buckets))
    table = table_of(buckets, score=buckets.anomalous * 4.0 + noise)
    assert evaluated(fair, table, tmp_path, form=form) == 0
    written = json.loads((tmp_path / "out/evaluation.json").read_text(encoding="utf-8"))
    assert written["detectors"]["given"]["verdict"] == "PASS"


def test_the_test_split_alone_can_be_evaluated(
    fair: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    buckets = buckets_in(fair)
    noise = np.random.default_rng(3).normal(size=len(buckets))
    table = table_of(buckets, score=buckets.anomalous * 4.0 + noise)
    fold = buckets.fold[buckets.evaluated]
    # Fold 4 is for test, and 3 to choose a threshold on.
    assert evaluated(fair, table.filter(pa.array(fold >= 3)), tmp_path, "--split", "test") == 0
    written = json.loads((tmp_path / "out/evaluation.json").read_text(encoding="utf-8"))
    assert written["data"]["judged"] == (fold == 4).sum()
    assert evaluated(fair, table.filter(pa.array(fold == 4)), tmp_path, "--split", "test") == 3
    assert "Give the scores of the validation split as well" in capsys.readouterr().err
    assert evaluated(fair, table.filter(pa.array(fold >= 3)), tmp_path) == 3
    assert "buckets that are evaluated are missing" in capsys.readouterr().err


def test_one_that_flags_everything_fails(
    fair: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    buckets = buckets_in(fair)
    assert evaluated(fair, table_of(buckets, alert=np.ones(len(buckets), int)), tmp_path) == 8
    assert "flags everything" in capsys.readouterr().out
    assert evaluated(fair, table_of(buckets, alert=np.zeros(len(buckets), int)), tmp_path) == 8
    assert "flags nothing" in capsys.readouterr().out


def test_scores_that_do_not_fit_are_refused_in_words(
    fair: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    buckets = buckets_in(fair)
    good = table_of(buckets, score=np.linspace(0, 1, len(buckets)))
    starts = good["start_time_ns"].to_numpy()
    every_ten = good.filter(pa.array(starts % (10 * SECOND) == 0))
    wrong = {
        "are missing, the first is that at": good.slice(1),
        "come more than once": pa.concat_tables([good, good.slice(3, 1)]),
        "its rows are 10 s apart": every_ten,
        "is no Unix time in nanoseconds": good.set_column(
            1, "start_time_ns", pa.array(starts // SECOND)
        ),
        "are of no bucket of the dataset": good.set_column(
            1, "start_time_ns", pa.array(starts + 1)
        ),
        "the dataset has no run x": good.set_column(0, "run_id", pa.array(["x"] * len(good))),
        "has no column start_time_ns": good.drop_columns("start_time_ns"),
        "neither a column score nor a column alert": good.drop_columns("score"),
        "an alert is neither 0 nor 1": good.append_column("alert", good["score"]),
        "has no row": good.slice(0, 0),
        "no finite number": good.set_column(2, "score", pa.array([np.inf] * len(good))),
    }
    for words, table in wrong.items():
        assert evaluated(fair, table, tmp_path, form="parquet") == 3, words
        assert words in capsys.readouterr().err


def test_what_cannot_be_examined_is_refused_in_words(
    fair: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(tmp_path)]) == 3
    assert "has no dataset" in capsys.readouterr().err
    assert main(["evaluate", str(fair), "--window", "7"]) == 2
    assert "A window of 7 s is no multiple of 5 s" in capsys.readouterr().err
    assert main(["evaluate", str(fair), "--only", "magic"]) == 2
    assert "--only magic is not known" in capsys.readouterr().err
    assert main(["evaluate", str(fair), "--scores", str(tmp_path / "none.csv")]) == 3
    assert "does not exist" in capsys.readouterr().err


def test_a_real_run_can_be_examined(built: Path, tmp_path: Path) -> None:
    """Each of its faults comes once, so that it is no set to train on; it is told, not crashed. Its
    windows are so short that sometimes no bucket of a fault can be evaluated.
    """
    result = run.evaluate(run.Options(built, tmp_path, only=("audit",), quiet=True))
    assert not result["passed"]
    assert result["nothing_to_learn"] or not check(result, "repetitions")["passed"]
    assert "web.server_p95_ms" in buckets_in(built).features
