"""What a detector is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from loadgen.exam.arrays import Floats
from loadgen.exam.buckets import Buckets

Score = Callable[[Buckets], Floats]
"""Scores of buckets, which are whole episodes in the order of time."""


@dataclass(frozen=True)
class Detector:
    """`fit(train, seed)` learns from evaluated buckets and gives a function that scores others."""

    name: str
    title: str
    learns_from: str
    """`nothing`, `normal` (training without labels of faults) or `labels`."""
    fit: Callable[[Buckets, int], Score]
    reference: bool = False
    """Has no right to pass: it is there to show that the rules find it out."""
