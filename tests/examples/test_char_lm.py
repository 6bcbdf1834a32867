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
import shared

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
    # Runs with one configuration share their optimizer, and so their compiled programs.
    made, make = {}, module.make

    def make_once(config):
        key = json.dumps(config, sort_keys=True)
        if key not in made:
            made[key] = make(config)
        return made[key]

    module.make = make_once
    return module


def refusal(char_lm, *flags):
    """The message with which the command ends."""
    with pytest.raises(SystemExit) as ended:
        char_lm.main([*flags])
    assert isinstance(ended.value.code, str)  # printed to stderr, with code 1
    return ended.value.code


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
    assert not char_lm.main([*TINY, "--out", str(out), "--steps", "8", "--stop-after", "4"])
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
    held_out = float(printed.split("held-out ")[1].split()[0])
    assert held_out == pytest.approx(arrays_in(out)["history.held_out"][-1], abs=1e-3)
    assert (out / "sample.txt").read_text() in printed
    assert "xz: 2.68" in printed


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
        assert not char_lm.main([*flags, "--seed", seed])
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] != texts[2]
    assert texts[0].startswith("HAMLET:\n")
    assert 60 <= len(texts[0]) <= 69
    assert before == {path: path.read_bytes() for path in out.iterdir()}


# --- Going on ---


@pytest.mark.thorough
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
    assert not char_lm.main([*flags, "--out", str(straight), "--stop-after", "14"])
    assert not char_lm.main([*flags, "--out", str(parts), "--stop-after", "7"])
    assert int(arrays_in(parts)["state.step"]) == 7
    assert not char_lm.main(["--resume", "--out", str(parts), "--stop-after", "14"])
    assert int(arrays_in(parts)["state.step"]) == 14
    assert_same_bits(arrays_in(parts), arrays_in(straight))


@pytest.mark.thorough
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
    assert not char_lm.main(["--resume", "--out", str(stopped), "--stop-after", last])
    assert not char_lm.main([*flags, "--out", str(straight), "--stop-after", last])
    assert_same_bits(arrays_in(stopped), arrays_in(straight))


@pytest.mark.thorough
def test_two_runs_may_save_in_one_folder(char_lm, out):
    """Each checkpoint that is read is a whole one of either run."""
    path = out / "checkpoint.safetensors"
    config, state, history = char_lm.load(path, {})
    states = [state._replace(step=jnp.int32(step)) for step in (10, 20)]

    def save_often(state):
        for _ in range(100):
            char_lm.save(path, config, state, history)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        saving = [pool.submit(save_often, state) for state in states]
        while not all(each.done() for each in saving):
            assert int(char_lm.load(path, {})[1].step) in (4, 10, 20)
        for each in saving:
            each.result()
    assert [file.name for file in out.iterdir()] == [path.name]


@pytest.mark.thorough
def test_resume_of_a_finished_run_changes_nothing(trained, char_lm):
    out, _ = trained
    before = arrays_in(out)
    assert not char_lm.main(["--resume", "--out", str(out)])
    assert_same_bits(arrays_in(out), before)


# --- What is refused ---


def assert_refused(char_lm, out, flags, *words):
    """Both commands name the file and the `words`, and leave the folder as it is."""
    path = out / "checkpoint.safetensors"
    before = {file: file.read_bytes() for file in out.iterdir()}
    message = refusal(char_lm, "--out", str(out), *flags)
    for word in (str(path), "left as it is", "expected", "got", *words):
        assert word in message
    assert before == {file: file.read_bytes() for file in out.iterdir()}


@pytest.mark.thorough
@pytest.mark.parametrize("mode", ["--resume", "--sample-only"])
@pytest.mark.parametrize("length", [0, 5, 8, 40, 0.1, 0.5, 0.9, -1])
def test_cut_short(length, mode, char_lm, out, checkpoint):
    length = int(length * len(checkpoint)) if isinstance(length, float) else length
    cut = checkpoint[:length]
    (out / "checkpoint.safetensors").write_bytes(cut)
    assert_refused(char_lm, out, [mode], "truncated" if len(cut) > 8 else "valid")


@pytest.mark.thorough
def test_flipped_bits(char_lm, out, checkpoint):
    path = out / "checkpoint.safetensors"
    header = 8 + int.from_bytes(checkpoint[:8], "little")
    rng = np.random.default_rng(0)
    places = [*range(8), *rng.integers(8, header, 150), *rng.integers(header, len(checkpoint), 50)]
    for place in [*places, len(checkpoint) - 1]:
        flipped = bytearray(checkpoint)
        flipped[place] ^= 1 << rng.integers(8)
        path.write_bytes(flipped)
        with pytest.raises(SystemExit, match="damaged"):
            char_lm.load(path, {})


@pytest.mark.parametrize("mode", ["--resume", "--sample-only"])
def test_flipped_parameter(mode, char_lm, out, checkpoint):
    flipped = bytearray(checkpoint)
    flipped[len(checkpoint) // 2] ^= 1
    (out / "checkpoint.safetensors").write_bytes(flipped)
    assert_refused(char_lm, out, [mode], "SHA-256", "damaged")


@pytest.mark.thorough
@pytest.mark.parametrize("mode", ["--resume", "--sample-only"])
@pytest.mark.parametrize(
    ("flags", "got"),
    [
        (["--cell", "gru"], "'cell': 'lstm'"),
        (["--layers", "2"], "'layers': 1"),
        (["--size", "16"], "'size': 8"),
        (["--learning-rate", "0.5"], "'learning_rate': 0.01"),
    ],
)
def test_another_model(flags, got, mode, char_lm, out):
    assert_refused(char_lm, out, [mode, *flags], flags[1], got, "--out")


def rewrite(char_lm, out, change):
    """Saves the checkpoint again, whole, with what `change` makes of its run and its state."""
    path = out / "checkpoint.safetensors"
    config, state, history = char_lm.load(path, {})
    char_lm.save(path, *change(config, state), history)


def reconfigured(**changes):
    return lambda config, state: (config | changes, state)


@pytest.mark.thorough
@pytest.mark.parametrize("mode", ["--resume", "--sample-only"])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"size": 16},
            ["state.params.1.kernel", "float32(64, 64)", "float32(64, 32)"],
        ),
        ({"layers": 2}, ["state.params."]),
        ({"cell": "elman"}, ["state.params.1.kernel"]),
    ],
)
def test_leaves_of_another_model(changes, words, mode, char_lm, out):
    rewrite(char_lm, out, reconfigured(**changes))
    assert_refused(char_lm, out, [mode], *words)


def weights(metadata):
    """The bytes of a file that the library saved for another program."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        jaxrnn.checkpoint.save(path, {"weight": np.ones(3)}, metadata=metadata)
        return path.read_bytes()


def test_another_text(char_lm, out):
    rewrite(char_lm, out, reconfigured(text="0123456789abcdef"))
    assert_refused(char_lm, out, ["--resume"], "'text'", "0123456789abcdef")
    assert not char_lm.main(["--out", str(out), "--sample-only", "--sample-length", "40"])


@pytest.mark.parametrize("mode", ["--resume", "--sample-only"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"To be, or not to be, that is the question.\n" * 50, ["another format"]),
        (safetensors.numpy.save({"weight": np.ones(3)}), ["no checksums"]),
        (weights({}), ["'format': None"]),
        (weights({"format": "pt"}), ["'format': 'pt'"]),
    ],
    ids=["text", "safetensors", "weights", "weights with a format"],
)
def test_some_other_file(content, words, mode, char_lm, out):
    (out / "checkpoint.safetensors").write_bytes(content)
    assert_refused(char_lm, out, [mode], *words)


@pytest.mark.parametrize("mode", ["--resume", "--sample-only"])
def test_no_checkpoint(mode, char_lm, tmp_path):
    message = refusal(char_lm, mode, "--out", str(tmp_path / "none"))
    assert f"{tmp_path / 'none' / 'checkpoint.safetensors'} is missing" in message
    assert not (tmp_path / "none").exists()


def test_new_run_overwrites_nothing(char_lm, out, checkpoint):
    message = refusal(char_lm, *TINY, "--out", str(out))
    assert f"{out / 'checkpoint.safetensors'} exists" in message
    assert "--resume" in message
    assert "--out" in message
    assert [path.read_bytes() for path in out.iterdir()] == [checkpoint]


def test_failed_save_leaves_the_last_checkpoint(char_lm, monkeypatch, out, checkpoint):
    def no_space(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        char_lm.main(["--out", str(out), "--resume"])
    assert [path.read_bytes() for path in out.iterdir()] == [checkpoint]


def test_loss_that_is_not_finite(char_lm, out):
    def spoil(config, state):
        return config, state._replace(params=jax.tree.map(lambda x: x * jnp.nan, state.params))

    rewrite(char_lm, out, spoil)
    before = (out / "checkpoint.safetensors").read_bytes()
    message = refusal(char_lm, "--out", str(out), "--resume")
    assert "step 5: expected a finite loss" in message
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
        (["--batch", "100000"], ["--window: expected at most 6", "100000", "got 8"]),
        (["--steps", "2", "--accumulate", "3"], ["--accumulate: expected at most --steps 2"]),
        (["--out", str(EXAMPLES / "char_lm.py")], ["--out: expected a folder", "char_lm.py"]),
    ],
)
def test_flags_that_do_not_fit(flags, words, char_lm, tmp_path):
    message = refusal(char_lm, *TINY, "--out", str(tmp_path / "none"), *flags)
    for word in words:
        assert word in message
    assert not (tmp_path / "none").exists()


# --- The parts ---


@pytest.fixture(scope="module")
def small(char_lm):
    """A config, its model and optimizer, and the state before the first step."""
    _, _, about = char_lm.read_text()
    config = shared.defaults(char_lm.RUN) | {"size": 16, "batch": 4, "window": 8} | about
    return config, *char_lm.make(config), char_lm.start(config)


@pytest.mark.thorough
def test_carry_is_handed_on(char_lm, small):
    """The second window begins where the first ended; at the start of the streams none does."""
    config, model, optimizer, state = small
    window = config["window"]
    streams = jnp.array(np.random.default_rng(0).integers(0, 66, (3 * window, 4)), jnp.int32)
    noise = jax.tree.map(lambda x: x + 0.5, state.carry)

    def loss_at(position, carry):
        own = state._replace(position=jnp.int32(position), carry=carry)
        new, loss = char_lm.train_step(model, optimizer, window, own, streams)
        return new, float(loss)

    first, loss = loss_at(0, state.carry)
    assert loss_at(0, noise)[1] == loss
    assert loss_at(window, state.carry)[1] != loss_at(window, noise)[1]
    assert int(first.position) == window
    assert int(loss_at(window, noise)[0].position) == 0  # no third whole window with targets

    carry, _ = model.apply(state.params, None, streams[:window])
    expected, _ = char_lm.bits(state.params, model, carry, streams[window : 2 * window + 1])
    assert loss_at(window, first.carry)[1] == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.thorough
def test_bits_are_of_every_character_but_the_first_of_each_stream(char_lm, small):
    _, model, _, state = small
    symbols = np.random.default_rng(1).integers(0, 66, 70).astype(np.int32)
    streams = char_lm.in_streams(symbols, 3)
    np.testing.assert_array_equal(streams.T.reshape(-1), symbols[:69])
    total = 0.0
    for stream in np.array(streams).T:
        _, logits = model.apply(state.params, None, jnp.array(stream[:-1]))
        log_p = np.array(jax.nn.log_softmax(logits), np.float64)
        total -= log_p[np.arange(22), stream[1:]].sum() / np.log(2)
    got, _ = char_lm.bits(state.params, model, None, streams)
    assert float(got) == pytest.approx(total / 66, rel=1e-5)


@pytest.mark.thorough
def test_likeliest_text(char_lm, small):
    """At temperature 0 each symbol is the likeliest after all before it."""
    config, model, _, state = small
    options = {"prompt": "To be", "seed": 0, "temperature": 0.0, "sample_length": 12}
    text = char_lm.sample(config, state.params, options).rstrip("\n")
    symbols = jnp.array([*map(config["vocabulary"].index, text)])
    _, logits = model.apply(state.params, None, symbols)
    assert len(text) > 5
    np.testing.assert_array_equal(symbols[5:], logits[4:-1].argmax(-1))


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
