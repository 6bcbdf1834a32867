"""Arguments of the wrong kind, shape or dtype, in every public place: each is told by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.laws.tables import CELLS, LAYERS, B, I, T, cell_example, layer_example

KEY = jax.random.key(0)
CELL = jaxrnn.lstm(4)
XS = jnp.ones((T, B, I), jnp.float32)
PARAMS = CELL.init(KEY, XS[0])
RNN = jaxrnn.rnn(CELL)
DENSE = jaxrnn.dense(3)
SYMBOLS = jnp.zeros((T, B), jnp.int32)


class Tensor:
    """An array of another library, with a dtype that NumPy does not know."""

    shape, ndim, dtype = (B, I), 2, "other.float32"


def apply(layer, xs=XS, carry=None, **options):
    return layer.apply(layer.init(KEY, xs), carry, xs, **options)


NORMED = jaxrnn.weight_norm(CELL)


def wrong_gain(params):
    return params._replace(gains=params.gains._replace(kernel=jnp.ones(13, jnp.float32)))


def apply_wrong(layer, change, **options):
    return layer.apply(change(layer.init(KEY, XS)), None, XS, **options)


EDGES = {
    # What has no array where there must be one, or too many.
    "dict to a cell": (lambda: CELL.init(KEY, {"a": XS[0]}), TypeError, "`x` must be one array"),
    "tuple to a layer": (
        lambda: RNN.apply(PARAMS, None, (XS, XS)),
        TypeError,
        "`x` must be one array.*concatenate",
    ),
    "dict to dense": (lambda: DENSE.init(KEY, {"a": XS}), TypeError, "`x` must be one array"),
    "dict to parameters of dense": (
        lambda: DENSE.apply(DENSE.init(KEY, XS), None, {"a": XS}),
        TypeError,
        "`x` must be one array",
    ),
    "list to step": (lambda: jaxrnn.step(CELL, PARAMS, None, [1.0]), TypeError, "`x` must be one"),
    "None to step": (lambda: jaxrnn.step(CELL, PARAMS, None, None), TypeError, "`x` must be one"),
    "list to init": (lambda: CELL.init(KEY, [1.0]), TypeError, "`x` must be an array"),
    "no features": (
        lambda: CELL.init(KEY, jnp.ones((B, 0))),
        ValueError,
        r"`x` must have at least one feature in its last axis, got float64\(3, 0\)",
    ),
    "tensor of another library": (
        lambda: CELL.init(KEY, Tensor()),
        TypeError,
        "`x` must be an array of JAX or NumPy, got a .*Tensor",
    ),
    "masked array": (
        lambda: RNN.apply(PARAMS, None, np.ma.masked_array(XS, False)),
        TypeError,
        "`xs` must be plain arrays, got a masked array.*filled",
    ),
    "big-endian array": (
        lambda: RNN.apply(PARAMS, None, np.asarray(XS).astype(">f4")),
        TypeError,
        "`xs` has another byte order.*newbyteorder",
    ),
    # What was left out.
    "carry left out of apply": (lambda: RNN.apply(PARAMS, XS), TypeError, "pass None for it"),
    "carry left out of unroll": (
        lambda: jaxrnn.unroll(CELL, PARAMS, XS),
        TypeError,
        r"`unroll\(cell, params, carry, xs\)` needs.*pass None for it",
    ),
    "carry left out of step": (
        lambda: jaxrnn.step(CELL, PARAMS, XS[0]),
        TypeError,
        "pass None for it",
    ),
    "time axis left out, with a mask": (
        lambda: RNN.apply(PARAMS, None, XS[0], mask=jnp.ones((T, B), bool)),
        ValueError,
        r"`mask` must match.*Does `xs` lack its time axis\?.*xs\[None\]",
    ),
    # What a layer does not read is checked all the same.
    "carry of dense": (lambda: apply(DENSE, carry=(XS,)), TypeError, "`carry`.*has no carry"),
    "carry of embed": (
        lambda: apply(jaxrnn.embed(3, 2), SYMBOLS, carry=XS),
        TypeError,
        "`carry`.*has no carry",
    ),
    "carry of variational dropout": (
        lambda: apply(jaxrnn.variational_dropout(0.1), carry=XS),
        TypeError,
        "`carry`.*has no carry",
    ),
    "key of dense": (lambda: apply(DENSE, key=3), TypeError, "`key` must be a key"),
    "resets of dense": (
        lambda: apply(DENSE, resets=jnp.ones((T, B))),
        TypeError,
        "`resets` must be bool, got float64.*done > 0",
    ),
    "raw key of another width": (
        lambda: RNN.apply(PARAMS, None, XS, key=jnp.zeros(3, jnp.uint32)),
        ValueError,
        "`key` must have 2 numbers",
    ),
    # Choices.
    "reverse as text": (
        lambda: jaxrnn.rnn(CELL, reverse="False"),
        TypeError,
        "`reverse` must be True or False, got 'False'",
    ),
    "reverse of unroll as a number": (
        lambda: jaxrnn.unroll(CELL, PARAMS, None, XS, reverse=1),
        TypeError,
        "`reverse` must be True or False",
    ),
    "reset_after of None": (
        lambda: jaxrnn.gru(4, reset_after=None),
        TypeError,
        "`reset_after` must be True or False, got None",
    ),
    "use_bias of a number": (
        lambda: jaxrnn.lstm(4, use_bias=0),
        TypeError,
        "`use_bias` must be True or False, got 0",
    ),
    "fields as text": (
        lambda: jaxrnn.drop_connect(CELL, 0.1, fields="kernel"),
        TypeError,
        "`fields` must be a tuple of names",
    ),
    "dtype of cast": (
        lambda: jaxrnn.cast(RNN, jnp.int32),
        TypeError,
        "`dtype` must be a floating dtype",
    ),
    "dtype of cast as a word": (lambda: jaxrnn.cast(RNN, "half-ish"), TypeError, "`dtype` must be"),
    "layer of cast": (lambda: jaxrnn.cast(CELL, jnp.bfloat16), TypeError, "becomes a layer with"),
    "initializer of another shape": (
        lambda: jaxrnn.lstm(4, bias_init=lambda key, shape, dtype: jnp.zeros(1, dtype)).init(
            KEY, XS[0]
        ),
        ValueError,
        r"`bias_init` must return.*\(16,\), got float32\(1,\)",
    ),
    "initializer of another dtype": (
        lambda: jaxrnn.dense(4, kernel_init=lambda key, shape, dtype: jnp.ones(shape, bool)).init(
            KEY, XS
        ),
        TypeError,
        "`kernel_init` must return the dtype.*float32, got bool",
    ),
    "initializer of None": (
        lambda: jaxrnn.lstm(4, bias_init=0.0).init(KEY, XS[0]),
        TypeError,
        "`bias_init` must be a function",
    ),
    # Parameters that noise, a carry or a context would compute with first.
    "parameters before noise": (
        lambda: apply_wrong(jaxrnn.rnn(jaxrnn.zoneout(NORMED, 0.3)), wrong_gain, key=KEY),
        ValueError,
        r"`params.gains.kernel` must have shape \(16,\), got \(13,\)",
    ),
    "parameters before a context": (
        lambda: jaxrnn.unroll(NORMED, 3, None, XS, context={"speaker": XS[0]}),
        TypeError,
        "`params` must be WeightNormParams",
    ),
    "parameters before a carry": (
        lambda: jaxrnn.rnn(NORMED).init_carry(wrong_gain(NORMED.init(KEY, XS[0])), XS),
        ValueError,
        r"`params.gains.kernel` must have shape \(16,\), got \(13,\)",
    ),
    "carry of another dtype in cast": (
        lambda: apply(
            jaxrnn.cast(RNN, jnp.bfloat16),
            carry=jax.tree.map(lambda x: x.astype(jnp.float16), CELL.init_carry(PARAMS, XS[0])),
        ),
        TypeError,
        "`carry` must be float32, as outside of `cast`, got float16",
    ),
    # Layers and cells of the wrong kind.
    "list of layers": (
        lambda: jaxrnn.stack([RNN, DENSE]),
        TypeError,
        r"argument 0 of `stack` must be a Layer, got list.*stack\(\*layers\)",
    ),
    "pool in residual": (
        lambda: jaxrnn.residual(jaxrnn.pool_mean),
        TypeError,
        r"`layer` must be a Layer.*stack\(layer, pool\)",
    ),
    "None to emit_carry": (lambda: jaxrnn.emit_carry(None), TypeError, "`cell` must be a Cell"),
    "numbers to from_step": (
        lambda: jaxrnn.from_step(CELL.init, CELL.init_carry, 3),
        TypeError,
        "`step` must be a function, got 3",
    ),
    "cell of a number": (
        lambda: jaxrnn.unroll(CELL._replace(recur=3), PARAMS, None, XS),
        TypeError,
        "`recur` of a Cell must be a function, got 3",
    ),
    "lengths and a broken number of steps": (
        lambda: jaxrnn.length_mask(np.array([1]), 2.5),
        TypeError,
        "`num_steps` must be an integer, got 2.5",
    ),
    "lengths and no number of steps": (
        lambda: jaxrnn.length_mask(np.array([1]), None),
        TypeError,
        "`num_steps` must be an integer, got None",
    ),
    "wide lengths": (
        lambda: jaxrnn.length_mask(np.array([2**32 + 3]), T),
        ValueError,
        "`lengths` must be from 0 to 7",
    ),
    "path of bytes": (
        lambda: jaxrnn.checkpoint.save(b"weights", PARAMS),
        TypeError,
        "`path` must be a str",
    ),
    "masked array to save": (
        lambda: jaxrnn.checkpoint.save("weights", {"a": np.ma.masked_array([1.0], True)}),
        TypeError,
        "`a` in `params` is a masked array",
    ),
}


@pytest.mark.parametrize("case", EDGES)
def test_it_is_told_by_name(case):
    call, error, message = EDGES[case]
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int64, np.uint64])
@pytest.mark.parametrize("asarray", [np.asarray, jnp.asarray])
@pytest.mark.parametrize("steps", [100, 129, 300, 70_000])
def test_narrow_lengths(dtype, asarray, steps):
    """OpenNMT-py#654: the steps are not counted in the dtype of the lengths."""
    lengths = np.array([0, 5, 100], dtype)
    mask = jaxrnn.length_mask(asarray(lengths), steps)
    np.testing.assert_array_equal(mask.sum(axis=0), lengths)
    traced = jax.jit(jaxrnn.length_mask, static_argnums=1)(asarray(lengths), steps)
    np.testing.assert_array_equal(traced, mask)


def changed(params):
    """Parameters with one leaf that does not fit: each way in turn, and the field that changed."""
    leaves, structure = jax.tree.flatten(params)
    for i, leaf in enumerate(leaves):
        for new in (
            leaf[..., :1],
            leaf[None],
            jnp.zeros((), leaf.dtype),
            leaf.astype(jnp.bfloat16),
        ):
            if (new.shape, new.dtype) != (leaf.shape, leaf.dtype):
                yield structure.unflatten([*leaves[:i], new, *leaves[i + 1 :]])


@pytest.mark.slow_law
@pytest.mark.parametrize("steps", [0, 1, 40])
@pytest.mark.parametrize("name", CELLS)
def test_parameters_must_fit(name, steps):
    """In every cell, whatever T is and so whichever engine would run it."""
    cell = CELLS[name].cell
    params, _, xs, *_ = cell_example(cell, shape=(steps, B, I))
    for wrong in changed(params):
        with pytest.raises((ValueError, TypeError), match=r"^`(params|x)"):
            jaxrnn.unroll(cell, wrong, None, xs)
        with pytest.raises((ValueError, TypeError), match=r"^`(params|x)"):
            jaxrnn.step(cell, wrong, None, jnp.zeros(xs.shape[1:]))


@pytest.mark.slow_law
@pytest.mark.parametrize("name", sorted(set(LAYERS) - {"embed", "dropout"}))
def test_parameters_of_layers_must_fit(name):
    case = LAYERS[name]
    params, _, xs, *_ = layer_example(case)
    for wrong in changed(params):
        is_table = case.vocabulary and jax.tree.leaves(wrong)[0].dtype == jnp.bfloat16
        if is_table:  # a table may have any dtype, and sets that of the layers above
            continue
        with pytest.raises((ValueError, TypeError), match=r"^`(params|x)"):
            case.layer.apply(wrong, None, xs)


def test_wide_inputs_make_narrow_parameters_without_a_warning():
    with jax.enable_x64(False):
        params = CELL.init(KEY, np.ones((B, I)))
        model = jaxrnn.stack(RNN, DENSE).init(KEY, np.ones((T, B, I)))
    assert {leaf.dtype.name for leaf in jax.tree.leaves((params, model))} == {"float32"}
