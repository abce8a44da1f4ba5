"""The figures of quality by name: how each is written down, and what it says.

This module alone knows the words. Every table shows the figures in this order.
"""

from __future__ import annotations

from math import isnan
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
        "Mean squared difference from the reference, on a logarithmic scale; higher "
        "is better, and 3 dB more is half the squared difference.",
    ),
    "si_psnr": Figure(
        "SI-PSNR/dB",
        ".2f",
        "Scale-invariant PSNR: after the best gain and offset, so that the brightness "
        "of the reference may differ; higher is better.",
    ),
    "ssim": Figure(
        "SSIM",
        ".4f",
        "Similarity of brightness, contrast and structure in small windows; 1 is "
        "identical.",
    ),
    "ms_ssim": Figure(
        "MS-SSIM", ".4f", "SSIM over five scales, from fine to coarse; 1 is identical."
    ),
    "gradient_similarity": Figure(
        "gradient similarity",
        ".4f",
        "Similarity of the edges in place and strength; 1 is identical.",
    ),
    "spectrum_error": Figure(
        "spectrum error",
        ".3f",
        "Difference in the amount of fine detail from the reference, wherever the "
        "detail is; 0 is none, 0.3 is half or double the power.",
    ),
    "agreement": Figure(
        "agreement/dB",
        ".2f",
        "How well the result, averaged to the recorded pixels, reproduces the "
        "recording including its noise: low where noise was removed, so not a merit "
        "for noisy recordings.",
    ),
    "mean_shift": Figure(
        "shift of the mean",
        "+z.3%",
        "Mean of the result less that of the recording, as a share of the data range; "
        "0 keeps the brightness.",
    ),
    "lattice": Figure(
        "lattice",
        ".1f",
        "Checkerboard artefact: systematic difference between the sub-pixel positions "
        "within a recorded pixel, over the whole image, in counts of a range of "
        "20,000. Far above that of the reference, or some ten above bicubic, the "
        "model has added a regular pattern.",
    ),
    "true_lattice": Figure(
        "lattice of the truth",
        ".1f",
        "The same for the reference: the value expected by chance.",
    ),
}


PLANE_FIGURES = {
    "chi_square": Figure(
        "reduced χ²",
        ".2f",
        "Mean squared difference from the recording over the variance of its noise: 1 "
        "for the truth, less where noise of the recording is kept, more where the "
        "result contradicts the recording.",
    ),
    "share_of_pixels": Figure(
        "pixels beyond noise",
        ".2%",
        "Share of the recorded pixels at which the re-degraded result differs from the "
        "recording by more than 5 standard deviations of the noise.",
    ),
    "share_beyond": Figure(
        "field beyond noise, averaged",
        ".2%",
        "The same with differences averaged over up to 24 px around each pixel, so "
        "that wide faint ones are found, too. A small strong one counts as far as the "
        "average reaches, so this overstates its area.",
    ),
    "out_of_band": Figure(
        "out-of-band energy",
        ".3%",
        "Share of the variance beyond the Nyquist frequency of the recording: it "
        "cannot be confirmed by the recording, but comes from what the model has "
        "learnt.",
    ),
    "own_resolution": Figure(
        "resolution, pixels split/px",
        ".1f",
        "Period at which the Fourier ring correlation of both halves of the image "
        "falls below 1/7, in pixels of the result; 4 pixels of the image itself are "
        "the finest that can be found. Hallucinated texture makes it finer too.",
    ),
    "true_resolution": Figure(
        "resolution, with reference/px",
        ".1f",
        "Period at which the Fourier ring correlation with the reference falls below "
        "1/7, in pixels of the result. Hallucinated texture does not make it finer.",
    ),
    "bright_share": Figure(
        "above Otsu's threshold",
        ".2%",
        "Share of pixels above Otsu's threshold, computed for each image; for bright "
        "material, one minus the porosity. It should not change.",
    ),
    "lattice_share": Figure(
        "lattice/range",
        ".3%",
        "Checkerboard artefact, as a share of the intensity range: more than that of "
        "bicubic is a pattern made by the model.",
    ),
    "lines_along_y": Figure(
        "stripes along y/range",
        ".3%",
        "Lines across the whole image, as a share of the intensity range; 0 where "
        "separate parts have none in common.",
    ),
    "lines_along_x": Figure(
        "stripes along x/range", ".3%", "The same along x, such as scan lines."
    ),
    "rings": Figure(
        "rings/range",
        ".3%",
        "Rings around the middle of the plane, as from detector defects in computed "
        "tomography, as a share of the intensity range.",
    ),
    "half_width": Figure(
        "interval, ±",
        ".5g",
        "Half the width of the prediction interval of a pixel, in counts, mean over "
        "the part that is shown.",
    ),
    "held": Figure(
        "inside the interval",
        ".1%",
        "Share of pixels at which the reference lies inside the interval.",
    ),
    "sa": Figure("Sa", ".5g", "Mean absolute height above the mean plane."),
    "sq": Figure("Sq", ".5g", "Root mean square height above the mean plane."),
    "slope_rmse": Figure(
        "slope RMSE",
        ".5g",
        "Root mean square difference of the slopes from those of the reference, per "
        "pixel.",
    ),
}
"""Figures of a single plane, by name."""


NONE = "–"
"""What stands in a table where there is no such figure."""
EXACT = 100
"""Decibels beyond which results agree as far as numbers go."""


def as_text(name: str, value: float | None) -> str:
    """Write one figure as all tables do."""
    if value is None or isnan(value):
        return NONE
    if name == "agreement" and value > EXACT:
        return f"> {EXACT}"
    return format(value, (FIGURES | PLANE_FIGURES)[name].format)
