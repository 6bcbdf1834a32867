"""Compares two records of `benchmarks.accelerator`: for each workload, the ratio of the times.

python -m benchmarks.compare a.jsonl b.jsonl
"""

import argparse
import pathlib
import statistics
import sys
from collections.abc import Iterator, Sequence

from benchmarks.record_file import REFERENCES, Key, Run, read

# What makes times comparable, where it is the same in both.
CONDITIONS = ("device", "platform", "jax", "driver", "matmul_precision", "xla_flags", "is_tiny")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.compare", description=__doc__)
    parser.add_argument("first", type=pathlib.Path, help="a record")
    parser.add_argument("second", type=pathlib.Path, help="another")
    options = parser.parse_args(arguments)
    try:
        runs = read(options.first), read(options.second)
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    print("\n".join(report(*runs)))


def report(first: Run, second: Run) -> Iterator[str]:
    """The lines of the comparison."""
    for letter, run in (("a", first), ("b", second)):
        yield f"{letter}: {run.path}: {run.machine['device']}, jax {run.machine['jax']}"
    yield from warnings(first, second)
    yield f"\n{'workload':34} {'pass':8} {'contestant':22} {'a, ms':>10} {'b, ms':>10} {'b / a':>7}"
    found = ratios(first, second)
    for (workload, kind, name), ratio in found.items():
        a, b = (run.times[workload, kind, name]["milliseconds"] for run in (first, second))
        yield f"{workload:34} {kind:8} {name:22} {a:10.4f} {b:10.4f} {ratio:7.2f}"
    if not found:
        yield "Nothing was timed in both."
        return
    yield "\nGeometric means of b / a; below 1, b takes less time:"
    for (kind, name), mean in means(found).items():
        yield f"  {name:22} {kind:8} {mean:7.2f}"
    yield from only_one(first, second)


def ratios(first: Run, second: Run) -> dict[Key, float]:
    """The time in `second` over that in `first`, of all that is in both."""
    common = [key for key in first.times if key in second.times]
    return {
        key: second.times[key]["milliseconds"] / first.times[key]["milliseconds"] for key in common
    }


def means(found: dict[Key, float]) -> dict[tuple[str, str], float]:
    """The geometric mean over the workloads, for each pass and contestant, and for all of them.

    What says what a device can do, such as a large product, is not one of them.
    """
    groups, every = {}, []
    for (workload, kind, name), ratio in found.items():
        if not workload.startswith(REFERENCES):
            groups.setdefault((kind, name), []).append(ratio)
            every.append(ratio)
    if every:
        groups["", "all"] = every
    return {key: statistics.geometric_mean(figures) for key, figures in groups.items()}


def warnings(first: Run, second: Run) -> Iterator[str]:
    """What differs between the machines and makes times hard to compare, and what is missing."""
    for name in CONDITIONS:
        values = first.machine.get(name), second.machine.get(name)
        if values[0] != values[1]:
            yield f"WARNING: {name} differs: {values[0]!r} and {values[1]!r}"
    ours, theirs = first.machine["versions"], second.machine["versions"]
    for package in dict.fromkeys([*ours, *theirs]):
        if ours.get(package) != theirs.get(package):
            yield f"WARNING: {package} differs: {ours.get(package)} and {theirs.get(package)}"
    for run in (first, second):
        if run.end != "done":
            yield f"WARNING: {run.path} is not complete: {run.end or 'it breaks off'}"


def only_one(first: Run, second: Run) -> Iterator[str]:
    """What has a time in one record only, and why it has none in the other."""
    for letter, run, other in (("a", first, second), ("b", second, first)):
        keys = [key for key in run.times if key not in other.times]
        if keys:
            yield f"\nOnly in {letter}:"
        for key in keys:
            yield f"  {' '.join(key)}: {other.left_out.get(key, 'the other does not mention it')}"


if __name__ == "__main__":
    main()
