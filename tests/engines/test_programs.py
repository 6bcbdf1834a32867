"""Any cell in the native kernels, by a program made of its own functions: the same as the scan."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn.engines.cpu import _library, _program_calls, _program_inputs
from tests.laws.tables import CELLS, H, I, assert_close, cell_example, features, total
from tests.marks import later

pytestmark = pytest.mark.skipif(_library.problem() is not None, reason=str(_library.problem()))

# A product for each of several parts, reductions, no product, one on a gate, products of a state
# that is joined, flags of its own, a network inside, several matrices a head.
BY_DEFAULT = (
    "layer_norm_lstm",
    "peephole_lstm",
    "independent",
    "mgu",
    "reset_leaves",
    "attention_fed_back",
    "heads",
    "mlstm",
    "ltc",
)
WITHOUT = {  # and what a cell is told that has no program
    "leaky": "int32",
    "clockwork": "int32",
    "whole": "made by `from_step`",
    "attention_location": "`dot_general` is not of a row and a matrix",
} | dict.fromkeys(("lru", "s4d", "s4d_bilinear", "s5", "s5_bilinear", "hgrn"), "complex128")
WITHOUT |= {name: "conv_general_dilated" for name in CELLS if name.startswith("conv")}
rows = [n if n in BY_DEFAULT else later(n) for n in CELLS if n not in WITHOUT]
every_row = pytest.mark.parametrize("row", rows)


def kernel_of(cell, **choices):
    """The reason that `explain` gives for the native kernels."""
    xs = jax.ShapeDtypeStruct((5, 3, *features(cell)), jnp.float64)
    return jaxrnn.explain(cell, xs, **choices).reasons["native"]


@pytest.mark.parametrize("row", CELLS)
def test_every_cell_has_a_program_or_is_told_why_not(row):
    reason = kernel_of(CELLS[row].cell)
    chosen = "are too few", "a linear cell with a small state", "the first engine with nothing"
    expected = (WITHOUT[row],) if row in WITHOUT else chosen
    assert any(part in reason for part in expected), reason


def loss_of(cell, implementation, **flags):
    def loss(params, carry, xs):
        out = jaxrnn.unroll(cell, params, carry, xs, implementation=implementation, **flags)
        return total(out), out

    return loss


@every_row
@pytest.mark.parametrize("has_flags", [False, True])
@pytest.mark.parametrize("projects", [True, later(False)])
def test_values_and_gradients_are_those_of_the_scan(row, has_flags, projects, monkeypatch):
    """Also where a program makes the products of the inputs itself, which takes several rows."""
    if projects:
        monkeypatch.setattr(_program_inputs, "_SEVERAL", 1)
    cell = CELLS[row].cell
    ex = cell_example(cell)
    flags = {"mask": ex.mask, "resets": ex.resets, "reverse": True} if has_flags else {}

    def run(implementation):
        loss = loss_of(cell, implementation, **flags)
        grad = jax.value_and_grad(loss, (0, 1, 2), has_aux=True, allow_int=True)
        return jax.jit(grad)(ex.params, ex.carry, ex.xs)

    ((value, out), grads), expected = run("native"), run("scan")
    assert_close((value, out), expected[0], 1e-12)
    assert_close(*(floating(tree) for tree in (grads, expected[1])), 1e-12)
    alone = jax.jit(loss_of(cell, "native", **flags))(ex.params, ex.carry, ex.xs)
    assert_close(alone, expected[0], 1e-12)  # another program, which keeps nothing


@pytest.mark.parametrize("reverse", [False, later(True)])
@pytest.mark.parametrize("is_masked", [False, True])
def test_products_of_the_inputs_are_made_for_some_steps_at_a_time(reverse, is_masked):
    """More numbers than are made at a time, for rows that do not fill the last part."""
    T, B, I, H = 70, 17, 40, 48
    rng = np.random.default_rng(0)
    xs = jnp.asarray(rng.standard_normal((T, B, I)))
    mask = jnp.asarray(rng.random((T, B)) < 0.6) if is_masked else None
    cell = jaxrnn.layer_norm_gru(H)
    params = cell.init(jax.random.key(0), xs[0])

    def run(implementation):
        loss = loss_of(cell, implementation, mask=mask, reverse=reverse)
        return jax.jit(jax.value_and_grad(loss, (0, 2), has_aux=True))(params, None, xs)

    assert_close(run("native"), run("scan"), 1e-11)


def floating(tree):
    return [leaf for leaf in jax.tree.leaves(tree) if leaf.dtype != jax.dtypes.float0]


OTHERS = ["layer_norm_gru", "delta_net", *map(later, ("peephole_lstm", "heads", "ltc", "mamba"))]


@pytest.mark.parametrize("row", OTHERS)
def test_other_derivatives_are_those_of_the_scan(row):
    cell = CELLS[row].cell
    ex = cell_example(cell)
    args = ex.params, ex.carry, ex.xs
    direction = jax.tree.map(jnp.cos, args)

    @functools.partial(jax.jit, static_argnums=0)
    def run(implementation, *args):
        def value(*args):
            loss = loss_of(cell, implementation, mask=ex.mask, resets=ex.resets)
            return loss(*args)[0]

        gradient = jax.grad(value, (0, 1, 2))
        return jax.jvp(value, args, direction)[1], jax.jvp(gradient, args, direction)[1]

    assert_close(run("native", *args), run("scan", *args), 1e-12)


POISONED = ["layer_norm_lstm", *map(later, ("mgu", "peephole_lstm", "heads", "qrnn", "cfc"))]


@pytest.mark.parametrize("row", POISONED)
def test_what_is_left_unwritten_where_it_is_masked_is_not_read(row, monkeypatch):
    run, cell = _program_calls._run, CELLS[row].cell
    ex, poisoned = cell_example(cell), []

    def run_with_poison(recurrence, code, params, states, inputs, flags, *args, **choices):
        *ends, found = run(recurrence, code, params, states, inputs, flags, *args, **choices)
        poisoned.extend(code.unread)
        at = {code.aliases.get(place, place) for place in code.unread}
        mask = flags.mask[..., None]
        found = {
            place: jnp.where(mask, x, jnp.nan) if code.aliases.get(place, place) in at else x
            for place, x in found.items()
        }
        return *ends, found

    monkeypatch.setattr(_program_calls, "_run", run_with_poison)
    loss = {name: loss_of(cell, name, mask=ex.mask) for name in ("native", "scan")}
    args = ex.params, ex.carry, ex.xs
    got, expected = (jax.grad(f, (0, 1, 2), has_aux=True)(*args)[0] for f in loss.values())
    assert_close(got, expected, 1e-12)
    assert bool(poisoned) == (row != "heads")


@pytest.mark.parametrize("argument", [0, 1, 2])
def test_a_gradient_of_one_argument_is_that_of_all(argument):
    cell = CELLS["layer_norm_lstm"].cell
    ex = cell_example(cell)
    loss = loss_of(cell, "native", mask=ex.mask)
    args = ex.params, ex.carry, ex.xs
    every, _ = jax.jit(jax.grad(loss, (0, 1, 2), has_aux=True))(*args)
    one, _ = jax.jit(jax.grad(loss, argument, has_aux=True))(*args)
    assert_close(one, every[argument], 1e-14)


@pytest.mark.parametrize("row", ["layer_norm_lstm", later("ltc"), later("minimal_rnn")])
def test_a_pullback_can_be_called_twice(row):
    """Its results may lie where its operands did."""
    cell = CELLS[row].cell
    ex = cell_example(cell)

    @jax.jit
    def twice(*args):
        loss, pull = jax.vjp(lambda *args: loss_of(cell, "native", mask=ex.mask)(*args)[0], *args)
        return pull(loss), pull(2 * loss)

    once, double = twice(ex.params, ex.carry, ex.xs)
    assert_close(double, jax.tree.map(lambda x: 2 * x, once), 1e-12)


def at(index, args, mapped):
    return [
        tree if axis is None else jax.tree.map(lambda x: x[index], tree)
        for tree, axis in zip(args, mapped, strict=True)
    ]


@pytest.mark.parametrize("mapped", [(None, None, 0), (None, 0, 0), (0, 0, 0), (0, None, None)])
@pytest.mark.parametrize("row", ["coupled_lstm", later("retention"), later("cfc")])
def test_vmap_is_a_stack_of_single_runs(row, mapped):
    cell = CELLS[row].cell
    ex = cell_example(cell)

    def run(params, carry, xs):
        loss = loss_of(cell, "native", mask=ex.mask, resets=ex.resets)
        return jax.grad(loss, (0, 1, 2), has_aux=True)(params, carry, xs)

    args = ex.params, ex.carry, ex.xs
    args = [
        jax.tree.map(lambda x: jnp.stack([x, 0.5 * x]), tree) if axis == 0 else tree
        for tree, axis in zip(args, mapped, strict=True)
    ]
    single = [run(*at(k, args, mapped)) for k in range(2)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *single)
    assert_close(jax.jit(jax.vmap(run, mapped))(*args), stacked, 1e-12)


@every_row
def test_float32_stays_close_to_float64_over_many_steps(row):
    cell = CELLS[row].cell
    ex = cell_example(cell, shape=(1000, 2, I))
    ex = jax.tree.map(lambda leaf: 0.3 * leaf if leaf.dtype == jnp.float64 else leaf, ex)

    def run(dtype, implementation):
        args = jax.tree.map(lambda x: x.astype(dtype) if x.dtype == jnp.float64 else x, ex)
        call = functools.partial(jaxrnn.unroll, cell, implementation=implementation)
        return jax.tree.map(np.asarray, jax.jit(call)(args.params, args.carry, args.xs)[1])

    exact = run(jnp.float64, "scan")
    got, scan = run(jnp.float32, "native"), run(jnp.float32, "scan")
    for e, g, s in zip(*map(jax.tree.leaves, (exact, got, scan)), strict=True):
        error = np.abs(g - e).max() / max(np.abs(e).max(), 1.0)
        # A cell that is chaotic, or sums without end, loses the digits that the scan loses too.
        assert error <= max(2e-6, 4 * np.abs(s - e).max() / max(np.abs(e).max(), 1.0))


@pytest.mark.parametrize("row", ["mlstm", "retention", "delta_net", "mamba", "qrnn", "ltc"])
def test_the_whole_cell_is_in_the_program(row):
    ex = cell_example(CELLS[row].cell)

    def run(*args):
        return jaxrnn.unroll(CELLS[row].cell, *args, implementation="native")[1]

    compiled = jax.jit(run).lower(ex.params, ex.carry, ex.xs).compile().as_text()
    steps = re.findall(rf"(?:f64|pred)\[{len(ex.mask)},[^\]]*\]\S* fusion\(", compiled)
    assert not steps  # no array over all steps is made outside


def test_what_a_program_does_not_cover_of_a_projection_stays_outside():
    cell = jaxrnn.gru(H)
    cell = cell._replace(project=lambda params, x: jnp.sort(x @ params.kernel) + params.bias)
    ex = cell_example(cell)
    out = [
        jax.jit(functools.partial(jaxrnn.unroll, cell, implementation=name))(*ex[:3])
        for name in ("native", "scan")
    ]
    assert_close(*out, 1e-12)


def test_nothing_in_the_padding_reaches_anything():
    cell = CELLS["layer_norm_lstm"].cell
    ex = cell_example(cell)
    poisoned = jnp.where(ex.mask[..., None], ex.xs, jnp.nan)
    run = jax.jit(jax.grad(loss_of(cell, "native", mask=ex.mask), (0, 1, 2), has_aux=True))
    clean = jnp.where(ex.mask[..., None], ex.xs, 0.0)
    assert_close(run(ex.params, ex.carry, poisoned), run(ex.params, ex.carry, clean), 0.0)


@pytest.mark.parametrize("batch", [1, 2, 5, 40])
def test_a_row_has_the_same_bits_in_any_batch(batch):
    cell = jaxrnn.layer_norm_gru(19)
    xs = jnp.asarray(np.random.default_rng(0).standard_normal((60, batch, 7)), jnp.float32)
    params = cell.init(jax.random.key(0), xs[0])
    run = jax.jit(functools.partial(jaxrnn.unroll, cell, params, None, implementation="native"))
    _, ys = run(xs)
    _, alone = run(xs[:, :1])
    np.testing.assert_array_equal(ys[:, :1], alone)


def test_nan_and_infinity_are_as_in_the_scan():
    cell = jaxrnn.peephole_lstm(3)
    xs = jnp.ones((4, 3, 2)).at[1, 0].set(jnp.nan).at[2, 1].set(jnp.inf)
    params = cell.init(jax.random.key(0), xs[0])
    _, ys = jaxrnn.unroll(cell, params, None, xs, implementation="native")
    _, expected = jaxrnn.unroll(cell, params, None, xs, implementation="scan")
    np.testing.assert_array_equal(jnp.isnan(ys), jnp.isnan(expected))
    np.testing.assert_allclose(ys, expected, rtol=1e-6)


def test_a_written_kernel_leaves_other_outputs_to_a_program():
    cell = jaxrnn.lstm(H)
    cell = cell._replace(output=lambda params, carry, u: carry.h * carry.c)
    ex = cell_example(cell)
    out = [
        jax.jit(functools.partial(jaxrnn.unroll, cell, implementation=name))(*ex[:3])
        for name in ("native", "scan")
    ]
    assert_close(*out, 1e-12)


def test_explain_shows_the_program():
    xs = jax.ShapeDtypeStruct((200, 16, I), jnp.float32)
    cell = jaxrnn.coupled_lstm(64)
    shown = str(jaxrnn.explain(cell, xs, implementation="native", verbose=True))
    for part in ("forward: ", "backward: ", " registers of ", "tanh(", "matrix (64, 192)"):
        assert part in shown
    assert "a kernel written for this cell" in str(
        jaxrnn.explain(jaxrnn.lstm(64), xs, verbose=True)
    )
    model = jaxrnn.stack(jaxrnn.rnn(cell, implementation="native"), jaxrnn.dense(3))
    assert "tanh(" in str(jaxrnn.explain(model, xs, verbose=True))
    assert "tanh(" not in str(jaxrnn.explain(model, xs))


def changed(update):
    """A cell of one leaf with another `update`."""
    return jaxrnn.elman(H)._replace(update=update)


REFUSED = {
    "an operation": (
        changed(lambda params, carry, u, v: type(carry)(jnp.sort(u + v))),
        "there is no operation for its `.*sort`",
    ),
    "two parts of the state": (
        changed(lambda params, carry, u, v: type(carry)(u + v + jnp.vecdot(carry.h, v)[..., None])),
        "it multiplies one part of the state by another",
    ),
    "more values than fit": (
        changed(lambda params, carry, u, v: type(carry)(deep(carry.h, u + v, 600))),
        "its step has .* more than the",
    ),
}


def deep(h, x, count):
    kept = [jnp.tanh(x * float(k)) for k in range(1, count)]
    return h + sum(kept) / count


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_program_is_told_by_name(case):
    cell, reason = REFUSED[case]
    with pytest.raises(ValueError, match=f"'native'` cannot run this cell: {reason}"):
        kernel_of(cell, implementation="native")
    xs = jax.ShapeDtypeStruct((500, 16, I), jnp.float32)
    assert jaxrnn.explain(cell, xs).implementation == "xla"
