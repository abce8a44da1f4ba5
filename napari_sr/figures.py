"""The figures of quality by name: how each is written down, and what it says.

This module alone knows the words. Every table shows the figures in this order.
"""

from __future__ import annotations

from typing import NamedTuple


class Figure(NamedTuple):
    """How one figure is written down, and what it means."""

    title: str
    format: str
    meaning: str


FIGURES = {
    "psnr": Figure(
        "PSNR/dB",
        ".2f",
        "How small the mean squared difference from the reference is; higher is "
        "better, and 3 dB more is half the squared difference.",
    ),
    "si_psnr": Figure(
        "SI-PSNR/dB",
        ".2f",
        "PSNR after the best gain and offset, so that a reference of other brightness "
        "can be compared; higher is better.",
    ),
    "ssim": Figure(
        "SSIM",
        ".4f",
        "How alike brightness, contrast and structure are in small windows; 1 is "
        "identical.",
    ),
    "ms_ssim": Figure(
        "MS-SSIM", ".4f", "SSIM over five scales, from fine to coarse; 1 is identical."
    ),
    "gradient_similarity": Figure(
        "gradient similarity",
        ".4f",
        "How alike the edges are in place and strength; 1 is identical.",
    ),
    "spectrum_error": Figure(
        "spectrum error",
        ".3f",
        "How far the amount of fine detail is from that of the reference, right place "
        "or not; 0 is none, 0.3 is half or double the power.",
    ),
    "agreement": Figure(
        "agreement/dB",
        ".2f",
        "How well the result, averaged to the recorded pixels, reproduces the "
        "recording; where noise was removed it is about the noise.",
    ),
    "mean_shift": Figure(
        "shift of the mean",
        "+z.3%",
        "Mean of the result less that of the recording, as a share of the data range; "
        "0 keeps the brightness.",
    ),
}


def as_text(name: str, value: float) -> str:
    """Write one figure as all tables do."""
    return format(value, FIGURES[name].format)
