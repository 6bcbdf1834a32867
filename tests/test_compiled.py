"""The structure of the compiled programs: what is in the loops, and what their size depends on."""

import functools
import time

import jax
import jax.numpy as jnp
import pytest

import jaxrnn
from tests.compiled import hlo, products_in_loops

B, I, H = 3, 5, 4
CELLS = {"lstm": (jaxrnn.lstm(H), 4), "gru": (jaxrnn.gru(H), 3), "elman": (jaxrnn.elman(H), 1)}
every_cell = pytest.mark.parametrize("name", CELLS)


def forward(cell, params, xs):
    return jaxrnn.unroll(cell, params, None, xs, implementation="xla")[1]


def mapped(cell, params, xs):
    return jax.vmap(functools.partial(forward, cell, params), in_axes=1, out_axes=1)(xs)


def loss(run, cell, params, xs):
    return jnp.sum(run(cell, params, xs) ** 2)


def arguments(cell, num_steps=7):
    xs = jax.random.normal(jax.random.key(0), (num_steps, B, I), jnp.float32)
    return cell.init(jax.random.key(1), xs[0]), xs


@every_cell
@pytest.mark.parametrize("run", [forward, mapped])
def test_one_product_in_each_loop(name, run):
    cell, _ = CELLS[name]
    args = arguments(cell)
    assert products_in_loops(hlo(functools.partial(run, cell), *args)) == [1]
    grad = jax.value_and_grad(functools.partial(loss, run, cell), argnums=(0, 1))
    assert products_in_loops(hlo(grad, *args)) == [1, 1]


@pytest.mark.parametrize("run", [forward, mapped])
def test_a_projection_is_one_product_more_in_each_loop(run):
    cell, num_steps, P = jaxrnn.projected_lstm(H, 2), 7, 2
    args = arguments(cell, num_steps)
    assert products_in_loops(hlo(functools.partial(run, cell), *args)) == [2]
    text = hlo(jax.grad(functools.partial(loss, run, cell), argnums=(0, 1)), *args)
    assert products_in_loops(text) == [2, 2]
    copies = [f"[{n},{rows}]" for n in (num_steps, B) for rows in (f"{H},{P}", f"{P},{H}")]
    assert not any(shape in text for shape in copies)  # of R, or of its gradient


@every_cell
def test_the_count_sees_the_products_of_the_plain_scan(name):
    cell, _ = CELLS[name]
    scan = functools.partial(jaxrnn.unroll, cell, implementation="scan")
    grad = jax.grad(lambda params, xs: jnp.sum(scan(params, None, xs)[1] ** 2))
    assert products_in_loops(hlo(grad, *arguments(cell))) == [2, 3]


@every_cell
def test_no_weight_gradient_for_each_example_under_vmap(name):
    cell, gates = CELLS[name]
    text = hlo(jax.grad(functools.partial(loss, mapped, cell)), *arguments(cell))
    for rows in (I, H):
        shapes = {f"[{B},{rows},{gates * H}]", f"[{rows},{B},{gates * H}]"}
        shapes |= {f"[{B},{gates * H},{rows}]", f"[{rows},{gates * H},{B}]"}
        assert not any(shape in text for shape in shapes)


@every_cell
def test_the_input_product_leaves_the_loop(name):
    cell, gates = CELLS[name]
    text = hlo(functools.partial(forward, cell), *arguments(cell))
    assert f"f32[{7 * B},{gates * H}]" in text


@pytest.mark.parametrize("implementation", ["scan", "xla"])
def test_program_and_compile_time_do_not_depend_on_the_number_of_steps(implementation):
    cell = jaxrnn.lstm(H)

    def train(params, xs):
        _, ys = jaxrnn.unroll(cell, params, None, xs, implementation=implementation)
        return jnp.sum(ys**2)

    sizes, seconds = [], []
    for num_steps in (16, 16_384):
        lowered = jax.jit(jax.grad(train)).lower(*arguments(cell, num_steps))
        start = time.perf_counter()
        compiled = lowered.compile()
        seconds.append(time.perf_counter() - start)
        sizes.append(len(compiled.as_text().splitlines()))
    assert abs(sizes[1] - sizes[0]) <= 0.05 * sizes[0]
    assert seconds[1] <= 3 * seconds[0] + 0.5
