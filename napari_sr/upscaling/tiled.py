"""Parts of planes through an upscaler, tile by tile.

This module alone knows what an upscaler is given of a recording, how a tile gets to the
device and back, in which precision it is computed, and what is done when it does not
fit.
"""

from __future__ import annotations

import logging
from collections import deque
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_sr.device import (
    Arriving,
    full_precision,
    is_out_of_memory,
    pins_memory,
    release_memory,
    smallest_tile,
    to_device,
)
from napari_sr.image.intensity import fill_gaps
from napari_sr.image.tiling import Mosaic, pad_plane, plan_tiles

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sr.image.regions import Region, Window
    from napari_sr.image.stack import Stack
    from napari_sr.image.tiling import Tile
    from napari_sr.models.upscaler import Upscaler
    from napari_sr.upscaling.plan import Plan

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
    """`(1, c, y + 2·halo, x + 2·halo)`, the input of the network."""
    high: NDArray[np.float32] | None = None
    """`(factor·y, factor·x)` in network range, after the last tile."""
    n_repeated: int = 0
    """Tiles that half precision could not hold, since the last region was done."""


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
    *,
    is_one_at_a_time: bool = False,
) -> Generator[Part, None, None]:
    """Super-resolve; each part comes once for each tile, with its pixels at last.

    A device that takes copies beside computing has the next tile while one comes back,
    of the next part too unless there is to be only one at a time.
    """
    n_threads = torch.get_num_threads()
    under_way: deque[_TileOfPart] = deque()
    with closing(parts):
        try:
            for part in parts:
                torch.set_num_threads(n_threads)  # also of threads still to come
                mosaic = network.mosaic(part.window.shape)
                tiles = tilings[part.window.shape]
                last = tiles[-1]
                for tile in tiles:
                    begun = network.begin(part.padded[..., *tile.outer])
                    under_way.append(_TileOfPart(part, mosaic, tile, begun))
                    is_end = is_one_at_a_time and tile == last
                    while len(under_way) > (0 if is_end else network.n_ahead):
                        yield under_way.popleft().taken(network, last)
            while under_way:
                oldest = under_way.popleft()
                yield oldest.taken(network, tilings[oldest.part.window.shape][-1])
        finally:  # where nothing could be read, too
            torch.set_num_threads(n_threads)


@dataclass(frozen=True, slots=True)
class _TileOfPart:
    """A tile that has been given to the network."""

    part: Part
    mosaic: Mosaic
    tile: Tile
    begun: _Begun

    def taken(self, network: Tiled, last: Tile) -> Part:
        """Wait for the tile and put it in its place; the last one completes a part."""
        self.mosaic.add(self.tile, network.end(self.begun))
        if self.tile != last:
            return self.part
        high, n_repeated = self.mosaic.finish(), network.take_repeated()
        return replace(self.part, high=high, n_repeated=n_repeated)


@dataclass(frozen=True, slots=True)
class _Begun:
    """What was asked of the network, and what comes of it."""

    outer: Tensor
    high: Arriving | NDArray[np.float32]


class Tiled:
    """Runs an upscaler on tiles, and on smaller ones when memory runs out."""

    def __init__(self, upscaler: Upscaler, plan: Plan) -> None:
        self._upscaler, self._plan = upscaler, plan
        self._device = torch.device(plan.device)
        self._precision = getattr(torch, plan.precision)
        self.largest = plan.tile
        """Side of a tile in recorded pixels; halved each time memory runs out."""
        self.n_ahead = int(pins_memory(self._device))
        """Tiles to begin before one is waited for."""
        self._n_repeated, self._has_warned = 0, False

    def inputs(self, recorded: NDArray) -> Tensor:
        """Give a plane in network range with all inputs, padded by the halo.

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
        inputs = self._upscaler.inputs(plane, self._plan.intensity, self._plan)
        channels = [pad_plane(each, self._plan.halo) for each in inputs[0].numpy()]
        return torch.from_numpy(np.stack(channels))[None]

    def mosaic(self, shape: tuple[int, ...]) -> Mosaic:
        """Give an empty result for a plane of this shape."""
        factor, overlap = self._plan.factor, self._upscaler.overlap
        return Mosaic((shape[0], shape[1]), factor, overlap)

    def begin(self, outer: Tensor) -> _Begun:
        """Begin with a tile `(1, c, h, w)`."""
        side = max(outer.shape[-2:])
        if side <= self.largest:
            try:
                return _Begun(outer, self._computed(outer, self._precision))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._shrink(side, error)
            # Only now has the error let go of what the failed run still held.
            release_memory(self._device)
        return _Begun(outer, self._in_smaller_tiles(outer))

    def end(self, begun: _Begun) -> NDArray[np.float32]:
        """Give the pixels of a tile, `(factor·h, factor·w)`."""
        if isinstance(begun.high, np.ndarray):
            return begun.high
        high = begun.high.wait()
        if self._precision == torch.float32 or np.isfinite(high).all():
            return high
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "%s cannot hold all values, so some tiles are recomputed in float32.",
                self._plan.precision,
            )
        self._n_repeated += 1
        return self._computed(begun.outer, torch.float32).wait()

    def take_repeated(self) -> int:
        """Count the tiles that were computed twice, since this was last asked."""
        n_repeated, self._n_repeated = self._n_repeated, 0
        return n_repeated

    def _computed(self, outer: Tensor, precision: torch.dtype) -> Arriving:
        batch = to_device(outer.contiguous(), self._device)
        half = precision != torch.float32
        with (
            torch.autocast(self._device.type, precision, enabled=half),
            full_precision(),
        ):
            high = self._upscaler(batch)
        return Arriving(high[0, 0].float())

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
            "Out of memory with tiles of %d px, continuing with %d px.", side, smaller
        )
        self.largest = smaller

    def _in_smaller_tiles(self, outer: Tensor) -> NDArray[np.float32]:
        """Super-resolve a tile that is too large piece by piece, without its halo."""
        halo, factor = self._plan.halo, self._plan.factor
        shape = (outer.shape[-2] - 2 * halo, outer.shape[-1] - 2 * halo)
        mosaic = Mosaic(shape, factor)
        for piece in plan_tiles(shape, self.largest, halo):
            mosaic.add(piece, self.end(self.begin(outer[..., *piece.outer])))
        return np.pad(mosaic.finish(), halo * factor)
