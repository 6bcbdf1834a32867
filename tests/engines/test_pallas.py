"""Pallas: interpreted against the scan, and the programs that a TPU and a GPU would get."""

import functools

import jax
import jax.numpy as jnp
import pytest

import jaxrnn
from jaxrnn._core.types import is_whole
from jaxrnn.engines.pallas import _engine
from tests.laws.compiled import compilations
from tests.laws.tables import CELLS, B, H, I, T, assert_close, cell_example, floats, total
from tests.laws.unrolled import check_rows, results_and_gradients
from tests.marks import later

SPLIT = [name for name, case in CELLS.items() if not is_whole(case.cell)]
FEW = ("lstm", "leaky", "lru")
rows = pytest.mark.parametrize("name", [n if n in FEW else later(n) for n in SPLIT])
few = pytest.mark.parametrize("name", ["gru", later("lstm"), later("leaky"), later("lru")])


def unroller(name, implementation, **choices):
    return functools.partial(
        jaxrnn.unroll, CELLS[name].cell, implementation=implementation, **choices
    )


def merged(tree, leaves):
    leaves = iter(leaves)
    return jax.tree.map(
        lambda x: next(leaves) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree
    )


def derivatives(name, implementation, ex, order=1, **choices):
    """Results, gradients of all floats, a tangent, and of order 2 a product with the Hessian."""
    given = ex.params, ex.carry, ex.xs
    point = floats(given)
    direction = [jnp.cos(x) for x in point]

    def run(leaves):
        return unroller(name, implementation, **choices)(
            *merged(given, leaves), mask=ex.mask, resets=ex.resets
        )

    def all_of(leaves):
        out = run(leaves), jax.grad(lambda x: total(run(x)))(leaves)
        out += (jax.jvp(lambda x: total(run(x)), (leaves,), (direction,))[1],)
        if order == 2:
            gradient = jax.grad(lambda x: total(run(x)))
            out += (jax.jvp(gradient, (leaves,), (direction,))[1],)
            out += (jax.grad(lambda x: total(gradient(x)))(leaves),)
        return out

    return jax.jit(all_of)(point)


@rows
def test_values_and_gradients_are_those_of_the_scan(name):
    ex = cell_example(CELLS[name].cell, dtype=jnp.float32)
    got, want = (derivatives(name, engine, ex) for engine in ("pallas", "scan"))
    assert_close(got[0], want[0], 2e-6)
    assert_close(got[1:], want[1:], 1e-5)


@few
@pytest.mark.parametrize("reverse", [True, later(False)])
def test_every_derivative_is_that_of_the_scan(name, reverse):
    ex = cell_example(CELLS[name].cell)
    got, want = (
        derivatives(name, engine, ex, order=2, reverse=reverse) for engine in ("pallas", "scan")
    )
    assert_close(got[0], want[0], 1e-12)
    assert_close(got[1:], want[1:], 1e-9)


@few
def test_vmap_is_a_stack_of_single_runs(name):
    cell = CELLS[name].cell
    check_rows(cell, cell_example(cell), implementation="pallas")


def twice_mapped(x, axis=0):
    return jnp.stack([x, 0.9 * x, 1.1 * x], axis)


@pytest.mark.parametrize("of", [later("params"), "both"])
def test_models_side_by_side_are_a_grid_of_loops(of):
    """Mapped parameters are an axis of the grid; so are batches, of which each has its rows."""
    cell = jaxrnn.gru(H)
    ex = cell_example(cell)
    params = jax.tree.map(twice_mapped, ex.params)
    carry = jax.tree.map(twice_mapped, ex.carry) if of == "both" else ex.carry

    def run(implementation, params, carry):
        def loss(leaves):
            params, carry = leaves
            out = jaxrnn.unroll(
                cell, params, carry, ex.xs, mask=ex.mask, implementation=implementation
            )
            return total(out)

        point = params, carry
        tangent = jax.tree.map(jnp.cos, point)
        return jax.value_and_grad(loss)(point), jax.jvp(jax.grad(loss), (point,), (tangent,))[1]

    axes = 0, 0 if of == "both" else None
    got, want = (
        jax.jit(jax.vmap(functools.partial(run, name), in_axes=axes))(params, carry)
        for name in ("pallas", "scan")
    )
    assert_close(got, want, 1e-10)


@pytest.mark.parametrize("tile", [2, later(4)])
def test_tiles_of_a_batch(tile, monkeypatch):
    monkeypatch.setattr(_engine, "MOST_ROWS_OF_A_CORE", tile)
    cell = jaxrnn.lstm(H)
    ex = cell_example(cell, shape=(T, 8, I))
    run = functools.partial(results_and_gradients, cell, ex)
    assert_close(run(implementation="pallas"), run(implementation="scan"), 1e-12)


@pytest.mark.parametrize("shape", [(33, B, I), (1, I), (0, B, I), later((T, 0, I))])
def test_sequences_of_any_shape(shape):
    """33 steps are two whole blocks of an interpreted kernel and one that hangs over."""
    cell = jaxrnn.gru(H)
    ex = cell_example(cell, shape=shape)
    for reverse in (True, False):
        run = functools.partial(
            results_and_gradients, cell, ex, mask=None, resets=None, reverse=reverse
        )
        assert_close(run(implementation="pallas"), run(implementation="scan"), 1e-12)


@few
def test_within_shard_map(name):
    """Inputs vary over devices there, and parameters and numbers of the program do not."""
    ex = cell_example(CELLS[name].cell)
    mesh = jax.make_mesh((1,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    rows = jax.P(None, "d")

    def loss(params, xs, mask, resets):
        return total(unroller(name, "pallas")(params, None, xs, mask=mask, resets=resets))

    def summed(*args):
        return jax.lax.psum(loss(*args), "d")

    given = ex.params, ex.xs, ex.mask, ex.resets
    mapped = jax.shard_map(
        summed, mesh=mesh, in_specs=(jax.P(), rows, rows, rows), out_specs=jax.P()
    )
    got, want = (jax.jit(jax.grad(run, argnums=(0, 1)))(*given) for run in (mapped, loss))
    assert_close(got, want, 1e-12)


@pytest.mark.thorough
def test_several_batch_axes():
    cell = jaxrnn.lstm(H)
    ex = cell_example(cell, shape=(T, 6, I))

    def split(tree, axis):
        return jax.tree.map(lambda a: a.reshape(*a.shape[:axis], 2, 3, *a.shape[axis + 1 :]), tree)

    run = jax.jit(functools.partial(jaxrnn.unroll, cell, implementation="pallas"))
    carry, ys = run(ex.params, ex.carry, ex.xs, mask=ex.mask)
    got = run(ex.params, split(ex.carry, 0), split(ex.xs, 1), mask=split(ex.mask, 1))
    assert_close(got, (split(carry, 0), split(ys, 1)), 1e-13)


def test_it_is_never_chosen():
    xs = jax.ShapeDtypeStruct((T, B, I), jnp.float32)
    found = jaxrnn.explain(jaxrnn.gru(H), xs)
    assert found.reasons["pallas"] == "available, not measured here: name it"
    assert jaxrnn.explain(jaxrnn.gru(H), xs, implementation="pallas").implementation == "pallas"
    with pytest.raises(ValueError, match="made by `from_step` as a whole"):
        jaxrnn.explain(CELLS["whole"].cell, xs, implementation="pallas")


def test_an_open_length_is_refused():
    cell = jaxrnn.gru(H)
    (length,) = jax.export.symbolic_shape("t")
    params = jax.eval_shape(cell.init, jax.random.key(0), jax.ShapeDtypeStruct((I,), jnp.float32))
    xs = jax.ShapeDtypeStruct((length, B, I), jnp.float32)
    with pytest.raises(ValueError, match=r"'pallas'` cannot run this cell: .*leaves sizes open"):
        jax.eval_shape(
            lambda p, x: jaxrnn.unroll(cell, p, None, x, implementation="pallas"), params, xs
        )


def test_a_second_call_compiles_nothing():
    ex = cell_example(jaxrnn.gru(H))
    run = functools.partial(jaxrnn.unroll, jaxrnn.gru(H), implementation="pallas")
    carry, _ = run(ex.params, ex.carry, ex.xs, mask=ex.mask)
    with compilations() as compiled:
        run(ex.params, carry, ex.xs, mask=ex.mask)
    assert compiled == []
