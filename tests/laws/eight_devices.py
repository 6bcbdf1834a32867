"""Eight devices equal one: every layer and cell on meshes of every kind, divided in every way.

`test_sharding.py` runs these tests in a process that has eight devices.
"""

import contextlib
import functools
import re

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxrnn
from jaxrnn import decode, losses
from jaxrnn.engines.cpu._library import problem
from tests.laws.tables import (
    BY_EQUATION,
    CELLS,
    LAYERS,
    H,
    I,
    LayerCase,
    assert_close,
    features,
    floats,
    layer_example,
    total,
)

T, B = 8, 8
KEY = jax.random.key(11)
ROWS = LAYERS | {
    f"rnn({name})": LayerCase(jaxrnn.rnn(case.cell), features(case.cell))
    for name, case in CELLS.items()
}
KINDS = "auto", "explicit", "explicit, set"
# Where each array is divided: sequences (T, B, ...), rows (B, ...) and parameters.
WAYS = {
    "data": (P(None, "data"), P("data"), None),
    "sequence": (P("data"), P(), None),
    "tensor": (P(None, "data"), P("data"), "model"),
}
EQUATIONS = {f"rnn({name})" for name in BY_EQUATION}
FEW = {"noise"}
DEFAULT = {("explicit, set", "data"), ("explicit, set", "tensor")}


def make_mesh(kind):
    axis_type = AxisType.Explicit if kind.startswith("explicit") else AxisType.Auto
    return jax.make_mesh((4, 2), ("data", "model"), axis_types=(axis_type,) * 2)


def in_context(kind, mesh):
    return jax.set_mesh(mesh) if kind.endswith("set") else contextlib.nullcontext()


def placed(ex, mesh, way):
    """An example on a mesh."""
    sequences, rows, features = WAYS[way]

    def put(tree, spec):
        return jax.device_put(tree, NamedSharding(mesh, spec))

    def put_parameter(leaf):
        is_even = leaf.ndim and leaf.shape[-1] % 2 == 0
        return put(leaf, P(*[None] * (leaf.ndim - 1), features) if is_even else P())

    return ex._replace(
        params=jax.tree.map(put_parameter, ex.params),
        carry=put(ex.carry, rows),
        xs=put(ex.xs, sequences),
        mask=put(ex.mask, sequences),
        resets=put(ex.resets, sequences),
    )


def differentiated(layer, key=KEY):
    """The carry and outputs, and the gradients by parameters and carry."""

    def loss(params, carry, xs, mask, resets):
        out = layer.apply(params, carry, xs, mask=mask, resets=resets, key=key)
        return total(out), out

    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True, allow_int=True))


@functools.cache
def on_one_device(name):
    ex = layer_example(ROWS[name], shape=(T, B, I))
    return ex, differentiated(ROWS[name].layer)(*ex)


def cases():
    for name in ROWS:
        for kind in KINDS:
            for way in WAYS:
                if name not in LAYERS and kind != "explicit, set":
                    continue  # a cell is in its layer, so one kind of mesh tells
                if name in EQUATIONS:
                    continue  # to be run in `jax.shard_map` is the stricter law
                is_default = name in FEW and (kind, way) in DEFAULT
                marks = [] if is_default else [pytest.mark.thorough]
                yield pytest.param(name, kind, way, marks=marks)


@pytest.mark.parametrize(("name", "kind", "way"), list(cases()))
def test_eight_devices_equal_one(name, kind, way):
    """Values, draws and gradients; a gradient is divided as its parameter is."""
    ex, want = on_one_device(name)
    mesh = make_mesh(kind)
    given = placed(ex, mesh, way)
    with in_context(kind, mesh):
        got = differentiated(ROWS[name].layer)(*given)
    assert_close(got[0], want[0], 1e-12)
    assert_close(floats(got[1]), floats(want[1]), 1e-10)
    if kind.startswith("explicit"):
        for grad, leaf in zip(floats(got[1]), floats((given.params, given.carry)), strict=True):
            assert grad.sharding.is_equivalent_to(leaf.sharding, leaf.ndim)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.thorough] * (n not in FEW)) for n in ROWS]
)
def test_eight_devices_equal_one_in_shard_map(name):
    """Each device has rows of its own. Without a key, since draws depend on the place of a row."""
    layer, ex = ROWS[name].layer, layer_example(ROWS[name], shape=(T, B, I))

    def apply(params, carry, xs, mask, resets):
        return layer.apply(params, carry, xs, mask=mask, resets=resets)

    steps, rows, _ = WAYS["data"]
    mesh = make_mesh("explicit")
    mapped = jax.shard_map(
        apply,
        mesh=mesh,
        in_specs=(P(), rows, steps, steps, steps),
        out_specs=(rows, rows if ROWS[name].pools else steps),
    )

    def value_and_gradient(apply):
        def loss(params, carry, *others):
            out = apply(params, carry, *others)
            return sum(jnp.sin(leaf).sum() for leaf in floats(out)), out

        return jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True, allow_int=True))

    got = value_and_gradient(mapped)(*placed(ex, mesh, "data"))
    want = value_and_gradient(apply)(*ex)
    assert_close(got[0], want[0], 1e-12)
    assert_close(floats(got[1]), floats(want[1]), 1e-10)


COLLECTIVES = r" (all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)(?:-start)?\("
ENGINES = ["xla", None] + ["native"] * (problem() is None)


thorough = pytest.mark.thorough


@pytest.mark.parametrize("implementation", ENGINES)
@pytest.mark.parametrize("kind", ["auto", "explicit"])
@pytest.mark.parametrize(
    "name", ["lstm", pytest.param("gru", marks=thorough), pytest.param("elman", marks=thorough)]
)
def test_gradients_are_summed_once_and_no_activation_is_gathered(name, kind, implementation):
    layer = jaxrnn.rnn(CELLS[name].cell, implementation=implementation)
    ex = layer_example(LayerCase(layer), shape=(T, B, I))
    mesh = make_mesh(kind)

    def loss(params, xs, mask, resets):
        return jnp.sum(layer.apply(params, None, xs, mask=mask, resets=resets)[1] ** 2)

    given = placed(ex, mesh, "data")._asdict()
    del given["carry"]
    grad = jax.jit(jax.grad(loss))
    text = grad.lower(*given.values()).compile().as_text()
    assert re.findall(COLLECTIVES, text) == ["all-reduce"]
    is_native = implementation != "xla" and problem() is None
    assert ("jaxrnn_forward" in text) == is_native
    want = jax.jit(jax.grad(loss))(ex.params, ex.xs, ex.mask, ex.resets)
    assert_close(grad(*given.values()), want, 1e-12)


@pytest.mark.skipif(problem() is not None, reason="the native kernels were not built")
@pytest.mark.parametrize("kind", ["auto", "explicit"])
@pytest.mark.parametrize(
    "name", ["gru", pytest.param("lstm", marks=thorough), pytest.param("elman", marks=thorough)]
)
def test_each_device_runs_the_kernel_for_its_rows_under_vmap(name, kind):
    cell = CELLS[name].cell
    ex = layer_example(LayerCase(jaxrnn.rnn(cell)), shape=(T, B, I))

    def loss(params, xs):
        def one(xs):
            return total(jaxrnn.unroll(cell, params, None, xs, implementation="native"))

        return jnp.sum(jax.vmap(one, 1)(xs))

    grad = jax.jit(jax.grad(loss, (0, 1)))
    given = placed(ex, make_mesh(kind), "data")
    text = grad.lower(given.params, given.xs).compile().as_text()
    assert re.findall(COLLECTIVES, text) == ["all-reduce"]
    assert f"f64[{T},{B // 4},{H}]" in text  # the outputs of the rows of one device
    assert f"f64[{T},{B},{H}]" not in text
    assert_close(grad(given.params, given.xs), grad(ex.params, ex.xs), 1e-12)


@pytest.mark.skipif(problem() is not None, reason="the native kernels were not built")
@pytest.mark.parametrize("is_mapped", [False, True])
@pytest.mark.parametrize("name", ["retention", "slstm", "unicornn"])
def test_programs_that_read_constants(name, is_mapped):
    """A decay for each head, or an initial value, is the same on all devices."""
    layer = jaxrnn.rnn(CELLS[name].cell, implementation="native")
    ex = layer_example(LayerCase(layer, features(CELLS[name].cell)), shape=(T, B, I))
    mesh, rows = make_mesh("auto"), WAYS["data"][0]

    def apply(params, xs):
        return layer.apply(params, None, xs)[1]

    mapped = jax.shard_map(apply, mesh=mesh, in_specs=(P(), rows), out_specs=rows)

    def gradients(apply):
        return jax.jit(jax.grad(lambda *args: jnp.sum(apply(*args) ** 2), (0, 1)))

    given = placed(ex, mesh, "data")
    got = gradients(mapped if is_mapped else apply)(given.params, given.xs)
    assert_close(got, gradients(apply)(ex.params, ex.xs), 1e-10)


@pytest.mark.parametrize("name", ["lstm", pytest.param("gru", marks=thorough)])
def test_rows_that_the_devices_do_not_divide(name):
    layer = jaxrnn.rnn(CELLS[name].cell, implementation=ENGINES[-1])
    ex = layer_example(LayerCase(layer), shape=(T, B, I))

    def loss(params, xs):
        return total(layer.apply(params, None, jnp.sin(xs)[:, :6])[1])

    grad = jax.jit(jax.grad(loss, (0, 1)))
    given = placed(ex, make_mesh("auto"), "data")
    assert_close(grad(given.params, given.xs), grad(ex.params, ex.xs), 1e-12)


EX = layer_example(LayerCase(jaxrnn.rnn(jaxrnn.lstm(H))), shape=(T, B, I))


def pooled(pool):
    return lambda ex: pool(ex.xs, ex.mask)


def decoded(function, prompt, *args, **options):
    """What a decoder makes of symbols (T, B), or of vectors (T, B, I)."""
    is_series = jnp.issubdtype(prompt.dtype, jnp.floating)
    first = [] if is_series else [jaxrnn.embed(2, I, dtype=float)]
    model = jaxrnn.stack(*first, jaxrnn.rnn(jaxrnn.gru(H)), jaxrnn.dense(I if is_series else 2))
    params = model.init(KEY, jax.ShapeDtypeStruct(prompt.shape, prompt.dtype))
    return function(model, params, prompt, *args, **options)


def half_free(model, params, xs):
    return decode.scheduled_sampling(model, params, None, xs, KEY, 0.5, sample=lambda key, y: y)


FUNCTIONS = {
    "pool_last": pooled(jaxrnn.pool_last),
    "pool_mean": pooled(jaxrnn.pool_mean),
    "pool_max": pooled(jaxrnn.pool_max),
    "pool_sum": pooled(jaxrnn.pool_sum),
    "step of a cell": lambda ex: jaxrnn.step(jaxrnn.lstm(H), ex.params, ex.carry, ex.xs[0]),
    "step of a layer": lambda ex: jaxrnn.step(
        jaxrnn.rnn(jaxrnn.lstm(H)), ex.params, ex.carry, ex.xs[0]
    ),
    "unroll": lambda ex: jaxrnn.unroll(jaxrnn.lstm(H), ex.params, ex.carry, ex.xs, mask=ex.mask),
    "no carry": lambda ex: jaxrnn.unroll(jaxrnn.lstm(H), ex.params, None, ex.xs, mask=ex.mask),
    "init_carry": lambda ex: jaxrnn.rnn(jaxrnn.lstm(H)).init_carry(ex.params, ex.xs),
    "squared": lambda ex: losses.mean_squared_error(ex.xs, jnp.sin(ex.xs), ex.mask),
    "huber": lambda ex: losses.huber(ex.xs, jnp.sin(ex.xs), ex.mask),
    "entropy": lambda ex: losses.cross_entropy(ex.xs, ex.resets.astype(int), ex.mask),
    "accuracy": lambda ex: losses.accuracy(ex.xs, ex.resets.astype(int), ex.mask),
    "generate": lambda ex: decoded(decode.generate, ex.resets.astype(int), KEY, 5, stop=1),
    "beam search": lambda ex: decoded(decode.beam_search, ex.resets.astype(int), 3, 5, stop=1),
    "path": lambda ex: decoded(decode.sample_path, ex.xs, KEY, 5, sample=lambda key, y: y),
    "scheduled sampling": lambda ex: decoded(half_free, ex.xs),
    "ctc": lambda ex: decode.ctc_beam_search(ex.xs, 1, ex.mask),
    "ctc, greedy": lambda ex: decode.ctc_greedy(ex.xs, ex.mask),
    "edit distance": lambda ex: decode.edit_distance(ex.resets.astype(int), ex.mask.astype(int)),
    "error rate": lambda ex: decode.error_rate(ex.resets.astype(int), ex.mask.astype(int)),
    "f1": lambda ex: losses.f1(ex.xs, ex.xs > 0.1, ex.mask),
    "quantiles": lambda ex: losses.quantile_loss(
        ex.xs, ex.xs[..., 0], ex.mask, quantile=[(i + 1) / (I + 1) for i in range(I)]
    ),
    "gaussian": lambda ex: losses.gaussian_loss(ex.xs, jnp.sin(ex.xs), ex.xs + 1, ex.mask),
    "mixture": lambda ex: losses.gaussian_mixture_loss(
        ex.xs, ex.xs[..., None], jnp.sin(ex.xs)[..., None], ex.xs[..., :1], ex.mask
    ),
    "scaled error": lambda ex: losses.mean_absolute_scaled_error(
        ex.xs, jnp.sin(ex.xs), ex.xs, ex.mask, ex.mask
    ),
    "ctc loss": lambda ex: losses.ctc_loss(
        ex.xs, ex.resets[:2].astype(int) + 1, ex.mask, ex.mask[:2]
    ),
    "rnnt loss": lambda ex: losses.rnnt_loss(
        jnp.stack([ex.xs, jnp.sin(ex.xs), ex.xs], axis=1),
        ex.resets[:2].astype(int) + 1,
        ex.mask,
        ex.mask[:2],
    ),
    "penalty": lambda ex: losses.temporal_activation_penalty(ex.xs, ex.mask, ex.resets),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[thorough] * (name not in ("unroll", "generate")))
        for name in FUNCTIONS
    ],
)
def test_functions_outside_of_layers(name):
    """On Explicit axes, under `jax.set_mesh` and without it, under `jax.jit` and without it."""
    mesh, function = make_mesh("explicit"), FUNCTIONS[name]
    ex, want = placed(EX, mesh, "data"), function(EX)
    for run in (function, jax.jit(function)):
        with jax.set_mesh(mesh):
            got = run(ex)
        assert_close(got, want, 1e-13)
        for leaf in jax.tree.leaves(got):
            assert leaf.ndim == 0 or "data" in leaf.sharding.spec
    assert_close(function(ex), want, 1e-13)


@pytest.mark.parametrize("reverse", [pytest.param(False, marks=thorough), True])
@pytest.mark.parametrize(
    "kind",
    [*(pytest.param(k, marks=thorough) for k in KINDS if k != "explicit, set"), "explicit, set"],
)
def test_flax_modules(kind, reverse):
    pytest.importorskip("flax", reason="flax is not installed")
    from flax import nnx

    import jaxrnn.linen
    import jaxrnn.nnx

    cell = jaxrnn.bidirectional(jaxrnn.gru(H))
    inputs, lengths = jnp.sin(jnp.arange(8.0 * T * I)).reshape(8, T, I), jnp.arange(8) % T
    linen = jaxrnn.linen.RNN(cell, reverse=reverse)
    variables = linen.init(jax.random.key(0), inputs)
    module = jaxrnn.nnx.RNN(cell, I, reverse=reverse, param_dtype=float, rngs=nnx.Rngs(0))

    @jax.jit
    def by_linen(inputs, lengths):
        return linen.apply(variables, inputs, seq_lengths=lengths)

    @nnx.jit
    def by_nnx(module, inputs, lengths):
        return module(inputs, seq_lengths=lengths)

    want = by_linen(inputs, lengths), by_nnx(module, inputs, lengths)
    mesh = make_mesh(kind)
    inputs, lengths = jax.device_put((inputs, lengths), NamedSharding(mesh, P("data")))
    with in_context(kind, mesh):
        got = by_linen(inputs, lengths), by_nnx(module, inputs, lengths)
        initial = linen.init(jax.random.key(0), inputs)
    assert_close(got, want, 1e-13)
    assert_close(initial, variables, 1e-13)
    assert all(y.sharding.spec[0] == "data" for y in got)


@pytest.mark.parametrize("kind", [pytest.param("auto, set", marks=thorough), "explicit, set"])
def test_flax_modules_whose_parameters_are_divided(kind):
    nnx = pytest.importorskip("flax.nnx", reason="flax is not installed")
    import jaxrnn.linen
    import jaxrnn.nnx

    inputs, mesh = jnp.sin(jnp.arange(8.0 * T * I)).reshape(8, T, I), make_mesh(kind)
    choices = {"partitioning": {"kernel": (None, "model"), "bias": ("model",)}}
    linen = jaxrnn.linen.RNN(jaxrnn.lstm(H))
    variables = linen.init(jax.random.key(0), inputs)
    make = functools.partial(jaxrnn.nnx.RNN, jaxrnn.lstm(H), I, param_dtype=float)
    want = linen.apply(variables, inputs), make(rngs=nnx.Rngs(0))(inputs)
    with jax.set_mesh(mesh):
        divided = jaxrnn.linen.RNN(jaxrnn.lstm(H), **choices)
        variables = jax.jit(divided.init)(jax.random.key(0), inputs)
        module = make(rngs=nnx.Rngs(0), **choices)
        xs = jax.device_put(inputs, P("data"))
        got = jax.jit(divided.apply)(variables, xs), nnx.jit(lambda m, x: m(x))(module, xs)
    if kind.startswith("explicit"):  # otherwise it is for XLA to choose
        assert variables["params"]["kernel"].value.sharding.spec == P(None, "model")
    assert module.params.kernel[...].sharding.spec == P(None, "model")
    assert_close(got, want, 1e-13)


def test_chunks_in_a_scan():
    """The carry after a chunk is divided as the carry before it."""
    layer, mesh = jaxrnn.stack(jaxrnn.rnn(jaxrnn.lstm(H)), jaxrnn.dense(2)), make_mesh("explicit")
    ex = layer_example(LayerCase(layer), shape=(T, B, I))

    @jax.jit
    def run(params, xs):
        chunks = xs.reshape(2, T // 2, *xs.shape[1:])
        carry = layer.init_carry(params, xs)
        return jax.lax.scan(lambda carry, xs: layer.apply(params, carry, xs), carry, chunks)

    given = placed(ex, mesh, "data")
    assert_close(run(given.params, given.xs), run(ex.params, ex.xs), 1e-13)


def test_wrong_placements_are_named():
    mesh = make_mesh("explicit")
    ex, layer = placed(EX, mesh, "data"), jaxrnn.rnn(jaxrnn.lstm(H))
    other = jax.make_mesh((8,), ("rows",))
    carry = jax.device_put(ex.carry, NamedSharding(other, P("rows")))
    with pytest.raises(ValueError, match=r"`carry` is on a mesh of rows=8, and `params` on a mesh"):
        layer.apply(ex.params, carry, ex.xs)
    with jax.set_mesh(other), pytest.raises(ValueError, match=r"`jax.set_mesh` is on.*rows=8"):
        layer.apply(ex.params, ex.carry, ex.xs)
    alone = jax.device_put(EX.params, jax.devices()[3])
    with pytest.raises(ValueError, match=r"`carry` holds float64\(8, 4\) on 8 devices.*device 3"):
        layer.apply(alone, ex.carry, ex.xs)
    with pytest.raises(ValueError, match=r"data.*\b6\b"):
        jax.device_put(EX.xs[:, :6], NamedSharding(mesh, P(None, "data")))
    with pytest.raises(ValueError, match="rows"):
        NamedSharding(mesh, P("rows"))


@thorough
@pytest.mark.parametrize("kind", ["auto, set", "explicit, set"])
@pytest.mark.parametrize("implementation", ["scan", "chunked", "associative", None])
def test_linear_recurrences(implementation, kind):
    """Divided by rows or on every device, in one program and in `jax.shard_map`."""
    keys = jax.random.split(jax.random.key(0))
    a, b = (jax.random.uniform(key, (T, B, H), jnp.float64) for key in keys)

    def loss(a, b):
        return jnp.sin(jaxrnn.linear_scan(a, b, implementation=implementation)).sum()

    value_and_grads = jax.value_and_grad(loss, argnums=(0, 1))
    want = value_and_grads(a, b)
    mesh, rows = make_mesh(kind), P(None, "data")
    for spec in rows, P():
        given = [jax.device_put(x, NamedSharding(mesh, spec)) for x in (a, b)]
        with in_context(kind, mesh):
            assert_close(jax.jit(value_and_grads)(*given), want, 1e-12)
    gradients = jax.shard_map(
        jax.grad(loss, argnums=(0, 1)), mesh=mesh, in_specs=(rows, rows), out_specs=(rows, rows)
    )
    given = [jax.device_put(x, NamedSharding(mesh, rows)) for x in (a, b)]
    assert_close(jax.jit(gradients)(*given), want[1], 1e-12)
