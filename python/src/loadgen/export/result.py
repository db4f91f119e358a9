"""What an export wrote; and folders that are there whole or not at all."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from loadgen.errors import LoadgenError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadgen.cases import Skipped


@dataclass(frozen=True)
class Exported:
    """What was written, and what could not be."""

    folder: Path
    names: tuple[str, ...]
    """Cases, series or files, in the layout's own names."""
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader of the export should know."""

    def __str__(self) -> str:
        lines = [f"{self.folder}: {len(self.names)} written", *(f"  {name}" for name in self.names)]
        lines += [f"  left out: {window}" for window in self.skipped]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)


@contextlib.contextmanager
def whole(out: Path) -> Iterator[Path]:
    """A folder to write into. It becomes `out` when all is written, and is gone after an error."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise LoadgenError(f"{out} exists and is not empty. Exports never write over anything.")
    out.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".export-", dir=out.parent))
    try:
        yield staging
        staging.chmod(0o755)
        if out.exists():
            out.rmdir()
        staging.rename(out)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
