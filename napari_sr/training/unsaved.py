"""Trainings whose model has not been saved yet: what is needed to go on with them.

Each is a folder with a recipe, the checkpoint, and copies of those images that are not
files, since they are gone when the viewer is closed. This module alone knows that
folder. It is listed from when the first checkpoint was written until the model is saved
or the training is discarded.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from napari_sr.catalogue.lookup import new_model_path, training_folder
from napari_sr.files import create_stack, open_stack
from napari_sr.files.atomic import written_atomically
from napari_sr.image.stack import Stack, StackError
from napari_sr.recipes import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Source = Stack | str | os.PathLike[str]
    """A recording in memory, or a file, a folder, a pattern."""

LARGEST_COPY = 4 * 2**30
"""Bytes up to which images that are not files are copied."""
_RECIPE, _CHECKPOINT = "recipe.json", "checkpoint"


@dataclass(frozen=True, slots=True)
class UnsavedTraining:
    """A training that can be begun, or gone on with."""

    folder: Path
    recipe: Recipe
    """Relative names among its images are copies in the folder."""

    @property
    def checkpoint(self) -> Path:
        """Where the state of the training is kept."""
        return self.folder / _CHECKPOINT

    @contextmanager
    def opened(self) -> Iterator[tuple[list[Source], list[Source]]]:
        """Open the copies for a while.

        Yields
        ------
        tuple of list
            Sharp images and low images, as `Training` takes them.
        """
        with ExitStack() as opened:
            yield (
                [self._source(name, opened) for name in self.recipe.images],
                [self._source(name, opened) for name in self.recipe.low_images],
            )

    def _source(self, name: str, opened: ExitStack) -> Source:
        if Path(name).is_absolute():
            return name
        return opened.enter_context(open_stack(self.folder / name))

    def discard(self) -> None:
        """Remove it; there is nothing to go on with any more."""
        (self.folder / _RECIPE).unlink(missing_ok=True)  # from now on it is not listed
        shutil.rmtree(self.folder, ignore_errors=True)


def unsaved_trainings() -> list[UnsavedTraining]:
    """List the trainings that can be gone on with, by name."""
    return [
        training
        for folder in sorted(training_folder().glob("*"))
        if (training := _read(folder)) is not None and training.checkpoint.exists()
    ]


def _read(folder: Path) -> UnsavedTraining | None:
    try:
        text = (folder / _RECIPE).read_text("utf-8")
        return UnsavedTraining(folder, Recipe.model_validate_json(text))
    except (OSError, ValidationError):
        return None  # of another version, or just being written


def begin(
    recipe: Recipe, images: Sequence[Source], low_images: Sequence[Source] = ()
) -> UnsavedTraining:
    """Keep what a training needs, so that it can be gone on with.

    Parameters
    ----------
    recipe
        Name, base and settings.
    images, low_images
        What it learns from. Files are remembered by name, stacks in memory are copied.

    Raises
    ------
    ValueError
        If the name cannot be one, a training of that name is unfinished, or there is
        too much to copy.
    """
    folder = training_folder() / new_model_path(recipe.name).stem
    known = _read(folder)
    if known is not None and known.checkpoint.exists():
        raise ValueError(
            f"A training named {recipe.name!r} is unfinished. Resume or discard it, "
            "or choose another name."
        )
    _check_size([*images, *low_images])
    shutil.rmtree(folder, ignore_errors=True)  # left from one without a checkpoint
    folder.mkdir(parents=True)
    kept = {
        "images": tuple(
            _kept(source, folder, f"sharp{n}") for n, source in _numbered(images)
        ),
        "low_images": tuple(
            _kept(source, folder, f"low{n}") for n, source in _numbered(low_images)
        ),
    }
    begun = UnsavedTraining(folder, recipe.model_copy(update=kept))
    with written_atomically(folder / _RECIPE) as partial:
        partial.write_text(json.dumps(begun.recipe.model_dump(mode="json")), "utf-8")
    return begun


def _numbered(sources: Sequence[Source]) -> list[tuple[int, Source]]:
    return list(enumerate(sources, start=1))


def _check_size(sources: Sequence[Source]) -> None:
    size = sum(
        prod(source.shape) * source.dtype.itemsize
        for source in sources
        if isinstance(source, Stack)
    )
    if size > LARGEST_COPY:
        raise ValueError(
            f"The chosen layers hold {size / 2**30:.1f} GiB, but a training keeps a "
            f"copy of at most {LARGEST_COPY / 2**30:.0f} GiB. Choose their files."
        )


def _kept(source: Source, folder: Path, number: str) -> str:
    """Give the name under which a source is found later."""
    if not isinstance(source, Stack):
        return os.path.abspath(source)
    label = "".join(c if c.isalnum() or c in " -_" else "_" for c in source.name)
    path = folder / number / f"{label.strip()[:60] or 'image'}.ome.tif"
    try:
        with create_stack(
            path,
            shape=source.shape,
            dtype=source.dtype,
            axes=source.axes,
            provenance={},
            compression="none",
        ) as writer:
            for index in source.indices():
                writer.write(index, source.plane(index))
    except StackError as error:
        raise StackError(
            f"{source.name} cannot be stored for the training: {error}"
        ) from error
    return f"{number}/{path.name}"
