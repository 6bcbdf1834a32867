"""What a broken compiler gets wrong; run by `test_canary.py`, as users compile."""

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np


def reduces_rightly():
    """jaxlib 0.10.2 on CPU computes 7,000 of these 40,000 rows wrong: it is excluded for that."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(3, 3)).astype(np.float32)
    rows = rng.normal(size=(40_000, 3)).astype(np.float32)
    got = jax.jit(jax.vmap(lambda row: ((kernel @ row) ** 2).sum()))(rows)
    want = ((rows.astype(np.float64) @ kernel.T.astype(np.float64)) ** 2).sum(axis=1)
    wrong = ~np.isclose(got, want, rtol=1e-4)
    assert not wrong.any(), (
        f"jaxlib {jaxlib.__version__} on {jax.default_backend()} computes {wrong.sum()} of "
        f"{len(rows)} rows wrong. jaxlib 0.10.2 is known for it: install another release."
    )


def shifts_rightly():
    """What the library does where an update in place, then a reshape, is miscompiled on CPU."""
    buffer = jnp.arange(24, dtype=jnp.float32).reshape(6, 4)

    def shift(buffer):
        return jnp.concatenate([buffer[:1], buffer[:-1]]).reshape(-1)

    np.testing.assert_array_equal(
        jax.jit(shift)(buffer), np.concatenate([buffer[:1], buffer[:-1]]).ravel()
    )


if __name__ == "__main__":
    reduces_rightly()
    shifts_rightly()
