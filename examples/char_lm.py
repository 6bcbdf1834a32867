"""A recurrent network reads six of Shakespeare's tragedies, letter by letter, and writes its own.

    python examples/char_lm.py                  # train: about two minutes on two cores
    python examples/char_lm.py --sample-only    # write more, from the checkpoint
    python examples/char_lm.py --resume         # continue after Ctrl-C, bit for bit
    python examples/char_lm.py --quick          # a few steps, to see that it runs

After each character the network predicts the next one. The score is bits per character, the mean of
-log2 p(next character): 6.04 for a uniform guess, and about 2.10 on held-out text after training.
"""

import hashlib
import json
import shlex
import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import shared

import jaxrnn
from jaxrnn import checkpoint, decode, losses, plots, training

RUN = {  # these define a run: they are stored in the checkpoint, and --resume reads them from there
    "cell": (("lstm", "gru", "elman"), "recurrent cell"),
    "layers": (1, "recurrent layers", 1, 16),
    "size": (192, "hidden features of each layer", 1, 10_000),
    "dropout": (0.0, "probability that a layer's output is dropped", 0, 0.99),
    "batch": (32, "streams of text, read in parallel"),
    "window": (64, "characters of each stream per step; gradients stop there"),
    "steps": (2500, "training steps of the whole run"),
    "learning_rate": (1e-2, "peak learning rate of Adam"),
    "clip": (1.0, "global norm to which larger gradients are scaled down", 1e-6),
    "accumulate": (1, "steps whose gradients are averaged for one update"),
    "seed": (0, "random seed of the parameters, the dropout and the sample"),
}
OTHER = {
    "temperature": (0.7, "of the sample; 0 takes the most likely character"),
    "sample_length": (1000, "characters to write", 1, 1_000_000),
    "prompt": (r"\n\n", r"text that the sample continues; \n is a new line"),
    "stop_after": (0, "save and stop after this step of the run; 0 for the last one"),
}
QUICK = {"steps": 20, "size": 32, "sample_length": 100}
HELD_OUT = 0.06  # share of the text, at its end, that is not trained on
XZ_BITS = 2.68  # bits per character that xz reaches on the whole text
EMBEDDING, EVERY, STREAMS = 64, 250, 8  # features; steps between evaluations, their streams
FORMAT = "jaxrnn char_lm checkpoint, version 2"
HISTORY = {"train": np.float32, "held_out": np.float32, "held_out_steps": np.int32}  # lists


class State(NamedTuple):
    """Everything that the next step depends on, so that --resume is bitwise reproducible."""

    step: jax.Array  # (), steps so far
    position: jax.Array  # (), characters read from each stream since its start
    params: Any
    optimizer: Any
    carry: Any  # of each stream, after its last window
    key: jax.Array  # data of the dropout key


def read_text():
    """Training symbols (N,), held-out symbols (M,), and what the checkpoint records of the text."""
    text = shared.load_text("shakespeare_tragedies.txt.gz")
    vocabulary, symbols = np.unique(list(text), return_inverse=True)
    parts = np.split(symbols.astype(np.int32), [round(len(text) * (1 - HELD_OUT))])
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return *parts, {"vocabulary": "".join(vocabulary), "text": digest}


def in_streams(symbols, count):
    """Symbols (N,) in streams (N // count, count), each a part of the text."""
    length = len(symbols) // count
    return jnp.array(symbols[: length * count].reshape(count, length).T)


def make(config):
    """A model from symbols to logits of the next ones; Adam with clipping, warm-up and decay."""
    cell, count = getattr(jaxrnn, config["cell"])(config["size"]), len(config["vocabulary"])
    dropout = [jaxrnn.dropout(config["dropout"])] if config["dropout"] else []
    layers = [jaxrnn.rnn(cell), *dropout] * config["layers"]
    updates, peak = max(1, config["steps"] // config["accumulate"]), config["learning_rate"]
    rate = optax.warmup_cosine_decay_schedule(peak / 10, peak, updates // 20, updates, peak / 50)
    optimizer = optax.chain(optax.clip_by_global_norm(config["clip"]), optax.adam(rate))
    if config["accumulate"] > 1:
        optimizer = optax.MultiSteps(optimizer, config["accumulate"]).gradient_transformation()
    return jaxrnn.stack(jaxrnn.embed(count, EMBEDDING), *layers, jaxrnn.dense(count)), optimizer


def start(config):
    """The state before the first step."""
    params_key, key = jax.random.split(jax.random.key(config["seed"]))
    xs = jnp.zeros((config["window"], config["batch"]), jnp.int32)
    (model, optimizer), zero = make(config), jnp.int32(0)
    params = model.init(params_key, xs)
    opt_state, carry = optimizer.init(params), model.init_carry(params, xs)
    return State(zero, zero, params, opt_state, carry, jax.random.key_data(key))


@jax.jit(static_argnums=1)
def bits(params, model, carry, text, key=None):
    """Bits per character of a text (T + 1, B) after its first ones, and the carry after it."""
    carry, logits = model.apply(params, carry, text[:-1], key=key)
    return losses.cross_entropy(logits, text[1:]) / jnp.log(2.0), carry


@jax.jit(static_argnums=(0, 1, 2))
def train_step(model, optimizer, window, state, streams):
    """Trains on the next window of the streams (S, B): the new state, and the loss in bits."""
    text = jax.lax.dynamic_slice_in_dim(streams, state.position, window + 1)
    # The carry passes from window to window; streams that start over use the initial one.
    fresh, begins = model.init_carry(state.params, text[:-1]), state.position == 0
    carry = jax.tree.map(lambda new, old: jnp.where(begins, new, old), fresh, state.carry)
    key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
    loss_and_grads = jax.value_and_grad(bits, has_aux=True)
    (loss, carry), grads = loss_and_grads(state.params, model, carry, text, key)
    updates, opt_state = optimizer.update(grads, state.optimizer, state.params)
    params, position = optax.apply_updates(state.params, updates), state.position + window
    position = jnp.where(position + window < len(streams), position, 0)
    # A gradient that is not finite must be noticed before it reaches a checkpoint.
    loss = jnp.where(jnp.isfinite(sum(map(jnp.sum, jax.tree.leaves(grads)))), loss, jnp.nan)
    return State(state.step + 1, position, params, opt_state, carry, state.key), loss


def train(path, config, state, history, streams, last):
    """Trains to step `last`, or until Ctrl-C; saves regularly. `streams`: training, held-out."""
    model, optimizer = make(config)
    scores, steps = {}, range(len(history["train"]) + 1, last + 1)
    with shared.first_interrupt() as pressed:
        for step in training.progress(steps, scores):
            state, loss = train_step(model, optimizer, config["window"], state, streams[0])
            if not jnp.isfinite(loss):
                sys.exit(f"step {step}: expected a finite loss. Lower --learning-rate.")
            scores["bits/char"] = float(loss)
            history["train"].append(scores["bits/char"])
            if step % EVERY == 0 or step == config["steps"]:
                scores["held-out"] = float(bits(state.params, model, None, streams[1])[0])
                history["held_out"].append(scores["held-out"])
                history["held_out_steps"].append(step)
                save(path, config, state, history)
            if pressed:
                break
    save(path, config, state, history)
    return state


def save(path, config, state, history):
    """Writes the checkpoint, which always is the complete old or new file."""
    lists = {name: np.array(history[name], dtype) for name, dtype in HISTORY.items()}
    about = {"format": FORMAT, "config": json.dumps(config)}
    checkpoint.save(path, {"state": state, "history": lists}, metadata=about)


def load(path, wanted):
    """The config of a checkpoint, in which is what is `wanted`, the state and the history."""
    try:
        arrays, metadata = checkpoint.read_weights(path)
        config = json.loads(metadata.get("config", "{}"))
        got = config | {"format": metadata.get("format")}
        if other := {name: got.get(name) for name in wanted if got.get(name) != wanted[name]}:
            raise ValueError(f"it has {other}. Leave out these options, or choose another --out")
        lists = {name: arrays[f"history.{name}"] for name in HISTORY}
        like = {"state": jax.eval_shape(lambda: start(config)), "history": lists}
        saved = checkpoint.load(path, like)
    except ValueError as error:
        sys.exit(f"{path} is left as it is: expected a checkpoint of {wanted}, got {error}")
    return config, saved["state"], {name: x.tolist() for name, x in saved["history"].items()}


def begin(path, given, options, about):
    """The config that the options say, or that the checkpoint has, the state and the history."""
    is_new = not {"resume", "sample_only"} & given.keys()
    if is_new == path.exists():
        message = "exists: --resume continues it" if is_new else "is missing: expected a checkpoint"
        sys.exit(f"{path} {message}. Or choose another --out.")
    if is_new:
        config = {name: options[name] for name in RUN} | about
        return config, start(config), {name: [] for name in HISTORY}
    free = {"seed", *about} if "sample_only" in given else set()  # writing depends on neither
    wanted = {k: x for k, x in (given | about).items() if k in {*RUN, *about} - free}
    return load(path, {"format": FORMAT} | wanted)


def sample(config, params, options):
    """Text that the network writes, after the prompt."""
    vocabulary, prompt = config["vocabulary"], options["prompt"]
    symbols, key = jnp.array([*map(vocabulary.index, prompt)]), jax.random.key(options["seed"])
    how = {"sample": decode.categorical(temperature=options["temperature"])}
    model, length = make(config)[0], options["sample_length"]
    written = decode.generate(model, params, symbols, key, length, **how).symbols.tolist()
    return (prompt + "".join(map(vocabulary.__getitem__, written))).strip("\n") + "\n"


def draw_losses(path, history):
    """Plots the losses over the number of characters read."""
    train, held_out, steps = (np.array(history[name]) for name in HISTORY)
    curves = {"train, each step": train, f"held-out, {held_out[-1]:.2f} at last": (steps, held_out)}
    baselines = {f"xz on the same text, {XZ_BITS}": XZ_BITS}
    names = {"xlabel": "training step", "ylabel": "loss (bits per character)"}
    figure = plots.learning_curves(curves, baselines=baselines, **names)
    figure.axes[0].set_ylim(top=held_out.max() + 1.5)  # cut off the first steps, which start at 6
    shared.save_picture(figure, path)


def main(arguments=None):
    """Runs the command and returns its exit code."""
    parser = shared.parser(__doc__, RUN | OTHER)
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--quick", action="store_true", help="a few steps, to see that it runs")
    modes.add_argument("--resume", action="store_true", help="continue the checkpoint in --out")
    modes.add_argument("--sample-only", action="store_true", help="write text without training")
    given = vars(parser.parse_args(arguments))
    options = shared.defaults(RUN | OTHER) | (QUICK if "quick" in given else {}) | given
    out, (symbols, held_out, about) = given.get("out", shared.default_folder()), read_text()
    path = out / "checkpoint.safetensors"
    config, state, history = begin(path, given, options, about)
    options = options | config | given
    options["prompt"] = prompt = options["prompt"].replace(r"\n", "\n")
    if (unknown := set(prompt) - set(config["vocabulary"])) or not prompt:
        sys.exit(f"--prompt: expected characters of the text, got {unknown or 'none'}.")
    if "sample_only" in given:
        return print(sample(config, state.params, options), end="")
    batch, window, total = config["batch"], config["window"], config["steps"]
    if (longest := len(symbols) // batch - 1) < window:
        sys.exit(f"--window: expected at most {longest} for --batch {batch}, got {window}.")
    if config["accumulate"] > total:
        sys.exit(f"--accumulate: expected at most --steps {total}, got {config['accumulate']}.")
    shared.make_folder(out)
    last = min(total, options["stop_after"] or total)
    streams = in_streams(symbols, batch), in_streams(held_out, STREAMS)
    state = train(path, config, state, history, streams, last)
    if (step := len(history["train"])) < total:
        print(f"Stopped after step {step:,} of {total:,}, and saved. Continue with")
        print(f"    python {sys.argv[0]} --resume --out {shlex.quote(str(out))}")
        return 0 if step >= last else 130
    text = sample(config, state.params, options)
    (out / "sample.txt").write_text(text)
    draw_losses(out / "loss.png", history)
    print(f"\n{text}\nheld-out {history['held_out'][-1]:.3f} bits per character (xz: {XZ_BITS})")


if __name__ == "__main__":
    sys.exit(main())
