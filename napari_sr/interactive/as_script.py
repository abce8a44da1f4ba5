"""The same run elsewhere: as a Python script, and as a recipe for the command line.

This module alone knows how a request is written down, so that it gives the same pixels.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_sr.files.formats import stem_of
from napari_sr.recipes import UpscaleRecipe
from napari_sr.settings import UpscaleSettings

if TYPE_CHECKING:
    from napari_sr.interactive.request import UpscaleRequest

PLACEHOLDER = "PATH/TO/RECORDING.ome.tif"
_NO_FILE = (
    "# The layer was not opened from one file: save it and write its path below.\n"
)


def python_script(path: str | None, request: UpscaleRequest) -> str:
    """Write a request as a script.

    Parameters
    ----------
    path
        Of the recording; None where it was not opened from one file.
    request
        What a run would do.

    Returns
    -------
    str
        Runnable where the layer was opened from a file, otherwise after its path has
        been filled in.
    """
    source = path or PLACEHOLDER
    factor = "" if request.factor is None else f", factor={request.factor}"
    options = _options(request.settings)
    imports = "NoiseLevel, " if "noise" in options else ""
    lines = [
        f"from napari_sr import {imports}load_model, upscale_file",
        "",
        f"{'' if path else _NO_FILE}result = upscale_file(",
        f"    {source!r},",
        f"    {_output_of(source, request)!r},",
        f"    load_model({request.model_name!r}{factor}),",
        *(f"    {name}={value!r}," for name, value in options.items()),
        ")",
        "print(result.path)",
        "",
    ]
    return "\n".join(lines)


def recipe_of(path: str | None, request: UpscaleRequest) -> UpscaleRecipe:
    """Write a request as a recipe for `napari-sr upscale --recipe`.

    Parameters
    ----------
    path
        Of the recording; where it was not opened from one file, the input is left to
        be typed beside the recipe.
    request
        What a run would do.
    """
    return UpscaleRecipe(
        inputs=(str(Path(path).resolve()),) if path else (),
        output=_output_of(path, request) if path else None,
        model=request.model_name,
        factor=request.factor,
        settings=request.settings,
    )


def _options(settings: UpscaleSettings) -> dict[str, object]:
    """List the settings that are not as by default."""
    default = UpscaleSettings()
    chosen = {name: getattr(settings, name) for name in UpscaleSettings.model_fields}
    return {k: v for k, v in chosen.items() if v != getattr(default, k)}


def _output_of(source: str, request: UpscaleRequest) -> str:
    """Name the output after the source, in the folder where the script is run."""
    model = request.model
    factor = request.factor if isinstance(model, str) else model.factor
    return f"{stem_of(Path(source).name)}_x{factor}.ome.tif"
