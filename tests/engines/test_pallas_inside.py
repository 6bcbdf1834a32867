"""Inputs that the kernel of a TPU projects itself: what it moves, when it does, and its numbers."""

import functools

import jax
import jax.numpy as jnp
import pytest

import jaxrnn
from jaxrnn.engines.pallas import _run
from jaxrnn.engines.pallas._ahead import divided, marked
from tests.engines.test_pallas_programs import costs, forward, gradient, lowered, shapes_of
from tests.laws.tables import CELLS, H, I, assert_close, cell_example
from tests.laws.unrolled import results_and_gradients
from tests.marks import later


def program(function, cell, shape, dtype=jnp.float32, **choices):
    """The program for a TPU, without flags."""
    params, carry, xs, *_ = shapes_of(cell, shape, dtype)
    run = functools.partial(function, cell)
    return lowered(lambda *args: run(*args, None, None), params, carry, xs, **choices)


def products(text):
    """How many products a program has beside its kernels."""
    return text.count("stablehlo.dot_general")


@pytest.mark.parametrize("name", ["lstm", *map(later, ["gru", "elman"])])
def test_inference_reads_the_inputs_and_not_their_projections(name):
    num_steps, rows, width, size = 64, 8, 16, 64
    cell = getattr(jaxrnn, name)(size)
    text = program(forward, cell, (num_steps, rows, width))
    params, carry, *_ = shapes_of(cell, (num_steps, rows, width))
    fixed = sum(x.size for x in jax.tree.leaves(params)) + 2 * sum(x.size for x in carry)
    ((moved, _),) = costs(text)
    assert moved == 4 * (fixed + num_steps * rows * (width + size))
    assert products(text) == 0


@pytest.mark.parametrize("name", ["lstm", *map(later, ["gru", "elman"])])
def test_a_gradient_projects_no_input_twice(name):
    """Its three products are those of the gradients of both kernels and of the inputs."""
    assert products(program(gradient, getattr(jaxrnn, name)(64), (64, 8, 16))) == 3


@pytest.mark.parametrize(
    ("cell", "shape", "dtype", "kind"),
    [
        (jaxrnn.elman(64), (16, 8, 200), "float32", "TPU v5 lite"),  # more inputs than projections
        (jaxrnn.lstm(64), (16, 4, 16), "float32", "TPU v5 lite"),  # half a tile
        (jaxrnn.lstm(64), (16, 8, 16), "bfloat16", "TPU v5 lite"),  # whose tiles have 16 rows
        (jaxrnn.lstm(512), (16, 8, 1024), "float32", "TPU v4"),  # 8 MiB more of 16
        (jaxrnn.layer_norm_lstm(64), (16, 8, 16), "float32", "TPU v5 lite"),  # sums
    ],
    ids=["bytes", "rows", "tiles of bfloat16", "VMEM", "operations"],
)
def test_where_a_product_goes_before_the_kernel(cell, shape, dtype, kind):
    assert products(program(forward, cell, shape, jnp.dtype(dtype), kind=kind)) == 1


def test_the_same_cells_with_what_they_lack():
    for cell, shape, kind in (
        (jaxrnn.elman(64), (16, 8, 100), "TPU v5 lite"),
        (jaxrnn.lstm(512), (16, 8, 1024), "TPU v5 lite"),
        (jaxrnn.lstm(512), (16, 8, 256), "TPU v4"),
    ):
        assert products(program(forward, cell, shape, kind=kind)) == 0


def test_an_output_that_reads_projections_has_them_before_the_loop():
    cell = jaxrnn.elman(64)
    cell = cell._replace(output=lambda params, carry, u: carry.h + u)
    assert products(program(forward, cell, (16, 8, 16))) == 1


def test_what_does_not_fit_is_refused_without_the_projection():
    """So that a wide input never makes a cell too large."""
    for width in (8, 512):
        with pytest.raises(ValueError, match=r"needs 16\.8 MiB .* a TPU v4 has 16 MiB"):
            program(forward, jaxrnn.lstm(960), (16, 8, width), kind="TPU v4")


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["lstm", "gru", "elman", "weight_norm"])
@pytest.mark.parametrize("reverse", [True, False])
def test_both_places_give_the_same_numbers(name, reverse, monkeypatch):
    """33 steps are two whole blocks of an interpreted kernel and one that hangs over."""
    cell = CELLS[name].cell
    ex = cell_example(cell, shape=(33, 3, I))
    run = functools.partial(results_and_gradients, cell, ex, reverse=reverse)
    inside = run(implementation="pallas")
    monkeypatch.setattr(_run, "projects_inside", lambda *_, **__: False)
    jax.clear_caches()
    assert_close(inside, run(implementation="pallas"), 1e-12)


def curved(params, x):
    return jnp.tanh(x @ params.kernel + params.bias)


def test_the_gradient_of_a_curved_projection_makes_its_product_once():
    """Before the loop, as its derivative reads it; inference leaves it to the kernel."""
    cell = jaxrnn.gru(64)._replace(project=curved)
    assert products(program(forward, cell, (16, 8, 16))) == 0
    assert products(program(gradient, cell, (16, 8, 16))) == 4


@pytest.mark.thorough
def test_the_numbers_of_a_curved_projection():
    cell = jaxrnn.gru(H)._replace(project=curved)
    run = functools.partial(results_and_gradients, cell, cell_example(cell))
    assert_close(run(implementation="pallas"), run(implementation="scan"), 1e-12)


def test_a_step_is_divided_where_it_is_marked():
    def step(kernel, h, x, flag):
        u, is_real = marked((x @ kernel, flag))
        return jnp.where(is_real, jnp.tanh(u + h), h), u

    shapes = (jnp.ones((5, 4)), jnp.ones((3, 4)), jnp.ones((3, 5)), jnp.array(True))
    traced = jax.make_jaxpr(step)(*shapes)
    project, rest = divided(traced, 1, 1)
    assert [u.shape for u in project.out_avals] == [(3, 4)]  # the flag is there as it came
    assert "dot_general" not in str(rest)
    assert "name" not in str(rest)
    us = jax.core.eval_jaxpr(project.jaxpr, project.consts, shapes[0], *shapes[2:])
    assert_close(
        jax.core.eval_jaxpr(rest.jaxpr, rest.consts, *shapes, *us), list(step(*shapes)), 1e-12
    )
    assert divided(jax.make_jaxpr(lambda h, x: marked(x) + h)(shapes[1], shapes[1]), 0, 1) is None
