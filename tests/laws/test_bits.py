"""Ways to run one sequence that agree to the last bit, in float32 on a CPU.

The plain scan makes the same step whatever the chunks, and so do the native kernels, which sum
every product in the order of its terms. The input projection of ``"xla"`` is one product over many
time steps, and XLA sums it in an order that depends on their number: apart from that product, its
loop agrees to the last bit too. A sequence without a batch axis is multiplied as a vector there,
which is another order again.
"""

import functools

import jax
import jax.numpy as jnp
import pytest

import jaxrnn
from jaxrnn.engines.cpu._library import problem
from tests.laws.tables import assert_same

T, B, I, H = 20, 7, 33, 130
CELLS = {
    "lstm": jaxrnn.lstm(H),
    "gru": jaxrnn.gru(H),
    "elman": jaxrnn.elman(H),
    "gru_reset_before": jaxrnn.gru(H, reset_after=False),
    "layer_norm_lstm": jaxrnn.layer_norm_lstm(H),
}
FAST = ["xla", "native"] if problem() is None else ["xla"]
RUNS = [(name, "scan") for name in CELLS]
RUNS += [(name, run) for name in ("lstm", "gru", "elman") for run in FAST]


def projected(cell):
    """`cell` for inputs that are already projected."""

    def init(key, u):
        return cell.init(key, jax.ShapeDtypeStruct((I,), u.dtype))

    return cell._replace(init=init, project=lambda params, u: u)


@pytest.fixture(autouse=True)
def on_a_cpu():
    if jax.default_backend() != "cpu":
        pytest.skip("the order of sums is that of a CPU")


@pytest.mark.parametrize(("name", "implementation"), RUNS)
def test_chunked_and_per_step_and_vmapped_are_the_whole(name, implementation):
    cell = CELLS[name]
    xs = jax.random.normal(jax.random.key(0), (T, B, I), jnp.float32)
    params = cell.init(jax.random.key(1), xs[0])
    start = cell.init_carry(params, xs[0])
    if implementation == "xla":
        cell, xs = projected(cell), cell.project(params, xs)
    unroll = functools.partial(jaxrnn.unroll, cell, implementation=implementation)
    run = jax.jit(unroll)
    whole = run(params, start, xs)

    carry, pieces = start, []
    for at in (slice(0, 1), slice(1, 8), slice(8, T)):
        carry, ys = run(params, carry, xs[at])
        pieces.append(ys)
    assert_same((carry, jnp.concatenate(pieces)), whole)

    carry, pieces = start, []
    for t in range(T):
        carry, ys = run(params, carry, xs[t : t + 1])
        pieces.append(ys)
    assert_same((carry, jnp.concatenate(pieces)), whole)
    if implementation == "native":
        alone, pieces = jax.tree.map(lambda leaf: leaf[:1], start), []
        for t in range(T):
            alone, ys = run(params, alone, xs[t : t + 1, :1])
            pieces.append(ys)
        first = jax.tree.map(lambda leaf: leaf[:1], whole[0]), whole[1][:, :1]
        assert_same((alone, jnp.concatenate(pieces)), first)
    else:  # the gates of a native kernel are polynomials of its own
        step = jax.jit(functools.partial(jaxrnn.step, cell))
        carry, pieces = start, []
        for x in xs:
            carry, y = step(params, carry, x)
            pieces.append(y)
        assert_same((carry, jnp.stack(pieces)), whole)

    assert_same(jax.jit(jax.vmap(unroll, (None, 0, 1), (0, 1)))(params, start, xs), whole)
