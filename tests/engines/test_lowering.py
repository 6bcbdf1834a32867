"""A program that is exported calls no native kernel: the general rule stands for it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import jaxrnn
from jaxrnn._core.lowering import on_lone_cpu, saving, unless_exported
from jaxrnn.engines.cpu._library import problem
from tests.laws.tables import B, H, I, assert_close, flags, total

# Told apart by their results, which those of a kernel and its general rule are not.
KERNEL, GENERAL = 1.0, 2.0


def no_rows(tree):
    return [None] * len(jax.tree.leaves(tree))


either = unless_exported(
    lambda x, extra: {"y": x + KERNEL, "sum": extra.sum(0)},
    lambda x, extra: {"y": x + GENERAL, "sum": extra.sum(0)},
    no_rows,
)

alone = on_lone_cpu(lambda x: KERNEL * x, lambda x: GENERAL * x)
on_cpu = pytest.mark.skipif(jax.default_backend() != "cpu", reason="this is no CPU")


@on_cpu
def test_a_lone_cpu_is_known_when_a_program_is_lowered():
    run, x = jax.jit(alone), jnp.ones(3)
    np.testing.assert_array_equal(run(x), jnp.full(3, KERNEL))
    np.testing.assert_array_equal(jax.jit(jax.grad(lambda x: run(x).sum()))(x), jnp.full(3, KERNEL))
    program = export.export(run, platforms=("cpu", "cuda"))(x)
    np.testing.assert_array_equal(program.call(x), jnp.full(3, GENERAL))


def test_the_choice_is_made_at_lowering():
    run = jax.jit(either)
    args = jnp.zeros(3), jnp.arange(4.0)
    np.testing.assert_array_equal(run(*args)["y"], jnp.full(3, KERNEL))
    program = export.export(run, platforms=("cpu", "cuda"))(*args)
    np.testing.assert_array_equal(program.call(*args)["y"], jnp.full(3, GENERAL))
    np.testing.assert_array_equal(run(*args)["y"], jnp.full(3, KERNEL))
    assert run(*args)["sum"] == program.call(*args)["sum"] == 6


def test_under_vmap_and_without_jit():
    run = jax.jit(jax.vmap(either, in_axes=(1, None)))
    args = jnp.zeros((3, 2)), jnp.arange(4.0)
    program = export.export(run)(*args)
    for call, value in ((run, KERNEL), (program.call, GENERAL)):
        out = call(*args)
        np.testing.assert_array_equal(out["y"], jnp.full((2, 3), value))
        np.testing.assert_array_equal(out["sum"], jnp.full(2, 6.0))
    with jax.disable_jit():
        np.testing.assert_array_equal(either(jnp.zeros(3), args[1])["y"], jnp.full(3, KERNEL))


def test_what_a_kernel_saves_is_not_there_in_an_export():
    def kernel(x):
        return x + KERNEL, {"squares": x**2}

    run = jax.jit(unless_exported(kernel, saving(kernel, lambda x: x + GENERAL), no_rows))
    y, saved = run(jnp.ones(3))
    np.testing.assert_array_equal((y, saved["squares"]), (jnp.full(3, 2.0), jnp.ones(3)))
    y, saved = export.export(run)(jnp.ones(3)).call(jnp.ones(3))
    np.testing.assert_array_equal(y, jnp.full(3, 3.0))
    assert np.isnan(saved["squares"]).all()


CELLS = {
    "lstm": jaxrnn.lstm(H),
    "gru": jaxrnn.gru(H),
    "elman": jaxrnn.elman(H),
}


@pytest.mark.skipif(problem() is not None, reason="the native kernels were not built")
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.thorough] * (n != "elman")) for n in CELLS]
)
def test_a_native_program_is_exported(name):
    """Values, gradients, second derivatives, and both under `vmap`."""
    cell, keys = CELLS[name], jax.random.split(jax.random.key(0), 3)
    xs = jax.random.normal(keys[0], (70, B, I))
    params = cell.init(keys[1], xs[0])
    mask, resets = flags((70, B), keys[2])

    def loss(params, xs):
        options = {"mask": mask, "resets": resets, "implementation": "native"}
        return total(jaxrnn.unroll(cell, params, None, xs, **options))

    def slope(params, xs):
        return jax.jvp(lambda xs: jax.grad(loss)(params, xs), (xs,), (xs,))

    many = jnp.stack([xs, 2 * xs])
    for function, inputs in [
        (loss, xs),
        (jax.value_and_grad(loss, argnums=(0, 1)), xs),
        (slope, xs),
        (jax.vmap(jax.grad(loss), in_axes=(None, 0)), many),
    ]:
        run = jax.jit(function)
        assert "custom_call @jaxrnn" in run.lower(params, inputs).as_text()
        program = export.export(run)(params, inputs)
        assert_close(program.call(params, inputs), run(params, inputs), 1e-11)
