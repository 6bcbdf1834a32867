"""Laws that every network obeys, which need no oracle."""

import pickle
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.fuzz.networks import VOCABULARY, build, draw
from tests.laws.compiled import compilations
from tests.laws.tables import assert_close, assert_same, floats, total

TOLERANCE = {"float64": 1e-10, "float32": 1e-4, "bfloat16": 0.1}
POISON = np.nan, np.inf, -np.inf


def _loss(layer, params, carry, xs, mask, resets, key):
    out = layer.apply(params, carry, xs, mask=mask, resets=resets, key=key)
    return total(out), out


_differentiate = jax.jit(
    jax.value_and_grad(_loss, argnums=(1, 2, 3), has_aux=True, allow_int=True), static_argnums=0
)


def differentiated(case, layer, xs):
    """The outputs, and the gradients of parameters, carry and inputs."""
    flags = case.mask, case.resets, case.key
    (_, out), grads = _differentiate(layer, case.params, case.carry, xs, *flags)
    return out, floats(grads)


def outputs(case):
    """The carry and the outputs, of a program that other laws have compiled already."""
    return differentiated(case, case.layer, padded_with(case, 0))[0]


def tolerance(case):
    """That of the narrowest dtype in the network."""
    dtypes = {leaf.dtype.name for leaf in floats((case.params, jnp.asarray(case.xs)))}
    return max(t for name, t in TOLERANCE.items() if name in case.text or name in dtypes)


def real_steps(case):
    """bool, with all batch axes."""
    shape = case.xs.shape if case.takes_symbols else case.xs.shape[:-1]
    mask = np.ones(shape, bool) if case.mask is None else case.mask
    return np.broadcast_to(mask.reshape(*mask.shape, *(1,) * (len(shape) - mask.ndim)), shape)


def padded_with(case, values):
    """`xs` with these values in the padding."""
    real = real_steps(case)
    real = real if case.takes_symbols else real[..., None]
    return np.where(real, case.xs, np.asarray(values, case.xs.dtype))


def padding_is_never_read(case):
    info = np.iinfo(case.xs.dtype) if case.takes_symbols else None
    poison = (info.min, info.max) if info else POISON
    poison = np.random.default_rng(case.seed).choice(poison, case.xs.shape)
    clean = differentiated(case, case.layer, padded_with(case, 0))
    dirty = differentiated(case, case.layer, padded_with(case, poison))
    assert_same(dirty, clean)
    assert all(np.isfinite(np.asarray(leaf, float)).all() for leaf in floats(dirty))
    if not case.pools:
        assert not any(np.asarray(y)[~real_steps(case)].any() for y in jax.tree.leaves(dirty[0][1]))
    if not case.takes_symbols:  # the gradient of `xs`
        assert not np.asarray(dirty[1][-1])[~real_steps(case)].any()


def engines_agree(case):
    xs, plain = padded_with(case, 0), build(case.text, "scan")
    actual, expected = (differentiated(case, layer, xs) for layer in (case.layer, plain))
    assert_close(actual, expected, tolerance(case))


def equal_calls_compile_once(case):
    again = [build(case.text)]
    if not case.has_own_cells:  # whose functions are shown as they are, and cannot be pickled
        assert repr(again[0]) == repr(case.layer)
        if "jax.nn" not in case.text and "jnp.maximum" not in case.text:  # nor can those of JAX
            again.append(pickle.loads(pickle.dumps(case.layer)))
    xs = padded_with(case, 0)
    differentiated(case, case.layer, xs)
    with compilations() as compiled:
        for layer in again:
            assert layer == case.layer
            differentiated(case, layer, xs)
    assert compiled == []


def jit_changes_nothing(case):
    flags = {"mask": case.mask, "resets": case.resets, "key": case.key}
    eager = case.layer.apply(case.params, case.carry, case.xs, **flags)
    assert_close(eager, outputs(case), tolerance(case))


def chunks_are_the_whole(case):
    if not case.streams:
        return
    carry, pieces = case.carry, []
    cut = random.Random(case.seed).randint(0, len(case.xs))
    for at in slice(cut), slice(cut, None):
        mask, resets = (None if flags is None else flags[at] for flags in (case.mask, case.resets))
        flags = {"mask": mask, "resets": resets, "key": case.key}
        carry, ys = jax.jit(case.layer.apply)(case.params, carry, case.xs[at], **flags)
        pieces.append(ys)
    ys = jax.tree.map(lambda *parts: jnp.concatenate(parts), *pieces)
    assert_close((carry, ys), outputs(case), tolerance(case))


def a_row_is_the_row_alone(case):
    """Without its padding; random numbers would depend on its place in the batch."""
    real = real_steps(case)
    if case.key is not None or (real.ndim > 1 and not real.shape[1]):
        return
    row = () if real.ndim == 1 else (random.Random(case.seed).randrange(real.shape[1]),)
    steps = real[:, *row]

    def of_row(tree):
        return jax.tree.map(lambda leaf: leaf[row], tree)

    carry, ys = outputs(case)
    ys = of_row(ys) if case.pools else jax.tree.map(lambda y: y[:, *row][steps], ys)
    resets = None if case.resets is None else case.resets[:, *row][steps]
    args = case.params, of_row(case.carry), case.xs[:, *row][steps]
    alone = jax.jit(case.layer.apply)(*args, resets=resets)
    assert_close((of_row(carry), ys), alone, tolerance(case))


def initial_carries_can_be_donated(case):
    params = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), case.params)
    carry = case.layer.init_carry(params, case.xs)
    jax.jit(lambda tree: jax.tree.map(lambda x: x + 1, tree), donate_argnums=0)((params, carry))


def lengths_make_masks(case):
    for num_steps in len(case.xs), 263:
        steps = np.arange(num_steps).reshape(-1, *(1 for _ in case.lengths.shape))
        mask = jaxrnn.length_mask(case.lengths, num_steps)
        np.testing.assert_array_equal(mask, steps < case.lengths.astype(int))


def refused(case, name, **changes):
    """Passes where `apply` raises, before it computes anything, and names the argument."""
    given = {"params": case.params, "carry": case.carry, "mask": case.mask, **changes}

    def run(params, carry, mask):
        flags = {"mask": mask, "resets": case.resets, "key": case.key}
        return case.layer.apply(params, carry, case.xs, **flags)

    with pytest.raises((ValueError, TypeError), match=rf"`({name}|xs?)\b"):
        jax.eval_shape(run, *given.values())


def other_arrays_are_refused(case):
    rng = random.Random(case.seed)
    for name in "params", "carry":
        tree = case.params if name == "params" else case.layer.init_carry(case.params, case.xs)
        leaves, structure = jax.tree_util.tree_flatten_with_path(tree)
        # A table of symbols may have more rows, and any dtype.
        choices = [i for i, (path, _) in enumerate(leaves) if "embedding" not in str(path)]
        if choices:
            at = rng.choice(choices)
            changed = [leaf for _, leaf in leaves]
            changed[at] = _another(rng, changed[at])
            refused(case, name, **{name: structure.unflatten(changed)})


def _another(rng, leaf):
    """An array of another shape or dtype."""
    dtypes = {"float32", "float64", "bfloat16", "int32"} - {leaf.dtype.name}
    kind = rng.choice(["dtype", "axis", "size"] if leaf.ndim else ["dtype", "axis"])
    if kind == "dtype":
        return leaf.astype(rng.choice(sorted(dtypes)))
    if kind == "axis":
        return leaf[None]
    shape, axis = list(leaf.shape), rng.randrange(leaf.ndim)
    shape[axis] += 1
    return jnp.zeros(shape, leaf.dtype)


def flags_of_features_are_refused(case):
    if not case.takes_symbols:
        refused(case, "mask", mask=np.ones(case.xs.shape, bool))


def unknown_symbols_are_refused(case):
    real = real_steps(case)
    if case.takes_symbols and real.any():
        xs = case.xs.copy()
        xs[tuple(np.argwhere(real)[0])] = VOCABULARY
        with pytest.raises(ValueError, match="`xs`"):
            case.layer.apply(case.params, case.carry, xs, mask=case.mask, resets=case.resets)


LAWS = (
    lengths_make_masks,
    other_arrays_are_refused,
    flags_of_features_are_refused,
    unknown_symbols_are_refused,
    initial_carries_can_be_donated,
    padding_is_never_read,
    equal_calls_compile_once,
    engines_agree,
    jit_changes_nothing,
    chunks_are_the_whole,
    a_row_is_the_row_alone,
)


def check(seed):
    """All laws for the network of this seed; an error tells how to repeat it."""
    try:
        case = draw(seed)
        for law in LAWS:
            law(case)
    except BaseException as error:  # pytest has its own
        error.add_note(f"`python -m tests.fuzz --seed {seed}` repeats it.")
        if "case" in locals():
            error.add_note(f"{law.__name__}: {case.layer!r}")
        raise
