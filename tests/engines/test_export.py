"""`jax.export`: programs whose batch and time are open, for every cell and layer of the tables."""

import functools

import jax
import jax.numpy as jnp
import pytest
from jax import export

import jaxrnn
from jaxrnn.engines._xla import BLOCKS_FROM
from tests.laws.tables import (
    CELLS,
    LAYERS,
    B,
    H,
    I,
    assert_close,
    cell_example,
    layer_example,
    total,
)

every_cell = pytest.mark.parametrize("name", CELLS)
TIME, BATCH = export.symbolic_shape("T, B")
SIZES = [(7, 3), (1, 1)]  # steps, rows


def opened(ex):
    """The shapes of an example whose T and B are open."""

    def sequence(x):
        return jax.ShapeDtypeStruct((TIME, BATCH, *x.shape[2:]), x.dtype)

    def state(x):
        shape = [BATCH if size == B else size for size in x.shape]
        return jax.ShapeDtypeStruct(shape, x.dtype)

    params = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), ex.params)
    return ex._replace(
        params=params,
        carry=jax.tree.map(state, ex.carry),
        xs=sequence(ex.xs),
        mask=sequence(ex.mask),
        resets=sequence(ex.resets),
    )


def cut(ex, steps, rows):
    """An example of fewer steps and rows."""

    def state(x):
        return x[tuple(slice(rows) if size == B else slice(None) for size in x.shape)]

    return ex._replace(
        carry=jax.tree.map(state, ex.carry),
        xs=ex.xs[:steps, :rows],
        mask=ex.mask[:steps, :rows],
        resets=ex.resets[:steps, :rows],
    )


def check_open(function, ex, platforms=None):
    """One exported program of ``function(*ex)`` gives its values for all sizes."""
    program = export.export(jax.jit(function), platforms=platforms)(*opened(ex))
    for steps, rows in SIZES:
        args = cut(ex, steps, rows)
        assert_close(program.call(*args), function(*args), 1e-12)
    return program


def test_open_time_of_a_step_that_is_large_enough_for_blocks():
    cell, rows = jaxrnn.elman(64), BLOCKS_FROM // 64
    xs = jax.random.normal(jax.random.key(0), (5, rows, 3))
    params = cell.init(jax.random.key(1), xs[0])

    def run(params, xs):
        return jaxrnn.unroll(cell, params, None, xs, implementation="xla")

    open_xs = jax.ShapeDtypeStruct((TIME, *xs.shape[1:]), xs.dtype)
    program = export.export(jax.jit(run))(params, open_xs)
    for steps in 1, 5:
        assert_close(program.call(params, xs[:steps]), run(params, xs[:steps]), 1e-12)


@pytest.mark.slow_law
@pytest.mark.parametrize(
    ("name", "implementation"), [*((name, None) for name in CELLS), ("leaky", "scan")]
)
def test_open_sizes_of_a_cell(name, implementation):
    cell = CELLS[name].cell

    def run(params, carry, xs, mask, resets):
        options = {"mask": mask, "resets": resets, "implementation": implementation}
        return jaxrnn.unroll(cell, params, carry, xs, **options)

    check_open(run, cell_example(cell))


@pytest.mark.slow_law
@every_cell
def test_open_batch_of_a_step(name):
    cell, ex = CELLS[name].cell, cell_example(CELLS[name].cell)

    def run(params, carry, xs, mask, resets):
        return jaxrnn.step(cell, params, carry, xs[0])

    check_open(run, ex)


def test_open_sizes_of_a_layer(any_layer):
    layer, ex = LAYERS[any_layer].layer, layer_example(LAYERS[any_layer])

    def run(params, carry, xs, mask, resets):
        return layer.apply(params, carry, xs, mask=mask, resets=resets)

    check_open(run, ex)


@pytest.mark.thorough
def test_open_sizes_with_random_numbers(any_layer):
    layer, ex = LAYERS[any_layer].layer, layer_example(LAYERS[any_layer])

    def run(params, carry, xs, mask, resets):
        return layer.apply(params, None, xs, mask=mask, key=jax.random.key(3))

    check_open(run, ex)


@pytest.mark.thorough
def test_open_sizes_of_what_is_around_a_model():
    ex = cell_example(jaxrnn.lstm(H))

    def run(params, carry, xs, mask, resets):
        lengths = jnp.sum(mask, axis=0)
        pooled = [
            pool(xs, jaxrnn.length_mask(lengths, xs.shape[0]))
            for pool in (jaxrnn.pool_last, jaxrnn.pool_mean, jaxrnn.pool_max, jaxrnn.pool_sum)
        ]
        return pooled, jaxrnn.losses.cross_entropy(xs, jnp.zeros(mask.shape, int), mask)

    check_open(run, ex)


@pytest.mark.thorough
def test_open_sizes_of_losses_over_alignments():
    ex = cell_example(jaxrnn.lstm(H))

    def run(params, carry, xs, mask, resets):
        are_real = mask[0][None]
        symbols, joint = are_real.astype(int), jnp.stack([xs, -xs], axis=1)
        ctc = jaxrnn.losses.ctc_loss(xs, symbols, mask, are_real)
        return ctc, jaxrnn.losses.rnnt_loss(joint, symbols, mask, are_real)

    check_open(run, ex)


@pytest.mark.parametrize("reverse", [False, True])
def test_open_sizes_of_a_flax_module(reverse):
    pytest.importorskip("flax", reason="flax is not installed")
    import jaxrnn.linen

    module = jaxrnn.linen.RNN(jaxrnn.bidirectional(jaxrnn.gru(H)), reverse=reverse)
    ex = cell_example(jaxrnn.gru(H))
    variables = module.init(jax.random.key(0), ex.xs.swapaxes(0, 1))

    def run(params, carry, xs, mask, resets):
        return module.apply(variables, xs.swapaxes(0, 1), seq_lengths=jnp.sum(mask, axis=0))

    check_open(run, ex)


@pytest.mark.thorough
def test_one_program_for_several_platforms():
    layer = LAYERS["stack"].layer

    def run(params, carry, xs, mask, resets):
        return layer.apply(params, carry, xs, mask=mask, resets=resets)

    platforms = ("cpu", "cuda", "rocm", "tpu")
    program = check_open(run, layer_example(LAYERS["stack"]), platforms)
    assert program.platforms == platforms


def test_a_cell_that_reads_no_input():
    """Its projection holds no array, from which the loop could tell an open T."""

    def update(params, carry, u, v):
        return jnp.tanh(v)

    cell = jaxrnn.Cell(
        init=lambda key, x: jax.random.normal(key, (H, H), x.dtype),
        init_carry=lambda params, x: jnp.ones((*x.shape[:-1], H), x.dtype),
        project=lambda params, x: (),
        recur=lambda params, carry: carry @ params,
        update=update,
    )

    def run(params, carry, xs, mask, resets):
        return jaxrnn.unroll(cell, params, carry, xs)

    check_open(run, cell_example(cell))


def test_each_name_of_a_size_is_its_own():
    """An export does not see the program of another one, whose T is another."""
    ex = cell_example(jaxrnn.gru(H))
    for _ in range(2):
        steps, rows = export.symbolic_shape("T, B")
        shape = jax.ShapeDtypeStruct((steps, rows, I), ex.xs.dtype)
        run = jax.jit(functools.partial(jaxrnn.unroll, jaxrnn.gru(H)))
        assert export.export(run)(ex.params, None, shape).in_avals[-1].shape == (steps, rows, I)


def test_explain_of_open_sizes():
    xs = jax.ShapeDtypeStruct((100, BATCH, I), jnp.float32)
    found = jaxrnn.explain(jaxrnn.lstm(H), xs)
    assert found.implementation == "xla"
    if jax.default_backend() == "cpu" and native_is_there():
        assert "`jax.export` leaves open" in found.reasons["native"]


def native_is_there():
    from jaxrnn.engines.cpu._library import problem

    return problem() is None


@pytest.mark.parametrize("name", ["lstm", "gru_reset_before", "leaky"])
def test_gradients_are_exported_too(name):
    cell, ex = CELLS[name].cell, cell_example(CELLS[name].cell)

    def loss(params, xs):
        return total(jaxrnn.unroll(cell, params, None, xs)[1])

    shapes = opened(ex)
    program = export.export(jax.jit(jax.grad(loss)))(shapes.params, shapes.xs)
    for steps, rows in SIZES:
        args = ex.params, ex.xs[:steps, :rows]
        assert_close(program.call(*args), jax.grad(loss)(*args), 1e-11)


def test_gradients_of_a_saved_program():
    cell, ex = jaxrnn.lstm(H), cell_example(jaxrnn.lstm(H))
    leaves, structure = jax.tree.flatten(ex.params)

    def run(leaves, xs):
        return jaxrnn.unroll(cell, structure.unflatten(leaves), None, xs)[1]

    shapes = jax.tree.leaves(opened(ex).params), opened(ex).xs
    saved = export.export(jax.jit(run))(*shapes).serialize(vjp_order=1)
    program = export.deserialize(saved)
    grads = [
        jax.grad(lambda *args, f=f: total(f(*args)), argnums=(0, 1))(leaves, ex.xs)
        for f in (program.call, run)
    ]
    assert_close(*grads, 1e-11)


def test_an_open_length_has_no_stretches_to_truncate_at():
    layer, ex = LAYERS["truncate"].layer, layer_example(LAYERS["truncate"])
    shapes = opened(ex)

    def loss(params, xs):
        return total(layer.apply(params, None, xs)[1])

    with pytest.raises(ValueError, match="`truncate` cannot count its stretches"):
        export.export(jax.jit(jax.grad(loss)))(shapes.params, shapes.xs)
