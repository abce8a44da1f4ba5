"""How far a result is from the truth, and what it is made of: arrays in, numbers out.

This package alone knows how a figure is taken; `metrics.quality` knows which are taken
together.
"""

from napari_sr.metrics.heights import levelled, roughness, slope_rmse
from napari_sr.metrics.lattices import SCALE, lattice
from napari_sr.metrics.periodic import rings, stripes
from napari_sr.metrics.phases import bright_share
from napari_sr.metrics.resolution import (
    BLOCK,
    local_resolution,
    resolution_of,
    ring_correlation,
    split_pixels,
)
from napari_sr.metrics.similarity import (
    MS_SSIM_WEIGHTS,
    SSIM_SIDE,
    gradient_similarity,
    ms_ssim,
    psnr,
    si_psnr,
    ssim,
)
from napari_sr.metrics.spectra import (
    out_of_band_share,
    radial_spectrum,
    spectrum_error,
    split_bands,
)

__all__ = [
    "BLOCK",
    "MS_SSIM_WEIGHTS",
    "SCALE",
    "SSIM_SIDE",
    "bright_share",
    "gradient_similarity",
    "lattice",
    "levelled",
    "local_resolution",
    "ms_ssim",
    "out_of_band_share",
    "psnr",
    "radial_spectrum",
    "resolution_of",
    "ring_correlation",
    "rings",
    "roughness",
    "si_psnr",
    "slope_rmse",
    "spectrum_error",
    "split_bands",
    "split_pixels",
    "ssim",
    "stripes",
]
