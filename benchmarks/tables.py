"""Tables of the records, for the terminal and in Markdown."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.table import Table

from benchmarks.contestants import OURS
from benchmarks.records import Case, Measured, Record
from benchmarks.summary import by_case, fastest_peer, means

_HEADINGS = ("", "ms", "quartiles", "over jaxrnn", "quartiles", "of peak", "MiB", "compile s")


def case_table(case: Case, measured: Measured) -> Table:
    """All measurements of one workload and pass."""
    peak = measured.records[0]["peak_flops_per_second"]
    title = f"{case.workload.name}, {case.kind}; the peak is {peak / 1e9:,.0f} Gflop/s"
    reasons = [f"{name} is left out: {reason}" for name, reason in measured.left_out.items()]
    table = _table(title, caption="\n".join(reasons) or None)
    for heading in _HEADINGS:
        table.add_column(heading, justify="right" if heading else "left")
    for record in measured.records:
        table.add_row(*_row(record), style="bold" if record["contestant"] == OURS else None)
    return table


def _table(title, **options):
    return Table(
        title=title,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        **options,
    )


def _row(record):
    low, high = record["milliseconds_quartiles"]
    ratio_low, ratio_high = record["over_jaxrnn_quartiles"]
    taken, compiled = record["bytes"], record["compile_seconds"]
    return (
        record["contestant"],
        _three_digits(record["milliseconds"]),
        f"{_three_digits(low)} .. {_three_digits(high)}",
        f"{record['over_jaxrnn']:.2f}",
        f"{ratio_low:.2f} .. {ratio_high:.2f}",
        f"{record['part_of_peak']:.1%}",
        "" if taken is None else f"{taken / 2**20:.1f}",
        "" if compiled is None else f"{compiled:.2f}",
    )


def means_table(records: Sequence[Record]) -> Table:
    """The geometric means over the workloads of each cell, and over all."""
    header, *rows = _means_rows(records)
    table = _table("Times as long as jaxrnn, geometric means")
    for i, heading in enumerate(header):
        table.add_column(heading, justify="left" if i < 2 else "right")
    for row in rows:
        table.add_row(*row)
    return table


def markdown(records: Sequence[Record]) -> str:
    """A page that says what was measured and where, with medians and geometric means."""
    about = records[0]
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    return "\n".join(
        [
            f"{about['device']}, jax {about['jax']}, {versions}; commit {about['commit']}, "
            f"{about['date']}. Milliseconds, medians of {about['rounds']} interleaved rounds; in "
            "parentheses, how many times as long as jaxrnn, the median of the ratios. Workloads "
            "are cell_B_T_H.",
            "",
            *_markdown_rows(_median_rows(records), left=2),
            "",
            "Times as long as jaxrnn, geometric means over workloads:",
            "",
            *_markdown_rows(_means_rows(records), left=2),
            "",
        ]
    )


def _median_rows(records):
    names = list(dict.fromkeys(record["contestant"] for record in records))
    yield ["workload", "pass", *names, "fastest peer / jaxrnn", "jaxrnn, of peak"]
    for (workload, kind), case in by_case(records).items():
        peer = fastest_peer(case)
        yield [
            workload,
            kind,
            *(_median(case[name]) if name in case else "" for name in names),
            f"{case[peer]['over_jaxrnn']:.2f}" if peer else "",
            f"{case[OURS]['part_of_peak']:.0%}",
        ]


def _median(record):
    shown = _three_digits(record["milliseconds"])
    return shown if record["contestant"] == OURS else f"{shown} ({record['over_jaxrnn']:.2f})"


def _means_rows(records) -> Iterable[list[str]]:
    lines = means(records)
    names = list(dict.fromkeys(name for line in lines for name in line.peers))
    yield ["cell", "pass", "fastest peer", "lowest", *names]
    for line in lines:
        peers = (f"{line.peers[name]:.2f}" if name in line.peers else "" for name in names)
        yield [line.cell, line.kind, f"{line.fastest:.2f}", f"{line.lowest:.2f}", *peers]


def _markdown_rows(rows, left):
    """The lines of a Markdown table; all columns but the first `left` are right-aligned."""
    header, *body = rows
    rule = ["---" if i < left else "---:" for i in range(len(header))]
    return [f"| {' | '.join(row)} |" for row in (header, rule, *body)]


def _three_digits(milliseconds):
    return f"{milliseconds:.{1 if milliseconds >= 10 else 2 if milliseconds >= 1 else 4}f}"
