"""The documents: their code runs and prints what they show, and their links lead somewhere."""

import doctest
import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jitgrad.pipeline import PASSES
from tests import docs

CONTRIBUTING = docs.ROOT / "CONTRIBUTING.md"
LINKED = (*docs.DOCUMENTS, CONTRIBUTING, docs.ROOT / "CHANGELOG.md")
HOW = docs.ROOT / "docs" / "how-it-works.md"
TESTS = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", "-k")
every_document = pytest.mark.parametrize("document", docs.DOCUMENTS, ids=lambda path: path.name)


@every_document
def test_code_prints_what_is_shown(document):
    found = docs.mismatches(document.read_text())
    assert not found, "python -m tests.docs --write puts real outputs in; then read them"


@pytest.mark.parametrize("document", LINKED, ids=lambda path: path.name)
def test_links(document):
    assert docs.broken_links(document) == []


@pytest.mark.parametrize("document", LINKED, ids=lambda path: path.name)
def test_commands_exist(document):
    targets = set(re.findall(r"^(\w+):", (docs.ROOT / "Makefile").read_text(), re.MULTILINE))
    text = document.read_text()
    for target in re.findall(r"`make (\w+)|^make (\w+)", text, re.MULTILINE):
        assert set(target) & targets, f"make {target}"
    for module in re.findall(r"python -m ((?:tests|benchmarks)[\w.]*)", text):
        path = docs.ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module


@pytest.mark.parametrize("name", docs.MADE)
def test_made_sections_are_up_to_date(name):
    document, make = docs.MADE[name]
    (shown,) = docs.section(name).findall(document.read_text())
    assert shown == make(), "python -m tests.docs --write"


def test_the_table_reads_upwards():
    trees = docs.module_trees()
    order = docs.reading_order(trees)
    assert sorted(order) == sorted(trees)
    for name in order:
        assert all(order.index(n) < order.index(name) for n in docs.imports(trees[name], trees))


def test_every_pass_is_explained():
    names = {step.__name__ for step in PASSES}
    text = HOW.read_text()
    assert not {name for name in names if f"**`{name}`**" not in text}


@pytest.mark.parametrize("name", sorted(docs.module_trees()))
def test_doctests(name):
    module = importlib.import_module(f"jitgrad.{name.replace('/', '.')}")
    assert doctest.testmod(module).failed == 0


# --- the helper itself ---------------------------------------------------------------------------


def test_a_wrong_output_is_found_and_replaced():
    text = "```python\nprint(1.5)\n```\n\n```text output\n1.6\n```\n"
    (found,) = docs.mismatches(text)
    assert found.printed == "1.5\n"
    assert docs.rewritten(text) == text.replace("1.6", "1.5")


def test_a_missing_output_is_added():
    text = "```python t.py\nprint(__name__)\n```\n"
    written = docs.rewritten(text)
    assert written == text + "\n```text output\n__main__\n```\n"
    assert docs.mismatches(written) == []


def test_only_last_digits_may_differ():
    assert docs.alike("f(0.1234567890123)", "f(0.1234567890124)")
    assert not docs.alike("f(0.123)", "f(0.124)")
    assert not docs.alike("f(0.123)", "g(0.123)")
    assert not docs.alike("range(10)", "range(11)")


def test_a_broken_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# One `two`\n[a](#one-two) [b](#three) [c](page.md) [d](none.md) [e](https://x)"
    )
    assert docs.broken_links(page) == ["#three", "none.md"]


# --- "add an op in one row", and "add a NumPy function" -------------------------------------------

NEEDED = ("__init__.py", "conftest.py", "special_meanings.py", "test_ops.py", "quick.py")
NEEDED += ("support.py", "test_support.py")


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """A copy of the package and of some tests, with CONTRIBUTING's differences applied."""
    copy = tmp_path_factory.mktemp("copy")
    shutil.copytree(docs.PACKAGE, copy / "jitgrad", ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "tests").mkdir()
    for name in filter(lambda name: (docs.ROOT / "tests" / name).exists(), NEEDED):
        shutil.copy(docs.ROOT / "tests" / name, copy / "tests" / name)
    found = docs.blocks(CONTRIBUTING.read_text())
    for block in (block for block in found if block.words == ("diff",)):
        docs.apply(block.text, copy)
    (use,) = (block.text for block in found if block.is_code)
    (copy / "use.py").write_text(use)
    return copy


def run_in(folder: Path, *arguments):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "JITGRAD_CACHE_DIR": str(folder / "c")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_one_row_is_enough(changed):
    (shown,) = (block.text for block in docs.blocks(CONTRIBUTING.read_text()) if block.is_output)
    ran = run_in(changed, "use.py")
    assert docs.alike(shown, ran.stdout), ran.stdout + ran.stderr


def test_the_row_is_tested_by_its_name(changed):
    ran = run_in(changed, *TESTS, "logcosh")
    assert ran.returncode == 0, ran.stdout
    assert re.search(r"^[3-9] passed", ran.stdout, re.MULTILINE), ran.stdout


def test_a_wrong_row_is_caught(changed, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(changed, copy)
    table = copy / "jitgrad" / "ops.py"
    text = table.read_text()
    assert text.count('"g * tanh(x)"') == 1
    table.write_text(text.replace('"g * tanh(x)"', '"g * sinh(x)"'))
    ran = run_in(copy, *TESTS, "logcosh")
    assert ran.returncode == 1
    assert re.search(r"FAILED .*test_partials\[logcosh\]", ran.stdout), ran.stdout


def test_a_function_is_tested_by_its_name(changed):
    ran = run_in(changed, *TESTS, "poly]")
    assert ran.returncode == 0, ran.stdout
    assert re.search(r"^[5-9] passed", ran.stdout, re.MULTILINE), ran.stdout


def test_a_difference_has_to_fit(tmp_path):
    (tmp_path / "a.py").write_text("one\ntwo\nthree\n")
    docs.apply("--- a/a.py\n+++ b/a.py\n@@\n one\n-two\n+2\n three\n", tmp_path)
    assert (tmp_path / "a.py").read_text() == "one\n2\nthree\n"
    with pytest.raises(ValueError, match="does not fit"):
        docs.apply("--- a/a.py\n+++ b/a.py\n@@\n one\n-two\n", tmp_path)
