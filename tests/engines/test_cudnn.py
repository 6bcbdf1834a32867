"""The LSTM of cuDNN: around the call by a stand-in that runs anywhere, and itself on a GPU."""

import functools
import re
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import rnn
from jax.interpreters import mlir

import jaxrnn
from jaxrnn._core import memo
from jaxrnn.convert import to_cudnn
from jaxrnn.engines.cudnn._weights import packed
from tests.laws.tables import assert_close
from tests.marks import later

T, B, I, H = 9, 4, 3, 5
CELL = jaxrnn.lstm(H)
LENGTHS = np.array([9, 4, 0, 1])
HOLES = np.random.default_rng(0).random((T, B)) < 0.5
MASKS = {
    "none": None,
    "right": np.arange(T)[:, None] < LENGTHS,
    "left": np.arange(T)[:, None] >= T - LENGTHS,
    "holes": HOLES,
    "empty": np.zeros((T, B), bool),
}


def plain(x, h, c, weights, lengths, input_size, hidden_size, num_layers, *options):
    """What cuDNN computes, by the reference beside it; NaN, not zeros, after the last step."""
    parts = rnn.unpack_lstm_weights(weights, input_size, hidden_size, num_layers, False)
    options = input_size, hidden_size, num_layers, 0.0, False
    y, h, c = rnn.lstm_ref(x, h, c, *parts, lengths, *options)
    is_real = jnp.arange(x.shape[1], dtype=jnp.int32) < lengths[:, None]
    return jnp.where(is_real[..., None], y, jnp.nan), h, c


def forward(x, h, c, weights, lengths, precision, **options):
    out = plain(x, h, c, weights, lengths, *options.values())
    return out, (x, h, c, weights, lengths, out[0], jnp.zeros(7))


def backward(*args):
    *options, _, residuals, cotangents = args
    x, h, c, weights, lengths, *_ = residuals
    jax.debug.callback(check_lengths, lengths)
    _, pull = jax.vjp(lambda *given: plain(*given, lengths, *options), x, h, c, weights)
    dx, *others = pull(cotangents)
    is_real = jnp.arange(x.shape[1], dtype=jnp.int32) < lengths[:, None]
    return jnp.where(is_real[..., None], dx, jnp.nan), *others, jnp.zeros_like(lengths)


def check_lengths(lengths):
    assert np.all(lengths >= 1)  # cuDNN crashes


@pytest.fixture
def gpu(monkeypatch):
    """A GPU, as far as the choice of an engine goes; what is found out here is forgotten."""
    memo._forever.cache_clear()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(rnn.gpu_rnn, "_cuda_rnn", SimpleNamespace(), raising=False)
    yield monkeypatch
    memo._forever.cache_clear()


@pytest.fixture
def stand_in(gpu):
    gpu.setattr(rnn, "lstm_fwd", forward)
    gpu.setattr(rnn, "lstm_bwd", backward)
    return gpu


def example(dtype=jnp.float32, steps=T):
    xs = jax.random.normal(jax.random.key(0), (steps, B, I), dtype)
    params = CELL.init(jax.random.key(1), xs[0])
    keys = jax.random.split(jax.random.key(2))
    carry = jaxrnn.LSTMCarry(*(jax.random.normal(key, (B, H), dtype) for key in keys))
    return params, carry, xs


def values_and_gradients(implementation, params, carry, xs, **options):
    def loss(params, carry, xs):
        last, ys = jaxrnn.unroll(CELL, params, carry, xs, implementation=implementation, **options)
        return jnp.sum(jnp.sin(ys)) + jnp.sum(jnp.cos(last.h) * last.c), (last, ys)

    return jax.grad(loss, argnums=(0, 1, 2), has_aux=True)(params, carry, xs)


def test_weights_are_packed_as_jax_says():
    params, *_ = example()
    parts = rnn.unpack_lstm_weights(packed(params), I, H, 1, False)
    kernel, recurrent_kernel, bias, second = (part[0] for part in parts)
    np.testing.assert_array_equal(kernel.T, params.kernel)
    np.testing.assert_array_equal(recurrent_kernel.T, params.recurrent_kernel)
    np.testing.assert_array_equal(bias, params.bias)
    np.testing.assert_array_equal(second, 0)
    np.testing.assert_array_equal(packed(params), to_cudnn(params))
    assert packed(params).size == rnn.get_num_params_in_lstm(I, H, 1, False)
    assert packed(params._replace(bias=None)).size == packed(params).size


@pytest.mark.parametrize("reverse", [False, later(True)])
@pytest.mark.parametrize("kind", ["holes", *map(later, ("none", "right", "left", "empty"))])
def test_equals_the_scan(stand_in, kind, reverse):
    params, carry, xs = example()
    mask = MASKS[kind]
    if mask is not None:
        xs = jnp.where(mask[..., None], xs, jnp.nan)
    options = {"mask": mask, "reverse": reverse}
    got = values_and_gradients("cudnn", params, carry, xs, **options)
    want = values_and_gradients("scan", params, carry, xs, **options)
    assert_close(got, want, 1e-5)


@pytest.mark.parametrize("lead", [(), later((2, 2))])
def test_any_batch_axes(stand_in, lead):
    params, _, xs = example(steps=T + 1)
    xs = xs[:, : np.prod(lead, dtype=int)].reshape(T + 1, *lead, I)
    mask = jnp.arange(T + 1) < T
    run = functools.partial(jaxrnn.unroll, CELL, params, None, xs, mask=mask)
    assert_close(run(implementation="cudnn"), run(implementation="scan"), 1e-5)


WRAPPED = {
    "weight_norm": jaxrnn.weight_norm(CELL),
    "drop_connect": jaxrnn.drop_connect(CELL, 0.5),
    "learned_carry": jaxrnn.learned_carry(CELL),
    "no bias": jaxrnn.lstm(H, use_bias=False),
}


@pytest.mark.parametrize(
    "name", ["drop_connect", *map(later, sorted({*WRAPPED} - {"drop_connect"}))]
)
def test_wrappers_that_leave_the_equations_alone(stand_in, name):
    cell, xs = WRAPPED[name], example(steps=T + 8)[2]
    params = cell.init(jax.random.key(1), xs[0])

    def values(implementation):
        layer = jaxrnn.rnn(cell, implementation=implementation)
        return layer.apply(params, None, xs, key=jax.random.key(2))

    assert_close(values("cudnn"), values("scan"), 1e-5)


@pytest.mark.thorough
@pytest.mark.parametrize("of_weights", [False, True])
def test_under_vmap(stand_in, of_weights):
    """Forward in one call, gradients one after the other."""
    params, carry, xs = example(steps=T + 2)
    many = jnp.stack([xs, 2 * xs, -xs])
    several = jax.tree.map(lambda leaf: jnp.stack([leaf, -leaf, leaf / 2]), params)
    axes = (0 if of_weights else None, None, 0)
    given = several if of_weights else params, carry, many
    for function in (values_and_gradients, outputs):
        got, want = (
            jax.vmap(functools.partial(function, name), axes)(*given) for name in ("cudnn", "scan")
        )
        assert_close(got, want, 1e-5)


def outputs(implementation, params, carry, xs):
    return jaxrnn.unroll(CELL, params, carry, xs, implementation=implementation)


def test_one_call_for_a_mapped_axis_without_gradients(stand_in):
    params, carry, xs = example(steps=T + 3)
    run = jax.vmap(functools.partial(outputs, "cudnn", params, carry))
    text = str(jax.make_jaxpr(run)(jnp.stack([xs, xs])))
    assert f"f32[{2 * B},{T + 3},{I}]" in text  # batch first, as cuDNN has it
    assert text.count("name=lstm_ref") == 1


def test_what_has_no_derivative_says_so(stand_in):
    params, carry, xs = example(steps=T + 4)
    run = functools.partial(outputs, "cudnn", params, carry)
    with pytest.raises(TypeError, match=r"forward-mode.*custom_vjp"):
        jax.jvp(run, (xs,), (xs,))


def refused(cell, message, dtype=jnp.float32, **options):
    xs = jax.random.normal(jax.random.key(0), (T, B, I), dtype)
    params = cell.init(jax.random.key(1), xs[0])
    with pytest.raises(ValueError, match=rf"'cudnn'` cannot run this cell: .*{message}"):
        jaxrnn.unroll(cell, params, None, xs, implementation="cudnn", **options)


def test_what_it_cannot_do_is_refused(gpu):
    refused(jaxrnn.gru(H), "state equation of `jaxrnn.lstm`")
    refused(jaxrnn.lstm(H, activation=jax.nn.relu), "sigmoid and tanh alone")
    refused(CELL._replace(project=lambda params, x: x @ params.kernel), "the `project` of this")
    refused(CELL._replace(output=lambda params, carry, u: carry.c), "the `output` of this cell")
    refused(jaxrnn.zoneout(CELL, 0.1), "a wrapper that changes")
    refused(CELL, "in float32, not in bfloat16", jnp.bfloat16)
    refused(CELL, "in float32, not in float64", jnp.float64)
    refused(CELL, "no resets", resets=jnp.zeros((T, B), bool))
    nobody = jax.ShapeDtypeStruct((T, 0, I), jnp.float32)
    with pytest.raises(ValueError, match="cuDNN needs one sequence at least"):
        jaxrnn.explain(CELL, nobody, implementation="cudnn")
    gpu.setattr(rnn.gpu_rnn, "_cuda_rnn", None)
    refused(CELL._replace(), r"finds no cuDNN: .*jax\[cuda13\]")


@pytest.mark.skipif(jax.default_backend() == "gpu", reason="this is a GPU")
def test_another_platform_is_refused():
    refused(CELL, f"arrays are on {jax.default_backend()} here")


def test_none_takes_another(gpu):
    found = jaxrnn.explain(CELL, example()[2])
    assert found.implementation == "xla"
    assert found.reasons["cudnn"] == "available, not measured here: name it"


def test_precision(stand_in):
    """The gradient takes the precision of the forward pass, wherever it is asked for."""
    params, carry, xs = example(steps=T + 5)
    seen = []

    def watched(*args, precision, **options):
        seen.append(precision)
        return forward(*args, None, **options)

    def watched_backward(*args):
        seen.append(args[5])
        return backward(*args)

    stand_in.setattr(rnn, "lstm_fwd", watched)
    stand_in.setattr(rnn, "lstm_bwd", watched_backward)
    run = functools.partial(outputs, "cudnn", params, carry)
    run(xs)
    with jax.default_matmul_precision("highest"):
        out, pull = jax.vjp(run, xs)
    pull(out)
    assert seen[0] == jax.lax.Precision.HIGH
    assert set(seen[1:]) == {jax.lax.Precision.HIGHEST}
    with (
        jax.default_matmul_precision("bfloat16"),
        pytest.raises(ValueError, match=r"not in `jax.default_matmul_precision\('bfloat16'\)`"),
    ):
        run(xs)


BYTES = 1000  # of the workspace and of what is kept, which cuDNN itself tells on a GPU


@pytest.fixture
def cuda(gpu):
    """What JAX has with its CUDA plugin, as far as a program is lowered."""
    descriptor = SimpleNamespace(build_rnn_descriptor=lambda *sizes: str(sizes).encode())
    name = "compute_rnn_workspace_reserve_space_sizes"
    gpu.setattr(rnn.gpu_rnn, name, lambda *_: (BYTES, BYTES), raising=False)
    rules = {
        rnn.rnn_fwd_p: (rnn.gpu_rnn._rnn_fwd_lowering, rnn.gpu_rnn.cudnn_rnn_lowering),
        rnn.rnn_bwd_p: (rnn.gpu_rnn._rnn_bwd_lowering, rnn.gpu_rnn.cudnn_rnn_bwd_lowering),
    }
    for primitive, (rule, _) in rules.items():
        rule = functools.partial(rule, descriptor, "cu")
        mlir.register_lowering(primitive, rule, platform="cuda")
    yield
    for primitive, (_, rule) in rules.items():
        mlir.register_lowering(primitive, rule, platform="cuda")


@pytest.mark.skipif(jax.default_backend() == "gpu", reason="a GPU runs it")
def test_it_lowers_for_cuda(cuda):
    """One call forward, one more in the gradient, and no loop."""
    params, carry, xs = example(steps=T + 6)

    def calls(function):
        traced = jax.jit(function).trace(params, carry, xs)
        text = traced.lower(lowering_platforms=("cuda",)).as_text()
        assert "while" not in text
        return re.findall(r"custom_call @(\w+)\(", text)

    assert calls(functools.partial(outputs, "cudnn")) == ["cudnn_rnn_ffi"]
    gradient = functools.partial(values_and_gradients, "cudnn", mask=jnp.ones((T + 6, B), bool))
    assert calls(gradient) == ["cudnn_rnn_ffi", "cudnn_rnn_bwd_ffi"]
    twice = jax.grad(lambda xs: jnp.sum(gradient(params, carry, xs)[0][2]))
    with pytest.raises(NotImplementedError, match="Differentiation rule for 'rnn_fwd'"):
        jax.make_jaxpr(twice)(xs)


@pytest.mark.skipif(jax.default_backend() == "gpu", reason="a GPU runs it")
def test_gradients_of_weights_are_summed_over_devices(cuda):
    """The primitives of JAX do not say what varies between devices: the engine does."""
    params, _, xs = example(steps=T + 7)
    mesh = jax.make_mesh((1,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    rows = jax.P(None, "d")

    def loss(params, xs):
        return jnp.sum(jaxrnn.unroll(CELL, params, None, xs, implementation="cudnn")[1])

    gradient = jax.shard_map(jax.grad(loss), mesh=mesh, in_specs=(jax.P(), rows), out_specs=jax.P())
    text = str(jax.make_jaxpr(gradient)(params, xs))
    assert f"f32[{packed(params).size}] = psum_invariant[axes=('d',)]" in text


@pytest.mark.skipif(jax.default_backend() != "gpu", reason="this is no NVIDIA GPU")
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", MASKS)
def test_equals_the_scan_on_a_gpu(kind, reverse):
    with jax.default_matmul_precision("highest"):
        params, carry, xs = example()
        options = {"mask": MASKS[kind], "reverse": reverse}
        got = values_and_gradients("cudnn", params, carry, xs, **options)
        want = values_and_gradients("scan", params, carry, xs, **options)
    assert_close(got, want, 1e-5)
