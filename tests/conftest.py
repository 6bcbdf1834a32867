import gc
import os

import jax
import jax.numpy as jnp
import pytest

# Laws are checked in float64, and nothing may be promoted silently.
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")


def pytest_addoption(parser):
    parser.addoption(
        "--thorough",
        action="store_true",
        help="run the slow laws of every cell and layer, and random tests at full size",
    )
    parser.addoption(
        "--optimized",
        action="store_true",
        help="compile with all optimizations, as users do, which takes three times as long",
    )


def pytest_collection_modifyitems(config, items):
    """Leaves out what is thorough: costly rows, and slow laws of rows that are like another."""
    from tests.laws.tables import BY_EQUATION, COSTLY, LIKE_ANOTHER

    def row_of(item):
        return item.callspec.params.get("name") if hasattr(item, "callspec") else None

    def is_left_out(item):
        if item.get_closest_marker("thorough"):
            return True
        row, is_slow = row_of(item), item.get_closest_marker("slow_law")
        if row in BY_EQUATION:
            is_oracle = item.originalname == "test_oracle"
            return not is_oracle or item.callspec.params["dtype"] != jnp.float64
        return row in COSTLY or (is_slow and row in LIKE_ANOTHER)

    for item in items:
        if row_of(item) in BY_EQUATION:
            item.add_marker("by_equation")
    if config.getoption("--thorough"):
        return
    left_out = [item for item in items if is_left_out(item)]
    items[:] = [item for item in items if not is_left_out(item)]
    config.hook.pytest_deselected(items=left_out)


# Compiling takes most of the time of the tests, and this makes it a third as long. What is tested
# hardly depends on it, but for the structure of programs.
QUICK = ["--xla_cpu_parallel_codegen_split_count=1"]
if jax.__version_info__ < (0, 11):  # later ones stop at a flag that they do not know
    QUICK += ["--xla_cpu_use_fusion_emitters=false"]


def pytest_configure(config):
    # A program is many objects that live long, which need no second look.
    gc.set_threshold(200_000, 20, 100)
    if not config.getoption("--optimized"):
        jax.config.update("jax_disable_most_optimizations", True)
        # Before the first program, and for the processes that tests start.
        os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *QUICK])
        os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"


@pytest.fixture(scope="session")
def thorough(request):
    return request.config.getoption("--thorough")


def pytest_generate_tests(metafunc):
    """`any_layer`: a few layers of the table, or all of them where the run is thorough."""
    from tests.laws.tables import LAYERS

    if "any_layer" in metafunc.fixturenames:
        few = ["rnn_scan", "bidirectional_sum", "noise"]
        names = LAYERS if metafunc.config.getoption("--thorough") else few
        metafunc.parametrize("any_layer", names)
