"""Two records side by side: ratios, means, what only one has, and what is malformed."""

import json

import pytest

from benchmarks import compare
from benchmarks.record_file import read

MACHINE = {
    "line": "machine",
    "format": 1,
    "device": "NVIDIA H100",
    "platform": "gpu",
    "jax": "0.10.1",
    "versions": {"torch": "2.13"},
}
END = {"line": "end", "seconds": 1.0, "reason": "done"}


def timed(workload, contestant, milliseconds, kind="train"):
    fields = {"workload": workload, "pass": kind, "contestant": contestant}
    return {"line": "time", **fields, "milliseconds": milliseconds}


def left_out(workload, contestant, reason):
    fields = {"workload": workload, "pass": "train", "contestant": contestant}
    return {"line": "left out", **fields, "reason": reason}


def write(path, *lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def two(tmp_path):
    """Records of a GPU and of a TPU."""
    first = write(
        tmp_path / "a.jsonl",
        MACHINE,
        timed("copy_8", "jax", 1),
        timed("lstm_1", "jaxrnn xla", 4),
        timed("gru_1", "jaxrnn xla", 1),
        timed("lstm_1", "jaxrnn cudnn", 1.5),
        END,
    )
    second = write(
        tmp_path / "b.jsonl",
        MACHINE | {"device": "TPU v5e", "platform": "tpu", "versions": {"flax": "0.12"}},
        timed("copy_8", "jax", 3),
        timed("lstm_1", "jaxrnn xla", 2),
        timed("gru_1", "jaxrnn xla", 2),
        timed("gru_1", "jaxrnn scan", 3),
        left_out("lstm_1", "jaxrnn cudnn", "arrays are on tpu here"),
    )
    return first, second


def test_ratios_and_means(two):
    found = compare.ratios(*map(read, two))
    assert found == {
        ("copy_8", "train", "jax"): 3.0,
        ("lstm_1", "train", "jaxrnn xla"): 0.5,
        ("gru_1", "train", "jaxrnn xla"): 2.0,
    }
    assert compare.means(found) == {("train", "jaxrnn xla"): 1.0, ("", "all"): 1.0}


def test_the_command(two, capsys):
    compare.main(list(map(str, two)))
    printed = capsys.readouterr().out
    for text in (
        "a.jsonl: NVIDIA H100, jax 0.10.1",
        "WARNING: device differs: 'NVIDIA H100' and 'TPU v5e'",
        "WARNING: torch differs: 2.13 and None",
        "b.jsonl is not complete: it breaks off",
        "0.50",
        "lstm_1 train jaxrnn cudnn: arrays are on tpu here",
        "gru_1 train jaxrnn scan: the other does not mention it",
    ):
        assert text in printed
    assert "WARNING: jax" not in printed
    compare.main([str(two[0])] * 2)
    assert "WARNING" not in capsys.readouterr().out


def test_nothing_in_common(two, tmp_path, capsys):
    compare.main([str(two[0]), str(write(tmp_path / "c.jsonl", MACHINE, END))])
    assert "Nothing was timed in both." in capsys.readouterr().out


ONE = timed("lstm_1", "jaxrnn xla", 4)
MALFORMED = {
    "": "empty. A record begins with a line about the machine",
    "\x00{": r"line 1: no JSON \(.* at character 1\)",
    json.dumps(ONE): "line 1: must be about the machine, not 'time'",
    json.dumps(MACHINE | {"format": 9}): "line 1: has format 9, and this reads 1",
    json.dumps({k: v for k, v in MACHINE.items() if k != "jax"}): "line 1: 'jax' is missing",
    "\n".join(map(json.dumps, (MACHINE, ONE, ONE))): "line 3: lstm_1 train jaxrnn xla is there tw",
    "\n".join(map(json.dumps, (MACHINE, MACHINE))): "line 2: a second machine",
    json.dumps(MACHINE) + '\n{"line": "ti': "line 2: no JSON .*cut off",
    json.dumps(MACHINE) + "\n[1]": r"line 2: must be an object with .*got '\[1\]'",
    json.dumps(MACHINE) + '\n{"line": "times"}': 'line 2: must be an object with "line" one of',
    "\n".join(map(json.dumps, (MACHINE, ONE | {"milliseconds": "4"}))): "'milliseconds' cannot be",
    "\n".join(map(json.dumps, (MACHINE, ONE | {"milliseconds": 0}))): "must be above 0, got 0",
}


@pytest.mark.parametrize("text", MALFORMED)
def test_malformed_files_are_named(text, tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_text(text)
    with pytest.raises(SystemExit, match=rf"bad\.jsonl.*{MALFORMED[text]}"):
        compare.main([str(path), str(path)])


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(SystemExit, match=r"No such file.*none\.jsonl"):
        compare.main([str(tmp_path / "none.jsonl")] * 2)
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SystemExit, match=r"binary\.jsonl: no text in UTF-8 \(.* at byte 0\)"):
        compare.main([str(tmp_path / "binary.jsonl")] * 2)
