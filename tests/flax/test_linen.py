"""The linen modules: like Flax's own where those are right, and right where they are not."""

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
from flax import linen as nn
from flax import serialization
from flax.core import freeze
from flax.training.train_state import TrainState

from jaxrnn.linen import RNN, RNNCell

T, B, I, H = 7, 3, 5, 4
KEY = jax.random.key(0)


def normal(*shape, dtype=np.float32, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape).astype(dtype))


def variables_of(module, *inputs):
    """Variables like those of ``module.init``, with noise in each, so that no bias is zero."""
    leaves, structure = jax.tree.flatten(jax.eval_shape(module.init, KEY, *inputs))
    return structure.unflatten(
        0.5 * normal(*leaf.shape, dtype=leaf.dtype, seed=i) for i, leaf in enumerate(leaves)
    )


INPUTS = normal(B, T, I)
TIME_MAJOR = jnp.moveaxis(INPUTS, 1, 0)
TWO_BATCH_AXES = normal(2, B, T, I)
SYMBOLS = jnp.asarray(np.random.default_rng(0).integers(0, 9, (B, T)))
LENGTHS = jnp.array([7, 1, 4])
CARRY = jaxrnn.LSTMCarry(normal(B, H, seed=1), normal(B, H, seed=2))
LSTM = RNN(jaxrnn.lstm(H))
VARIABLES = variables_of(LSTM, INPUTS)
TAGGER = RNN(
    jaxrnn.stack(
        jaxrnn.embed(9, 6),
        jaxrnn.bidirectional(jaxrnn.lstm(H)),
        jaxrnn.dropout(0.5),
        jaxrnn.dense(2),
    )
)
TAGGER_VARIABLES = variables_of(TAGGER, SYMBOLS)


def joined(cell, field, names):
    return jnp.concatenate([cell[name][field] for name in names], axis=-1)


def lstm_params(cell):
    inputs, states = ["ii", "if", "ig", "io"], ["hi", "hf", "hg", "ho"]
    return {
        "kernel": joined(cell, "kernel", inputs),
        "recurrent_kernel": joined(cell, "kernel", states),
        "bias": joined(cell, "bias", states),
    }


def gru_params(cell):
    inputs, states = ["ir", "iz", "in"], ["hr", "hz", "hn"]
    return {
        "kernel": joined(cell, "kernel", inputs),
        "recurrent_kernel": joined(cell, "kernel", states),
        "bias": joined(cell, "bias", inputs),
        "recurrent_bias": cell["hn"]["bias"],
    }


def elman_params(cell):
    return {
        "kernel": cell["i"]["kernel"],
        "recurrent_kernel": cell["h"]["kernel"],
        "bias": cell["i"]["bias"],
    }


PEERS = {
    "lstm": (nn.OptimizedLSTMCell(H), jaxrnn.lstm(H), lstm_params),
    "gru": (nn.GRUCell(H), jaxrnn.gru(H), gru_params),
    "elman": (nn.SimpleCell(H), jaxrnn.elman(H), elman_params),
}

# Each row: the inputs and the arguments of a call.
CALLS = {
    "plain": (INPUTS, {}),
    "time_major": (TIME_MAJOR, {"time_major": True, "initial_carry": CARRY}),
    "two batch axes": (TWO_BATCH_AXES, {"keep_order": True}),
    "one sequence": (INPUTS[0], {"reverse": True}),
    "seq_lengths": (INPUTS, {"seq_lengths": LENGTHS}),
    "reverse": (INPUTS, {"seq_lengths": LENGTHS, "reverse": True}),
    "keep_order": (INPUTS, {"reverse": True, "keep_order": True}),
    "all": (
        TIME_MAJOR,
        {
            "time_major": True,
            "initial_carry": CARRY,
            "seq_lengths": LENGTHS,
            "reverse": True,
            "keep_order": True,
        },
    ),
}


def of_flax(carry):
    """A carry of ours in the order of Flax's."""
    return carry[::-1] if isinstance(carry, jaxrnn.LSTMCarry) else carry[0]


def without_padding(outputs, lengths, time_major=False):
    """`outputs` with zeros in the padding, where Flax has numbers."""
    if lengths is None:
        return outputs
    mask = jaxrnn.length_mask(lengths, T)[..., None]
    return jnp.where(mask if time_major else jnp.moveaxis(mask, 0, 1), outputs, jnp.float32(0))


def check_against_flax(name, inputs, arguments):
    peer, cell, convert = PEERS[name]
    theirs, ours = nn.RNN(peer, return_carry=True), RNN(cell, return_carry=True)
    variables = variables_of(theirs, inputs)
    given = dict(arguments)
    if "initial_carry" in given:
        given["initial_carry"] = of_flax(given["initial_carry"])
    want_carry, want = jax.jit(lambda: theirs.apply(variables, inputs, **given))()
    converted = {"params": convert(variables["params"]["cell"])}
    carry, outputs = ours.apply(converted, inputs, **arguments)
    want = without_padding(want, arguments.get("seq_lengths"), arguments.get("time_major", False))
    assert_close((of_flax(carry), outputs), (want_carry, want), 1e-6)
    assert_same(ours.apply(converted, inputs, return_carry=False, **arguments), outputs)


@pytest.mark.parametrize("call", CALLS)
def test_parity_with_flax(call):
    check_against_flax("lstm", *CALLS[call])


@pytest.mark.parametrize("name", ["gru", "elman"])
def test_parity_with_the_other_cells_of_flax(name):
    check_against_flax(name, INPUTS, {"seq_lengths": LENGTHS, "reverse": True})


def test_it_is_the_unroll():
    params = jaxrnn.cells.LSTMParams(**VARIABLES["params"])
    want = jaxrnn.unroll(jaxrnn.lstm(H), params, CARRY, TIME_MAJOR)
    got = LSTM.clone(time_major=True, return_carry=True).apply(
        VARIABLES, TIME_MAJOR, initial_carry=CARRY
    )
    assert_same(got, want)


def test_parameters_have_their_names():
    shapes = {"kernel": (I, 4 * H), "recurrent_kernel": (H, 4 * H), "bias": (4 * H,)}
    params = jaxrnn.cells.LSTMParams(**VARIABLES["params"])
    assert jax.tree.map(jnp.shape, params._asdict()) == shapes
    assert jax.tree.map(jnp.shape, TAGGER_VARIABLES["params"]) == {
        "0": {"embedding": (9, 6)},
        "1": dict.fromkeys(("forward", "backward"), shapes | {"kernel": (6, 4 * H)}),
        "3": {"kernel": (2 * H, 2), "bias": (2,)},
    }


def test_parameters_without_a_name_have_one():
    scaling = jaxrnn.Layer(
        init=lambda key, xs: jnp.full(xs.shape[-1], 2.0, xs.dtype),
        init_carry=lambda params, xs: (),
        apply=lambda params, carry, xs, **options: ((), xs * params),
    )
    outputs, variables = RNN(scaling).init_with_output(KEY, INPUTS)
    assert jax.tree.map(jnp.shape, variables) == {"params": {"param": (I,)}}
    assert_same(outputs, 2 * INPUTS)


# Masks and resets, which Flax does not have.

HOLES = jnp.asarray(np.random.default_rng(0).random((B, T)) < 0.6).at[1].set(False)
RESETS = jnp.asarray(np.random.default_rng(1).random((B, T)) < 0.3)
CHOICES = {"forward": {}, "reverse": {"reverse": True, "keep_order": True}}


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("flags", [("mask",), ("resets",), ("mask", "resets")])
def test_mask_and_resets_are_those_of_the_unroll(choice, flags):
    given = {name: {"mask": HOLES, "resets": RESETS}[name] for name in flags}
    arguments = CHOICES[choice] | {"initial_carry": CARRY, "return_carry": True}
    carry, outputs = LSTM.apply(VARIABLES, INPUTS, **given, **arguments)
    want_carry, want = jaxrnn.unroll(
        jaxrnn.lstm(H),
        jaxrnn.cells.LSTMParams(**VARIABLES["params"]),
        CARRY,
        TIME_MAJOR,
        **{name: array.T for name, array in given.items()},
        reverse=choice == "reverse",
    )
    assert_close((carry, jnp.moveaxis(outputs, 1, 0)), (want_carry, want), 1e-6)
    turned = {name: array.T for name, array in given.items()}
    got = LSTM.apply(VARIABLES, TIME_MAJOR, **turned, **arguments, time_major=True)
    assert_same(got, (carry, jnp.moveaxis(outputs, 1, 0)))


def test_the_mask_of_lengths_is_the_lengths():
    mask = jaxrnn.length_mask(LENGTHS, T).T
    run = functools.partial(LSTM.apply, VARIABLES, INPUTS, return_carry=True)
    assert_same(run(mask=mask), run(seq_lengths=LENGTHS))
    choices = CHOICES["reverse"]
    assert_close(run(mask=mask, **choices), run(seq_lengths=LENGTHS, **choices), 1e-6)


def test_resets_are_turned_within_the_lengths():
    choices = {"reverse": True, "return_carry": True}
    run = functools.partial(LSTM.apply, VARIABLES)
    carry, outputs = run(INPUTS, seq_lengths=LENGTHS, resets=RESETS, **choices)
    for row, length in enumerate(LENGTHS.tolist()):
        want_carry, want = run(INPUTS[row, :length], resets=RESETS[row, :length], **choices)
        assert_close(jax.tree.map(lambda leaf, row=row: leaf[row], carry), want_carry, 1e-6)
        assert_close(outputs[row, :length], want, 1e-6)
        assert not outputs[row, length:].any()


def test_two_batch_axes_with_a_mask_and_resets_are_each_sequence_alone():
    mask, resets = (jnp.stack([flags, flags[::-1]]) for flags in (HOLES, RESETS))
    run = functools.partial(LSTM.apply, VARIABLES, return_carry=True)
    together = run(TWO_BATCH_AXES, mask=mask, resets=resets)
    for at in [(0, 1), (1, 0), (1, 2)]:
        alone = run(TWO_BATCH_AXES[at], mask=mask[at], resets=resets[at])
        assert_close(jax.tree.map(lambda leaf, at=at: leaf[at], together), alone, 1e-6)


def test_what_a_mask_hides_is_not_read_and_no_gradient_crosses_a_reset():
    def loss(inputs, mask, resets):
        out = LSTM.apply(VARIABLES, inputs, mask=mask, resets=resets)
        return total(out[:, 4:]), out

    grad = jax.jit(jax.value_and_grad(loss, has_aux=True))
    resets = jnp.zeros((B, T), bool).at[:, 4].set(True)
    full, none = jnp.ones((B, T), bool), jnp.zeros((B, T), bool)
    dirty = jnp.where(HOLES[..., None], INPUTS, jnp.float32(jnp.nan))
    clean = jnp.where(HOLES[..., None], INPUTS, jnp.float32(0))
    assert_same(grad(dirty, HOLES, none), grad(clean, HOLES, none))
    _, dinputs = grad(INPUTS, full, resets)
    assert not dinputs[:, :4].any()
    assert jnp.abs(dinputs[:, 4:]).min() > 0


def test_mask_and_resets_reach_every_layer():
    layer = jaxrnn.stack(jaxrnn.bidirectional(jaxrnn.gru(H)), jaxrnn.rnn(jaxrnn.elman(2)))
    variables = variables_of(RNN(layer), INPUTS)
    outputs = RNN(layer).apply(variables, INPUTS, mask=HOLES, resets=RESETS)
    both = variables["params"]["0"]
    params = (
        jaxrnn.layers.BidirectionalParams(
            *(jaxrnn.cells.GRUParams(**both[n]) for n in ("forward", "backward"))
        ),
        jaxrnn.cells.ElmanParams(**variables["params"]["1"]),
    )
    _, want = layer.apply(params, None, TIME_MAJOR, mask=HOLES.T, resets=RESETS.T)
    assert_same(jnp.moveaxis(outputs, 1, 0), want)


# Right where Flax is not.


def test_a_sequence_of_length_zero_keeps_its_carry():
    run = LSTM.clone(return_carry=True)
    carry, outputs = run.apply(
        VARIABLES, INPUTS, initial_carry=CARRY, seq_lengths=jnp.array([0, 2, 0])
    )
    for leaf, given in zip(carry, CARRY, strict=True):
        assert_same((leaf[0], leaf[2]), (given[0], given[2]))
    assert not outputs[0].any()


@pytest.mark.parametrize("reverse", [False, True])
def test_padding_is_not_read(reverse):
    mask = jnp.moveaxis(jaxrnn.length_mask(LENGTHS, T), 0, 1)[..., None]

    def loss(variables, inputs, lengths):
        out = LSTM.apply(variables, inputs, seq_lengths=lengths, reverse=reverse)
        return total(out), out

    grad = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
    poisoned = grad(VARIABLES, jnp.where(mask, INPUTS, jnp.float32(jnp.nan)), LENGTHS)
    assert_same(poisoned, grad(VARIABLES, jnp.where(mask, INPUTS, jnp.float32(0)), LENGTHS))


def test_two_batch_axes_with_lengths_are_each_sequence_alone():
    lengths = jnp.array([[7, 1, 4], [0, 6, 2]])
    run = LSTM.clone(return_carry=True, reverse=True)
    carry, outputs = run.apply(VARIABLES, TWO_BATCH_AXES, seq_lengths=lengths)
    for place in [(0, 1), (1, 0), (1, 2)]:
        length = int(lengths[place])
        want_carry, want = run.apply(VARIABLES, TWO_BATCH_AXES[place][:length])
        assert_close(jax.tree.map(lambda leaf, p=place: leaf[p], carry), want_carry, 1e-6)
        assert_close(outputs[place][:length], want, 1e-6)


def test_bfloat16_stays_bfloat16():
    inputs = INPUTS.astype(jnp.bfloat16)
    run = LSTM.clone(return_carry=True)
    everything = jax.eval_shape(run.init_with_output, KEY, inputs)
    assert {leaf.dtype for leaf in jax.tree.leaves(everything)} == {jnp.dtype(jnp.bfloat16)}


@pytest.mark.parametrize("shape", [(B, 0, I), (0, T, I)])
def test_empty_inputs(shape):
    lengths = jnp.zeros(shape[0], int)
    run = LSTM.clone(return_carry=True, reverse=True, keep_order=True)
    carry, outputs = run.apply(VARIABLES, jnp.zeros(shape, jnp.float32), seq_lengths=lengths)
    assert outputs.shape == (*shape[:2], H)
    assert not carry.h.any()


# Transformations, of JAX and of Flax.


def test_plain_grad_and_vmap_equal_a_stack_of_single_runs():
    def loss(variables, inputs):
        return total(LSTM.apply(variables, inputs))

    single = jax.jit(jax.grad(loss))
    grads = jax.jit(jax.vmap(jax.grad(loss), (None, 0)))(VARIABLES, INPUTS)
    for b in range(B):
        alone = single(VARIABLES, INPUTS[b])
        assert_close(jax.tree.map(lambda leaf, b=b: leaf[b], grads), alone, 1e-5)


def test_chunks_with_their_carry_are_the_whole():
    run = functools.partial(LSTM.apply, VARIABLES, return_carry=True)
    carry, first = run(INPUTS[:, :3], resets=RESETS[:, :3])
    carry, second = run(INPUTS[:, 3:], initial_carry=carry, resets=RESETS[:, 3:])
    assert_close((carry, jnp.concatenate([first, second], 1)), run(INPUTS, resets=RESETS), 1e-6)


def test_vmap_over_sequences_and_lengths():
    def run(inputs, lengths):
        return LSTM.apply(VARIABLES, inputs, seq_lengths=lengths, return_carry=True, reverse=True)

    lengths = jnp.array([7, 0, 4])
    assert_close(jax.jit(jax.vmap(run))(INPUTS, lengths), run(INPUTS, lengths), 1e-6)


def test_a_scan_over_depth_is_a_stack_of_modules():
    class Block(nn.Module):
        @nn.compact
        def __call__(self, inputs, _):
            return RNN(jaxrnn.lstm(I))(inputs, mask=HOLES), None

    deep = nn.scan(Block, variable_axes={"params": 0}, split_rngs={"params": True}, length=2)()
    variables = variables_of(deep, INPUTS, None)
    outputs, _ = jax.jit(lambda: deep.apply(variables, INPUTS, None))()
    want = INPUTS
    for i in range(2):
        params = jax.tree.map(lambda leaf, i=i: leaf[i], variables["params"]["RNN_0"])
        want = RNN(jaxrnn.lstm(I)).apply({"params": params}, want, mask=HOLES)
    assert_close(outputs, want, 1e-6)


def test_a_module_that_is_called_twice_has_one_set_of_parameters():
    class Twice(nn.Module):
        @nn.compact
        def __call__(self, inputs):
            rnn = RNN(jaxrnn.lstm(I))
            return rnn(rnn(inputs))

    variables = variables_of(Twice(), INPUTS)
    assert list(variables["params"]) == ["RNN_0"]
    inner = functools.partial(RNN(jaxrnn.lstm(I)).apply, {"params": variables["params"]["RNN_0"]})
    assert_close(Twice().apply(variables, INPUTS), inner(inner(INPUTS)), 1e-6)


def test_variables_are_those_of_any_flax_module():
    """Frozen, as bytes, made lazily, with intermediates, bound, and under `nn.jit`."""
    want = LSTM.apply(VARIABLES, INPUTS)
    assert_same(LSTM.apply(freeze(VARIABLES), INPUTS), want)
    stored = serialization.from_bytes(VARIABLES, serialization.to_bytes(VARIABLES))
    assert_same(LSTM.apply(stored, INPUTS), want)
    lazy = jax.eval_shape(LSTM.lazy_init, KEY, jax.ShapeDtypeStruct(INPUTS.shape, INPUTS.dtype))
    assert jax.tree.map(jnp.shape, lazy) == jax.tree.map(jnp.shape, VARIABLES)
    outputs, state = LSTM.apply(VARIABLES, INPUTS, capture_intermediates=True)
    assert_same((outputs, state["intermediates"]["__call__"][0]), (want, want))
    assert_same(LSTM.bind(VARIABLES)(INPUTS), want)
    assert_close(nn.jit(RNN)(LSTM.cell).apply(VARIABLES, INPUTS), want, 1e-6)


def test_a_lost_parameter_is_drawn_where_parameters_may_change():
    params = {name: VARIABLES["params"][name] for name in ("kernel", "recurrent_kernel")}
    _, state = LSTM.apply({"params": params}, INPUTS, mutable=["params"], rngs={"params": KEY})
    assert_same(state["params"]["kernel"], params["kernel"])
    assert_same(state["params"]["bias"], LSTM.cell.init(KEY, INPUTS[0, 0]).bias)


def test_remat():
    def grad(module):
        loss = lambda variables: total(module.apply(variables, INPUTS))  # noqa: E731
        return jax.jit(jax.grad(loss))(VARIABLES)

    assert_close(grad(nn.remat(RNN)(LSTM.cell)), grad(LSTM), 1e-6)


def test_vmap_makes_an_ensemble():
    ensemble = nn.vmap(
        RNN,
        variable_axes={"params": 0},
        split_rngs={"params": True},
        in_axes=None,
        axis_size=2,
        metadata_params={nn.PARTITION_NAME: "member"},
    )(LSTM.cell, partitioning={"kernel": (None, "model")})
    variables = variables_of(ensemble, INPUTS)
    spec = nn.get_partition_spec(variables)["params"]["kernel"]
    assert spec == jax.sharding.PartitionSpec("member", None, "model")
    outputs = ensemble.apply(variables, INPUTS)
    for i in range(2):
        member = jax.tree.map(lambda leaf, i=i: leaf[i], nn.unbox(variables))
        assert_close(outputs[i], LSTM.apply(member, INPUTS), 1e-6)


def test_partitioning_names_each_parameter_of_the_name():
    module = TAGGER.clone(partitioning={"kernel": (None, "model")})
    variables = variables_of(module, SYMBOLS)
    spec = nn.get_partition_spec(variables)["params"]
    split, whole = jax.sharding.PartitionSpec(None, "model"), jax.sharding.PartitionSpec()
    assert spec["1"]["forward"]["kernel"] == spec["1"]["backward"]["kernel"] == split
    assert spec["3"] == {"kernel": split, "bias": whole}
    assert_same(module.apply(variables, SYMBOLS), TAGGER.apply(nn.unbox(variables), SYMBOLS))


def test_dropout_is_on_where_there_is_a_key():
    run = functools.partial(TAGGER.apply, TAGGER_VARIABLES, SYMBOLS)
    dropped = run(rngs={"dropout": jax.random.key(1)})
    assert_same(dropped, run(rngs={"dropout": jax.random.key(1)}))
    assert_same(run(), run(rngs={"params": KEY}))
    assert not jnp.allclose(dropped, run())
    assert not jnp.allclose(dropped, run(rngs={"dropout": jax.random.key(2)}))


def test_a_train_state_learns():
    layer = jaxrnn.stack(jaxrnn.embed(9, 6), jaxrnn.rnn(jaxrnn.elman(H)), jaxrnn.dense(2))
    params = variables_of(RNN(layer), SYMBOLS)["params"]
    state = TrainState.create(apply_fn=RNN(layer).apply, params=params, tx=optax.sgd(1.0, 0.9))

    def loss(params):
        logits = state.apply_fn({"params": params}, SYMBOLS)
        return optax.softmax_cross_entropy_with_integer_labels(logits, SYMBOLS % 2).mean()

    @jax.jit
    def step(state):
        cost, grads = jax.value_and_grad(loss)(state.params)
        return state.apply_gradients(grads=grads), cost

    costs = []
    for _ in range(30):
        state, cost = step(state)
        costs.append(cost)
    assert costs[-1] < 0.1 * costs[0]


def test_tabulate_counts_the_parameters():
    table = nn.tabulate(TAGGER, KEY)(SYMBOLS)
    size = sum(leaf.size for leaf in jax.tree.leaves(TAGGER_VARIABLES))
    assert "embedding" in table
    assert f"Total Parameters: {size}" in table


# The way back: our cells and modules in those of Flax.


def test_a_cell_in_the_rnn_of_flax():
    theirs = nn.RNN(RNNCell(LSTM.cell), return_carry=True)
    arguments = {"seq_lengths": LENGTHS, "reverse": True}
    variables = variables_of(theirs, INPUTS)
    want_carry, want = jax.jit(lambda: theirs.apply(variables, INPUTS, **arguments))()
    got = LSTM.apply(
        {"params": variables["params"]["cell"]}, INPUTS, return_carry=True, **arguments
    )
    assert_close(got, (want_carry, without_padding(want, LENGTHS)), 1e-6)


def test_a_cell_in_the_scan_of_flax():
    scan = nn.scan(
        RNNCell,
        in_axes=1,
        out_axes=1,
        variable_broadcast="params",
        split_rngs={"params": False},
    )(LSTM.cell)
    carry = jax.jit(lambda key: scan.initialize_carry(key, (B, I)))(KEY)
    got = jax.jit(lambda: scan.apply(VARIABLES, carry, INPUTS))()
    assert_close(got, LSTM.apply(VARIABLES, INPUTS, return_carry=True), 1e-6)


def test_a_learned_carry_learns_in_the_rnn_of_flax():
    theirs, ours = nn.RNN(RNNCell(leaky(), param_dtype=jnp.float64)), RNN(leaky())
    inputs = INPUTS.astype(jnp.float64)

    @jax.jit
    def grads(params):
        in_flax = lambda params: total(theirs.apply({"params": {"cell": params}}, inputs))  # noqa: E731
        in_ours = lambda params: total(ours.apply({"params": params}, inputs))  # noqa: E731
        return jax.grad(in_flax)(params), jax.grad(in_ours)(params)

    want, got = grads(variables_of(ours, inputs)["params"])
    assert jnp.abs(want["start"]).min() > 0
    assert_close(got, want, 1e-10)


def test_bidirectional_of_flax_takes_the_module():
    two_way = nn.Bidirectional(RNN(LSTM.cell), RNN(LSTM.cell))
    variables = variables_of(two_way, INPUTS)
    params = variables["params"]
    ours = {"forward": params["forward_rnn"], "backward": params["backward_rnn"]}
    both = RNN(jaxrnn.bidirectional(LSTM.cell))
    want = both.apply({"params": ours}, INPUTS, seq_lengths=LENGTHS)
    assert_close(two_way.apply(variables, INPUTS, seq_lengths=LENGTHS), want, 1e-6)
    summed = two_way.clone(merge_fn=jnp.add, return_carry=True)
    carries, outputs = summed.apply(variables, INPUTS, seq_lengths=LENGTHS)
    want_carry, _ = both.apply({"params": ours}, INPUTS, seq_lengths=LENGTHS, return_carry=True)
    assert_close(carries, tuple(want_carry), 1e-6)
    assert_close(outputs, want[..., :H] + want[..., H:], 1e-6)


@pytest.mark.parametrize("name", PEERS)
def test_gradients_are_those_of_flax(name):
    peer, cell, convert = PEERS[name]
    theirs, ours = nn.RNN(peer, return_carry=True), RNN(cell, return_carry=True)
    variables = variables_of(theirs, INPUTS)
    mask = jaxrnn.length_mask(LENGTHS, T).T[..., None]

    def in_flax(cell, inputs):
        out = theirs.apply({"params": {"cell": cell}}, inputs, seq_lengths=LENGTHS)
        return total((out[0], jnp.where(mask, out[1], jnp.float32(0))))

    def in_ours(cell, inputs):
        carry, outputs = ours.apply({"params": convert(cell)}, inputs, seq_lengths=LENGTHS)
        return total((of_flax(carry), outputs))

    arguments = variables["params"]["cell"], INPUTS
    want = jax.jit(jax.grad(in_flax, argnums=(0, 1)))(*arguments)
    got = jax.jit(jax.grad(in_ours, argnums=(0, 1)))(*arguments)
    assert_close(got, want, 1e-5)


# Bad input. Each row: what is called, the error, and what its message or its note must say.


def call(inputs=INPUTS, variables=VARIABLES, cell=LSTM.cell, **arguments):
    return RNN(cell).apply(variables, inputs, **arguments)


def partitioned(partitioning):
    return variables_of(RNN(jaxrnn.lstm(H), partitioning=partitioning), INPUTS)


WRONG = {
    "a cell of Flax": (lambda: call(cell=nn.LSTMCell(H)), TypeError, "`cell` must be a Cell.*Flax"),
    "a list": (lambda: call([1.0, 2.0]), TypeError, "`inputs` must be one array.*got list"),
    "one step": (lambda: call(INPUTS[0, 0]), ValueError, "`inputs` needs a time axis.*length 1"),
    "features": (lambda: call(INPUTS[..., :3]), ValueError, "`x` must have 5 features.*`inputs`"),
    "dtype": (lambda: call(INPUTS.astype(jnp.bfloat16)), TypeError, "must be float32.*`inputs`"),
    "integers": (lambda: call(INPUTS.astype(int)), TypeError, "must be floating.*`inputs`"),
    "scalar length": (lambda: call(seq_lengths=3), ValueError, r"`seq_lengths` must.*\(3,\)"),
    "lengths of another batch": (
        lambda: call(seq_lengths=LENGTHS[None]),
        ValueError,
        r"`seq_lengths` must.*\(3,\).*int64\(1, 3\).*`time_major`",
    ),
    "real lengths": (
        lambda: call(seq_lengths=LENGTHS.astype(float)),
        TypeError,
        "`seq_lengths` must be integers, got float64",
    ),
    "too long": (
        lambda: call(seq_lengths=LENGTHS + 1),
        ValueError,
        "must be from 0 to 7, got values from 2 to 8.*`seq_lengths`",
    ),
    "negative": (lambda: call(seq_lengths=LENGTHS - 2), ValueError, "from -1 to 5.*`seq_lengths`"),
    "lengths and a mask": (
        lambda: call(seq_lengths=LENGTHS, mask=HOLES),
        ValueError,
        "`seq_lengths` and `mask` both say which steps are real.*Pass one of them",
    ),
    "a mask of lengths": (
        lambda: call(mask=LENGTHS),
        TypeError,
        r"`mask` must be a bool array \(3, 7\), got int64\(3,\).*`seq_lengths`",
    ),
    "a mask of numbers": (
        lambda: call(mask=INPUTS[..., 0]),
        TypeError,
        r"`mask` must be a bool array \(3, 7\), got float32\(3, 7\)",
    ),
    "a list as a mask": (lambda: call(mask=[True]), TypeError, "`mask` must be a bool array.*list"),
    "resets of a mask that is time-first": (
        lambda: call(resets=RESETS.T),
        ValueError,
        r"`resets` must have .*\(3, 7\) .*got bool\(7, 3\).*`time_major`",
    ),
    "carry of Flax": (
        lambda: call(initial_carry=(CARRY.c, CARRY.h)),
        TypeError,
        r"`carry` must be LSTMCarry.*\(c, h\).*`initial_carry`",
    ),
    "carry of another batch": (
        lambda: call(initial_carry=jax.tree.map(lambda leaf: leaf[:1], CARRY)),
        ValueError,
        r"`carry.h` must have shape \(3, 4\), got \(1, 4\).*`initial_carry`",
    ),
    "weights of Flax": (
        lambda: call(variables=variables_of(nn.RNN(nn.LSTMCell(H)), INPUTS)),
        ValueError,
        "`params` of this RNN need kernel, recurrent_kernel, bias, got cell/hf/bias.*other names",
    ),
    "no weights": (lambda: call(variables={}), ValueError, "`params` of this RNN.*got none"),
    "partitioning of no parameter": (
        lambda: partitioned({"kernels": (None, "model")}),
        ValueError,
        "`partitioning` names kernels, but the parameters are bias, kernel",
    ),
    "partitioning of too few axes": (
        lambda: partitioned({"kernel": ("model",)}),
        ValueError,
        r"`partitioning\['kernel'\]` must have one entry for each of the 2 axes",
    ),
    "a layer as a cell": (
        lambda: RNNCell(TAGGER.cell).init(KEY, CARRY, INPUTS[:, 0]),
        TypeError,
        "`cell` must be a Cell, got the Layer",
    ),
    "a cell that draws": (
        lambda: RNNCell(jaxrnn.lstm(H)._replace(noise=lambda params, key, step, x: key)).init(
            KEY, CARRY, INPUTS[:, 0]
        ),
        ValueError,
        "`cell` draws random numbers.*`RNN`",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_messages(name):
    run, error, message = WRONG[name]
    with pytest.raises(error, match=f"(?s){message}"):
        run()


@pytest.mark.thorough
def test_the_example_runs():
    path = pathlib.Path(__file__).parents[2] / "examples" / "flax_tagger.py"
    spec = importlib.util.spec_from_file_location("flax_tagger", path)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    example.STEPS, example.HIDDEN, example.HELD_OUT = 1, 2, 100
    with jax.numpy_dtype_promotion("standard"):  # which optax needs
        assert 0 <= example.main() <= 1
