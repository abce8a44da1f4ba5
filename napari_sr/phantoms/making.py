"""Make a phantom: draw the specimen, digitise it, record it.

This module alone knows the list of specimens, how a seed becomes pixels, and how the
sample data are named and written.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np
import torch

from napari_sr.files import create_stack
from napari_sr.image.stack import Axis
from napari_sr.instrument.degradation import record
from napari_sr.phantoms import filaments, foam, mammogram, nuclei, surface

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import NDArray

    from napari_sr.image.intensity import NoiseLevel
    from napari_sr.phantoms.specimen import Specimen

_SPECIMENS = {
    module.SPECIMEN.name: module.SPECIMEN
    for module in (filaments, nuclei, foam, mammogram, surface)
}

PHANTOM_NAMES: tuple[str, ...] = tuple(_SPECIMENS)
"""Names that `make_phantom` knows."""

SMALLEST_SIDE = 32
"""Truth pixels; a smaller field can miss the structures altogether."""


@dataclass(frozen=True, slots=True)
class Phantom:
    """A synthetic specimen with known truth, and its recording."""

    name: str
    """The specimen, one of `PHANTOM_NAMES`."""

    domain: str
    """Field it stands for, e.g. "micro-CT"."""

    title: str
    """One line for a menu or a table."""

    meaning: str
    """What a count measures, e.g. "height: 1 count is 1 nm"."""

    truth: NDArray[np.uint16]
    """`(..., factor * y, factor * x)` counts without noise."""

    recorded: NDArray[np.uint16]
    """`(..., y, x)` counts: binned, with photon and read noise."""

    factor: int
    """Recorded pixel size over the truth's."""

    axes: tuple[Axis, ...]
    """Of the recorded stack, with its pixel size."""

    noise: NoiseLevel
    """True noise of the recording, in counts."""

    seed: int
    """What it was drawn with."""

    @property
    def truth_axes(self) -> tuple[Axis, ...]:
        """Axes of the truth, in the same world as those of the recording."""
        *leading, y, x = self.axes
        return (*leading, y.upscaled(self.factor), x.upscaled(self.factor))


def make_phantom(
    name: str,
    *,
    factor: int = 2,
    n_planes: int | None = None,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
) -> Phantom:
    """Make a synthetic specimen with known truth, and record it.

    The truth depends on the name, the number of planes, the size and the seed, but not
    on the factor: the same specimen can be recorded at several.

    Parameters
    ----------
    name
        One of `PHANTOM_NAMES`.
    factor
        How many times larger the recorded pixels are than the truth's, at least 1.
    n_planes
        Planes to draw; the specimen's usual number when None. One plane has no leading
        axis.
    size
        Rows and columns of the truth in pixels, multiples of `factor`; one number for
        a square; the specimen's usual size when None.
    seed
        Same seed, same pixels.

    Returns
    -------
    Phantom
        Truth and recording, both uint16.

    Raises
    ------
    ValueError
        If the name is not known, or a number is out of its range.
    """
    if name not in _SPECIMENS:
        raise ValueError(
            f"There is no phantom {name!r}. Choose one of {', '.join(PHANTOM_NAMES)}."
        )
    specimen = _SPECIMENS[name]
    n_planes = specimen.n_planes if n_planes is None else n_planes
    shape = _as_shape(specimen.size if size is None else size)
    _check(factor, n_planes, shape)
    rng = np.random.default_rng((crc32(name.encode()), seed))
    truth = specimen.to_counts(specimen.draw(n_planes, shape, rng))
    recorded = _record(truth, specimen, factor, noise_seed=int(rng.integers(2**62)))
    axes = _recorded_axes(specimen, factor)
    if n_planes == 1:
        truth, recorded, axes = truth[0], recorded[0], axes[1:]
    return Phantom(
        name=specimen.name,
        domain=specimen.domain,
        title=specimen.title,
        meaning=specimen.meaning,
        truth=truth,
        recorded=recorded,
        factor=factor,
        axes=axes,
        noise=specimen.noise,
        seed=seed,
    )


def write_samples(
    folder: str | PathLike[str], *, overwrite: bool = False
) -> list[Path]:
    """Write every phantom, as it is by default, as a pair of OME-TIFF files.

    Parameters
    ----------
    folder
        Where to write `<name>_recorded.ome.tif` and `<name>_truth.ome.tif`; made if it
        is not there.
    overwrite
        Whether files of these names may be replaced.

    Returns
    -------
    list of Path
        The files, in the order of `PHANTOM_NAMES`, the recording before the truth.

    Raises
    ------
    StackError
        If a file exists already and `overwrite` is not set.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in PHANTOM_NAMES:
        phantom = make_phantom(name)
        for part, planes, axes in (
            ("recorded", phantom.recorded, phantom.axes),
            ("truth", phantom.truth, phantom.truth_axes),
        ):
            path = folder / f"{name}_{part}.ome.tif"
            _write(path, planes, axes, _provenance(phantom, part), overwrite)
            paths.append(path)
    return paths


def _as_shape(size: int | tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns."""
    return (size, size) if isinstance(size, int) else size


def _check(factor: int, n_planes: int, shape: tuple[int, int]) -> None:
    """Refuse numbers that no phantom can be made with."""
    if factor < 1 or n_planes < 1:
        raise ValueError(
            f"A phantom needs a factor and a number of planes of at least 1, got "
            f"{factor} and {n_planes}."
        )
    if min(shape) < SMALLEST_SIDE or any(side % factor for side in shape):
        raise ValueError(
            f"The truth of {shape[0]} x {shape[1]} pixels must have sides of at least "
            f"{SMALLEST_SIDE} pixels that are multiples of the factor {factor}. Choose "
            f"another size."
        )


def _record(
    truth: NDArray[np.uint16], specimen: Specimen, factor: int, *, noise_seed: int
) -> NDArray[np.uint16]:
    """Record `(n, factor * y, factor * x)` counts as `(n, y, x)` counts."""
    sharp = torch.from_numpy(specimen.to_signal(truth))[:, None]  # (n, 1, H, W)
    span = specimen.bright - specimen.dark
    low = record(
        sharp,
        factor,
        gain=specimen.noise.gain / span,
        read=specimen.noise.read / span,
        generator=torch.Generator().manual_seed(noise_seed),
    )
    return specimen.to_counts(low[:, 0].numpy().astype(np.float64))


def _recorded_axes(specimen: Specimen, factor: int) -> tuple[Axis, ...]:
    """Return the recorded stack's axes, the centre of its first pixel at 0."""
    spacing = specimen.pixel_size * factor
    return (
        specimen.series,
        Axis("y", spacing, specimen.unit),
        Axis("x", spacing, specimen.unit),
    )


def _provenance(phantom: Phantom, part: str) -> dict[str, str | int | float]:
    """Say in a file what its pixels are."""
    return {
        "content": f"{phantom.title} ({part})",
        "counts": phantom.meaning,
        "origin": f"synthetic, napari_sr.phantoms.make_phantom({phantom.name!r})",
        "licence": "CC0-1.0",
        "seed": phantom.seed,
        "factor": phantom.factor,
        "noise_gain": phantom.noise.gain if part == "recorded" else 0.0,
        "noise_read": phantom.noise.read if part == "recorded" else 0.0,
        "noise_offset": phantom.noise.offset,
    }


def _write(
    path: Path,
    planes: NDArray[np.uint16],
    axes: tuple[Axis, ...],
    provenance: dict[str, str | int | float],
    overwrite: bool,
) -> None:
    """Write `(..., y, x)` planes to one file."""
    with create_stack(
        path,
        shape=planes.shape,
        dtype=planes.dtype,
        axes=axes,
        provenance=provenance,
        overwrite=overwrite,
    ) as writer:
        for index in np.ndindex(planes.shape[:-2]):
            writer.write(index, planes[index])
