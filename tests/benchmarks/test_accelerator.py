"""The benchmark of accelerators: end to end at tiny sizes on a CPU, its clock, its energy."""

import json
import re
import time

import jax
import jax.numpy as jnp
import pytest

from benchmarks import accelerator, accelerator_cases, device_time, energy
from benchmarks.accelerator import Session, run
from benchmarks.accelerator_cases import FULL, TINY, Case, cases
from benchmarks.device_time import Repeated, measure, repeated
from benchmarks.record_file import Writer, read
from jaxrnn.engines._unroll import NAMES

OPTIONS = ["--tiny", "--cases", "lstm_1_4_4", "linear_scan_16_2_8"]
OPTIONS += ["--peers", "--dtypes", "float32"]  # no peers


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """What the command writes here."""
    path = tmp_path_factory.mktemp("records") / "here.jsonl"
    accelerator.main([*OPTIONS, "--out", str(path)])
    return path


def test_the_command(record):
    found = read(record)
    assert found.end == "done"
    assert found.machine["jax"] == jax.__version__
    assert found.machine["is_tiny"]
    every = found.times | found.left_out
    assert {workload for workload, *_ in every} == {
        *("nothing", "product_128", "copy_128"),
        *("lstm_1_4_4", "linear_scan_16_2_8"),
    }
    for kind in ("forward", "train"):
        names = {f"jaxrnn {name}" for name in NAMES}
        assert names == {
            name for workload, k, name in every if (workload, k) == ("lstm_1_4_4", kind)
        }
        assert ("linear_scan_16_2_8", kind, "lax.associative_scan") in every
    assert len(found.times) > 10  # others may be lost in the noise of a busy machine
    for (workload, *_), line in found.times.items():
        part = "part_of_peak" if workload[:4] in ("lstm", "prod") else "part_of_copy"
        assert workload == "nothing" or part in line
        assert line["milliseconds"] > 0
        assert line["planned_bytes"] > 0
        low, high = line["milliseconds_quartiles"]
        assert low <= line["milliseconds"] <= high
    assert "not linear" in found.left_out["lstm_1_4_4", "train", "jaxrnn associative"]


def test_all_cases_are_named_and_sized():
    few = list(cases(TINY, ("float32", "bfloat16"), ["torch", "linen"]))
    assert len({(case.workload, case.kind) for case in few}) == len(few)
    (heads,) = (c for c in few if (c.workload, c.kind) == ("heads_2_6_2x4", "train"))
    whole = next(c for c in few if (c.workload, c.kind) == ("lstm_2_6_8", "train"))
    columns = 2 * 6 * 2 * 4 * 8  # multiplications and additions, steps, rows, gates, units
    assert whole.flops == columns * (2 * 8 + 3 * 8)
    assert heads.flops == columns * (2 * 8 + 3 * 4)
    assert heads.sizes["heads"] == 2
    assert "torch" in whole.contestants
    assert FULL.large == ((16, 1024, 768), (64, 512, 256), (256, 128, 1024))


def test_a_program_runs_alike_when_it_is_timed():
    program = repeated(lambda x, y: x + y, (jnp.ones(3), jnp.ones(3)))()
    times = measure(program, 0.01, lambda: None)
    assert times.seconds.median > 0
    assert times.joules is None


class Clock:
    """A clock that goes on by what a run of some calls takes."""

    now = 0.0

    def __init__(self, monkeypatch, seconds):
        self.seconds = seconds
        monkeypatch.setattr(device_time.time, "perf_counter", lambda: self.now)

    def run(self, count):
        self.now += self.seconds(count)


def test_the_clock_leaves_out_what_a_run_costs_once(monkeypatch):
    clock = Clock(monkeypatch, lambda count: 0.02 + 0.005 * count)
    meter = iter([0.0, 5.0, 35.0])
    times = measure(Repeated(clock.run), 1.0, lambda: next(meter))
    assert times.seconds == pytest.approx((0.005,) * 3)
    assert times.calls == times.runs * (6 + 2)  # six calls of 25 ms in a seventh of a second
    assert times.joules == 30 / times.calls


def test_a_slow_program_is_timed_once(monkeypatch):
    clock = Clock(monkeypatch, lambda count: 3.0 * count)
    times = measure(Repeated(clock.run), 1.0, lambda: None)
    assert times.seconds.median == 3.0
    assert (times.runs, times.calls, times.joules) == (1, 1, None)


def test_what_is_lost_in_noise_is_said(monkeypatch):
    clock = Clock(monkeypatch, lambda count: 0.01)
    with pytest.raises(ValueError, match="took no longer than one"):
        measure(Repeated(clock.run), 0.05, lambda: None)


def failing():
    raise RuntimeError("no room\nfor it")


def case(name="some_case", **makers):
    return Case(name, "forward", {"dtype": "float32"}, 1, makers)


def test_time_is_kept_and_errors_are_written_down(tmp_path, capsys):
    path = tmp_path / "a.jsonl"
    quick = lambda: lambda: Repeated(lambda count: time.sleep(0.001 * count))  # noqa: E731
    with Writer(path) as record:
        record.write("machine", format=1, device="d", platform="p", jax="0", versions={})
        session = Session(record, time.monotonic() + 60, True, ["banned"])
        run(case(quick=quick, failing=failing, late=lambda: failing, banned=quick), session)
        session.longest = 100
        run(case("another", quick=quick), session)
    found = read(path)
    assert list(found.times) == [("some_case", "forward", "quick")]
    assert found.left_out == {
        ("some_case", "forward", "failing"): "no room",
        ("some_case", "forward", "late"): "no room",
        ("some_case", "forward", "banned"): "by --leave-out",
        ("another", "forward", "quick"): "out of time",
    }
    assert found.end is None
    assert "no room" in capsys.readouterr().out


def test_the_end_comes_where_something_hangs(tmp_path, monkeypatch):
    ended = []
    monkeypatch.setattr(accelerator.os, "_exit", ended.append)
    path = tmp_path / "a.jsonl"
    with Writer(path) as record:
        session = Session(record, time.monotonic(), current="a case")
        with accelerator.watch(session, 0.01):
            time.sleep(0.1)
    assert ended == [0]
    assert json.loads(path.read_text())["reason"] == "stopped in a case"


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="this is no CPU")
@pytest.mark.parametrize(
    ("found", "advice"), [("nvidia-smi", "It has an NVIDIA driver.*cuda13"), (None, "For a GPU")]
)
def test_what_to_install_is_said(monkeypatch, found, advice):
    monkeypatch.setattr(accelerator.shutil, "which", lambda name: found)
    monkeypatch.setattr(accelerator.pathlib.Path, "glob", lambda *_: iter(()))
    with pytest.raises(SystemExit, match=f"finds only a CPU here. {advice}"):
        accelerator.main([])


def test_options():
    whole = accelerator.parse([])
    assert whole.out.parent == accelerator.RESULTS
    assert whole.budget + accelerator.GRACE < 600
    for part in (["--tiny"], ["--cases", "gru"], ["--peers"], ["--leave-out", "jaxrnn scan"]):
        assert accelerator.parse(part).out.parent == accelerator.PART


def test_bad_options(capsys):
    with pytest.raises(SystemExit):
        accelerator.parse(["--budget", "0"])
    assert re.search("whole number from 1 up, got '0'", capsys.readouterr().err)


class Driver:
    """What the library of the driver has."""

    def nvmlDeviceGetHandleByIndex_v2(self, index, device):
        assert index == 1
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, device, count):
        count._obj.value = 12_345
        return 0

    def nvmlSystemGetDriverVersion(self, name, size):
        name.value = b"570.1"
        return 0


def test_energy_by_the_driver(monkeypatch):
    monkeypatch.setattr(energy, "_library", Driver)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    energy._device.cache_clear()
    assert energy.joules() == 12.345
    assert energy.driver() == "570.1"
    monkeypatch.setattr(energy, "_library", lambda: None)
    energy._device.cache_clear()
    assert energy.joules() is energy.driver() is None
    energy._device.cache_clear()


def test_engines_are_those_of_the_table():
    one = next(c for c in cases(TINY, ("float32",), []) if c.workload == "gru_2_6_8")
    assert list(one.contestants) == [f"jaxrnn {name}" for name in NAMES]
    assert accelerator_cases.ENGINES is NAMES


@pytest.mark.thorough
@pytest.mark.parametrize("peer", ["torch", "linen"])
def test_peers_are_called_many_times(peer):
    pytest.importorskip({"linen": "flax"}.get(peer, peer), reason=f"{peer} is not installed")
    for case in cases(TINY, ("float32",), [peer]):
        if case.workload == "lstm_2_6_8":
            with jax.numpy_dtype_promotion("standard"):
                program = case.contestants[peer]()()
            program.run(3)
