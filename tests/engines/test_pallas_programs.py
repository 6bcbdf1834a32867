"""The programs that a TPU and a GPU would get from the Pallas engine, and what it refuses."""

import contextlib
import functools
import re

import jax
import jax.numpy as jnp
import pytest

import jaxrnn
from jaxrnn._core.types import is_whole
from jaxrnn.engines.pallas import _budget, _run, _tpu, _triton
from tests.laws.tables import CELLS, H, I, assert_close, cell_example, features, total
from tests.laws.unrolled import results_and_gradients
from tests.marks import later

SPLIT = [name for name, case in CELLS.items() if not is_whole(case.cell)]
FEW = ("lstm", "leaky", "lru")
rows = pytest.mark.parametrize("name", [n if n in FEW else later(n) for n in SPLIT])


# From jax 0.11 on, until there is a form for another backend.
pytestmark = pytest.mark.filterwarnings("ignore:The Pallas Triton backend:DeprecationWarning")


def lowered_for(platform, device, function, *args):
    """The program for a device, made without one."""
    mesh = jax.sharding.AbstractMesh((), (), abstract_device=device)
    with jax.sharding.use_abstract_mesh(mesh):
        return jax.jit(function).trace(*args).lower(lowering_platforms=(platform,)).as_text()


def lowered(function, *args, kind="TPU v5 lite"):
    """The program for a TPU of this kind."""
    device = jax.sharding.AbstractDevice(device_kind=kind, num_cores=1, platform="tpu")
    return lowered_for("tpu", device, function, *args)


def shapes_of(cell, shape=(16, 8, I), dtype=jnp.float32):
    xs = jax.ShapeDtypeStruct((*shape[:-1], *features(cell, shape[-1])), dtype)
    x = jax.ShapeDtypeStruct(xs.shape[1:], dtype)
    params = jax.eval_shape(cell.init, jax.random.key(0), x)
    flags = jax.ShapeDtypeStruct(shape[:-1], jnp.bool)
    return params, jax.eval_shape(cell.init_carry, params, x), xs, flags, flags


def forward(cell, params, carry, xs, mask, resets):
    return jaxrnn.unroll(cell, params, carry, xs, mask=mask, resets=resets, implementation="pallas")


def gradient(cell, params, carry, xs, mask, resets):
    def loss(params, xs):
        return total(forward(cell, params, carry, xs, mask, resets))

    return jax.grad(loss, argnums=(0, 1))(params, xs)


@rows
def test_one_kernel_forward_and_one_backward(name):
    cell = CELLS[name].cell
    args = shapes_of(cell)
    if cell.num_feature_axes > 1:
        with pytest.raises(ValueError, match=r"'pallas'` cannot run this cell: .*conv_general"):
            lowered(functools.partial(forward, cell), *args)
        return
    for function, count in ((forward, 1), (gradient, 2)):
        text = lowered(functools.partial(function, cell), *args)
        assert len(re.findall(r"custom_call @tpu_custom_call", text)) == count
        loops = re.findall(r"stablehlo.while", text)
        assert not loops or name == "scornn"  # which solves equations before its loop


def on_a_gpu(function, *args):
    """The program for CUDA."""
    kind = "NVIDIA H100 80GB HBM3"
    device = jax.sharding.AbstractDevice(device_kind=kind, num_cores=132, platform="gpu")
    return lowered_for("cuda", device, function, *args)


WIDTH_ALONE = {
    "elman",
    "lstm",
    "gru",
    "layer_norm_lstm",
    "layer_norm_gru",
    "peephole_lstm",
    "coupled_lstm",
    "mgu",
    "ugrnn",
    "janet",
    "li_gru",
    "minimal_rnn",
    "indrnn",
    "atr",
    "ran",
    "star",
    "brc",
    "nbrc",
    "fast_rnn",
    "fast_grnn",
    "wmc_lstm",
    "multiplicative_lstm",
    "slstm",
    "lem",
    "antisymmetric",
    "gated_antisymmetric",
    "unicornn",
    "ctrnn",
    "scornn",
    "min_gru",
    "min_lstm",
    "lru",
    "s5",
    "sru",
    "qrnn",
}
SIZED = {name: getattr(jaxrnn, name)(32) for name in sorted(WIDTH_ALONE)} | {
    "gru_reset_before": jaxrnn.gru(32, reset_after=False),
    "rhn": jaxrnn.rhn(32, 3),
    "clockwork": jaxrnn.clockwork(32, (1, 3)),
    "scrn": jaxrnn.scrn(32, 32),
    "retention": jaxrnn.retention(32, 2),
    "delta_net": jaxrnn.delta_net(32, 2),
    "mlstm": jaxrnn.mlstm(32, 2),
    "heads": jaxrnn.heads(jaxrnn.lstm(32), 3),
    "heads of a gru": jaxrnn.learned_carry(jaxrnn.heads(jaxrnn.gru(16), 2)),
    "cornn": jaxrnn.cornn(32),
    "projected_lstm": jaxrnn.projected_lstm(64, 32),
    "lstm of 48": jaxrnn.lstm(48),
    "gru of 80": jaxrnn.gru(80),
    "layer_norm_lstm of 48": jaxrnn.layer_norm_lstm(48),
    "weight_norm": jaxrnn.weight_norm(jaxrnn.lstm(32)),
    "zoneout": jaxrnn.zoneout(jaxrnn.lstm(32), 0.1),
    "clip_carry_gradient": jaxrnn.clip_carry_gradient(jaxrnn.lstm(32), 1.0),
}
# Of the table, whose sizes are small: the others multiply matrices of fewer than 16 columns.
LOWERED_FOR_A_GPU = {
    "independent",
    "indrnn",
    "brc",
    "unicornn",
    "linear",
    "min_gru",
    "min_lstm",
    "rg_lru",
    "lru",
    "mamba",
    "s4d",
    "s4d_bilinear",
    "s5",
    "s5_bilinear",
    "qrnn",
    "sru",
    "sru_without_highway_kernel",
    "hgrn",
}
GPU_FEW = ("gru", "lru")


@pytest.mark.parametrize("name", [n if n in GPU_FEW else later(n) for n in SIZED])
def test_one_kernel_forward_and_one_backward_on_a_gpu(name):
    dtype = jnp.bfloat16 if name == "gru" else jnp.float32
    args = shapes_of(SIZED[name], (5, 16, I), dtype)
    for function, count in ((forward, 1), (gradient, 2)):
        text = on_a_gpu(functools.partial(function, SIZED[name]), *args)
        assert text.count("custom_call @__gpu$xla.gpu.triton") == count
        assert "stablehlo.while" not in text


@pytest.mark.thorough
@pytest.mark.parametrize("name", SPLIT)
def test_a_gpu_runs_a_cell_of_the_table_or_the_number_is_named(name):
    run = functools.partial(gradient, CELLS[name].cell)
    args = shapes_of(CELLS[name].cell, (5, 16, I))
    refused = pytest.raises(ValueError, match=r"'pallas'` cannot run .*(Triton|GPU|CUDA)")
    with contextlib.ExitStack() as stack:
        if name not in LOWERED_FOR_A_GPU:
            stack.enter_context(refused)
        text = on_a_gpu(run, *args)
        assert text.count("custom_call @__gpu$xla.gpu.triton") == 2


@pytest.mark.parametrize("name", ["gru", *map(later, sorted({*SIZED} - {"gru"}))])
def test_the_numbers_of_the_kernel_for_a_gpu(name, monkeypatch):
    """Interpreted, with gates that are arrays of their own."""
    cell = SIZED[name]
    run = functools.partial(results_and_gradients, cell, cell_example(cell, shape=(5, 16, I)))
    want = run(implementation="scan")
    monkeypatch.setattr(_tpu, "run", _triton.run)
    monkeypatch.setattr(_run, "projects_inside", lambda *_, **__: False)
    assert_close(run(implementation="pallas"), want, 1e-12)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (jaxrnn.lstm(24), "Triton multiplies from 16 rows and columns on, and here are 8"),
        (jaxrnn.lstm(8), "Triton multiplies from 16 rows and columns on, and here are 8"),
        (jaxrnn.lstm(256), "what it keeps takes 1130496 bytes, and a block of a GPU has 232448"),
    ],
)
def test_what_a_gpu_cannot_run(cell, reason):
    with pytest.raises(ValueError, match=rf"'pallas'` cannot run this cell: .*{reason}"):
        on_a_gpu(functools.partial(forward, cell), *shapes_of(cell, (5, 16, I)))


CHIPS = {"TPU v4": 16, "TPU v5 lite": 128, "TPU v5": 64, "TPU v6 lite": 128, "TPU7x": 64}


@pytest.mark.parametrize("kind", CHIPS)
def test_what_a_tpu_cannot_hold(kind):
    """The parameters of 4,096 units take 256 MiB: refused with the number, before any tracing."""
    cell = jaxrnn.lstm(4096)
    text = (
        r"'pallas'` cannot run this cell: its kernel needs \d+\.\d MiB of VMEM with one step at a "
    )
    text += rf"time, .*, and a TPU \w+ has {CHIPS[kind]} MiB"
    with pytest.raises(ValueError, match=text):
        lowered(functools.partial(forward, cell), *shapes_of(cell), kind=kind)


def test_explain_knows_what_a_tpu_cannot_hold():
    device = jax.sharding.AbstractDevice(device_kind="TPU v4", num_cores=1, platform="tpu")
    xs = jax.ShapeDtypeStruct((16, 8, I), jnp.float32)
    with jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((), (), abstract_device=device)):
        for cell in (jaxrnn.lstm(1024), jaxrnn.heads(jaxrnn.lstm(1024), 2)):
            reason = jaxrnn.explain(cell, xs).reasons["pallas"]
            assert "a TPU v4 has 16 MiB" in reason


def test_what_fits_on_some_chips():
    cell = jaxrnn.lstm(1024)  # 16 MiB of parameters
    args = shapes_of(cell)
    assert "tpu_custom_call" in lowered(functools.partial(forward, cell), *args, kind="TPU v6 lite")
    with pytest.raises(ValueError, match="a TPU v4 has 16 MiB"):
        lowered(functools.partial(forward, cell), *args, kind="TPU v4")


def test_a_tpu_holds_no_float64():
    cell = jaxrnn.gru(H)
    with pytest.raises(ValueError, match="kernels of a TPU hold no float64"):
        lowered(functools.partial(forward, cell), *shapes_of(cell, dtype=jnp.float64))


def test_the_block_of_time_follows_from_what_fits():
    needs = _budget.Needs(fixed=10 * 2**20, each_step=2**20)
    assert _budget.block_for(needs, 1000) == (4, None)  # 14 of the 16 MiB that every chip has
    assert _budget.block_for(needs._replace(each_step=2**10), 1000) == (64, None)
    assert _budget.block_for(needs._replace(each_step=2**10), 3) == (3, None)
    assert _budget.padded_bytes((3, 5, 100), jnp.float32) == 3 * 8 * 128 * 4
    assert _budget.padded_bytes((5, 129), jnp.bfloat16) == 16 * 256 * 2


def costs(text):
    """What each kernel of a program moves and multiplies, by its own estimate."""
    names = ("bytes_accessed", "flops")
    found = [re.findall(rf"\\22{name}\\22: ?(\d+)", text) for name in names]
    return [tuple(map(int, numbers)) for numbers in zip(*found, strict=True)]


# Arrays (T, B, H) beside the inputs that are kept and that go out: forward the sum u + v of an LSTM
# or u and v, and the new carry; backward what is kept, dh' and the cotangents of the carry.
ARRAYS = {
    "lstm": (4 + 2, 5 + 1 + 2),  # kept: the gates and c
    "gru": (3 + 3 + 1, 5 + 1 + 1),  # kept: both gates, the candidate, its product and h
    "elman": (1 + 1, 1 + 1 + 1),
    "projected_lstm": (8 + 3, 10 + 1 + 3),  # of P units; H is 2 P
}


@pytest.mark.parametrize("name", ["lstm", *map(later, ["gru", "elman", "projected_lstm"])])
def test_the_bytes_that_each_kernel_moves(name):
    """Within 10 % of parameters, inputs, outputs and what is kept, each once."""
    num_steps, batch, size = 64, 8, 128
    sizes = (2 * size, size) if name == "projected_lstm" else (size,)
    cell = getattr(jaxrnn, name)(*sizes)
    params, carry, xs, *_ = shapes_of(cell, (num_steps, batch, I))
    text = lowered(lambda *args: gradient(cell, *args, None, None), params, carry, xs)
    kernels = params._replace(kernel=None, bias=None)
    fixed = sum(x.size for x in jax.tree.leaves(kernels)) + 2 * sum(x.size for x in carry)
    inputs = sum(x.size for x in (params.kernel, params.bias, xs)), 0
    for (moved, _), read, arrays in zip(costs(text), inputs, ARRAYS[name], strict=True):
        wanted = fixed + read + arrays * num_steps * batch * size
        assert moved == pytest.approx(4 * wanted, rel=0.1)


def test_what_a_kernel_multiplies():
    cell, row = jaxrnn.lstm(128), 8 * 128
    params, carry, xs, *_ = shapes_of(cell, (16, 8, I))
    text = lowered(lambda *args: forward(cell, *args, None, None), params, carry, xs)
    ((_, flops),) = costs(text)
    products = 16 * 2 * row * 4 * 128
    assert products < flops < 1.1 * products
