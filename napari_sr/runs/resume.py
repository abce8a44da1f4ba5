"""What a run leaves on disk while it goes on, so that whatever ends it, it can go on.

Beside the place of the result grows a hidden folder, with the plan, the image as far as
it is done, and one small file for each region that is whole. This module alone knows
that folder. The plan is read and not made again, so a run that was killed ends with the
same pixels as one that never was, and many processes can work on one run.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from napari_sr.files.atomic import hidden_beside, remove_leftovers, written_atomically
from napari_sr.files.writing import Content, put_in_place, refuse_existing, unwritable
from napari_sr.files.zarr.images import is_zarr
from napari_sr.files.zarr.ngff import place_of_channels
from napari_sr.files.zarr.regions import RegionalZarr
from napari_sr.image.regions import Region, region_side
from napari_sr.image.stack import StackError
from napari_sr.runs.channels import described
from napari_sr.upscaling.flow import slab_number
from napari_sr.upscaling.plan import Plan  # noqa: TC001 - pydantic reads it

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sr.image.stack import Stack

_RECORD, _IMAGE, _DONE, _FINISHING = "run.json", "image", "done", "finishing"


class Record(BaseModel):
    """What was decided when a run began; all that go on with it keep to it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    identity: dict[str, object]
    """By name: what must be the same for a run to go on."""
    plan: Plan
    """Of the recording, or of its first channel."""
    shape: tuple[int, ...]
    """Of the recording, or of each channel."""
    more_plans: tuple[Plan, ...] = ()
    """Of its other channels."""
    channel_axis: int | None = None
    """Which axis of the result is that of several channels."""

    @property
    def plans(self) -> tuple[Plan, ...]:
        """Of each channel."""
        return (self.plan, *self.more_plans)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a result goes, and how it is written."""

    path: Path
    overwrite: bool = False
    compression: str = "zlib"
    notes: Mapping[str, object] = field(default_factory=dict)
    """What else is said about it, beside how it came about."""

    @property
    def folder(self) -> Path:
        """Where it grows."""
        path = self.path.absolute()
        return path.with_name(f".{path.name}.partial")


class RunFolder:
    """The folder of a run that has begun.

    Parameters
    ----------
    folder
        Where the result grows.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = Record.model_validate_json((folder / _RECORD).read_bytes())
        factor = self.record.plan.factor
        self._image = RegionalZarr(folder / _IMAGE, region_side(factor) * factor)
        self.levels = self._image.levels
        """Regions of each level, the finest first, in pixels of the level."""

    def channel_of(self, level: int, number: int) -> tuple[int, Region]:
        """Give the channel in which a region lies, and its place in that."""
        region = self.levels[level][number]
        axis = self.record.channel_axis
        if axis is None:
            return 0, region
        within = (*region.index[:axis], *region.index[axis + 1 :])
        return region.index[axis], replace(region, index=within)

    def slab_of(self, number: int) -> tuple[int, ...]:
        """Tell which regions of the finest level are best done together.

        A region is alone unless there are more planes along z than were recorded.
        """
        channel, region = self.channel_of(0, number)
        return (channel, *slab_number(self.record.plans[channel], region))

    def slabs(self, numbers: Sequence[int]) -> dict[int, list[int]]:
        """Group regions of the finest level by slab, under the slab's own number.

        Slabs are numbered in the order of all regions, whatever is done already.
        """
        if all(plan.z is None for plan in self.record.plans):
            return {number: [number] for number in numbers}
        first: dict[tuple[int, ...], int] = {}
        for number in range(len(self.levels[0])):
            first.setdefault(self.slab_of(number), len(first))
        slabs: dict[int, list[int]] = {}
        for number in numbers:
            slabs.setdefault(first[self.slab_of(number)], []).append(number)
        return slabs

    def missing(self, level: int) -> list[int]:
        """List the numbers of the regions of a level that are not done."""
        try:
            done = set(os.listdir(self.folder / _DONE / str(level)))
        except FileNotFoundError:
            self._refuse_what_is_finished()
            raise
        return [n for n in range(len(self.levels[level])) if str(n) not in done]

    def is_done(self, level: int, number: int) -> bool:
        """Tell whether a region is whole."""
        return (self.folder / _DONE / str(level) / str(number)).exists()

    def put(self, level: int, number: int, pixels: NDArray, *counted: int) -> None:
        """Write a region, and that it is done.

        Parameters
        ----------
        level, number
            Which region.
        pixels
            `(y, x)` counts.
        *counted
            What `finish` is to sum up over the regions of the finest level: pixels that
            were clipped, tiles that were computed twice.

        Raises
        ------
        StackError
            If the disk refuses; what is done stays.
        """
        try:
            self._image.write(level, self.levels[level][number], pixels)
            with written_atomically(
                self.folder / _DONE / str(level) / str(number)
            ) as aside:
                aside.write_text(" ".join(map(str, counted)), "utf-8")
        except OSError as error:
            self._refuse_what_is_finished()
            raise StackError(
                f"{self.folder.parent} cannot be written ({error.strerror or error}). "
                "What is done is kept: correct this, and run the same command again."
            ) from error

    def coarsen(self, level: int, number: int) -> None:
        """Make a region of a coarser level; the level before is complete."""
        self.put(level, number, self._image.coarser(level, self.levels[level][number]))

    def finish(self, target: Target) -> tuple[float, int]:
        """Put the result in its place; give what was counted while it was made.

        Returns
        -------
        share_clipped : float
            Share of its pixels that is clipped.
        n_repeated : int
            Tiles that half precision could not hold.

        Raises
        ------
        StackError
            If the place was taken meanwhile, or cannot be written.
        """
        done = self.folder / _DONE / "0"
        numbers = range(len(self.levels[0]))
        self._refuse_what_is_finished()
        refuse_existing(target.path, target.overwrite, is_zarr)
        try:
            counted = [(done / str(n)).read_text("utf-8").split() for n in numbers]
            self._image.sweep()
            put_in_place(self.folder / _IMAGE, target.path.absolute())
        except OSError as error:
            self._refuse_what_is_finished()
            raise unwritable(str(target.path), error) from error
        (self.folder / _RECORD).unlink(missing_ok=True)  # tells others, before the rest
        shutil.rmtree(self.folder, ignore_errors=True)
        remove_leftovers(target.path.absolute(), is_whole=True)
        n_clipped = sum(int(clipped) for clipped, *_ in counted)
        n_repeated = sum(int(tiles) for _, *rest in counted for tiles in rest)
        n_pixels = sum(prod(region.shape) for region in self.levels[0])
        return n_clipped / n_pixels, n_repeated

    def _refuse_what_is_finished(self) -> None:
        """Say so where another process has put the result in its place meanwhile."""
        if (self.folder / _RECORD).exists():
            return
        shutil.rmtree(self.folder, ignore_errors=True)  # what came into it since
        raise StackError(
            f"Another process has finished or removed the run in {self.folder}. If "
            "there is no result, run the same command again."
        )

    def claim_the_end(self) -> bool:
        """Let one of several that found all regions done be the one who finishes."""
        with suppress(FileExistsError):
            (self.folder / _FINISHING).mkdir()
            return True
        return False


def begin_or_go_on(
    target: Target,
    stacks: Sequence[Stack],
    identity: dict[str, object],
    plans: Callable[[], Sequence[Plan]],
) -> RunFolder:
    """Begin a run, or find the one that has begun.

    Parameters
    ----------
    target
        Where the result goes.
    stacks
        The recording: its channels.
    identity
        By name: what must be the same as when it began. Anything JSON can hold.
    plans
        Makes the plan of each channel, if it has not begun.

    Raises
    ------
    StackError
        If the result exists, cannot be written, or is of another identity than what
        has begun there.
    """
    refuse_existing(target.path, target.overwrite, is_zarr)
    try:
        if not _has_begun(target.folder):
            plan, *more = plans()
            _create(target, stacks, identity, (plan, *more))
        run = RunFolder(target.folder)
    except OSError as error:
        raise unwritable(str(target.path), error) from error
    except ValidationError as error:
        raise StackError(
            f"{target.folder} was started by another version of napari-sr. Remove it "
            "to start again."
        ) from error
    begun = run.record.identity
    if differing := [name for name in identity if begun.get(name) != identity[name]]:
        raise StackError(
            f"{target.path} was started with another {' and '.join(differing)}. "
            f"Continue with the same, or remove {target.folder} to start again."
        )
    return run


def _has_begun(folder: Path) -> bool:
    """Tell a run from what is left where one was killed while it cleaned up."""
    return (folder / _RECORD).exists() and (folder / _IMAGE).exists()


def _create(
    target: Target,
    stacks: Sequence[Stack],
    identity: dict[str, object],
    plans: Sequence[Plan],
) -> None:
    """Make the folder of a run, whole or not at all; another process may be first."""
    remove_leftovers(target.path.absolute())
    new = hidden_beside(target.path.absolute())
    description = described(stacks, plans, target.notes)
    description |= {
        "dtype": np.dtype(plans[0].dtype),
        "compression": target.compression,
    }
    content = Content(**description)
    record = Record(
        identity=identity,
        plan=plans[0],
        more_plans=tuple(plans[1:]),
        shape=stacks[0].shape,
        channel_axis=place_of_channels(content) if len(plans) > 1 else None,
    )
    try:
        new.mkdir(parents=True)
        side = region_side(plans[0].factor) * plans[0].factor
        image = RegionalZarr.create(new / _IMAGE, side, content)
        for level in range(len(image.levels)):
            (new / _DONE / str(level)).mkdir(parents=True)
        (new / _RECORD).write_text(record.model_dump_json(), "utf-8")
        if not _has_begun(target.folder):
            shutil.rmtree(target.folder, ignore_errors=True)
        try:
            os.rename(new, target.folder)
        except OSError:
            if not _has_begun(target.folder):
                raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
