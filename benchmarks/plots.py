"""Figures of the records: bar charts of ratios, and curves of time against T, B and H."""

import pathlib
from collections.abc import Sequence

from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from benchmarks.contestants import OURS, PEERS
from benchmarks.records import Record
from benchmarks.summary import by_case
from benchmarks.workloads import SCALING

_COLORS = dict(zip((OURS, *PEERS), ("black", *colormaps["tab10"].colors), strict=False))
_AXES = {"steps": "T", "batch": "B", "hidden": "H = I"}


def bars(records: Sequence[Record], path: pathlib.Path) -> None:
    """How many times as long as jaxrnn each peer takes, one panel per pass."""
    peers = [name for name in PEERS if any(r["contestant"] == name for r in records)]
    kinds = list(dict.fromkeys(record["pass"] for record in records))
    figure = Figure(figsize=(11, 0.8 + 3 * len(kinds)), layout="constrained")
    for axis, kind in zip(figure.subplots(len(kinds), squeeze=False)[:, 0], kinds, strict=True):
        _bar_panel(axis, [r for r in records if r["pass"] == kind], peers)
        axis.set_title(_TITLES[kind], loc="left", fontsize=10)
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=len(labels), frameon=False)
    figure.supylabel("time relative to jaxrnn; above 1, jaxrnn is faster", fontsize=10)
    figure.supxlabel(_place(records), fontsize=9)
    figure.savefig(path, dpi=150)


_TITLES = {
    "forward": "forward: cell, B, T, H",
    "train": "train step: cell, B, T, H",
    "stream": "one streaming step from Python: cell, H",
}


def _bar_panel(axis, records, peers):
    cases = list(by_case(records).values())
    width = 0.8 / max(len(peers), 1)
    for i, peer in enumerate(peers):
        places = [j for j, case in enumerate(cases) if peer in case]
        heights = [cases[j][peer]["over_jaxrnn"] - 1 for j in places]
        lefts = [j + (i - len(peers) / 2 + 0.5) * width for j in places]
        axis.bar(lefts, heights, width, bottom=1, color=_COLORS[peer], label=peer)
    axis.axhline(1, color=_COLORS[OURS], linewidth=1.5, label=OURS)
    axis.set_xticks(range(len(cases)), [_label(case[OURS]) for case in cases], fontsize=8)
    axis.tick_params(axis="x", length=0)
    axis.set_yscale("log", base=2)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}"))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.set_axisbelow(True)
    axis.grid(axis="y", color="0.85")
    axis.spines[["top", "right"]].set_visible(False)


def _label(record):
    sizes = [record["batch"], record["steps"], record["hidden"]]
    shown = sizes[2:] if record["pass"] == "stream" else sizes
    return f"{record['cell']}\n{', '.join(map(str, shown))}"


def scaling(records: Sequence[Record], path: pathlib.Path) -> None:
    """Time against T, B and H, one row per pass."""
    kinds = list(dict.fromkeys(record["pass"] for record in records))
    figure = Figure(figsize=(11, 0.8 + 3.2 * len(kinds)), layout="constrained")
    grid = figure.subplots(len(kinds), len(SCALING), sharey="row", squeeze=False)
    for kind, row in zip(kinds, grid, strict=True):
        for (size, workloads), axis in zip(SCALING.items(), row, strict=True):
            names = {workload.name for workload in workloads}
            chosen = [r for r in records if r["pass"] == kind and r["workload"] in names]
            _curves(axis, chosen, size)
            axis.set_title(f"{kind}, {_fixed(chosen, size)}", loc="left", fontsize=10)
        row[0].set_ylabel("milliseconds")
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=len(labels), frameon=False)
    figure.supxlabel(_place(records), fontsize=9)
    figure.savefig(path, dpi=150)


def _curves(axis, records, size):
    for name, color in _COLORS.items():
        points = sorted((r[size], r["milliseconds"]) for r in records if r["contestant"] == name)
        if points:
            axis.plot(*zip(*points, strict=True), marker="o", ms=3, color=color, label=name)
    axis.set_xscale("log")
    axis.set_yscale("log")
    places = sorted({record[size] for record in records})
    axis.set_xticks(places, [str(place) for place in places])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel(_AXES[size])
    axis.grid(color="0.9")
    axis.spines[["top", "right"]].set_visible(False)


def _fixed(records, size):
    others = [s for s in _AXES if s != size]
    return ", ".join([records[0]["cell"], *(f"{_AXES[s]} = {records[0][s]}" for s in others)])


def _place(records):
    about = records[0]
    return f"{about['device']}; jax {about['jax']}; commit {about['commit']}; {about['date']}"
