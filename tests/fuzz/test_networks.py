"""Random networks obey the laws: one by default, 288 where the run is thorough."""

import jax
import pytest

from tests.fuzz.laws import check


@pytest.mark.parametrize("part", range(8))
def test_random_networks_obey_the_laws(part, thorough):
    if part != 2 and not thorough:
        pytest.skip("needs --thorough")
    count = 36 if thorough else 1
    quick = jax.config.read("jax_disable_most_optimizations")
    for seed in range(part * count, (part + 1) * count):
        if thorough:  # to compile as users do takes time: each fourth
            jax.config.update("jax_disable_most_optimizations", seed % 4 != 0)
        check(seed)
    jax.config.update("jax_disable_most_optimizations", quick)
    jax.clear_caches()
