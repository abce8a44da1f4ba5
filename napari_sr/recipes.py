"""A recipe: everything about a training in one TOML file.

This module alone knows what a recipe may say and what its paths are relative to: the
recipe itself.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_sr.settings import TrainingSettings

if TYPE_CHECKING:
    import os


class RecipeError(ValueError):
    """A file that is not a usable recipe, in one sentence."""


class Recipe(BaseModel):
    """What to train, on what, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    """Of the model, and of its file."""
    description: str = ""
    """One line for whoever chooses a model."""
    domain: str = "any"
    """Kind of images it is for."""
    images: tuple[str, ...] = ()
    """Sharp images: files, folders or patterns."""
    low_images: tuple[str, ...] = ()
    """Recordings of the same fields, where pairs were measured."""
    base: str | None = None
    """Name or path of the model to start from."""
    settings: TrainingSettings = TrainingSettings()
    """How to train."""


def read_recipe(path: str | os.PathLike[str]) -> Recipe:
    """Read a recipe; its relative paths become relative to the working folder.

    Parameters
    ----------
    path
        A TOML file.

    Raises
    ------
    RecipeError
        If it cannot be read or says something that is not understood.
    """
    path = Path(path)
    try:
        recipe = Recipe.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path.name} is not TOML: {error}.") from error
    except ValidationError as error:
        wrong = error.errors()[0]
        place = ".".join(map(str, wrong["loc"]))
        what = wrong["msg"].removeprefix("Value error, ")
        raise RecipeError(f"{path.name}: {place}: {what}.") from error
    images, low_images = (
        tuple(str(path.parent / name) for name in names)
        for names in (recipe.images, recipe.low_images)
    )
    base = recipe.base
    if base is not None and base.endswith(".safetensors"):
        base = str(path.parent / base)
    found = {"images": images, "low_images": low_images, "base": base}
    return recipe.model_copy(update=found)
