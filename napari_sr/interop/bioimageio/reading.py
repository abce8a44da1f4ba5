"""A package of bioimage.io → an upscaler.

This module alone knows how a plane of any size is given to a network that takes only
some sizes: continued by reflection up to the next one, or, where the size is fixed, in
windows that overlap. It never normalises by itself: that is done once per stack.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from napari_sr.cards.model_card import ModelFormatError
from napari_sr.image.tiling import Mosaic, pad_plane, plan_tiles
from napari_sr.interop.bioimageio.description import read_description
from napari_sr.interop.bioimageio.files import Package
from napari_sr.interop.bioimageio.trial import try_onnx
from napari_sr.interop.bioimageio.weights import ONNX, choose_weights
from napari_sr.interop.foreign import SIDE_OF_PROBE, Foreign, NetworkSource

if TYPE_CHECKING:
    import os

    from torch import Tensor

    from napari_sr.interop.bioimageio.description import Described
    from napari_sr.interop.bioimageio.weights import Runner

_TRIED = 48
"""Side of the first image that a network is given, where it takes that."""
_WIDE = 4 * 4 * 64
"""Bytes per pixel of a result: what is inside is not seen, and 64 maps are usual."""
_FACTORS = range(2, 17)


class PackagedNetwork(nn.Module):
    """A network of a package, for images of any size in network range.

    Parameters
    ----------
    described
        Its axes, sizes and processing.
    run
        What computes.

    Raises
    ------
    Exception
        Of any kind, from the network, which is tried once.
    """

    in_channels = 1

    def __init__(self, described: Described, run: Runner) -> None:
        super().__init__()
        self._described, self._run = described, run
        self.factor = 1
        tried = [sizes.next(_TRIED) for sizes in described.sizes]
        draw = torch.Generator().manual_seed(0)
        fine = self._computed(torch.rand(1, 1, *tried, generator=draw))
        self.is_finite = bool(torch.isfinite(fine).all())
        self.found = (tuple(tried), tuple(fine.shape[-2:]))
        ratios = {fine.shape[i - 2] / tried[i] for i in (0, 1)}
        if len(ratios) == 1 and (ratio := ratios.pop()) in _FACTORS:
            self.factor = int(ratio)

    def forward(self, image: Tensor) -> Tensor:
        """Map `(1, 1, h, w)` to `(1, 1, f·h, f·w)`."""
        side = self._described.sizes[0].smallest
        is_fixed = not self._described.sizes[0].step
        if is_fixed and max(image.shape[-2:]) > side:
            return self._in_windows(image, side)
        return self._padded(image)

    def _in_windows(self, image: Tensor, side: int) -> Tensor:
        """Compute a large image in windows, a quarter of which is not used."""
        plane, halo = image[0, 0].cpu().numpy(), side // 8
        overlap = (side - 2 * halo) // 4
        shape = (plane.shape[0], plane.shape[1])
        mosaic, padded = Mosaic(shape, self.factor, overlap), pad_plane(plane, halo)
        for tile in plan_tiles(shape, side, halo, overlap):
            window = torch.from_numpy(padded[tile.outer])[None, None]
            mosaic.add(tile, self._padded(window.to(image.device))[0, 0].cpu().numpy())
        return torch.from_numpy(mosaic.finish())[None, None].to(image.device)

    def _padded(self, image: Tensor) -> Tensor:
        """Continue an image by reflection up to a size that the network takes."""
        height, width = image.shape[-2:]
        sizes = self._described.sizes
        missing = (sizes[0].next(height) - height, sizes[1].next(width) - width)
        if any(missing):
            margins = [(0, 0), (0, 0), *((0, more) for more in missing)]
            padded = np.pad(image.cpu().numpy(), margins, mode="reflect")
            image = torch.from_numpy(padded).to(image.device)
        fine = self._computed(image)
        return fine[..., : height * self.factor, : width * self.factor]

    def _computed(self, image: Tensor) -> Tensor:
        """Run the network on an image of a size that it takes."""
        for step in self._described.processing.before:
            image = step(image)
        names = ("batch", "channel", "y", "x")
        axes, output_axes = self._described.axes, self._described.output_axes
        given = [names.index(name) for name in axes]
        dropped = [i for i, name in enumerate(names) if name not in axes]
        shape = [image.shape[i] for i in given]
        fine = self._run(image.permute(*given, *dropped).reshape(shape).contiguous())
        if fine.ndim != len(output_axes):
            raise ValueError(f"{fine.ndim} axes came, not {len(output_axes)}")
        y, x = (fine.shape[output_axes.index(name)] for name in "yx")
        order = sorted(range(fine.ndim), key=lambda i: names.index(output_axes[i]))
        fine = fine.permute(*order).reshape(1, 1, y, x)
        for step in self._described.processing.after:
            fine = step(fine)
        return fine


def read_package(
    source: Package | str | os.PathLike[str], *, trust: bool = False
) -> Foreign:
    """Read a model of bioimage.io whose output is finer than its input.

    Parameters
    ----------
    source
        A package, or the path of one (`.zip`), of its folder, or of the description
        in it.
    trust
        Whether code that comes with it may be run; weights in ONNX hold none.

    Returns
    -------
    Foreign
        An upscaler.

    Raises
    ------
    ModelFormatError
        If it is not usable, in one sentence; nothing in it was run, unless trusted.
    """
    package = source if isinstance(source, Package) else Package(source)
    described = read_description(package)
    run = choose_weights(package, described.weights, trust=trust)
    network = _tried(package.name, described, run)
    parts = (package.read(package.description), run.content, run.source)
    digests = [hashlib.sha256(part).digest() for part in parts]
    origin = NetworkSource(
        title=f"{described.title} of bioimage.io",
        architecture=f"bioimage.io, {run.words}",
        digest=hashlib.sha256(b"".join(digests)).hexdigest(),
        intensity=described.processing.policy,
        bytes_per_pixel=_WIDE * network.factor**2,
        is_shifting=any(sizes.step != 1 for sizes in described.sizes),
        least_halo=-(-described.halo // network.factor),
        licence=described.licence,
        facts={"range": _in_words(described)},
    )
    return Foreign(package.model_name, network, network.factor, origin)


@torch.inference_mode()
def _tried(name: str, described: Described, run: Runner) -> PackagedNetwork:
    """Make the network, and refuse one that does not do what is said of it."""
    if run.kind == ONNX:
        shapes = [_shape_of(described, side) for side in (_TRIED, SIDE_OF_PROBE)]
        try_onnx(name, run.content, shapes)
    try:
        network = PackagedNetwork(described, run)
    except ImportError as error:
        raise ModelFormatError(
            f"{name}: its network needs a library that cannot be loaded here "
            f"({str(error)[:200]}). Install it, for ONNX with: pip install "
            '"napari-sr[bioimageio]"'
        ) from error
    except Exception as error:  # of a library, or of code that was trusted
        message = " ".join(str(error).split())[:200]
        raise ModelFormatError(
            f"{name}: its network cannot be run ({type(error).__name__}: {message}). "
            "Choose another model."
        ) from error
    (height, width), (rows, columns) = network.found
    came = f"{name}: makes {rows} × {columns} px of {height} × {width} px"
    if network.factor not in _FACTORS:
        raise ModelFormatError(
            f"{came}; expected 2 to 16 times as many rows, and as many times as many "
            "columns. Choose a model that super-resolves."
        )
    if described.factor not in (None, network.factor):
        raise ModelFormatError(
            f"{came}, but its description says a factor of {described.factor}. Get "
            "the package again."
        )
    if not network.is_finite:
        raise ModelFormatError(f"{came} that are not numbers. Choose another model.")
    return network


def _shape_of(described: Described, side: int) -> list[int]:
    """Give the shape of the array for an image of a side, or the next that it takes."""
    y, x = (sizes.next(side) for sizes in described.sizes)
    return [{"y": y, "x": x}.get(axis, 1) for axis in described.axes]


def _in_words(described: Described) -> str:
    """Say what 0 and 1 are, and what is done in between."""
    policy = described.processing.policy
    unit = {
        "percentile": "percentiles",
        "fixed": "counts",
        "deviations": "standard deviations from the mean",
    }[policy.kind]
    cut = any(step.cuts for step in described.processing.before)
    limits = ", cut off before the network" if cut else ""
    return f"0 and 1 are {policy.low:g} and {policy.high:g} {unit} of a stack{limits}"
