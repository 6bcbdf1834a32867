"""What laws take of an unroll: its results and gradients, and its rows one by one."""

import functools

import jax

import jaxrnn
from tests.laws.tables import B, assert_close, total


def results_and_gradients(cell, ex, **choices):
    """The results, and the gradients of parameters, carry and inputs of a sum over all results.

    Args:
      cell: a `Cell`.
      ex: its example, with `mask` and `resets`.
      choices: of `jaxrnn.unroll`.
    """

    def loss(params, carry, xs):
        flags = {"mask": ex.mask, "resets": ex.resets}
        out = jaxrnn.unroll(cell, params, carry, xs, **flags | choices)
        return total(out), out

    # An integer leaf of the carry has no gradient that could be compared.
    run = jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True, allow_int=True)
    value, (dparams, dcarry, dxs) = jax.jit(run)(ex.params, ex.carry, ex.xs)
    dcarry = [leaf for leaf in jax.tree.leaves(dcarry) if leaf.dtype != jax.dtypes.float0]
    return value, (dparams, dcarry, dxs)


def check_rows(cell, ex, **choices):
    """`jax.vmap` over the rows of an example is a stack of single runs, with gradients.

    Args: as for `results_and_gradients`.
    """
    run = functools.partial(jaxrnn.unroll, cell, **choices)

    def loss(params, carry, xs, mask, resets):
        out = run(params, carry, xs, mask=mask, resets=resets)
        return total(out), out

    each = jax.value_and_grad(loss, argnums=(0, 2), has_aux=True)
    mapped = jax.jit(jax.vmap(each, in_axes=(None, 0, 1, 1, 1)))
    actual = mapped(ex.params, ex.carry, ex.xs, ex.mask, ex.resets)
    each = jax.jit(each)
    for row in range(B):
        carry = jax.tree.map(lambda leaf, row=row: leaf[row], ex.carry)
        want = each(ex.params, carry, ex.xs[:, row], ex.mask[:, row], ex.resets[:, row])
        assert_close(jax.tree.map(lambda leaf, row=row: leaf[row], actual), want, 1e-12)
