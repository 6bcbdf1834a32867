"""Initial values of linear state spaces: eigenvalues, kernels in their basis, and time steps.

Eigenvalues come in conjugate pairs, one of each pair is kept, and complex numbers are stored as
real parts followed by imaginary parts.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._core.checks import check_positive, check_size
from jaxrnn._core.construction import recorded
from jaxrnn._core.numerics import sum_dtype


@recorded
def ring(least_radius: float = 0.9, most_radius: float = 0.999) -> Callable[..., jax.Array]:
    """Decays ν of eigenvalues λ that lie evenly over a ring (Orvieto et al., 2023).

    |λ| = exp(-exp ν), as `jaxrnn.lru` stores it.

    Args:
      least_radius: the least |λ|, above 0.
      most_radius: the greatest |λ|, below 1.

    Raises:
      ValueError, TypeError: the radii are not in order, or not above 0 and below 1.

    Examples:
      >>> nu = jaxrnn.initializers.ring(0.9, 0.99)(jax.random.key(0), (64,))
      >>> radius = jnp.exp(-jnp.exp(nu))
      >>> bool(radius.min() > 0.899), bool(radius.max() < 0.991)
      (True, True)
    """
    least_radius = check_positive("least_radius", least_radius)
    most_radius = check_positive("most_radius", most_radius)
    if not least_radius <= most_radius < 1:
        raise ValueError(
            "`least_radius` must be at most `most_radius`, and this below 1, got "
            f"{least_radius} and {most_radius}."
        )

    def init(key, shape, dtype=jnp.float32):
        wide = sum_dtype(dtype)
        squares = jax.random.uniform(key, shape, wide, least_radius**2, most_radius**2)
        return jnp.log(-0.5 * jnp.log(squares)).astype(dtype)

    return init


@recorded
def log_phase(most_phase: float = 2 * math.pi) -> Callable[..., jax.Array]:
    """Logarithms of phases that are spread evenly up to the greatest (Orvieto et al., 2023).

    Args:
      most_phase: the greatest phase, in radians, above 0.

    Raises:
      ValueError, TypeError: `most_phase` is not a finite number above 0.

    Examples:
      >>> init = jaxrnn.initializers.log_phase(most_phase=0.1)  # for long sequences
      >>> phases = jnp.exp(init(jax.random.key(0), (64,)))
      >>> bool(phases.min() > 0), bool(phases.max() < 0.1001)
      (True, True)
    """
    most_phase = check_positive("most_phase", most_phase)

    def init(key, shape, dtype=jnp.float32):
        share = jax.random.uniform(key, shape, sum_dtype(dtype), 1e-3, 1.0)
        return jnp.log(share * most_phase).astype(dtype)

    return init


@recorded
def log_step(least_step: float = 1e-3, most_step: float = 1e-1) -> Callable[..., jax.Array]:
    """Logarithms of time steps, spread evenly between two logarithms (Gu et al., 2022).

    A state that decays at rate r remembers for about 1 / (r Δ) inputs, where Δ is its time step.

    Args:
      least_step: the least time step, above 0.
      most_step: the greatest.

    Raises:
      ValueError, TypeError: the steps are not in order, or not above 0.

    Examples:
      >>> init = jaxrnn.initializers.log_step(0.01, 1.0)
      >>> steps = jnp.exp(init(jax.random.key(0), (64,)))
      >>> bool(steps.min() > 0.0099), bool(steps.max() < 1.0001)
      (True, True)
    """
    least_step = check_positive("least_step", least_step)
    most_step = check_positive("most_step", most_step)
    if least_step > most_step:
        raise ValueError(
            f"`least_step` must be at most `most_step`, got {least_step} and {most_step}."
        )
    least, most = math.log(least_step), math.log(most_step)

    def init(key, shape, dtype=jnp.float32):
        return jax.random.uniform(key, shape, sum_dtype(dtype), least, most).astype(dtype)

    return init


@recorded
def s4d_lin() -> Callable[..., jax.Array]:
    """Eigenvalues λ_n = -1/2 + iπn of a state space in continuous time (Gu et al., 2022).

    The shape ends in 2N: N real parts, then N imaginary parts.

    Examples:
      >>> re, im = jaxrnn.initializers.s4d_lin()(None, (6,)).reshape(2, 3)
      >>> re.tolist(), (im / jnp.pi).round(3).tolist()
      ([-0.5, -0.5, -0.5], [0.0, 1.0, 2.0])
    """
    return _spectrum(lambda n, size: (np.full(size, -0.5), math.pi * n))


@recorded
def s4d_inv() -> Callable[..., jax.Array]:
    """Eigenvalues λ_n = -1/2 + i (2N/π) (2N / (2n + 1) - 1) (Gu et al., 2022).

    The shape ends in 2N: N real parts, then N imaginary parts. They are close to the
    eigenvalues of `hippo_legs`, and most of them are slow.

    Examples:
      >>> re, im = jaxrnn.initializers.s4d_inv()(None, (6,)).reshape(2, 3)
      >>> re.tolist(), (im * jnp.pi * 5).round().tolist()
      ([-0.5, -0.5, -0.5], [150.0, 30.0, 6.0])
    """
    return _spectrum(
        lambda n, size: (
            np.full(size, -0.5),
            2 * size / math.pi * (2 * size / (2 * n + 1) - 1),
        )
    )


@recorded
def s4d_real() -> Callable[..., jax.Array]:
    """Eigenvalues λ_n = -(n + 1), which are real (Gu et al., 2022).

    The shape ends in 2N: N real parts, then N zeros.

    Examples:
      >>> jaxrnn.initializers.s4d_real()(None, (6,)).tolist()  # N = 3
      [-1.0, -2.0, -3.0, 0.0, 0.0, 0.0]
    """
    return _spectrum(lambda n, size: (-(n + 1), np.zeros(size)))


@recorded
def hippo_legs(num_blocks: int = 1) -> Callable[..., jax.Array]:
    """Eigenvalues of the normal part of the HiPPO-LegS matrix (Gu et al., 2020).

    The shape ends in 2N: N real parts, all -1/2, then N imaginary parts. The matrix has 2N rows.

    Args:
      num_blocks: how many smaller matrices are side by side; N must be a multiple of it.

    Raises:
      ValueError, TypeError: `num_blocks` is not a positive integer, or does not fit the shape.

    Examples:
      >>> values = jaxrnn.initializers.hippo_legs(num_blocks=2)(None, (8,))  # N = 4
      >>> values[:4].tolist()
      [-0.5, -0.5, -0.5, -0.5]
      >>> bool((values[4:6] == values[6:]).all())  # both blocks
      True
    """
    check_size("num_blocks", num_blocks)

    def parts(n, size):
        imaginary, _ = _legs(_block_size(size, num_blocks))
        return np.full(size, -0.5), np.tile(imaginary, num_blocks)

    return _spectrum(parts)


@recorded
def hippo_legs_kernel(num_blocks: int = 1) -> Callable[..., jax.Array]:
    """Input kernels B for the eigenvalues of `hippo_legs` (Smith et al., 2023).

    The shape is (I, 2N). A real kernel of this shape and of variance 1/I is drawn for the matrix,
    and turned into the basis of its eigenvectors.

    Args:
      num_blocks: as in `hippo_legs`.

    Examples:
      >>> init = jaxrnn.initializers.hippo_legs_kernel()
      >>> init(jax.random.key(0), (5, 16)).shape  # (I, 2N)
      (5, 16)
      >>> init(jax.random.key(0), (5, 15))
      Traceback (most recent call last):
      ValueError: `shape` must be (I, 2N), got (5, 15).
    """
    check_size("num_blocks", num_blocks)

    def init(key, shape, dtype=jnp.float32):
        _check_matrix(shape, "(I, 2N)")
        rows = _rows(key, shape, shape[0], dtype)
        return _in_basis(rows, num_blocks, conjugate=True).astype(dtype)

    return init


@recorded
def hippo_legs_output_kernel(num_blocks: int = 1) -> Callable[..., jax.Array]:
    """Output kernels C for the eigenvalues of `hippo_legs` (Smith et al., 2023).

    The shape is (2N, O). A real kernel of this shape and of variance 1/(2N) is drawn for the
    matrix, and turned into the basis of its eigenvectors.

    Args:
      num_blocks: as in `hippo_legs`.

    Examples:
      >>> init = jaxrnn.initializers.hippo_legs_output_kernel(num_blocks=4)
      >>> init(jax.random.key(0), (16, 3)).shape  # (2N, O): blocks of 2 of the N = 8 states
      (16, 3)
    """
    check_size("num_blocks", num_blocks)

    def init(key, shape, dtype=jnp.float32):
        _check_matrix(shape, "(2N, O)")
        rows = _rows(key, shape[::-1], shape[0], dtype)
        return _in_basis(rows, num_blocks, conjugate=False).T.astype(dtype)

    return init


def _spectrum(parts):
    """The initializer of eigenvalues whose real and imaginary parts are ``parts(n, N)``."""

    def init(key, shape, dtype=jnp.float32):
        if len(shape) == 0 or shape[-1] % 2:
            raise ValueError(
                f"`shape` must end in 2N, N real parts and N imaginary parts, got {shape}."
            )
        size = shape[-1] // 2
        values = np.concatenate(parts(np.arange(size), size))
        return jnp.broadcast_to(jnp.asarray(values, dtype), shape)

    return init


def _rows(key, shape, fan_in, dtype):
    return jax.random.normal(key, shape, sum_dtype(dtype)) * fan_in**-0.5


def _in_basis(rows, num_blocks, conjugate):
    """Real rows (M, 2N) times the eigenvectors or their conjugates: (M, 2N), real | imaginary."""
    block = _block_size(rows.shape[-1] // 2, num_blocks)
    _, basis = _legs(block)
    rows = rows.reshape(len(rows), num_blocks, 2 * block)
    sides = basis.real, -basis.imag if conjugate else basis.imag
    parts = [rows @ jnp.asarray(side, rows.dtype) for side in sides]
    return jnp.concatenate([part.reshape(len(rows), -1) for part in parts], axis=-1)


@functools.lru_cache(maxsize=16)
def _legs(size):
    """The `size` positive imaginary parts of the eigenvalues, and the eigenvectors (2N, N).

    In float64, by NumPy: it happens once, and not every device has such a decomposition.
    """
    n = np.arange(2 * size)
    root = np.sqrt(2 * n + 1)
    legs = -np.tril(np.outer(root, root), -1) - np.diag(n + 1)
    normal = legs + np.outer(root, root) / 2  # -1/2 on the diagonal, and skew-symmetric beside it
    values, vectors = np.linalg.eigh(-1j * (normal + np.eye(2 * size) / 2))
    kept = vectors[:, size:]
    # An eigenvector may have any phase: with this one, the same on every machine.
    return values[size:], kept * (np.abs(kept[0]) / kept[0])


def _block_size(size, num_blocks):
    if size % num_blocks:
        raise ValueError(f"`num_blocks` = {num_blocks} must divide the {size} states.")
    return size // num_blocks


def _check_matrix(shape, expected):
    state_axis = expected.strip("()").split(", ").index("2N")
    if len(shape) != 2 or shape[state_axis] % 2:
        raise ValueError(f"`shape` must be {expected}, got {shape}.")
