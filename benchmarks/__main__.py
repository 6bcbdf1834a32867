"""Times jaxrnn and its peers side by side, and writes tables, a figure and all records.

python -m benchmarks                  all workloads, all peers, every pass
python -m benchmarks --quick          a few of them, in under a minute
python -m benchmarks --scaling        time against T, B and H
python -m benchmarks --workloads gru lstm_8_50_32 --peers linen torch --passes train

A workload is named cell_B_T_H.
"""

import json
import pathlib
import sys
from argparse import Namespace
from collections.abc import Sequence

from benchmarks import contestants, machine
from benchmarks.arguments import parse
from benchmarks.records import Record, cases, measure

try:
    from rich.console import Console

    from benchmarks import plots, tables
except ModuleNotFoundError as error:
    sys.exit(f"{error.name} is missing, and the benchmarks need it: pip install '.[peers]'")

console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments, __doc__)
    about = machine.describe()
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    console.print(f"{about['device']}; jax {about['jax']}, {versions}")
    for peer, package in contestants.missing(options.peers).items():
        console.print(f"{peer} is missing: {package} is not installed. pip install '.[peers]'")
    options.out.mkdir(parents=True, exist_ok=True)
    name = machine.slug() + ("-scaling" if options.scaling else "")
    records = run(options, options.out / f"{name}.jsonl")
    if options.scaling:
        plots.scaling(records, options.out / f"{name}.png")
    else:
        console.print(tables.means_table(records))
        (options.out / f"{name}.md").write_text(tables.markdown(records))
        plots.bars(records, options.out / f"{name}.png")
    console.print(f"Tables, figure and records: {options.out / name}.*")


def run(options: Namespace, path: pathlib.Path) -> list[Record]:
    """Measures all cases, and appends the records of each to the file at `path` when it is done."""
    names = [] if options.scaling or options.quick else contestants.IMPLEMENTATIONS
    entrants = contestants.ours(names) | contestants.theirs(options.peers)
    records = []
    with path.open("w") as lines:
        for case in cases(options.workloads, options.passes):
            measured = measure(case, entrants, options.rounds)
            console.print(tables.case_table(case, measured))
            lines.writelines(json.dumps(record) + "\n" for record in measured.records)
            lines.flush()
            records += measured.records
    return records


if __name__ == "__main__":
    main()
