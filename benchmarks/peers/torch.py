"""torch: an `nn.LSTM`, `nn.GRU` or `nn.RNN` on CPU threads or a GPU; its cell for one step."""

import statistics
import timeit
from collections.abc import Callable

import jax
import numpy as np
import torch

import jaxrnn
from benchmarks.machine import cores
from benchmarks.programs import STREAM_STEPS, Program
from benchmarks.workloads import Workload
from jaxrnn.convert import to_torch

_MODULES = {
    "lstm": (torch.nn.LSTM, torch.nn.LSTMCell, jaxrnn.lstm),
    "gru": (torch.nn.GRU, torch.nn.GRUCell, jaxrnn.gru),
    "elman": (torch.nn.RNN, torch.nn.RNNCell, jaxrnn.elman),
}


def program(workload: Workload, kind: str) -> Program:
    call = _call(workload, kind)
    run = _threaded(call if kind == "stream" else _waiting(call))
    return Program(run, STREAM_STEPS if kind == "stream" else 1, None, _peak_bytes(run))


def repeated(workload: Workload, kind: str) -> Callable[[int], None]:
    """Makes as many calls as it is told, one after the other, and waits for the last."""
    call = _call(workload, kind)

    def run(count):
        for _ in range(count):
            call()
        _wait()

    return run


def _call(workload, kind):
    """A pass, which may return before it is done on a GPU."""
    layer, cell, ours = _MODULES[workload.cell]
    # For a single step, a cell is faster than a layer on a sequence of length 1.
    kind_of_module, suffix = (cell, "_l0") if kind == "stream" else (layer, "")
    options = {"device": _device(), "dtype": getattr(torch, workload.dtype)}
    module = kind_of_module(workload.inputs, workload.hidden, **options)
    weights = to_torch(workload.params(ours(workload.hidden)))
    module.load_state_dict({name.removesuffix(suffix): w for name, w in weights.items()})
    xs = torch.from_numpy(np.array(workload.xs(), np.float32)).to(**options)
    return {"forward": _forward, "train": _train, "stream": _stream}[kind](module, xs)


def _waiting(call):
    def run():
        results = call()
        _wait()
        return results

    return run


def _threaded(run):
    """`run` on all cores or on one, whichever is faster: one, if the products are small."""

    def on(count):
        def run_on():
            torch.set_num_threads(count)
            return run()

        return run_on

    return min((on(count) for count in {1, cores()}), key=_seconds)


def _seconds(run):
    """The median time of a few runs after the first."""
    return statistics.median(timeit.repeat(run, number=1, repeat=4)[1:])


def _forward(module, xs):
    @torch.inference_mode()
    def call():
        return module(xs)[0]

    return call


def _train(module, xs):
    params = list(module.parameters())

    def call():
        loss = module(xs)[0].float().square().sum()
        return loss, torch.autograd.grad(loss, params)

    return call


def _stream(module, xs):
    zeros = xs.new_zeros(len(xs[0]), module.hidden_size)
    two = isinstance(module, torch.nn.LSTMCell)

    @torch.inference_mode()
    def run():
        carry = (zeros, zeros) if two else zeros
        for _ in range(STREAM_STEPS):
            carry = module(xs[0], carry)
            _wait()
        return carry[0] if two else carry

    return run


def _device() -> str:
    if jax.default_backend() == "cpu":
        return "cpu"
    if not torch.cuda.is_available():
        raise ValueError(f"torch sees no {jax.default_backend()} here")
    return "cuda"


def _wait() -> None:
    if jax.default_backend() != "cpu":
        torch.cuda.synchronize()


def _peak_bytes(run: Callable) -> int | None:
    """The peak that the GPU allocator counted; None on a CPU, which has no such count."""
    if jax.default_backend() == "cpu":
        return None
    torch.cuda.reset_peak_memory_stats()
    run()
    return torch.cuda.max_memory_allocated()
