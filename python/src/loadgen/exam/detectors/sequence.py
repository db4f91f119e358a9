"""An autoencoder over the last four buckets: how badly twenty seconds can be put together again
from what normal time looks like (Sakurada and Yairi 2014).

Not a forecaster: it is told the last buckets and so gets used to a fault after the first of them.
The autoencoder sees a fault for as long as it lasts. It looks back within one episode only.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from loadgen.exam.detectors.kind import Detector, Score
from loadgen.exam.detectors.scaling import RobustScale

if TYPE_CHECKING:
    from loadgen.exam.arrays import Floats
    from loadgen.exam.buckets import Buckets

_BUCKETS = 4
_COMPONENTS = 30
_HIDDEN = (48, 12, 48)
_CLIP = 5.0
"""Of robust z values, so that one feature does not make up the whole error."""


def _fit(train: Buckets, seed: int) -> Score:
    normal = train.take(~train.anomalous)
    scale = RobustScale.of(normal)
    flat = np.clip(scale(normal), -_CLIP, _CLIP)
    components = min(_COMPONENTS, *flat.shape)
    projection = PCA(components, random_state=seed).fit(flat)

    def windows(buckets: Buckets) -> tuple[Floats, Floats]:
        now = np.clip(scale(buckets), -_CLIP, _CLIP)
        low = projection.transform(now)
        lost = ((now - projection.inverse_transform(low)) ** 2).mean(axis=1)
        return _last(low, buckets), lost

    inputs, lost = windows(normal)
    spread = inputs.std(axis=0) + 1e-9
    model = MLPRegressor(
        hidden_layer_sizes=_HIDDEN,
        activation="tanh",
        alpha=1e-3,
        max_iter=300,
        tol=1e-5,
        random_state=seed,
    )
    with warnings.catch_warnings():
        # It may learn on for longer; the same number of steps each time is what is wanted.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(inputs / spread, inputs / spread)
    usual = float(np.median(lost)) + 1e-9
    usual_error = float(np.median(_error(model, inputs / spread))) + 1e-9

    def score(buckets: Buckets) -> Floats:
        inputs, lost = windows(buckets)
        # What the projection can't hold is an error of putting together as well.
        error: Floats = _error(model, inputs / spread) / usual_error + lost / usual
        return error

    return score


def _error(model: MLPRegressor, inputs: Floats) -> Floats:
    error: Floats = ((model.predict(inputs) - inputs) ** 2).mean(axis=1)
    return error


def _last(values: Floats, buckets: Buckets) -> Floats:
    """Beside each bucket those before it in its episode. Where there is none the first is taken
    again.
    """
    same = (buckets.episode[1:] == buckets.episode[:-1]) & (buckets.run[1:] == buckets.run[:-1])
    start = np.where(np.concatenate([[False], same]), 0, np.arange(len(buckets)))
    begins = np.maximum.accumulate(start)
    places = np.arange(len(buckets))
    back = [values[np.maximum(places - ago, begins)] for ago in range(_BUCKETS)]
    return np.hstack(back)


DETECTOR = Detector("autoencoder", "Autoencoder over 20 s", "normal", _fit)
