"""A summary of the records: the fastest peer of each case, and geometric means."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.contestants import OURS
from benchmarks.records import Record


class Mean(NamedTuple):
    """How many times as long as jaxrnn the peers take, over all workloads of a cell."""

    cell: str  # "all" for the workloads of all cells
    kind: str
    lowest: float  # over workloads, of the fastest peer's ratio
    fastest: float  # geometric mean over workloads of the fastest peer's ratio
    peers: dict[str, float]  # geometric mean over workloads of each peer's ratio


def by_case(records: Sequence[Record]) -> dict[tuple[str, str], dict[str, Record]]:
    """The records of each workload and pass, by contestant."""
    found = {}
    for record in records:
        case = found.setdefault((record["workload"], record["pass"]), {})
        case[record["contestant"]] = record
    return found


def fastest_peer(case: dict[str, Record]) -> str | None:
    """The peer that takes the least time; None if there are no peers."""
    peers = [name for name in case if not name.startswith(OURS)]
    return min(peers, key=lambda name: case[name]["milliseconds"], default=None)


def means(records: Sequence[Record]) -> list[Mean]:
    """One entry for each cell and pass. Cases without peers are not counted."""
    cases = [case for case in by_case(records).values() if fastest_peer(case)]
    groups = {}
    for cell in (lambda record: record["cell"], lambda _: "all"):
        for case in cases:
            groups.setdefault((cell(case[OURS]), case[OURS]["pass"]), []).append(case)
    return [_mean(*key, cases) for key, cases in groups.items()]


def _mean(cell, kind, cases):
    fastest = [case[fastest_peer(case)]["over_jaxrnn"] for case in cases]
    peers = {}
    for case in cases:
        for name in case:
            if not name.startswith(OURS):
                peers.setdefault(name, []).append(case[name]["over_jaxrnn"])
    geometric = {name: statistics.geometric_mean(figures) for name, figures in peers.items()}
    return Mean(cell, kind, min(fastest), statistics.geometric_mean(fastest), geometric)
