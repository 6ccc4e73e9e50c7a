"""micrograd's demo: a small neural network learns two half-moons, from scalar Values.

The model and the loss are ordinary Python over numbers. One decorator turns the loss into a
compiled kernel of its value and gradient.
"""

import random
import re
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import Progress
from rich.syntax import Syntax
from rich.table import Table
from sklearn.datasets import make_moons

import jitgrad
from jitgrad import Value
from jitgrad.nn import MLP

STEPS = 100

np.random.seed(1337)
random.seed(1337)
X, y = make_moons(n_samples=100, noise=0.1)
y = y * 2 - 1  # labels are -1 and 1
model = MLP(2, [16, 16, 1])


@jitgrad.compile(has_aux=True)
def loss(X, y):
    """The SVM max-margin loss with an L2 penalty, and the accuracy."""
    scores = [model([Value(x) for x in row]) for row in X]
    margins = [(1 + -label * score).relu() for label, score in zip(y, scores, strict=True)]
    data_loss = sum(margins) * (1.0 / len(margins))
    penalty = 1e-4 * sum(p * p for p in model.parameters())
    right = [(label > 0) == (score.data > 0) for label, score in zip(y, scores, strict=True)]
    return data_loss + penalty, sum(right) / len(right)


def train(console):
    """Take 100 full-batch steps; return a table of losses and the seconds of each step."""
    table = Table("step", "learning rate", "loss", "accuracy", title="Training")
    seconds = []
    with Progress(console=console, transient=True) as progress:
        for k in progress.track(range(STEPS), description="Training"):
            model.zero_grad()
            start = time.perf_counter()
            value, accuracy = loss.backward(X, y)
            seconds.append(time.perf_counter() - start)
            rate = 1.0 - 0.9 * k / STEPS
            for p in model.parameters():
                p.data -= rate * p.grad
            if k % 10 == 0 or k == STEPS - 1:
                table.add_row(f"{k}", f"{rate:.3f}", f"{value:.6f}", f"{accuracy:.0%}")
    console.print(table)
    return seconds


def eager_step():
    """Take one step's value and gradient without compiling; return its seconds."""
    start = time.perf_counter()
    value, _ = loss.__wrapped__(X, y)
    value.backward()
    return time.perf_counter() - start


def report(console, eager, seconds):
    """Say how long steps took, and what the loss became."""
    compiled = sorted(seconds[1:])[len(seconds) // 2]
    lowered = loss.lower(X, y)
    table = Table("one loss and its gradient", "time", title="Time of one step's gradient")
    table.add_row("eagerly, with Values", f"{1e3 * eager:,.0f} ms")
    table.add_row("compiled, first call (traces, then compiles or loads)", f"{seconds[0]:,.1f} s")
    table.add_row("compiled, median of the others", f"{1e6 * compiled:,.0f} µs")
    table.add_row("eager / compiled", f"{eager / compiled:,.0f}")
    console.print(table)
    console.print(
        f"{len(lowered.tape):,} instructions rolled into {lowered.program.statements} statements.\n"
        f"The generated code is in {lowered.path}\n"
        "Its loop over the points, forward and then reverse:\n",
        soft_wrap=True,
    )
    colours = {"theme": "ansi_dark", "background_color": "default"}
    console.print(Syntax(excerpt(lowered.source), "python", word_wrap=True, **colours))


def excerpt(source):
    """Return the kernel's loop over the points."""
    loops = re.findall(r"^    for .*\n(?:     .*\n)+", source, re.MULTILINE)
    return max(loops, key=len).rstrip()


def draw(path):
    """Draw the decision boundary: the same model works on arrays of inputs."""
    low, high = X.min(axis=0) - 1.0, X.max(axis=0) + 1.0
    across, up = np.meshgrid(*(np.linspace(low[i], high[i], 200) for i in (0, 1)))
    scores = model([across, up]).data
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.set_title(f"The sign of the network's output after {STEPS} steps")
    axes.contourf(across, up, scores > 0, cmap="Spectral", alpha=0.8)
    axes.scatter(X[:, 0], X[:, 1], c=y, s=40, cmap="Spectral", edgecolors="black")
    figure.savefig(path, dpi=120)


def main():
    """Train, report and draw."""
    console = Console()
    console.print(f"{len(X)} points, a network of {len(model.parameters())} parameters")
    eager = eager_step()
    seconds = train(console)
    report(console, eager, seconds)
    path = Path("moons.png").resolve()
    draw(path)
    console.print(f"\nThe decision boundary is in {path}", soft_wrap=True)


if __name__ == "__main__":
    main()
