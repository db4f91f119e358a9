"""A dataset of `loadgen dataset build` as what a detector learns from: a row for each bucket of five
seconds of a run, a column for each thing that can be seen of each service.

Labels, ids, names of scenarios and times are no features, nor are the generator's own spans: where a
detector works there is no generator.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import loadgen
import numpy as np
import pandas as pd

SECONDS = 5
KINDS = ("server", "client", "internal", "producer", "consumer")
COLUMNS = (
    *(f"{kind}_{of}" for kind in KINDS for of in ("count", "errors", "p50_ms", "p95_ms", "p99_ms")),
    "in_flight", "cpu", "saturation", "queue",
    *(f"log_{of}" for of in ("trace", "debug", "info", "warn", "error", "fatal", "unspecified")),
)
KEY = ["run_id", "start_time_ns"]


@dataclass
class Buckets:
    """Rows in the order of run and time."""

    features: pd.DataFrame
    """By `<service>.<column>`; what is null is filled with the median of normal training time."""
    fill: dict[str, float]
    """What it is filled with."""
    labels: pd.DataFrame
    """Of each bucket `run_id`, `start_time_ns`, `episode_id`, `split`, `anomaly_type`, `evaluated`
    and `anomalous`."""

    def rows(self, split: str) -> np.ndarray:
        """Evaluated buckets of a split, as a mask."""
        return ((self.labels.split == split) & self.labels.evaluated).to_numpy(bool)

    @property
    def anomalous(self) -> np.ndarray:
        return self.labels.anomalous.to_numpy(bool)


def read(folder: Path) -> Buckets:
    """The buckets of a dataset."""
    table = loadgen.load(folder).windows_features_5s
    table = table[table.service_name != "loadgen"]
    labels = table.drop_duplicates(KEY).sort_values(KEY).reset_index(drop=True)
    labels["anomalous"] = (labels.anomaly_label == "anomalous").fillna(False).astype(bool)
    known = labels.anomaly_label.isin(["normal", "anomalous"])
    labels["evaluated"] = (known & (labels.phase == "steady")).fillna(False).astype(bool)
    labels["split"] = split_of(labels)
    labels = labels[[*KEY, "episode_id", "split", "anomaly_type", "evaluated", "anomalous"]]

    wide = table.pivot(index=KEY, columns="service_name", values=list(COLUMNS)).sort_index()
    wide.columns = [f"{service}.{column}" for column, service in wide.columns]
    wide = wide.astype("float64").sort_index(axis="columns")
    normal = (labels.split == "train") & labels.evaluated & ~labels.anomalous
    fill = wide[normal.to_numpy()].median().fillna(0.0)
    filled = wide.fillna(fill)
    # What never changes while one trains says nothing, and would be divided by 0.
    varied = filled[normal.to_numpy()].std() > 0
    names = list(varied[varied].index)
    return Buckets(filled[names].reset_index(drop=True), fill[names].to_dict(), labels)


def split_of(labels: pd.DataFrame) -> pd.Series:
    """`train`, `validation` or `test`: as the dataset says; of one that does not, by the order of the
    episodes, of five three, one and one.
    """
    if "split" in labels:
        return labels.split.astype("string").fillna("")
    order = labels.groupby(["run_id", "episode_id"], sort=True).ngroup()
    names = np.array(["train", "train", "train", "validation", "test"])
    return pd.Series(np.where(labels.episode_id.isna(), "", names[order % 5]), labels.index)


def threshold(buckets: Buckets, scores: np.ndarray, false_alarms: float) -> float:
    """The score that this share of the normal buckets of the validation split reaches."""
    normal = scores[buckets.rows("validation") & ~buckets.anomalous]
    if not len(normal):
        raise SystemExit("The validation split has no normal bucket: take more runs.")
    return float(np.quantile(normal, 1 - false_alarms))


def write_scores(path: Path, buckets: Buckets, scores: np.ndarray, limit: float) -> None:
    """What `loadgen evaluate --scores` reads."""
    rows = buckets.labels[KEY].copy()
    rows["score"] = scores
    rows["alert"] = (scores > limit).astype(int)
    rows.to_csv(path, index=False)


def write_contract(path: Path, buckets: Buckets, limit: float, history: int = 1) -> None:
    """What `loadgen detect` has to know of a model beside its graph."""
    contract = {
        "version": 1,
        "bucket_seconds": SECONDS,
        "history": history,
        "features": [{"name": name, "fill": buckets.fill[name]} for name in buckets.features],
        "threshold": limit,
    }
    path.write_text(json.dumps(contract, indent=1) + "\n")


def report(buckets: Buckets, scores: np.ndarray, limit: float) -> str:
    """Precision, recall and false alarms on the test split, beside what alarming always gives."""
    rows, truth = buckets.rows("test"), buckets.anomalous
    alerts = scores > limit
    hits = int((alerts & truth & rows).sum())
    raised, wrong = int((alerts & rows).sum()), int((alerts & ~truth & rows).sum())
    real, normal = int((truth & rows).sum()), int((~truth & rows).sum())
    share = real / max(real + normal, 1)
    precision, recall = hits / max(raised, 1), hits / max(real, 1)
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    return (
        f"test: {real} anomalous and {normal} normal buckets; precision {precision:.2f}, "
        f"recall {recall:.2f}, F1 {f1:.2f} (always alarming: {2 * share / (1 + share):.2f}), "
        f"false alarms {wrong / max(normal, 1):.1%}"
    )
