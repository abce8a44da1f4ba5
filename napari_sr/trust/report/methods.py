"""A paragraph for the methods section, ready to paste.

This module alone knows its wording: what was done, with what, what was not measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sr.trust.assessment import Assessment

_CONSISTENCY = {
    "auto": "Data consistency was enforced wherever noise did not explain a difference "
    "from the recording.",
    "mean": "The global and local means of the results were set to those of the "
    "recording.",
    "exact": "Exact data consistency was enforced, including the noise of the "
    "recording.",
    "off": "Data consistency with the recording was not enforced.",
}


def methods_paragraph(assessment: Assessment) -> str:
    """Say in prose how a result was made and checked.

    Parameters
    ----------
    assessment
        The assessment; what its provenance does not say is left out.
    """
    sentences = [*_making(assessment), *_checking(assessment)]
    sentences.append(
        "The images shown are computed, not measured, and detail beyond the Nyquist "
        "frequency of the recording is an estimate."
    )
    return " ".join(sentences)


def _making(assessment: Assessment) -> list[str]:
    """Say what made the result."""
    plan = assessment.provenance.get("plan")
    if not isinstance(plan, dict):
        return [f"Images were super-resolved {assessment.factor} times along x and y."]
    software = assessment.provenance.get("software", "napari-sr")
    digest = plan.get("model_sha256") or ""
    model = f"model {plan['model']}" + (f" (SHA-256 {digest[:12]}…)" if digest else "")
    dial = plan.get("dial")
    at = "" if dial is None else f" at dial {dial:g} (0 faithful, 1 textured)"
    ends = plan["intensity"]
    sentences = [
        f"Images were super-resolved {plan['factor']} times along x and y with "
        f"{software}, {model}{at}.",
        f"Counts from {ends['low']:g} to {ends['high']:g} were used as the intensity "
        "range of the whole stack.",
    ]
    if plan.get("noise"):
        sentences.append(_noise("The noise to remove was modelled as", plan["noise"]))
    if plan.get("psf_sigma"):
        sentences.append(
            f"A Gaussian blur of {plan['psf_sigma']:.2g} pixels of the result "
            "(standard deviation) was included in the degradation model."
        )
    sentences.append(_CONSISTENCY[plan.get("consistency", "off")])
    return sentences


def _checking(assessment: Assessment) -> list[str]:
    """Say how the result was checked, and what came out."""
    own = assessment.figures["result"]
    beside = assessment.comparison.figures["result"]
    sentences = [
        "Binned to the recorded pixels, the result agreed with the recording to "
        f"{beside.agreement:.1f} dB over a data range of "
        f"{assessment.comparison.data_range:,.0f} counts "
        f"({assessment.comparison.scope}).",
        f"In {assessment.place.text or 'this plane'}, reduced χ² was "
        f"{own.chi_square:.2f}, {own.share_of_pixels:.2%} of the recorded pixels "
        "differed by more than 5 standard deviations of noise, and "
        f"{own.out_of_band:.2%} of the variance lay beyond the Nyquist frequency of "
        "the recording.",
    ]
    if own.half_width is not None and assessment.interval is not None:
        sentences.append(
            f"Intervals at {assessment.interval.level:.0%} from the spread over eight "
            "flips and rotations, calibrated by conformal risk control on "
            f"{assessment.interval.n_images} images, are ± {own.half_width:.4g} "
            "counts on average."
        )
    psnr, ssim = (getattr(beside, name, None) for name in ("psnr", "ssim"))
    if psnr is not None and ssim is not None:
        bicubic = assessment.comparison.figures["bicubic"]
        sentences.append(
            f"Against the reference, PSNR was {psnr:.2f} dB and SSIM {ssim:.4f} "
            f"(bicubic interpolation: {bicubic.psnr:.2f} dB, "  # type: ignore[attr-defined]
            f"{bicubic.ssim:.4f})."  # type: ignore[attr-defined]
        )
    return sentences


def _noise(words: str, noise: Mapping[str, Any]) -> str:
    sigma = noise.get("correlation", 0)
    blurred = f", correlated as by a Gaussian of {sigma:.2g} px" if sigma else ""
    return (
        f"{words} a variance of {noise['gain']:.4g} × (counts − {noise['offset']:.4g}) "
        f"+ {noise['read']:.4g}² counts²{blurred}."
    )
