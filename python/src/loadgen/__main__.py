"""`python -m loadgen`: what is in a dataset, and exports of it. The program itself is `loadgen`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    """The exit code: 0, or 3 for input that can't be used."""
    options = _parser().parse_args(arguments)
    try:
        dataset = loadgen.load(options.dir, "arrow", stamp=options.stamp)
        print(dataset.describe() if options.command == "describe" else _export(dataset, options))
    except loadgen.LoadgenError as wrong:
        print(f"error: {wrong}", file=sys.stderr)
        return 3
    return 0


def _export(dataset: loadgen.Dataset[Any], options: argparse.Namespace) -> Exported:
    extra: dict[str, Any] = {}
    if options.format in OF_CASES:
        extra = {"verdicts": options.verdicts, "normal_seconds": options.normal_seconds}
    return FORMATS[options.format](dataset, options.out, **extra)


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
    return parser


if __name__ == "__main__":
    sys.exit(main())
