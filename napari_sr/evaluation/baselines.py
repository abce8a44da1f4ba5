"""What a lab would use instead: interpolation, deconvolution, denoising.

This module alone knows these baselines: from a recorded plane to a sharper one, in
counts. They know as much about the recording as a model does.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from skimage.restoration import denoise_nl_means

from napari_sr.catalogue.lookup import load_model
from napari_sr.upscaling.flow import upscale

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_sr.image.intensity import NoiseLevel

    Method = Callable[[NDArray, NoiseLevel], NDArray]
    """A recorded plane `(y, x)` and its noise, to `(factor·y, factor·x)` float32."""


BM3D = "BM3D + Lanczos"


def baselines(factor: int) -> dict[str, Method]:
    """Give every baseline by name.

    BM3D is among them where the package `bm3d` is installed. Its licence allows
    non-commercial use only, so that nothing depends on it.

    Parameters
    ----------
    factor
        Super-resolution factor.
    """

    def made_by(low: NDArray, method: str) -> NDArray:
        return upscale(low, load_model(method, factor=factor), dtype="float32")

    methods: dict[str, Method] = {
        "bicubic": lambda low, _noise: made_by(low, "bicubic"),
        "lanczos": lambda low, _noise: made_by(low, "lanczos"),
        "Richardson-Lucy": lambda low, _noise: made_by(low, "richardson-lucy"),
        "Wiener": lambda low, _noise: made_by(low, "wiener"),
        "non-local means": lambda low, noise: made_by(
            denoised(low, noise, non_local_means), "bicubic"
        ),
    }
    if find_spec("bm3d"):
        methods[BM3D] = lambda low, noise: made_by(
            denoised(low, noise, bm3d), "lanczos"
        )
    return methods


def denoised(
    low: NDArray, noise: NoiseLevel, denoise: Callable[[NDArray], NDArray]
) -> NDArray:
    """Remove noise of a known level by a method for white noise.

    Photon noise is first given the same size everywhere (Anscombe, Biometrika 1948).

    Parameters
    ----------
    low
        `(y, x)` in counts.
    noise
        Its level in counts; none leaves the plane as it is.
    denoise
        Removes white noise of deviation 1: `non_local_means` or `bm3d`.

    Returns
    -------
    ndarray
        `(y, x)` float32 in counts.
    """
    counts = low.astype(np.float32)
    if noise.gain == 0 and noise.read == 0:
        return counts
    if noise.gain == 0:
        result: NDArray = denoise(counts / noise.read) * noise.read
        return result.astype(np.float32)
    gain = noise.gain
    photons = (counts - noise.offset) / gain
    constant = 3 / 8 + (noise.read / gain) ** 2
    level = denoise(2 * np.sqrt(np.maximum(photons + constant, 0)))
    # Of the mean of a root: the closed form of Mäkitalo and Foi (IEEE TIP 2011).
    level = np.maximum(level, 2 * np.sqrt(3 / 8))
    root = np.sqrt(1.5)
    photons = (
        level**2 / 4
        + root / (4 * level)
        - 11 / (8 * level**2)
        + 5 * root / (8 * level**3)
        - 1 / 8
        - (noise.read / gain) ** 2
    )
    result = photons * gain + noise.offset
    return result.astype(np.float32)


def non_local_means(image: NDArray) -> NDArray:
    """Average patches that look alike (Buades et al., CVPR 2005).

    Parameters
    ----------
    image
        `(y, x)` with white noise of deviation 1.
    """
    result: NDArray = denoise_nl_means(
        image, patch_size=5, patch_distance=7, h=0.8, sigma=1.0, fast_mode=True
    )
    return result


def bm3d(image: NDArray) -> NDArray:
    """Filter groups of patches that look alike (Dabov et al., IEEE TIP 2007).

    Parameters
    ----------
    image
        `(y, x)` with white noise of deviation 1.

    Raises
    ------
    ModuleNotFoundError
        If the package `bm3d` is not installed.
    """
    import bm3d as package

    result: NDArray = package.bm3d(image, 1.0)
    return result
