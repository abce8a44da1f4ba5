"""Parts of planes through an upscaler, tile by tile.

This module alone knows what an upscaler is given of a recording, how a tile gets to the
device and back, in which precision it is computed, and what is done when it does not
fit.
"""

from __future__ import annotations

import logging
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_sr.device import is_out_of_memory, release_memory, smallest_tile
from napari_sr.intensity import fill_gaps
from napari_sr.tiling import Mosaic, pad_plane, plan_tiles

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sr.planning import Plan
    from napari_sr.regions import Region, Window
    from napari_sr.stack import Stack
    from napari_sr.tiling import Tile
    from napari_sr.upscaler import Upscaler

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Part:
    """A region on its way through the network."""

    region: Region
    window: Window
    recorded: NDArray
    """`(y, x)` counts of the window, without gaps."""
    gaps: NDArray[np.bool_] | None
    padded: Tensor
    """`(1, c, y + 2·halo, x + 2·halo)`, what the network is told."""
    high: NDArray[np.float32] | None = None
    """`(factor·y, factor·x)` in network range, after the last tile."""


def read_parts(
    stack: Stack, regions: Sequence[Region], windows: Sequence[Window], network: Tiled
) -> Generator[Part, None, None]:
    """Read and normalise one after the other.

    With one thread, for the rest of the thread that this runs in: a second pool of
    threads would put that of the network to sleep between any two of its steps, since
    OpenMP's threads do not wait awake once there are more of them than cores.
    """
    torch.set_num_threads(1)
    for region, window in zip(regions, windows, strict=True):
        recorded, gaps = fill_gaps(stack.window(region.index, window.seen))
        yield Part(region, window, recorded, gaps, network.inputs(recorded))


def compute_parts(
    parts: Generator[Part, None, None],
    tilings: Mapping[tuple[int, int], Sequence[Tile]],
    network: Tiled,
) -> Generator[Part, None, None]:
    """Super-resolve; each part comes once for each tile, with its pixels at last."""
    n_threads = torch.get_num_threads()
    with closing(parts):
        try:
            for part in parts:
                torch.set_num_threads(n_threads)  # also of threads still to come
                mosaic = network.mosaic(part.window.shape)
                *tiles, last = tilings[part.window.shape]
                for tile in tiles:
                    mosaic.add(tile, network.pixels_of(part.padded[..., *tile.outer]))
                    yield part
                mosaic.add(last, network.pixels_of(part.padded[..., *last.outer]))
                yield replace(part, high=mosaic.finish())
        finally:  # where nothing could be read, too
            torch.set_num_threads(n_threads)


class Tiled:
    """Runs an upscaler on tiles, and on smaller ones when memory runs out."""

    def __init__(self, upscaler: Upscaler, plan: Plan) -> None:
        self._upscaler, self._plan = upscaler, plan
        self._device = torch.device(plan.device)
        self._precision = getattr(torch, plan.precision)
        self.largest = plan.tile
        """Side of a tile in recorded pixels; halved each time memory runs out."""

    def inputs(self, recorded: NDArray) -> Tensor:
        """Give a plane in network range and what is told about it, padded by the halo.

        Parameters
        ----------
        recorded
            `(y, x)` counts without gaps.

        Returns
        -------
        Tensor
            `(1, c, y + 2·halo, x + 2·halo)` float32 on the CPU.
        """
        plane = torch.from_numpy(self._plan.intensity.normalize(recorded))[None, None]
        told = self._upscaler.inputs(plane, self._plan.intensity, self._plan.prepared)
        channels = [pad_plane(channel, self._plan.halo) for channel in told[0].numpy()]
        return torch.from_numpy(np.stack(channels))[None]

    def mosaic(self, shape: tuple[int, ...]) -> Mosaic:
        """Give an empty result for a plane of this shape."""
        factor, overlap = self._plan.factor, self._upscaler.overlap
        return Mosaic((shape[0], shape[1]), factor, overlap)

    def pixels_of(self, outer: Tensor) -> NDArray[np.float32]:
        """Super-resolve one tile `(1, c, h, w)` to `(factor·h, factor·w)`."""
        side = max(outer.shape[-2:])
        if side <= self.largest:
            try:
                return self._compute(outer)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._shrink(side, error)
            # Only now has the error let go of what the failed run still held.
            release_memory(self._device)
        return self._in_smaller_tiles(outer)

    def _compute(self, outer: Tensor) -> NDArray[np.float32]:
        batch = outer.to(self._device)
        half = self._precision != torch.float32
        with (
            torch.autocast(self._device.type, self._precision, enabled=half),
            _without_tf32(),
        ):
            high = self._upscaler(batch)
        return high[0, 0].float().cpu().numpy()

    def _shrink(self, side: int, error: Exception) -> None:
        """Halve the tile for this and all following ones; never a tile set by hand."""
        smaller = max(smallest_tile(self._plan.halo), side // 2)
        if not self._plan.tile_is_auto or smaller >= side:
            advice = (
                "Free some of its memory, or use another device"
                if self._plan.tile_is_auto
                else "Use a smaller tile, or tile='auto'"
            )
            raise MemoryError(
                f"Out of memory on {self._device} with tiles of {side} px. {advice}."
            ) from error
        logger.warning(
            "Out of memory with tiles of %d px, going on with %d px.", side, smaller
        )
        self.largest = smaller

    def _in_smaller_tiles(self, outer: Tensor) -> NDArray[np.float32]:
        """Super-resolve a tile that is too large piece by piece, without its halo."""
        halo, factor = self._plan.halo, self._plan.factor
        shape = (outer.shape[-2] - 2 * halo, outer.shape[-1] - 2 * halo)
        mosaic = Mosaic(shape, factor)
        for piece in plan_tiles(shape, self.largest, halo):
            mosaic.add(piece, self.pixels_of(outer[..., *piece.outer]))
        return np.pad(mosaic.finish(), halo * factor)


@contextmanager
def _without_tf32() -> Iterator[None]:
    """Keep cuDNN from rounding to 10 bits where float32 was promised.

    `torch.backends.cudnn.flags` would also switch cuDNN off.
    """
    cudnn = torch.backends.cudnn
    before, cudnn.allow_tf32 = cudnn.allow_tf32, False
    try:
        yield
    finally:
        cudnn.allow_tf32 = before
