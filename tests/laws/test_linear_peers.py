"""Linear cells beside other libraries, with their weights: the outputs of whole sequences."""

import importlib
import importlib.util
import pathlib
import sys
import types
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn import cells
from tests.laws.tables import generator, noisy

torch = pytest.importorskip("torch", reason="torch is not installed: pip install torch==2.13.0")
T, B, I, H = 12, 3, 6, 4
XS = generator(jax.random.key(0)).standard_normal((T, B, I))


def import_alone(monkeypatch, module, *packages):
    """`module`, without what the packages around it import: kernels for GPUs, tokenizers."""
    found = importlib.util.find_spec(module.split(".")[0])
    if found is None:
        pytest.skip(f"{module.split('.')[0]} is not installed")
    pytest.importorskip("einops", reason="einops is not installed")
    for package in packages:
        bare = types.ModuleType(package)
        bare.__path__ = [str(pathlib.Path(found.origin).parent.joinpath(*package.split(".")[1:]))]
        monkeypatch.setitem(sys.modules, package, bare)
    return importlib.import_module(module)


def ours(cell, params, xs=XS):
    params = jax.tree.map(jnp.asarray, params)
    run = jax.jit(lambda params, xs: jaxrnn.unroll(cell, params, None, xs, implementation=None)[1])
    wanted = jax.eval_shape(cell.init, jax.random.key(0), xs[0])
    assert jax.tree.map(lambda p: (p.shape, p.dtype), params) == jax.tree.map(
        lambda p: (p.shape, p.dtype), wanted
    )
    return run(params, jnp.asarray(xs))


def array(tensor):
    return np.asarray(tensor.detach().numpy(), np.float64)


def batch_first(xs=XS, dtype=torch.float64):
    return torch.tensor(xs, dtype=dtype).transpose(0, 1)


@pytest.mark.parametrize("name", ["minGRU", "minLSTM"])
def test_minimal_cells_equal_mingru_pytorch(name):
    pytest.importorskip("minGRU_pytorch", reason="minGRU-pytorch is not installed")
    theirs = getattr(importlib.import_module(f"minGRU_pytorch.{name}"), name)(I).double()
    with torch.no_grad():
        want = theirs(batch_first()).transpose(0, 1)
    (kernel,) = map(array, theirs.parameters())
    if name == "minGRU":
        n, z = np.split(kernel.T, 2, -1)
        got = ours(jaxrnn.min_gru(I, use_bias=False), cells.MinGRUParams(np.hstack([z, n]), None))
    else:
        n, f, i = np.split(kernel.T, 3, -1)
        kernel = np.hstack([i, f, n])
        got = ours(jaxrnn.min_lstm(I, use_bias=False), cells.MinLSTMParams(kernel, None))
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


def test_rg_lru_equals_recurrentgemma(monkeypatch):
    pytest.importorskip("jaxtyping", reason="jaxtyping, which recurrentgemma asks for, is missing")
    module = "recurrentgemma.torch.layers"
    theirs = import_alone(monkeypatch, module, "recurrentgemma", "recurrentgemma.torch")
    theirs = theirs.RGLRU(I, 1).double()
    # At position 0 it does not scale what comes in.
    positions = torch.arange(1, T + 1).expand(B, T)
    with torch.no_grad():
        want, _ = theirs(batch_first(), positions, torch.zeros(B, I))
    gates = theirs.a_gate, theirs.input_gate
    params = cells.RGLRUParams(
        np.hstack([array(gate.w)[0] for gate in gates]),
        np.hstack([array(gate.b)[0] for gate in gates]),
        array(theirs.a_param),
    )
    got = ours(jaxrnn.rg_lru(I), params)
    np.testing.assert_allclose(got, want.transpose(0, 1), rtol=1e-5, atol=1e-6)


def test_lru_equals_lrnnx(monkeypatch):
    packages = "lrnnx", "lrnnx.models", "lrnnx.models.lti", "lrnnx.ops"
    theirs = import_alone(monkeypatch, "lrnnx.models.lti.lru", *packages).LRU(I, H)
    with torch.no_grad():
        want = theirs(batch_first(dtype=torch.float32)).transpose(0, 1)
    w = {name: array(p) for name, p in theirs.named_parameters()}
    params = cells.LRUParams(
        w["nu_log"],
        w["theta_log"],
        w["gamma_log"],
        np.vstack([w["B_re"], w["B_im"]]).T,
        np.hstack([w["C_re"], w["C_im"]]).T,
        w["D"],
    )
    np.testing.assert_allclose(ours(jaxrnn.lru(H), params), want, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("discretization", ["zoh", "bilinear"])
def test_s4d_equals_the_kernel_of_lrnnx(monkeypatch, discretization):
    """The kernel of the convolution that a diagonal state space is."""
    packages = "lrnnx", "lrnnx.models", "lrnnx.models.lti", "lrnnx.ops"
    utils = import_alone(monkeypatch, "lrnnx.ops.s4_utils", *packages)
    s4d = importlib.import_module("lrnnx.models.lti.s4d").S4D
    theirs = s4d(I, d_state=2 * H, l_max=T, init="diag-lin", disc=discretization)
    transforms = "real_transform", "imag_transform", "dt_transform", "dt_fast", "is_real", "repeat"
    with torch.no_grad():
        given = theirs.A_real, theirs.A_imag, theirs.B, theirs.C, theirs.inv_dt
        choices = [getattr(theirs, name) for name in transforms]
        step, eigenvalues, b, c, _ = utils.process_ssm_params(*given, *choices, 1.0)
        kernel = array(theirs.layer.kernel(T)[0])[0]  # (I, T)
    c = (b * c).detach().numpy()[0].astype(np.complex128)
    eigenvalues = np.broadcast_to(eigenvalues.detach().numpy(), c.shape).astype(np.complex128)
    params = cells.S4DParams(
        np.log(array(step)).reshape(I),
        np.log(-eigenvalues.real),
        eigenvalues.imag,
        np.hstack([c.real, c.imag]),
        np.zeros(I),
    )
    got = ours(jaxrnn.s4d(H, discretization=discretization), params)
    want = np.empty_like(XS)
    for row, i in np.ndindex(B, I):
        want[:, row, i] = np.convolve(kernel[i], XS[:, row, i])[:T]
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("discretization", ["zoh", "bilinear"])
def test_s5_equals_s5_pytorch(discretization):
    theirs = pytest.importorskip("s5.s5_model", reason="s5-pytorch is not installed")
    cell = jaxrnn.s5(H, discretization=discretization)
    params = noisy(cell.init(jax.random.key(1), XS[0]), jax.random.key(2))
    params = jax.tree.map(np.asarray, params)
    basis = torch.eye(H, dtype=torch.complex64)
    eigenvalues = torch.tensor(-np.exp(params.log_decay) + 1j * params.phase)
    options = {"discretization": discretization, "bcInit": "dense"}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        system = theirs.S5SSM(eigenvalues, basis, basis, I, H, 0.001, 0.1, **options)
        b = np.stack(np.split(params.kernel.T, 2), -1)
        real, imaginary = np.split(params.output_kernel.T, 2, -1)
        c = 2 * (real + 1j * imaginary)  # it takes the real part alone
        system.B.data = torch.tensor(b, dtype=torch.float32)
        system.C.data = torch.tensor(c, dtype=torch.complex64)
        system.D.data = torch.tensor(params.skip, dtype=torch.float32)
        system.log_step.data = torch.tensor(params.log_step, dtype=torch.float32)
        system.Lambda.data = eigenvalues.to(torch.complex64)
        want = torch.stack([system(xs) for xs in batch_first(dtype=torch.float32)], 1)
    np.testing.assert_allclose(ours(cell, params), want, rtol=1e-5, atol=1e-5)


def test_the_legs_matrix_is_that_of_s5_pytorch():
    init = pytest.importorskip("s5.init", reason="s5-pytorch is not installed")
    eigenvalues, _, _, vectors, _ = init.make_DPLR_HiPPO(2 * H)
    ours = jaxrnn.initializers.hippo_legs()(None, (2 * H,), jnp.float64)
    want = eigenvalues[H:]
    np.testing.assert_allclose(ours, np.concatenate([want.real, want.imag]), atol=1e-10)
    # The same input kernel in its basis, but for the phases of the eigenvectors.
    key = jax.random.key(0)
    drawn = np.asarray(jaxrnn.initializers.hippo_legs_kernel()(key, (I, 2 * H), jnp.float64))
    plain = jax.random.normal(key, (I, 2 * H), jnp.float64) * I**-0.5
    want = np.abs(np.asarray(plain) @ vectors[:, H:].conj())
    np.testing.assert_allclose(np.abs(drawn[:, :H] + 1j * drawn[:, H:]), want, atol=1e-10)


@pytest.mark.parametrize("size", [I, H])
@pytest.mark.parametrize("use_tanh", [False, True])
def test_sru_equals_sru(size, use_tanh):
    if importlib.util.find_spec("sru") is None:
        pytest.skip("sru is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:  # it compiles a kernel when it is imported
            sru = importlib.import_module("sru")
        except (ImportError, OSError, RuntimeError) as error:
            pytest.skip(f"sru cannot be imported: {error}")
        theirs = sru.SRUCell(I, size, v1=True, use_tanh=use_tanh, rescale=False).double()
        theirs.bias.data.normal_()
        want = theirs(torch.tensor(XS))[0].detach()
    weights = array(theirs.weight).reshape(I, size, -1)
    highway = None if size == I else weights[..., 3]
    kernel = np.moveaxis(weights[..., :3], -1, 1).reshape(I, -1)
    cell = jaxrnn.sru(size) if use_tanh else jaxrnn.sru(size, lambda c: c)
    got = ours(cell, cells.SRUParams(kernel, array(theirs.bias), highway))
    np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)
