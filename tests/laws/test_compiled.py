"""The structure of the compiled programs: what is in the loops, and what their size depends on."""

import functools
import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn import authoring
from jaxrnn._core.types import is_whole
from jaxrnn.engines import _xla
from jaxrnn.engines._schedule import BLOCK
from jaxrnn.engines._xla import BLOCKS_FROM
from tests.laws import tables
from tests.laws.compiled import hlo, products_in_loops
from tests.laws.tables import assert_close

B, I, H = 3, 5, 4
CELLS = {"lstm": (jaxrnn.lstm(H), 4), "gru": (jaxrnn.gru(H), 3), "elman": (jaxrnn.elman(H), 1)}
every_cell = pytest.mark.parametrize("name", CELLS)


def forward(cell, params, xs):
    return jaxrnn.unroll(cell, params, None, xs, implementation="xla")[1]


def mapped(cell, params, xs):
    return jax.vmap(functools.partial(forward, cell, params), in_axes=1, out_axes=1)(xs)


@pytest.fixture
def on_a_cpu():
    if jax.default_backend() != "cpu":
        pytest.skip("only a CPU runs blocks")


@pytest.fixture
def every_step_is_large(monkeypatch):
    monkeypatch.setattr(_xla, "BLOCKS_FROM", 0)


def loss(run, cell, params, xs):
    return jnp.sum(run(cell, params, xs) ** 2)


def arguments(cell, num_steps=7):
    xs = jax.random.normal(jax.random.key(0), (num_steps, B, I), jnp.float32)
    return cell.init(jax.random.key(1), xs[0]), xs


@pytest.mark.slow_law
@pytest.mark.parametrize("name", tables.CELLS)
def test_the_products_in_the_loops_of_every_cell(name):
    case = tables.CELLS[name]
    ex = tables.cell_example(case.cell)
    engine = "scan" if is_whole(case.cell) else "xla"
    run = functools.partial(jaxrnn.unroll, case.cell, implementation=engine)
    in_forward, in_backward = case.products

    def products(function):
        """Of the loops over time: a solver has a loop of its own, without products."""
        found = products_in_loops(hlo(function, ex.params, ex.carry, ex.xs))
        return [count for count in found if count or not in_forward]

    assert products(run) == [in_forward]

    def cost(*args):
        return tables.total(run(*args))

    assert products(jax.grad(cost, argnums=(0, 2))) == [in_forward, in_backward]


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


def test_a_slice_of_a_parameter_is_kept_once():
    """The derivative of `twice` multiplies by params[1][:H] and by params[2] at each step."""
    case = tables.CELLS["twice"]
    ex = tables.cell_example(case.cell, shape=(9, B, I))

    def cost(params):
        return tables.total(jaxrnn.unroll(case.cell, params, None, ex.xs, implementation="xla"))

    text = hlo(jax.grad(cost), ex.params)
    assert f"[9,{tables.H},{tables.H}]" not in text
    assert f"[9,{2 * tables.H},{tables.H}]" not in text


class LRUParams(NamedTuple):
    nu: jax.Array  # (N,)
    theta: jax.Array  # (N,)
    kernel: jax.Array  # (I, N), complex
    readout: jax.Array  # (N, I), complex


def lru(size):
    """The linear recurrent unit (Orvieto et al., 2023), a complex diagonal exp(-e^ν + i e^θ)."""

    def init(key, x):
        keys = jax.random.split(key, 4)
        shapes = (size,), (size,), (x.shape[-1], size), (size, x.shape[-1])
        nu, theta, *kernels = (
            jax.random.normal(k, s, x.dtype) for k, s in zip(keys, shapes, strict=True)
        )
        return LRUParams(nu, theta, *(kernel * jnp.complex64(1 + 0.5j) for kernel in kernels))

    def init_carry(params, x):
        return jnp.zeros((*x.shape[:-1], size), params.kernel.dtype)

    def prepare(params, context):
        decay = jnp.exp(-jnp.exp(params.nu) + 1j * jnp.exp(params.theta))
        gain = jnp.sqrt(1 - jnp.abs(decay) ** 2)
        return decay, gain * params.kernel, params.readout

    def project(params, x):
        b = x.astype(params[1].dtype) @ params[1]
        return authoring.Affine(jnp.broadcast_to(params[0], b.shape), b, x)

    def output(params, h, u):
        return (h @ params[2]).real + u.extra

    update = authoring.affine_update
    return jaxrnn.Cell(
        init, init_carry, project, authoring.nothing, update, output, prepare=prepare
    )


@pytest.mark.thorough
def test_a_linear_recurrent_unit_has_no_product_in_its_loops():
    jax.config.update("jax_numpy_dtype_promotion", "standard")
    try:
        cell = lru(6)
        params, xs = arguments(cell)
        mask = jaxrnn.length_mask(jnp.array([7, 0, 3]), 7)
        resets = jnp.zeros((7, B), bool).at[2].set(True)

        def cost(params, engine):
            options = {"mask": mask, "resets": resets, "implementation": engine}
            return jnp.sum(jnp.sin(jaxrnn.unroll(cell, params, None, xs, **options)[1]))

        text = hlo(jax.grad(functools.partial(cost, engine="xla")), params)
        assert products_in_loops(text) == [0, 0]
        grads = [jax.grad(cost)(params, engine) for engine in ("scan", "xla", "associative")]
        for other in grads[1:]:
            for got, want in zip(other, grads[0], strict=True):
                np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5)
    finally:
        jax.config.update("jax_numpy_dtype_promotion", "strict")


@pytest.mark.parametrize("score", ["dot", "general", "additive"])
def test_attention_by_the_output_makes_no_array_of_steps_times_memory(score):
    steps, entries, size = 11, 13, H
    cell = jaxrnn.attention(jaxrnn.lstm(H), size, score=score, size=size)
    params, xs = arguments(cell, steps)
    memory = jax.random.normal(jax.random.key(3), (B, entries, size), jnp.float32)

    def cost(params, memory):
        context, options = {"memory": memory}, {"implementation": "xla"}
        return jnp.sum(jaxrnn.unroll(cell, params, None, xs, context=context, **options)[1] ** 2)

    text = hlo(jax.grad(cost, argnums=(0, 1)), params, memory)
    loops = products_in_loops(text)
    assert [count for count in loops if count] == [1, 1]  # "additive" has a loop over the entries
    shapes = {tuple(map(int, shape.split(","))) for shape in re.findall(r"\[([\d,]+)\]", text)}
    largest = steps * entries * B  # a score for each step, entry and sequence
    assert not any(steps in s and entries in s and np.prod(s) > largest for s in shapes)


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


@pytest.mark.parametrize(("name", "hidden_size"), [("lstm", 128), ("gru", 172), ("elman", 512)])
def test_large_steps_are_projected_in_blocks(name, hidden_size, on_a_cpu):
    cell, gates = getattr(jaxrnn, name)(hidden_size), CELLS[name][1]
    xs = jax.random.normal(jax.random.key(0), (3 * BLOCK + 1, 64, I), jnp.float32)
    assert xs.shape[1] * gates * hidden_size >= BLOCKS_FROM
    params = cell.init(jax.random.key(1), xs[0])
    text = hlo(functools.partial(forward, cell), params, xs)
    assert products_in_loops(text) == [1 + BLOCK]  # W x of a block, and U h of each step in it
    assert f"f32[{BLOCK * 64},{gates * hidden_size}]" in text
    assert f"f32[{len(xs) * 64},{gates * hidden_size}]" not in text
    grad = jax.value_and_grad(functools.partial(loss, forward, cell))
    assert products_in_loops(hlo(grad, params, xs)) == [1 + BLOCK, 1]


def test_a_projection_whose_derivative_needs_it_is_made_once(on_a_cpu, every_step_is_large):
    """A block would make it, and the derivative again."""
    cell = jaxrnn.layer_norm_lstm(H)
    args = arguments(cell, 3 * BLOCK)
    assert products_in_loops(hlo(functools.partial(forward, cell), *args)) == [1 + BLOCK]
    grad = jax.value_and_grad(functools.partial(loss, forward, cell))
    assert products_in_loops(hlo(grad, *args)) == [1, 1]


@every_cell
def test_one_array_is_kept_for_u_and_v_where_a_cell_adds_them(name, on_a_cpu, every_step_is_large):
    cell, gates = CELLS[name]
    num_steps = 3 * BLOCK
    text = hlo(jax.grad(functools.partial(loss, forward, cell)), *arguments(cell, num_steps))
    loop = next(line for line in text.splitlines() if " while(" in line)
    kept = loop.partition(" while(")[0].count(f"f32[{num_steps},{B},{gates * H}]")
    of_size_h = 2 if gates == 1 else 0  # outputs and carries
    assert kept == of_size_h + (2 if name == "gru" else 1)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("name", "num_steps"),
    [
        *(("lstm", steps) for steps in (1, BLOCK)),
        pytest.param("lstm", BLOCK - 1, marks=pytest.mark.thorough),
        ("gru", 2 * BLOCK + 3),
        *(
            pytest.param(name, 2 * BLOCK + 3, marks=pytest.mark.thorough)
            for name in ("lstm", "elman")
        ),
    ],
)
def test_blocks_are_the_plain_scan(name, num_steps, reverse, every_step_is_large):
    cell = getattr(jaxrnn, name)(H)  # a new one, of which nothing is compiled yet
    params, xs = arguments(cell, num_steps)
    mask = jaxrnn.length_mask(jnp.array([num_steps, 0, num_steps // 2]), num_steps)

    def run(params, xs, implementation):
        options = {"mask": mask, "reverse": reverse, "implementation": implementation}
        carry, ys = jaxrnn.unroll(cell, params, None, xs, **options)
        return jnp.sum(jnp.sin(ys)) + jnp.sum(jnp.cos(carry.h)), (carry, ys)

    differentiated = jax.jit(jax.value_and_grad(run, (0, 1), has_aux=True), static_argnums=2)
    actual, expected = (differentiated(params, xs, name) for name in ("xla", "scan"))
    (_, values), gradients = actual
    (_, expected_values), expected_gradients = expected
    assert_close(values, expected_values, 1e-6)
    assert_close(gradients, expected_gradients, 2e-6)


@pytest.mark.parametrize("implementation", ["scan", "xla"])
@pytest.mark.thorough
def test_the_size_of_a_program_does_not_depend_on_the_number_of_steps(implementation):
    cell = jaxrnn.lstm(H)

    def train(params, xs):
        _, ys = jaxrnn.unroll(cell, params, None, xs, implementation=implementation)
        return jnp.sum(ys**2)

    sizes = []
    for num_steps in (16, 16_384):
        text = hlo(jax.grad(train), *arguments(cell, num_steps))
        sizes.append(len(text.splitlines()))
    assert abs(sizes[1] - sizes[0]) <= 0.05 * sizes[0]
