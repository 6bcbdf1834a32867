"""The nnx modules: like Flax's own where those are right, and right where they are not."""

import functools
import importlib.util
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.laws.tables import assert_close, assert_same, leaky, total

pytest.importorskip("flax", reason="flax is not installed: pip install 'jaxrnn[flax]'")
import optax
from flax import nnx

from jaxrnn.nnx import RNN, RNNCell

T, B, I, H = 7, 3, 5, 4


def normal(*shape, dtype=np.float32, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape).astype(dtype))


def build(module, cell, in_features, **options):
    """A module with noise in each parameter, so that no bias is zero."""
    built = nnx.eval_shape(lambda: module(cell, in_features, **options, rngs=nnx.Rngs(0)))
    leaves, structure = jax.tree.flatten(nnx.state(built))
    new = [0.5 * normal(*x.shape, dtype=x.dtype, seed=i) for i, x in enumerate(leaves)]
    nnx.update(built, structure.unflatten(new))
    return built


INPUTS = normal(B, T, I)
TIME_MAJOR = jnp.moveaxis(INPUTS, 1, 0)
SYMBOLS = jnp.asarray(np.random.default_rng(0).integers(0, 9, (B, T)))
LENGTHS = jnp.array([7, 1, 4])
CARRY = jaxrnn.LSTMCarry(normal(B, H, seed=1), normal(B, H, seed=2))
LSTM = build(RNN, jaxrnn.lstm(H), I)
TAGGER = jaxrnn.stack(
    jaxrnn.embed(9, 6),
    jaxrnn.bidirectional(jaxrnn.lstm(H)),
    jaxrnn.dropout(0.5),
    jaxrnn.dense(2),
)


def flax_lstm():
    """Flax's own RNN with the weights of `LSTM`."""
    cell = nnx.OptimizedLSTMCell(I, H, rngs=nnx.Rngs(0))
    cell.dense_i.kernel[...] = LSTM.params.kernel[...]
    cell.dense_h.kernel[...] = LSTM.params.recurrent_kernel[...]
    cell.dense_h.bias[...] = LSTM.params.bias[...]
    return nnx.RNN(cell, return_carry=True)


# Each row: the inputs and the arguments of a call.
CALLS = {
    "plain": (INPUTS, {}),
    "time_major": (TIME_MAJOR, {"time_major": True, "initial_carry": CARRY}),
    "two batch axes": (normal(2, B, T, I), {}),
    "seq_lengths": (INPUTS, {"seq_lengths": LENGTHS}),
    "reverse": (INPUTS, {"seq_lengths": LENGTHS, "reverse": True}),
    "keep_order": (INPUTS, {"reverse": True, "keep_order": True}),
}


@pytest.mark.parametrize("call", CALLS)
def test_parity_with_flax(call):
    inputs, arguments = CALLS[call]
    given = dict(arguments)
    if "initial_carry" in given:
        given["initial_carry"] = given["initial_carry"][::-1]
    want_carry, want = nnx.jit(lambda rnn: rnn(inputs, **given))(flax_lstm())
    if "seq_lengths" in arguments:
        mask = jnp.moveaxis(jaxrnn.length_mask(LENGTHS, T), 0, 1)[..., None]
        want = jnp.where(mask, want, jnp.float32(0))
    carry, outputs = LSTM(inputs, return_carry=True, **arguments)
    assert_close((carry[::-1], outputs), (want_carry, want), 1e-6)
    assert_same(LSTM(inputs, **arguments), outputs)


def test_it_is_the_unroll():
    params = jax.tree.map(lambda param: param[...], LSTM.params, is_leaf=is_param)
    want = jaxrnn.unroll(jaxrnn.lstm(H), params, CARRY, TIME_MAJOR)
    assert_same(LSTM(TIME_MAJOR, initial_carry=CARRY, time_major=True, return_carry=True), want)


def is_param(leaf):
    return isinstance(leaf, nnx.Param)


def test_choices_at_construction_hold_where_a_call_has_none():
    choices = {"time_major": True, "return_carry": True, "reverse": True, "keep_order": True}
    module = build(RNN, jaxrnn.lstm(H), I, **choices)
    assert_same(module(TIME_MAJOR), LSTM(TIME_MAJOR, **choices))


def test_parameters_have_their_names():
    shapes = {"kernel": (6, 4 * H), "recurrent_kernel": (H, 4 * H), "bias": (4 * H,)}
    module = nnx.eval_shape(lambda: RNN(TAGGER, (), rngs=nnx.Rngs(0)))
    assert isinstance(module.params[1].forward, jaxrnn.cells.LSTMParams)
    assert jax.tree.map(jnp.shape, nnx.to_pure_dict(nnx.state(module, nnx.Param))) == {
        "params": {
            0: {"embedding": (9, 6)},
            1: {"forward": shapes, "backward": shapes},
            3: {"kernel": (2 * H, 2), "bias": (2,)},
        }
    }


@pytest.mark.parametrize("choices", [{}, {"reverse": True, "keep_order": True}])
def test_mask_and_resets_are_those_of_the_unroll(choices):
    mask = jnp.asarray(np.random.default_rng(0).random((B, T)) < 0.6)
    resets = jnp.asarray(np.random.default_rng(1).random((B, T)) < 0.3)
    params = jax.tree.map(lambda param: param[...], LSTM.params, is_leaf=is_param)
    flags = {"mask": mask.T, "resets": resets.T}
    run = functools.partial(jaxrnn.unroll, jaxrnn.lstm(H), params, CARRY, TIME_MAJOR, **flags)
    want = run(reverse="reverse" in choices)
    arguments = {"initial_carry": CARRY, "return_carry": True} | choices
    carry, outputs = LSTM(INPUTS, mask=mask, resets=resets, **arguments)
    assert_close((carry, jnp.moveaxis(outputs, 1, 0)), want, 1e-6)
    assert_close(LSTM(TIME_MAJOR, **flags, **arguments, time_major=True), want, 1e-6)
    assert_same(
        LSTM(INPUTS, mask=jaxrnn.length_mask(LENGTHS, T).T), LSTM(INPUTS, seq_lengths=LENGTHS)
    )


def test_a_sequence_of_length_zero_keeps_its_carry():
    lengths = jnp.array([0, 2, 0])
    carry, outputs = LSTM(INPUTS, initial_carry=CARRY, seq_lengths=lengths, return_carry=True)
    for leaf, given in zip(carry, CARRY, strict=True):
        assert_same((leaf[0], leaf[2]), (given[0], given[2]))
    assert not outputs[0].any()


def test_padding_is_not_read():
    mask = jnp.moveaxis(jaxrnn.length_mask(LENGTHS, T), 0, 1)[..., None]

    @nnx.jit
    @nnx.value_and_grad
    def grad(module, inputs, lengths):
        return total(module(inputs, seq_lengths=lengths, reverse=True))

    poisoned = grad(LSTM, jnp.where(mask, INPUTS, jnp.float32(jnp.nan)), LENGTHS)
    assert_same(poisoned, grad(LSTM, jnp.where(mask, INPUTS, jnp.float32(0)), LENGTHS))


def test_bfloat16_stays_bfloat16():
    module = nnx.eval_shape(
        lambda: RNN(jaxrnn.lstm(H), I, param_dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    )
    run = nnx.jit(lambda module, inputs: module(inputs, return_carry=True))
    out = nnx.eval_shape(run, module, INPUTS.astype(jnp.bfloat16))
    leaves = jax.tree.leaves((nnx.state(module), out))
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype(jnp.bfloat16)}


# Transformations, of JAX and of Flax.


def test_plain_grad_and_vmap_equal_a_stack_of_single_runs():
    def loss(module, inputs):
        return total(module(inputs))

    single = jax.jit(jax.grad(loss))
    grads = jax.jit(jax.vmap(jax.grad(loss), (None, 0)))(LSTM, INPUTS)
    for b in range(B):
        assert_close(jax.tree.map(lambda x, b=b: x[b], grads), single(LSTM, INPUTS[b]), 1e-5)


def test_remat_and_split_and_merge():
    graph, state = nnx.split(LSTM)

    @jax.jit
    def grads(state):
        def loss(state):
            return total(nnx.merge(graph, state)(INPUTS))

        def frugal(state):
            return total(nnx.remat(lambda module: module(INPUTS))(nnx.merge(graph, state)))

        return jax.grad(loss)(state), jax.grad(frugal)(state)

    plain, frugal = grads(state)
    assert_close(frugal, plain, 1e-6)


def test_vmap_makes_an_ensemble():
    @nnx.jit
    @nnx.split_rngs(splits=2)
    @nnx.vmap
    def members(rngs):
        return RNN(jaxrnn.elman(H), I, rngs=rngs)

    ensemble = members(nnx.Rngs(0))
    outputs = nnx.vmap(lambda module, inputs: module(inputs), in_axes=(0, None))(ensemble, INPUTS)
    assert outputs.shape == (2, B, T, H)
    assert not jnp.allclose(outputs[0], outputs[1])


def test_a_scan_over_depth_is_a_stack_of_modules():
    @nnx.jit
    @nnx.split_rngs(splits=2)
    @nnx.vmap
    def members(rngs):
        return RNN(jaxrnn.elman(I), I, rngs=rngs)

    @nnx.jit
    @nnx.scan(in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
    def deep(module, inputs):
        return module(inputs, seq_lengths=LENGTHS)

    modules, want = members(nnx.Rngs(0)), INPUTS
    graph, state = nnx.split(modules)
    for i in range(2):
        one = nnx.merge(graph, jax.tree.map(lambda leaf, i=i: leaf[i], state))
        want = one(want, seq_lengths=LENGTHS)
    assert_close(deep(modules, INPUTS), want, 1e-6)


def test_a_model_of_modules_learns_from_padded_batches():
    class Tagger(nnx.Module):
        def __init__(self, rngs):
            self.embed = nnx.Embed(9, I, rngs=rngs)
            self.rnn = RNN(jaxrnn.bidirectional(jaxrnn.elman(H)), I, rngs=rngs)
            self.head = nnx.Linear(2 * H, 2, rngs=rngs)

        def __call__(self, symbols):
            return self.head(self.rnn(self.embed(symbols), seq_lengths=LENGTHS))

    def loss(model):
        costs = optax.softmax_cross_entropy_with_integer_labels(model(SYMBOLS), SYMBOLS % 2)
        return costs.mean(where=jaxrnn.length_mask(LENGTHS, T).T)

    @nnx.jit
    def step(model, optimizer):
        cost, grads = nnx.value_and_grad(loss)(model)
        optimizer.update(model, grads)
        return cost

    with jax.numpy_dtype_promotion("standard"):  # which optax needs
        model = Tagger(nnx.Rngs(0))
        optimizer = nnx.Optimizer(model, optax.adam(0.05), wrt=nnx.Param)
        costs = [step(model, optimizer) for _ in range(40)]
    assert costs[-1] < 0.2 * costs[0]


def test_chunks_with_their_carry_are_the_whole():
    carry, first = LSTM(INPUTS[:, :3], return_carry=True)
    carry, second = LSTM(INPUTS[:, 3:], initial_carry=carry, return_carry=True)
    want = LSTM(INPUTS, return_carry=True)
    assert_close((carry, jnp.concatenate([first, second], 1)), want, 1e-6)


def test_copies_and_pure_dicts_are_the_module():
    want = LSTM(INPUTS)
    assert_same(nnx.clone(LSTM)(INPUTS), want)
    other, pure = RNN(jaxrnn.lstm(H), I, rngs=nnx.Rngs(1)), nnx.to_pure_dict(nnx.state(LSTM))
    state = nnx.state(other)
    nnx.replace_by_pure_dict(state, jax.tree.map(np.asarray, pure))
    nnx.update(other, state)
    assert_same(other(INPUTS), want)


def test_tabulate_counts_the_parameters():
    size = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(LSTM)))
    assert f"Total Parameters: {size}" in nnx.tabulate(LSTM, INPUTS)


def test_partitioning_is_that_of_the_variable():
    mesh = jax.make_mesh((1,), ("model",), axis_types=(jax.sharding.AxisType.Auto,))
    with jax.set_mesh(mesh):
        module = build(RNN, jaxrnn.lstm(H), I, partitioning={"kernel": (None, "model")})
        assert module(INPUTS).shape == (B, T, H)
    assert module.params.kernel.out_sharding == (None, "model")
    assert not hasattr(module.params.bias, "out_sharding")


def test_an_optimizer_learns_with_dropout():
    layer = jaxrnn.stack(jaxrnn.embed(9, 6), jaxrnn.dropout(0.5), jaxrnn.dense(2))
    model = build(RNN, layer, ())
    optimizer = nnx.Optimizer(model, optax.sgd(1.0, 0.9), wrt=nnx.Param)
    rngs = nnx.Rngs(dropout=1)

    def loss(model, rngs):
        logits = model(SYMBOLS, rngs=rngs)
        return optax.softmax_cross_entropy_with_integer_labels(logits, SYMBOLS % 2).mean()

    @nnx.jit
    def step(model, optimizer, rngs):
        cost, grads = nnx.value_and_grad(loss)(model, rngs)
        optimizer.update(model, grads)
        return cost

    evaluate = nnx.jit(loss, static_argnums=1)
    before = evaluate(model, None)
    assert evaluate(model, None) == before
    first, *_ = [step(model, optimizer, rngs) for _ in range(40)]
    assert first != before
    assert evaluate(model, None) < 0.3 * before


def test_a_key_is_used_once():
    model, rngs = build(RNN, jaxrnn.dropout(0.5), I), nnx.Rngs(dropout=1)
    assert not jnp.allclose(model(INPUTS, rngs=rngs), model(INPUTS, rngs=rngs))
    stream, streams = nnx.Rngs(dropout=3).dropout, nnx.Rngs(dropout=3)
    assert_same(model(INPUTS, rngs=stream), model(INPUTS, rngs=streams))


# The way back: our cells and modules in those of Flax.


def test_a_cell_in_the_rnn_of_flax():
    cell = build(RNNCell, jaxrnn.lstm(H), I)
    want = nnx.jit(lambda rnn: rnn(INPUTS, return_carry=True))(nnx.RNN(cell))
    assert_close(LSTM(INPUTS, return_carry=True), want, 1e-6)


def test_a_learned_carry_learns_in_the_rnn_of_flax():
    ours = build(RNN, leaky(), I, param_dtype=jnp.float64)
    theirs = nnx.RNN(build(RNNCell, leaky(), I, param_dtype=jnp.float64))
    inputs = INPUTS.astype(jnp.float64)
    grad = nnx.jit(nnx.grad(lambda module: total(module(inputs))))
    want, got = grad(theirs)["cell"]["params"], grad(ours)["params"]
    assert jnp.abs(want["start"][...]).min() > 0
    assert_close(nnx.to_pure_dict(got), nnx.to_pure_dict(want), 1e-10)


def test_gradients_are_those_of_flax():
    mask = jaxrnn.length_mask(LENGTHS, T).T[..., None]

    @nnx.jit
    @nnx.grad
    def in_flax(rnn):
        carry, outputs = rnn(INPUTS, seq_lengths=LENGTHS)
        return total((carry[::-1], jnp.where(mask, outputs, jnp.float32(0))))

    @nnx.jit
    @nnx.grad
    def in_ours(rnn):
        return total(tuple(rnn(INPUTS, seq_lengths=LENGTHS, return_carry=True)))

    want, got = in_flax(flax_lstm())["cell"], in_ours(LSTM)["params"]
    assert_close(got["kernel"][...], want["dense_i"]["kernel"][...], 1e-5)
    assert_close(got["recurrent_kernel"][...], want["dense_h"]["kernel"][...], 1e-5)
    assert_close(got["bias"][...], want["dense_h"]["bias"][...], 1e-5)


def test_a_module_around_it_crosses_the_bridge_to_linen():
    class Outer(nnx.Module):
        def __init__(self, rngs):
            self.rnn = RNN(jaxrnn.elman(H), I, rngs=rngs)

        def __call__(self, inputs):
            return self.rnn(inputs)

    outputs, variables = nnx.bridge.to_linen(Outer).init_with_output(jax.random.key(0), INPUTS)
    params = jaxrnn.cells.ElmanParams(**variables["params"]["rnn"]["params"])
    _, want = jaxrnn.unroll(jaxrnn.elman(H), params, None, TIME_MAJOR)
    assert_close(outputs, jnp.moveaxis(want, 0, 1), 1e-6)


def test_a_cell_in_the_scan_of_flax():
    cell = build(RNNCell, jaxrnn.lstm(H), I)
    axes = {"in_axes": (None, nnx.Carry, 1), "out_axes": (nnx.Carry, 1)}
    run = nnx.jit(nnx.scan(lambda cell, carry, x: cell(carry, x), **axes))
    got = run(cell, cell.initialize_carry((B, I)), INPUTS)
    assert_close(got, LSTM(INPUTS, return_carry=True), 1e-6)


def test_bidirectional_of_flax_takes_the_module():
    two_way = nnx.Bidirectional(LSTM, build(RNN, jaxrnn.gru(H), I))
    backward = two_way.backward_rnn(INPUTS, seq_lengths=LENGTHS, reverse=True, keep_order=True)
    want = jnp.concatenate([LSTM(INPUTS, seq_lengths=LENGTHS), backward], axis=-1)
    assert_close(two_way(INPUTS, seq_lengths=LENGTHS), want, 1e-6)


# Bad input. Each row: what is called, the error, and what its message or its note must say.


def make(cell=LSTM.layer, in_features=I, rngs=None):
    return RNN(cell, in_features, rngs=rngs or nnx.Rngs(0))


WRONG = {
    "a cell of Flax": (lambda: make(flax_lstm().cell), TypeError, "`cell` must be a Cell.*Flax"),
    "no features": (lambda: make(in_features=0), ValueError, "`in_features` must be a positive"),
    "real features": (lambda: make(in_features=5.0), TypeError, "`in_features` must be a positive"),
    "a seed": (
        lambda: make(rngs=7),
        TypeError,
        r"`rngs` must be nnx.Rngs, as in `nnx.Rngs\(0\)`, got int",
    ),
    "a key": (
        lambda: LSTM(INPUTS, rngs=jax.random.key(0)),
        TypeError,
        "`rngs` must be nnx.Rngs or one of its streams",
    ),
    "no stream for dropout": (
        lambda: LSTM(INPUTS, rngs=nnx.Rngs(params=0)),
        ValueError,
        r"`rngs` has no stream for dropout, only \['params'\].*nnx.Rngs\(dropout=seed\)",
    ),
    "lengths and a mask": (
        lambda: LSTM(INPUTS, seq_lengths=LENGTHS, mask=jnp.ones((B, T), bool)),
        ValueError,
        "`seq_lengths` and `mask` both",
    ),
    "resets that are time-first": (
        lambda: LSTM(INPUTS, resets=jnp.ones((T, B), bool)),
        ValueError,
        r"`resets` must have .*got bool\(7, 3\)",
    ),
    "partitioning of no parameter": (
        lambda: build(RNN, LSTM.layer, I, partitioning={"kernels": (None, "model")}),
        ValueError,
        "`partitioning` names kernels",
    ),
    "one step": (lambda: LSTM(INPUTS[0, 0]), ValueError, "`inputs` needs a time axis"),
    "features": (lambda: LSTM(INPUTS[..., :3]), ValueError, "`x` must have 5 features.*`inputs`"),
    "too long": (lambda: LSTM(INPUTS, seq_lengths=LENGTHS + 1), ValueError, "to 8.*`seq_lengths`"),
    "lengths of another batch": (
        lambda: LSTM(INPUTS, seq_lengths=LENGTHS[:2]),
        ValueError,
        r"`seq_lengths` must.*\(3,\).*got int64\(2,\)",
    ),
    "carry of Flax": (
        lambda: LSTM(INPUTS, initial_carry=(CARRY.c, CARRY.h)),
        TypeError,
        r"`carry` must be LSTMCarry.*\(c, h\).*`initial_carry`",
    ),
    "a layer as a cell": (
        lambda: RNNCell(TAGGER, I, rngs=nnx.Rngs(0)),
        TypeError,
        "`cell` must be a Cell, got the Layer",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_messages(name):
    run, error, message = WRONG[name]
    with pytest.raises(error, match=f"(?s){message}"):
        run()


@pytest.mark.thorough
def test_the_example_runs():
    path = pathlib.Path(__file__).parents[2] / "examples" / "nnx_language_model.py"
    spec = importlib.util.spec_from_file_location("nnx_language_model", path)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    example.STEPS, example.HIDDEN, example.HELD_OUT, example.SAMPLE = 1, 2, 80, 1
    with jax.numpy_dtype_promotion("standard"):  # which optax needs
        assert 0 < example.main() < 7
