"""Two-way layers: rows and segments as if each were alone, parity with torch, and no streaming."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.laws.tables import LAYERS, B, H, I, T, assert_close, layer_example, total

every_kind = pytest.mark.parametrize("name", ["bidirectional", "bidirectional_sum"])


def apply(name, **options):
    return jax.jit(functools.partial(LAYERS[name].layer.apply, **options))


def rows(tree, row):
    return jax.tree.map(lambda leaf: leaf[row : row + 1], tree)


@every_kind
@pytest.mark.parametrize("side", ["right", "left", "holes"])
def test_a_padded_row_equals_the_row_alone(name, side):
    ex = layer_example(LAYERS[name])
    mask = {
        "right": ex.mask,
        "left": ex.mask[::-1],
        "holes": jax.random.bernoulli(jax.random.key(3), 0.6, (T, B)).at[:, 1].set(False),
    }[side]
    final, ys = apply(name)(
        ex.params, ex.carry, jnp.where(mask[..., None], ex.xs, jnp.nan), mask=mask
    )
    assert not np.asarray(ys)[~np.asarray(mask)].any()
    for row in range(B):
        real = np.asarray(mask[:, row])
        alone = apply(name)(ex.params, rows(ex.carry, row), ex.xs[real, row : row + 1])
        assert_close((rows(final, row), ys[real, row : row + 1]), alone, 1e-13)


@every_kind
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.thorough
def test_packed_segments_equal_segments_alone(name, padded):
    ex = layer_example(LAYERS[name])
    segments = [(0, 3), (3, 4), (4, T)]
    resets = jnp.zeros((T, B), bool).at[jnp.array([0, 3, 4])].set(True)
    mask = jnp.ones((T, B), bool)
    if padded:
        # Step 1 lies within a segment, step 4 begins one, step 6 ends one. The flag of a step that
        # is no step is not read, and the first real step of a segment is marked instead.
        mask = mask.at[jnp.array([1, 4, 6])].set(False)
        resets = resets.at[5].set(True).at[1].set(True)
    run = apply(name)
    final, ys = run(ex.params, None, ex.xs, resets=resets, mask=mask if padded else None)
    for start, stop in segments:
        real = [t for t in range(start, stop) if mask[t, 0]]
        alone, want = run(ex.params, None, ex.xs[jnp.array(real)])
        assert_close(ys[jnp.array(real)], want, 1e-13)
        if start == 0:
            assert_close(final.backward, alone.backward, 1e-13)
        if stop == T:
            assert_close(final.forward, alone.forward, 1e-13)

    def middle(xs):
        return total(run(ex.params, ex.carry, xs, resets=resets, mask=mask)[1][3])

    grad = np.asarray(jax.grad(middle)(ex.xs))
    assert (np.abs(grad).max(axis=(1, 2)) > 0).tolist() == [t == 3 for t in range(T)]


@pytest.mark.parametrize("part", range(4))
def test_any_mask_and_any_resets(part, thorough):
    count = 5 if thorough else 1
    for seed in range(part * count, (part + 1) * count):
        check_any_mask_and_any_resets(seed)


def check_any_mask_and_any_resets(seed):
    ex = layer_example(LAYERS["bidirectional"], seed=seed)
    rng = np.random.default_rng(seed)
    mask, resets = rng.random((T, B)) < rng.random(), rng.random((T, B)) < rng.random()
    run = apply("bidirectional")
    final, ys = run(ex.params, ex.carry, ex.xs, mask=jnp.array(mask), resets=jnp.array(resets))
    for row in range(B):
        real = np.flatnonzero(mask[:, row])
        begins = [i for i in range(1, len(real)) if resets[real[i], row]]
        segments = np.split(real, begins)
        start, end = rows(ex.carry, row)
        for i, steps in enumerate(segments):
            alone = jaxrnn.layers.BidirectionalCarry(
                start if i == 0 and not resets[steps[:1], row].any() else None,
                end if i == len(segments) - 1 else None,
            )
            last, want = run(ex.params, alone, ex.xs[steps, row : row + 1])
            assert_close(ys[steps, row : row + 1], want, 1e-13)
            if i == 0:
                assert_close(rows(final.backward, row), last.backward, 1e-13)
        assert_close(rows(final.forward, row), last.forward, 1e-13)


@every_kind
def test_given_carries_begin_the_first_and_the_last_segment(name):
    ex = layer_example(LAYERS[name])
    resets = jnp.zeros((T, B), bool).at[3].set(True)
    run = apply(name)
    final, ys = run(ex.params, ex.carry, ex.xs, resets=resets)
    first, first_ys = run(ex.params, ex.carry._replace(backward=None), ex.xs[:3])
    last, last_ys = run(ex.params, ex.carry._replace(forward=None), ex.xs[3:])
    assert_close(ys, jnp.concatenate([first_ys, last_ys]), 1e-13)
    assert_close(final, jaxrnn.layers.BidirectionalFinal(last.forward, first.backward), 1e-13)


def test_a_mask_and_resets_of_fewer_axes():
    ex = layer_example(LAYERS["bidirectional"])
    mask, resets = ex.mask[:, 2], ex.resets
    run = apply("bidirectional")

    def wide(flags):
        return jnp.broadcast_to(flags[:, None], (T, B))

    want = run(ex.params, ex.carry, ex.xs, mask=wide(mask), resets=resets)
    assert_close(run(ex.params, ex.carry, ex.xs, mask=mask, resets=resets), want, 1e-13)
    want = run(ex.params, ex.carry, ex.xs, mask=ex.mask, resets=wide(resets[:, 0]))
    assert_close(run(ex.params, ex.carry, ex.xs, mask=ex.mask, resets=resets[:, 0]), want, 1e-13)


def test_a_layer_is_turned_round_as_its_cell_is():
    cell = jaxrnn.gru(H)
    cells = jaxrnn.bidirectional(cell)
    layers = jaxrnn.bidirectional(jaxrnn.rnn(cell), jaxrnn.rnn(cell))
    ex = layer_example(LAYERS["bidirectional"]._replace(layer=cells))
    options = {"mask": ex.mask, "resets": ex.resets}
    want = cells.apply(ex.params, ex.carry, ex.xs, **options)
    assert_close(layers.apply(ex.params, ex.carry, ex.xs, **options), want, 1e-13)


def test_both_directions_draw_their_own_numbers():
    layer = jaxrnn.bidirectional(jaxrnn.dropout(0.5))
    xs = jnp.ones((T, B, 64))
    _, ys = layer.apply(layer.init(jax.random.key(0), xs), None, xs, key=jax.random.key(1))
    ahead, back = jnp.split(ys, 2, axis=-1)
    assert (ahead != back[::-1]).any()
    params = jaxrnn.bidirectional(jaxrnn.lstm(H)).init(jax.random.key(0), xs)
    assert (params.forward.kernel != params.backward.kernel).all()


MERGES = {
    "concat": lambda ahead, back: np.concatenate([ahead, back], axis=-1),
    "sum": lambda ahead, back: ahead + back,
    "mul": lambda ahead, back: ahead * back,
    "mean": lambda ahead, back: (ahead + back) / 2,
    "function": lambda ahead, back: {"difference": ahead - back + 1},
}


@pytest.mark.parametrize("name", MERGES)
def test_merge(name):
    cell = jaxrnn.lstm(H)
    layer = jaxrnn.bidirectional(cell, merge=MERGES[name] if name == "function" else name)
    ex = layer_example(LAYERS["bidirectional"]._replace(layer=layer))
    _, ys = layer.apply(ex.params, ex.carry, ex.xs, mask=ex.mask)
    ahead, back = (
        jaxrnn.unroll(cell, params, carry, ex.xs, mask=ex.mask, reverse=reverse)[1]
        for params, carry, reverse in zip(ex.params, ex.carry, [False, True], strict=True)
    )
    want = jax.tree.map(lambda y: jnp.where(ex.mask[..., None], y, 0), MERGES[name](ahead, back))
    assert_close(ys, want, 1e-13)


def test_concat_of_different_widths():
    layer = jaxrnn.bidirectional(jaxrnn.lstm(H), jaxrnn.gru(2))
    xs = jnp.ones((T, B, I))
    params = layer.init(jax.random.key(0), xs)
    assert layer.apply(params, None, xs)[1].shape == (T, B, H + 2)


@pytest.mark.parametrize("deep", [False, True])
def test_it_cannot_go_on_from_a_chunk(deep):
    layer = jaxrnn.bidirectional(jaxrnn.lstm(H))
    layer = jaxrnn.stack(jaxrnn.rnn(jaxrnn.gru(I)), layer) if deep else layer
    xs = jnp.ones((T, B, I))
    params = layer.init(jax.random.key(0), xs)
    carry, _ = layer.apply(params, layer.init_carry(params, xs), xs[:3])
    with pytest.raises(TypeError, match=r"`carry` is the BidirectionalFinal.*whole of it in one"):
        layer.apply(params, carry, xs[3:])


def test_torch():
    torch = pytest.importorskip("torch")
    from tests.laws.test_torch import torch_total

    layer = jaxrnn.bidirectional(jaxrnn.lstm(H))
    ex = layer_example(LAYERS["bidirectional"])

    def loss(params, carry, xs):
        final, ys = layer.apply(params, carry, xs)
        h, c = (jnp.stack(leaves) for leaves in zip(final.forward, final.backward, strict=True))
        return total((h, c, ys)), (h, c, ys)

    grad = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True))
    (_, outputs), (dparams, dcarry, dxs) = grad(ex.params, ex.carry, ex.xs)

    def tensor(array):
        return torch.from_numpy(np.array(array))

    module = torch.nn.LSTM(I, H, bidirectional=True).double()
    weights = {}
    for end, params in zip(["l0", "l0_reverse"], ex.params, strict=True):
        weights[f"weight_ih_{end}"] = tensor(params.kernel.T)
        weights[f"weight_hh_{end}"] = tensor(params.recurrent_kernel.T)
        weights[f"bias_ih_{end}"] = tensor(params.bias)
        weights[f"bias_hh_{end}"] = torch.zeros(4 * H, dtype=torch.float64)
    module.load_state_dict(weights)
    xs, h, c = (
        tensor(a).requires_grad_()
        for a in (ex.xs, *(jnp.stack(leaves) for leaves in zip(*ex.carry, strict=True)))
    )
    want_ys, (want_h, want_c) = module(xs, (h, c))
    torch_total([want_h, want_c, want_ys]).backward()

    def close(actual, expected):
        np.testing.assert_allclose(actual, expected.detach().numpy(), rtol=1e-10, atol=1e-12)

    for actual, expected in zip(outputs, (want_h, want_c, want_ys), strict=True):
        close(actual, expected)
    close(dxs, xs.grad)
    for i, (end, got) in enumerate(zip(["l0", "l0_reverse"], dparams, strict=True)):
        close(got.kernel, getattr(module, f"weight_ih_{end}").grad.T)
        close(got.recurrent_kernel, getattr(module, f"weight_hh_{end}").grad.T)
        close(got.bias, getattr(module, f"bias_ih_{end}").grad)
        close(dcarry[i].h, h.grad[i])
        close(dcarry[i].c, c.grad[i])
