"""How much a volume holds along z, of what it holds in its planes.

This module alone knows how spectra along two axes are compared when a step along one is
longer than along the other, and when more planes would hold no more detail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sr.image.intensity import fill_gaps
from napari_sr.image.units import convert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sr.image.stack import Stack

LITTLE = 0.01
"""Share of the planes' detail below which there is none along z: a Gaussian blur of
about 1.7 planes leaves so much."""
_BAND = (0.2, 0.5)
"""Cycles per plane that count as detail along z: the upper three fifths."""
_FAITHFUL = 0.3
"""Cycles per plane up to which hardly any finer detail is folded into the spectrum."""
_ABOVE_NOISE = 1.0
"""Times the noise that the planes' detail must have, to be compared with."""
_PLANES, _SIDE = 64, 128
"""Of a stack at most, in its middle."""
_FEWEST = 16
"""Planes, of which a spectrum along z tells anything."""


def blur_along_z(stack: Stack, axis: int) -> str:
    """Say in a sentence where a recording is blurred over far more than its z step.

    Parameters
    ----------
    stack
        The recording; a part of the middle of up to 64 planes is read.
    axis
        Place of z among its leading axes.

    Returns
    -------
    str
        Empty where it is not, or where that cannot be determined.
    """
    share = detail_along_z(*middle_of(stack, axis))
    if share is None or share > LITTLE:
        return ""
    return (
        f"along z it has {share:.1%} of the fine detail that its planes hold, so its "
        "blur is far longer than its step, and more planes show no more detail "
        "(finetune --for-z learns to deblur)"
    )


def middle_of(stack: Stack, axis: int) -> tuple[NDArray, tuple[float, float, float]]:
    """Read the middle of a volume, `(z, y, x)`, with its spacing in one unit.

    Where the unit of an axis is not known, all spacings are 1.
    """
    z, y, x = (stack.axes[place] for place in (axis, -2, -1))
    sides = [
        convert(one.spacing, one.unit, x.unit) if one.unit else None for one in (z, y)
    ]
    spacing = (sides[0] or 1.0, sides[1] or 1.0, x.spacing)
    if None in sides:  # nobody knows
        spacing = (1.0, 1.0, 1.0)
    middle = [length // 2 for length in stack.leading_shape]
    start = max(0, middle[axis] - _PLANES // 2)
    cuts = [
        slice(max(0, (side - _SIDE) // 2), min(side, (side + _SIDE) // 2))
        for side in stack.plane_shape
    ]
    planes = []
    for place in range(start, min(start + _PLANES, stack.leading_shape[axis])):
        index = (*middle[:axis], place, *middle[axis + 1 :])
        planes.append(fill_gaps(stack.window(index, (cuts[0], cuts[1])))[0])
    return np.stack(planes), spacing


def detail_along_z(
    volume: NDArray, spacing: Sequence[float] = (1.0, 1.0, 1.0)
) -> float | None:
    """Compare fine detail along z with what planes hold at the same frequencies.

    Parameters
    ----------
    volume
        `(z, y, x)` counts, without gaps.
    spacing
        Along each, in one unit.

    Returns
    -------
    float or None
        Power along z above that of the noise, between 0.2 and 0.5 cycles per plane,
        over that in the plane at the same frequencies. Without a blur along z about 1
        for a specimen that is alike in all directions. None where it cannot be
        determined: of few planes, or of planes that hold no such detail above their
        noise.
    """
    spectra = _spectra(volume, spacing)
    if spectra is None:
        return None
    wanted, of_z, in_plane, noise = spectra
    held = float(in_plane[wanted].mean()) - noise
    if held <= _ABOVE_NOISE * noise:
        return None
    return max(0.0, float(of_z[wanted].mean()) - noise) / held


def width_along_z(
    volume: NDArray, spacing: Sequence[float] = (1.0, 1.0, 1.0)
) -> float | None:
    """Estimate the blur along z beyond that of the planes, and beside their step.

    Parameters
    ----------
    volume, spacing
        As for `detail_along_z`. The specimen is taken to be alike in all directions.

    Returns
    -------
    float or None
        Standard deviation of a Gaussian, in the unit of the spacing; 0 for none. None
        where it cannot be determined.
    """
    spectra = _spectra(volume, spacing)
    if spectra is None:
        return None
    _, of_z, in_plane, noise = spectra
    step = spacing[0]
    frequencies = np.fft.rfftfreq(len(volume), step)[1:]
    seen = (frequencies <= _FAITHFUL / step) & (
        np.minimum(of_z, in_plane) > (1 + _ABOVE_NOISE) * noise
    )
    if np.count_nonzero(seen) < 3:
        return None
    f = frequencies[seen]
    ratio = (of_z[seen] - noise) / (in_plane[seen] - noise) / np.sinc(f * step) ** 2
    slope = np.polyfit(f**2, np.log(ratio), 1)[0]
    return float(np.sqrt(max(0.0, -slope)) / (2 * np.pi))


def _spectra(
    volume: NDArray, spacing: Sequence[float]
) -> tuple[NDArray[np.bool_], NDArray, NDArray, float] | None:
    """Give which frequencies are fine detail, power along z and in the plane, noise."""
    if len(volume) < _FEWEST:
        return None
    volume = np.asarray(volume, np.float64)
    step = spacing[0]
    along_z, of_z = _power(volume, 0, len(volume), step)
    planes: list[tuple[NDArray, NDArray]] = []
    for axis in (1, 2):
        n = round(len(volume) * step / spacing[axis])  # as long as it is high
        n = min(n, volume.shape[axis])
        if n >= _FEWEST:
            planes.append(_power(volume, axis, n, spacing[axis]))
    if not planes:
        return None
    wanted = (_BAND[0] / step <= along_z) & (along_z <= _BAND[1] / step)
    in_plane = np.mean([np.interp(along_z, f, power) for f, power in planes], axis=0)
    noise = min(float(power[-3:].mean()) for _, power in [(along_z, of_z), *planes])
    return wanted, of_z, in_plane, noise


def _power(
    volume: NDArray[np.float64], axis: int, n: int, step: float
) -> tuple[NDArray, NDArray]:
    """Take the power along an axis, of the middle `n`, such that white noise is flat.

    Returns
    -------
    frequencies
        In cycles per unit, without 0.
    power
        For each, the mean over all lines; that of white noise is its variance.
    """
    start = (volume.shape[axis] - n) // 2
    lines = np.moveaxis(volume, axis, -1)[..., start : start + n]
    window = np.hanning(n + 2)[1:-1]
    lines = lines - lines.mean(axis=-1, keepdims=True)
    spectrum = np.abs(np.fft.rfft(lines * window)) ** 2 / (window**2).sum()
    return np.fft.rfftfreq(n, step)[1:], spectrum.mean(axis=(0, 1))[1:]
