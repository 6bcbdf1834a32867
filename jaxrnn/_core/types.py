"""The two types that everything is made of: a cell is one time step, a layer is a whole sequence.

Both are bundles of pure functions. Parameters and carries are pytrees of arrays, most often
NamedTuples; nothing is hidden in an object, and behavior changes by wrapping:
``cell._replace(update=...)``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxrnn._core.checks import check_bool, check_size, describe
from jaxrnn._core.construction import Constructed

Params = Any  # a pytree of arrays
Carry = Any  # a pytree of arrays; what a cell hands from one time step to the next


def hidden(params: Params, carry: Carry, u: Any) -> Any:
    """The output of most cells: the ``h`` of the new carry, or a carry that is one array.

    Args: `params`, `carry` and `u`, as for every ``output``; only the carry is read.

    Raises:
      TypeError: the carry is a tuple without a field ``h``.

    Examples:
      >>> carry = jaxrnn.LSTMCarry(h=jnp.ones(4), c=jnp.zeros(4))
      >>> jaxrnn.authoring.hidden(None, carry, None).tolist()
      [1.0, 1.0, 1.0, 1.0]
      >>> jaxrnn.gru(4).output is jaxrnn.authoring.hidden
      True
    """
    if isinstance(carry, tuple) and not hasattr(carry, "h"):
        raise TypeError(
            f"the carry {type(carry).__name__} has no field `h` to be the output: give the cell an "
            "`output(params, carry, u)`, such as `Cell(..., output=lambda params, carry, u: ...)`."
        )
    return getattr(carry, "h", carry)


def unchanged(params: Params, context: Any) -> Params:
    """The `prepare` of a cell whose parameters are used as they are.

    Args: `params`, which it returns, and `context`, which it does not read.

    Examples:
      >>> params = {"kernel": jnp.ones((5, 4))}
      >>> jaxrnn.authoring.unchanged(params, context=None) is params
      True
      >>> jaxrnn.lstm(4).prepare is jaxrnn.authoring.unchanged
      True
    """
    return params


def nothing(params: Params, carry: Carry) -> tuple:
    """The `recur` of a cell without recurrent weights: an empty tuple, whatever the arguments.

    Args: `params` and `carry`, as for every ``recur``.

    Examples:
      >>> jaxrnn.authoring.nothing(None, jnp.zeros(4))
      ()
      >>> jaxrnn.lru(4).recur is jaxrnn.authoring.nothing  # a linear cell
      True
    """
    return ()


class _CellFields(NamedTuple):
    init: Callable[[Any, Any], Params]
    init_carry: Callable[[Params, Any], Carry]
    project: Callable[[Params, Any], Any]
    recur: Callable[[Params, Carry], Any]
    update: Callable[[Params, Carry, Any, Any], Carry]
    output: Callable[[Params, Carry, Any], Any] = hidden
    prepare: Callable[[Params, Any], Params] = unchanged
    noise: Callable[[Params, Any, Any, Any], Any] | None = None
    num_feature_axes: int = 1
    reads_time: bool = False


class Cell(Constructed, _CellFields):
    """One time step: a state equation and an output equation.

        u = project(params, x),  v = recur(params, carry)
        carry' = update(params, carry, u, v)
        y = output(params, carry', u)

    Attributes:
      init: ``(key, x) -> params``. ``x`` is an example step ``(..., I)``, an array or a
        ``jax.ShapeDtypeStruct``; only its shape and dtype are read. Parameters take its dtype.
      init_carry: ``(params, x) -> carry``, the initial carry for steps like ``x``. It is given the
        parameters, as `init` makes them, so that an initial carry can be learned.
      project: ``(params, x) -> u``, input-to-hidden. It never sees the carry, so it leaves the
        loop.
      recur: ``(params, carry) -> v``, hidden-to-hidden. It is linear in the carry, so its weight
        gradient leaves the backward loop. A cell without recurrent weights returns ``()``.
      update: ``(params, carry, u, v) -> carry``, the state equation. It may multiply by a
        parameter: each such product is one more in the loops.
      output: ``(params, carry, u) -> y``, the output equation, of the new carry. It runs after the
        loop, on all steps at once, or in it, as the engine chooses. By default y is ``carry.h``, or
        a carry that is one array.
      prepare: ``(params, context) -> params``, once a sequence, before everything but `init` and
        `init_carry`: what is constant over time, such as weights made from other weights, or an
        encoder's memory taken from ``context``. By default the parameters as they are.
      noise: ``(params, key, step, x) -> noise``, for a cell that draws random numbers, such as
        `jaxrnn.zoneout`: what one sequence needs at its step number `step`, from its own key. x is
        an example of one input (I,). The cell then also takes `jaxrnn.Noisy` inputs; without noise
        it is deterministic.
      num_feature_axes: how many axes one input has, (I,) by default: 3 for pictures
        (height, width, channels). All axes before them are batch axes.
      reads_time: whether its inputs are `jaxrnn.Timed(x, dt)`, for a cell that reads how much time
        has passed since the step before. Other cells get the features x alone.

    Leading axes of ``x`` and of the carry are batch axes: `project`, `recur` and `output` accept
    any number of them (``x @ params.kernel`` does). Every leaf of the carry keeps its shape and
    dtype.
    """


class _LayerFields(NamedTuple):
    init: Callable[[Any, Any], Params]
    init_carry: Callable[[Params, Any], Carry]
    apply: Callable[..., tuple[Carry, Any]]


class Layer(Constructed, _LayerFields):
    """A whole sequence; ``xs`` is time-first, ``(T, ..., I)``.

    Attributes:
      init: ``(key, xs) -> params``. ``xs`` is an example sequence, or only its shape and dtype.
      init_carry: ``(params, xs) -> carry``, the initial carry for sequences like ``xs``.
      apply: ``(params, carry, xs, *, mask=None, resets=None, key=None, context=None) -> (carry,
        ys)``. ``carry=None`` means the initial carry and ``key=None`` means deterministic, as in
        evaluation. `mask`, `resets` and `context` are as in `jaxrnn.unroll`; a layer made of
        others hands `context` to all of them. Applying a layer to two chunks one after the other,
        handing the carry on, equals applying it to the whole.
    """


class WholeStep(NamedTuple):
    """The `update` of a cell that `from_step` made: a step that makes its output as well."""

    step: Callable[[Params, Carry, Any], tuple[Carry, Any]]

    def __call__(self, params, carry, u, v):
        return self.step(params, carry, u)[0]


def from_step(
    init: Callable[[Any, Any], Params],
    init_carry: Callable[[Params, Any], Carry],
    step: Callable[[Params, Carry, Any], tuple[Carry, Any]],
) -> Cell:
    """A cell from its whole step, for steps with control flow of their own.

    It has masks, resets and streaming like any cell, and runs on the plain scan,
    ``implementation="scan"``. A step whose second product needs the gate of the first is better
    written as a `Cell`: its `update` may multiply by a parameter.

    Args:
      init: ``(key, x) -> params``.
      init_carry: ``(params, x) -> carry``.
      step: ``(params, carry, x) -> (carry, y)``.

    Returns:
      A `Cell` with the carry of `step`.

    Raises:
      TypeError: an argument is not a function.

    Examples:
      >>> def step(params, carry, x):
      ...     largest = jnp.maximum(carry, x)
      ...     return largest, x - largest
      >>> cell = jaxrnn.from_step(lambda key, x: (), lambda params, x: jnp.zeros_like(x), step)
      >>> carry, ys = jaxrnn.unroll(cell, (), None, jnp.array([[1.0], [3.0], [2.0]]))  # (T, I)
      >>> ys.ravel().tolist(), carry.tolist()
      ([0.0, 0.0, -1.0], [3.0])
    """
    for name, function in (("init", init), ("init_carry", init_carry), ("step", step)):
        if not callable(function):
            raise TypeError(f"`{name}` must be a function, got {function!r}.")
    return Cell(init, init_carry, _input, nothing, WholeStep(step), _no_output)


def is_whole(cell: Cell) -> bool:
    """Whether `cell` came from `from_step`, so that its output is no function of its carry."""
    return isinstance(cell.update, WholeStep)


def advance(cell: Cell, params: Params, carry: Carry, u: Any) -> tuple[Carry, Any]:
    """The new carry and the output, from parameters that are prepared and an input projected."""
    if is_whole(cell):
        return cell.update.step(params, carry, u)
    carry = cell.update(params, carry, u, cell.recur(params, carry))
    return carry, cell.output(params, carry, u)


def check_cell(cell: Any) -> None:
    """Raises unless `cell` is a `Cell`."""
    if isinstance(cell, Layer):
        raise TypeError(
            f"`cell` must be a Cell, got the Layer {cell!r}. Run a layer with its own `apply`, and "
            "wrap a cell before `jaxrnn.rnn` makes it a layer."
        )
    if not isinstance(cell, Cell):
        raise TypeError(
            f"`cell` must be a Cell such as `jaxrnn.lstm(128)`, got {cell!r}. "
            "Make one of your own with `jaxrnn.Cell` or `jaxrnn.from_step`."
        )
    *functions, num_feature_axes, reads_time = cell
    for name, function in zip(cell._fields, functions, strict=False):
        if not callable(function) and not (name == "noise" and function is None):
            raise TypeError(f"`{name}` of a Cell must be a function, got {function!r}.")
    check_size("num_feature_axes", num_feature_axes)
    check_bool("reads_time", reads_time)


def check_splits(name: str, cell: Any) -> None:
    """Raises unless `cell` is a `Cell` with an output equation, as the wrapper `name` needs."""
    check_cell(cell)
    if is_whole(cell):
        raise ValueError(
            f"`{name}` changes the carry between the state equation and the output equation, and "
            "this cell, made by `from_step`, has both in one. Write it as a `jaxrnn.Cell`."
        )


def check_layer(name: str, layer: Any) -> None:
    """Raises unless `layer` is a `Layer`."""
    if isinstance(layer, Layer):
        return
    raise TypeError(f"{name} must be a Layer, got {describe(layer)}.{_hint(layer)}")


def _hint(layer):
    if isinstance(layer, Cell):
        return " A cell becomes a layer with `jaxrnn.rnn(cell)`."
    if type(layer) in (list, tuple):
        return " Layers in a row are one layer with `jaxrnn.stack(*layers)`."
    if callable(layer) or isinstance(layer, Constructed):
        return " If it is a pool, put it after the layer: `jaxrnn.stack(layer, pool)`."
    return ""


def _input(params, x):
    return x


def _no_output(params, carry, u):
    raise TypeError("the output of a cell made by `from_step` is not a function of its carry")
