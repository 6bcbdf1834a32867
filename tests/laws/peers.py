"""Plain forms of cells in other libraries, from one file each: the packages ask for much else."""

import importlib.util
import pathlib
from collections.abc import Callable
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.laws.tables import generator


def plain_form(package: str, path: str) -> ModuleType:
    """The module of one file of an installed package; the test is skipped without the package."""
    found = importlib.util.find_spec(package)
    if found is None:
        pytest.skip(f"{package} is not installed")
    file = pathlib.Path(next(iter(found.submodule_search_locations))) / path
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def assert_equals(cell: jaxrnn.Cell, theirs: Callable, num_steps=9, batch=3, features=4) -> None:
    """Outputs and gradients of the inputs of `cell`, with random parameters, are those of torch.

    Args:
      cell: ours.
      theirs: ``(params, xs) -> outputs``, time first, of tensors in float64.
    """
    import torch

    rng = generator(jax.random.key(0))
    xs = rng.standard_normal((num_steps, batch, features))
    params = cell.init(jax.random.key(1), jnp.zeros((batch, features)))
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.standard_normal(leaf.shape)), params)
    shape = jax.eval_shape(lambda xs: jaxrnn.unroll(cell, params, None, xs)[1], xs).shape
    weights = rng.standard_normal(shape)

    @jax.jit
    def ours(xs):
        _, ys = jaxrnn.unroll(cell, params, None, xs)
        return (weights * ys).sum(), ys

    grad, ys = jax.grad(ours, has_aux=True)(jnp.asarray(xs))
    given = torch.tensor(xs, requires_grad=True)
    outputs = theirs(jax.tree.map(lambda leaf: torch.tensor(np.asarray(leaf)), params), given)
    (torch.tensor(weights) * outputs).sum().backward()
    np.testing.assert_allclose(ys, outputs.detach(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(grad, given.grad, rtol=1e-9, atol=1e-11)
