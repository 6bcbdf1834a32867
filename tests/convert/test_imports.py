"""Importing `jaxrnn.convert` imports no other library."""

import subprocess
import sys

PEERS = ["torch", "keras", "flax", "haiku", "equinox", "onnx", "safetensors"]
SCRIPT = f"""
import sys, jaxrnn.convert
found = sorted(set({PEERS}) & set(sys.modules))
sys.exit(f"imported {{found}}" if found else 0)
"""


def test_no_peer_is_imported():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
