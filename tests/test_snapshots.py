"""The generated source of some of the corpus, reviewed like code.

``SNAPSHOT_UPDATE=1 pytest tests/test_snapshots.py`` writes the files anew. In them a kernel's name
has no digest, and a line of the corpus is counted from the ``def`` of its function.
"""

import ast
import os
import re
from pathlib import Path

import pytest

import tests.corpus
from jitgrad import compile as compiled
from tests.corpus import CASES

FOLDER = Path(__file__).parent / "snapshots"
NAMES = [
    "horner",
    "dot_product",
    "logistic_loop",
    "logistic_array",
    "softmax_cross_entropy",
    "mlp",
    "huber",
    "embedding",
    "garch",
    "arma",
    "kalman",
    "rk4",
    "euler_arrays",
    "heat_equation",
    "lennard_jones",
    "gravity",
    "graph_energy",
    "matmul",
    "triangular_solve",
    "rosenbrock_loop",
    "rosenbrock_slices",
    "chebyshev",
    "newton_root",
    "binomial_tree",
]


def places():
    """For each line of the corpus its function and its line in that function."""
    tree = ast.parse(Path(tests.corpus.__file__).read_text())
    found = {}
    for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
        for decorator in function.decorator_list:
            found[decorator.lineno] = function.name
        for line in range(function.lineno, function.end_lineno + 1):
            found[line] = f"{function.name}+{line - function.lineno}"
    return found


def normal(source):
    """A source without what changes with every edit of the corpus."""
    where = places()
    source = re.sub(r"_[0-9a-f]{16}\b", "", source)
    return re.sub(r"corpus\.py:(\d+)", lambda found: f"corpus.py:{where[int(found[1])]}", source)


def generated(case):
    made = compiled(case.fun, argnums=case.argnums, has_aux=case.has_aux)
    return normal(made.lower(*case.args).source)


@pytest.mark.parametrize("name", NAMES)
def test_generated_source(name):
    path, found = FOLDER / f"{name}.py", generated(CASES[name])
    if os.environ.get("SNAPSHOT_UPDATE"):
        path.write_text(found)
    assert path.exists(), "write it with SNAPSHOT_UPDATE=1"
    assert found == path.read_text()


def test_no_snapshot_is_left_over():
    assert {path.stem for path in FOLDER.glob("*.py")} == set(NAMES)
