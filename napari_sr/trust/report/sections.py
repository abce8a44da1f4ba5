"""What a report says beside its figures, section by section.

This module alone knows the order of the sections and their words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_sr.metrics.descriptions import as_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sr.trust.assessment import Assessment


def sections_of(assessment: Assessment) -> list[dict[str, Any]]:
    """Write the sections of a report: title, text, names of curves, maps, a table."""
    sections = [
        _section(
            "Where it comes from",
            _bands(assessment),
            maps=("in_band", "out_of_band"),
            curves=("spectra",),
        ),
        _section(
            "Agreement with the recording",
            _agreement(assessment),
            maps=("disagreement", "residual"),
        ),
        _section(
            "Where the adversarial prior acted", _texture(assessment), maps=("texture",)
        ),
        _section("How sure the model is", _sureness(assessment), maps=("interval",)),
        _section(
            "Resolution",
            _resolution(assessment),
            curves=("rings",),
            maps=("resolution",),
        ),
        _section("Periodic artefacts", _artefacts(assessment)),
    ]
    if "error" in assessment.maps:
        sections.append(
            _section(
                "Against the reference",
                "The figures above that need a reference, pixel by pixel: both "
                "pictures on one scale of counts, nothing fitted.",
                maps=("error",),
            )
        )
    sections += [
        _section("Shares and counts", _shares(assessment), curves=("histograms",)),
        _suitability(assessment),
    ]
    for section in sections:
        wanted = section["maps"]
        section["maps"] = [
            assessment.maps[name] for name in wanted if name in assessment.maps
        ]
    return sections


def _section(
    title: str,
    text: str,
    *,
    maps: tuple[str, ...] = (),
    curves: tuple[str, ...] = (),
    head: tuple[str, ...] = (),
    rows: tuple[list[str], ...] = (),
) -> dict[str, Any]:
    return {"title": title, "text": text, "maps": maps, "curves": curves,
            "head": head, "rows": rows}  # fmt: skip


def _bands(assessment: Assessment) -> str:
    share = assessment.figures["result"].out_of_band or 0.0
    return (
        "Up to the Nyquist frequency of the recording (in band) the result can be "
        "checked against what was recorded. What lies beyond comes from what the model "
        f"has learnt of images like these: {as_text('out_of_band', share)} of the "
        "variance of this result. Blur and the area of a pixel weaken fine detail "
        "below that frequency too, and noise hides it, so the border is not a wall."
    )


def _agreement(assessment: Assessment) -> str:
    assessed = assessment.provenance["assessed"]
    blur = assessed["psf_sigma"]
    through = "binned to the recorded pixels" if not blur else (
        f"blurred by {blur:.2g} pixels and binned to the recorded ones"
    )  # fmt: skip
    own = assessment.figures["result"]
    return (
        f"The result was {through} and compared with what was recorded. Its reduced χ² "
        f"is {own.chi_square:.2f}, with noise from {assessed['noise_from']}. A result "
        "that agrees can still be wrong beyond the recorded Nyquist; one that does not "
        "is wrong."
    )


def _texture(assessment: Assessment) -> str:
    if "texture" in assessment.maps:
        return (
            "The dial lets a model add texture that images of its kind usually have. "
            "This is what it added to the faithful result; where it is strong, detail "
            "is likely rather than measured."
        )
    plan = assessment.provenance.get("plan")
    if isinstance(plan, dict) and plan.get("dial") == 0:
        return "The result is at the faithful end of the dial: no texture was added."
    return (
        "Not shown: it needs the model that made the result, and one that has a "
        "textured end."
    )


def _sureness(assessment: Assessment) -> str:
    own = assessment.figures["result"]
    if own.half_width is None or assessment.interval is None:
        return assessment.sureness
    known = assessment.interval
    text = (
        "The eight flips and turns of a recording are recordings as good as itself; "
        "where the results for them differ, the model does not know. Scaled so that "
        "it keeps what it promises, this gives an interval for each pixel. "
        f"{assessment.sureness}"
    )
    if known.mean_width is not None and known.constant_width is not None:
        text += (
            f" Their mean width there was {known.mean_width:.1%} of the intensity "
            f"range; one width for all pixels would be {known.constant_width:.1%}."
        )
    text += (
        f" In the part shown, half a width is {own.half_width:,.0f} counts on average"
    )
    if own.held is None:
        return f"{text}."
    return f"{text}, and {own.held:.1%} of the reference lies inside."


def _resolution(assessment: Assessment) -> str:
    own = assessment.figures["result"].own_resolution or 0.0
    before = assessment.figures["recording"].own_resolution or 0.0
    text = (
        "Split into two halves by pixels, the ring correlation falls below 1/7 at "
        f"{_length(assessment, own)} in the result and "
        f"{_length(assessment, before)} in the recording; nothing finer than four "
        "pixels can be found that way. Texture "
        "that a model invents, and noise that it smooths, correlate in both halves "
        "and raise the curve: it says how fine the picture is, not how true. "
    )
    true = assessment.figures["result"].true_resolution
    if true is None:
        return text + "Only a reference tells whether detail is at its place."
    beside = assessment.figures["bicubic"].true_resolution or 0.0
    return text + (
        f"With the reference, detail is at its place down to "
        f"{_length(assessment, true)} (bicubic: {_length(assessment, beside)})."
    )


def _artefacts(assessment: Assessment) -> str:
    looked_for = (
        "Looked for were a lattice with the period of the recorded pixels, stripes "
        "across the whole picture along y and along x, and rings around its middle: "
    )
    found = " ".join(assessment.artefacts)
    return looked_for + (
        f"{found} A specimen can be periodic as well."
        if found
        else "none stands out. Weak ones hide in what is seen."
    )


def _length(assessment: Assessment, pixels: float) -> str:
    """Say a period in pixels, and in the unit of the stack where it has one."""
    size, unit = assessment.pixel
    text = f"{pixels:.1f} px"
    return text if unit in ("px", "pixel") else f"{text} ({pixels * size:.3g} {unit})"


def _shares(assessment: Assessment) -> str:
    before, after = (
        assessment.figures[name].bright_share or 0.0 for name in ("recording", "result")
    )
    return (
        "Above the threshold of Otsu, found in each picture by itself, lie "
        f"{before:.2%} of the recording and {after:.2%} of the result: a porosity, or "
        f"any share of a phase, moves by {abs(after - before) * 100:.2f} percentage "
        "points. The histogram may become sharper, since pixels at edges are no longer "
        "mixed; its "
        "peaks should stay where they are."
    )


def _suitability(assessment: Assessment) -> dict[str, Any]:
    title = "Is the model meant for this image?"
    if assessment.suitability is None:
        return _section(
            title,
            "Nobody can tell: the model is not at hand, or its card does not say what "
            "its training images were like.",
        )
    return _section(
        title,
        assessment.suitability.in_words(),
        head=("property", "this recording", "training images"),
        rows=tuple(assessment.suitability.rows()),
    )


def facts_of(assessment: Assessment) -> list[tuple[str, str]]:
    """List settings, versions and hashes."""
    return [*_plan_of(assessment), *_assessed(assessment)]


def _plan_of(assessment: Assessment) -> Iterator[tuple[str, str]]:
    provenance = assessment.provenance
    if "software" in provenance:
        yield "made by", str(provenance["software"])
    plan = provenance.get("plan")
    if not isinstance(plan, dict):
        yield "settings", "the result does not say how it was made"
        return
    for name, value in plan.items():
        if value in ({}, None, ""):
            continue
        shown = (
            ", ".join(f"{key} {number:g}" for key, number in value.items())
            if isinstance(value, dict)
            else str(value)
        )
        yield name.replace("_", " "), shown


def _assessed(assessment: Assessment) -> Iterator[tuple[str, str]]:
    assessed = assessment.provenance["assessed"]
    yield "assessed by", str(assessed["software"])
    noise = assessed["noise"]
    yield (
        "noise in χ²",
        ", ".join(f"{name} {number:.5g}" for name, number in noise.items()),
    )
    for name, digest in assessed["pixels_sha256"].items():
        yield f"SHA-256 of the {name}'s pixels", digest
