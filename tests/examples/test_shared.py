"""What the examples share: options, data that is damaged, files that are whole, Ctrl-C."""

import re
import signal

import matplotlib.figure
import numpy as np
import pytest
import shared

DOC = "Learns.\n\nAt length."
CONSTANTS = {
    "steps": (100, "training steps"),
    "seed": (0, "random seed"),
    "rate": (1e-2, "100 % of the learning rate"),
    "dropout": (0.5, "share", 0, 0.99),
    "cell": (("gru", "lstm"), "recurrent cell"),
    "text": ("no", "a text"),
}


def options(*flags):
    return shared.options(DOC, CONSTANTS, {"steps": 3}, list(map(str, flags)))


def test_options_are_the_constants_unless_given(tmp_path):
    got = vars(options("--out", tmp_path / "a" / "b", "--rate", 0.5))
    assert got.pop("out").is_dir()
    assert got == {**shared.defaults(CONSTANTS), "rate": 0.5}
    assert shared.defaults(CONSTANTS)["cell"] == "gru"


def test_quick_changes_what_is_not_given(tmp_path):
    assert options("--out", tmp_path, "--quick").steps == 3
    assert options("--out", tmp_path, "--quick", "--steps", 50).steps == 50


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--steps", "0"),
        ("--steps", "1.5"),
        ("--seed", "-1"),
        ("--rate", "nan"),
        ("--rate", "-0.1"),
        ("--dropout", "1"),
        ("--cell", "elman"),
    ],
)
def test_bad_values_are_told_by_name(flag, value, capsys):
    with pytest.raises(SystemExit, match="2"):
        options(flag, value)
    message = capsys.readouterr().err
    assert f"argument {flag}" in message
    assert value in message


def test_help_names_each_option(capsys):
    with pytest.raises(SystemExit, match="0"):
        options("--help")
    printed = capsys.readouterr().out
    assert all(f"--{name}" in printed for name in (*CONSTANTS, "out", "quick"))
    assert "100 % of" in printed


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match="--out: expected a folder, got the file"):
        options("--out", tmp_path / "file")


def test_data_that_is_missing_or_damaged_is_told(tmp_path, monkeypatch):
    whole = {
        name: (shared.DATA / name).read_bytes() for name in ("series.npz", "kjv_rv_12w.tsv.gz")
    }
    monkeypatch.setattr(shared, "DATA", tmp_path)
    for name, content in whole.items():
        load = shared.load_arrays if name.endswith("npz") else shared.load_lines
        with pytest.raises(SystemExit, match="missing"):
            load(name)
        flipped = bytearray(content)
        flipped[len(content) // 2] ^= 1
        for damaged in (b"", content[:20], content[: len(content) // 2], b"text", bytes(flipped)):
            (tmp_path / name).write_bytes(damaged)
            with pytest.raises(SystemExit, match=f"{re.escape(name)} is damaged"):
                load(name)
        (tmp_path / name).write_bytes(content)
        assert len(load(name))


def test_a_file_is_the_old_or_the_new_one(tmp_path, capsys):
    path = tmp_path / "file"
    with shared.replacing(path) as file:
        file.write(b"old")
    with pytest.raises(TypeError), shared.replacing(path) as file:
        file.writelines([b"ne", "w"])
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    assert capsys.readouterr().out == f"wrote {path}\n"


def test_a_picture_is_the_same_bytes_each_time(tmp_path):
    for name in "ab":
        figure = matplotlib.figure.Figure()
        figure.subplots().plot(np.arange(3))
        shared.save_picture(figure, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_first_interrupt_ends_the_loop_and_the_second_the_program():
    before, seen = signal.getsignal(signal.SIGINT), []
    for step in shared.until_interrupted(range(10)):
        seen.append(step)
        if step == 3:
            signal.raise_signal(signal.SIGINT)
    assert seen == [0, 1, 2, 3]
    assert signal.getsignal(signal.SIGINT) is before
    with shared.first_interrupt() as pressed:
        signal.raise_signal(signal.SIGINT)
        assert pressed
        with pytest.raises(SystemExit, match="130"):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
