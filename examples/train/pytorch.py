#!/usr/bin/env python3
"""Trains a sequence model with PyTorch on a dataset of `loadgen dataset build`: an auto-encoder.

    python pytorch.py DATASET --out model [--history 6] [--epochs 60]

A GRU reads the last buckets of a run and a small network gives the last of them back; it learns from
the normal buckets of the split `train` alone, so it needs no anomaly. The score is how far off it is.
The threshold is set on `validation`. OUT gets `scores.csv` for `loadgen evaluate --scores`, and
`model.onnx` with `model.json` for `loadgen detect`. Scaling is inside the graph.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import buckets as data
import numpy as np
import torch
from torch import nn


class AutoEncoder(nn.Module):
    """Takes `[batch, history, features]` as they are, gives `[batch]`: the mean squared error of the
    last bucket in units of normal time's deviations, cut at 10 each.
    """

    def __init__(self, mean: np.ndarray, scale: np.ndarray, hidden: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("scale", torch.from_numpy(scale))
        width = len(mean)
        self.encoder = nn.GRU(width, hidden, batch_first=True)
        self.decoder = nn.Sequential(nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, width))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        scaled = ((rows - self.mean) / self.scale).clamp(-10.0, 10.0)
        states, _ = self.encoder(scaled)
        given_back = self.decoder(states[:, -1])
        return (given_back - scaled[:, -1]).square().mean(dim=1)


def sequences(found: data.Buckets, history: int) -> np.ndarray:
    """Of each bucket the last ones of its run up to it. Before the first of a run there was nothing
    else than in it: so `loadgen detect` has it, too.
    """
    values = found.features.to_numpy(np.float32)
    position = found.labels.groupby("run_id", sort=False).cumcount().to_numpy()
    back = np.minimum(np.arange(history - 1, -1, -1)[None, :], position[:, None])
    return values[np.arange(len(values))[:, None] - back]


def fit(rows: np.ndarray, hidden: int, epochs: int, seed: int) -> AutoEncoder:
    torch.manual_seed(seed)
    last = rows[:, -1]
    model = AutoEncoder(last.mean(axis=0), np.maximum(last.std(axis=0), 1e-3), hidden)
    normal = torch.from_numpy(rows)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, weight_decay=1e-4)
    model.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(normal)).split(32):
            optimizer.zero_grad()
            model(normal[batch]).mean().backward()
            optimizer.step()
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path, help="a folder of `loadgen dataset build`")
    parser.add_argument("--out", type=Path, required=True, help="folder for what is made")
    parser.add_argument("--history", type=int, default=6, help="buckets that are one input")
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--false-alarms", type=float, default=0.02,
                        help="share of normal buckets of the validation split that may be alarms")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    found = data.read(args.dataset)
    rows = sequences(found, args.history)
    model = fit(rows[found.rows("train") & ~found.anomalous], args.hidden, args.epochs, args.seed)
    with torch.no_grad():
        scores = model(torch.from_numpy(rows)).numpy()
    limit = data.threshold(found, scores, args.false_alarms)
    args.out.mkdir(parents=True, exist_ok=True)
    # By tracing, with a batch of one, which is what the detector has.
    torch.onnx.export(model, (torch.from_numpy(rows[:1]),), args.out / "model.onnx",
                      input_names=["X"], output_names=["score"], opset_version=15, dynamo=False)
    data.write_contract(args.out / "model.json", found, limit, args.history)
    data.write_scores(args.out / "scores.csv", found, scores, limit)
    print(f"GRU of {args.hidden} over {args.history} buckets of {rows.shape[2]} features, "
          f"threshold {limit:.4g}")
    print(data.report(found, scores, limit))


if __name__ == "__main__":
    main()
