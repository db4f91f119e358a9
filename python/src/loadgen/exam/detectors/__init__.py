"""Baselines: what any new detector has to beat. Each learns from buckets and gives each bucket a
score, higher for more anomalous.
"""

from __future__ import annotations

from loadgen.exam.detectors import (
    boosting,
    forest,
    limits,
    references,
    robust,
    sequence,
)
from loadgen.exam.detectors.kind import Detector

DETECTORS: dict[str, Detector] = {
    detector.name: detector
    for detector in (
        references.FLAG_EVERYTHING,
        references.RANDOM,
        limits.DETECTOR,
        robust.DETECTOR,
        forest.DETECTOR,
        sequence.DETECTOR,
        boosting.DETECTOR,
    )
}

__all__ = ["DETECTORS", "Detector"]
