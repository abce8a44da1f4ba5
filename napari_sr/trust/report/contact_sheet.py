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
from matplotlib.patches import Rectangle

from napari_sr.files.atomic import written_atomically
from napari_sr.metrics.descriptions import FIGURES, as_text
from napari_sr.trust.report.drawing import busiest, show, smaller

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
    others = [name for name in side_by_side.pictures if name != "recording"]
    names = ["recording", *others]
    rows = ceil((len(names) + 1) / MOST_ABREAST)
    columns = ceil((len(names) + 1) / rows)  # rows of one length, as far as it goes
    with mpl.rc_context({"font.size": 8}):
        figure = Figure(
            figsize=(2.3 * columns, 3 * rows + 0.2),
            layout=ConstrainedLayoutEngine(h_pad=0.1),
        )
        FigureCanvasAgg(figure)
        first, *places = figure.subplots(rows, columns, squeeze=False).ravel()
        truth = side_by_side.pictures.get("reference", side_by_side.pictures[others[0]])
        limits = np.percentile(_cut(truth, part, side_by_side.factor), (0.3, 99.7))
        _draw_whole(first, low, part)
        for place, name in zip(places, names, strict=False):
            factor = 1 if name == "recording" else side_by_side.factor
            show(
                place, _cut(side_by_side.pictures[name], part, factor), "gray", *limits
            )
            place.set_title(_wrapped(name))
            place.set_xlabel(_figures_of(side_by_side.comparison.figures, name))
        for place in places[len(names) :]:
            place.set_axis_off()
    return figure


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
    """Find rows and columns of the recording where there is most detail."""
    factor = side_by_side.factor
    rows, columns = busiest(side_by_side.pictures["bicubic"])
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
    shrunk = low.shape[0] / smaller(low).shape[0]
    rows, columns = part
    corner = (columns.start / shrunk - 0.5, rows.start / shrunk - 0.5)
    sides = ((columns.stop - columns.start), (rows.stop - rows.start))
    box = Rectangle(
        corner, sides[0] / shrunk, sides[1] / shrunk, fill=False, color="#f59e0b"
    )
    axes.add_patch(box)
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
