"""A model → a package of bioimage.io, for the tools that run those.

This module alone knows the model description of bioimage.io (version 0.5). The network
is in it as ONNX, so no code of this package is needed to run it. Its test image is
synthetic. Where it is noise-conditioned, that is one number for the image: a second
image would get no halo from those tools.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.image
import numpy as np
import torch

from napari_sr.files.atomic import written_atomically
from napari_sr.image.intensity import IntensityRange
from napari_sr.image.stack import Stack
from napari_sr.interop.onnx_file import INPUTS, OPSET, OUTPUT, as_onnx
from napari_sr.interop.single_network import EvenNoiseNetwork
from napari_sr.metrics.quality import summary_table
from napari_sr.networks.resampling import resample
from napari_sr.phantoms import make_phantom

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_sr.models.sr_model import SRModel

_VERSION = "0.5.12"
_EPSILON = 1e-6
"""That `scale_range` adds to the range, in counts."""
_PHANTOMS = {"xray": "foam", "em": "surface"}
_NOISE = 0.03
"""Given with the test image, of its range."""
_SIDE = 96
"""Recorded pixels of the test image beside its halo."""
_SHORT = re.compile(r"[A-Za-z0-9.+-]+")
"""Looks like a licence that SPDX lists."""
_CITED = [
    {
        "text": "Ledig et al.: Photo-Realistic Single Image Super-Resolution Using a "
        "Generative Adversarial Network. CVPR 2017.",
        "doi": "10.1109/CVPR.2017.19",
    }
]


def export_package(model: SRModel, path: str | os.PathLike[str]) -> Path:
    """Write a model, at its dial, as a package of bioimage.io.

    Parameters
    ----------
    model
        A trained model.
    path
        Ends in `.zip`; an existing file is replaced, by a whole one.

    Returns
    -------
    Path
        The package: description, ONNX weights, documentation, cover, test tensors.

    Raises
    ------
    ValueError
        If libraries are missing, or ONNX Runtime does not give the same pixels.
    OSError
        If the place cannot be written.
    """
    path = Path(path)
    inputs, output = _tested(model)
    files = {
        "weights.onnx": as_onnx(model, EvenNoiseNetwork(model)),
        "README.md": _documentation(model).encode(),
        "cover.png": _cover(inputs["image"][0, 0], output[0, 0], model),
        **{f"test_{name}.npy": _as_npy(array) for name, array in inputs.items()},
        f"test_{OUTPUT}.npy": _as_npy(output),
    }
    described = json.dumps(_description(model, files), indent=1)  # JSON is YAML, too
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_atomically(path) as partial, zipfile.ZipFile(partial, "w") as package:
        for name, content in {"rdf.yaml": described.encode(), **files}.items():
            package.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


def _tested(model: SRModel) -> tuple[dict[str, NDArray], NDArray]:
    """Make the test inputs, as they are before preprocessing, and their result."""
    side = _SIDE + 2 * model.halo
    name = _PHANTOMS.get(model.domain, "filaments")
    phantom = make_phantom(name, factor=2, n_planes=1, size=2 * side)
    counts = phantom.recorded.astype(np.float32)
    policy = model.intensity_policy
    intensity = IntensityRange.measure(Stack.from_array(counts), policy)
    span = intensity.high - intensity.low
    if policy.kind == "percentile":
        span += _EPSILON
    image = torch.from_numpy((counts - intensity.low) / span).float()[None, None]
    network, noise = EvenNoiseNetwork(model), torch.full((1, 1), _NOISE)
    with torch.inference_mode():
        result = network(*(image, noise)[: network.in_channels])
    given = zip(INPUTS, (counts[None, None], noise.numpy()), strict=True)
    return dict(list(given)[: network.in_channels]), result.numpy()


def _description(model: SRModel, files: Mapping[str, bytes]) -> dict[str, Any]:
    card = model.card
    is_known = _SHORT.fullmatch(card.licence) and card.licence != "unknown"
    names = [name for name in INPUTS if f"test_{name}.npy" in files]

    def file(name: str) -> dict[str, str]:
        return {"source": name, "sha256": hashlib.sha256(files[name]).hexdigest()}

    return {
        "type": "model",
        "format_version": _VERSION,
        "name": f"napari-sr {model.name}",
        "description": f"Super-resolution x{model.factor} of single-channel images. "
        f"{card.description}"[:1024],
        "authors": [{"name": "the napari-sr developers"}],
        "cite": _CITED,
        **({"license": card.licence} if is_known else {}),
        "tags": ["super-resolution", "2d", "single-channel", model.domain],
        "documentation": file("README.md"),
        "covers": [file("cover.png")],
        "inputs": [_input(name, model, file(f"test_{name}.npy")) for name in names],
        "outputs": [_output(model, file(f"test_{OUTPUT}.npy"))],
        "weights": {"onnx": {**file("weights.onnx"), "opset_version": OPSET}},
        "config": {
            "napari_sr": {
                "factor": model.factor,
                "halo": model.halo,
                "dial": model.dial,
                "model_sha256": model.digest,
            }
        },
    }


def _input(name: str, model: SRModel, tensor: dict[str, str]) -> dict[str, Any]:
    """Describe an input; the scales of its axes say that those of the output are finer.

    A scale of 1 there and of the factor here keeps all sizes whole numbers.
    """
    kind = {"type": "channel", "channel_names": [name]}
    described: dict[str, Any] = {
        "id": name,
        "axes": [{"type": "batch"}, kind],
        "data": {"type": "float32"},
        "test_tensor": tensor,
    }
    if name == "noise":
        meaning = "standard deviation of the noise to remove; the image's range is 1"
        return {**described, "description": meaning}
    smallest = {"min": 2 * model.halo + 2, "step": 1}
    scale = float(model.factor)
    described["axes"] += [
        {"type": "space", "id": axis, "size": smallest, "scale": scale} for axis in "yx"
    ]
    return {
        **described,
        "description": "one channel, in counts",
        "pad": {"mode": "reflect"},
        "preprocessing": _preprocessing(model),
    }


def _preprocessing(model: SRModel) -> list[dict[str, Any]]:
    policy = model.intensity_policy
    if policy.kind != "percentile":
        span = policy.high - policy.low
        kwargs = {"gain": 1 / span, "offset": -policy.low / span}
        linear = {"id": "scale_linear", "kwargs": kwargs}
        if policy.kind == "fixed":
            return [linear]
        standard = {"id": "zero_mean_unit_variance"}
        return [standard] if (policy.low, policy.high) == (0, 1) else [standard, linear]
    percentiles = {"min_percentile": policy.low, "max_percentile": policy.high}
    kwargs = {**percentiles, "eps": _EPSILON}
    return [{"id": "scale_range", "kwargs": kwargs}]


def _output(model: SRModel, tensor: dict[str, str]) -> dict[str, Any]:
    return {
        "id": OUTPUT,
        "description": "the super-resolved image; 0 and 1 are the ends of the image's "
        "range",
        "axes": [
            {"type": "batch"},
            {"type": "channel", "channel_names": [OUTPUT]},
            *(
                {
                    "type": "space",
                    "id": axis,
                    "size": {"tensor_id": "image", "axis_id": axis},
                    "scale": 1.0,
                    "halo": model.factor * model.halo,
                }
                for axis in "yx"
            ),
        ],
        "data": {"type": "float32"},
        "test_tensor": tensor,
    }


def _documentation(model: SRModel) -> str:
    """Tell how it is used, what it was made from and how good it is."""
    card = model.card
    sources = sorted(
        {f"{image.source} ({image.licence})" for image in card.training_images}
    )
    measured = (
        f"{card.quality_protocol}\n\n{summary_table(card.quality)}"
        if card.quality
        else "It has not been evaluated."
    )
    noise = (
        "`noise` is the standard deviation of the noise that the result should not "
        "contain, where the range of the image is 1; 0 keeps the noise.\n"
        if "noise" in model.conditions
        else ""
    )
    return f"""# {model.name}

{card.description}

Results are computed, not measured, and not for diagnosis. A model can only add what
images like those it was trained on usually show.

## Use

`image` is a plane of one channel. The result has {model.factor} times as many rows and
columns, in units of the image's range (0 and 1 are its ends, see `preprocessing`);
pixel areas are aligned, so its first pixel lies half a pixel less half a finer one
nearer to the corner. {noise} In napari-sr, which measures the range once for a stack,
estimates the noise, makes results agree with the recording and keeps counts: `napari-sr
upscale`.

Dial between faithful (0) and textured (1): {model.dial:g}. Licence: {card.licence}.
Trained on images of: {"; ".join(sources) or "not known"}.

## Validation

{measured}

To validate on your own images, take sharp ones: `napari-sr evaluate sharp/`.
"""


def _cover(counts: NDArray, result: NDArray, model: SRModel) -> bytes:
    """Show bicubic on the left and the result on the right, each a square."""
    low, high = np.percentile(counts, (0.5, 99.8))
    plane = torch.from_numpy((counts - low) / (high - low))[None, None]
    left = resample(plane, model.factor, "bicubic")[0, 0].numpy()
    low, high = np.percentile(result, (0.5, 99.8))
    right = (result - low) / (high - low)
    inner = slice(model.halo * model.factor, -model.halo * model.factor)
    both = np.hstack([half[inner, inner] for half in (left, right)])
    gray = mpl.colormaps["gray"](both.clip(0, 1), bytes=True)
    file = io.BytesIO()
    matplotlib.image.imsave(file, gray, format="png")
    return file.getvalue()


def _as_npy(array: NDArray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()
