"""The programs of the Pallas engine, compiled for each TPU by `libtpu`, which needs no TPU."""

import functools
import os

import jax
import numpy as np
import pytest

from tests.engines.test_pallas_programs import SPLIT, forward, gradient, shapes_of
from tests.laws.tables import CELLS

needs_a_compiler = pytest.mark.skipif(
    "TPU_LIBRARY_PATH" not in os.environ, reason="needs TPU_LIBRARY_PATH"
)
TOPOLOGIES = {
    "v4": ("v4-8", "v4:2x2x1"),
    "v5e": ("v5litepod-4", "v5e:2x2"),
    "v5p": ("v5p-8", "v5p:2x2x1"),
    "v6e": ("v6e-4", "v6e:2x2"),
    "7x": ("tpu7x-8", "tpu7x:2x2x1"),
}


def compiled(cell, chip, monkeypatch):
    """The forward program and the gradient, compiled by `libtpu`, which needs no TPU.

    `pip download libtpu`, and the path of its libtpu.so in TPU_LIBRARY_PATH.
    """
    from jax.experimental import topologies

    kind, name = TOPOLOGIES[chip]
    for key, value in {
        "TPU_SKIP_MDS_QUERY": "1",
        "TPU_ACCELERATOR_TYPE": kind,
        "TPU_WORKER_HOSTNAMES": "localhost",
    }.items():
        monkeypatch.setenv(key, value)
    devices = topologies.get_topology_desc(platform="tpu", topology_name=name).devices[:1]
    mesh = jax.sharding.Mesh(np.array(devices), "x")
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    for function in (forward, gradient):
        run = jax.jit(functools.partial(function, cell), in_shardings=sharding)
        yield run.lower(*shapes_of(cell)).compile().as_text()


@pytest.mark.thorough
@needs_a_compiler
@pytest.mark.parametrize("name", SPLIT)
def test_the_compiler_of_a_tpu_takes_it(name, monkeypatch):
    cell = CELLS[name].cell
    if cell.num_feature_axes > 1:
        pytest.skip("convolutions are refused")
    if name == "scornn":
        pytest.skip("what it does before its loop asks for the kind of a TPU that is there")
    for text in compiled(cell, "v5e", monkeypatch):
        assert "tpu_custom_call" in text


@pytest.mark.thorough
@needs_a_compiler
@pytest.mark.parametrize("name", ["lstm", "gru", "layer_norm_lstm", "heads", "rg_lru"])
@pytest.mark.parametrize("chip", TOPOLOGIES)
def test_the_compiler_of_each_chip_takes_it(chip, name, monkeypatch):
    for text in compiled(CELLS[name].cell, chip, monkeypatch):
        assert "tpu_custom_call" in text
