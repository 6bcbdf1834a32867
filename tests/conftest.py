import jax
import pytest

# Laws are checked in float64, and nothing may be promoted silently.
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")


def pytest_addoption(parser):
    parser.addoption(
        "--thorough", action="store_true", help="run random tests at full size: minutes more"
    )


@pytest.fixture
def quick_compilation():
    """Without most optimisations programs compile in two thirds of the time.

    For tests of what is made of cells; cells and kernels are tested as users run them.
    """
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


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
