"""Times forward and train step of every contestant on every workload, and prints a table.

python -m benchmarks                       all workloads
python -m benchmarks --quick               few rounds
python -m benchmarks --out results.jsonl   also a line of JSON for each figure
"""

import argparse
import datetime
import json
import pathlib
import platform
import statistics

import jax

from benchmarks.contestants import contestants, missing
from benchmarks.timing import interleave, ratio
from benchmarks.workloads import WORKLOADS


def device() -> str:
    """The name of the machine's accelerator, or of its processor."""
    found = jax.devices()[0]
    if found.platform != "cpu":
        return found.device_kind
    names = (
        [
            line.split(":")[1].strip()
            for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ]
        if pathlib.Path("/proc/cpuinfo").exists()
        else []
    )
    return f"{names[0] if names else platform.processor()}, {len(names) or '?'} cores"


def measure(workload, rounds):
    """One record for each pass and contestant of `workload`."""
    entrants = contestants(workload)
    for kind in ("forward", "train"):
        seconds = interleave({name: getattr(c, kind) for name, c in entrants.items()}, rounds)
        for name, times in seconds.items():
            yield {
                "workload": str(workload),
                "pass": kind,
                "contestant": name,
                "milliseconds": round(1e3 * statistics.median(times), 3),
                "over jaxrnn xla": round(ratio(times, seconds["jaxrnn xla"]), 3),
                "device": device(),
                "jax": jax.__version__,
                "date": datetime.date.today().isoformat(),
            }


def row(records):
    """A line of the Markdown table: milliseconds, and the ratio to ours in parentheses."""
    cells = [f"{r['milliseconds']:.1f} ({r['over jaxrnn xla']:.2f})" for r in records]
    return f"| {records[0]['workload']} | {records[0]['pass']} | {' | '.join(cells)} |"


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="5 rounds instead of 40")
    parser.add_argument("--out", type=pathlib.Path, help="a file for the records, one JSON a line")
    options = parser.parse_args()
    print(f"{device()}, jax {jax.__version__}; medians in ms, (times as long as jaxrnn xla)")
    for peer in missing():
        print(f"{peer} is not installed, and left out: pip install '.[peers]' brings it")
    records = []
    for workload in WORKLOADS:
        found = list(measure(workload, 5 if options.quick else 40))
        if not records:
            names = list(dict.fromkeys(r["contestant"] for r in found))
            print("| workload B,T,H | pass | " + " | ".join(names) + " |")
            print("|---|---|" + "---|" * len(names))
        for kind in ("forward", "train"):
            print(row([r for r in found if r["pass"] == kind]), flush=True)
        records += found
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text("".join(json.dumps(r) + "\n" for r in records))


if __name__ == "__main__":
    main()
