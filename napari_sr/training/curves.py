"""The course of a training as a table and as a picture.

This module alone knows how a training's history is shown.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes


_PANELS = (
    ("PSNR on held-out images / dB", ("psnr",)),
    ("pixel loss", ("pixels",)),
    ("spectrum error on held-out images", ("spectrum_error",)),
    ("adversarial losses", ("adversarial", "discriminator")),
    ("accuracy of the discriminator (chance: 0.5)", ("accuracy",)),
)


def write_table(history: Sequence[Mapping[str, float | str]], path: Path) -> None:
    """Write one row for each look at the held-out images, as CSV."""
    columns = list(dict.fromkeys(name for row in history for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(history)


def draw_curves(
    history: Sequence[Mapping[str, float | str]], lines: Mapping[str, float]
) -> Figure:
    """Draw how losses and figures went.

    Parameters
    ----------
    history
        Rows as `TrainingState.history` has them.
    lines
        PSNR of what the training is compared with, by name.

    Returns
    -------
    Figure
        One panel for each group of figures that there are.
    """
    present = {name for row in history for name in row}
    panels = [
        (title, [name for name in names if name in present])
        for title, names in _PANELS
        if present & set(names)
    ]
    figure = Figure(figsize=(4.2 * max(1, len(panels)), 3.2), layout="constrained")
    for axes, (title, names) in zip(
        figure.subplots(1, max(1, len(panels)), squeeze=False)[0], panels, strict=False
    ):
        _draw_panel(axes, history, title, names)
        if names == ["psnr"]:
            for number, (label, value) in enumerate(lines.items()):
                style = ("--", ":", "-.")[number % 3]
                axes.axhline(value, color="0.4", linestyle=style, label=label)
            axes.legend(frameon=False)
    return figure


def _draw_panel(
    axes: Axes,
    history: Sequence[Mapping[str, float | str]],
    title: str,
    names: Sequence[str],
) -> None:
    """Draw some figures over the steps of all stages, one after the other."""
    steps = _steps_over_stages(history)
    for name in names:
        points = [
            (step, row[name])
            for step, row in zip(steps, history, strict=True)
            if name in row
        ]
        axes.plot(*zip(*points, strict=True), marker=".", label=name)
    for step, row, following in zip(steps, history, history[1:], strict=False):
        if row["stage"] != following["stage"]:
            axes.axvline(step, color="0.85", zorder=0)
    axes.set(title=title, xlabel="step")
    axes.spines[["top", "right"]].set_visible(False)
    if len(names) > 1:
        axes.legend(frameon=False)


def _steps_over_stages(history: Sequence[Mapping[str, float | str]]) -> list[float]:
    """Count steps on from one stage to the next."""
    steps: list[float] = []
    before, last, stage = 0.0, 0.0, None
    for row in history:
        if row["stage"] != stage:
            before, stage = before + last, row["stage"]
        last = float(row["iteration"])
        steps.append(before + last)
    return steps
