"""Looking into compiled programs: what their loops hold, and when the compiler runs."""

import contextlib
import re

import jax
import jax.monitoring

_COMPILE = "/jax/core/compile/backend_compile_duration"
_seen = []


def _listen(event, duration, **_):
    if event == _COMPILE:
        _seen.append(duration)


jax.monitoring.register_event_duration_secs_listener(_listen)


@contextlib.contextmanager
def compilations():
    """A list that, after the block, holds the seconds of each compilation within it."""
    found = []
    start = len(_seen)
    yield found
    found.extend(_seen[start:])


def hlo(function, *args):
    """The optimised HLO of `function` at `args`."""
    return jax.jit(function).lower(*args).compile().as_text()


def computations(text):
    """The computations of an HLO module: their names and the lines of each."""
    found, name = {}, None
    for line in text.splitlines():
        header = re.match(r"(?:ENTRY )?%?([\w.\-]+) \(.*\{$", line)
        if header:
            name = header.group(1)
            found[name] = []
        elif name and line.startswith("}"):
            name = None
        elif name:
            found[name].append(line)
    return found


def products_in_loops(text):
    """For each loop of an HLO module, the number of matrix products and convolutions in its body.

    The loops are in order.
    """
    bodies = computations(text)

    def count(name):
        total = 0
        for line in bodies.get(name, ()):
            total += len(re.findall(r" (?:dot|convolution)\(", line))
            name = r'custom_call_target="[^"]*(?:gemm|matmul|dot|conv)'
            total += len(re.findall(name, line, re.I))
            for called in re.findall(r"(?:calls|to_apply|body)=%?([\w.\-]+)", line):
                total += count(called)
        return total

    return [count(body) for body in re.findall(r" while\(.*body=%?([\w.\-]+)", text)]
