"""The documents as programs: run their code, compare what they show, write it down again.

`python -m tests.docs` says what differs; `python -m tests.docs --write` puts the real outputs into
README.md and docs/*.md, the modules' first lines into the README's table, and the table of NumPy's
functions into docs/numpy.md.

A block that begins with ```python is run; all blocks of a document share one namespace. A name
after `python` is the file that tracebacks and generated comments name. A block whose second word is
`output` shows what the block before it printed.
"""

import ast
import contextlib
import io
import itertools
import math
import os
import re
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jitgrad.instead import IN_PLACE, INSTEAD
from jitgrad.protocols import SPECIAL
from tests.support import ELSEWHERE, FAMILIES

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "jitgrad"
README = ROOT / "README.md"
DOCUMENTS = (README, *sorted((ROOT / "docs").glob("*.md")))
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```\n", re.DOTALL | re.MULTILINE)
DIGEST = re.compile(r"_[0-9a-f]{16}\b")
SHOWN_DIGEST = "_0123456789abcdef"
NUMBER = re.compile(r"-?\d+\.\d+(?:e[+-]?\d+)?")
TOLERANCE = 1e-9  # relative: the last bits depend on the processor's fused multiply-add
SECTION = r"(?<=<!-- {0} -->\n).*?(?=<!-- end of {0} -->)"  # of the README, made here
# The story; a module that is not named here stands before the first one that imports it.
STORY = (
    *("errors", "ops", "structure", "graph", "value", "ufuncs", "arrays", "joining"),
    *("rearrange", "choosing", "reductions", "statistics", "contractions", "einsum", "norms"),
    *("differences", "creation", "methods", "tape", "roll", "program"),
    *("lower", "signature", "trace", "adjoint", "simplify", "invariant", "unroll", "fuse"),
    *("rematerialise", "contract", "sums", "hoist", "pipeline", "emit", "cache", "cpu"),
    *("compiled", "nn", "optim"),
)


class Block(NamedTuple):
    """A fenced block: its info words, its text, and where the text stands in the document."""

    words: tuple[str, ...]
    text: str
    start: int
    end: int

    @property
    def is_output(self):
        return self.words[1:2] == ("output",)

    @property
    def is_code(self):
        return self.words[:1] == ("python",) and not self.is_output


class Mismatch(NamedTuple):
    """A block of code, what it printed, and what the document shows (None for nothing)."""

    code: Block
    printed: str
    shown: Block | None


def blocks(text):
    """List the fenced blocks of a document."""
    return [Block(tuple(m[1].split()), m[2], m.start(2), m.end(2)) for m in FENCE.finditer(text)]


def apply(difference, folder):
    """Change files as a unified difference says, whose context tells where.

    Raises
    ------
    ValueError
        Where the context is not in the file, or more than once.
    """
    for part in re.split(r"^--- a/.*\n", difference, flags=re.MULTILINE)[1:]:
        header, *hunks = re.split(r"^@@.*\n", part, flags=re.MULTILINE)
        path = folder / header.strip().removeprefix("+++ b/")
        for hunk in hunks:
            lines = hunk.splitlines(keepends=True)
            before = "".join(line[1:] or "\n" for line in lines if line[0] != "+")
            after = "".join(line[1:] or "\n" for line in lines if line[0] != "-")
            if path.read_text().count(before) != 1:
                raise ValueError(f"{path.name}: this does not fit:\n{before}")
            path.write_text(path.read_text().replace(before, after))


def pairs(text):
    """Yield each block of code with the output block that follows it, or None."""
    found = blocks(text)
    for block, following in itertools.pairwise([*found, None]):
        if block.is_code:
            shows = following is not None and following.is_output
            yield block, following if shows else None


def execute(block, namespace):
    """Run one block; return what it printed, digests replaced."""
    name = block.words[1] if len(block.words) > 1 else "example.py"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block.text, name, "exec"), namespace)
    return DIGEST.sub(SHOWN_DIGEST, printed.getvalue())


def alike(shown, real):
    """Whether two texts are the same but for the last digits of their numbers."""
    if NUMBER.sub("#", shown) != NUMBER.sub("#", real):
        return False
    numbers = zip(NUMBER.findall(shown), NUMBER.findall(real), strict=True)
    return all(math.isclose(float(a), float(b), rel_tol=TOLERANCE) for a, b in numbers)


def mismatches(text):
    """Run a document; list the blocks whose output is not what it shows."""
    namespace = {"__name__": "__main__"}
    found = []
    for code, shown in pairs(text):
        printed = execute(code, namespace)
        if not alike(shown.text if shown else "", printed):
            found.append(Mismatch(code, printed, shown))
    return found


def rewritten(text):
    """Return the document with real outputs in place of those that differ."""
    for code, printed, shown in reversed(mismatches(text)):
        if shown is not None:
            text = text[: shown.start] + printed + text[shown.end :]
        else:
            after = code.end + len("```\n")
            text = text[:after] + f"\n```text output\n{printed}```\n" + text[after:]
    return text


# --- the table of modules ------------------------------------------------------------------------


def module_trees():
    """Parse the package's modules, `__init__` apart."""
    files = [*PACKAGE.glob("*.py"), *PACKAGE.glob("scipy/*.py")]
    names = {"/".join(f.relative_to(PACKAGE).with_suffix("").parts): f for f in sorted(files)}
    return {n: ast.parse(f.read_text()) for n, f in names.items() if not n.endswith("__init__")}


def imports(tree, names):
    """Return the modules of the package that a module imports at its top, in order."""
    found = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "jitgrad":
            found += [alias.name for alias in node.names if alias.name in names]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jitgrad."):
            inside = node.module.removeprefix("jitgrad.").replace(".", "/")
            parts = [f"{inside}/{alias.name}" for alias in node.names]
            found += [inside] if inside in names else [part for part in parts if part in names]
    return found


def reading_order(trees):
    """Order the modules as the story goes, each after what it imports."""
    order = []

    def visit(name):
        if name not in order:
            for needed in sorted(imports(trees[name], trees), key=place):
                visit(needed)
            order.append(name)

    def place(name):
        return (STORY.index(name) if name in STORY else len(STORY), name)

    for name in sorted(trees, key=place):
        visit(name)
    return order


def section(name):
    """Return the pattern of a section of a document that is made from the package."""
    return re.compile(SECTION.format(name), re.DOTALL)


def module_table():
    """Return the table: a module's line is the first of its docstring."""
    trees = module_trees()
    rows = ["| module | |", "| --- | --- |"]
    for name in reading_order(trees):
        line = (ast.get_docstring(trees[name]) or "").split("\n")[0]
        rows.append(f"| [`{name}.py`](jitgrad/{name}.py) | {line} |")
    return "\n".join(rows) + "\n"


def support_tables():
    """Return the tables of NumPy's functions, a family each."""
    parts = []
    for family, rows in FAMILIES.items():
        lines = [f"## {family}", "", "| function | tier | |", "| --- | --: | --- |"]
        lines += [f"| {in_code(row.name)} | {row.tier or ''} | {row.note} |" for row in rows]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def scipy_list():
    """Return the functions of scipy.special that work on Values."""
    names = sorted(name.removeprefix("_") for name in SPECIAL)
    return textwrap.fill(f"{', '.join(names)}.", 100) + "\n"


def in_code(name):
    """A row's name with its functions as code; a bar would end the cell."""
    names = re.sub(r"(?<!`)((?:np|scipy|ufunc|ndarray)?\.\w[\w.]*)", r"`\1`", name)
    return names.replace("|", "\\|")


def instead_table():
    """Return the table of what is refused, with what to write."""
    refused = {
        f"`{'ufunc' if hasattr(np.add, name) else 'np'}.{name}`": advice
        for name, advice in INSTEAD.items()
    }
    refused |= {f"`.{name}()`": advice for name, advice in IN_PLACE.items()}
    rows = [f"| {name} | {advice} |" for name, advice in {**ELSEWHERE, **refused}.items()]
    return "\n".join(["| instead of | |", "| --- | --- |", *rows]) + "\n"


NUMPY_PAGE = ROOT / "docs" / "numpy.md"
MADE = {
    "modules": (README, module_table),
    "support": (NUMPY_PAGE, support_tables),
    "instead": (NUMPY_PAGE, instead_table),
    "scipy": (README, scipy_list),
}

# --- links ---------------------------------------------------------------------------------------


def anchors(text):
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.*)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def broken_links(document):
    """List the links to files and headings that are not there."""
    text = document.read_text()
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", text)):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = document.parent / path if path else document
        if not file.exists() or (anchor and anchor not in anchors(file.read_text())):
            broken.append(target)
    return broken


def main(write):
    """Compare every document with reality, or write reality into it."""
    differ = False
    for document in DOCUMENTS:
        old = document.read_text()
        new = rewritten(old)
        for name, (_, make) in MADE.items():
            new = section(name).sub(lambda _, make=make: make(), new)
        if new != old:
            differ = True
            print(f"{document.relative_to(ROOT)}: {'written' if write else 'differs'}")
            if write:
                document.write_text(new)
    return differ and not write


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="jitgrad-docs-") as folder:
        os.environ["JITGRAD_CACHE_DIR"] = folder
        status = main("--write" in sys.argv[1:])
    sys.exit(status)
