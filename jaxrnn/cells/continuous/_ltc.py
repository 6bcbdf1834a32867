"""Liquid time-constant networks (LTC)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_features, check_key, check_params, check_size
from jaxrnn._core.drawing import draw
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import over_rows, softplus, sum_dtype, wide_update, with_axes
from jaxrnn._core.timed import features, gaps
from jaxrnn._core.types import Cell, nothing
from jaxrnn.cells._gated import HiddenCarry
from jaxrnn.initializers import in_float32


class Synapses(NamedTuple):
    """Connections from J units to H: their conductance is a sigmoid of the unit they come from."""

    weight: jax.Array  # (J, H); softplus makes it the greatest conductance
    steepness: jax.Array  # (J, H)
    midpoint: jax.Array  # (J, H)
    reversal: jax.Array  # (J, H), the potential that the connection pulls to


class LTCParams(NamedTuple):
    sensory: Synapses  # from I inputs
    recurrent: Synapses  # from H units
    leak: jax.Array  # (H,); softplus makes it a conductance
    rest: jax.Array  # (H,), the potential at rest
    capacitance: jax.Array  # (H,); softplus makes it positive


@constructor
def ltc(hidden_size: int, *, num_substeps: int = 6) -> Cell:
    """Liquid time-constant network: neurons whose time constants depend on their inputs (LTC).

        C dh/dt = g (h_rest - h) + Σ_j w_j σ(γ_j (v_j - μ_j)) (E_j - h)

    The sum runs over all inputs and units v_j. Each step solves it over the time since the step
    before, Δt, in `num_substeps` steps of a semi-implicit Euler method, which stays stable however
    long Δt is. The conductances g, w and the capacitance C are the softplus of parameters. Memory
    and time grow with H² for each sequence, so the network suits tens of units, not hundreds.

    Args:
      hidden_size: H.
      num_substeps: how many steps of the solver one time step takes.

    Returns:
      A `Cell` for inputs `jaxrnn.Timed`, with parameters `LTCParams` and carry `HiddenCarry`; its
      output is h', (..., H).

    Raises:
      ValueError, TypeError: a size is not a positive integer.

    References: Hasani, Lechner, Amini, Rus and Grosu, 2021, "Liquid time-constant networks".

    Examples:
      >>> layer = jaxrnn.rnn(jaxrnn.ltc(8, num_substeps=2))
      >>> xs = jaxrnn.Timed(jnp.ones((3, 4)), jnp.array([0.1, 1e4, 0.1]))  # a gap of 10,000
      >>> params = layer.init(jax.random.key(0), xs)
      >>> carry, ys = layer.apply(params, None, xs)
      >>> ys.shape, bool(jnp.isfinite(ys).all())
      ((3, 8), True)
    """
    check_size("hidden_size", hidden_size)
    check_size("num_substeps", num_substeps)

    def init(key, x):
        check_key(key)
        x = features(x)
        check_features(x)
        keys = jax.random.split(key, 5)
        like = (hidden_size,), x.dtype
        return LTCParams(
            _draw_synapses(keys[0], (x.shape[-1], hidden_size), x.dtype),
            _draw_synapses(keys[1], (hidden_size, hidden_size), x.dtype),
            draw("leak", _uniform(0.001, 1.0), keys[2], *like),
            draw("rest", _uniform(-0.2, 0.2), keys[3], *like),
            draw("capacitance", _uniform(0.4, 0.6), keys[4], *like),
        )

    def init_carry(params, x):
        check_params(params, LTCParams)
        x = features(x)
        check_features(x)
        return HiddenCarry(jnp.zeros((*x.shape[:-1], hidden_size), params.leak.dtype))

    @wide_update
    def update(params, carry, u, v):
        sensory, dt = u
        dt, h = dt / num_substeps, carry.h
        leak, rest, capacitance = (over_rows(leaf, h) for leaf in params[2:])
        for _ in range(num_substeps):
            conductance, current = map(jnp.add, sensory, _through(params.recurrent, h))
            inertia = capacitance * h + dt * (current + leak * rest)
            h = inertia / (capacitance + dt * (leak + conductance))
        return HiddenCarry(h)

    return Cell(init, init_carry, _project, nothing, update, prepare=_prepare, reads_time=True)


def _draw_synapses(key, shape, dtype):
    inits = {
        "weight": _uniform(0.001, 1.0),
        "steepness": _uniform(3.0, 8.0),
        "midpoint": _uniform(0.3, 0.8),
        "reversal": jax.random.rademacher,
    }
    keys = jax.random.split(key, 4)
    given = zip(inits.items(), keys, strict=True)
    return Synapses(*(draw(name, init, k, shape, dtype) for (name, init), k in given))


def _uniform(low, high):
    def init(key, shape, dtype):
        return jax.random.uniform(key, shape, dtype, low, high)

    return in_float32(init)


def _prepare(params, context):
    """What must be positive made so, and what the loop reads in the dtype of its sums."""
    wide = sum_dtype(params.leak.dtype)
    sensory, *rest = params._replace(
        sensory=_positive(params.sensory),
        recurrent=_positive(params.recurrent),
        leak=softplus(params.leak),
        capacitance=softplus(params.capacitance),
    )
    return LTCParams(sensory, *jax.tree.map(lambda leaf: leaf.astype(wide), rest))


def _positive(synapses):
    return synapses._replace(weight=softplus(synapses.weight))


def _project(params, x):
    synapses, wide = params.sensory, params.leak.dtype
    check_features(x.x, synapses.weight.shape[0], synapses.weight.dtype)
    synapses, values = jax.tree.map(lambda leaf: leaf.astype(wide), (synapses, x.x))
    return _through(synapses, values), gaps(x, wide)


def _through(synapses, values):
    """The conductance and the current that the synapses from `values` (..., J) add up to."""
    values = values[..., None]
    weight, steepness, midpoint, reversal = (with_axes(values.ndim, leaf) for leaf in synapses)
    conductance = weight * jax.nn.sigmoid(steepness * (values - midpoint))
    return conductance.sum(-2), (conductance * reversal).sum(-2)
