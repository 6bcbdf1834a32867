"""The causal convolution beside a loop over the real steps of each row, with masks and resets."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn.layers import CausalConvCarry
from tests.laws.tables import assert_close, generator, noisy, over_features
from tests.marks import later

T, B, I = 9, 4, 3
LAYERS = {
    "dense": jaxrnn.causal_conv(5, 3),
    "depthwise": jaxrnn.causal_conv(None, 4),
    "one step": jaxrnn.causal_conv(2, 1, use_bias=False),
    "longer than the sequence": jaxrnn.causal_conv(None, 12),
}
MASKS = {
    "right": lambda rng: np.arange(T)[:, None] < np.array([T, 0, 5, 2]),
    "left": lambda rng: np.arange(T)[:, None] >= np.array([0, T, 5, 2]),
    "holes": lambda rng: rng.random((T, B)) < np.array([0.8, 0.5, 0.2, 0.0]),
    "none": lambda rng: np.ones((T, B), bool),
}


def row_by_row(params, inputs, xs, mask, resets):
    """The definition: a history for each row, that forgets at a reset and shifts at a real step."""
    histories, width = np.array(inputs), params.kernel.shape[-1]
    ys = np.zeros((*xs.shape[:-1], width))
    equation = "kif,ki->f" if params.kernel.ndim == 3 else "ki,ki->i"
    for t, row in np.ndindex(mask.shape):
        if not mask[t, row]:
            continue
        histories[row] *= not resets[t, row]
        seen = np.concatenate([histories[row], xs[t, row][None]])
        bias = 0 if params.bias is None else params.bias
        ys[t, row] = np.einsum(equation, params.kernel, seen) + bias
        histories[row] = seen[1:]
    return histories, ys


@functools.cache
def arguments(name):
    rng = generator(jax.random.key(2))
    xs = jnp.asarray(rng.standard_normal((T, B, I)))
    params = noisy(LAYERS[name].init(jax.random.key(0), xs), jax.random.key(1))
    return params, noisy(LAYERS[name].init_carry(params, xs), jax.random.key(3)), xs


NAMES = ["dense", "depthwise", later("one step"), later("longer than the sequence")]


@functools.cache
def compiled(name):
    return jax.jit(LAYERS[name].apply)


@pytest.mark.parametrize("name", NAMES)
def test_equals_a_loop_over_real_steps(name):
    params, carry, xs = arguments(name)
    rng = np.random.default_rng(1)
    for draw in MASKS.values():
        mask, resets = draw(rng), rng.random((T, B)) < 0.2
        for flags in ({"mask": mask, "resets": resets}, {"mask": mask}, {"resets": resets}, {}):
            full = {"mask": np.ones_like(mask), "resets": np.zeros_like(mask)} | flags
            got = compiled(name)(params, carry, xs, **flags)
            want, want_ys = row_by_row(params, carry.inputs, xs, **full)
            assert_close(got, (CausalConvCarry(want), want_ys), 1e-13)


@pytest.mark.parametrize("name", NAMES)
def test_chunks_and_single_steps(name):
    params, start, xs = arguments(name)
    rng = np.random.default_rng(4)
    mask, resets = rng.random((T, B)) < 0.7, rng.random((T, B)) < 0.2
    whole = compiled(name)(params, start, xs, mask=mask, resets=resets)
    for size in (1, 3):
        carry, ys = start, []
        for first in range(0, T, size):
            at = slice(first, first + size)
            flags = {"mask": mask[at], "resets": resets[at]}
            carry, y = compiled(name)(params, carry, xs[at], **flags)
            ys.append(y)
        assert_close((carry, jnp.concatenate(ys)), whole, 1e-13)
    plain, carry, ys = compiled(name)(params, start, xs), start, []
    step = jax.jit(functools.partial(jaxrnn.step, LAYERS[name]))
    for x in xs:
        carry, y = step(params, carry, x)
        ys.append(y)
    assert_close((carry, jnp.stack(ys)), plain, 1e-13)


@pytest.mark.parametrize("name", ["dense", later("depthwise")])
def test_gradients_pass_no_padding_and_no_reset(name):
    params, carry, xs = arguments(name)
    mask = jnp.asarray(MASKS["holes"](np.random.default_rng(5)))
    resets = jnp.zeros((T, B), bool).at[5].set(True)

    @jax.jit
    @functools.partial(jax.grad, argnums=(0, 1))
    def gradients(xs, inputs):
        carry = CausalConvCarry(inputs)
        _, ys = LAYERS[name].apply(params, carry, xs, mask=mask, resets=resets)
        return jnp.sum(jnp.sin(ys[5:]))

    dirty = jnp.where(over_features(mask, xs), xs, jnp.nan)
    clean = gradients(jnp.where(over_features(mask, xs), xs, 0), carry.inputs)
    grads = gradients(dirty, carry.inputs)
    assert_close(grads, clean, 0)
    assert not np.asarray(grads[0])[~np.asarray(mask)].any()
    for row in range(B):  # a reset at a masked step does nothing
        crosses = not mask[5, row]
        assert crosses or not np.asarray(grads[0])[:5, row].any()


def test_is_a_convolution_of_lax():
    params, _, xs = arguments("dense")
    _, ys = LAYERS["dense"].apply(params, None, xs)
    want = jax.lax.conv_general_dilated(
        xs.swapaxes(0, 1), params.kernel, (1,), [(2, 0)], dimension_numbers=("NHC", "HIO", "NHC")
    )
    assert_close(ys, want.swapaxes(0, 1) + params.bias, 1e-13)


@pytest.mark.thorough
def test_a_qrnn_that_reads_a_window_streams():
    layer = jaxrnn.stack(jaxrnn.causal_conv(None, 2), jaxrnn.rnn(jaxrnn.qrnn(5)))
    xs = arguments("dense")[-1]
    params = layer.init(jax.random.key(0), xs)
    _, whole = layer.apply(params, None, xs)
    carry, ys = None, []
    step = jax.jit(functools.partial(jaxrnn.step, layer))
    for x in xs:
        carry, y = step(params, carry, x)
        ys.append(y)
    assert_close(jnp.stack(ys), whole, 1e-13)


WRONG = {
    "no window": (lambda: jaxrnn.causal_conv(4, 0), ValueError, "`window` must be a positive"),
    "features of a float": (lambda: jaxrnn.causal_conv(4.0, 2), TypeError, "`features` must be"),
    "use_bias of a number": (
        lambda: jaxrnn.causal_conv(4, 2, use_bias=1),
        TypeError,
        "`use_bias` must be True or False",
    ),
    "parameters of another window": (
        lambda: jaxrnn.causal_conv(5, 2).apply(*arguments("dense")),
        ValueError,
        r"`params.kernel` must have shape \(2, 3, 5\), got \(3, 3, 5\)",
    ),
    "carry of another batch": (
        lambda: LAYERS["dense"].apply(arguments("dense")[0], *arguments("depthwise")[1:]),
        ValueError,
        r"`carry.inputs` must have shape \(4, 2, 3\), got \(4, 3, 3\)",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_argument_is_named(case):
    call, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        call()
