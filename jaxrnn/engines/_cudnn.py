"""``implementation="cudnn"``: the LSTM of cuDNN on an NVIDIA GPU, in float32."""

from jaxrnn.engines._table import Engine, why_not_by_rule


def _why_not(cell, call, traits):
    from jaxrnn.engines.cudnn._when import why_not

    return why_not_by_rule(cell, call, traits) or why_not(cell, call)


def _why_not_chosen(cell, call, traits):
    return "available, not measured here: name it"


def _run(cell, loop, call):
    from jaxrnn.engines.cudnn._engine import run

    return run(cell, loop, call)


CUDNN = Engine("cudnn", _why_not, _why_not_chosen, _run)
