"""The tables and the plot of the array benchmark, from what was measured."""

import math
import os
import platform
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.arrays.race import Cell
from benchmarks.arrays.rows import ROWS
from benchmarks.arrays.tools import PEERS, TOOLS
from benchmarks.measure import show_seconds

START, END = "<!-- arrays -->", "<!-- end of arrays -->"
HAND = ("numba", "numpy")

Results = dict[str, dict[str, Cell]]  # by row, then by tool


def processor() -> str:
    """Return what the system says of the processor, and how many cores there are."""
    name = platform.processor() or platform.machine()
    cpus = Path("/proc/cpuinfo")
    if cpus.exists():
        named = [x for x in cpus.read_text().splitlines() if x.startswith("model name")]
        name = named[0].split(":", 1)[1].strip() if named else name
    return f"{name}, {os.cpu_count()} cores"


def versions(results: Results) -> str:
    """Return the libraries with their versions, each once."""
    found = {
        TOOLS[tool].modules[-1]: cell.version
        for cells in results.values()
        for tool, cell in cells.items()
        if cell.version
    }
    return ", ".join(f"{name} {version}" for name, version in sorted(found.items()))


def ratio(cells: dict[str, Cell], tool: str, to: Iterable[str]) -> float | None:
    """Return a tool's time over the best time of others, if there are both."""
    mine = cells[tool].typical() if tool in cells else None
    others = [t for name in to if name in cells and (t := cells[name].typical()) is not None]
    return mine / min(others) if mine is not None and others else None


def geometric_mean(values: Iterable[float | None]) -> float | None:
    """Return the geometric mean of what is not None.

    >>> geometric_mean([2.0, None, 8.0])
    4.0
    """
    logarithms = [math.log(value) for value in values if value is not None]
    return math.exp(sum(logarithms) / len(logarithms)) if logarithms else None


def show(value: float | None, form: Callable[[float], str], cell: Cell | None = None) -> str:
    """Write a number, or why there is none: `-` for what a tool is not for, else `failed`."""
    if value is not None:
        return form(value)
    return "failed" if cell is not None and cell.failed else "-"


def factor(value: float) -> str:
    """Write a ratio with two decimals below 10, and more than 1 in bold.

    >>> factor(0.25), factor(1.504), factor(23.0)
    ('0.25', '**1.50**', '**23**')
    """
    text = f"{value:.2f}" if value < 9.995 else f"{value:,.0f}"
    return f"**{text}**" if float(text.replace(",", "")) > 1 else text


def markdown(columns: list[str], lines: list[list[str]]) -> str:
    """Return a table whose columns but the first are right-aligned."""
    rule = ["---"] + ["--:"] * (len(columns) - 1)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [columns, rule, *lines])


def times(results: Results, tools: list[str]) -> str:
    """Return the table of one call, with ratios and their means."""
    lines = []
    groups = {"best peer": PEERS, "Numba by hand": ("numba",), "best by hand": HAND}
    columns: dict[str, list[float | None]] = {name: [] for name in groups}
    for name, cells in results.items():
        line = [ROWS[name].title]
        for tool in tools:
            cell = cells.get(tool)
            line.append(show(cell.typical() if cell else None, show_seconds, cell))
        for group, to in groups.items():
            columns[group].append(ratio(cells, "jitgrad", to))
        line[2:2] = [show(ratios[-1], factor) for ratios in columns.values()]
        lines.append(line)
    means = [show(geometric_mean(ratios), factor) for ratios in columns.values()]
    over = [over_jitgrad(results, tool) for tool in tools[1:]]
    lines.append(["geometric mean: ratios; others over jitgrad", "", *means, *over])
    headings = [TOOLS[tool].title for tool in tools]
    headings[1:1] = [f"÷ {group}" for group in groups]
    return markdown(["one call", *headings], lines)


def over_jitgrad(results: Results, tool: str) -> str:
    """Write the geometric mean of a tool's times over jitgrad's."""
    mean = geometric_mean(ratio(cells, tool, ["jitgrad"]) for cells in results.values())
    return show(mean, "{:.2f} ×".format)


def details(
    results: Results, tools: list[str], title: str, field: str, form: Callable[[float], str]
) -> str:
    """Return the table of one field of the cells."""
    tools = [t for t in tools if any(getattr(c[t], field) for c in results.values() if t in c)]
    lines = [
        [ROWS[name].title]
        + [
            show(getattr(cells[t], field) if t in cells else None, form, cells.get(t))
            for t in tools
        ]
        for name, cells in results.items()
    ]
    return markdown([title, *(TOOLS[tool].title for tool in tools)], lines)


def losses(results: Results) -> str:
    """Say where jitgrad is slower than another, and where it gives nothing."""
    slower, failed = [], []
    for name, cells in results.items():
        title = ROWS[name].title
        if "jitgrad" in cells and not cells["jitgrad"].seconds:
            failed.append(title)
        for to in (*PEERS, *HAND):
            worse = ratio(cells, "jitgrad", [to])
            if worse is not None and worse > 1.05:
                slower.append(f"- {title}: {worse:.2f} times as long as {TOOLS[to].title}")
    text = ["jitgrad is slower by more than 5 % here:", "", *(slower or ["- nowhere"])]
    if failed:
        text += ["", "jitgrad gives nothing for: " + "; ".join(failed) + "."]
    return "\n".join(text)


def reasons(results: Results) -> str:
    """Return why cells are empty, each reason once."""
    found: dict[str, list[str]] = {}
    for name, cells in results.items():
        for tool, cell in cells.items():
            why = cell.absent or cell.failed
            if why:
                word = "failed: " if cell.failed else ""
                found.setdefault(f"{TOOLS[tool].title}, {{}}: {word}{why}", []).append(name)
    return "\n".join(f"- {why.replace('{}', ', '.join(names))}" for why, names in found.items())


def document(results: Results, tools: list[str], command: str) -> str:
    """Return everything as Markdown."""
    megabytes = "{:,.0f} MB".format
    head = (
        f"From one run of `{command}` on {processor()}, Python {platform.python_version()}; "
        f"{versions(results)}.\n\nA call gives value and gradient as NumPy arrays from NumPy "
        "arrays, one number of which changes before each call. Every cell has its own process; "
        "times are medians of rounds taken in turns. Libraries run with the threads that they "
        "take by themselves; jitgrad and what is by hand take one, but for BLAS. Below 1, or "
        "not bold, jitgrad is faster. `-` is what a library is not for, or what it does not "
        "keep; reasons follow the tables."
    )
    first = "first call, empty cache"
    parts = [
        head,
        times(results, tools),
        losses(results),
        details(results, tools, first, "cold", show_seconds),
        details(results, tools, "first call, from disk", "warm", show_seconds),
        details(results, tools, "peak memory, compiling included", "memory", megabytes),
        details(results, tools, "largest error", "error", "{:.0e}".format),
        reasons(results),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def write_between_markers(path: Path, text: str) -> None:
    """Put text between the markers of a page; make the page if there is none."""
    page = path.read_text() if path.exists() else f"# Performance\n\n{START}\n{END}\n"
    before, _, rest = page.partition(START)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{path} has no {START} followed by {END}")
    path.write_text(f"{before}{START}\n{text}{END}{after}")


def plot(results: Results, tools: list[str], path: Path) -> None:
    """Draw each tool's time over that of Numba by hand, a line of dots for each row."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "jitgrad"
    from matplotlib import pyplot

    shown = [name for name, cells in results.items() if ratio(cells, "numba", ["numba"])]
    figure, axes = pyplot.subplots(figsize=(9, 1.5 + 0.32 * len(shown)), layout="constrained")
    for k, tool in enumerate(tool for tool in tools if tool != "numba"):
        points = [(ratio(results[name], tool, ["numba"]), -i) for i, name in enumerate(shown)]
        found = [(x, y) for x, y in points if x is not None]
        if found:
            mine = tool == "jitgrad"
            style = {"marker": "D" if mine else "o", "s": 50 if mine else 25}
            color = "black" if mine else f"C{k}"
            x, y = zip(*found, strict=True)
            axes.scatter(
                x, y, label=TOOLS[tool].title, color=color, zorder=3 if mine else 2, **style
            )
    axes.axvline(1.0, color="grey", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks([-i for i in range(len(shown))], [ROWS[name].title for name in shown])
    axes.grid(axis="y", alpha=0.3)
    axes.set_xlabel("time of value and gradient over that of Numba by hand")
    figure.legend(loc="outside upper center", ncols=5, frameon=False)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
