"""The benchmarks: all contestants compute the same, and the figures are put together rightly."""

import functools
import importlib.util
import itertools
import json
import os
import pathlib
import re
import subprocess
import sys

import jax
import numpy as np
import pytest

import jaxrnn
from benchmarks import arguments, contestants
from benchmarks.programs import PASSES, Program, on_jax
from benchmarks.records import Case, cases, measure, record
from benchmarks.summary import fastest_peer, means
from benchmarks.timing import interleave, ratios, spread
from benchmarks.workloads import QUICK, SCALING, WORKLOADS, Workload, parse, select

ROOT = pathlib.Path(__file__).parents[2]
CELLS = {
    "lstm": ("forward", "stream"),
    "gru": ("stream",),
    "elman": ("forward",),
}  # what is compared
MODULES = {"linen": "flax", "nnx": "flax"}  # what the other peers import has their own name
PLAIN = {  # the cells that are another function than those of all others
    ("haiku", "gru"): functools.partial(jaxrnn.gru, reset_after=False),
    ("haiku", "elman"): functools.partial(jaxrnn.elman, activation=jax.nn.relu),
}
needs_output = functools.partial(pytest.importorskip, reason="pip install '.[peers]'")


def tiny(cell):
    return Workload(cell, batch=2, steps=3, inputs=5, hidden=4)


def test_names():
    assert {workload.cell for workload in WORKLOADS} == set(CELLS)
    ranges = itertools.chain.from_iterable(SCALING.values())
    for workload in (*WORKLOADS, *QUICK, *ranges, parse("gru_1_2_3x4_bfloat16")):
        assert parse(workload.name) == workload
    assert parse("gru_1_2_3x4_bfloat16") == Workload("gru", 1, 2, 3, 4, "bfloat16")
    assert [w.name for w in select("gru_32")] == ["gru_32_100_128"]
    assert {w.cell for w in select("elman")} == {"elman"}
    assert select("lstm_2_3_4") == [Workload("lstm", 2, 3, 4, 4)]


def test_flops_are_those_of_the_products():
    assert tiny("lstm").flops("forward") == 2 * 3 * 2 * 16 * (5 + 4)
    assert tiny("gru").flops("train") == 2 * 3 * 2 * 12 * (2 * 5 + 3 * 4)
    assert tiny("elman").streaming().flops("stream") == 2 * 4 * (5 + 4)


def test_a_streaming_step_is_timed_once_for_each_size():
    found = cases([parse("lstm_2_3_4"), parse("lstm_5_6_4")], ["train", "stream"])
    assert [(w.name, kind) for w, kind in found] == [
        ("lstm_2_3_4", "train"),
        ("lstm_5_6_4", "train"),
        ("lstm_1_1_4", "stream"),
    ]


def check_agreement(peer, cell, kinds):
    """The outputs, the last output of a stream and the loss are those of the plain scan."""
    for kind in kinds:
        workload = tiny(cell).streaming() if kind == "stream" else tiny(cell)
        got = contestants.theirs([peer])[peer](workload, kind).run()
        want = plain(kind, workload, PLAIN.get((peer, cell), getattr(jaxrnn, cell)))
        if kind == "train":
            want, got = want[0], got[0].detach()
        got = np.swapaxes(got, 0, 1) if (peer, kind) == ("keras", "forward") else np.asarray(got)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


@functools.cache
def plain(kind, workload, make_cell):
    """What the plain scan gives."""
    model = functools.partial(
        contestants.model, cell=make_cell(workload.hidden), implementation="scan"
    )
    return on_jax(model)(workload, kind).run()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("peer", [peer for peer in contestants.PEERS if peer != "keras"])
def test_peers_agree(peer, cell):
    pytest.importorskip(MODULES.get(peer, peer), reason=f"{peer} is not installed")
    if (peer, cell) == ("equinox", "elman"):
        with pytest.raises(ValueError, match="no elman"):
            check_agreement(peer, cell, CELLS[cell])
        return
    with jax.numpy_dtype_promotion("standard"):
        check_agreement(peer, cell, CELLS[cell])


def test_torch_trains_alike():
    """The peers on JAX share the code of the train step."""
    pytest.importorskip("torch", reason="torch is not installed")
    check_agreement("torch", "lstm", ["train"])


def test_keras_agrees():
    """In a process of its own, where its backend can be JAX."""
    if importlib.util.find_spec("keras") is None:
        pytest.skip("keras is not installed")
    code = (
        "from tests.benchmarks.test_benchmarks import *\n"
        "for c in CELLS: check_agreement('keras', c, CELLS[c])"
    )
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_turns_are_taken():
    order = []
    programs = {name: Program(lambda name=name: order.append(name)) for name in "ab"}
    seconds = interleave(programs, rounds=3)
    assert "".join(order) == "aabb" + "bbaa" + "aabb"
    assert {name: len(times) for name, times in seconds.items()} == {"a": 3, "b": 3}


def test_the_arithmetic_of_a_record(monkeypatch):
    monkeypatch.setattr("benchmarks.machine.describe", lambda: {"device": "here"})
    case = Case(tiny("lstm"), "forward")
    theirs, ours = [0.004, 0.006, 0.010, 0.012, 0.5], [0.002, 0.002, 0.002, 0.001, 0.1]
    found = record(case, "torch", Program(None, 1, 0.25, 4096), theirs, ours, peak=1e6)
    assert found["milliseconds"] == pytest.approx(10)
    assert found["milliseconds_quartiles"] == pytest.approx([6, 12])
    assert found["over_jaxrnn"] == pytest.approx(5)  # of 2, 3, 5, 12, 5, not 10 over 2
    assert found["over_jaxrnn_quartiles"] == pytest.approx([3, 5])
    assert found["part_of_peak"] == pytest.approx(1728 / 0.010 / 1e6)
    assert (found["compile_seconds"], found["bytes"]) == (0.25, 4096)
    assert spread([1.0, 2.0]) == (1.25, 1.5, 1.75)
    with pytest.raises(ValueError, match="longer"):
        ratios([1.0], [1.0, 2.0])


def figure(workload, contestant, milliseconds, over):
    cell = workload.split("_")[0]
    return dict(
        zip(
            ("workload", "cell", "pass", "contestant", "milliseconds", "over_jaxrnn"),
            (workload, cell, "train", contestant, milliseconds, over),
            strict=True,
        )
    )


def test_means_are_of_the_fastest_peer_of_each_workload():
    records = [
        figure("lstm_1_1_1", "jaxrnn", 1, 1.0),
        figure("lstm_1_1_1", "jaxrnn scan", 0.1, 0.1),
        figure("lstm_1_1_1", "torch", 2, 2.0),
        figure("lstm_1_1_1", "linen", 3, 3.0),
        figure("lstm_2_2_2", "jaxrnn", 1, 1.0),
        figure("lstm_2_2_2", "torch", 18, 18.0),
        figure("lstm_2_2_2", "linen", 8, 8.0),
        figure("gru_1_1_1", "jaxrnn", 1, 1.0),  # no peers: not counted
    ]
    assert fastest_peer({r["contestant"]: r for r in records[:4]}) == "torch"
    lstm, every = means(records)
    assert (lstm.cell, lstm.kind, every.cell) == ("lstm", "train", "all")
    assert (lstm.lowest, lstm.fastest) == (2.0, pytest.approx(4.0))
    assert lstm.peers == pytest.approx({"torch": 6.0, "linen": 24**0.5})


def test_who_cannot_run_a_case_is_left_out(monkeypatch):
    monkeypatch.setattr("benchmarks.machine.peak_flops", lambda dtype: 1e9)

    def refuse(workload, kind):
        raise ValueError(f"no {workload.cell} here\nand more")

    case = Case(tiny("lstm"), "forward")
    found = measure(case, {"jaxrnn": lambda *_: Program(list), "odd": refuse}, rounds=1)
    assert [r["contestant"] for r in found.records] == ["jaxrnn"]
    assert found.left_out == {"odd": "no lstm here"}
    with pytest.raises(ValueError, match="no lstm"):
        measure(case, {"jaxrnn": refuse}, rounds=1)


@pytest.mark.thorough
def test_the_command(tmp_path, monkeypatch, capsys):
    needs_output("rich")
    needs_output("matplotlib")
    from benchmarks import __main__ as command

    monkeypatch.setitem(contestants.PEERS, "absent", "no-such-package")
    options = ["--workloads", "elman_2_3_4", "--peers", "equinox", "absent", "--rounds", "2"]
    command.main([*options, "--passes", "forward", "--out", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "absent is missing: no-such-package is not installed" in printed
    here = importlib.util.find_spec("equinox")
    missing = "left out: equinox has no elman cell" if here else "missing: equinox is not installed"
    assert f"equinox is {missing}" in printed
    (lines,), (page,), (picture,) = (tmp_path.glob(f"*.{end}") for end in ("jsonl", "md", "png"))
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert {(r["workload"], r["pass"]) for r in records} == {("elman_2_3_4", "forward")}
    assert {"jaxrnn", "jaxrnn scan", "jaxrnn xla"} <= {r["contestant"] for r in records}
    for found in records:
        assert found["milliseconds"] > 0
        assert found["part_of_peak"] > 0
        assert found["compile_seconds"] > 0
        assert found["bytes"] > 0
        assert found["device"]
        assert found["jax"] == jax.__version__
    assert "| elman_2_3_4 | forward |" in page.read_text()
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_scaling_curves(tmp_path):
    plots = pytest.importorskip("benchmarks.plots", reason="pip install '.[peers]'")
    about = {"device": "here", "jax": "0", "commit": None, "date": "today"}
    records = [
        {**workload._asdict(), **about, "workload": workload.name, "pass": "train"}
        | {"contestant": name, "milliseconds": workload.flops("train") / 1e6}
        for workload in dict.fromkeys(itertools.chain.from_iterable(SCALING.values()))
        for name in ("jaxrnn", "torch")
    ]
    plots.scaling(records, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_options():
    whole = arguments.parse([], "")
    assert (whole.workloads, whole.passes) == (WORKLOADS, list(PASSES))
    assert whole.out == arguments.RESULTS
    for part in (["--quick"], ["--peers"], ["--passes", "train"], ["--workloads", "gru"]):
        assert arguments.parse(part, "").out == arguments.PART
    quick = arguments.parse(["--quick", "--workloads", "gru", "gru_1"], "")
    assert quick.rounds == 5
    assert quick.workloads == select("gru")
    scaling = arguments.parse(["--scaling"], "")
    assert len(scaling.workloads) == len(set(scaling.workloads))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--workloads", "lstm_1_2"], "named cell_B_T_H.*got 'lstm_1_2'.*The table has lstm_1_500"),
        (["--peers", "tensorflow"], "invalid choice: 'tensorflow'.*linen.*torch"),
        (["--passes", "backward"], "invalid choice: 'backward'.*forward.*train.*stream"),
        (["--rounds", "0"], "whole number from 1 up, got '0'"),
        (["--scaling", "--workloads", "lstm"], "leave out --workloads"),
    ],
)
def test_bad_options(options, message, capsys):
    with pytest.raises(SystemExit):
        arguments.parse(options, "")
    assert re.search(message, capsys.readouterr().err, re.S)
