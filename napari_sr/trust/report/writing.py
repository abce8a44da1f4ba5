"""From an assessment to a file.

This module alone knows which forms there are and what stands where on the page. The
page holds everything it shows: no script, no font and no picture is fetched.
"""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from jinja2 import Environment, PackageLoader, StrictUndefined

from napari_sr.files.atomic import written_atomically
from napari_sr.metrics.descriptions import FIGURES, PLANE_FIGURES
from napari_sr.trust.report.drawing import (
    draw_histograms,
    draw_map,
    draw_pictures,
    draw_rings,
    draw_spectra,
    step_of,
)
from napari_sr.trust.report.methods import methods_paragraph
from napari_sr.trust.report.sections import facts_of, sections_of

if TYPE_CHECKING:
    import os

    from matplotlib.figure import Figure

    from napari_sr.trust.assessment import Assessment, Map

FORMS = (".html", ".json")
_DPI = 110


def write_report(assessment: Assessment, path: str | os.PathLike[str]) -> Path:
    """Write an assessment to a file.

    Parameters
    ----------
    assessment
        From `napari_sr.assess`.
    path
        Ends in `.html`: one page that holds everything, to be read, printed and kept.
        Ends in `.json`: all metrics and curves, without images. An existing file is
        replaced.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        If the name ends in something else.
    """
    path = check_form(path)
    if path.suffix == ".json":
        text = json.dumps(
            assessment.as_json(), indent=1, ensure_ascii=False, default=str
        )
    else:
        text = as_html(assessment)
    with written_atomically(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


def check_form(path: str | os.PathLike[str]) -> Path:
    """Refuse the name of a report that would not be written, before one is made.

    Raises
    ------
    ValueError
        If it does not end as a report does, or there is no such folder.
    """
    path = Path(path)
    if path.suffix not in FORMS:
        raise ValueError(
            f"A report ends in {' or '.join(FORMS)}, got {path.name!r}. Choose one."
        )
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise ValueError(
            f"There is no folder {path.parent} to write {path.name!r} to, or it is a "
            "folder itself. Choose another name, or make the folder first."
        )
    return path


def as_html(assessment: Assessment) -> str:
    """Write an assessment as one page of HTML that needs no other file.

    Parameters
    ----------
    assessment
        From `napari_sr.assess`; the same one gives the same page.
    """
    environment = Environment(
        loader=PackageLoader("napari_sr.trust.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
    )
    with mpl.rc_context({"svg.hashsalt": "napari-sr", "font.size": 9}):
        return environment.get_template("page.html.jinja").render(_contents(assessment))


def _contents(assessment: Assessment) -> dict[str, Any]:
    """Gather what the page shows."""
    size, unit = assessment.pixel
    return {
        "name": assessment.name,
        "notice": str(assessment.provenance["notice"]).capitalize(),
        "factor": assessment.factor,
        "place": assessment.place.text,
        "pixel": f"{size:.4g} {unit}",
        "software": assessment.provenance["assessed"]["software"],
        "level": assessment.level,
        "badge": assessment.badge,
        "remarks": assessment.remarks,
        "pictures": _picture(
            draw_pictures(assessment),
            meaning="Above the part that was measured, below the region in which the "
            "result has most detail; all on one scale of counts.",
        ),
        "means": {
            "scope": assessment.comparison.scope,
            "head": assessment.comparison.figures,
            "rows": assessment.comparison.rows(),
        },
        "basis": assessment.comparison.basis,
        "single": {
            "scope": assessment.place.scope,
            "head": assessment.figures,
            "rows": assessment.rows(),
        },
        "sections": [
            {
                **section,
                "maps": [
                    _picture(
                        draw_map(quality_map), quality_map.title, _meaning(quality_map)
                    )
                    for quality_map in section["maps"]
                ],
                "curves": [_CURVES[name](assessment) for name in section["curves"]],
            }
            for section in sections_of(assessment)
        ],
        "methods": methods_paragraph(assessment),
        "facts": facts_of(assessment),
        "meanings": [
            (figure.title, figure.meaning)
            for known, names in (
                (FIGURES, assessment.comparison.names),
                (PLANE_FIGURES, assessment.names),
            )
            for figure in (known[name] for name in names)
        ],
    }


def _meaning(quality_map: Map) -> str:
    """Say what a map shows, also where strong pixels look larger than they are."""
    step = step_of(quality_map.pixels)
    if quality_map.kind == "picture" or step == 1:
        return quality_map.meaning
    return (
        f"{quality_map.meaning} A pixel of the picture is the strongest of "
        f"{step} × {step}, so areas look larger than they are."
    )


def _picture(figure: Figure, title: str = "", meaning: str = "") -> dict[str, str]:
    return {"source": _embedded(figure, "png"), "title": title, "meaning": meaning}


def _curve(figure: Figure, meaning: str) -> dict[str, str]:
    return {"source": _embedded(figure, "svg"), "title": "", "meaning": meaning}


_CURVES = {
    "spectra": lambda assessment: _curve(
        draw_spectra(assessment), "Radial power spectrum of each image."
    ),
    "rings": lambda assessment: _curve(
        draw_rings(assessment), "Fourier ring correlation."
    ),
    "histograms": lambda assessment: _curve(
        draw_histograms(assessment), "Histogram before and after."
    ),
}


def _embedded(figure: Figure, form: str) -> str:
    """Write a figure into the page itself."""
    kind = {"png": "image/png", "svg": "image/svg+xml"}[form]
    held = io.BytesIO()
    figure.savefig(
        held, format=form, dpi=_DPI, metadata=_UNDATED[form], bbox_inches="tight"
    )
    return f"data:{kind};base64,{base64.b64encode(held.getvalue()).decode()}"


_UNDATED: dict[str, dict[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None}}
"""The same assessment gives the same page, whenever it is written."""
