"""Variable-length sequences as batches: packed into rows, or padded to a few lengths; time gaps.

`minibatches` shuffles and groups a whole set of sequences; the others make one batch.

Except for `segment_resets`, these functions run on the host, on NumPy arrays, before a batch is
transferred to the device.
"""

from jaxrnn.data._buckets import Padded, bucket_length, pad_to_bucket
from jaxrnn.data._gaps import time_gaps
from jaxrnn.data._minibatches import Minibatch, Minibatches, minibatches
from jaxrnn.data._packing import Packed, pack, unpack
from jaxrnn.data._segments import segment_resets
from jaxrnn.data._windows import pack_windows

__all__ = [
    "Minibatch",
    "Minibatches",
    "Packed",
    "Padded",
    "bucket_length",
    "minibatches",
    "pack",
    "pack_windows",
    "pad_to_bucket",
    "segment_resets",
    "time_gaps",
    "unpack",
]
