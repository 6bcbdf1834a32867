"""A recurrent network reads six of Shakespeare's tragedies, letter by letter, and writes its own.

    python examples/char_lm.py                  # train: about two minutes on two cores
    python examples/char_lm.py --sample-only    # write more, from the checkpoint
    python examples/char_lm.py --resume         # continue after Ctrl-C

After each character the network predicts the next one. The score is bits per character, the mean of
-log2 p(next character): 6.04 for a uniform guess among the 66 symbols.
"""

import argparse
import contextlib
import functools
import gzip
import hashlib
import json
import math
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import rich.progress
from matplotlib.figure import Figure

import jaxrnn

TEXT = Path(__file__).parent / "data" / "shakespeare_tragedies.txt.gz"
HELD_OUT = 0.06  # share of the text, at its end, that is not trained on
XZ_BITS = 2.68  # bits per character that xz reaches on the whole text
CELLS = {"lstm": jaxrnn.lstm, "gru": jaxrnn.gru, "elman": jaxrnn.elman}
EMBEDDING = 64  # features per character
EVALUATE_EVERY = 250  # steps; also how often the checkpoint is saved
EVALUATION_STREAMS, EVALUATION_WINDOW = 8, 128  # to read the held-out text faster
SMOOTHING = 50  # steps over which the displayed training loss is averaged
FORMAT = "jaxrnn char_lm checkpoint, version 2"
HISTORY = {"train": np.float32, "held_out": np.float32, "held_out_steps": np.int32}  # lists


def number(kind: type, low: float, high: float = 1_000_000_000) -> Callable:
    """An argparse type: an int or float, as `kind` says, from `low` to `high`."""

    def parse(text):
        with contextlib.suppress(ValueError):
            if low <= kind(text) <= high:
                return kind(text)
        name = "a whole number" if kind is int else "a number"
        raise argparse.ArgumentTypeError(f"expected {name} from {low:,} to {high:,}, got {text!r}")

    return parse


# These define a run: they are stored in the checkpoint, and --resume reads them from there.
RUN_FLAGS = {
    "cell": ("lstm", str, "recurrent cell"),
    "layers": (1, number(int, 1, 64), "recurrent layers"),
    "size": (192, number(int, 1, 100_000), "hidden features of each layer"),
    "dropout": (0.0, number(float, 0, 0.99), "probability that a layer's output is dropped"),
    "batch": (32, number(int, 1), "streams of text, read in parallel"),
    "window": (64, number(int, 1), "characters of each stream per step; gradients stop there"),
    "steps": (2500, number(int, 1), "training steps of the whole run"),
    "learning_rate": (1e-2, number(float, 0), "peak learning rate of Adam"),
    "clip": (1.0, number(float, 1e-6), "global norm to which larger gradients are scaled down"),
    "accumulate": (1, number(int, 1), "steps whose gradients are averaged for one update"),
    "seed": (0, number(int, 0), "random seed of the parameters, the dropout and the sample"),
}
OTHER_FLAGS = {
    "temperature": (0.7, number(float, 0), "of the sample; 0 takes the most likely character"),
    "sample_length": (1000, number(int, 1, 1_000_000), "characters to write"),
    "prompt": (r"\n\n", str, r"text that the sample continues; \n is a new line"),
    "out": ("runs/char_lm", Path, "folder of the checkpoint, the sample and the loss curve"),
    "stop_after": (None, number(int, 1), "save and stop after this step of the run"),
}


def parse_flags(arguments: list[str] | None) -> dict:
    """The flags that were given, without defaults."""
    about = __doc__.split("\n")[0]
    parser = argparse.ArgumentParser(description=about, argument_default=argparse.SUPPRESS)
    for name, (default, kind, text) in (RUN_FLAGS | OTHER_FLAGS).items():
        choices = CELLS if name == "cell" else None
        text = text if default is None else f"{text} (default: {default})"
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, choices=choices, help=text)
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--resume", action="store_true", help="continue the checkpoint in --out")
    modes.add_argument("--sample-only", action="store_true", help="write text without training")
    return vars(parser.parse_args(arguments))


class Refused(Exception):
    """An error for the user: what was expected, what was found, and the likely cause."""


# --- The text ---


def read_text() -> tuple[np.ndarray, np.ndarray, dict]:
    """Training symbols (N,), held-out symbols (M,), and what the checkpoint records of the text."""
    text = gzip.decompress(TEXT.read_bytes()).decode()
    vocabulary = "".join(sorted(set(text)))
    symbols = encode(text, vocabulary)
    split = round(len(symbols) * (1 - HELD_OUT))
    about = {"vocabulary": vocabulary, "text": hashlib.sha256(text.encode()).hexdigest()[:16]}
    return symbols[:split], symbols[split:], about


def encode(text: str, vocabulary: str) -> np.ndarray:
    """The symbol of each character, its index in the vocabulary: int32 (N,)."""
    symbols = {character: symbol for symbol, character in enumerate(vocabulary)}
    return np.array([symbols[character] for character in text], np.int32)


# --- The model ---


def language_model(config: dict) -> jaxrnn.Layer:
    """Maps symbols (T, ...) to logits (T, ..., V) of the next symbols."""
    layers = [jaxrnn.embed(len(config["vocabulary"]), EMBEDDING)]
    for _ in range(config["layers"]):
        layers.append(jaxrnn.rnn(CELLS[config["cell"]](config["size"])))
        if config["dropout"]:
            layers.append(jaxrnn.dropout(config["dropout"]))
    return jaxrnn.stack(*layers, jaxrnn.dense(len(config["vocabulary"])))


def bits(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Cross entropy of each target in bits: (..., V) and (...) -> (...)."""
    nats = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
    return nats / math.log(2)


@functools.partial(jax.jit, static_argnames="model")
def evaluate(model: jaxrnn.Layer, params: Any, symbols: jax.Array) -> jax.Array:
    """Bits per character of a text (M,); the carry passes from window to window.

    The text is split into a few streams that are read in parallel, each from the initial carry.
    """
    count = len(symbols) - 1
    windows = -(-count // (EVALUATION_STREAMS * EVALUATION_WINDOW))
    shape = (EVALUATION_STREAMS, windows, EVALUATION_WINDOW)

    def by_window(x):
        filled = jnp.pad(x, (0, math.prod(shape) - count))
        return filled.reshape(shape).transpose(1, 2, 0)

    def read(carry, window):
        xs, targets, weights = window
        carry, logits = model.apply(params, carry, xs)
        return carry, jnp.sum(weights * bits(logits, targets))

    xs, targets = by_window(symbols[:-1]), by_window(symbols[1:])
    weights = by_window(jnp.ones(count))  # zero where the last window is padded
    _, costs = jax.lax.scan(read, model.init_carry(params, xs[0]), (xs, targets, weights))
    return costs.sum() / count


@functools.partial(jax.jit, static_argnames=("model", "length"))
def write(
    model: jaxrnn.Layer,
    params: Any,
    prompt: jax.Array,
    key: jax.Array,
    temperature: float,
    length: int,
) -> jax.Array:
    """Draws the `length` symbols after `prompt` (P,), each conditioned on all before it."""
    carry, logits = model.apply(params, None, prompt)

    def draw(state, key):
        carry, logits = state
        symbol = jax.random.categorical(key, logits / jnp.maximum(temperature, 1e-6))
        carry, logits = model.apply(params, carry, symbol[None])
        return (carry, logits[0]), symbol

    return jax.lax.scan(draw, (carry, logits[-1]), jax.random.split(key, length))[1]


# --- Training ---


class State(NamedTuple):
    """Everything that the next step depends on, so that --resume is bitwise reproducible."""

    step: jax.Array  # (), steps so far
    position: jax.Array  # (), characters read from each stream since its start
    params: Any
    optimizer: Any
    carry: Any  # of each stream, after its last window
    key: jax.Array  # data of the dropout key


class Run(NamedTuple):
    """What stays the same during a run."""

    config: dict  # the values of RUN_FLAGS, and what `read_text` records of the text
    model: jaxrnn.Layer
    optimizer: optax.GradientTransformation
    checkpoint: Path


def make_run(config: dict, checkpoint: Path) -> Run:
    """The model, and Adam with gradient clipping, warm-up and cosine decay."""
    updates, peak = max(1, config["steps"] // config["accumulate"]), config["learning_rate"]
    rate = optax.warmup_cosine_decay_schedule(peak / 10, peak, updates // 20, updates, peak / 50)
    optimizer = optax.chain(optax.clip_by_global_norm(config["clip"]), optax.adam(rate))
    if config["accumulate"] > 1:
        optimizer = optax.MultiSteps(optimizer, config["accumulate"]).gradient_transformation()
    return Run(config, language_model(config), optimizer, checkpoint)


def start(run: Run) -> State:
    """The state before the first step."""
    shape = run.config["window"], run.config["batch"]
    return initial_state(run.model, run.optimizer, shape, run.config["seed"])


@functools.partial(jax.jit, static_argnames=("model", "optimizer", "shape"))
def initial_state(
    model: jaxrnn.Layer,
    optimizer: optax.GradientTransformation,
    shape: tuple[int, int],
    seed: int,
) -> State:
    """The state before the first step, for windows of `shape` (T, B)."""
    params_key, key = jax.random.split(jax.random.key(seed))
    xs = jax.ShapeDtypeStruct(shape, jnp.int32)
    params = model.init(params_key, xs)
    carry, zero = model.init_carry(params, xs), jnp.zeros((), jnp.int32)
    return State(zero, zero, params, optimizer.init(params), carry, jax.random.key_data(key))


@functools.partial(
    jax.jit, static_argnames=("model", "optimizer", "window"), donate_argnames="state"
)
def train_step(
    model: jaxrnn.Layer,
    optimizer: optax.GradientTransformation,
    window: int,
    state: State,
    streams: jax.Array,
) -> tuple[State, jax.Array]:
    """Trains on the next window of the streams (S, B): the new state, and the loss in bits.

    This is truncated backpropagation through time. The carry passes from window to window, so the
    network can remember further back than the gradients reach.
    """
    text = jax.lax.dynamic_slice_in_dim(streams, state.position, window + 1)
    xs, targets = text[:-1], text[1:]
    # Streams that start over use the initial carry.
    fresh, begins = model.init_carry(state.params, xs), state.position == 0
    carry = jax.tree.map(functools.partial(jnp.where, begins), fresh, state.carry)
    key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)

    def loss_and_carry(params):
        new, logits = model.apply(params, carry, xs, key=key)
        return bits(logits, targets).mean(), new

    (loss, carry), grads = jax.value_and_grad(loss_and_carry, has_aux=True)(state.params)
    updates, opt_state = optimizer.update(grads, state.optimizer, state.params)
    params = optax.apply_updates(state.params, updates)
    position = state.position + window
    position = jnp.where(position + window < len(streams), position, 0)
    # A gradient that is not finite must be noticed before it reaches a checkpoint.
    are_finite = jax.tree.map(lambda grad: jnp.isfinite(grad).all(), grads)
    loss = jnp.where(jax.tree.reduce(jnp.logical_and, are_finite), loss, jnp.nan)
    return State(state.step + 1, position, params, opt_state, carry, state.key), loss


def train(run: Run, state: State, history: dict, text: tuple[np.ndarray, ...], last: int) -> State:
    """Trains to step `last`, or until Ctrl-C; saves regularly, and at the end.

    `text` is the training symbols and the held-out symbols.
    """
    symbols, held_out = text
    window, batch, total = (run.config[name] for name in ("window", "batch", "steps"))
    length = len(symbols) // batch
    streams = jnp.array(symbols[: length * batch].reshape(batch, length).T)  # (S, B)
    first, seconds = len(history["train"]), 0.0
    columns = ["step {task.completed:,}/{task.total:,}", rich.progress.BarColumn(None)]
    columns += ["{task.description}", rich.progress.TimeRemainingColumn(), "left"]
    with rich.progress.Progress(*columns, expand=True) as progress, first_interrupt() as stop:
        task = progress.add_task("compiling", total=total, completed=first)
        learn = train_step.lower(run.model, run.optimizer, window, state, streams).compile()
        for step in range(first + 1, last + 1):
            began = time.perf_counter()
            state, loss = learn(state, streams)
            history["train"].append(float(loss))
            seconds += time.perf_counter() - began
            if not math.isfinite(history["train"][-1]):
                raise Refused(
                    f"step {step}: expected a finite loss and gradient, got nan or infinity. Is "
                    "--learning-rate too high? The files in --out are from before this step."
                )
            speed = (step - first) * batch * window / seconds  # characters a second
            shown = f"{np.mean(history['train'][-SMOOTHING:]):.3f} bits/char  {speed:,.0f} chars/s"
            progress.update(task, completed=step, description=shown)
            if step % EVALUATE_EVERY == 0 or step == total:
                cost = float(evaluate(run.model, state.params, held_out))
                history["held_out"].append(cost)
                history["held_out_steps"].append(step)
                left = (total - step) * batch * window / speed
                line = f"step {step:,}  train {shown}  held-out {cost:.3f}  {left:.0f} s left"
                progress.console.print(line, highlight=False, soft_wrap=True)
                save(run, state, history)
            if stop:
                break
    save(run, state, history)
    return state


@contextlib.contextmanager
def first_interrupt() -> Iterator[list]:
    """Yields a list that the first Ctrl-C fills; the second stops the program at once."""
    pressed = []

    def press(signal_number, frame):
        pressed.append(signal_number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, press)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


# --- The checkpoint ---


def save(run: Run, state: State, history: dict) -> None:
    """Writes the checkpoint, which always is the complete old or new file."""
    lists = {name: np.array(history[name], dtype) for name, dtype in HISTORY.items()}
    metadata = {"format": FORMAT, "config": json.dumps(run.config)}
    saved = {"state": state, "history": lists}
    jaxrnn.checkpoint.save(run.checkpoint, saved, metadata=metadata)


def load(path: Path) -> tuple[dict, dict]:
    """The configuration and the arrays of a checkpoint, which must be intact."""
    if not path.exists():
        raise Refused(f"{path}: expected a checkpoint, found no file. Train first, or see --out.")
    refused = f"{path} is refused, and left as it is: expected"
    try:
        weights = jaxrnn.checkpoint.read_weights(path)
    except ValueError as error:
        raise Refused(
            f"{refused} a complete checkpoint, got {path.stat().st_size:,} bytes that do not read "
            f"as one. It was cut short or damaged, or is another kind of file: {error}"
        ) from error
    if (got := weights.metadata.get("format")) != FORMAT:
        raise Refused(
            f"{refused} the format {FORMAT!r}, got {got!r}. It was written by another program or "
            "version."
        )
    return json.loads(weights.metadata["config"]), weights.arrays


def restore(run: Run, arrays: dict) -> tuple[State, dict]:
    """The state and the history in the checkpoint of the run, which has these arrays."""
    lists = {name: arrays[f"history.{name}"] for name in HISTORY}
    like = {"state": jax.eval_shape(lambda: start(run)), "history": lists}
    try:
        saved = jaxrnn.checkpoint.load(run.checkpoint, like)
    except ValueError as error:
        raise Refused(
            f"{run.checkpoint} is refused, and left as it is: expected the arrays of this model, "
            "got a file of another model, or of another version of jaxrnn or optax: " + str(error)
        ) from error
    return saved["state"], {name: x.tolist() for name, x in saved["history"].items()}


# --- Results ---


def sample(run: Run, params: Any, options: dict) -> str:
    """Text that the network writes, after the prompt."""
    vocabulary = run.config["vocabulary"]
    prompt = jnp.array(encode(options["prompt"], vocabulary))
    draw = jax.random.key(options["seed"]), options["temperature"], options["sample_length"]
    symbols = write(run.model, params, prompt, *draw).tolist()
    text = options["prompt"] + "".join(vocabulary[symbol] for symbol in symbols)
    return text.strip("\n") + "\n"


def draw_losses(path: Path, config: dict, history: dict) -> None:
    """Plots the losses over the number of characters read."""
    losses, costs, steps = (np.array(history[name]) for name in HISTORY)
    millions = config["batch"] * config["window"] / 1e6  # characters per step
    width = min(SMOOTHING, len(losses))
    smooth = np.convolve(losses, np.full(width, 1 / width), "valid")
    middles = np.arange(len(smooth)) + (width + 1) / 2
    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    each = {"color": "C0", "alpha": 0.3, "linewidth": 0.8, "label": "train, each step"}
    axes.plot(np.arange(1, len(losses) + 1) * millions, losses, **each)
    axes.plot(middles * millions, smooth, color="C0", label=f"train, mean of {width} steps")
    axes.plot(steps * millions, costs, "o-", color="C1", label=f"held-out, {costs[-1]:.2f} at last")
    axes.axhline(XZ_BITS, color="0.4", linestyle="--", label=f"xz on the same text, {XZ_BITS}")
    axes.set(xlabel="characters read (millions)", ylabel="loss (bits per character)")
    axes.set_title("{layers} x {cell}({size}) on Shakespeare's tragedies".format(**config))
    axes.set_ylim(top=costs.max() + 1.5)  # cut off the first steps, which start at 6
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path)


def finish(run: Run, state: State, history: dict, symbols: np.ndarray, options: dict) -> None:
    """Prints and writes the results of the run; `symbols` is a part of the training text."""
    learned, held_out = evaluate(run.model, state.params, symbols), history["held_out"][-1]
    print(f"bits per character: train {learned:.3f}, held-out {held_out:.3f} (xz: {XZ_BITS})")
    text, out = sample(run, state.params, options), run.checkpoint.parent
    (out / "sample.txt").write_text(text)
    draw_losses(out / "loss.png", run.config, history)
    print(f"\n{text}\nWrote sample.txt, loss.png and {run.checkpoint.name} to {out}")


# --- The command ---


def begin(given: dict, options: dict, about: dict) -> tuple[Run, dict]:
    """The run that the flags describe, and the arrays of its checkpoint; none for a new run.

    Flags that the checkpoint records are written to `options`.
    """
    path = options["out"] / "checkpoint.safetensors"
    if options["out"].is_file():
        raise Refused(f"--out: expected a folder, got the file {options['out']}.")
    if not (given.get("resume") or given.get("sample_only")):
        if path.exists():
            raise Refused(
                f"{path} exists, and a new run would overwrite it. Pass --resume to continue it, "
                "or choose another folder with --out."
            )
        return make_run({name: options[name] for name in RUN_FLAGS} | about, path), {}
    config, arrays = load(path)
    # Writing does not need the training text, and works with any seed.
    wanted, free = given | about, {"seed", *about} if given.get("sample_only") else set()
    for name in config:
        if name in wanted and name not in free and config[name] != wanted[name]:
            flag = f"the {name}" if name in about else f"--{name.replace('_', '-')}"
            raise Refused(
                f"{path} is refused, and left as it is: expected {flag} {wanted[name]!r}, got a "
                f"run with {flag} {config[name]!r}. Leave out the flags of the run to continue "
                "it, or choose another folder with --out."
            )
    options |= {name: config[name] for name in RUN_FLAGS if name not in given}
    return make_run(config, path), arrays


def check(run: Run, options: dict, num_symbols: int) -> None:
    """Raises if flags do not fit each other or the text."""
    unknown = sorted(set(options["prompt"]) - set(run.config["vocabulary"]))
    if unknown or not options["prompt"]:
        got = f"{''.join(unknown)!r}, which it never uses" if unknown else "none"
        raise Refused(f"--prompt: expected characters of the text, got {got}.")
    batch, window, steps, accumulate = map(
        run.config.get, ("batch", "window", "steps", "accumulate")
    )
    if (longest := num_symbols // batch - 1) < window:
        raise Refused(
            f"--window: expected at most {longest} characters, as {batch} streams (--batch) of "
            f"this text allow, got {window}."
        )
    if accumulate > steps:
        raise Refused(f"--accumulate: expected at most --steps {steps}, got {accumulate}.")
    state = jax.eval_shape(lambda: start(run))
    needed = num_bytes(state) + num_bytes(state.params)  # the gradients
    if needed > (most := memory()):
        raise Refused(
            f"--size, --layers: expected a model that fits into {most / 1e9:,.1f} GB of memory, "
            f"got one with {needed / 1e9:,.1f} GB of parameters, gradients and optimizer state."
        )


def num_bytes(tree: Any) -> int:
    """The bytes of the arrays of a pytree."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def memory() -> float:
    """The bytes of memory of the default device, or infinity where the system does not say."""
    if stats := jax.local_devices()[0].memory_stats():
        return stats["bytes_limit"]
    if not hasattr(os, "sysconf"):
        return math.inf
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    given = parse_flags(arguments)
    options = {name: default for name, (default, *_) in (RUN_FLAGS | OTHER_FLAGS).items()} | given
    options["out"] = out = Path(options["out"])
    options["prompt"] = options["prompt"].replace(r"\n", "\n")
    symbols, held_out, about = read_text()
    try:
        run, arrays = begin(given, options, about)
        check(run, options, len(symbols))
        new = {name: [] for name in HISTORY}
        state, history = restore(run, arrays) if arrays else (start(run), new)
        if given.get("sample_only"):
            print(sample(run, state.params, options), end="")
            return 0
        out.mkdir(parents=True, exist_ok=True)
        size = sum(leaf.size for leaf in jax.tree.leaves(state.params))
        print(f"{size:,} parameters; {len(symbols):,} characters, and {len(held_out):,} held out")
        total = options["steps"]
        last = min(total, options["stop_after"] or total)
        state = train(run, state, history, (symbols, held_out), last)
        if (step := len(history["train"])) < total:
            print(f"Stopped after step {step:,} of {total:,}, and saved. Continue with")
            print(f"    python {sys.argv[0]} --resume --out {shlex.quote(str(out))}")
            return 0 if step >= last else 130
        finish(run, state, history, symbols[: len(held_out)], options)
        return 0
    except (Refused, OSError) as error:
        print(f"{Path(__file__).name}: error: {error}", file=sys.stderr)
        return 1
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        print(
            f"{Path(__file__).name}: error: out of memory. Lower --size or --batch.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
