"""`jaxrnn.checkpoint`: arrays are restored bitwise, or an error gives the reason."""

import errno
import io
import json
import os
import pickle
import random
import resource
import stat
import struct
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn.cells import LSTMParams
from jaxrnn.checkpoint import load, read_weights, save
from jaxrnn.checkpoint._weight_file import DTYPES
from jaxrnn.checkpoint._weight_header import checksum, make_header
from tests.devices import with_devices
from tests.laws.compiled import compilations
from tests.laws.tables import CELLS, LAYERS, B, T, features

safetensors = pytest.importorskip("safetensors", reason="safetensors is not installed")
from safetensors.numpy import load_file  # noqa: E402
from safetensors.numpy import save as save_bytes  # noqa: E402

GOLDEN = Path(__file__).parent / "weights.safetensors"


def random_array(rng, shape, dtype):
    """Random bits, including NaNs with payloads, infinities and subnormal numbers."""
    if dtype == np.bool_:
        return rng.integers(0, 2, shape).astype(bool)
    count = int(np.prod(shape, dtype=int)) * dtype.itemsize
    return np.frombuffer(rng.bytes(count), dtype).reshape(shape)


def random_like(tree, seed=0):
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda x: jnp.array(random_array(rng, x.shape, np.dtype(x.dtype))), tree)


def init_shapes(init, xs):
    return jax.eval_shape(init, jax.random.key(0), xs)


def two_layers(size=5, cell=jaxrnn.lstm):
    layer = jaxrnn.stack(*[jaxrnn.bidirectional(cell(size))] * 2)
    return init_shapes(layer.init, jax.ShapeDtypeStruct((T, B, 3), jnp.float32))


LSTM = random_like(two_layers())


def assert_same_bits(got, expected):
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.safetensors"


@pytest.fixture
def saved(path):
    save(path, LSTM)
    return path


# --- Round trips ---


@pytest.mark.parametrize("name", [*LAYERS, *CELLS])
def test_parameters_of_every_layer_and_cell(name, path):
    if name in LAYERS:
        xs = jax.ShapeDtypeStruct((T, B, *LAYERS[name].features), jnp.float64)
        symbols = jax.ShapeDtypeStruct((T, B), jnp.int32)
        like = init_shapes(LAYERS[name].layer.init, symbols if LAYERS[name].vocabulary else xs)
    else:
        cell = CELLS[name].cell
        like = init_shapes(cell.init, jax.ShapeDtypeStruct((B, *features(cell)), jnp.float64))
    params = random_like(like)
    save(path, params)
    assert_same_bits(load(path, like), params)
    assert_same_bits(load(path, params), params)


def random_tree(rng, depth=3):
    def inner(count):
        return [random_tree(rng, depth - 1) for _ in range(count)]

    kind = rng.integers(0, 6) if depth else 0
    if kind == 0:
        dtype = rng.choice(list(DTYPES.values()))
        return random_array(rng, rng.integers(0, 4, rng.integers(0, 4)), dtype)
    if kind == 1:
        return None
    if kind == 2:
        return LSTMParams(*inner(3))
    if kind == 3:
        return tuple(inner(rng.integers(0, 3)))
    if kind == 4:
        return inner(2)
    keys = [[0, 7, -1], ["a", "größe 大", "a b"]][rng.integers(0, 2)]
    return dict(zip(keys, inner(3), strict=True))


@pytest.mark.thorough
def test_random_trees(path):
    rng = np.random.default_rng(0)
    for _ in range(40):
        tree = random_tree(rng)
        save(path, tree)
        expected = jax.tree.map(jnp.array, tree)
        assert_same_bits(load(path, tree), expected)
        assert_same_bits(load(path, jax.eval_shape(lambda tree=expected: tree)), expected)


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
def test_dtypes(dtype, path):
    rng = np.random.default_rng(0)
    shapes = {"many": (300,), "matrix": (3, 4), "number": (), "empty": (2, 0)}
    params = {name: random_array(rng, shape, dtype) for name, shape in shapes.items()}
    save(path, params)
    assert_same_bits(load(path, params), jax.tree.map(jnp.array, params))


def test_layout_in_memory_does_not_matter(path):
    x = np.arange(6.0).reshape(2, 3)
    save(
        path, {"transposed": x.T, "strided": x[:, ::2], "swapped": x.astype(">f8"), "one": x[0, 1]}
    )
    arrays = read_weights(path).arrays
    assert_same_bits(
        arrays,
        {"one": x[0, 1], "strided": x[:, ::2].copy(), "swapped": x, "transposed": x.T.copy()},
    )


def test_other_readers_read_it(saved):
    names = ["0.forward.recurrent_kernel", "1.backward.bias"]
    arrays = load_file(saved)
    assert len(arrays) == 12
    assert set(names) < set(arrays)
    np.testing.assert_array_equal(arrays[names[0]], LSTM[0].forward.recurrent_kernel)
    np.testing.assert_array_equal(arrays[names[1]], LSTM[1].backward.bias)


def test_names_and_metadata_without_a_layer(path):
    metadata = {"hidden_size": "5", "about": 'größe "大"\n\x00😀', "": ""}
    save(path, LSTM, metadata=metadata)
    arrays, got = read_weights(path)
    assert got == metadata
    assert_same_bits(arrays["1.forward.kernel"], LSTM[1].forward.kernel)
    assert list(arrays) == sorted(arrays)
    assert safetensors.safe_open(path, "np").metadata().items() > metadata.items()


def test_the_same_parameters_give_the_same_file(saved, tmp_path):
    save(tmp_path / "again", jax.tree.map(np.asarray, LSTM))
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()


def test_a_single_array_and_nothing(path):
    for params in (jnp.arange(3), (), {"a": None}):
        save(path, params)
        assert_same_bits(load(path, params), params)


def test_a_file_of_the_first_version():
    like = init_shapes(jaxrnn.lstm(2).init, jax.ShapeDtypeStruct((1,), jnp.float32))
    params = load(GOLDEN, {"cell": like, "half": jnp.zeros(2, jnp.bfloat16), "count": jnp.int32(0)})
    assert_same_bits(params["cell"].kernel, (jnp.arange(8, dtype=jnp.float32) / 7)[None])
    assert_same_bits(params["cell"].bias, -jnp.arange(8, dtype=jnp.float32))
    assert_same_bits(params["half"], jnp.array([1.5, jnp.inf], jnp.bfloat16))
    assert_same_bits(params["count"], jnp.int32(42))
    assert read_weights(GOLDEN).metadata == {"hidden_size": "2"}


# --- Damage ---


def assert_rejected(path, content, leaf=""):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"weights\.safetensors") as raised:
        load(path, LSTM)
    assert str(path) in str(raised.value)
    assert leaf in str(raised.value)


def leaf_at(content, place):
    """The name of the array that contains a byte, or an empty string."""
    length = int.from_bytes(content[:8], "little")
    for name, entry in json.loads(content[8 : 8 + length]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            if begin <= place - 8 - length < end:
                return f"`{name}`"
    return ""


def test_every_bit_counts(saved):
    content = saved.read_bytes()
    flips = random.Random(0).sample(range(8 * len(content)), 1000)
    flips += range(8 * 8)  # the length of the header
    in_leaves = 0
    for bit in flips:
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        leaf = leaf_at(content, bit // 8)
        in_leaves += bool(leaf)
        assert_rejected(saved, damaged, leaf)
    assert 200 < in_leaves < 1000  # the other bits are in the header


def test_every_byte_of_the_header_counts(path):
    """With padding, and with names and metadata that JSON escapes."""
    params = {"größe": jnp.zeros(1, jnp.int8)}
    save(path, params, metadata={"é": "\x1f\\/\n"})
    content = path.read_bytes()
    assert content[-2:-1] == b" "
    for place in range(len(content)):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            with pytest.raises(ValueError, match=r"weights\.safetensors"):
                read_weights(path)


def test_truncation_and_more(saved):
    content = saved.read_bytes()
    in_leaves = 0
    for size in [*random.Random(0).sample(range(len(content)), 200), 0, len(content) - 1]:
        leaf = leaf_at(content, size)
        in_leaves += bool(leaf)
        assert_rejected(saved, content[:size], leaf)
    assert 100 < in_leaves < 200
    for more in (b"\0", b"\0" * 4096):
        assert_rejected(saved, content + more)


# --- Files in other formats ---


class Trap:
    def __reduce__(self):
        return exec, ("raise SystemExit('a pickle was run')",)


def saved_bytes(save):
    buffer = io.BytesIO()
    save(buffer)
    return buffer.getvalue()


def entry(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def plain(header, data=b""):
    """A safetensors file without our checksums."""
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(header)) + header + data


def forged(entries, data):
    """A file with correct checksums, as accidental damage cannot produce."""
    sums = {
        name: checksum(name, x["dtype"], x["shape"], data[slice(*x["data_offsets"])])
        for name, x in entries.items()
    }
    return plain(make_header(entries, sums, {}), data)


def repeated():
    """A file that is valid except for a repeated name in its JSON."""
    content = forged({"a": entry([1], 0, 4)}, bytes(4))
    again = b',"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    return plain(content[8:].rstrip(b" \0")[:-1] + again, bytes(4))


BAD_FILES = {
    "empty": (lambda: b"", "not a valid safetensors file"),
    "a pickle": (lambda: pickle.dumps(Trap()), "is a pickle"),
    "a zip archive": (lambda: saved_bytes(lambda b: np.savez(b, a=np.ones(3))), "zip archive"),
    "a NumPy array": (lambda: saved_bytes(lambda b: np.save(b, np.ones(3))), "NumPy array"),
    "an HDF5 file": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
    "text": (lambda: b"weights: none" * 100, "not a valid safetensors file"),
    "another library": (
        lambda: save_bytes({"weight_ih_l0": np.ones((4, 4))}, {"format": "pt"}),
        "no checksums from `jaxrnn.checkpoint.save`.*convert.from_torch",
    ),
    "no metadata": (lambda: plain({"a": entry([1], 0, 4)}, bytes(4)), "no checksums"),
    "a header of 2**63 bytes": (
        lambda: struct.pack("<Q", 2**63) + b"{" * 99,
        "9223372036854775808",
    ),
    "a header of 2**40 bytes": (lambda: struct.pack("<Q", 2**40) + b"{" * 99, "1099511627776"),
    "brackets, 100 MB": (lambda: plain(b"[" * 100_000_000), "at most 8388608"),
    "brackets, 8 MiB": (lambda: plain(b"[" * (8 << 20)), "header is not JSON"),
    "digits, 8 MiB": (lambda: plain(b'{"a":' + b"9" * 8_000_000 + b"}"), "header is not JSON"),
    "a list": (lambda: plain(b"[1, 2]"), "must be a dict"),
    "a number": (lambda: plain(b"17"), "must be a dict"),
    "not text": (lambda: plain(b"\xff\xfe{}"), "header is not JSON"),
    "200,000 arrays": (
        lambda: plain({str(i): 0 for i in range(200_000)}),
        "at most 100000 arrays",
    ),
    "metadata that is a list": (lambda: plain({"__metadata__": ["jaxrnn.format"]}), "no checksums"),
    "a repeated name": (repeated, "The header of .* is damaged"),
    "an absolute name": (lambda: forged({"/etc/a": entry([1], 0, 4)}, bytes(4)), "absolute"),
    "a name with ..": (lambda: forged({"a/../b": entry([1], 0, 4)}, bytes(4)), r"'a/../b'"),
    "an overlap": (
        lambda: forged({"a": entry([2], 0, 8), "b": entry([1], 4, 8)}, bytes(8)),
        "invalid offset for tensor `b`",
    ),
    "a hole": (
        lambda: forged({"a": entry([1], 0, 4), "b": entry([1], 8, 12)}, bytes(12)),
        "invalid offset for tensor `b`",
    ),
    "outside": (lambda: forged({"a": entry([4], 0, 16)}, bytes(4)), "ends before the end of `a`"),
    "offsets that are null": (
        lambda: forged({"a": entry([1], 0, 4) | {"data_offsets": [None, None]}}, bytes(4)),
        "damaged or truncated",
    ),
    "bytes at the end": (lambda: forged({"a": entry([1], 0, 4)}, bytes(5)), "not fully covered"),
    "a shape of 2**64 bytes": (
        lambda: forged({"a": entry([2**62, 4], 0, 4)}, bytes(4)),
        "damaged or truncated",
    ),
    "an empty shape of 2**63": (
        lambda: forged({"a": entry([0, 2**63], 0, 0)}, b""),
        "damaged or truncated",
    ),
    "a negative shape": (
        lambda: forged({"a": entry([-1], 0, 4)}, bytes(4)),
        "damaged or truncated",
    ),
    "a shape that is text": (
        lambda: forged({"a": entry("ab", 0, 4)}, bytes(4)),
        "damaged or truncated",
    ),
    "an unknown dtype": (
        lambda: forged({"a": entry([1], 0, 4, "Q32")}, bytes(4)),
        "damaged or truncated",
    ),
    "a dtype of 4 bits": (
        lambda: forged({"a": entry([2], 0, 1, "F4")}, bytes(1)),
        "damaged or truncated",
    ),
}


@pytest.mark.parametrize(("make", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_files(make, message, path):
    path.write_bytes(make())
    with compilations() as compiled, pytest.raises(ValueError, match=message) as raised:
        load(path, LSTM)
    assert compiled == []
    assert str(path) in str(raised.value)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load(tmp_path / "nowhere", LSTM)
    os.mkfifo(tmp_path / "pipe")
    for other in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(ValueError, match="is a directory or a device"):
            load(other, LSTM)


WATCHED = """
import sys, jax, numpy as np
from pathlib import Path
from jaxrnn.checkpoint import load, save
folder = Path(sys.argv[1])
like = {"a": np.ones(3, np.float32)}
def attempt(path):
    try:
        load(path, like)
    except ValueError:
        return
    sys.exit(f"{path} was read")
for path in folder.iterdir():  # first, so that JAX, json and safetensors finish their imports
    attempt(path)
events, opened = [], set()
def watch(event, args):
    if event == "open" and str(args[0]).startswith(str(folder)) and args[1] == "r":
        opened.add(str(args[0]))
    elif event not in ("os.scandir", "os.listdir", "object.__getattr__", "sys._getframe"):
        events.append((event, str(args)[:200]))
paths = list(folder.iterdir())
sys.addaudithook(watch)
for path in paths:
    attempt(path)
if events or opened != set(map(str, paths)):
    sys.exit(f"{events}, {len(opened)} of {len(paths)} files opened")
eval("1")
sys.exit(0 if events else "the hook sees nothing")
"""


def test_no_code_in_a_file_is_executed(tmp_path):
    for i, (make, _) in enumerate(BAD_FILES.values()):
        content = make()
        if len(content) < 1_000_000:
            (tmp_path / str(i)).write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


# --- Parameters that do not match ---


MISFITS = {
    "another size": (
        two_layers(6),
        r"`0.forward.kernel` must be float32\(3, 24\), got float32\(3, 20\).*and \d more",
    ),
    "another number of gates": (
        two_layers(5, jaxrnn.gru),
        r"`0.forward.kernel` must be float32\(3, 15\), got float32\(3, 20\)",
    ),
    "another dtype": (
        jax.tree.map(lambda x: x.astype(jnp.bfloat16), LSTM),
        r"`0.forward.kernel` must be bfloat16\(3, 20\), got float32\(3, 20\)",
    ),
    "one more": ((*LSTM, {"head": jnp.ones(2)}), r"`2.head` must be float64\(2,\), got none"),
    "one less": (LSTM[:1], r"`1.forward.kernel` must be absent, got float32\(10, 20\)"),
    "empty": ((), "must be absent"),
}


@pytest.mark.parametrize(("like", "message"), MISFITS.values(), ids=MISFITS)
def test_other_parameters_raise(like, message, saved):
    with pytest.raises(ValueError, match=message) as raised:
        load(saved, like)
    assert str(saved) in str(raised.value)
    assert "with other cells, sizes or dtypes?" in str(raised.value)


def test_float64_is_not_narrowed(path):
    params = {"a": np.arange(2.0)}
    save(path, params)
    with jax.enable_x64(False), pytest.raises(TypeError, match=r"`a` in `like`.*jax_enable_x64"):
        load(path, params)
    assert_same_bits(read_weights(path).arrays, params)


BAD_LIKES = {
    "a number": ({"a": 1.0}, "`a` in `like` must be an array or a jax.ShapeDtypeStruct, got float"),
    "a key": ({"a": jax.random.key(0)}, "`a` in `like` is a random key"),
}


@pytest.mark.parametrize(("like", "message"), BAD_LIKES.values(), ids=BAD_LIKES)
def test_bad_likes(like, message, saved):
    with pytest.raises(TypeError, match=message):
        load(saved, like)


# --- Parameters that cannot be saved ---


class Spread(np.ndarray):
    is_fully_addressable = is_fully_replicated = False


BAD_PARAMS = {
    "a number": (({"a": 1.0},), TypeError, "`0.a` in `params` must be an array, got float"),
    "a list of text": (["no"], TypeError, "`0` in `params` must be an array, got str"),
    "a shape": (jax.ShapeDtypeStruct((2,), jnp.float32), TypeError, "must be an array"),
    "a key": ({"key": jax.random.key(0)}, TypeError, "`key` in `params` is a random key.*orbax"),
    "objects": (np.array([None]), TypeError, "has no dtype for"),
    "complex128": (np.ones(2, complex), TypeError, r"`array` in `params` is complex128\(2,\)"),
    "int4": ({"a": jnp.ones(2, jnp.int4)}, TypeError, "no dtype for"),
    "another float8": ({"a": jnp.ones(2, jnp.float8_e3m4)}, TypeError, "no dtype for"),
    "several processes": ({"a": np.ones(2).view(Spread)}, ValueError, "process_allgather"),
    "one name twice": ({"a.b": np.ones(1), "a": {"b": np.ones(1)}}, ValueError, "two leaves named"),
    "an absolute name": ({"/a": np.ones(1)}, ValueError, "absolute path"),
    "an absolute name of Windows": ({r"C:\a": np.ones(1)}, ValueError, "absolute path"),
    "a name with a drive": ({"C:a": np.ones(1)}, ValueError, "absolute path"),
    "a name with ..": ({"a/../b": np.ones(1)}, ValueError, "absolute path"),
    "a name with a zero": ({"a\0": np.ones(1)}, ValueError, "unprintable"),
    "a name that is not text": ({"a\ud800": np.ones(1)}, ValueError, "unprintable"),
    "a name of the format": ({"__metadata__": np.ones(1)}, ValueError, "__metadata__"),
    "a long name": ({"a" * (9 << 20): np.ones(1)}, ValueError, "need a header of"),
}


@pytest.mark.parametrize(("params", "error", "message"), BAD_PARAMS.values(), ids=BAD_PARAMS)
def test_bad_params(params, error, message, saved):
    with pytest.raises(error, match=message):
        save(saved, params)
    assert_same_bits(load(saved, LSTM), LSTM)
    assert os.listdir(saved.parent) == [saved.name]


BAD_METADATA = {
    "a number": ({"hidden_size": 5}, TypeError, "`metadata` must map str to str.*json.dumps"),
    "a number as key": ({1: "a"}, TypeError, "map str to str"),
    "a name of ours": ({"jaxrnn.format": "2"}, ValueError, "may not begin with 'jaxrnn.'"),
    "not text": ({"a": "\ud800"}, ValueError, "surrogates"),
    "too much": ({"a": "b" * (9 << 20)}, ValueError, "need a header of"),
}


@pytest.mark.parametrize(("metadata", "error", "message"), BAD_METADATA.values(), ids=BAD_METADATA)
def test_bad_metadata(metadata, error, message, path):
    with pytest.raises(error, match=message):
        save(path, LSTM, metadata=metadata)
    assert not path.exists()


def test_traced_parameters(path):
    @jax.jit
    def step(params):
        save(path, params)

    with pytest.raises(TypeError, match=r"`0.forward.kernel` in `params` is traced.*outside `jit`"):
        step(LSTM)
    with pytest.raises(TypeError, match="is traced"):
        jax.grad(lambda x: save(path, {"a": x}))(1.0)


def test_without_safetensors(saved, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    for call in (lambda: save(saved, LSTM), lambda: load(saved, LSTM)):
        with pytest.raises(ImportError, match=r'pip install "jaxrnn\[convert\]"'):
            call()


# --- Writing ---


@pytest.fixture(params=["without a name", "named"])
def any_temporary(request, monkeypatch):
    """An unnamed temporary file, as on Linux, and a named one, as on other systems."""
    if request.param == "named":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)


def fail_after(monkeypatch, name, code, count=0):
    original, calls = getattr(os, name), []

    def failing(*args, **kwargs):
        calls.append(args)
        if len(calls) > count:
            raise OSError(code, os.strerror(code))
        return original(*args, **kwargs)

    monkeypatch.setattr(os, name, failing)


@pytest.mark.parametrize(
    ("function", "code"),
    [("fsync", errno.ENOSPC), ("fsync", errno.EIO), ("replace", errno.EACCES)],
)
@pytest.mark.usefixtures("any_temporary")
def test_a_failure_keeps_the_old_file(function, code, saved, monkeypatch):
    with monkeypatch.context() as patch:
        fail_after(patch, function, code)
        with pytest.raises(OSError, match=os.strerror(code)):
            save(saved, jax.tree.map(jnp.zeros_like, LSTM))
    assert_same_bits(load(saved, LSTM), LSTM)
    assert os.listdir(saved.parent) == [saved.name]


@pytest.mark.usefixtures("any_temporary")
def test_a_full_disk_keeps_the_old_file(saved):
    """Simulated by a limit on the file size, beyond which the kernel fails to write."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
            save(saved, {"a": np.zeros(1_000_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert_same_bits(load(saved, LSTM), LSTM)
    assert os.listdir(saved.parent) == [saved.name]


@pytest.mark.usefixtures("any_temporary")
def test_data_is_synced_before_the_rename(path, monkeypatch):
    """The data is synced first, then the file is renamed, then the directory is synced."""
    calls = []
    for name in ("fsync", "replace"):
        original = getattr(os, name)

        def noted(target, *args, name=name, original=original):
            is_directory = name == "fsync" and stat.S_ISDIR(os.fstat(target).st_mode)
            calls.append("fsync of the directory" if is_directory else name)
            return original(target, *args)

        monkeypatch.setattr(os, name, noted)
    save(path, LSTM)
    assert calls == ["fsync", "replace", "fsync of the directory"]


@pytest.mark.usefixtures("any_temporary")
def test_permissions(path):
    umask = os.umask(0o027)
    try:
        save(path, LSTM)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o604)
    save(path, LSTM)
    assert stat.S_IMODE(path.stat().st_mode) == 0o604


def test_symbolic_links_stay_links(saved, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    link, target = tmp_path / "link", tmp_path / "elsewhere" / "target"
    link.symlink_to(Path("elsewhere", "target"))
    save(link, LSTM)  # the target does not exist yet
    save(link, {"a": jnp.arange(3)})
    assert link.is_symlink()
    assert not target.is_symlink()
    assert_same_bits(load(link, {"a": jnp.arange(3)}), {"a": jnp.arange(3)})
    assert os.listdir(target.parent) == ["target"]
    assert_same_bits(load(saved, LSTM), LSTM)


def test_only_regular_files_are_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(ValueError, match="`path` must be a regular file"):
            save(path, LSTM)
    with pytest.raises(FileNotFoundError):
        save(tmp_path / "no folder" / "weights", LSTM)
    assert os.listdir(tmp_path) == ["pipe"]


SAVING = """
import itertools, os, sys
import numpy as np
from jaxrnn.checkpoint import save
if sys.argv[2] == "named":
    del os.O_TMPFILE
for i in itertools.count():
    save(sys.argv[1], {"a": np.full(300_000, i % 7), "b": np.full(300_000, i % 7)})
    print(i, flush=True)
"""


@pytest.mark.parametrize(
    "kind", [pytest.param("without a name", marks=pytest.mark.thorough), "named"]
)
def test_kill_while_it_is_saved(kind, path):
    like = {"a": jnp.zeros(300_000, jnp.int64), "b": jnp.zeros(300_000, jnp.int64)}
    rng = random.Random(0)
    for _ in range(5):
        child = subprocess.Popen(
            [sys.executable, "-c", SAVING, str(path), kind], stdout=subprocess.PIPE
        )
        assert child.stdout.readline()
        until = time.monotonic() + rng.uniform(0, 0.05)
        while time.monotonic() < until:
            load(path, like)  # also during a save
        child.kill()
        child.communicate()
        params = load(path, like)
        assert_same_bits(params["a"], params["b"])
        if kind != "named":  # a complete file that was not moved yet may be left
            for name in os.listdir(path.parent):
                load(path.parent / name, like)


DEVICES = """
import sys, jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from jaxrnn.checkpoint import load, save
mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("a", "b"))
x = jnp.arange(64.0).reshape(8, 8)
specs = P("a", "b"), P(None, "a"), P()
params = [jax.device_put(x, NamedSharding(mesh, spec)) for spec in specs]
assert [p.addressable_data(0).shape for p in params] == [(2, 4), (8, 2), (8, 8)]
save(sys.argv[1], params)
"""


def test_arrays_over_several_devices_are_gathered(path):
    command = [sys.executable, "-c", DEVICES, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, env=with_devices(8))
    assert done.returncode == 0, done.stderr
    arrays = read_weights(path).arrays
    assert len(arrays) == 3
    for array in arrays.values():
        assert_same_bits(array, np.arange(64, dtype=np.float32).reshape(8, 8))
