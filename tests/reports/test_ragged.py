"""Variable-length sequences and carries, as users of other libraries asked for them."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn import convert
from tests.laws.tables import assert_close, cell_example
from tests.reports import loops

T, B, I, H = 4, 3, 2, 3
LSTM = jaxrnn.lstm(H)
EX = cell_example(LSTM, shape=(T, B, I))
LENGTHS = np.array([4, 0, 2])
MASK = jaxrnn.length_mask(LENGTHS, T)
PADDED = jnp.where(MASK[..., None], EX.xs, jnp.nan)


@pytest.mark.parametrize("implementation", ["scan", "xla"])
def test_jacobians_with_a_mask(implementation):
    """tensorflow#41042: the Jacobian of a padded batch is that of each row, also of one of 0."""

    def library(xs):
        options = {"mask": MASK, "implementation": implementation}
        return jaxrnn.unroll(LSTM, EX.params, EX.carry, xs, **options)[1]

    def loop(xs, carry):
        return loops.lstm(EX.params, carry, xs)[1]

    got = jax.jit(jax.jacrev(library))(PADDED)
    want = np.zeros(got.shape)
    for row, length in enumerate(LENGTHS):
        if length:
            carry = tuple(leaf[row] for leaf in EX.carry)
            jacobian = jax.jit(jax.jacfwd(functools.partial(loop, carry=carry)))
            want[:length, row, :, :length, row] = jacobian(EX.xs[:length, row])
    np.testing.assert_allclose(got, want, atol=1e-15)


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="torch is not installed")


def test_final_states_for_a_decoder(torch):
    """OpenNMT-py#61: the final states of a bidirectional LSTM of two layers, in torch's order."""
    lengths = np.array([4, 1, 2])
    module = torch.nn.LSTM(I, H, num_layers=2, bidirectional=True).double()
    layer, params = convert.from_torch(module)
    mask = jaxrnn.length_mask(lengths, T)
    final, ys = layer.apply(params, None, EX.xs, mask=mask)
    got = [jnp.stack(leaves) for leaves in zip(*(c for one in final for c in one), strict=True)]

    xs = torch.from_numpy(np.array(EX.xs))
    pack = functools.partial(torch.nn.utils.rnn.pack_padded_sequence, enforce_sorted=False)
    with torch.no_grad():
        packed, states = module(pack(xs, torch.from_numpy(lengths)))
    want = torch.nn.utils.rnn.pad_packed_sequence(packed)[0]
    for one, other in zip([ys, *got], [want, *states], strict=True):
        np.testing.assert_allclose(one, other.numpy(), atol=1e-14)


def test_the_state_of_one_call_starts_the_next():
    """flax#16: two trajectories in a row are one, bit for bit in a plain scan."""
    run = functools.partial(jaxrnn.unroll, LSTM, EX.params, implementation="scan")
    carry, first = run(EX.carry, EX.xs[:1])
    carry, second = run(carry, EX.xs[1:])
    want_carry, want = run(EX.carry, EX.xs)
    np.testing.assert_array_equal(jnp.concatenate([first, second]), want)
    jax.tree.map(np.testing.assert_array_equal, carry, want_carry)


def test_nan_is_found_where_it_is_real():
    """jax#5696: under `jax_debug_nans` padding passes, and a NaN at a real step is found."""
    with jax.debug_nans(False):
        broken = PADDED.at[1, 0, 0].set(jnp.nan)
    run = functools.partial(jaxrnn.unroll, LSTM, EX.params, None, mask=MASK)
    with jax.debug_nans(True):
        assert np.isfinite(run(PADDED)[1]).all()
        with pytest.raises(FloatingPointError):
            run(broken)


def test_a_step_that_returns_a_registered_object():
    """distrax#64: the output of a step is an object of the user's, a distribution for example."""

    @jax.tree_util.register_dataclass
    @dataclasses.dataclass
    class Normal:
        mean: jax.Array
        scale: jax.Array

    def output(params, carry, u):
        return Normal(carry.h, jnp.exp(carry.c))

    cell = LSTM._replace(output=output)
    _, ys = jaxrnn.unroll(cell, EX.params, EX.carry, PADDED, mask=MASK)
    assert isinstance(ys, Normal)
    for row, length in enumerate(LENGTHS):
        carry = tuple(leaf[row] for leaf in EX.carry)
        for t in range(length):
            carry = loops.lstm_step(EX.params, carry, EX.xs[t, row])
            assert_close((ys.mean[t, row], jnp.log(ys.scale[t, row])), carry, 1e-14)
        assert not ys.mean[length:, row].any()
