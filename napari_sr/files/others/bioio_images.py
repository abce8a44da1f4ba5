"""Files of microscopes that bioio's plugins read (CZI, ND2, LIF, …) to stacks.

This module alone knows bioio: an image has the axes T, C, Z, Y and X and sizes in
micrometres, whatever its file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from bioio import BioImage

from napari_sr.files.arrays import stack_of
from napari_sr.files.formats import pick_image, within_file
from napari_sr.image.axis import Axis
from napari_sr.image.info import Channel, ImageInfo
from napari_sr.image.stack import StackError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sr.files.channel import Pick
    from napari_sr.image.stack import Stack


def open_file(path: Path, channel: Pick | None) -> Stack:
    """Open the image of a file, or `file.czi/1` of one with several scenes."""
    location, name = within_file(path)
    try:
        image: Any = BioImage(location)
        scenes = [str(scene) for scene in image.scenes]
        image.set_scene(pick_image(location, name, scenes))
        pixels, sizes = image.dask_data, image.physical_pixel_sizes
        names = [str(name) for name in image.channel_names or ()]
        step = getattr(image, "time_interval", None)
    except StackError:
        raise
    except Exception as error:  # plugins raise anything
        raise _unread(path, error) from error
    if pixels.ndim != len("TCZYX"):
        raise StackError(f"{path} is a colour image; save one channel of it as gray.")
    axes = [
        _axis("t", getattr(step, "total_seconds", lambda: None)(), "s"),
        Axis("c"),
        *(_axis(name, getattr(sizes, name.upper()), "um") for name in "zyx"),
    ]
    kept = [i for i, n in enumerate(pixels.shape) if n > 1 or i > 2]
    info = ImageInfo(channels=tuple(Channel(name) for name in names))
    held = _Planes(
        path, pixels[tuple(slice(None) if i in kept else 0 for i in range(5))]
    )
    return stack_of(path, held, [axes[i] for i in kept], channel, info=info)


def _unread(path: Path, error: Exception) -> StackError:
    """Say that a plugin failed; another one may read the same file."""
    reason = " ".join(str(error).split())
    return StackError(
        f"{path} cannot be read through bioio ({reason}). It may need another plugin "
        f"of bioio, such as bioio-bioformats; or save it as OME-TIFF."
    )


def _axis(name: str, spacing: float | None, unit: str) -> Axis:
    """Make an axis; not calibrated where the file does not say."""
    return Axis(name, float(spacing), unit) if spacing and spacing > 0 else Axis(name)


class _Planes:
    """A dask array of which parts are computed when they are read."""

    def __init__(self, path: Path, pixels: Any) -> None:  # noqa: ANN401 - no types
        self._path, self._pixels = path, pixels
        self.shape: tuple[int, ...] = tuple(pixels.shape)
        self.dtype = np.dtype(pixels.dtype)

    def __getitem__(self, place: tuple[int | slice, ...]) -> NDArray:
        try:
            part: NDArray = self._pixels[place].compute(scheduler="synchronous")
        except Exception as error:  # plugins raise anything
            raise _unread(self._path, error) from error
        return part
