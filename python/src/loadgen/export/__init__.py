"""Datasets in the layouts that tools of others read as they are: docs/formats.md."""

from loadgen.export.result import Exported

__all__ = ["Exported"]
