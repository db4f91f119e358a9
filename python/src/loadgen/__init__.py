"""Loads datasets that loadgen made, and exports them to layouts that other tools read.

>>> import loadgen
>>> ds = loadgen.load("runs/quick-20260202T024000Z")
>>> ds.traces, ds.windows, ds.evidence
"""

from importlib import metadata as _metadata

from loadgen.dataset import Dataset, load
from loadgen.errors import (
    LoadgenError,
    NoCasesError,
    NoDatasetError,
    NoTableError,
    OptionError,
)

try:
    __version__ = _metadata.version("loadgen")
except _metadata.PackageNotFoundError:
    # Used from a checkout, without being installed.
    __version__ = "0+unknown"

__all__ = [
    "Dataset",
    "LoadgenError",
    "NoCasesError",
    "NoDatasetError",
    "NoTableError",
    "OptionError",
    "load",
]
