"""A model → an ONNX file that gives the same pixels.

This module alone knows ONNX. What is written has been computed with ONNX Runtime and
compared with PyTorch, at sizes other than the one that it was traced with.
"""

from __future__ import annotations

import json
import logging
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_sr.files.atomic import written_atomically
from napari_sr.interop.single_network import PlainNetwork

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from torch import Tensor

    from napari_sr.models.sr_model import SRModel

OPSET = 18
INPUTS, OUTPUT = ("image", "noise"), "result"
_TRACED = (24, 20)
_CHECKED = ((24, 20), (33, 47))
"""Sizes, of which one is odd."""
_TOLERANCE = 1e-4
"""Of network range; rounding is about 1e-6."""
_USE = (
    "Inputs and output are float32 (n, 1, y, x) in network range: counts are mapped "
    "linearly so that the stack's range becomes 0 to 1. Continue planes by reflection "
    "by `halo` pixels and cut factor x halo off the result. `noise` is the standard "
    "deviation of the noise to remove, per pixel and in the same units; 0 keeps it. "
    "Results are computed, not measured, and not for diagnosis."
)


def export_onnx(model: SRModel, path: str | os.PathLike[str]) -> Path:
    """Write the generator of a model, at its dial, as ONNX.

    Parameters
    ----------
    model
        Its card goes into the file's metadata, with what one must know to use it.
    path
        Ends in `.onnx`; an existing file is replaced, by a whole one.

    Returns
    -------
    Path
        The file. Batch, height and width are free.

    Raises
    ------
    ValueError
        If libraries are missing, or ONNX Runtime does not give the same pixels.
    OSError
        If the place cannot be written.
    """
    path, written = Path(path), as_onnx(model, PlainNetwork(model))
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_atomically(path) as partial:
        partial.write_bytes(written)
    return path


def as_onnx(model: SRModel, network: PlainNetwork) -> bytes:
    """Give what `export_onnx` writes, of a network of that model."""
    onnx, _ = _libraries()
    example = network.example(*_TRACED)
    with _quietly():
        program = torch.onnx.export(
            network,
            example,
            dynamo=True,
            input_names=list(INPUTS[: network.in_channels]),
            output_names=[OUTPUT],
            dynamic_shapes=tuple(map(_free_sizes, example)),
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    assert program is not None  # it is for the exporter that is asked for
    file = program.model_proto
    _forget_traces(file)
    for key, value in _told(model).items():
        file.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(file)
    written: bytes = file.SerializeToString()
    _refuse_other_pixels(written, network, model.name)
    return written


def _libraries() -> tuple[Any, Any]:
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401 - torch needs it
    except ImportError as error:
        raise ValueError(
            f"ONNX needs libraries that are not installed here ({error}). Install them "
            'with: pip install "napari-sr[onnx]"'
        ) from error
    return onnx, onnxruntime


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep what the exporter says of itself from the user."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(before)


def _free_sizes(tensor: Tensor) -> dict[int, Any]:
    """Leave all sizes free but that of the channel."""
    free = torch.export.Dim.DYNAMIC
    return {axis: free for axis in range(tensor.ndim) if axis != 1}


def _forget_traces(file: Any) -> None:  # noqa: ANN401
    """Leave out which lines of which files made each node, and name the sizes."""
    graph = file.graph
    held = [*graph.node, *graph.input, *graph.output, *graph.value_info, graph]
    for named in [*held, *graph.initializer]:
        del named.metadata_props[:]
    del graph.value_info[:]
    names = ("n", None, "y", "x")
    for value in graph.input:
        for size, name in zip(value.type.tensor_type.shape.dim, names, strict=False):
            if name is not None:
                size.dim_param = name
    for value in graph.output:
        for size, name in zip(value.type.tensor_type.shape.dim, names, strict=False):
            if name is not None:
                size.dim_param = name if name == "n" else f"factor_{name}"


def _told(model: SRModel) -> dict[str, str]:
    """Tell what one must know to use the file."""
    card = model.card
    return {
        "name": model.name,
        "description": card.description,
        "licence": card.licence,
        "made_by": f"napari-sr {card.package_version}",
        "model_sha256": model.digest,
        "dial": str(model.dial),
        "factor": str(model.factor),
        "halo": str(model.halo),
        "intensity": json.dumps(card.intensity.model_dump()),
        "use": _USE,
    }


def _refuse_other_pixels(file: bytes, network: PlainNetwork, name: str) -> None:
    """Compute some images with both, and compare."""
    _, onnxruntime = _libraries()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(
        file, options, providers=["CPUExecutionProvider"]
    )
    for size in _CHECKED:
        inputs = network.example(*size)
        with torch.inference_mode():
            expected = network(*inputs).numpy()
        given = {
            key: tensor.numpy() for key, tensor in zip(INPUTS, inputs, strict=False)
        }
        (came,) = session.run([OUTPUT], given)
        worst = float(np.abs(came - expected).max())
        if came.shape != expected.shape or not worst <= _TOLERANCE:
            raise ValueError(
                f"Model {name!r} gives other pixels in ONNX Runtime (by {worst:g} of "
                "its range), so it was not written. Report this with the versions of "
                "torch and onnxruntime."
            )
