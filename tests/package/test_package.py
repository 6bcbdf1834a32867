"""What the package promises as a whole: its imports, its names and what importing it does."""

import ast
import importlib
import importlib.metadata
import importlib.util
import inspect
import json
import pathlib
import subprocess
import sys

import jaxrnn

ROOT = pathlib.Path(jaxrnn.__file__).parent


def imports(path):
    """The modules of the package that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("jaxrnn"):
            for alias in node.names:
                inner = ROOT.parent.joinpath(*node.module.split("."), alias.name)
                is_module = inner.with_suffix(".py").exists() or inner.is_dir()
                yield f"{node.module}.{alias.name}" if is_module else node.module
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.startswith("jaxrnn"))


def graph():
    edges = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        edges[name] = set(imports(path))
    return edges


def test_the_import_graph_has_no_circle():
    edges, done = graph(), set()

    def visit(module, path):
        assert module not in path, " -> ".join([*path, module])
        if module not in done:
            for following in sorted(edges[module]):
                visit(following, [*path, module])
            done.add(module)

    for module in sorted(edges):
        visit(module, [])


ORDER = (
    ("_core",),
    ("initializers", "activations"),
    ("cells",),
    ("wrappers",),
    ("engines",),
    ("layers",),
    ("losses", "training", "data", "checkpoint", "authoring"),
    ("decode", "online", "diagnostics"),
    ("convert", "_batch_major", "plots"),
    ("linen", "nnx"),
)


def rank(module):
    room = module.split(".")[1]
    return next(i for i, rooms in enumerate(ORDER) if room in rooms)


def test_imports_run_one_way_between_the_rooms():
    for module, imported in graph().items():
        if module == "jaxrnn":
            continue
        for other in imported - {"jaxrnn"}:
            assert rank(other) <= rank(module), (module, other)


def test_cells_and_wrappers_do_not_import_each_other():
    """But for what they share: files of a room whose names are not those of its functions."""
    for module, imported in graph().items():
        room, _, file = module.partition(".")[2].rpartition(".")
        if room.split(".")[0] not in ("cells", "wrappers") or not file:
            continue
        for other in imported:
            name = other.rpartition("._")[2]
            is_cell = name in jaxrnn.cells.__all__ or name in jaxrnn.wrappers.__all__
            assert not is_cell, (module, other)


def lines(path):
    return len(path.read_text().splitlines())


def test_files_are_short():
    python = sorted(lines(path) for path in ROOT.rglob("*.py") if path.name != "__init__.py")
    assert python[len(python) // 2] < 120
    assert python[-1] <= 300
    native = [*ROOT.rglob("*.cc"), *ROOT.rglob("*.h")]
    assert native
    assert max(map(lines, native)) <= 400


def test_the_derivative_is_one_page():
    path = ROOT / "_core" / "derivative.py"
    docstring = ast.get_docstring(ast.parse(path.read_text()), clean=False)
    assert lines(path) - len(docstring.splitlines()) <= 120


def test_no_module_shares_its_name_with_a_function_in_it():
    for path in ROOT.rglob("*.py"):
        names = {
            node.name
            for node in ast.parse(path.read_text()).body
            if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        }
        assert path.stem not in names, path


ROOMS = ("cells", "wrappers", "layers", "engines", "authoring", "initializers", "losses")
ROOMS += ("activations", "decode", "online", "diagnostics", "training", "data", "checkpoint")
ROOMS += ("plots",) if importlib.util.find_spec("matplotlib") else ()


def test_every_public_function_is_documented():
    at_the_top = {name for name in vars(jaxrnn) if not name.startswith("_")}
    places = [(jaxrnn, name) for name in at_the_top - {"linen", "nnx", "convert"}]
    for room in ROOMS:
        module = importlib.import_module(f"jaxrnn.{room}")
        places += [(module, name) for name in module.__all__]
    for module, name in places:
        thing = getattr(module, name)
        assert thing.__doc__ or not inspect.isclass(thing), name
        if not inspect.isfunction(thing):
            continue
        assert thing.__doc__, name
        assert "return" in thing.__annotations__, name
        for parameter in inspect.signature(thing).parameters.values():
            assert parameter.annotation is not inspect.Parameter.empty, (name, parameter)
            assert parameter.name in thing.__doc__, (name, parameter.name)


def test_a_public_name_has_one_home():
    """Functions are at the top or in the module of their subject, not in both."""
    rooms_at_the_top = ("cells", "wrappers", "layers", "engines")
    for room in ROOMS:
        module = importlib.import_module(f"jaxrnn.{room}")
        for name in module.__all__:
            if inspect.isfunction(getattr(module, name)):
                assert hasattr(jaxrnn, name) == (room in rooms_at_the_top), (room, name)


def test_the_rooms_show_public_names_only():
    for room in ROOMS[4:]:
        shown = [n for n in dir(importlib.import_module(f"jaxrnn.{room}")) if n[0] != "_"]
        assert not {"jax", "jnp", "np", "math"} & set(shown), (room, shown)


def test_the_version_is_that_of_the_installed_package():
    assert importlib.metadata.version("jaxrnn") == jaxrnn.__version__


IMPORT = """
import json, os, sys
import jax, jax.numpy, numpy
before, flags, environment = set(sys.modules), dict(jax.config.values), dict(os.environ)
events = []
def watch(event, args):
    if event == "open" and not str(args[0]).endswith((".py", ".pyc")) and isinstance(args[0], str):
        events.append([event, str(args[0])])
    elif event.startswith(("socket", "subprocess", "os.system", "ctypes.dlopen")):
        events.append([event, ""])
sys.addaudithook(watch)
import jaxrnn
modules = sorted(set(sys.modules) - before)
same = flags == dict(jax.config.values) and environment == dict(os.environ)
print(json.dumps({"modules": modules, "events": events, "same": same}))
"""


UNASKED = ("jaxrnn.engines.cpu", "jaxrnn.convert", "jaxrnn.plots")


def test_importing_is_light_and_touches_nothing():
    done = subprocess.run(
        [sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True
    )
    run = json.loads(done.stdout)
    others = [name for name in run["modules"] if name.split(".")[0] != "jaxrnn"]
    assert not [name for name in others if name.startswith(("jax.", "flax", "optax"))], others
    assert len(others) <= 10, others
    assert not [n for n in run["modules"] if n.startswith(UNASKED)]
    assert run["events"] == []
    assert run["same"]
