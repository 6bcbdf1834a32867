"""The options of ``implementation="newton"``."""

import dataclasses
import numbers

from jaxrnn._core.checks import check_positive, check_size

FORMS = ("full", "diagonal")


@dataclasses.dataclass(frozen=True)
class Newton:
    """Options of ``implementation="newton"``, which solves any cell in parallel over time.

        h_t ← f_t(h_{t-1}) + (1 - k) J_t (h_{t-1} - the h_{t-1} before this iteration)

    at all steps t at once: a linear recurrence, in parallel over time. J_t is the derivative of the
    step f_t, or its diagonal, and k the damping. The iteration ends when nothing changes by more
    than the tolerance. After T iterations it is exact for any J_t. Where it has not converged, the
    plain scan runs.

    Attributes:
      jacobian: ``"full"`` is Newton's method (DEER): few iterations, and each multiplies n x n
        matrices, for the n floats of a row of the carry. ``"diagonal"`` keeps only the diagonals
        (quasi-DEER): more iterations, with n floats a step in place of n². None takes ``"full"``
        for n up to 64.
      damping: k, from 0 to 1, the scaled form of ELK. With 0 iterations are the fewest where they
        converge; a cell that amplifies small differences may need more; 1 leaves J_t out.
      tolerance: the largest change that ends the iteration, relative to a number of the carry where
        that is above 1 in magnitude. None means 4 times the spacing of numbers at 1, 4.8e-7 in
        float32 and 8.9e-16 in float64, or up to 4 times that where rounding keeps the change from
        shrinking further. A smaller tolerance may never be met. With ``"diagonal"`` or damping,
        where each iteration changes little less than the one before, the error that remains can be
        several times the tolerance.
      max_iterations: the bound on the iterations.

    Raises:
      ValueError, TypeError: `jacobian` is unknown, `damping` is not a number from 0 to 1,
        `tolerance` is not a finite number above 0, or `max_iterations` is not a positive integer.

    References: Lim et al., 2024, "Parallelizing non-linear sequential models over the sequence
    length" (DEER); Gonzalez et al., 2024, "Towards scalable and stable parallelization of nonlinear
    RNNs" (quasi-DEER, ELK and its scaled form).
    """

    _: dataclasses.KW_ONLY
    jacobian: str | None = None
    damping: float = 0.0
    tolerance: float | None = None
    max_iterations: int = 100

    def __post_init__(self):
        if self.jacobian is not None and self.jacobian not in FORMS:
            raise ValueError(
                f"`jacobian` must be None or one of {list(FORMS)}, got {self.jacobian!r}."
            )
        check_size("max_iterations", self.max_iterations)
        values = {"damping": _fraction("damping", self.damping)}
        if self.tolerance is not None:
            values["tolerance"] = check_positive("tolerance", self.tolerance)
        values["max_iterations"] = int(self.max_iterations)
        for name, value in values.items():
            object.__setattr__(self, name, value)


def _fraction(name, value):
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"`{name}` must be a number from 0 to 1, got {value!r}.")
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"`{name}` must be from 0 to 1, got {value}.")
    return float(value)
