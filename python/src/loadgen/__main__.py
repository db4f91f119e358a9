"""`python -m loadgen`: what is in a dataset, and exports of it. The program itself is `loadgen`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

import loadgen
from loadgen.export import clickhouse, datapack, rcaeval, tadbench, tsb_ad

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loadgen.export import Exported

FORMATS: dict[str, Callable[..., Exported]] = {
    "rcaeval": rcaeval.export,
    "datapack": datapack.export,
    "tadbench": tadbench.export,
    "tsb-ad": tsb_ad.export,
    "clickhouse": clickhouse.export,
}
# The options that only some layouts have.
OF_CASES = ("rcaeval", "datapack")


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0; 2 for what is typed wrong, 3 for input that can't be used; of an exam that
    is not passed 8.
    """
    options = _parser().parse_args(arguments)
    try:
        if options.command == "evaluate":
            return _evaluate(options)
        dataset = loadgen.load(options.dir, "arrow", stamp=options.stamp)
        print(dataset.describe() if options.command == "describe" else _export(dataset, options))
    except loadgen.OptionError as wrong:
        print(f"error: {wrong}", file=sys.stderr)
        return 2
    except loadgen.LoadgenError as wrong:
        print(f"error: {wrong}", file=sys.stderr)
        return 3
    except (pa.ArrowException, OSError) as wrong:
        # A file that breaks off, or a column of another type than it should have.
        print(f"error: {options.dir} can't be used: {wrong}", file=sys.stderr)
        return 3
    return 0


def _export(dataset: loadgen.Dataset[Any], options: argparse.Namespace) -> Exported:
    extra: dict[str, Any] = {}
    if options.format in OF_CASES:
        extra = {"verdicts": options.verdicts, "normal_seconds": options.normal_seconds}
    return FORMATS[options.format](dataset, options.out, **extra)


def _evaluate(options: argparse.Namespace) -> int:
    try:
        from loadgen.exam import run, text  # noqa: PLC0415 (the loader does without its libraries)
    except ImportError as missing:
        raise loadgen.LoadgenError(
            f"{missing.name} is not installed, which exams need. In a clone this installs it: "
            "pip install './python[exam]'"
        ) from None
    result = run.evaluate(
        run.Options(
            folder=options.dir,
            out=options.out or options.dir / "evaluation",
            scores=options.scores,
            split=options.split,
            only=options.only,
            windows=tuple(sorted({5, *options.window})),
            seed=options.seed,
            quiet=options.quiet,
        )
    )
    print(text.terminal(result))
    return 0 if result["passed"] else 8


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in _names(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: give whole seconds, such as 5,10,30") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadgen", description=__doc__, allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True)
    describe = commands.add_parser("describe", help="what is in a dataset")
    describe.add_argument("dir", type=Path, help="folder of a run, an extraction or several runs")
    export = commands.add_parser(
        "export", help="write a dataset in the layout of another tool, see docs/formats.md"
    )
    export.add_argument("format", choices=sorted(FORMATS))
    export.add_argument("dir", type=Path, help="folder of a run, an extraction or several runs")
    export.add_argument("out", type=Path, help="a folder that is not there yet")
    export.add_argument(
        "--verdict",
        dest="verdicts",
        action="append",
        help="of cases: which verdicts their windows may have (supported, weak)",
    )
    export.add_argument(
        "--normal-seconds",
        type=float,
        default=600.0,
        help="of cases: how much normal time before the injection (600)",
    )
    for command in (describe, export):
        command.add_argument("--stamp", help="which extraction, where there are several")
    parser.set_defaults(verdicts=None)
    _evaluate_parser(commands)
    return parser


def _evaluate_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    evaluate = commands.add_parser(
        "evaluate", help="hold an exam: of a dataset, or of a detector on it, see docs/evaluate.md"
    )
    evaluate.add_argument("dir", type=Path, help="a folder made by `loadgen dataset build`")
    evaluate.add_argument("--scores", type=Path, help="what a detector says: CSV or Parquet")
    evaluate.add_argument(
        "--split",
        choices=("all", "test"),
        default="all",
        help="evaluate all buckets, by folds (default), or those of the test split alone",
    )
    evaluate.add_argument(
        "--only",
        type=_names,
        default=(),
        metavar="NAMES",
        help="parts (audit, detectors, root_cause) or detectors, with commas between them",
    )
    evaluate.add_argument(
        "--window",
        type=_numbers,
        default=(5, 10, 30, 60),
        metavar="SECONDS",
        help="lengths of windows, with commas between them (5,10,30,60)",
    )
    evaluate.add_argument("--seed", type=int, default=42, help="of all that is drawn (42)")
    evaluate.add_argument("--out", type=Path, help="a folder (DIR/evaluation)")
    evaluate.add_argument("--quiet", action="store_true", help="no progress")
    evaluate.set_defaults(stamp=None)


if __name__ == "__main__":
    sys.exit(main())
