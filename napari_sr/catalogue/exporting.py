"""A model → a file that other programs use.

This module alone knows which kinds of files there are, by their suffix.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_sr.catalogue.lookup import load_trained

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from napari_sr.models.sr_model import SRModel

EXPORTED = (".onnx", ".zip", ".pth")


def export_model(
    model: SRModel | str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    dial: float | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a model for other programs.

    Parameters
    ----------
    model
        A trained model, or the name or path of one.
    path
        `.onnx`: a network with free sizes, checked with ONNX Runtime. `.zip`: a package
        of bioimage.io with that network. `.pth`: the state dict of the paper's network,
        as Lornatang/SRGAN-PyTorch loads it.
    dial
        From faithful (0) to textured (1); the model's own when not given.
    overwrite
        Replace an existing file.

    Returns
    -------
    Path
        The file; it is whole or absent.

    Raises
    ------
    ValueError
        If there is no such model or kind of file, the model cannot be written so, or
        the file exists.
    """
    path = Path(path)
    write = _writer_of(path)
    if path.exists() and not overwrite:
        raise ValueError(f"{path} exists; choose another name or ask to overwrite it.")
    loaded = load_trained(model, "be exported")
    return write(loaded if dial is None else loaded.at_dial(dial), path)


def _writer_of(path: Path) -> Callable[[SRModel, Path], Path]:
    suffix = path.suffix.lower()
    if suffix == ".onnx":
        from napari_sr.interop.onnx_file import export_onnx

        return export_onnx
    if suffix == ".zip":
        from napari_sr.interop.bioimageio.exporting import export_package

        return export_package
    if suffix == ".pth":
        from napari_sr.interop.state_dict import export_state_dict

        return export_state_dict
    raise ValueError(
        f"{path.name} cannot be exported to; expected a name that ends in "
        f"{', '.join(EXPORTED)}."
    )
