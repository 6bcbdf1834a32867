"""The table of engines: what is chosen, what is refused, and the reasons that a user can read."""

import jax
import jax.numpy as jnp
import pytest

import jaxrnn
from jaxrnn.engines._unroll import ENGINES, NAMES
from tests.laws.tables import CELLS, B, H, I, T, cell_example, features

XS = jax.ShapeDtypeStruct((T, B, I), jnp.float32)


@pytest.mark.parametrize("name", CELLS)
def test_every_engine_has_a_reason_for_every_cell(name):
    cell = CELLS[name].cell
    found = jaxrnn.explain(cell, jax.ShapeDtypeStruct((T, B, *features(cell)), jnp.float32))
    assert tuple(found.reasons) == NAMES
    assert all(isinstance(reason, str) and reason for reason in found.reasons.values())
    assert found.reasons[found.implementation] == "the first engine with nothing against it"
    assert str(found).splitlines()[0].endswith(f"runs by {found.implementation!r}")


def test_none_takes_the_first_with_nothing_against_it():
    names = ["native", "associative", "xla", "scan", "newton", "pallas", "cudnn"]
    assert [engine.name for engine in ENGINES] == names
    few = jax.ShapeDtypeStruct((3, *XS.shape[1:]), XS.dtype)
    assert jaxrnn.explain(jaxrnn.gru(H, reset_after=False), few).implementation == "xla"
    assert jaxrnn.explain(CELLS["whole"].cell, XS).implementation == "scan"
    linear = CELLS["linear"].cell
    assert jaxrnn.explain(linear, few).implementation == "xla"


def test_many_steps_of_a_linear_cell_run_in_parallel():
    many, wide = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((8, 8, 64), (8, 200, 64)))
    found = jaxrnn.explain(jaxrnn.min_gru(64), many)
    if "not built" in found.reasons["associative"] or jax.default_backend() != "cpu":
        pytest.skip(found.reasons["associative"])
    assert found.implementation == "associative"
    assert jaxrnn.explain(jaxrnn.min_gru(64), wide).implementation == "native"
    long = jax.ShapeDtypeStruct((8192, 9, 64), jnp.float32)
    assert jaxrnn.explain(jaxrnn.retention(64, 4), long).implementation == "associative"


@pytest.mark.parametrize("cell", [jaxrnn.retention(64, 4), jaxrnn.mlstm(64, 4), jaxrnn.mamba()])
def test_a_linear_cell_with_a_large_state_runs_step_by_step_in_the_cache(cell):
    few, many = (jax.ShapeDtypeStruct((steps, 1, 64), jnp.float32) for steps in (2, 4))
    found = jaxrnn.explain(cell, many)
    if "not built" in found.reasons["native"] or jax.default_backend() != "cpu":
        pytest.skip(found.reasons["native"])
    assert found.implementation == "native"
    assert jaxrnn.explain(cell, few).implementation == "xla"


def test_a_named_engine_runs_or_says_why_not():
    found = jaxrnn.explain(CELLS["linear"].cell, XS, implementation="associative")
    assert found.reasons["associative"] == "asked for by name"
    with pytest.raises(ValueError, match=r"'associative'` cannot run this cell: .*not linear"):
        jaxrnn.explain(jaxrnn.lstm(H), XS, implementation="associative")


def test_a_projection_of_another_shape_has_no_kernel():
    cell = jaxrnn.lstm(H)
    other = cell._replace(project=lambda params, x: cell.project(params, x)[:1])
    reason = jaxrnn.explain(other, XS).reasons["native"]
    if jax.default_backend() != "cpu":
        pytest.skip(reason)
    assert "a `project` that gives float32 (3, 16), and this one gives" in reason


def test_few_steps_of_many_rows_run_by_the_engine_that_compiles_faster():
    many, few = (jax.ShapeDtypeStruct((steps, 8, 64), jnp.float32) for steps in (8, 7))
    found = jaxrnn.explain(jaxrnn.lstm(64), many)
    if "not built" in found.reasons["native"] or jax.default_backend() != "cpu":
        pytest.skip(found.reasons["native"])
    assert found.implementation == "native"
    assert jaxrnn.explain(jaxrnn.lstm(64), few).implementation == "xla"


def test_each_cell_of_a_layer_is_explained():
    model = jaxrnn.stack(
        jaxrnn.residual(jaxrnn.rnn(jaxrnn.gru(I))),
        jaxrnn.bidirectional(jaxrnn.lstm(H), jaxrnn.layer_norm_gru(H)),
        jaxrnn.rnn(jaxrnn.elman(H), implementation="scan"),
    )
    found = jaxrnn.explain(model, XS)
    cells = ["gru(5)", "lstm(4)", "layer_norm_gru(4)", "elman(4)"]
    assert [repr(one.cell) for one in found] == cells
    assert found[-1].implementation == "scan"
    assert str(found).count("runs by") == 4
    params = jax.eval_shape(lambda: model.init(jax.random.key(0), XS))
    assert jaxrnn.explain(model, XS, params=params) == found


def test_step_runs_cells_and_layers():
    cell, layer = jaxrnn.lstm(H), jaxrnn.stack(jaxrnn.rnn(jaxrnn.lstm(H)), jaxrnn.dense(2))
    xs = jax.random.normal(jax.random.key(0), (T, B, I))
    params = layer.init(jax.random.key(1), xs)
    whole_carry, whole = layer.apply(params, None, xs)
    carry, ys = None, []
    for x in xs:
        carry, y = jaxrnn.step(layer, params, carry, x)
        ys.append(y)
    assert jnp.allclose(jnp.stack(ys), whole, atol=1e-12)
    assert jax.tree.structure(carry) == jax.tree.structure(whole_carry)
    carry, y = jaxrnn.step(cell, params[0], None, xs[0])
    assert jnp.allclose(y, jaxrnn.unroll(cell, params[0], None, xs[:1])[1][0], atol=1e-12)


def test_a_choice_of_this_machine_is_not_exported():
    """One program for both platforms: nothing of the choice for a lone CPU is in either."""
    cell = jaxrnn.layer_norm_lstm(H)
    ex = cell_example(cell, dtype=jnp.float32)

    def loss(params, xs):
        _, ys = jaxrnn.unroll(cell, params, None, xs, implementation="xla")
        return jnp.sum(ys**2)

    run = jax.jit(jax.grad(loss))
    here = run.lower(ex.params, ex.xs).as_text()
    there = jax.export.export(run, platforms=("cuda",))(ex.params, ex.xs).mlir_module()
    rows = f"tensor<{T * B}x{I}xf32>"  # time and batch merged, which suits a lone CPU
    assert rows in here
    assert rows not in there
