#!/usr/bin/env python3
"""Trains a detector with scikit-learn on a dataset of `loadgen dataset build`.

    python scikit_learn.py DATASET --out model [--model random_forest]

It learns from the split `train`, sets its threshold on `validation`, and says what it is worth on
`test`. OUT gets `scores.csv` for `loadgen evaluate --scores`, and `model.onnx` with `model.json` for
`loadgen detect`. Scaling is inside the graph.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import buckets as data
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

MODELS = ("random_forest", "logistic_regression")
OPSET = {"": 15, "ai.onnx.ml": 3}


def fit(name: str, found: data.Buckets, seed: int) -> Pipeline:
    """A model of the training split. Normal time is more, and does not count more."""
    rows, truth = found.rows("train"), found.anomalous
    if name == "random_forest":
        model = RandomForestClassifier(
            n_estimators=200, min_samples_leaf=3, max_features=0.3,
            class_weight="balanced_subsample", random_state=seed,
        )
    else:
        model = LogisticRegression(C=0.01, class_weight="balanced", max_iter=2000)
    return make_pipeline(StandardScaler(), model).fit(values(found)[rows], truth[rows])


def values(found: data.Buckets) -> np.ndarray:
    """As the detector has them, so that no threshold lies between two precisions."""
    return found.features.to_numpy(np.float32)


def score(model: Pipeline, rows: np.ndarray) -> np.ndarray:
    """How likely a bucket is anomalous."""
    return model.predict_proba(rows)[:, 1]


def graph(model: Pipeline, width: int) -> onnx.ModelProto:
    """The model with the one output `score`."""
    # Scaling by plain operators: few runtimes have that of ai.onnx.ml.
    options = {StandardScaler: {"div": "div"}, id(model): {"zipmap": False}}
    made = to_onnx(model, np.zeros((1, width), np.float32), options=options, target_opset=OPSET)
    # Of both classes the probability of the second.
    made.graph.initializer.append(numpy_helper.from_array(np.array(1, np.int64), "anomalous"))
    of_both = made.graph.output[-1].name
    made.graph.node.append(helper.make_node("Gather", [of_both, "anomalous"], ["score"], axis=1))
    del made.graph.output[:]
    made.graph.output.append(helper.make_tensor_value_info("score", TensorProto.FLOAT, [None]))
    onnx.checker.check_model(made)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path, help="a folder of `loadgen dataset build`")
    parser.add_argument("--out", type=Path, required=True, help="folder for what is made")
    parser.add_argument("--model", choices=MODELS, default=MODELS[0])
    parser.add_argument("--false-alarms", type=float, default=0.02,
                        help="share of normal buckets of the validation split that may be alarms")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    found = data.read(args.dataset)
    model = fit(args.model, found, args.seed)
    scores = score(model, values(found))
    limit = data.threshold(found, scores, args.false_alarms)
    args.out.mkdir(parents=True, exist_ok=True)
    onnx.save(graph(model, found.features.shape[1]), args.out / "model.onnx")
    data.write_contract(args.out / "model.json", found, limit)
    data.write_scores(args.out / "scores.csv", found, scores, limit)
    print(f"{args.model} on {found.features.shape[1]} features, threshold {limit:.4g}")
    print(data.report(found, scores, limit))


if __name__ == "__main__":
    main()
