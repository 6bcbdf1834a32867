"""`examples/char_lm.py` learns, goes on bit for bit, and refuses what is not its checkpoint."""

import concurrent.futures
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

import jaxrnn

EXAMPLES = Path(__file__).parents[2] / "examples"
TINY = ["--size", "8", "--batch", "8", "--window", "8", "--sample-length", "40"]


@pytest.fixture(scope="module", autouse=True)
def defaults_of_jax():
    """The example runs in float32 with JAX's own promotion, as it does for a user."""
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(scope="module")
def char_lm(defaults_of_jax):
    spec = importlib.util.spec_from_file_location("char_lm", EXAMPLES / "char_lm.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # Runs with one configuration share their model, and so their compiled programs.
    runs, make_run = {}, module.make_run

    def shared(config, checkpoint):
        key = json.dumps(config, sort_keys=True)
        if key not in runs:
            runs[key] = make_run(config, checkpoint)
        return runs[key]._replace(config=config, checkpoint=checkpoint)

    module.make_run = shared
    return module


def command(*flags):
    """The example as a user runs it, on a CPU, in a process of its own."""
    package = str(Path(jaxrnn.__file__).parents[1])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    return {
        "args": [sys.executable, str(EXAMPLES / "char_lm.py"), *map(str, flags)],
        "env": os.environ | {"PYTHONPATH": path, "JAX_PLATFORMS": "cpu"},
        "text": True,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
    }


def arrays_in(out):
    return safetensors.numpy.load_file(out / "checkpoint.safetensors")


def assert_same_bits(got, expected):
    assert got.keys() == expected.keys()
    for name, x in expected.items():
        assert got[name].dtype == x.dtype, name
        assert got[name].shape == x.shape, name
        assert got[name].tobytes() == x.tobytes(), name


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder and the output of a short run from beginning to end."""
    out = tmp_path_factory.mktemp("trained") / "run"
    flags = ["--steps", 150, "--size", 32, "--batch", 32, "--window", 32]
    done = subprocess.run(**command(*flags, "--out", out, "--sample-length", 100))
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    return out, done.stdout


@pytest.fixture(scope="module")
def checkpoint(char_lm, tmp_path_factory):
    """The bytes of the checkpoint of a run that was stopped on its way."""
    out = tmp_path_factory.mktemp("stopped")
    assert char_lm.main([*TINY, "--out", str(out), "--steps", "8", "--stop-after", "4"]) == 0
    return (out / "checkpoint.safetensors").read_bytes()


@pytest.fixture
def out(checkpoint, tmp_path):
    """A folder with that checkpoint."""
    (tmp_path / "checkpoint.safetensors").write_bytes(checkpoint)
    return tmp_path


# --- A whole run ---


def test_run_writes_its_files(trained):
    out, _ = trained
    names = {path.name for path in out.iterdir()}
    assert names == {"checkpoint.safetensors", "loss.png", "sample.txt"}
    assert (out / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert 90 <= len((out / "sample.txt").read_text()) <= 103


def test_run_prints_scores_and_sample(trained):
    out, printed = trained
    scores = next(line for line in printed.splitlines() if line.startswith("bits per character"))
    held_out = float(scores.split("held-out ")[1].split()[0])
    assert held_out == pytest.approx(arrays_in(out)["history.held_out"][-1], abs=1e-3)
    assert (out / "sample.txt").read_text() in printed
    assert "chars/s" in printed
    assert "left" in printed


def test_run_learns(trained):
    arrays = arrays_in(trained[0])
    losses = arrays["history.train"]
    assert len(losses) == 150
    assert losses[0] > 5.5
    assert losses[-20:].mean() < 3.6
    assert arrays["history.held_out"][-1] < 3.7


def test_sample_only_writes_text_and_nothing_else(trained, char_lm, capsys):
    out, _ = trained
    before = {path: path.read_bytes() for path in out.iterdir()}
    flags = ["--out", str(out), "--sample-only", "--sample-length", "60", "--prompt", r"HAMLET:\n"]
    texts = []
    for seed in ("1", "1", "2"):
        assert char_lm.main([*flags, "--seed", seed]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] != texts[2]
    assert texts[0].startswith("HAMLET:\n")
    assert 60 <= len(texts[0]) <= 69
    assert before == {path: path.read_bytes() for path in out.iterdir()}


# --- Going on ---


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param(  # these streams begin again every 9 steps
            ["--cell", "lstm", "--batch", "10000"], marks=pytest.mark.thorough
        ),
        ["--cell", "gru", "--layers", "2", "--dropout", "0.3", "--accumulate", "3"],
    ],
)
def test_resume_goes_on_bit_for_bit(flags, char_lm, tmp_path):
    flags = [*TINY, *flags, "--steps", "100"]
    straight, parts = tmp_path / "straight", tmp_path / "parts"
    assert char_lm.main([*flags, "--out", str(straight), "--stop-after", "14"]) == 0
    assert char_lm.main([*flags, "--out", str(parts), "--stop-after", "7"]) == 0
    assert int(arrays_in(parts)["state.step"]) == 7
    assert char_lm.main(["--resume", "--out", str(parts), "--stop-after", "14"]) == 0
    assert int(arrays_in(parts)["state.step"]) == 14
    assert_same_bits(arrays_in(parts), arrays_in(straight))


def test_interrupt_saves_and_resume_goes_on(char_lm, tmp_path):
    flags = [*TINY, "--steps", "1000000"]
    stopped, straight = tmp_path / "stopped", tmp_path / "straight"
    process = subprocess.Popen(**command(*flags, "--out", stopped))
    while not (stopped / "checkpoint.safetensors").exists():  # the first periodic one
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate()
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert f"--resume --out {stopped}" in printed
    step = int(arrays_in(stopped)["state.step"])
    assert len(arrays_in(stopped)["history.train"]) == step

    last = str(step + 5)
    assert char_lm.main(["--resume", "--out", str(stopped), "--stop-after", last]) == 0
    assert char_lm.main([*flags, "--out", str(straight), "--stop-after", last]) == 0
    assert_same_bits(arrays_in(stopped), arrays_in(straight))


@pytest.mark.thorough
def test_two_runs_may_save_in_one_folder(char_lm, out):
    """Each checkpoint that is read is a whole one of either run."""
    path = out / "checkpoint.safetensors"
    config, arrays = char_lm.load(path)
    run = char_lm.make_run(config, path)
    state, history = char_lm.restore(run, arrays)
    states = [state._replace(step=jnp.int32(step)) for step in (10, 20)]

    def save_often(state):
        for _ in range(100):
            char_lm.save(run, state, history)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        saving = [pool.submit(save_often, state) for state in states]
        while not all(each.done() for each in saving):
            assert int(char_lm.load(path)[1]["state.step"]) in (4, 10, 20)
        for each in saving:
            each.result()
    assert [file.name for file in out.iterdir()] == [path.name]


def test_second_interrupt_stops_at_once(char_lm):
    before = signal.getsignal(signal.SIGINT)
    with char_lm.first_interrupt() as pressed:
        assert not pressed
        signal.raise_signal(signal.SIGINT)
        assert pressed
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_resume_of_a_finished_run_changes_nothing(trained, char_lm):
    out, _ = trained
    before = arrays_in(out)
    assert char_lm.main(["--resume", "--out", str(out)]) == 0
    assert_same_bits(arrays_in(out), before)


# --- What is refused ---


def assert_refused(char_lm, capsys, out, flags, *words):
    """Both commands name the file and the `words`, and leave the folder as it is."""
    path = out / "checkpoint.safetensors"
    before = {file: file.read_bytes() for file in out.iterdir()}
    capsys.readouterr()
    assert char_lm.main(["--out", str(out), *flags]) == 1
    message = capsys.readouterr().err
    for word in (str(path), "left as it is", "expected", "got", *words):
        assert word in message
    assert before == {file: file.read_bytes() for file in out.iterdir()}


@pytest.mark.parametrize("mode", ["--resume", "--sample-only"])
@pytest.mark.parametrize("length", [0, 5, 8, 40, 0.1, 0.5, 0.9, -1])
def test_cut_short(length, mode, char_lm, capsys, out, checkpoint):
    length = int(length * len(checkpoint)) if isinstance(length, float) else length
    cut = checkpoint[:length]
    (out / "checkpoint.safetensors").write_bytes(cut)
    assert_refused(char_lm, capsys, out, [mode], f"{len(cut):,} bytes", "cut short")


def test_flipped_bits(char_lm, out, checkpoint):
    path = out / "checkpoint.safetensors"
    header = 8 + int.from_bytes(checkpoint[:8], "little")
    rng = np.random.default_rng(0)
    places = [*range(8), *rng.integers(8, header, 150), *rng.integers(header, len(checkpoint), 50)]
    for place in [*places, len(checkpoint) - 1]:
        flipped = bytearray(checkpoint)
        flipped[place] ^= 1 << rng.integers(8)
        path.write_bytes(flipped)
        with pytest.raises(char_lm.Refused, match="damaged"):
            char_lm.load(path)


@pytest.mark.parametrize("mode", ["--resume", "--sample-only"])
def test_flipped_parameter(mode, char_lm, capsys, out, checkpoint):
    flipped = bytearray(checkpoint)
    flipped[len(checkpoint) // 2] ^= 1
    (out / "checkpoint.safetensors").write_bytes(flipped)
    assert_refused(char_lm, capsys, out, [mode], "SHA-256", "damaged")


@pytest.mark.parametrize("mode", ["--resume", "--sample-only"])
@pytest.mark.parametrize(
    ("flags", "got"),
    [
        (["--cell", "gru"], "--cell 'lstm'"),
        (["--layers", "2"], "--layers 1"),
        (["--size", "16"], "--size 8"),
        (["--learning-rate", "0.5"], "--learning-rate 0.01"),
    ],
)
def test_another_model(flags, got, mode, char_lm, capsys, out):
    assert_refused(char_lm, capsys, out, [mode, *flags], flags[0], flags[1], got, "--out")


def rewrite(char_lm, out, change):
    """Saves the checkpoint again, whole, with what `change` makes of its run and its state."""
    path = out / "checkpoint.safetensors"
    config, arrays = char_lm.load(path)
    run = char_lm.make_run(config, path)
    state, history = char_lm.restore(run, arrays)
    char_lm.save(*change(run, state), history)


def reconfigured(**changes):
    return lambda run, state: (run._replace(config=run.config | changes), state)


@pytest.mark.parametrize("mode", ["--resume", "--sample-only"])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"size": 16},
            ["state.params.1.kernel", "float32(64, 64)", "float32(64, 32)", "another model"],
        ),
        ({"layers": 2}, ["state.params.", "another model"]),
        ({"cell": "elman"}, ["state.params.1.kernel", "another model"]),
    ],
)
def test_leaves_of_another_model(changes, words, mode, char_lm, capsys, out):
    rewrite(char_lm, out, reconfigured(**changes))
    assert_refused(char_lm, capsys, out, [mode], *words)


def weights(metadata):
    """The bytes of a file that the library saved for another program."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        jaxrnn.checkpoint.save(path, {"weight": np.ones(3)}, metadata=metadata)
        return path.read_bytes()


def test_another_text(char_lm, capsys, out):
    rewrite(char_lm, out, reconfigured(text="0123456789abcdef"))
    assert_refused(char_lm, capsys, out, ["--resume"], "the text", "0123456789abcdef")
    assert char_lm.main(["--out", str(out), "--sample-only", "--sample-length", "40"]) == 0


@pytest.mark.parametrize("mode", ["--resume", "--sample-only"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"To be, or not to be, that is the question.\n" * 50, ["another kind of file"]),
        (safetensors.numpy.save({"weight": np.ones(3)}), ["another kind of file", "no checksums"]),
        (weights({}), ["another program", "None"]),
        (weights({"format": "pt"}), ["another program", "'pt'"]),
    ],
    ids=["text", "safetensors", "weights", "weights with a format"],
)
def test_some_other_file(content, words, mode, char_lm, capsys, out):
    (out / "checkpoint.safetensors").write_bytes(content)
    assert_refused(char_lm, capsys, out, [mode], *words)


@pytest.mark.parametrize("mode", ["--resume", "--sample-only"])
def test_no_checkpoint(mode, char_lm, capsys, tmp_path):
    assert char_lm.main([mode, "--out", str(tmp_path / "none")]) == 1
    assert f"{tmp_path / 'none' / 'checkpoint.safetensors'}: expected" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_new_run_overwrites_nothing(char_lm, capsys, out, checkpoint):
    assert char_lm.main([*TINY, "--out", str(out)]) == 1
    message = capsys.readouterr().err
    assert f"{out / 'checkpoint.safetensors'} exists" in message
    assert "--resume" in message
    assert "--out" in message
    assert [path.read_bytes() for path in out.iterdir()] == [checkpoint]


def test_failed_save_leaves_the_last_checkpoint(char_lm, capsys, monkeypatch, out, checkpoint):
    def no_space(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    assert char_lm.main(["--out", str(out), "--resume"]) == 1
    assert "No space left" in capsys.readouterr().err
    assert [path.read_bytes() for path in out.iterdir()] == [checkpoint]


def test_out_of_memory_while_training(char_lm, capsys, monkeypatch, tmp_path):
    def train(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")

    monkeypatch.setattr(char_lm, "train", train)
    assert char_lm.main([*TINY, "--out", str(tmp_path / "none")]) == 1
    assert "out of memory. Lower --size" in capsys.readouterr().err


def test_loss_that_is_not_finite(char_lm, capsys, out):
    def spoil(run, state):
        return run, state._replace(params=jax.tree.map(lambda x: x * jnp.nan, state.params))

    rewrite(char_lm, out, spoil)
    before = (out / "checkpoint.safetensors").read_bytes()
    assert char_lm.main(["--out", str(out), "--resume"]) == 1
    assert "step 5: expected a finite loss" in capsys.readouterr().err
    assert [path.read_bytes() for path in out.iterdir()] == [before]


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--size", "0"),
        ("--size", "1000000"),
        ("--layers", "two"),
        ("--layers", "100000"),
        ("--steps", "-1"),
        ("--batch", "1.5"),
        ("--dropout", "1.5"),
        ("--learning-rate", "nan"),
        ("--temperature", "inf"),
        ("--cell", "transformer"),
    ],
)
def test_bad_flag(flag, value, char_lm, capsys):
    with pytest.raises(SystemExit, match="2"):
        char_lm.main([flag, value])
    message = capsys.readouterr().err
    assert f"argument {flag}" in message
    assert f"'{value}'" in message
    assert "expected" in message or "choose from" in message


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--prompt", "Æ"], ["--prompt: expected", "'Æ'"]),
        (["--prompt", ""], ["--prompt: expected", "none"]),
        (["--batch", "100000"], ["--window: expected at most 6", "100000 streams", "got 8"]),
        (["--steps", "2", "--accumulate", "3"], ["--accumulate: expected at most --steps 2"]),
        (["--size", "100000"], ["--size, --layers: expected a model that fits into", "got one"]),
        (["--out", str(EXAMPLES / "char_lm.py")], ["--out: expected a folder", "char_lm.py"]),
    ],
)
def test_flags_that_do_not_fit(flags, words, char_lm, capsys, tmp_path):
    assert char_lm.main([*TINY, "--out", str(tmp_path / "none"), *flags]) == 1
    message = capsys.readouterr().err
    for word in words:
        assert word in message
    assert not (tmp_path / "none").exists()


# --- The parts ---


@pytest.fixture(scope="module")
def small_run(char_lm):
    flags = {name: default for name, (default, *_) in char_lm.RUN_FLAGS.items()}
    _, _, about = char_lm.read_text()
    sizes = {"size": 16, "batch": 4, "window": 8}
    return char_lm.make_run(flags | sizes | about, Path("unused"))


@pytest.fixture(scope="module")
def small_state(char_lm, small_run):
    return char_lm.start(small_run)


@pytest.mark.thorough
def test_carry_is_handed_on(char_lm, small_run, small_state):
    """The second window begins where the first ended; at the start of the streams none does."""
    model, optimizer, window = small_run.model, small_run.optimizer, small_run.config["window"]
    streams = jnp.array(np.random.default_rng(0).integers(0, 66, (3 * window, 4)), jnp.int32)
    state, noise = small_state, jax.tree.map(lambda x: x + 0.5, small_state.carry)

    def loss_at(position, carry):
        # Donation takes the buffers, so each call is given its own.
        own = jax.tree.map(jnp.copy, state._replace(position=jnp.int32(position), carry=carry))
        new, loss = char_lm.train_step(model, optimizer, window, own, streams)
        return new, float(loss)

    first, loss = loss_at(0, state.carry)
    assert loss_at(0, noise)[1] == loss
    assert loss_at(window, state.carry)[1] != loss_at(window, noise)[1]
    assert int(first.position) == window
    assert int(loss_at(window, noise)[0].position) == 0  # no third whole window with targets

    carry, _ = model.apply(state.params, None, streams[:window])
    _, logits = model.apply(state.params, carry, streams[window : 2 * window])
    expected = char_lm.bits(logits, streams[window + 1 : 2 * window + 1]).mean()
    assert loss_at(window, first.carry)[1] == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("length", [9, 1500])
def test_evaluate_counts_every_character(length, char_lm, small_run, small_state):
    params = small_state.params
    symbols = np.random.default_rng(1).integers(0, 66, length).astype(np.int32)
    size = -(-(length - 1) // 1024) * 128  # of one of the 8 streams
    total = 0.0
    for start in range(0, length - 1, size):
        xs = symbols[start : min(start + size, length - 1)]
        _, logits = small_run.model.apply(params, None, jnp.array(xs))
        total += float(char_lm.bits(logits, symbols[start + 1 : start + 1 + len(xs)]).sum())
    got = char_lm.evaluate(small_run.model, params, jnp.array(symbols))
    assert float(got) == pytest.approx(total / (length - 1), rel=1e-5)


def test_likeliest_text(char_lm, small_run, small_state):
    """At temperature 0 each symbol is the likeliest after all before it."""
    params = small_state.params
    prompt, key = jnp.array([3, 1, 4]), jax.random.key(0)
    written = char_lm.write(small_run.model, params, prompt, key, 0.0, 12)
    _, logits = small_run.model.apply(params, None, jnp.concatenate([prompt, written]))
    np.testing.assert_array_equal(written, logits[2:-1].argmax(-1))


def test_text_and_its_terms(char_lm):
    train, held_out, about = char_lm.read_text()
    assert len(about["vocabulary"]) == 66
    assert len(train) + len(held_out) == 834_560
    assert 0.05 < len(held_out) / len(train) < 0.1
    terms = (EXAMPLES / "data" / "DATA_LICENSES.md").read_text()
    for path in (EXAMPLES / "data").iterdir():
        assert path.name == "DATA_LICENSES.md" or f"`{path.name}`" in terms


def test_checkpoint_says_what_it_is(out):
    saved = jaxrnn.checkpoint.read_weights(out / "checkpoint.safetensors")
    assert saved.metadata["format"] == "jaxrnn char_lm checkpoint, version 2"
    assert json.loads(saved.metadata["config"])["cell"] == "lstm"
    parts = {"step", "position", "params", "optimizer", "carry", "key"}
    names = [name.split(".") for name in saved.arrays]
    assert {part for place, part, *_ in names if place == "state"} == parts
    assert {part for place, part, *_ in names if place == "history"} == {*HISTORY}


HISTORY = "train", "held_out", "held_out_steps"
