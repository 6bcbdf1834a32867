"""The laws of a layer, for every layer of the table."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.laws.compiled import compilations
from tests.laws.tables import (
    LAYERS,
    B,
    I,
    T,
    assert_close,
    assert_same,
    floats,
    layer_example,
    over_features,
    total,
)

every_layer = pytest.mark.parametrize("name", LAYERS)
KEY = jax.random.key(11)


def uncounted(carry):
    """`carry`, without the counts of steps that random numbers need."""

    def is_counted(node):
        return isinstance(node, jaxrnn.wrappers.CountedCarry)

    return jax.tree.map(lambda n: n.carry if is_counted(n) else n, carry, is_leaf=is_counted)


@functools.cache
def apply(name):
    """Compiled for whatever mask and resets, so that the tests share its programs."""
    case = LAYERS[name]
    run = jax.jit(functools.partial(case.layer.apply, key=KEY))

    def call(params, carry, xs, *, mask=None, resets=None):
        shape = xs.shape if case.vocabulary else xs.shape[: -len(case.features)]
        mask = jnp.ones(shape, bool) if mask is None else mask
        resets = jnp.zeros(shape, bool) if resets is None else resets
        return run(params, carry, xs, mask=mask, resets=resets)

    return call


@pytest.mark.slow_law
@every_layer
def test_a_missing_carry_is_the_initial_one(name):
    layer, ex = LAYERS[name].layer, layer_example(LAYERS[name])
    initial = layer.init_carry(ex.params, ex.xs)
    if name == "noise_once":  # drawn by the layer
        initial, _ = layer.apply(ex.params, None, ex.xs[:0], key=KEY)
    plain = jax.jit(functools.partial(layer.apply, key=KEY))
    assert_close(plain(ex.params, None, ex.xs), apply(name)(ex.params, initial, ex.xs), 1e-13)


@every_layer
def test_init_needs_shapes_only(name):
    layer, ex = LAYERS[name].layer, layer_example(LAYERS[name])
    shapes = jax.ShapeDtypeStruct(ex.xs.shape, ex.xs.dtype)
    assert_same(layer.init(KEY, shapes), layer.init(KEY, ex.xs))
    assert_same(layer.init_carry(ex.params, shapes), layer.init_carry(ex.params, ex.xs))


@pytest.mark.slow_law
@every_layer
def test_chunks(name):
    case, ex = LAYERS[name], layer_example(LAYERS[name])
    if not case.causal:
        pytest.skip("the last chunk of a reversed sequence comes first")
    run = apply(name)
    whole = run(ex.params, ex.carry, ex.xs, mask=ex.mask, resets=ex.resets)
    carry, pieces = ex.carry, []
    for start, stop in [(0, 1), (1, 4), (4, T)]:
        at = slice(start, stop)
        carry, ys = run(ex.params, carry, ex.xs[at], mask=ex.mask[at], resets=ex.resets[at])
        pieces.append(ys)
    assert_close((carry, jnp.concatenate(pieces)), whole, 1e-13)


@pytest.mark.slow_law
@every_layer
def test_padding_is_never_read(name):
    case, ex = LAYERS[name], layer_example(LAYERS[name])
    mask = ex.mask if case.vocabulary else over_features(ex.mask, ex.xs)
    poison = -7 if case.vocabulary else np.nan

    def loss(params, xs):
        out = case.layer.apply(params, ex.carry, xs, mask=ex.mask, key=KEY)
        return total(out), out

    run = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (_, clean), clean_grads = run(ex.params, jnp.where(mask, ex.xs, 0))
    (_, dirty), dirty_grads = run(ex.params, jnp.where(mask, ex.xs, poison))
    assert_same((dirty, dirty_grads), (clean, clean_grads))
    if not case.pools:
        assert not np.asarray(dirty[1])[~np.asarray(ex.mask)].any()
    assert all(np.isfinite(leaf).all() for leaf in floats(dirty_grads))


@pytest.mark.slow_law
@every_layer
def test_a_row_without_steps_keeps_its_carry(name):
    ex = layer_example(LAYERS[name])
    carry, _ = apply(name)(ex.params, ex.carry, ex.xs, mask=ex.mask)
    row = int(np.flatnonzero(~np.asarray(ex.mask).any(axis=0))[0])

    def take(tree):
        return jax.tree.map(lambda leaf: leaf[row], tree)

    assert_same(jax.tree.leaves(take(uncounted(carry))), jax.tree.leaves(take(ex.carry)))


@pytest.mark.slow_law
@every_layer
def test_a_padded_row_equals_the_row_alone(name):
    ex = layer_example(LAYERS[name])
    run = apply(name)
    carry, ys = run(ex.params, ex.carry, ex.xs, mask=ex.mask)
    # With all rows in place, since random numbers depend on the place in the batch.
    length = int(ex.mask[:, 2].sum())
    want_carry, want_ys = run(ex.params, ex.carry, ex.xs[:length])
    if LAYERS[name].pools:
        assert_close(ys[2], want_ys[2], 1e-13)
    else:
        assert_close(ys[:length, 2], want_ys[:, 2], 1e-13)
    row = functools.partial(jax.tree.map, lambda leaf: leaf[2])
    assert_close(row(carry), row(want_carry), 1e-13)


@pytest.mark.slow_law
@every_layer
def test_a_reset_starts_anew(name):
    case, ex, at = LAYERS[name], layer_example(LAYERS[name]), 3
    if not case.causal:
        pytest.skip("after a reset come the earlier steps; see the laws of cells")
    resets = jnp.zeros((T, B), bool).at[at].set(True)
    run = apply(name)
    carry, ys = run(ex.params, ex.carry, ex.xs, resets=resets)
    want = run(ex.params, case.layer.init_carry(ex.params, ex.xs), ex.xs[at:])
    assert_close((carry, ys[at:]), want, 1e-13)
    assert_close(ys[:at], run(ex.params, ex.carry, ex.xs[:at])[1], 1e-13)


@every_layer
def test_the_same_key_draws_the_same(name):
    case, ex = LAYERS[name], layer_example(LAYERS[name])
    jitted = apply(name)(ex.params, ex.carry, ex.xs)
    assert_same(apply(name)(ex.params, ex.carry, ex.xs), jitted)
    if name in ("dropout", "stack"):
        assert_close(case.layer.apply(ex.params, ex.carry, ex.xs, key=KEY), jitted, 1e-13)


@pytest.mark.slow_law
@every_layer
def test_vmap_is_a_stack_of_single_runs(name):
    case, ex = LAYERS[name], layer_example(LAYERS[name])
    run = apply(name)
    mapped = jax.jit(jax.vmap(functools.partial(case.layer.apply, key=KEY), (None, 0, 1)))
    actual = mapped(ex.params, ex.carry, ex.xs)
    for row in range(B):
        at = functools.partial(jax.tree.map, lambda leaf, row=row: leaf[row])
        assert_close(at(actual), run(ex.params, at(ex.carry), ex.xs[:, row]), 1e-13)


@every_layer
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_dtype_in_is_dtype_out(name, dtype):
    case = LAYERS[name]
    ex = layer_example(case, dtype=dtype)
    run = functools.partial(case.layer.apply, key=KEY)
    carry, ys = jax.eval_shape(run, ex.params, ex.carry, ex.xs)
    assert {leaf.dtype for leaf in floats((carry, ys))} == {jnp.dtype(dtype)}


@pytest.mark.slow_law
@every_layer
@pytest.mark.parametrize("shape", [(0, B, I), (T, 0, I), (1, I)])
def test_empty_and_single_step_sequences(name, shape):
    case = LAYERS[name]
    ex = layer_example(case, shape=shape)

    def loss(params):
        out = case.layer.apply(params, ex.carry, ex.xs, mask=ex.mask, resets=ex.resets, key=KEY)
        return total(out) * 1.0, out

    grads, (carry, ys) = jax.jit(jax.grad(loss, has_aux=True))(ex.params)
    if shape[0] == 0:
        assert_same(jax.tree.leaves(uncounted(carry)), jax.tree.leaves(ex.carry))
    batch = shape[1:-1] if case.pools else shape[:-1]
    assert ys.shape[: len(batch)] == batch
    assert all(np.isfinite(leaf).all() for leaf in floats(grads))


@every_layer
def test_a_second_call_compiles_nothing(name):
    case, ex = LAYERS[name], layer_example(LAYERS[name])
    run = apply(name)
    carry, _ = run(ex.params, ex.carry, ex.xs)
    if case.causal:  # with a key, a carry comes back with a count of steps
        carry, _ = run(ex.params, carry, ex.xs)
    with compilations() as compiled:
        for _ in range(3):
            carry, _ = run(ex.params, carry if case.causal else ex.carry, ex.xs)
    assert compiled == []
