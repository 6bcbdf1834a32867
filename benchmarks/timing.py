"""Timing by turns: every contestant once a round, so that a noisy machine is noisy for all."""

import time
from typing import NamedTuple

import numpy as np

from benchmarks.programs import Program


class Spread(NamedTuple):
    """The quartiles of a number of figures."""

    low: float
    median: float
    high: float


def interleave(programs: dict[str, Program], rounds: int) -> dict[str, list[float]]:
    """The seconds of one call of each program in each round.

    In its turn a program runs twice, and the second run is timed: by then the caches hold its own
    data, and the threads of the program before it have come to rest. Every second round goes
    through the programs backwards, so that none always follows the same other.
    """
    seconds = {name: [] for name in programs}
    for i in range(rounds):
        for name in programs if i % 2 == 0 else reversed(programs):
            programs[name].run()
            start = time.perf_counter()
            programs[name].run()
            seconds[name].append((time.perf_counter() - start) / programs[name].calls)
    return seconds


def spread(figures: list[float]) -> Spread:
    """Their quartiles."""
    return Spread(*(float(q) for q in np.quantile(figures, (0.25, 0.5, 0.75))))


def ratios(theirs: list[float], ours: list[float]) -> list[float]:
    """Round by round, how many times longer the first took than the second."""
    return [a / b for a, b in zip(theirs, ours, strict=True)]
