"""Several results as one picture: whole, enlarged, and what each figure says.

This module alone knows how methods stand beside each other on a sheet, and what is
written into its file.
"""

from __future__ import annotations

import json
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from napari_sr.files.atomic import written_atomically
from napari_sr.metrics.descriptions import FIGURES, as_text
from napari_sr.trust.report.drawing import (
    CLOSE_UP,
    busiest,
    draw_errors,
    errors_of,
    mark,
    show,
    smaller,
    step_of,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from napari_sr.evaluation.side_by_side import SideBySide
    from napari_sr.metrics.quality import Agreement

MOST_ABREAST = 5
_DPI = 130
_BELOW = ("psnr", "ssim", "agreement")
"""Figures that stand below each picture, where they were taken."""


def draw_contact_sheet(
    side_by_side: SideBySide, zoom: tuple[slice, slice] | None = None
) -> Figure:
    """Draw the recording with the part that is enlarged, then that part of everything.

    Below each result stands its error, where there is a reference.

    Parameters
    ----------
    side_by_side
        From `napari_sr.evaluation.side_by_side.compare_side_by_side`.
    zoom
        Rows and columns of the recording to enlarge; where there is most detail when
        not given.

    Returns
    -------
    Figure
        All pictures on one scale of counts.

    Raises
    ------
    ValueError
        If the part is not inside the recording.
    """
    low = side_by_side.pictures["recording"]
    part = _inside(zoom, low.shape) if zoom else most_detailed(side_by_side)
    parts = _parts(side_by_side, part)
    errors = errors_of(parts)
    rows = ceil((len(parts) + 1) / MOST_ABREAST)
    columns = ceil((len(parts) + 1) / rows)  # rows of one length, as far as it goes
    lines = 2 if errors else 1
    with mpl.rc_context({"font.size": 8}):
        figure = Figure(
            figsize=(2.3 * columns, (3 + 2.3 * (lines - 1)) * rows + 0.4),
            layout=ConstrainedLayoutEngine(h_pad=0.1),
        )
        FigureCanvasAgg(figure)
        grid = figure.subplots(lines * rows, columns, squeeze=False)
        first, *places = grid[::lines].ravel()
        limits = np.percentile(list(parts.values())[-1], (0.3, 99.7))
        _draw_whole(first, low, part)
        for place, (name, picture) in zip(places, parts.items(), strict=False):
            show(place, picture, "gray", *limits)
            place.set_title(_wrapped(name))
            place.set_xlabel(_figures_of(side_by_side.comparison.figures, name))
        for place in places[len(parts) :]:
            place.set_axis_off()
        if errors:
            below = dict(zip(("", *parts), grid[1::lines].ravel(), strict=False))
            draw_errors(below, errors)
            for place in grid[1::lines].ravel()[len(below) :]:
                place.set_axis_off()
        figure.supxlabel(_scope(side_by_side), fontsize=8)
    return figure


def _parts(side_by_side: SideBySide, part: tuple[slice, slice]) -> dict[str, NDArray]:
    """Cut the enlarged part out of all pictures, the recording first."""
    pictures = side_by_side.pictures
    names = ["recording", *(name for name in pictures if name != "recording")]
    return {
        name: _cut(pictures[name], part, 1 if number == 0 else side_by_side.factor)
        for number, name in enumerate(names)
    }


def _scope(side_by_side: SideBySide) -> str:
    """Say which plane is shown, and of which planes the figures are."""
    index = ", ".join(map(str, side_by_side.region.index))
    shown = f"Pictures: plane {index}. " if index else ""
    return f"{shown}Figures: {side_by_side.comparison.scope}."


def write_side_by_side(
    side_by_side: SideBySide,
    path: str | os.PathLike[str],
    zoom: tuple[slice, slice] | None = None,
) -> tuple[Path, Path]:
    """Write a contact sheet, and the figures beside it as comma-separated values.

    Parameters
    ----------
    side_by_side, zoom
        As for `draw_contact_sheet`.
    path
        Ends in `.png`; existing files are replaced.

    Returns
    -------
    tuple of Path
        The picture, which holds what was decided for each method as text, and the
        table.

    Raises
    ------
    ValueError
        If the name ends in something else, or the part is not inside the recording.
    """
    picture = check_sheet(path)
    table = picture.with_suffix(".csv")
    figure = draw_contact_sheet(side_by_side, zoom)
    plans = json.dumps(dict(side_by_side.plans), ensure_ascii=False, default=str)
    header = {"Software": "napari-sr", "Description": plans}
    with written_atomically(picture) as partial:
        figure.savefig(partial, format="png", dpi=_DPI, metadata=header)
    with written_atomically(table) as partial:
        partial.write_text(side_by_side.comparison.as_csv(), encoding="utf-8")
    return picture, table


def most_detailed(side_by_side: SideBySide) -> tuple[slice, slice]:
    """Find rows and columns of the recording where there is most detail.

    At most half of each side, so that it is enlarged also where pictures are small.
    """
    factor, picture = side_by_side.factor, side_by_side.pictures["bicubic"]
    rows, columns = busiest(picture, min(CLOSE_UP, min(picture.shape) // 2))
    return (
        slice(rows.start // factor, rows.stop // factor),
        slice(columns.start // factor, columns.stop // factor),
    )


def check_sheet(path: str | os.PathLike[str]) -> Path:
    """Refuse the name of a sheet that would not be written, before one is made."""
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(
            f"A contact sheet ends in .png (its table then in .csv), got {path.name!r}."
        )
    if not path.absolute().parent.is_dir():
        raise ValueError(f"There is no folder {path.parent}. Create it first.")
    return path


def _draw_whole(axes: Axes, low: NDArray, part: tuple[slice, slice]) -> None:
    show(axes, smaller(low), "gray", *np.percentile(low, (0.5, 99.7)))
    mark(axes, part, step_of(low))
    axes.set_title("recording, whole")


def _inside(zoom: tuple[slice, slice], shape: tuple[int, ...]) -> tuple[slice, slice]:
    for cut, side in zip(zoom, shape, strict=True):
        if not 0 <= cut.start < cut.stop <= side:
            raise ValueError(
                f"The part to enlarge, rows {zoom[0].start} to {zoom[0].stop} and "
                f"columns {zoom[1].start} to {zoom[1].stop}, is not inside the "
                f"recording of {shape[0]} × {shape[1]} px."
            )
    return zoom


def _cut(picture: NDArray, part: tuple[slice, slice], factor: int) -> NDArray:
    rows, columns = (slice(cut.start * factor, cut.stop * factor) for cut in part)
    return picture[rows, columns]


def _wrapped(name: str) -> str:
    return name.replace(", ", "\n", 1)


def _figures_of(figures: Mapping[str, Agreement], name: str) -> str:
    """Write the most important figures of a method in a few short lines."""
    if name not in figures:
        return ""
    known = [key for key in _BELOW if hasattr(figures[name], key)]
    return "\n".join(
        f"{FIGURES[key].title} {as_text(key, getattr(figures[name], key))}"
        for key in known
    )
