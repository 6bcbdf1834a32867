"""The tables of all cells and all layers: whoever adds one adds a row here, and owns every law."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

import jaxrnn
from jaxrnn import activations, authoring, initializers
from tests.laws import oracle

T, B, I, H, P = 7, 3, 5, 4, 2  # pairwise different, so that no axis passes for another
FEATURES = {1: (I,), 2: (I, P), 3: (I, P, P), 4: (P, P, P, 1)}  # an input, by its number of axes


class CellCase(NamedTuple):
    cell: jaxrnn.Cell
    oracle: Callable | None = None
    torch: str | None = None
    products: tuple[int, int] = (1, 1)  # products and convolutions in the forward, backward loop


class LeakyParams(NamedTuple):
    kernel: jax.Array  # (I, H)
    recurrent_kernel: jax.Array  # (H, H)
    leak: jax.Array  # (H,)
    start: jax.Array  # (H,), a learned initial carry


class LeakyCarry(NamedTuple):
    h: jax.Array  # (..., H)
    steps: jax.Array  # (...), int32


def leaky():
    """A cell as a user might write it: parameters in the gates, a learned initial carry, an integer
    leaf in the carry, and an output that is no part of it."""

    def init(key, x):
        keys = jax.random.split(key, 2)
        shapes = (x.shape[-1], H), (H, H)
        kernels = [jax.random.normal(k, s, x.dtype) for k, s in zip(keys, shapes, strict=True)]
        return LeakyParams(*kernels, jnp.full(H, 0.3, x.dtype), jnp.full(H, 0.2, x.dtype))

    def init_carry(params, x):
        batch = x.shape[:-1]
        return LeakyCarry(jnp.broadcast_to(params.start, (*batch, H)), jnp.zeros(batch, jnp.int32))

    def project(params, x):
        return x @ params.kernel

    def recur(params, carry):
        return carry.h @ params.recurrent_kernel

    def update(params, carry, u, v):
        h = (1 - params.leak) * carry.h + params.leak * jnp.tanh(u + v)
        return LeakyCarry(h, carry.steps + 1)

    def output(params, carry, u):
        return {"wave": jnp.sin(carry.h) * u, "even": carry.steps % 2 == 0}

    return jaxrnn.Cell(init, init_carry, project, recur, update, output)


def independent():
    """Neurons that see only their own past (Li et al., 2018: IndRNN): nothing for `recur` to do."""

    def init(key, x):
        kernel = jax.random.normal(key, (x.shape[-1], H), x.dtype)
        return {"kernel": kernel, "scale": jnp.full(H, 0.9, x.dtype)}

    def init_carry(params, x):
        return jnp.zeros((*x.shape[:-1], H), params["kernel"].dtype)

    def project(params, x):
        return x @ params["kernel"]

    def update(params, carry, u, v):
        return jnp.tanh(u + params["scale"] * carry)

    return jaxrnn.Cell(init, init_carry, project, authoring.nothing, update)


class LinearParams(NamedTuple):
    decay: jax.Array  # (H,)
    kernel: jax.Array  # (I, H)
    readout: jax.Array  # (H, I)


class LinearReady(NamedTuple):
    a: jax.Array  # (H,)
    kernel: jax.Array  # (I, H)
    readout: jax.Array  # (H, I)


def linear():
    """A linear recurrence with a reparametrized decay, and an output equation with a product."""

    def init(key, x):
        keys = jax.random.split(key, 2)
        kernel = jax.random.normal(keys[0], (x.shape[-1], H), x.dtype)
        readout = jax.random.normal(keys[1], (H, x.shape[-1]), x.dtype)
        return LinearParams(jnp.linspace(-1, 1, H, dtype=x.dtype), kernel, readout)

    def init_carry(params, x):
        return jnp.zeros((*x.shape[:-1], H), params.kernel.dtype)

    def prepare(params, context):
        a = jax.nn.sigmoid(params.decay)
        return LinearReady(a, (1 - a) * params.kernel, params.readout)

    def project(params, x):
        b = x @ params.kernel
        return authoring.Affine(jnp.broadcast_to(params.a, b.shape), b, x)

    def output(params, h, u):
        return h @ params.readout + u.extra

    update = authoring.affine_update
    return jaxrnn.Cell(
        init, init_carry, project, authoring.nothing, update, output, prepare=prepare
    )


def twice():
    """A cell whose update multiplies by a slice of a parameter, and by the whole of another."""

    def init(key, x):
        keys = jax.random.split(key, 3)
        shapes = (x.shape[-1], H), (2 * H, H), (H, H)
        return [jax.random.normal(k, s, x.dtype) for k, s in zip(keys, shapes, strict=True)]

    def init_carry(params, x):
        return jnp.zeros((*x.shape[:-1], H), params[0].dtype)

    def update(params, h, u, v):
        gate = jax.nn.sigmoid(h @ params[1][:H])
        return gate * h + (1 - gate) * jnp.tanh(u + (gate * h) @ params[2])

    def project(params, x):
        return x @ params[0]

    return jaxrnn.Cell(init, init_carry, project, authoring.nothing, update)


def attending(**choices):
    """An LSTM that attends to a memory that all sequences share."""
    cell = jaxrnn.attention(jaxrnn.lstm(H), P, size=3, **choices)

    def prepare(params, context):
        memory = np.sin(np.arange(6.0).reshape(3, P))
        return cell.prepare(params, {"memory": jnp.asarray(memory, params.cell.kernel.dtype)})

    return cell._replace(prepare=prepare)


def forgetting():
    """An LSTM whose inputs reset its c where their first feature is large, and its h never."""
    cell = jaxrnn.reset_leaves(jaxrnn.lstm(H))

    def inputs(x):
        if isinstance(x, jax.ShapeDtypeStruct):
            return jax.eval_shape(inputs, x)
        is_large = x[..., 0] > 0.5
        return jaxrnn.WithResets(x, jaxrnn.LSTMCarry(h=jnp.zeros_like(is_large), c=is_large))

    return cell._replace(
        init=lambda key, x: cell.init(key, inputs(x)),
        init_carry=lambda params, x: cell.init_carry(params, inputs(x)),
        project=lambda params, x: cell.project(params, inputs(x)),
    )


def whole():
    """A cell from its whole step, whose output is no function of its carry."""
    cell = jaxrnn.elman(H)

    def step(params, carry, x):
        h = jnp.tanh(x @ params.kernel + carry.h @ params.recurrent_kernel + params.bias)
        return jaxrnn.HiddenCarry(h), h - carry.h

    return jaxrnn.from_step(cell.init, cell.init_carry, step)


def regularized():
    """An LSTM with all noise that a cell can have, and a learned initial carry."""
    cell = jaxrnn.learned_carry(jaxrnn.candidate_dropout(jaxrnn.lstm(H), 0.3))
    return jaxrnn.state_dropout(jaxrnn.zoneout(cell, jaxrnn.LSTMCarry(h=0.1, c=0.4)), 0.25)


def regularized_pictures():
    """`regularized`, with one draw for each channel, and one for each pixel of the candidate."""
    cell = jaxrnn.candidate_dropout(jaxrnn.conv_lstm(H, (3,)), 0.3)
    cell = jaxrnn.zoneout(jaxrnn.learned_carry(cell), 0.3, shared_axes=(-2,))
    return jaxrnn.state_dropout(cell, 0.25, shared_axes=(-2,))


def timed(x, missing=False):
    """Inputs whose last feature is the gap, or 0. If some are missing, large ones are NaN."""
    values = jnp.where(x[..., :-1] > 0.7, jnp.nan, x[..., :-1]) if missing else x[..., :-1]
    return jaxrnn.Timed(values, jax.nn.relu(x[..., -1]))


def at_times(cell, *, missing=False):
    """A cell that reads time, for inputs that `timed` takes apart."""
    inputs = functools.partial(timed, missing=missing)

    def init(key, x):
        return cell.init(key, jax.eval_shape(inputs, x))

    def init_carry(params, x):
        return cell.init_carry(params, jax.eval_shape(inputs, x))

    def project(params, x):
        return cell.project(params, inputs(x))

    return cell._replace(init=init, init_carry=init_carry, project=project, reads_time=False)


def layer_at_times(layer, *, missing=False):
    """A layer that hands on time, for inputs that `timed` takes apart."""
    inputs = functools.partial(timed, missing=missing)

    def init(key, xs):
        return layer.init(key, jax.eval_shape(inputs, xs))

    def init_carry(params, xs):
        return layer.init_carry(params, jax.eval_shape(inputs, xs))

    def apply(params, carry, xs, **options):
        with jax.debug_nans(False):  # the padding may be NaN
            xs = inputs(xs)
        return layer.apply(params, carry, xs, **options)

    return jaxrnn.Layer(init, init_carry, apply)


CONNECTIONS = tuple(tuple((i + 2 * j) % 3 > 0 for j in range(H)) for i in range(H))

CELLS = {
    "elman": CellCase(jaxrnn.elman(H), oracle.elman(np.tanh), "RNN"),
    "lstm": CellCase(jaxrnn.lstm(H), oracle.lstm, "LSTM"),
    "gru": CellCase(jaxrnn.gru(H), oracle.gru_reset_after, "GRU"),
    "gru_reset_before": CellCase(
        jaxrnn.gru(H, reset_after=False), oracle.gru_reset_before, products=(2, 2)
    ),
    "leaky": CellCase(leaky()),
    "independent": CellCase(independent(), products=(0, 0)),
    "linear": CellCase(linear(), products=(0, 0)),
    "twice": CellCase(twice(), products=(2, 2)),
    "emit_carry": CellCase(jaxrnn.emit_carry(jaxrnn.lstm(H))),
    "layer_norm_lstm": CellCase(jaxrnn.layer_norm_lstm(H), oracle.layer_norm_lstm),
    "layer_norm_gru": CellCase(jaxrnn.layer_norm_gru(H), oracle.layer_norm_gru),
    "projected_lstm": CellCase(
        jaxrnn.projected_lstm(H, P), oracle.projected_lstm, "LSTM", products=(2, 2)
    ),
    "peephole_lstm": CellCase(jaxrnn.peephole_lstm(H), oracle.peephole_lstm),
    "coupled_lstm": CellCase(jaxrnn.coupled_lstm(H), oracle.coupled_lstm),
    "coupled_with_peepholes": CellCase(
        jaxrnn.coupled_lstm(H, use_peepholes=True), oracle.coupled_lstm
    ),
    "lstm_activations": CellCase(
        jaxrnn.lstm(
            H,
            gate_activation=activations.hard_sigmoid(0.3),
            activation=activations.clipped(jnp.tanh, 0.6),
            output_activation=jax.nn.softplus,
        ),
        oracle.lstm_with(
            gate=lambda x: np.clip(0.3 * x + 0.5, 0, 1),
            candidate=lambda x: np.tanh(np.clip(x, -0.6, 0.6)),
            output=lambda x: np.log1p(np.exp(x)),
        ),
    ),
    "gru_activations": CellCase(
        jaxrnn.gru(H, gate_activation=jax.nn.hard_sigmoid, activation=jax.nn.soft_sign),
        oracle.gru_with(
            gate=lambda x: np.clip(x / 6 + 0.5, 0, 1), candidate=lambda x: x / (1 + abs(x))
        ),
    ),
    "mgu": CellCase(jaxrnn.mgu(H), oracle.mgu, products=(2, 2)),
    "ugrnn": CellCase(jaxrnn.ugrnn(H), oracle.ugrnn),
    "janet": CellCase(jaxrnn.janet(H), oracle.janet),
    "li_gru": CellCase(jaxrnn.li_gru(H), oracle.li_gru),
    "minimal_rnn": CellCase(jaxrnn.minimal_rnn(H), oracle.minimal_rnn),
    "indrnn": CellCase(jaxrnn.indrnn(H), oracle.indrnn, products=(0, 0)),
    "irnn": CellCase(jaxrnn.irnn(H), oracle.elman(lambda x: np.maximum(x, 0))),
    "scrn": CellCase(jaxrnn.scrn(H, 3, alpha=0.7), oracle.scrn(0.7), products=(2, 2)),
    "rhn": CellCase(jaxrnn.rhn(H, 3), oracle.rhn, products=(3, 3)),
    "atr": CellCase(jaxrnn.atr(H), oracle.atr),
    "ran": CellCase(jaxrnn.ran(H), oracle.ran),
    "star": CellCase(jaxrnn.star(H), oracle.star),
    "brc": CellCase(jaxrnn.brc(H), oracle.brc, products=(0, 0)),
    "nbrc": CellCase(jaxrnn.nbrc(H), oracle.nbrc),
    "fast_rnn": CellCase(jaxrnn.fast_rnn(H), oracle.fast_rnn),
    "fast_grnn": CellCase(jaxrnn.fast_grnn(H), oracle.fast_grnn),
    "wmc_lstm": CellCase(jaxrnn.wmc_lstm(H), oracle.wmc_lstm, products=(3, 3)),
    "multiplicative_lstm": CellCase(
        jaxrnn.multiplicative_lstm(H), oracle.multiplicative_lstm, products=(2, 2)
    ),
    "slstm": CellCase(jaxrnn.slstm(H), oracle.slstm),
    "lem": CellCase(jaxrnn.lem(H, step_size=0.7), oracle.lem(0.7), products=(2, 2)),
    "antisymmetric": CellCase(jaxrnn.antisymmetric(H), oracle.antisymmetric(0.01, 0.01)),
    "gated_antisymmetric": CellCase(
        jaxrnn.gated_antisymmetric(H, step_size=0.5), oracle.antisymmetric(0.5, 0.01)
    ),
    "cornn": CellCase(jaxrnn.cornn(H), oracle.cornn(0.05, 2.0, 4.0)),
    "unicornn": CellCase(jaxrnn.unicornn(H), oracle.unicornn(0.1, 1.0), products=(0, 0)),
    "clockwork": CellCase(jaxrnn.clockwork(H, (1, 3)), oracle.clockwork(1, 3)),
    "ctrnn": CellCase(jaxrnn.ctrnn(H), oracle.ctrnn(0.2)),
    "ctrnn_of_dale": CellCase(
        jaxrnn.ctrnn(H, alpha=0.5, excitatory=3, connections=CONNECTIONS),
        oracle.ctrnn(0.5, 3, CONNECTIONS),
    ),
    "scornn": CellCase(jaxrnn.scornn(H, negative=1), oracle.scornn(1)),
    "cfc": CellCase(
        at_times(jaxrnn.cfc(6, backbone_size=5)), oracle.at_times(oracle.cfc), products=(2, 2)
    ),
    "ltc": CellCase(
        at_times(jaxrnn.ltc(6, num_substeps=3)), oracle.at_times(oracle.ltc(3)), products=(0, 0)
    ),
    "time_aware_lstm": CellCase(
        at_times(jaxrnn.time_aware_lstm(6)),
        oracle.at_times(oracle.time_aware_lstm),
        products=(2, 2),
    ),
    "gru_d": CellCase(
        at_times(jaxrnn.gru_d(6), missing=True),
        oracle.at_times(oracle.gru_d, missing=True),
        products=(4, 4),
    ),
    "min_gru": CellCase(jaxrnn.min_gru(H), oracle.min_gru, products=(0, 0)),
    "min_lstm": CellCase(jaxrnn.min_lstm(H), oracle.min_lstm, products=(0, 0)),
    "rg_lru": CellCase(jaxrnn.rg_lru(I), oracle.rg_lru, products=(0, 0)),
    "lru": CellCase(jaxrnn.lru(H), oracle.lru, products=(0, 0)),
    "mamba": CellCase(jaxrnn.mamba(3, step_rank=2), oracle.mamba, products=(0, 0)),
    "retention": CellCase(jaxrnn.retention(6, 2), oracle.retention, products=(0, 0)),
    "gated_linear_attention": CellCase(
        jaxrnn.gated_linear_attention(6, 2, decay_rank=3, temperature=2),
        oracle.gated_linear_attention(2),
        products=(0, 0),
    ),
    "delta_net": CellCase(jaxrnn.delta_net(6, 2), oracle.delta_net, products=(0, 0)),
    "mlstm": CellCase(jaxrnn.mlstm(6, 2), oracle.mlstm, products=(0, 0)),
    "s4d": CellCase(jaxrnn.s4d(H), oracle.s4d(oracle.zoh), products=(0, 0)),
    "s4d_bilinear": CellCase(
        jaxrnn.s4d(
            H,
            discretization="bilinear",
            eigenvalue_init=initializers.s4d_real(),
            log_step_init=initializers.log_step(0.1, 1.0),
        ),
        oracle.s4d(oracle.bilinear),
        products=(0, 0),
    ),
    "s5": CellCase(jaxrnn.s5(H), oracle.s5(oracle.zoh), products=(0, 0)),
    "s5_bilinear": CellCase(
        jaxrnn.s5(H, discretization="bilinear"), oracle.s5(oracle.bilinear), products=(0, 0)
    ),
    "qrnn": CellCase(jaxrnn.qrnn(H), oracle.qrnn, products=(0, 0)),
    "sru": CellCase(jaxrnn.sru(H), oracle.sru, products=(0, 0)),
    "sru_without_highway_kernel": CellCase(jaxrnn.sru(I), oracle.sru, products=(0, 0)),
    "hgrn": CellCase(jaxrnn.hgrn(H, lower_bound=0.3), oracle.hgrn(0.3), products=(0, 0)),
    "clip_carry_gradient": CellCase(jaxrnn.clip_carry_gradient(jaxrnn.gru(H), 1e6)),
    "heads": CellCase(jaxrnn.heads(jaxrnn.lstm(2), 2)),
    "weight_norm": CellCase(jaxrnn.weight_norm(jaxrnn.gru(H))),
    "attention": CellCase(attending()),
    "attention_fed_back": CellCase(attending(score="additive", feed_back=True), products=(4, 4)),
    "attention_location": CellCase(
        attending(score="location", feed_back=True, num_entries=3), products=(5, 5)
    ),
    "regularized": CellCase(regularized()),
    "reset_leaves": CellCase(forgetting()),
    "whole": CellCase(whole(), products=(2, 4)),
    "conv_lstm": CellCase(jaxrnn.conv_lstm(H, (3,)), oracle.conv_lstm()),
    "conv_gru": CellCase(jaxrnn.conv_gru(H, (3,)), oracle.conv_gru()),
    "conv_gru_reset_before": CellCase(
        jaxrnn.conv_gru(H, (3,), reset_after=False), oracle.conv_gru_reset_before, products=(2, 2)
    ),
    "conv_lstm_2d": CellCase(
        jaxrnn.conv_lstm(H, (3, 2), dilation=(1, 2), use_peepholes=True),
        oracle.conv_lstm(dilation=(1, 2)),
    ),
    "conv_gru_3d": CellCase(
        jaxrnn.conv_gru(H, (2, 1, 3), dilation=2), oracle.conv_gru(dilation=(2, 2, 2))
    ),
    "conv_regularized": CellCase(regularized_pictures()),
}


# Cells that are made like another of the table: their slow laws run with --thorough.
LIKE_ANOTHER = {
    "elman",
    "gru",
    "independent",
    "twice",
    "emit_carry",
    "layer_norm_gru",
    "projected_lstm",
    "peephole_lstm",
    "coupled_lstm",
    "coupled_with_peepholes",
    "lstm_activations",
    "gru_activations",
    "layer_norm_lstm",
    "clip_carry_gradient",
    "heads",
    "weight_norm",
    "attention",
    "attention_fed_back",
    "attention_location",
    "reset_leaves",
    "regularized",
    "conv_lstm",
}
# Cells of one product, or of several in a row, as those above have: all laws but that of their
# equations run with --thorough.
BY_EQUATION = {
    "mgu",
    "ugrnn",
    "janet",
    "li_gru",
    "minimal_rnn",
    "indrnn",
    "irnn",
    "scrn",
    "rhn",
    "atr",
    "ran",
    "star",
    "brc",
    "nbrc",
    "fast_rnn",
    "fast_grnn",
    "wmc_lstm",
    "multiplicative_lstm",
    "slstm",
    "lem",
    "antisymmetric",
    "gated_antisymmetric",
    "cornn",
    "unicornn",
    "clockwork",
    "ctrnn",
    "ctrnn_of_dale",
    "scornn",
    "cfc",
    "ltc",
    "time_aware_lstm",
    "gru_d",
    "min_gru",
    "min_lstm",
    "rg_lru",
    "lru",
    "mamba",
    "retention",
    "gated_linear_attention",
    "delta_net",
    "mlstm",
    "s4d",
    "s4d_bilinear",
    "s5",
    "s5_bilinear",
    "qrnn",
    "sru",
    "sru_without_highway_kernel",
    "hgrn",
}
# Convolutions take long to compile: all laws of these run with --thorough.
COSTLY = {
    "conv_gru",
    "conv_gru_reset_before",
    "conv_lstm_2d",
    "conv_gru_3d",
    "conv_regularized",
    "pictures",
}


class LayerCase(NamedTuple):
    layer: jaxrnn.Layer
    features: tuple[int, ...] = FEATURES[1]  # the axes of an input
    vocabulary: int | None = None  # of integer inputs
    causal: bool = True
    pools: bool = False  # returns no sequence


LAYERS = {
    "rnn": LayerCase(jaxrnn.rnn(jaxrnn.lstm(H))),
    "rnn_scan": LayerCase(jaxrnn.rnn(jaxrnn.gru(H, reset_after=False), implementation="scan")),
    "rnn_reverse": LayerCase(jaxrnn.rnn(jaxrnn.gru(H), reverse=True), causal=False),
    "dense": LayerCase(jaxrnn.dense(6)),
    "layer_norm": LayerCase(jaxrnn.layer_norm()),
    "rms_norm": LayerCase(jaxrnn.rms_norm()),
    "glu": LayerCase(jaxrnn.glu(6)),
    "deep_block": LayerCase(jaxrnn.deep_block(jaxrnn.rnn(jaxrnn.min_gru(H)), I, rate=0.4)),
    "causal_conv": LayerCase(jaxrnn.causal_conv(6, 3)),
    "causal_conv_depthwise": LayerCase(jaxrnn.causal_conv(None, 9)),  # more than T
    "embed": LayerCase(jaxrnn.embed(9, 6), vocabulary=9),
    "dropout": LayerCase(jaxrnn.dropout(0.4)),
    "stack": LayerCase(
        jaxrnn.stack(
            jaxrnn.embed(9, 6),
            jaxrnn.rnn(jaxrnn.lstm(H)),
            jaxrnn.dropout(0.4),
            jaxrnn.rnn(jaxrnn.elman(2)),
            jaxrnn.dense(3),
        ),
        vocabulary=9,
    ),
    "remat": LayerCase(
        jaxrnn.remat(jaxrnn.stack(jaxrnn.rnn(jaxrnn.lstm(H)), jaxrnn.dropout(0.4)), chunk=3)
    ),
    "truncate": LayerCase(
        jaxrnn.truncate(jaxrnn.stack(jaxrnn.rnn(jaxrnn.gru(H)), jaxrnn.dropout(0.4)), 2)
    ),
    "bidirectional": LayerCase(jaxrnn.bidirectional(jaxrnn.lstm(H)), causal=False),
    "bidirectional_sum": LayerCase(
        jaxrnn.bidirectional(
            jaxrnn.elman(H),
            jaxrnn.stack(jaxrnn.rnn(jaxrnn.gru(H)), jaxrnn.dropout(0.4)),
            merge="sum",
        ),
        causal=False,
    ),
    "residual": LayerCase(jaxrnn.residual(jaxrnn.rnn(jaxrnn.lstm(I)))),
    "highway": LayerCase(
        jaxrnn.highway(jaxrnn.stack(jaxrnn.rnn(jaxrnn.gru(I)), jaxrnn.dropout(0.4)))
    ),
    "skip": LayerCase(
        jaxrnn.skip_stack(
            jaxrnn.rnn(jaxrnn.lstm(H)), jaxrnn.dropout(0.4), jaxrnn.rnn(jaxrnn.elman(2))
        )
    ),
    "noise": LayerCase(jaxrnn.rnn(regularized())),
    "noise_two_way": LayerCase(
        jaxrnn.bidirectional(
            jaxrnn.zoneout(jaxrnn.gru(H), 0.3),
            jaxrnn.zoneout(jaxrnn.lstm(H), jaxrnn.LSTMCarry(h=0, c=0.3)),
        ),
        causal=False,
    ),
    "noise_once": LayerCase(
        jaxrnn.noisy_carry(
            jaxrnn.stack(
                jaxrnn.variational_dropout(0.4),
                jaxrnn.rnn(jaxrnn.weight_norm(jaxrnn.drop_connect(jaxrnn.elman(H), 0.3))),
            ),
            0.2,
        )
    ),
    "attention": LayerCase(jaxrnn.stack(jaxrnn.rnn(attending()), jaxrnn.dense(3))),
    "classifier": LayerCase(
        jaxrnn.stack(jaxrnn.rnn(jaxrnn.gru(H)), jaxrnn.pool_mean, jaxrnn.dense(3)),
        causal=False,
        pools=True,
    ),
    "timed": LayerCase(
        layer_at_times(
            jaxrnn.stack(
                jaxrnn.residual(jaxrnn.rnn(jaxrnn.cfc(I - 1, backbone_size=3))),
                jaxrnn.dropout(0.4),
                jaxrnn.rnn(jaxrnn.lstm(H)),
                jaxrnn.remat(jaxrnn.rnn(jaxrnn.zoneout(jaxrnn.time_aware_lstm(P), 0.3)), chunk=3),
                jaxrnn.dense(3),
            )
        )
    ),
    "timed_two_way": LayerCase(
        layer_at_times(
            jaxrnn.bidirectional(jaxrnn.cfc(H, backbone_size=3), jaxrnn.rnn(jaxrnn.gru_d(P))),
        ),
        causal=False,
    ),
    "pictures": LayerCase(
        jaxrnn.stack(
            jaxrnn.dropout(0.4, shared_axes=(-3, -2)),
            jaxrnn.rnn(jaxrnn.zoneout(jaxrnn.conv_lstm(H, (3, 2)), 0.3, shared_axes=(-3, -2))),
            jaxrnn.variational_dropout(0.4),
            jaxrnn.rnn(jaxrnn.conv_gru(P, (1, 3))),
            jaxrnn.dense(3),
        ),
        features=FEATURES[3],
    ),
}


LIKE_ANOTHER |= {
    "rnn_scan",
    "rnn_reverse",
    "dense",
    "layer_norm",
    "rms_norm",
    "glu",
    "deep_block",
    "causal_conv",
    "causal_conv_depthwise",
    "embed",
    "dropout",
    "bidirectional",
    "residual",
    "highway",
    "skip",
    "remat",
    "attention",
    "noise_once",
    "noise_two_way",
    "timed",
    "timed_two_way",
    "truncate",
}


class Example(NamedTuple):
    """Random arguments for a cell or a layer; nothing in them is zero by chance."""

    params: object
    carry: object
    xs: jax.Array  # (T, B, I), or (T, B, *S, C)
    mask: jax.Array  # bool (T, B): full, empty, ragged
    resets: jax.Array  # bool (T, B)


def generator(key):
    """A NumPy generator, from which to draw compiles nothing."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))


def noisy(tree, key, scale=0.3):
    """`tree` with noise on its floating leaves, so that biases and carries are not zero."""
    rng = generator(key)

    def add(leaf):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            return leaf
        values = np.asarray(leaf, np.float64) + scale * rng.standard_normal(leaf.shape)
        return jnp.asarray(values.astype(leaf.dtype))

    return jax.tree.map(add, tree)


@functools.cache
def initialized(model, x):
    """Initial parameters for the example `x`, on which all examples build."""
    return model.init(jax.random.key(1), x)


def cast(tree, dtype):
    """`tree` with its floating leaves as `dtype`."""

    def leaf_as(leaf):
        is_float = jnp.issubdtype(leaf.dtype, jnp.floating)
        return jnp.asarray(np.asarray(leaf).astype(dtype)) if is_float else leaf

    return jax.tree.map(leaf_as, tree)


def features(cell, size=I):
    """The axes of one input of `cell`, (I,) if it has one."""
    return (size,) if cell.num_feature_axes == 1 else FEATURES[cell.num_feature_axes]


def cell_example(cell, *, shape=(T, B, I), dtype=jnp.float64, seed=0):
    """`shape` is of the inputs (..., I) of most cells; those of others end in their own axes."""
    keys = jax.random.split(jax.random.key(seed), 4)
    *lead, size = shape
    one = features(cell, size)
    xs = jnp.asarray(generator(keys[0]).standard_normal((*lead, *one)).astype(dtype))
    params = initialized(cell, jax.ShapeDtypeStruct(one, jnp.float64))
    params = noisy(cast(params, dtype), keys[1])
    carry = noisy(cell.init_carry(params, jax.ShapeDtypeStruct(xs.shape[1:], dtype)), keys[2])
    return Example(params, carry, xs, *flags(lead, keys[3]))


def layer_example(case, *, shape=(T, B, I), dtype=jnp.float64, seed=0):
    keys = jax.random.split(jax.random.key(seed), 4)
    rng = generator(keys[0])
    shape = shape if len(case.features) == 1 else (*shape[:-1], *case.features)
    if case.vocabulary:
        xs = jnp.asarray(rng.integers(0, case.vocabulary, shape[:-1], np.int32))
        like = jax.ShapeDtypeStruct((T, B), np.int32)
    else:
        xs = jnp.asarray(rng.standard_normal(shape).astype(dtype))
        like = jax.ShapeDtypeStruct((T, B, *shape[-len(case.features) :]), jnp.float64)
    params = noisy(cast(initialized(case.layer, like), dtype), keys[1])
    carry = noisy(case.layer.init_carry(params, xs), keys[2])
    return Example(params, carry, xs, *flags(shape[: -len(case.features)], keys[3]))


def over_features(flags, xs):
    """`flags` (T, ...) with as many axes as `xs`."""
    return flags.reshape(*flags.shape, *[1] * (xs.ndim - flags.ndim))


def flags(shape, key):
    """A ragged mask, with a full and an empty row where there is a batch, and sparse resets."""
    num_steps, *batch = shape
    rng = generator(key)
    lengths = np.minimum(rng.integers(1, max(num_steps, 2), batch), num_steps)
    if lengths.size >= 2:
        lengths[:2] = num_steps, 0
    steps = np.arange(num_steps).reshape(-1, *[1] * len(batch))
    return jnp.asarray(steps < lengths), jnp.asarray(rng.random(shape) < 0.3)


def floats(tree):
    """The floating leaves of `tree`."""
    return [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)]


def total(tree):
    """A scalar that every floating leaf enters with weights of its own."""
    leaves = floats(tree)
    weights = [_weights(leaf.size, leaf.dtype) for leaf in leaves]
    return sum(
        (w.reshape(leaf.shape) * jnp.sin(leaf)).sum()
        for w, leaf in zip(weights, leaves, strict=True)
    )


def _weights(size, dtype):
    wide = authoring.sum_dtype(dtype)  # a narrow dtype cannot count so far
    return jnp.cos(jnp.arange(size, dtype=wide)).astype(dtype)


def assert_close(actual, expected, tolerance):
    """Equal structure, and every leaf within `tolerance` of the largest expected value."""
    actual, expected = jax.tree.map(np.asarray, (actual, expected))
    chex.assert_trees_all_equal_shapes_and_dtypes(actual, expected)
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        if a.size and a.dtype.kind in "fVc":
            wide = np.complex128 if a.dtype.kind == "c" else np.float64
            a, e = a.astype(wide), e.astype(wide)
            assert np.abs(a - e).max() <= tolerance * max(1.0, np.abs(e).max())
        else:
            np.testing.assert_array_equal(a, e)


assert_same = chex.assert_trees_all_equal  # to the last bit
