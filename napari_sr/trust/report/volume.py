"""From what was found about a volume to a file: a page with its views, or JSON."""

from __future__ import annotations

import base64
import io
import json
from html import escape
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from napari_sr.evaluation.volumes import scope_of
from napari_sr.files.atomic import written_atomically
from napari_sr.metrics.resolution import THRESHOLD
from napari_sr.metrics.volumes import figure_meanings
from napari_sr.trust.report.contact_sheet import check_sheet
from napari_sr.trust.report.drawing import (
    busiest,
    draw_errors,
    errors_of,
    mark,
    show,
)
from napari_sr.trust.report.writing import check_form
from napari_sr.upscaling.provenance import NOTICE

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sr.evaluation.volumes import VolumeComparison
    from napari_sr.trust.volume import VolumeAssessment

_CLOSE_UP = 48
"""Side of what is shown enlarged, in voxels of the result."""
_STYLE = (
    "body{margin:0 auto;max-width:60rem;padding:2rem;font:16px/1.5 system-ui}"
    "table{border-collapse:collapse}td,th{padding:.3rem .7rem;text-align:right}"
    "td:first-child,th:first-child{text-align:left}img{max-width:100%}"
    "dt{margin-top:.5rem;font-weight:600}dd{margin:0}"
)


def write_volume_report(
    assessment: VolumeAssessment, path: str | os.PathLike[str]
) -> Path:
    """Write an assessment of a volume to a file, as `write_report` does of planes.

    Parameters
    ----------
    assessment
        From `assess_volume_steps`.
    path
        Ends in `.html` or `.json`.
    """
    path = check_form(path)
    if path.suffix == ".json":
        text = json.dumps(assessment.as_json(), indent=1, default=str)
    else:
        text = _page(assessment)
    with written_atomically(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


def write_volume_sheet(
    comparison: VolumeComparison, path: str | os.PathLike[str]
) -> tuple[Path, Path]:
    """Write XZ and YZ planes of several methods as a picture, their figures as CSV.

    Parameters
    ----------
    comparison
        From `napari_sr.evaluation.volumes.compare_volumes`.
    path
        Ends in `.png`; existing files are replaced.

    Returns
    -------
    tuple of Path
        The picture and the table.
    """
    picture = check_sheet(path)
    table = picture.with_suffix(".csv")
    with written_atomically(picture) as partial:
        _views(comparison).savefig(partial, format="png", dpi=130)
    with written_atomically(table) as partial:
        partial.write_text(comparison.as_csv(), encoding="utf-8")
    return picture, table


def _page(assessment: VolumeAssessment) -> str:
    """Put everything on one page that needs no other file."""
    name = escape(assessment.name)
    rows = "".join(_row(row, "td") for row in assessment.rows())
    meanings = "".join(
        f"<dt>{escape(title)}</dt><dd>{escape(meaning)}</dd>"
        for title, meaning in figure_meanings(assessment.figures)
    )
    remarks = "".join(f"<li>{escape(remark)}</li>" for remark in assessment.remarks)
    figures = "".join(
        f'<img alt="{alt}" src="data:image/png;base64,{_encoded(figure)}">'
        for alt, figure in (
            ("XZ and YZ planes", _views(assessment)),
            ("Correlation along z and in the plane", _curves(assessment)),
        )
    )
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{name}'
        f"</title><style>{_STYLE}</style></head><body><h1>{name}</h1>"
        f"<p>{NOTICE.capitalize()}.</p>"
        f"<p>{assessment.ratio:.4g} planes for each recorded one, pixels "
        f"×{assessment.factor} in the plane. {scope_of(assessment.part)}</p>"
        f"<ul>{remarks}</ul><table><thead>"
        f"{_row(['', *assessment.figures], 'th')}</thead><tbody>{rows}</tbody></table>"
        f"{figures}<h2>What the figures mean, and which are good</h2>"
        f"<dl>{meanings}</dl></body></html>"
    )


def _row(cells: list[str], kind: str) -> str:
    return f"<tr>{''.join(f'<{kind}>{escape(cell)}</{kind}>' for cell in cells)}</tr>"


def _views(found: VolumeAssessment | VolumeComparison) -> Figure:
    """Show XZ and YZ planes whole, their part with most detail, and its errors."""
    views, has_errors = found.views, "reference" in found.views["XZ"]
    low, high = np.percentile(views["XZ"]["recording"], (0.5, 99.5)).tolist()
    n, lines = len(views["XZ"]), 3 if has_errors else 2
    width = max(9.6, 2.2 * n)
    shapes = [pictures["recording"].shape for pictures in views.values()]
    heights = [
        side * width / n + 0.35
        for rows, columns in shapes
        for side in (rows / columns, *[1.0] * (lines - 1))
    ]
    with mpl.rc_context({"font.size": 8, "axes.titlesize": 9}):
        figure = Figure(figsize=(width, sum(heights)), layout="constrained")
        grid = figure.subplots(2 * lines, n, squeeze=False, height_ratios=heights)
        for number, (turned, pictures) in enumerate(views.items()):
            whole, enlarged, *below = grid[number * lines : (number + 1) * lines]
            part = _enlarged(pictures)
            parts = {name: picture[part] for name, picture in pictures.items()}
            for axes, (name, picture) in zip(whole, pictures.items(), strict=True):
                show(axes, picture, "gray", low, high)
                axes.set_title(f"{turned}: {name}")
                mark(axes, part)
            for axes, (name, picture) in zip(enlarged, parts.items(), strict=True):
                show(axes, picture, "gray", low, high)
                axes.set_title(f"{name}, enlarged")
            for line in below:
                draw_errors(dict(zip(parts, line, strict=True)), errors_of(parts))
    return figure


def _enlarged(pictures: Mapping[str, NDArray]) -> tuple[slice, slice]:
    """Find the square with most detail, at most half of a picture's length."""
    picture = pictures.get("reference", pictures["bicubic"])
    side = min(_CLOSE_UP, picture.shape[0], picture.shape[1] // 2)
    return busiest(picture, side)


def _curves(assessment: VolumeAssessment) -> Figure:
    """Show up to which frequency there is something, along z and in the plane."""
    figure = Figure(figsize=(6.6, 3), layout="constrained")
    axes = figure.subplots()
    for name, curve in assessment.curves.items():
        dashes = "--" if name.endswith("plane") else "-"
        colour = "C0" if name.startswith("result") else "C7"
        axes.plot(curve.frequencies, curve.values, dashes, color=colour, label=name)
    axes.axhline(THRESHOLD, color="0.5", linewidth=0.8)
    axes.set(
        ylim=(-0.2, 1.05),
        xlabel=f"cycles per {assessment.unit}",
        ylabel="correlation of lines",
    )
    axes.legend(fontsize=8, frameon=False)
    return figure


def _encoded(figure: Figure) -> str:
    with io.BytesIO() as file:
        figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
        return base64.b64encode(file.getvalue()).decode()
