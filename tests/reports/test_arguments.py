"""Arguments that other libraries took silently, or refused without saying why."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.laws.tables import cell_example

T, B, I, H = 3, 2, 2, 3
GRU = jaxrnn.gru(H)
EX = cell_example(GRU, shape=(T, B, I))

WRONG_CARRIES = {
    "the size of the observation": ((B, I), "(2, 3), got (2, 2)"),
    "one axis too many": ((1, B, H), "(2, 3), got (1, 2, 3)"),
}


@pytest.mark.parametrize("name", WRONG_CARRIES)
def test_a_carry_that_does_not_fit_is_named(name):
    """purejaxrl#29, keras#13869: the message has the field and both shapes."""
    shape, shapes = WRONG_CARRIES[name]
    carry = jaxrnn.HiddenCarry(jnp.zeros(shape))
    for run in (jaxrnn.unroll, jax.jit(jaxrnn.unroll, static_argnums=0)):
        with pytest.raises(ValueError, match=re.escape(f"`carry.h` must have shape {shapes}")):
            run(GRU, EX.params, carry, EX.xs)


WRONG_PARAMETERS = {
    "another size": (jaxrnn.gru(H + 1).init(jax.random.key(0), EX.xs[0]), ValueError, "(2, 12)"),
    "a bias of one number": (EX.params._replace(bias=jnp.zeros(1)), ValueError, "(1,)"),
    "a scalar bias": (EX.params._replace(bias=jnp.zeros(())), ValueError, "()"),
    "a bias with a batch axis": (EX.params._replace(bias=jnp.zeros((1, 9))), ValueError, "(1, 9)"),
    "a narrow kernel": (EX.params._replace(kernel=jnp.zeros((I, 1))), ValueError, "(2, 1)"),
    "mixed dtypes": (
        EX.params._replace(kernel=EX.params.kernel.astype(jnp.float32)),
        TypeError,
        "float32",
    ),
}


@pytest.mark.parametrize("implementation", ["scan", "xla", None])
@pytest.mark.parametrize("name", WRONG_PARAMETERS)
def test_parameters_of_another_shape_or_dtype(name, implementation):
    """Parameters of another size or dtype are named by every engine; nothing broadcasts."""
    params, error, got = WRONG_PARAMETERS[name]
    run = functools.partial(jaxrnn.unroll, GRU, implementation=implementation)
    with pytest.raises(error, match=rf"`params.*got {re.escape(got)}"):
        run(params, None, EX.xs)


FOREIGN = {
    "a masked array": (
        lambda x: np.ma.masked_array(x, x > 0),
        "`xs` must be plain arrays, got a masked array",
    ),
    "another byte order": (lambda x: x.astype(">f8"), "`xs` has another byte order"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_array_is_named(name):
    """Arrays of NumPy that JAX does not take are named, with what to do."""
    make, message = FOREIGN[name]
    with pytest.raises(TypeError, match=message):
        jaxrnn.unroll(GRU, EX.params, None, make(np.array(EX.xs)))


def test_a_tensor_is_named():
    """An input of torch is named, for `init` as for `unroll`."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    with pytest.raises(TypeError, match=r"`x` must be an array of JAX or NumPy.*torch"):
        GRU.init(jax.random.key(0), torch.ones(B, I))
    with pytest.raises(TypeError, match=r"`xs` must be an array of JAX or NumPy.*torch"):
        jaxrnn.unroll(GRU, EX.params, None, torch.ones(T, B, I))


def test_an_input_without_features_is_named():
    """`init` for I = 0 says that there must be a feature."""
    with pytest.raises(ValueError, match="`x` must have at least one feature"):
        GRU.init(jax.random.key(0), jnp.ones((B, 0)))
