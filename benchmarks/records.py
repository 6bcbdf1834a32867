"""One record for each contestant, workload and pass: every measurement, as a flat dict."""

import datetime
from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmarks import machine
from benchmarks.contestants import OURS, Contestant
from benchmarks.programs import Program
from benchmarks.timing import interleave, ratios, spread
from benchmarks.workloads import Workload

Record = dict[str, Any]


class Case(NamedTuple):
    """One workload and pass, shown as one table."""

    workload: Workload
    kind: str  # the pass: "forward", "train" or "stream"


class Measured(NamedTuple):
    """The measurements of one case."""

    records: list[Record]
    left_out: dict[str, str]  # contestants that could not run it, and why


def cases(workloads: Sequence[Workload], passes: Sequence[str]) -> list[Case]:
    """Each pass of each workload; streaming is one step of one sequence, once per size."""
    whole = [Case(w, kind) for w in workloads for kind in passes if kind != "stream"]
    if "stream" not in passes:
        return whole
    return whole + [Case(w, "stream") for w in dict.fromkeys(w.streaming() for w in workloads)]


def measure(case: Case, contestants: dict[str, Contestant], rounds: int) -> Measured:
    """Compiles and times all contestants on one case."""
    peak = machine.peak_flops(case.workload.dtype)  # first, because it also warms up the compiler
    programs, left_out = {}, {}
    for name, contestant in contestants.items():
        try:
            program = contestant(*case)
            program.run()
        except Exception as error:  # of any kind: the others can still be compared
            if name == OURS:
                raise
            left_out[name] = str(error).split("\n")[0] or repr(error)
        else:
            programs[name] = program
    seconds = interleave(programs, rounds)
    records = [
        record(case, name, programs[name], seconds[name], seconds[OURS], peak) for name in programs
    ]
    return Measured(records, left_out)


def record(
    case: Case,
    name: str,
    program: Program,
    seconds: list[float],
    ours: list[float],
    peak: float,
) -> Record:
    """The measurements of one contestant."""
    workload, kind = case
    low, median, high = spread([1e3 * s for s in seconds])
    ratio = spread(ratios(seconds, ours))
    flops = workload.flops(kind)
    return {
        "workload": workload.name,
        **workload._asdict(),
        "pass": kind,
        "contestant": name,
        "milliseconds": median,
        "milliseconds_quartiles": [low, high],
        "over_jaxrnn": ratio.median,
        "over_jaxrnn_quartiles": [ratio.low, ratio.high],
        "rounds": len(seconds),
        "flops": flops,
        "peak_flops_per_second": peak,
        "part_of_peak": flops / (1e-3 * median) / peak,
        "bytes": program.peak_bytes,
        "compile_seconds": program.compile_seconds,
        "date": datetime.date.today().isoformat(),
        **machine.describe(),
    }
