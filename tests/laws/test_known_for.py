"""Cells do what each is known for."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxrnn
from jaxrnn import initializers, losses, training

pytestmark = pytest.mark.thorough
LONG = initializers.chrono(200, gates="rzn")
NEAR_ONE = jax.nn.initializers.constant(0.9995)
REACH = {  # a cell, a number of steps, and how long the gradient over them is
    "gru with zeros": (jaxrnn.gru(64), 200, 0, 1e-12),
    "gru with chrono": (jaxrnn.gru(64, bias_init=LONG), 200, 0.05, 1),
    "antisymmetric": (jaxrnn.antisymmetric(64), 200, 0.5, 2),
    "scornn": (jaxrnn.scornn(64, bias_init=jax.nn.initializers.zeros), 1000, 0.99, 1.01),
    "indrnn": (
        jaxrnn.indrnn(64, jnp.tanh, recurrent_scale_init=NEAR_ONE),
        1000,
        1e-3,
        1,
    ),
    "cornn": (jaxrnn.cornn(64, step_size=0.02), 200, 0.05, 10),
}


@pytest.mark.parametrize("case", REACH)
def test_how_far_back_a_gradient_reaches(case):
    cell, num_steps, low, high = REACH[case]
    xs = 0.01 * jax.random.normal(jax.random.key(0), (num_steps, 8, 8))
    params = cell.init(jax.random.key(1), xs[0])

    def last(carry):
        return jaxrnn.unroll(cell, params, carry, xs)[1][-1]

    y, pull = jax.vjp(last, cell.init_carry(params, xs[0]))
    probe = jax.random.normal(jax.random.key(2), y.shape)
    (gradient,) = pull(probe)
    length = np.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(gradient)))
    assert low <= length / jnp.linalg.norm(probe) <= high


@pytest.mark.parametrize("build", [jaxrnn.brc, jaxrnn.nbrc])
def test_a_bistable_cell_holds_a_bit(build):
    """Of a pulse at the first step, after 1,000 steps without an input."""
    cell = build(1)
    params = jax.tree.map(jnp.zeros_like, cell.init(jax.random.key(0), jnp.zeros((2, 1))))
    kernel, bias = params.kernel.at[0, 2].set(2.0), params.bias.at[0].set(2.0)
    params = params._replace(kernel=kernel, bias=bias)
    xs = jnp.zeros((1000, 2, 1)).at[0, :, 0].set(jnp.array([1.0, -1.0]))
    _, ys = jaxrnn.unroll(cell, params, None, xs)
    np.testing.assert_array_equal(jnp.sign(ys[-1, :, 0]), [1, -1])
    assert (jnp.abs(ys[-1]) > 0.5).all()
    assert jnp.abs(jaxrnn.unroll(jaxrnn.gru(1), *_empty(jaxrnn.gru(1), xs), xs)[1][-1]).max() < 1e-9


def _empty(cell, xs):
    return jax.tree.map(jnp.zeros_like, cell.init(jax.random.key(0), xs[0])), None


def test_modules_of_a_clockwork_move_on_their_time_scales():
    cell = jaxrnn.clockwork(6, (1, 4, 16))
    xs = jax.random.normal(jax.random.key(0), (33, 2, 3))
    _, ys = jaxrnn.unroll(cell, cell.init(jax.random.key(1), xs[0]), None, xs)
    moved = (ys[1:] != ys[:-1]).any(axis=1).reshape(32, 3, 2).all(axis=-1)  # by module
    steps = np.arange(1, 33)
    np.testing.assert_array_equal(moved.T, [steps % period == 0 for period in (1, 4, 16)])


def test_slow_units_of_scrn_are_averages():
    cell = jaxrnn.scrn(4, 2, alpha=0.95)
    xs = jnp.ones((200, 1, 3))
    params = cell.init(jax.random.key(0), xs[0])
    carry, _ = jaxrnn.unroll(cell, params, None, xs)
    np.testing.assert_allclose(carry.s, xs[0] @ params.slow_kernel, rtol=1e-4)


def mackey_glass(count, delay=17, parts=10):
    """A chaotic series (count,), by Runge-Kutta with `parts` steps for each value."""
    xs = np.full(delay * parts + count * parts, 1.2)
    for t in range(delay * parts, len(xs) - 1):
        past = xs[t - delay * parts]

        def slope(x, past=past):
            return 0.2 * past / (1 + past**10) - 0.1 * x

        one = slope(xs[t])
        two = slope(xs[t] + one / (2 * parts))
        three = slope(xs[t] + two / (2 * parts))
        four = slope(xs[t] + three / parts)
        xs[t + 1] = xs[t] + (one + 2 * two + 2 * three + four) / (6 * parts)
    return np.tanh(xs[delay * parts :: parts] - 1)


def test_an_echo_state_network_goes_on_with_the_series_of_mackey_and_glass():
    """After 3,000 values, 30 more by itself: the error is below 5 % of the standard deviation."""
    xs = jnp.asarray(mackey_glass(3500))[:, None]
    cell = jaxrnn.esn(400)
    params = cell.init(jax.random.key(0), xs[0])
    _, states = jaxrnn.unroll(cell, params, None, xs[:-1])
    readout = training.ridge_readout(states[200:3000], xs[201:3001], penalty=1e-10)
    model, params = jaxrnn.stack(jaxrnn.rnn(cell), jaxrnn.dense(1)), (params, readout)
    starts = np.arange(3000, 3400, 20)
    prompts = jnp.stack([xs[start - 200 : start] for start in starts], axis=1)
    sample = lambda key, y: y  # noqa: E731
    path = jaxrnn.decode.sample_path(model, params, prompts, None, 30, sample=sample).xs
    want = np.stack([xs[start + 29] for start in starts])
    assert np.sqrt(np.mean((path[-1] - want) ** 2) / np.var(xs)) < 0.05


def test_a_readout_is_ridge_regression():
    rng = np.random.default_rng(0)
    states, targets = rng.standard_normal((40, 3, 5)), rng.standard_normal((40, 3, 2))
    mask = rng.random((40, 3)) < 0.7
    dirty = np.where(mask[..., None], states, np.nan)
    got = training.ridge_readout(jnp.asarray(dirty), jnp.asarray(targets), penalty=0.1, mask=mask)
    x, y = states[mask], targets[mask]
    xc, yc = x - x.mean(0), y - y.mean(0)
    kernel = np.linalg.solve(xc.T @ xc + len(x) * 0.1 * np.eye(5), xc.T @ yc)
    np.testing.assert_allclose(got.kernel, kernel, rtol=1e-10)
    np.testing.assert_allclose(got.bias, y.mean(0) - x.mean(0) @ kernel, rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match=r"`targets` must have the leading axes \(40, 3\)"):
        training.ridge_readout(jnp.asarray(states), jnp.asarray(targets[:5]))
    with pytest.raises(ValueError, match="`penalty` must be a finite number above 0"):
        training.ridge_readout(jnp.asarray(states), jnp.asarray(targets), penalty=0.0)


@pytest.mark.parametrize("radius", [0.0, 0.5, 1.3])
def test_a_spectral_radius_is_what_was_asked_for(radius):
    matrix = initializers.spectral(radius, density=0.2)(jax.random.key(0), (60, 60), jnp.float64)
    np.testing.assert_allclose(np.abs(np.linalg.eigvals(matrix)).max(), radius, rtol=2e-3)
    assert 0.1 < (matrix != 0).mean() < 0.3 or radius == 0


WRONG = {
    "radius": (lambda: initializers.spectral(-1.0), "`radius` must be 0 or more"),
    "density": (lambda: initializers.spectral(1.0, density=0.0), "`density` must be above 0"),
    "leak": (lambda: jaxrnn.esn(4, leak=1.5), "`leak` must be at most 1"),
    "alpha": (lambda: jaxrnn.ctrnn(4, alpha=0), "`alpha` must be a finite number above 0"),
    "excitatory": (lambda: jaxrnn.ctrnn(4, excitatory=5), "`excitatory` must be a number of units"),
    "connections": (
        lambda: jaxrnn.ctrnn(4, connections=((True,) * 4,) * 3),
        "`connections` must be 4 tuples of 4 bools, got tuple of 3",
    ),
    "connections of an array": (
        lambda: jaxrnn.ctrnn(4, connections=np.ones((4, 4), bool)),
        "`connections` must be 4 tuples of 4 bools, got ndarray",
    ),
    "periods": (lambda: jaxrnn.clockwork(6, (4, 2)), "`periods` must be from short to long"),
    "periods that do not divide": (
        lambda: jaxrnn.clockwork(6, (1, 2, 4, 8)),
        "`hidden_size` must be a multiple of the number of periods, 4, got 6",
    ),
    "negative": (lambda: jaxrnn.scornn(4, negative=5), "`negative` must be from 0 to 4"),
    "step size": (lambda: jaxrnn.lem(4, step_size=-1), "`step_size` must be a finite number above"),
    "depth": (lambda: jaxrnn.rhn(4, 0), "`depth` must be a positive integer"),
}


@pytest.mark.parametrize("argument", WRONG)
def test_wrong_numbers_are_told_by_name(argument):
    build, message = WRONG[argument]
    with pytest.raises((ValueError, TypeError), match=message):
        build()


# --- Cells that read time ---

STEPS, LENGTH, TAU = 400, 30, 3.0  # of training; of a sequence; time in which a signal fades


def learner(cell):
    """Trains on batches (steps, T, B, ...), and returns the error of the last 50, before each."""
    model = jaxrnn.stack(jaxrnn.rnn(cell), jaxrnn.dense(1))
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.02))

    def train_step(state, given):
        (params, opt_state), (xs, targets) = state, given

        def cost(params):
            return losses.mean_squared_error(model.apply(params, None, xs)[1], targets)

        error, grads = jax.value_and_grad(cost)(params)
        updates, opt_state = optimizer.update(grads, opt_state)
        return (optax.apply_updates(params, updates), opt_state), error

    @jax.jit
    def run(xs, targets):
        params = model.init(jax.random.key(0), jax.tree.map(lambda x: x[0], xs))
        return jax.lax.scan(train_step, (params, optimizer.init(params)), (xs, targets))[1]

    def error(xs, targets):
        with jax.numpy_dtype_promotion("standard"):  # which optax needs
            return float(np.mean(run(xs, targets)[-50:]))

    return error


def fading(gaps, see):
    """A state that `see(t, state, kept)` changes at step t, after `kept` is what a gap left."""
    state, states = np.float32(0), []
    for t in range(LENGTH):
        state = see(t, state, np.exp(-gaps[:, t] / np.float32(TAU)))
        states.append(state)
    return np.stack(states, axis=1)


AT_TIMES = {
    "cfc": (jaxrnn.cfc(16, backbone_size=32), 0.2),
    "ltc": (jaxrnn.ltc(8, num_substeps=3), 0.2),
    "time_aware_lstm": (jaxrnn.time_aware_lstm(16), 0.5),
}


@pytest.mark.parametrize("case", AT_TIMES)
def test_the_gaps_tell_how_far_a_filter_has_moved(case):
    """A low-pass filter of an input that is held between irregular times, against gaps of 1."""
    (cell, share), rng = AT_TIMES[case], np.random.default_rng(0)
    gaps = rng.exponential(size=(STEPS, LENGTH, 32)).astype(np.float32)
    xs = rng.random(gaps.shape, np.float32)
    ys = fading(gaps, lambda t, y, kept: kept * y + (1 - kept) * xs[:, t])[..., None]
    error = learner(cell)
    blind = error(jaxrnn.Timed(xs[..., None], np.ones_like(gaps)), ys)
    assert error(jaxrnn.Timed(xs[..., None], gaps), ys) < share * blind


def test_gru_d_knows_what_it_has_not_seen_for_long():
    """The last value seen, which fades in time, when 7 of 10 are missing. A GRU reads zeros in
    their place, which values are missing, and the gaps."""
    rng = np.random.default_rng(0)
    gaps = rng.exponential(size=(STEPS, LENGTH, 32, 1)).astype(np.float32)
    values = rng.standard_normal((STEPS, LENGTH, 32, 2), np.float32)
    is_missing = rng.random(values.shape) < 0.7
    ys = fading(gaps, lambda t, y, kept: np.where(is_missing[:, t], kept * y, values[:, t]))
    ys = ys.sum(axis=-1, keepdims=True)
    filled = np.where(is_missing, 0, values), is_missing.astype(np.float32), gaps
    plain = learner(jaxrnn.gru(16))(np.concatenate(filled, axis=-1), ys)
    timed = jaxrnn.Timed(np.where(is_missing, np.float32(np.nan), values), gaps[..., 0])
    assert learner(jaxrnn.gru_d(16))(timed, ys) < 0.2 * plain
