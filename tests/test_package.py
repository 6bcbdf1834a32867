"""What the package promises as a whole: its imports, its names and what importing it does."""

import ast
import importlib.metadata
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
                inner = ROOT.parent.joinpath(*node.module.split("."), alias.name + ".py")
                yield f"{node.module}.{alias.name}" if inner.exists() else node.module
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


def test_cells_and_layers_do_not_import_each_other():
    for module, imported in graph().items():
        kind = module.split(".")[1:2]
        if module.count(".") == 2 and kind in (["cells"], ["layers"]):
            for other in imported:
                assert not other.startswith(("jaxrnn.cells", "jaxrnn.layers")), (module, other)


def test_every_public_name_is_there_and_documented():
    assert list(jaxrnn.__all__) == sorted(jaxrnn.__all__)
    submodules = {"cells", "convert", "kernels", "layers", "linen", "nnx"}
    public = {n for n in vars(jaxrnn) if not n.startswith("_")} - submodules
    assert public == set(jaxrnn.__all__)
    for name in jaxrnn.__all__:
        thing = getattr(jaxrnn, name)
        assert thing.__doc__, name
        if inspect.isfunction(thing):
            assert "return" in thing.__annotations__, name
            for parameter in inspect.signature(thing).parameters.values():
                assert parameter.annotation is not inspect.Parameter.empty, (name, parameter)
                assert parameter.name in thing.__doc__, (name, parameter.name)


def test_the_version_is_that_of_the_installed_package():
    assert importlib.metadata.version("jaxrnn") == jaxrnn.__version__


IMPORT = """
import json, os, sys, time
import jax, jax.numpy, numpy
events, flags, environment = [], dict(jax.config.values), dict(os.environ)
package = "jaxrnn"
def watch(event, args):
    if event == "open" and not str(args[0]).endswith((".py", ".pyc")) and isinstance(args[0], str):
        events.append([event, str(args[0])])
    elif event.startswith(("socket", "subprocess", "os.system")):
        events.append([event, ""])
sys.addaudithook(watch)
start = time.perf_counter()
import jaxrnn
seconds = time.perf_counter() - start
same = flags == dict(jax.config.values) and environment == dict(os.environ)
print(json.dumps({"seconds": seconds, "events": events, "same": same}))
"""


def test_importing_is_quick_and_touches_nothing():
    runs = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True
        )
        runs.append(json.loads(done.stdout))
    assert min(run["seconds"] for run in runs) < 0.1
    assert all(run["events"] == [] and run["same"] for run in runs)
