"""How a cell runs over a sequence: the call, the table of engines, and each engine in a file."""

from jaxrnn._core.exports import functions as _functions
from jaxrnn.engines._convergence import Convergence, convergence
from jaxrnn.engines._explain import Explanations, explain
from jaxrnn.engines._step import step
from jaxrnn.engines._table import Explanation
from jaxrnn.engines._unroll import unroll
from jaxrnn.engines.linear._linear_scan import linear_scan
from jaxrnn.engines.linear._log_linear_scan import log_linear_scan
from jaxrnn.engines.newton._options import Newton

__all__ = _functions(vars())
