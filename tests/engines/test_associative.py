"""Linear cells over several chunks: the same numbers as step by step, with masks and resets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn import authoring
from jaxrnn.engines import _associative
from tests.laws.tables import assert_close, generator
from tests.marks import later

B, I = 2, 6
CELLS = {
    "decay": jaxrnn.gated_linear_attention(6, 3),
    "scalar decay": jaxrnn.retention(6, 2),
    "delta": jaxrnn.delta_net(6, 2),
    "stabilized": jaxrnn.mlstm(6, 2),
    "affine": jaxrnn.mamba(3),
}


def example(name, num_steps, dtype=jnp.float64):
    rng, cell = generator(jax.random.key(len(name))), CELLS[name]

    def draw(shape):
        return jnp.asarray(rng.standard_normal(shape), dtype)

    xs = draw((num_steps, B, I))
    params = jax.tree.map(lambda x: x + draw(x.shape) / 3, cell.init(jax.random.key(0), xs[0]))
    carry = jax.tree.map(lambda x: draw(x.shape), cell.init_carry(params, xs[0]))
    mask, resets = rng.random((num_steps, B)) < 0.8, rng.random((num_steps, B)) < 0.02
    return params, carry, xs, {"mask": mask, "resets": resets}


@pytest.fixture
def in_small_chunks(monkeypatch):
    monkeypatch.setattr(_associative, "LARGE", 40 * B * I * 3)


NAMES = ["decay", *map(later, [name for name in CELLS if name != "decay"])]


@pytest.mark.parametrize("reverse", [False, later(True)])
@pytest.mark.parametrize("name", NAMES)
def test_chunks_equal_the_scan(name, reverse, in_small_chunks):
    *given, flags = example(name, 150)

    def run(implementation):
        def total(params, carry, xs):
            last, ys = jaxrnn.unroll(
                CELLS[name],
                params,
                carry,
                xs,
                reverse=reverse,
                implementation=implementation,
                **flags,
            )
            weights = jnp.cos(jnp.arange(ys.size, dtype=ys.dtype)).reshape(ys.shape)
            ends = sum(jnp.sin(leaf).sum() for leaf in jax.tree.leaves(last))
            return (weights * ys).sum() + ends, (last, ys)

        return jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2), has_aux=True))(*given)

    assert_close(run("associative"), run("scan"), 1e-12)


@pytest.mark.thorough
@pytest.mark.parametrize("name", CELLS)
def test_float32_is_as_close_to_float64_as_the_scan(name):
    *given, flags = example(name, 150)
    narrow = jax.tree.map(lambda x: x.astype(jnp.float32), given)

    def run(given, implementation):
        _, ys = jaxrnn.unroll(CELLS[name], *given, implementation=implementation, **flags)
        return np.asarray(ys, np.float64)

    expected = run(given, "scan")
    error, of_scan = (np.abs(run(narrow, i) - expected).max() for i in ("associative", "scan"))
    assert error < 2 * of_scan


def test_gates_that_forget_everything_stay_exact():
    """A cumulative sum of logarithms would lose all digits after the first closed gate."""
    cell = CELLS["decay"]
    params, carry, xs, _ = example("decay", 64)
    closed = params._replace(decay_bias=params.decay_bias - 1e6)
    _, ys = jaxrnn.unroll(cell, closed, carry, xs, implementation="associative")
    _, expected = jaxrnn.unroll(cell, closed, carry, xs, implementation="scan")
    assert_close(ys, expected, 1e-12)


def test_long_sequences_keep_no_state_of_each_step():
    """The states of all steps would be 128 times the inputs here."""
    cell, xs = jaxrnn.retention(128, 1), jax.ShapeDtypeStruct((4096, 1, 128), jnp.float32)
    params = jax.eval_shape(cell.init, jax.random.key(0), xs)

    def loss(params, xs):
        return jaxrnn.unroll(cell, params, None, xs, implementation="associative")[1].sum()

    memory = jax.jit(jax.grad(loss)).lower(params, xs).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 40 * xs.size * 4


@pytest.mark.parametrize("implementation", ["scan", "associative"])
def test_the_delta_rule_replaces_what_a_key_holds(implementation):
    """`retention` would return the sum of both values."""

    def project(params, xs):
        key, value = jnp.split(xs[..., None, :], 2, axis=-1)
        return authoring.Access(key, key, value, jnp.ones((*key.shape[:-1], 1)))

    cell = jaxrnn.Cell(
        lambda key, x: (),
        lambda params, x: authoring.MatrixCarry(jnp.zeros((1, 2, 2))),
        project,
        authoring.nothing,
        authoring.delta_update,
        authoring.Readout(authoring.recall, lambda params, recalled, extra: recalled[..., 0, :]),
    )
    east, north = [1.0, 0.0], [0.0, 1.0]
    xs = jnp.array([[*east, 3.0, 4.0], [*north, 5.0, 6.0], [*east, 7.0, 8.0], [*north, 5.0, 6.0]])
    _, ys = jaxrnn.unroll(cell, (), None, xs, implementation=implementation)
    assert_close(ys, np.array([[3.0, 4.0], [5.0, 6.0], [7.0, 8.0], [5.0, 6.0]]), 1e-12)


def test_another_output_is_refused():
    cell = CELLS["delta"]._replace(output=lambda params, carry, u: carry.state.sum(-1))
    xs = jnp.zeros((3, B, I))
    params = cell.init(jax.random.key(0), xs[0])
    with pytest.raises(ValueError, match="reads more of its state than one row for each query"):
        jaxrnn.unroll(cell, params, None, xs, implementation="associative")
