"""Small datasets in the layout of `loadgen dataset build`, drawn from a seed, to hold exams of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 1_000_000_000
BEGIN = 1_770_000_000 * SECOND
SERVICES = ("cart", "catalogue", "web")
TYPES = ("latency_spike", "error_spike")


@dataclass(frozen=True)
class Made:
    """What to make. An episode has 5 to 25 normal buckets, 4 anomalous, and 2 of recovery."""

    runs: int = 6
    episodes: int = 10
    faults: bool = True
    injected: bool = True
    """Without it windows are declared, and nothing backs them."""
    leak: bool = False
    """Twice the requests while a fault is declared."""
    folds: bool = True
    seed: int = 1


def make(folder: Path, of: Made = Made()) -> Path:
    """Writes the dataset and gives its folder."""
    random = np.random.default_rng(of.seed)
    cases: list[dict[str, Any]] = []
    for number in range(of.runs):
        run_id = f"{number:032x}"
        features: list[dict[str, Any]] = []
        requests: list[dict[str, Any]] = []
        at = BEGIN + number * 7200 * SECOND
        shams = random.permutation(np.arange(of.episodes) % 5 == 4).tolist()
        for episode in range(of.episodes):
            kind = TYPES[(episode + number) % len(TYPES)]
            service = SERVICES[int(random.integers(len(SERVICES)))]
            sham = shams[episode]
            normal = int(random.integers(5, 26))
            case = _case(run_id, number, episode, kind, service, sham, of, at, normal)
            cases.append(case)
            for bucket in range(normal + 6):
                within = of.faults and normal <= bucket < normal + 4
                wrong = within and not sham
                start = at + bucket * 5 * SECOND
                rate = int(random.integers(20, 40)) * (2 if of.leak and wrong else 1)
                requests += _requests(random, run_id, start, rate)
                label = kind if wrong else "none"
                row = {
                    "run_id": run_id,
                    "episode_id": case["episode_id"],
                    "start_time_ns": start,
                    "end_time_ns": start + 5 * SECOND,
                    "anomaly_type": label,
                    "anomaly_label": "anomalous" if wrong else "normal",
                    "root_cause_service": service if wrong else None,
                    "phase": "recovery" if bucket >= normal + 4 else "steady",
                    "fault_state": "confirmed" if wrong else "sham" if within and sham else "none",
                    "scenario": "shoppers",
                }
                if of.folds:
                    row["fold"] = episode % 5
                for name in SERVICES:
                    hit = wrong and of.injected and name == service
                    features.append({**row, **_seen(random, name, kind, hit)})
            at += (normal + 6) * 5 * SECOND
        _write(folder, "windows_features_5s", run_id, features)
        _write(folder, "requests", run_id, requests)
    if not of.faults:
        cases = [{**case, "standing": "normal", "anomaly_type": "none"} for case in cases]
    pq.write_table(pa.Table.from_pylist(cases), folder / "cases.parquet")
    return folder


def _case(
    run_id: str,
    number: int,
    episode: int,
    kind: str,
    service: str,
    sham: bool,
    of: Made,
    at: int,
    normal: int,
) -> dict[str, Any]:
    begin, end = at + normal * 5 * SECOND, at + (normal + 4) * 5 * SECOND
    return {
        "run_id": run_id,
        "episode_id": f"{run_id}-e{episode:04}",
        "window": episode,
        "scenario": f"episode_{number}_{episode}",
        "anomaly_type": "none" if sham else kind,
        "sham_of": kind if sham else None,
        "root_cause_service": None if sham else service,
        "fault_service": service,
        "standing": "sham" if sham else "backed" if of.injected else "unsupported",
        "opened_ns": begin,
        "closed_ns": end,
        "fault_injected_ns": begin,
        "fault_clear_requested_ns": end,
    }


def _seen(random: np.random.Generator, service: str, kind: str, hit: bool) -> dict[str, Any]:
    count = int(random.integers(20, 60))
    errors = int(random.integers(8, 16)) if hit and kind == "error_spike" else 0
    slow = 4.0 if hit and kind == "latency_spike" else 1.0
    return {
        "service_name": service,
        "server_count": count,
        "server_errors": errors,
        "server_p50_ms": 5.0 * slow * random.lognormal(0, 0.2),
        "server_p95_ms": 20.0 * slow * random.lognormal(0, 0.2),
        "in_flight": 0.2 * slow * random.lognormal(0, 0.2),
        "cpu": None,
        "log_error": errors,
    }


def _requests(
    random: np.random.Generator, run_id: str, start: int, rate: int
) -> list[dict[str, Any]]:
    return [
        {
            "run_id": run_id,
            "sent_by": "shoppers",
            "flow": ("browse", "checkout")[int(random.integers(2))],
            "method": "GET",
            "path": f"/api/cart/visitor-{random.integers(1, 500)}",
            "intended_ns": start + int(place * 5 * SECOND / rate),
            "iteration": place,
            "step_index": 0,
        }
        for place in range(rate)
    ]


def _write(folder: Path, table: str, run_id: str, rows: list[dict[str, Any]]) -> None:
    place = folder / "tables" / table / f"run_id={run_id}"
    place.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), place / "part.parquet")
