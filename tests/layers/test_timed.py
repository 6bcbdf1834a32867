"""Inputs with time gaps: what a stack hands on, reversed runs, and bad gaps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn.data import time_gaps
from tests.laws.tables import assert_close, assert_same, flags, generator, timed, total

T, B, I, H = 7, 3, 4, 5
CELLS = {
    "cfc": jaxrnn.cfc(H, backbone_size=6),
    "ltc": jaxrnn.ltc(H, num_substeps=2),
    "time_aware_lstm": jaxrnn.time_aware_lstm(H),
    "gru_d": jaxrnn.gru_d(H),
    "zoneout": jaxrnn.zoneout(jaxrnn.cfc(H, backbone_size=6), 0.3),
    "heads": jaxrnn.heads(jaxrnn.time_aware_lstm(2), 3),
    "learned_carry": jaxrnn.learned_carry(jaxrnn.gru_d(H)),
}
WRAPPED = "zoneout", "heads", "learned_carry"
every_cell = pytest.mark.parametrize(
    "row", [pytest.param(n, marks=[pytest.mark.thorough] * (n in WRAPPED)) for n in CELLS]
)


def sequence(key=0):
    rng = generator(jax.random.key(key))
    times = np.cumsum(rng.exponential(size=(T, B)), 0)
    xs = jnp.asarray(rng.standard_normal((T, B, I)))
    return jaxrnn.Timed(xs, jnp.asarray(time_gaps(times))), times


@every_cell
def test_a_run_is_a_loop_of_steps_and_the_gaps_matter(row):
    cell, (xs, _) = CELLS[row], sequence()
    params = cell.init(jax.random.key(1), jax.tree.map(lambda a: a[0], xs))
    carry, ys = jaxrnn.unroll(cell, params, None, xs)
    at, want = None, []
    for t in range(T):
        at, y = jaxrnn.step(cell, params, at, jax.tree.map(lambda a, t=t: a[t], xs))
        want.append(y)
    assert_close((carry, ys), (at, jnp.stack(want)), 1e-13)
    _, others = jaxrnn.unroll(cell, params, None, xs._replace(dt=2 * xs.dt))
    assert np.abs(others - ys)[-1].max() > 1e-4


def test_a_stack_hands_gaps_to_the_layers_up_to_a_pool():
    (xs, _), last = sequence(), jaxrnn.cfc(H, backbone_size=6)
    layers = jaxrnn.dense(3), jaxrnn.rnn(jaxrnn.gru(2)), jaxrnn.rnn(last)
    model = jaxrnn.stack(*layers, jaxrnn.pool_mean, jaxrnn.dense(2), jaxrnn.rnn(jaxrnn.gru(2)))
    params = model.init(jax.random.key(0), xs)
    _, y = model.apply(params, None, xs)
    ys = layers[0].apply(params[0], None, xs.x)[1]
    ys = layers[1].apply(params[1], None, ys)[1]
    ys = layers[2].apply(params[2], None, jaxrnn.Timed(ys, xs.dt))[1]
    y_by_hand = layers[0].apply(params[0], None, xs)[1]
    assert_same(y_by_hand, layers[0].apply(params[0], None, xs.x)[1])
    after = jaxrnn.stack(jaxrnn.dense(2), jaxrnn.rnn(jaxrnn.gru(2)))
    want = after.apply(params[4:], None, jaxrnn.pool_mean(ys)[None])[1][0]
    assert_close(y, want, 1e-13)


@pytest.mark.parametrize(
    "layer",
    [
        jaxrnn.skip_stack(jaxrnn.rnn(jaxrnn.cfc(H)), jaxrnn.rnn(jaxrnn.time_aware_lstm(H))),
        jaxrnn.highway(jaxrnn.rnn(jaxrnn.cfc(I))),
        jaxrnn.truncate(jaxrnn.rnn(jaxrnn.cfc(H)), 3),
        jaxrnn.stack(jaxrnn.variational_dropout(0.3), jaxrnn.rnn(jaxrnn.cfc(H))),
    ],
    ids=["skip_stack", "highway", "truncate", "variational_dropout"],
)
def test_combinators_hand_gaps_on(layer):
    xs, _ = sequence()
    params = layer.init(jax.random.key(0), xs)
    carry, ys = layer.apply(params, None, xs)
    _, others = layer.apply(params, None, xs._replace(dt=2 * xs.dt))
    assert np.abs(others - ys)[1:].max() > 1e-4
    halves = [jax.tree.map(lambda a, at=at: a[at], xs) for at in (slice(3), slice(3, None))]
    middle, first = layer.apply(params, None, halves[0])
    end, second = layer.apply(params, middle, halves[1])
    assert_close((end, jnp.concatenate([first, second])), (carry, ys), 1e-13)


def test_cast_leaves_the_gaps_as_they_are():
    xs = jaxrnn.Timed(jnp.ones((3, B, I), jnp.float32), jnp.full((3, B), 1000.25, jnp.float32))
    seen = []

    def project(params, x):
        seen.append(x)
        return cell.project(params, x)

    cell = jaxrnn.cfc(H)
    layer = jaxrnn.cast(jaxrnn.rnn(cell._replace(project=project)), jnp.bfloat16)
    layer.apply(layer.init(jax.random.key(0), xs), None, xs)
    assert jnp.dtype(jnp.bfloat16) in {x.x.dtype for x in seen}
    assert {x.dt.dtype for x in seen} == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize("mask", [None, "ragged", "holes"])
@pytest.mark.parametrize("two_way", [False, True])
def test_a_reversed_run_reads_the_gaps_of_the_reversed_times(mask, two_way):
    cell, (xs, times) = jaxrnn.cfc(H, backbone_size=6), sequence()
    if mask == "ragged":
        mask = flags((T, B), jax.random.key(3))[0]
    elif mask == "holes":
        mask = jax.random.bernoulli(jax.random.key(4), 0.6, (T, B))
    real = np.ones((T, B), bool) if mask is None else np.asarray(mask)
    xs = jaxrnn.Timed(xs.x, jnp.asarray(np.where(real, time_gaps(times, mask), np.nan)))
    params = cell.init(jax.random.key(1), jax.tree.map(lambda a: a[0], xs))

    backward = jaxrnn.Timed(
        xs.x[::-1], jnp.asarray(time_gaps(-times[::-1], mask if mask is None else mask[::-1]))
    )
    flipped = None if mask is None else mask[::-1]
    carry, ys = jaxrnn.unroll(cell, params, None, backward, mask=flipped)
    if two_way:  # by a layer, which is reversed from outside
        layer = jaxrnn.bidirectional(cell, jaxrnn.stack(jaxrnn.rnn(cell)), merge=lambda a, b: b)
        both = jaxrnn.layers.BidirectionalParams(params, (params,))
        final, got = layer.apply(both, None, xs, mask=mask)
        got_carry = final.backward[0]
    else:
        got_carry, got = jaxrnn.unroll(cell, params, None, xs, mask=mask, reverse=True)
    assert_close((got_carry, got), (carry, ys[::-1]), 1e-13)


def test_gaps_in_the_padding_are_never_read():
    cell, (xs, _) = jaxrnn.cfc(H), sequence()
    mask, _ = flags((T, B), jax.random.key(3))
    params = cell.init(jax.random.key(1), jax.tree.map(lambda a: a[0], xs))

    @jax.jit
    @jax.value_and_grad
    def loss(dt):
        ahead = jaxrnn.unroll(cell, params, None, xs._replace(dt=dt), mask=mask)
        back = jaxrnn.unroll(cell, params, None, xs._replace(dt=dt), mask=mask, reverse=True)
        return total((ahead, back))

    clean = loss(jnp.where(mask, xs.dt, 0))
    for poison in (jnp.nan, jnp.inf, -1.0):
        assert_same(loss(jnp.where(mask, xs.dt, poison)), clean)
    jaxrnn.unroll(cell, params, None, xs._replace(dt=jnp.where(mask, xs.dt, -1)), mask=mask)


@pytest.mark.parametrize("bad", [-0.5, np.nan])
def test_a_bad_gap_raises_where_it_is_known_and_is_nan_elsewhere(bad):
    cell, (xs, _) = jaxrnn.time_aware_lstm(H), sequence()
    params = cell.init(jax.random.key(1), jax.tree.map(lambda a: a[0], xs))
    xs = xs._replace(dt=xs.dt.at[4, 1].set(bad))
    with pytest.raises(ValueError, match=r"`dt` must be from 0 to inf.*are the times in order"):
        jaxrnn.unroll(cell, params, None, xs)
    with pytest.raises(ValueError, match="`dt` must be from 0 to inf"):
        jaxrnn.step(cell, params, None, jax.tree.map(lambda a: a[4], xs))
    _, ys = jax.jit(lambda xs: jaxrnn.unroll(cell, params, None, xs))(xs)
    is_nan = np.isnan(ys).any(-1)
    assert is_nan[4:, 1].all()
    assert not is_nan[:4].any()
    assert not is_nan[:, [0, 2]].any()


def test_wrong_inputs_are_named():
    cell, (xs, _) = jaxrnn.cfc(H), sequence()
    layer = jaxrnn.rnn(cell)
    params = layer.init(jax.random.key(1), xs)
    for run in (
        lambda xs: jaxrnn.unroll(cell, params, None, xs),
        lambda xs: layer.apply(params, None, xs),
    ):
        with pytest.raises(TypeError, match=r"cfc\(5\) reads how much time has passed.*Timed"):
            run(xs.x)
        with pytest.raises(ValueError, match=r"`dt` must be \(7, 3\), one gap for each step"):
            run(xs._replace(dt=xs.dt[..., None]))
        with pytest.raises(TypeError, match=r"`dt` must be a floating array.*int64\(7, 3\)"):
            run(xs._replace(dt=jnp.ones((T, B), int)))
    with pytest.raises(TypeError, match="reads how much time has passed"):
        jaxrnn.explain(cell, xs.x)
    with pytest.raises(TypeError, match="reads how much time has passed"):
        layer.init(jax.random.key(1), xs.x)


def test_cells_that_read_no_time_get_the_features_alone():
    (xs, _), cell = sequence(), jaxrnn.lstm(H)
    params = cell.init(jax.random.key(1), xs.x[0])
    assert_same(jaxrnn.unroll(cell, params, None, xs), jaxrnn.unroll(cell, params, None, xs.x))
    assert_same(
        jaxrnn.step(cell, params, None, jax.tree.map(lambda a: a[0], xs)),
        jaxrnn.step(cell, params, None, xs.x[0]),
    )


def test_the_table_takes_inputs_apart():
    """Laws run on plain arrays, of which the table makes inputs with gaps."""
    xs = timed(jnp.array([[1.0, 3.0], [0.0, -3.0]]), missing=True)
    assert np.isnan(xs.x).tolist() == [[True], [False]]
    assert xs.dt.tolist() == [3, 0]
