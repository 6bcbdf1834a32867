"""Random networks: cells in wrappers in layers, each drawn from a seed as the text of its call.

A text can be built twice, and with another engine. Whoever adds a cell, a wrapper or a layer adds
it to the choices here.
"""

import random
import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxrnn
from tests.laws import tables

NAMES = {**vars(tables), **vars(jaxrnn), "jax": jax, "jnp": jnp}
ENGINES = "'scan'", "'xla'", "'native'", "'associative'"
VOCABULARY = 9
GATE = ", gate_activation=jax.nn.hard_sigmoid"
ACTIVATION = ", activation=jax.nn.soft_sign"
OUTPUT = ", output_activation=jax.nn.softplus"
NO_BIAS = ", use_bias=False"
CELLS = {  # the text of a call, and the options it may have; {} is the number of features
    "elman({}": [", jax.nn.relu", NO_BIAS],
    "lstm({}": [GATE, ACTIVATION, OUTPUT, NO_BIAS],
    "gru({}": [", reset_after=False", GATE, ACTIVATION, NO_BIAS],
    "peephole_lstm({}": [GATE, ACTIVATION, OUTPUT, NO_BIAS],
    "coupled_lstm({}": [", use_peepholes=True", GATE, ACTIVATION, OUTPUT, NO_BIAS],
    "projected_lstm(6, {}": [NO_BIAS],
    "layer_norm_lstm({}": [NO_BIAS],
    "layer_norm_gru({}": [NO_BIAS],
}
OWN_CELLS = ["independent()", "twice()", "forgetting()", "whole()"]  # as a user writes them
TREES = ["leaky()", "emit_carry(lstm(4))", "emit_carry(zoneout(gru(4), 0.3))"]  # return no array
MERGES = ["'concat'", "'sum'", "'mul'", "'mean'", "jnp.maximum"]
POOLS = ["pool_last", "pool_mean", "pool_max", "pool_sum", "attention_pool(3)"]


class Case(NamedTuple):
    """A network and its arguments."""

    seed: int
    text: str
    layer: jaxrnn.Layer
    streams: bool
    pools: bool
    params: Any
    carry: Any  # or None
    xs: np.ndarray  # (T, I) or (T, B, I); of symbols (T,) or (T, B)
    mask: np.ndarray | None
    resets: np.ndarray | None
    key: jax.Array | None
    lengths: np.ndarray  # (B,), of a narrow dtype

    @property
    def takes_symbols(self):
        return self.xs.dtype.kind in "iu"

    @property
    def has_own_cells(self):
        return any(own in self.text for own in [*OWN_CELLS, "leaky()"])


def build(text: str, engine: str | None = None) -> jaxrnn.Layer:
    """The network of this text, with `engine` for every cell where it is given."""
    if engine is None:
        return eval(text, {**NAMES, "direction": lambda cell: cell})
    text = re.sub(r"implementation=[\w']+", f"implementation={engine!r}", text)
    return eval(text, {**NAMES, "direction": lambda cell: jaxrnn.rnn(cell, implementation=engine)})


def draw_cell(rng, features):
    """A cell that returns `features`, in wrappers that go around each other."""
    if features == tables.H and rng.random() < 0.15:
        return rng.choice([*OWN_CELLS, "zoneout(independent(), 0.3)", "weight_norm(twice())"])
    start, options = rng.choice(list(CELLS.items()))
    cell = start.format(features) + "".join(o for o in options if rng.random() < 0.2) + ")"
    if "elman" not in cell and rng.random() < 0.15:
        cell = f"candidate_dropout({cell}, 0.3)"
    if rng.random() < 0.15:
        cell = f"drop_connect({cell}, 0.3)"
    rates = ["0.3", "LSTMCarry(h=0.1, c=0.4)" if "lstm" in cell else "HiddenCarry(h=0.2)"]
    outer = ["weight_norm({})", "learned_carry({})", "clip_carry_gradient({}, 0.5)"]
    outer.append(f"zoneout({{}}, {rng.choice(rates)})")
    for wrapper in rng.sample(outer, rng.choice([0, 0, 1, 2])):
        cell = wrapper.format(cell)
    return f"state_dropout({cell}, 0.3)" if rng.random() < 0.1 else cell


def draw_rnn(rng, cell, streams):
    """The text of an `rnn`, by an engine that can run the cell."""
    engine = rng.choice(ENGINES)
    try:
        build(f"rnn({cell}, implementation={engine})")
    except ValueError:  # the engine cannot run the cell
        engine = None
    engine = None if "emit_carry" in cell and engine == "'native'" else engine  # it keeps no c
    reverse = not streams and rng.random() < 0.3
    return f"rnn({cell}, reverse={reverse}, implementation={engine})"


def draw_layer(rng, width, depth, streams, features=None):
    """A layer for `width` features, and the number of features it returns: `features`, if given."""
    size = features or rng.choice([1, 2, 4, 4, 5])
    same = features in (None, width)
    kinds = ["rnn"] * 3 + ["dense", "glu", "causal_conv"] + ["dropout", "norm"] * same
    kinds += ["bidirectional"] * (not streams)
    if depth:
        kinds += ["stack", "remat", "truncate", "noisy_carry", "cast"]
        kinds += ["residual", "highway", "deep_block"] * same + ["skip_stack"] * (features is None)
    kind = rng.choice(kinds)
    if kind == "rnn":
        return draw_rnn(rng, draw_cell(rng, size), streams), size
    if kind == "dense":
        return f"dense({size}{rng.choice(['', NO_BIAS])})", size
    if kind == "glu":
        options = rng.choice(["", ", activation=jax.nn.soft_sign"]) + rng.choice(["", NO_BIAS])
        return f"glu({size}{options})", size
    if kind == "norm":
        return rng.choice(["layer_norm()", "layer_norm(use_bias=False)", "rms_norm()"]), width
    if kind == "causal_conv":
        features = rng.choice([None, width]) if size == width else size
        return f"causal_conv({features}, {rng.choice([1, 2, 4])}{rng.choice(['', NO_BIAS])})", size
    if kind == "dropout":
        return rng.choice(["dropout(0.3)", "variational_dropout(0.3)"]), width
    if kind == "bidirectional":
        merge = rng.choice(MERGES if features is None else MERGES[1:])
        ways = [f"direction({draw_cell(rng, size)})"]
        if rng.random() < 0.5:
            ways += [draw_layer(rng, width, depth - 1 if depth else 0, False, size)[0]]
        return f"bidirectional({', '.join(ways)}, merge={merge})", size * (1 + (merge == MERGES[0]))
    if kind in ("residual", "highway"):
        return f"{kind}({draw_layer(rng, width, depth - 1, streams, width)[0]})", width
    if kind == "deep_block":
        inner, _ = draw_layer(rng, width, depth - 1, streams)
        return f"deep_block({inner}, {width}, rate=0.3)", width
    if kind in ("stack", "skip_stack"):
        first, a = draw_layer(rng, width, depth - 1, streams)
        inner = a if kind == "stack" else a + width
        second, b = draw_layer(rng, inner, depth - 1, streams, features)
        return f"{kind}({first}, {second})", b if kind == "stack" else a + b
    option = {
        "remat": rng.choice(["", ", chunk=3"]),
        "truncate": f", {rng.choice([1, 2, 4])}",
        "noisy_carry": ", 0.2",
        "cast": f", {rng.choice(['jnp.bfloat16', 'jnp.float32'])}",
    }[kind]
    streams = streams or kind in ("remat", "truncate")
    layer, size = draw_layer(rng, width, depth - 1, streams, features)
    return f"{kind}({layer}{option})", size


def draw_network(rng, width, symbols, dtype, streams, pools):
    """The text of a network, which may start with an embedding and end in a pool."""
    layer, size = draw_layer(rng, width, rng.choice([0, 1, 1, 2]), streams)
    if not pools and rng.random() < 0.1:
        layer = draw_rnn(rng, rng.choice(TREES), streams)
    parts = [f"embed({VOCABULARY}, {width}, dtype=jnp.{dtype})"] * symbols + [layer]
    if pools:
        parts += [rng.choice(POOLS), f"dense({size})"]
    return f"stack({', '.join(parts)})" if len(parts) > 1 else layer


def draw_mask(rng, draws, num_steps, batch, lengths):
    """None, right or left padding, holes; rows without a real step come with all of them."""
    kind, steps = rng.choice(["none", "right", "left", "holes", "time"]), np.arange(num_steps)
    steps = steps.reshape(-1, *(1 for _ in batch))
    return {
        "none": None,
        "right": steps < lengths,
        "left": steps >= num_steps - lengths.astype(int),
        "holes": draws.random((num_steps, *batch)) < draws.choice([0, 0.5, 0.9], batch),
        "time": draws.random(num_steps) < 0.7,  # one for all rows
    }[kind]


def random_like(draws, shapes):
    """Arrays of these shapes: floats around zero, and counts of zero. No program is compiled."""

    def one(shape):
        scale = 0.4 if jnp.issubdtype(shape.dtype, jnp.floating) else 0
        return jnp.asarray(np.asarray(scale * draws.normal(size=shape.shape), shape.dtype))

    return jax.tree.map(one, shapes)


def draw(seed: int) -> Case:
    """The case of this seed."""
    rng, draws = random.Random(seed), np.random.default_rng(seed)
    dtype = rng.choice(["float32", "float32", "float64", "bfloat16"])
    symbols, streams = rng.random() < 0.25, rng.random() < 0.5
    pools = not streams and rng.random() < 0.5
    num_steps, width = rng.choice([0, 1, 2, 7, 7, 13, 131]), rng.choice([1, 4, 4, 5])
    batch = rng.choice([(), (0,), (1,), (3,), (3,)])
    text = draw_network(rng, width, symbols, dtype, streams, pools)
    layer = build(text)
    xs = np.asarray(draws.normal(size=(num_steps, *batch, width)), jnp.dtype(dtype))
    if symbols:
        narrow = rng.choice([np.int8, np.uint8, np.int32, np.int64])
        xs = draws.integers(0, VOCABULARY, (num_steps, *batch)).astype(narrow)
    key = jax.random.key(seed)
    params = random_like(draws, jax.eval_shape(layer.init, key, xs))
    carry = random_like(draws, jax.eval_shape(layer.init_carry, params, xs))
    lengths = draws.integers(0, min(num_steps, 127) + 1, batch)
    lengths = np.asarray(lengths, rng.choice([np.int8, np.uint8, np.int16, np.int64]))
    mask = draw_mask(rng, draws, num_steps, batch, lengths)
    resets = draws.random((num_steps, *batch)) < 0.2 if rng.random() < 0.5 else None
    carry = carry if rng.random() < 0.5 else None
    key = key if rng.random() < 0.4 else None
    return Case(seed, text, layer, streams, pools, params, carry, xs, mask, resets, key, lengths)
