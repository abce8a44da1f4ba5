"""A recipe: everything about a training, or about an upscaling, in one TOML file.

This module alone knows what a recipe may say and what its paths are relative to: the
recipe itself.
"""

from __future__ import annotations

import json
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_sr.settings import TrainingSettings, UpscaleSettings

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    _AnyRecipe = TypeVar("_AnyRecipe", bound=BaseModel)


_ALSO: dict[str, list[dict[str, Any]]] = {
    "noise": [{"const": 0}, {"type": "string"}],
    "largest_gradient": [{"const": "none"}],
    "photons": [{"const": "none"}],
}
"""What fields of a recipe take besides the values of their type."""

NonEmpty = Annotated[str, Field(min_length=1)]


class RecipeError(ValueError):
    """A file that is not a usable recipe, in one sentence."""


class Recipe(BaseModel):
    """What to train, on what, and how."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True
    )

    name: str = Field(min_length=1)
    """Name of the model, and of its file."""
    description: str = ""
    """One line for whoever chooses a model."""
    domain: str = "any"
    """Kind of images that it is for."""
    images: tuple[str, ...] = ()
    """Sharp images: files, folders or patterns."""
    low_images: tuple[str, ...] = ()
    """Recordings of the same fields, for measured pairs."""
    recordings_only: bool = False
    """Whether `images` are recordings, without sharp images (self-supervised)."""
    base: str | None = None
    """Name or path of the model to start from."""
    settings: TrainingSettings = TrainingSettings()
    """How to train."""


class UpscaleRecipe(BaseModel):
    """What to super-resolve, with what, and how."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True
    )

    inputs: tuple[str, ...] = ()
    """Files, folders or patterns."""
    output: str | None = None
    """A file for one input, otherwise a folder."""
    model: NonEmpty | dict[str, NonEmpty]
    """Name or path of a model; or of several, by number or name of the channel."""
    factor: int | None = None
    """Super-resolution factor, for methods of any factor."""
    options: dict[str, float | str] = Field(default_factory=dict)
    """Options of a classical method, such as psf_sigma."""
    channel: int | str | tuple[int | str, ...] | None = None
    """Channels to process, by number from 0 or by name; all when not given."""
    pixel_size: str | None = None
    """As "0.65um" or "0.5x0.65mm" (y, x), if that of the files is missing or wrong."""
    stack: bool = False
    """Whether all inputs are planes of one stack."""
    format: Literal["ome.tif", "ome.zarr"] | None = None
    """File format of the results in a folder."""
    compression: Literal["zlib", "zstd", "none"] | None = None
    """All are lossless."""
    workers: int | None = Field(default=None, ge=1)
    """Processes, or jobs of SLURM, that share the work."""
    scheduler: str | None = None
    """Address of a dask.distributed scheduler whose workers share the work."""
    slurm: Path | None = None
    """A TOML file with the arguments of dask_jobqueue.SLURMCluster."""
    patience: float | None = Field(default=None, ge=0)
    """Seconds without any worker, after which a run ends; what is done is kept."""
    settings: UpscaleSettings = UpscaleSettings()
    """How to super-resolve."""


def read_recipe(path: str | os.PathLike[str]) -> Recipe:
    """Read a recipe of a training; its paths become relative to the working folder.

    Parameters
    ----------
    path
        A TOML file.

    Raises
    ------
    RecipeError
        If it cannot be read or says something that is not understood.
    """
    recipe = _read(Path(path), Recipe)
    folder = Path(path).parent
    resolved = {
        "images": _paths(folder, recipe.images),
        "low_images": _paths(folder, recipe.low_images),
        "base": _model(folder, recipe.base),
    }
    return recipe.model_copy(update=resolved)


def read_upscale_recipe(path: str | os.PathLike[str]) -> UpscaleRecipe:
    """Read a recipe of an upscaling; its paths become relative to the working folder.

    Parameters
    ----------
    path
        A TOML file.

    Raises
    ------
    RecipeError
        If it cannot be read or says something that is not understood.
    """
    recipe = _read(Path(path), UpscaleRecipe)
    folder = Path(path).parent
    resolved = {
        "inputs": _paths(folder, recipe.inputs),
        "output": None if recipe.output is None else str(folder / recipe.output),
        "slurm": None if recipe.slurm is None else folder / recipe.slurm,
        "model": (
            {
                name: _model(folder, model_name)
                for name, model_name in recipe.model.items()
            }
            if isinstance(recipe.model, dict)
            else _model(folder, recipe.model)
        ),
    }
    return recipe.model_copy(update=resolved)


def upscale_recipe_text(recipe: UpscaleRecipe) -> str:
    """Write a recipe of an upscaling as TOML; what is as by default is left out.

    Parameters
    ----------
    recipe
        Its relative paths are taken as relative to the file that the text goes to.
    """
    content = recipe.model_dump(mode="json", exclude_defaults=True)
    settings = content.pop("settings", {})
    lines = [f"{name} = {_toml(value)}" for name, value in content.items()]
    if settings:
        lines += ["", "[settings]"]
        lines += [f"{name} = {_toml(value)}" for name, value in settings.items()]
    return "\n".join([*lines, ""])


def schema_of(kind: type[BaseModel]) -> dict[str, Any]:
    """Give the JSON Schema of a kind of recipe, for editors that complete from it.

    Parameters
    ----------
    kind
        `Recipe` or `UpscaleRecipe`.
    """
    schema: dict[str, Any] = _as_in_toml(kind.model_json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _as_in_toml(part: Any) -> Any:  # noqa: ANN401
    """Say what TOML can: it has no null, for which some fields take a word."""
    if isinstance(part, list):
        return [_as_in_toml(one) for one in part if one != {"type": "null"}]
    if not isinstance(part, dict):
        return part
    kept = {
        key: _as_in_toml(value)
        for key, value in part.items()
        if (key, value) != ("default", None)
    }
    for name, others in _ALSO.items():
        field = kept.get("properties", {}).get(name)
        if field:
            field["anyOf"] = [*field["anyOf"], *others]
    return kept


def _toml(value: object) -> str:
    """Write a value; but for tables, JSON is TOML."""
    if isinstance(value, dict):
        parts = ", ".join(f"{name} = {_toml(part)}" for name, part in value.items())
        return f"{{ {parts} }}"
    return json.dumps(value, ensure_ascii=False)


def _paths(folder: Path, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(str(folder / name) for name in names)


def _model(folder: Path, name: str | None) -> str | None:
    """Take a model's file as relative to the recipe; a name is a name."""
    is_file = name is not None and name.endswith(".safetensors")
    return str(folder / name) if name is not None and is_file else name


def _read(path: Path, kind: type[_AnyRecipe]) -> _AnyRecipe:
    """Read a TOML file as a kind of recipe."""
    try:
        return kind.model_validate(tomllib.loads(path.read_text("utf-8-sig")))
    except RecursionError as error:
        raise RecipeError(f"{path.name} is nested too deeply for a recipe.") from error
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path.name} is not TOML: {error}.") from error
    except ValidationError as error:
        wrong = error.errors()[0]
        place = ".".join(map(str, wrong["loc"]))
        if wrong["type"] == "extra_forbidden":
            raise RecipeError(_unknown(path, wrong["loc"], kind)) from error
        what = wrong["msg"].removeprefix("Value error, ")
        raise RecipeError(f"{path.name}: {place}: {what}.") from error


def _unknown(path: Path, place: tuple[int | str, ...], kind: type[BaseModel]) -> str:
    """Say which key is not known, and what may have been meant."""
    *sections, key = map(str, place)
    known = dict(_keys_of(kind))
    spelled = _as_written(sections, key)
    same = [at for at, name in known.items() if name == key]
    close = [
        at
        for near in get_close_matches(key, known.values(), 1, 0.7)
        for at, name in known.items()
        if name == near
    ]
    meant = (same or close)[:1]
    advice = f"; did you mean `{meant[0]}`?" if meant else "."
    return f"{path.name}: unknown key `{spelled}`{advice}"


def _keys_of(
    kind: type[BaseModel], sections: Sequence[str] = ()
) -> Iterator[tuple[str, str]]:
    """List what a recipe may say: as it is written, and the name alone."""
    for name, field in kind.model_fields.items():
        yield _as_written(sections, name), name
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from _keys_of(part, (*sections, name))


def _as_written(sections: Sequence[str], key: str) -> str:
    return f"[{'.'.join(sections)}] {key}" if sections else key
