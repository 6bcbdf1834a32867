"""The block that deep stacks of linear cells are made of."""

import jax

from jaxrnn._core.checks import check_rate, check_size
from jaxrnn._core.entry import constructor
from jaxrnn._core.types import Layer, check_layer
from jaxrnn.activations import Activation
from jaxrnn.layers._dropout import dropout
from jaxrnn.layers._glu import glu
from jaxrnn.layers._norm import layer_norm
from jaxrnn.layers._residual import residual
from jaxrnn.layers._stack import stack


@constructor
def deep_block(
    layer: Layer,
    features: int,
    *,
    rate: float = 0.0,
    activation: Activation = jax.nn.gelu,
) -> Layer:
    """Block of a deep network: normalization, a layer over time, a gate, dropout, and a residual.

        y = x + dropout(glu(φ(layer(layer_norm(x)))))

    Linear cells such as `jaxrnn.lru` mix steps but not features of their state in a nonlinear way;
    φ and the gate do that, and blocks are put on top of each other:
    ``stack(dense(64), *4 * [deep_block(rnn(lru(64)), 64)], dense(10))``. For other orders, write
    the composition: ``residual(stack(layer_norm(), layer, glu(features), dropout(rate)))``.

    Args:
      layer: a layer of any width that returns a sequence.
      features: I, of the input and the output.
      rate: of the dropout of the output of the gate, in [0, 1).
      activation: element-wise, φ.

    Returns:
      A `Layer` with the parameters and the carry of the stack of `layer_norm`, `layer`, `glu` and
      `dropout`: (T, ..., I) -> (T, ..., I).

    Raises:
      TypeError: `layer` is not a `Layer`, or `activation` is not a function.
      ValueError: the input does not have I = `features` features, or `rate` is not in [0, 1).

    References: Gu, Goel and Ré, 2022, "Efficiently modeling long sequences with structured state
    spaces" (S4); Smith, Warrington and Linderman, 2023, "Simplified state space layers for sequence
    modeling" (S5); Orvieto et al., 2023, "Resurrecting recurrent neural networks for long
    sequences" (LRU).

    Examples:
      >>> block = jaxrnn.deep_block(jaxrnn.rnn(jaxrnn.lru(16)), 8, rate=0.1)
      >>> model = jaxrnn.stack(jaxrnn.dense(8), block, block, jaxrnn.dense(3))
      >>> summary = jaxrnn.summary(model, jax.ShapeDtypeStruct((20, 2, 4), jnp.float32))
      >>> [row.layer for row in summary.rows[1:5]]
      ['layer_norm()', 'rnn(lru(16))', 'glu(8, activation=gelu)', 'dropout(0.1)']
      >>> summary.total.outputs
      'float32(20, 2, 3)'
    """
    check_layer("`layer`", layer)
    check_size("features", features)
    check_rate("rate", rate)
    gate = glu(features, activation=activation)
    return residual(stack(layer_norm(), layer, gate, dropout(rate)))
