"""Recordings that were kept as 8-bit JPEG: few grey levels, and blocks.

This module alone knows what such a file leaves of a recording. It is drawn for
training, so that a generator sees it; it gets no other information about it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import imagecodecs
import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from napari_sr.instrument.ranges import Jpeg


def draw_jpeg(jpeg: Jpeg, n: int, generator: Generator) -> Tensor | None:
    """Draw the quality of `n` files, `(n,)`, 0 where there was none; None: for all."""
    if jpeg.share == 0:
        return None
    present, place = torch.rand(2, n, generator=generator)
    low, high = jpeg.quality
    quality: Tensor = (present < jpeg.share) * (low + (high - low) * place)
    return quality


def through_jpeg(low: Tensor, quality: Tensor) -> Tensor:
    """Write recordings as 8-bit JPEG, and read them again.

    Parameters
    ----------
    low
        `(n, 1, h, w)` in network range. Black and white of the file are 0 and 1, or
        the darkest and the brightest pixel where those lie beyond.
    quality
        `(n,)` from 1 to 100; 0 leaves a recording as it is.
    """
    kept = low.clone()
    for index in quality.nonzero().flatten().tolist():
        plane = low[index, 0]
        black, white = float(plane.min().clamp_max(0)), float(plane.max().clamp_min(1))
        grey = torch.round((plane - black) / (white - black) * 255)
        file = imagecodecs.jpeg8_encode(
            grey.cpu().numpy().astype(np.uint8), level=round(float(quality[index]))
        )
        levels = torch.from_numpy(imagecodecs.jpeg8_decode(file).astype(np.float32))
        kept[index, 0] = levels.to(low) / 255 * (white - black) + black
    return kept
