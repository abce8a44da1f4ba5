"""From what was found about a volume to a file: a page with its views, or JSON."""

from __future__ import annotations

import base64
import io
import json
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from napari_sr.files.atomic import written_atomically
from napari_sr.metrics.resolution import THRESHOLD
from napari_sr.trust.report.contact_sheet import check_sheet
from napari_sr.trust.report.writing import check_form
from napari_sr.upscaling.provenance import NOTICE

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from napari_sr.evaluation.volumes import VolumeComparison
    from napari_sr.trust.volume import VolumeAssessment

_STYLE = (
    "body{margin:0 auto;max-width:60rem;padding:2rem;font:16px/1.5 system-ui}"
    "table{border-collapse:collapse}td,th{padding:.3rem .7rem;text-align:right}"
    "td:first-child,th:first-child{text-align:left}img{max-width:100%}"
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
        f"×{assessment.factor} in the plane. Metrics are of the middle.</p>"
        f"<ul>{remarks}</ul><table><thead>"
        f"{_row(['', *assessment.figures], 'th')}</thead><tbody>{rows}</tbody></table>"
        f"{figures}</body></html>"
    )


def _row(cells: list[str], kind: str) -> str:
    return f"<tr>{''.join(f'<{kind}>{escape(cell)}</{kind}>' for cell in cells)}</tr>"


def _views(found: VolumeAssessment | VolumeComparison) -> Figure:
    """Show XZ and YZ planes on one scale of counts."""
    views = found.views
    low, high = np.percentile(views["XZ"]["recording"], (0.5, 99.5)).tolist()
    n = len(views["XZ"])
    width = max(9.6, 2.2 * n)
    shapes = [pictures["recording"].shape for pictures in views.values()]
    height = sum(rows / columns * width / n + 0.35 for rows, columns in shapes)
    figure = Figure(figsize=(width, min(height, width)), layout="constrained")
    panes = figure.subplots(2, n, squeeze=False)
    for line, (turned, pictures) in zip(panes, views.items(), strict=True):
        for axes, (name, picture) in zip(line, pictures.items(), strict=True):
            axes.imshow(picture, cmap="gray", vmin=low, vmax=high)
            axes.set_title(f"{turned}: {name}", fontsize=9)
            axes.set_axis_off()
    return figure


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
