"""How the package is built: no cycles, short functions, short modules, imports at the top."""

import ast
import statistics
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import jitgrad

PACKAGE = Path(jitgrad.__path__[0])
PATHS = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
MODULES = {name: ast.parse(path.read_text()) for name, path in PATHS.items()}
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
# The only top-level names that may be imported inside a function: not everybody has them.
OPTIONAL = {"cupy", "IPython", "matplotlib", "rich", "scipy"}
OPTIONAL_PARTS = {"numba.cuda"}  # 54 ms to import, and of use on few machines
every_module = pytest.mark.parametrize("name", MODULES)


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, FUNCTION)]


def length(function):
    """Lines of a function, its decorators and docstring apart."""
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is not None:
        docstring = function.body[0]
        lines -= docstring.end_lineno - docstring.lineno + 1
    return lines


def imported(tree):
    """The absolute names that a tree imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = ".".join(filter(None, ("jitgrad" if node.level else "", node.module)))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def imported_modules(tree):
    """The modules of this package that a tree imports."""
    found = set()
    for name in imported(tree):
        top, *rest = name.split(".")
        if top == "jitgrad":
            # `from jitgrad import x`, where x is no module, is an import of the package itself.
            parts = (".".join(rest[:n]) for n in (2, 1))
            found.add(next((part for part in parts if part in MODULES), "__init__"))
    return found


def test_imports_have_no_cycles():
    graph = {name: imported_modules(tree) for name, tree in MODULES.items()}
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the cycle


@every_module
def test_no_import_inside_a_function(name):
    inside = {found for function in functions(MODULES[name]) for found in imported(function)}
    allowed = {
        found
        for found in inside
        if found.partition(".")[0] in OPTIONAL or ".".join(found.split(".")[:2]) in OPTIONAL_PARTS
    }
    assert inside == allowed


@every_module
def test_docstring(name):
    docstring = ast.get_docstring(MODULES[name])
    assert docstring, f"{name} has no docstring"
    assert docstring.splitlines()[0].endswith(".")


@every_module
def test_module_is_short(name):
    assert len(PATHS[name].read_text().splitlines()) <= 450


@every_module
def test_no_function_is_long(name):
    long = {f.name: length(f) for f in functions(MODULES[name]) if length(f) > 60}
    assert not long


def test_functions_are_short_on_the_whole():
    lengths = sorted(length(f) for tree in MODULES.values() for f in functions(tree))
    assert statistics.median(lengths) <= 8
    assert lengths[int(0.95 * (len(lengths) - 1))] <= 30


def test_no_drawer_for_odds_and_ends():
    assert not set(MODULES) & {"util", "utils", "helpers", "common", "misc"}


def test_the_checker_sees_what_it_should():
    tree = ast.parse(
        "import jitgrad.tape\n"
        "from . import value\n"
        "from .emit import text\n"
        "from jitgrad.program import Loop\n"
        "def f():\n"
        "    '''Doc\n    string.'''\n"
        "    import rich.tree\n"
        "    return 1\n"
    )
    assert set(imported(tree)) == {
        "jitgrad.tape",
        "jitgrad.value",
        "jitgrad.emit.text",
        "jitgrad.program.Loop",
        "rich.tree",
    }
    assert [length(f) for f in functions(tree)] == [3]
