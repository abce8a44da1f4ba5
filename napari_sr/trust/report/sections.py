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
            "Measured detail and prior",
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
            "Effect of the adversarial prior", _texture(assessment), maps=("texture",)
        ),
        _section("Uncertainty", _uncertainty(assessment), maps=("interval",)),
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
                "The metrics above that need a reference, pixel by pixel: both images "
                "on one scale of counts, without any fit.",
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
        "checked against the recording. What lies beyond comes from the prior that "
        "the model has learnt from its training images: "
        f"{as_text('out_of_band', share)} of the variance of this result. Blur and "
        "the area of a pixel also weaken fine detail below that frequency, and noise "
        "hides it, so the transition is gradual."
    )


def _agreement(assessment: Assessment) -> str:
    assessed = assessment.provenance["assessed"]
    blur = assessed["psf_sigma"]
    through = "binned to the recorded pixels" if not blur else (
        f"blurred by {blur:.2g} pixels and binned to the recorded ones"
    )  # fmt: skip
    own = assessment.figures["result"]
    return (
        f"The result was {through} and compared with the recording. Its reduced χ² is "
        f"{own.chi_square:.2f}, with noise from {assessed['noise_from']}. A result "
        "that agrees can still be wrong beyond the Nyquist frequency of the "
        "recording; one that does not agree is wrong."
    )


def _texture(assessment: Assessment) -> str:
    if "texture" in assessment.maps:
        return (
            "The dial lets a model add the texture that images of this kind usually "
            "have. The map shows what was added to the faithful result; where it is "
            "strong, detail is plausible rather than measured."
        )
    plan = assessment.provenance.get("plan")
    if isinstance(plan, dict) and plan.get("dial") == 0:
        return "The result is at the faithful end of the dial: no texture was added."
    return (
        "Not shown: the model that made the result is needed, and it must have a "
        "textured end."
    )


def _uncertainty(assessment: Assessment) -> str:
    own = assessment.figures["result"]
    if own.half_width is None or assessment.interval is None:
        return assessment.uncertainty
    known = assessment.interval
    text = (
        "The recording is super-resolved in eight orientations (flips and "
        "rotations); the spread of the results is a measure of uncertainty. Scaled "
        "by conformal calibration, it gives a prediction interval for each pixel. "
        f"{assessment.uncertainty}"
    )
    if known.mean_width is not None and known.constant_width is not None:
        text += (
            f" Their mean width on those images was {known.mean_width:.1%} of the "
            "intensity range; a constant width for all pixels would be "
            f"{known.constant_width:.1%}."
        )
    text += (
        f" In the part shown, half the width is {own.half_width:,.0f} counts on average"
    )
    if own.held is None:
        return f"{text}."
    return f"{text}, and {own.held:.1%} of the reference lies inside."


def _resolution(assessment: Assessment) -> str:
    own = assessment.figures["result"].own_resolution or 0.0
    before = assessment.figures["recording"].own_resolution or 0.0
    text = (
        "With the image split into two halves by pixels, the ring correlation falls "
        f"below 1/7 at {_length(assessment, own)} in the result and "
        f"{_length(assessment, before)} in the recording; nothing finer than four "
        "pixels can be found in this way. Hallucinated texture and smoothed noise "
        "correlate in both halves and raise the curve, so it measures how fine the "
        "image is, not how correct. "
    )
    true = assessment.figures["result"].true_resolution
    if true is None:
        return text + "Only a reference shows whether detail is in the right place."
    beside = assessment.figures["bicubic"].true_resolution or 0.0
    return text + (
        "Compared with the reference, detail is in the right place down to "
        f"{_length(assessment, true)} (bicubic: {_length(assessment, beside)})."
    )


def _artefacts(assessment: Assessment) -> str:
    looked_for = (
        "Tested were a lattice with the period of the recorded pixels, stripes across "
        "the whole image along y and along x, and rings around its middle: "
    )
    found = " ".join(assessment.artefacts)
    return looked_for + (
        f"{found} A specimen can be periodic, too."
        if found
        else "none was detected. Weak artefacts can be hidden by the specimen."
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
        f"Above Otsu's threshold, computed for each image, lie {before:.2%} of the "
        f"recording and {after:.2%} of the result: a porosity, or the share of any "
        f"phase, changes by {abs(after - before) * 100:.2f} percentage points. The "
        "histogram may become sharper, since fewer pixels at edges are mixed; its "
        "peaks should not move."
    )


def _suitability(assessment: Assessment) -> dict[str, Any]:
    title = "Does the image match the training images?"
    if assessment.suitability is None:
        return _section(
            title,
            "Unknown: the model is not available, or its card has no statistics of "
            "its training images.",
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
        yield "settings", "the result does not state how it was made"
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
