"""The command-line options."""

import argparse
import itertools
import pathlib
from collections.abc import Sequence

from benchmarks.contestants import PEERS
from benchmarks.programs import PASSES
from benchmarks.workloads import QUICK, SCALING, WORKLOADS, select

RESULTS = pathlib.Path(__file__).parent / "results"
PART = pathlib.Path("runs/benchmarks")  # for partial runs, which must not replace a full one


def parse(arguments: Sequence[str] | None, description: str) -> argparse.Namespace:
    """The options, with defaults filled in."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="two workloads, 5 rounds, no other engines")
    add("--scaling", action="store_true", help="ranges of T, B and H, not workloads")
    add("--workloads", nargs="+", type=_workloads, metavar="NAME", help="names or prefixes")
    add("--peers", nargs="*", choices=PEERS, default=list(PEERS), help="all by default")
    add("--passes", nargs="+", choices=PASSES, help="all by default")
    add("--rounds", type=_rounds, help="per case; 20 by default")
    add("--out", type=pathlib.Path, help="output folder")
    options = parser.parse_args(arguments)
    if options.scaling and options.workloads:
        parser.error("--scaling has workloads of its own: leave out --workloads")
    return _filled(options)


def _filled(options):
    whole = options.passes is None and options.workloads is None and not options.quick
    if options.out is None:
        options.out = RESULTS if whole and set(options.peers) == set(PEERS) else PART
    options.rounds = options.rounds or (5 if options.quick else 20)
    if options.scaling:
        ranges = [r[::2] if options.quick else r for r in SCALING.values()]
        options.workloads = _once(itertools.chain.from_iterable(ranges))
        options.passes = options.passes or ["forward", "train"]
    elif options.workloads:
        options.workloads = _once(itertools.chain.from_iterable(options.workloads))
    else:
        options.workloads = QUICK if options.quick else WORKLOADS
    options.passes, options.peers = _once(options.passes or PASSES), _once(options.peers)
    return options


def _once(items):
    return list(dict.fromkeys(items))


def _workloads(name):
    try:
        return select(name)
    except ValueError as error:
        table = ", ".join(workload.name for workload in WORKLOADS)
        raise argparse.ArgumentTypeError(f"{error} The table has {table}.") from error


def _rounds(text):
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 up, got {text!r}")
    return int(text)
