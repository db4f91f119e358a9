"""What can be wrong with a folder, said for people."""

from __future__ import annotations


class LoadgenError(Exception):
    """Anything that this package refuses; the message says what, where and what to do."""


class OptionError(LoadgenError):
    """An option has a value that it can't have."""


class NoDatasetError(LoadgenError):
    """A folder has no dataset, or more than one."""


class NoTableError(LoadgenError, KeyError):
    """A dataset has no such table, file or column."""

    def __str__(self) -> str:
        # That of KeyError quotes its message.
        return str(self.args[0])


class NoCasesError(LoadgenError):
    """A dataset has nothing that the layout asked for could hold."""
