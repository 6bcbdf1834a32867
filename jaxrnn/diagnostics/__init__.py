"""Diagnostics: what a recurrent network does, why it does not train, and what its inputs matter.

Functions of plain cells and layers, of parameters and sequences. `diagnose` looks for the usual
troubles and names cures. Others measure one thing each: gradients and Jacobians over time, Lyapunov
exponents, fixed points, gates, states, memory. Attributions say what a score owes to each input.
"""

from jaxrnn.diagnostics._attention_weights import attention_weights
from jaxrnn.diagnostics._attribution import IntegratedGradients, integrated_gradients, saliency
from jaxrnn.diagnostics._carry_gradients import CarryGradients, carry_gradients
from jaxrnn.diagnostics._check_health import check_health
from jaxrnn.diagnostics._context_length import ContextLength, context_length
from jaxrnn.diagnostics._contextual_decomposition import Decomposition, contextual_decomposition
from jaxrnn.diagnostics._dead_units import dead_units
from jaxrnn.diagnostics._diagnose import Report, diagnose
from jaxrnn.diagnostics._effective_rank import effective_rank
from jaxrnn.diagnostics._feature_occlusion import feature_occlusion
from jaxrnn.diagnostics._findings import Finding, Measures
from jaxrnn.diagnostics._first_nonfinite import NonFinite, first_nonfinite
from jaxrnn.diagnostics._fixed_points import FixedPoints, fixed_points
from jaxrnn.diagnostics._health import HealthState, record_health
from jaxrnn.diagnostics._jacobians import jacobians
from jaxrnn.diagnostics._linear_probe import Probe, linear_probe
from jaxrnn.diagnostics._lyapunov import LyapunovExponents, lyapunov_exponents
from jaxrnn.diagnostics._memory_capacity import MemoryCapacity, memory_capacity
from jaxrnn.diagnostics._occlusion import occlusion
from jaxrnn.diagnostics._principal_components import PrincipalComponents, principal_components
from jaxrnn.diagnostics._saturation import Saturation, gate_saturation
from jaxrnn.diagnostics._singular_values import SingularValues, singular_values

__all__ = [
    "CarryGradients",
    "ContextLength",
    "Decomposition",
    "Finding",
    "FixedPoints",
    "HealthState",
    "IntegratedGradients",
    "LyapunovExponents",
    "Measures",
    "MemoryCapacity",
    "NonFinite",
    "PrincipalComponents",
    "Probe",
    "Report",
    "Saturation",
    "SingularValues",
    "attention_weights",
    "carry_gradients",
    "check_health",
    "context_length",
    "contextual_decomposition",
    "dead_units",
    "diagnose",
    "effective_rank",
    "feature_occlusion",
    "first_nonfinite",
    "fixed_points",
    "gate_saturation",
    "integrated_gradients",
    "jacobians",
    "linear_probe",
    "lyapunov_exponents",
    "memory_capacity",
    "occlusion",
    "principal_components",
    "record_health",
    "saliency",
    "singular_values",
]


def __dir__():
    return __all__
