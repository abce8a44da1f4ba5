"""Describe a specimen and the instrument that looks at it.

This module alone knows how a drawing (0 dark, 1 bright) becomes counts: the dark level,
the bright level, the digitiser's range, and how many photons the bright level stands
for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sr.image.intensity import NoiseLevel

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_sr.image.stack import Axis

    Draw = Callable[[int, tuple[int, int], np.random.Generator], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Specimen:
    """What is drawn, at which pixel size, and how the instrument counts."""

    name: str
    """One lower-case word."""

    domain: str
    """Field it stands for, e.g. "fluorescence microscopy"."""

    title: str
    """One line for a menu or a table."""

    meaning: str
    """What a count measures, in a few words."""

    draw: Draw
    """`(n_planes, (y, x), rng)` -> `(n_planes, y, x)` float64, 0 dark, 1 bright."""

    pixel_size: float
    """Of the truth, in `unit`."""

    unit: str
    """Of the pixel size: "um" or "mm"."""

    series: Axis
    """What the planes are planes of: z, t, or p for separate positions."""

    n_planes: int
    """Usual number of planes."""

    size: int
    """Usual side of a truth plane in pixels."""

    dark: float
    """Counts where nothing is."""

    bright: float
    """Counts at 1 of the drawing."""

    ceiling: int
    """Highest count of the digitiser: 4095 for 12 bits."""

    photons: float | None
    """Detected per recorded pixel at the bright level; None where none are counted."""

    read: float
    """Standard deviation of the noise that does not depend on the signal, in counts."""

    @property
    def noise(self) -> NoiseLevel:
        """Noise of a recorded pixel, in counts."""
        if self.photons is None:
            return NoiseLevel(read=self.read)
        gain = (self.bright - self.dark) / self.photons
        return NoiseLevel(gain=gain, read=self.read, offset=self.dark)

    def to_counts(self, signal: NDArray) -> NDArray[np.uint16]:
        """Turn a signal (0 dark, 1 bright) into counts, within the digitiser's range.

        Parameters
        ----------
        signal
            Any shape, float.

        Returns
        -------
        ndarray
            The same shape, uint16.
        """
        counts = np.rint(self.dark + signal * (self.bright - self.dark))
        return np.clip(counts, 0, self.ceiling).astype(np.uint16)

    def to_signal(self, counts: NDArray) -> NDArray[np.float32]:
        """Turn counts back into a signal: 0 dark, 1 bright, float32."""
        signal = (counts - np.float32(self.dark)) / (self.bright - self.dark)
        return signal.astype(np.float32)
