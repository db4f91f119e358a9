"""Real datasets to test with, made by the program itself.

`LOADGEN_BIN` is the program (else `target/debug/loadgen`). `LOADGEN_RUN` is the folder of a run of
scenarios/quick.yaml; where it is not set a shorter one is made, which takes half a minute.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import loadgen

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "crates/extract/tests/golden"


def call(*arguments: str | Path, codes: tuple[int, ...] = (0,)) -> None:
    """Calls the program."""
    program = os.environ.get("LOADGEN_BIN", str(ROOT / "target/debug/loadgen"))
    assert Path(program).exists(), f"{program} is not there: build it, or set LOADGEN_BIN"
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode in codes, done.stderr


@pytest.fixture(scope="session")
def extraction(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small extraction with all that is odd in the field."""
    out = tmp_path_factory.mktemp("extraction") / "dataset"
    inputs = [GOLDEN / f"{name}.jsonl" for name in ("traces-1", "traces-2", "metrics", "logs")]
    # 8: a few requests are no evidence.
    call("extract", *inputs, "--timeline", GOLDEN / "timeline.jsonl", "--out", out, codes=(0, 7, 8))
    return out


@pytest.fixture(scope="session")
def csv_only(extraction: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without Parquet."""
    out = tmp_path_factory.mktemp("csv") / "dataset"
    out.mkdir()
    for path in extraction.iterdir():
        if path.suffix != ".parquet":
            shutil.copy(path, out)
    return out


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a real run of the demo shop."""
    if "LOADGEN_RUN" in os.environ:
        return Path(os.environ["LOADGEN_RUN"])
    out = tmp_path_factory.mktemp("runs") / "quick"
    scenarios = ROOT / "scenarios/quick.yaml"
    # 7, 8: windows of 2.4 s are short for the audit.
    call("run", scenarios, "--time-scale", "0.3", "--out", out, "--quiet", codes=(0, 7, 8))
    return out


@pytest.fixture(scope="session")
def built(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of several runs, here of one."""
    out = tmp_path_factory.mktemp("built") / "dataset"
    # 8: a run that short may have windows that nothing backs.
    call("dataset", "build", run, "--unusable", "keep", "--out", out, codes=(0, 7, 8))
    return out


@pytest.fixture(scope="session")
def dataset(run: Path) -> loadgen.Dataset[object]:
    """That of the run, as Arrow."""
    return loadgen.load(run, "arrow")
