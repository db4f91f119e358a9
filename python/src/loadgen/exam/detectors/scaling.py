"""Features on one scale, for detectors that compare them with each other."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from loadgen.exam.arrays import Floats
    from loadgen.exam.buckets import Buckets

_MAD_TO_DEVIATION = 1.4826
"""Of a normal distribution the standard deviation over the median absolute deviation."""
_LEAST = 0.1
"""Least deviation, on the logarithm's scale: changes of less than a tenth say nothing."""
_MOST = 20.0


@dataclass(frozen=True)
class RobustScale:
    """How far each feature is from its median in training, in robust deviations (Hampel 1974).

    Counts and latencies spread over powers of ten, so all is taken as log(1 + x) first. What is
    missing is taken to be at the median.
    """

    median: Floats
    deviation: Floats

    @classmethod
    def of(cls, train: Buckets) -> RobustScale:
        """That of the buckets to learn from."""
        logs = _logs(train.values)
        with warnings.catch_warnings():
            # A feature without any value in training.
            warnings.simplefilter("ignore", RuntimeWarning)
            median = np.nan_to_num(np.nanmedian(logs, axis=0))
            mad = np.nan_to_num(np.nanmedian(np.abs(logs - median), axis=0))
        return cls(median, np.maximum(_MAD_TO_DEVIATION * mad, _LEAST))

    def __call__(self, buckets: Buckets) -> Floats:
        """Robust z values, at most 20 away from 0."""
        z = (_logs(buckets.values) - self.median) / self.deviation
        scaled: Floats = np.clip(np.nan_to_num(z), -_MOST, _MOST)
        return scaled


def _logs(values: Floats) -> Floats:
    logs: Floats = np.log1p(np.maximum(values, 0.0))
    return logs
