"""Write down what pixels, weights and reports come to, to see that a change keeps them.

    python tools/digests.py before.json --models FOLDER
    (change the code)
    python tools/digests.py after.json --models FOLDER --compare before.json

The models are read from a folder that is kept apart, so that shipping better ones in
between changes nothing here. Only public names are used, so that older versions can be
looked at too. Digests of floating-point results hold for one machine and one thread.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

import napari_sr as sr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SAMPLES = Path("sample_data")
METHODS = [
    *("nearest", "bilinear", "bicubic", "lanczos"),
    *("wiener", "richardson-lucy", "edge-prior"),
]
OPTIONS = [
    {},
    {"noise": sr.NoiseLevel(gain=2.0, read=3.0, offset=100.0)},
    {"consistency": "exact", "dtype": "float32"},
]


def digest(array: NDArray) -> str:
    """Give the first half of the SHA-256 of an array's type, shape and values."""
    head = f"{array.dtype} {array.shape} ".encode()
    return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()[:32]


def digests(models: Path) -> Iterator[tuple[str, str]]:
    """Compute everything, one result after the other."""
    planes = {
        path.name.split("_")[0]: first_plane(path)[:120, :136]
        for path in sorted(SAMPLES.glob("*_recorded.ome.tif"))
    }
    for upscaler in [*METHODS, *sorted(models.glob("*.safetensors"))]:
        name = getattr(upscaler, "stem", upscaler)
        if isinstance(upscaler, str):
            upscaler = sr.load_model(upscaler, factor=2)
        for sample, plane in planes.items():
            for number, options in enumerate(OPTIONS):
                yield (
                    f"{name} of {sample}, options {number}",
                    result_of(plane, upscaler, options),
                )
    yield from digests_of_training(planes)
    yield "report", report(planes["nuclei"], models / "general-x2.safetensors")


def first_plane(path: Path) -> NDArray:
    """Read the first plane of a file."""
    with sr.open_stack(path) as stack:
        return stack.plane((0,) * (len(stack.shape) - 2))


def result_of(plane: NDArray, upscaler: object, options: dict) -> str:
    """Give the digest of a result, or what is said instead of one."""
    try:
        return digest(sr.upscale(plane, upscaler, device="cpu", **options))
    except ValueError as error:
        return f"refused: {error}"


def digests_of_training(planes: dict[str, NDArray]) -> Iterator[tuple[str, str]]:
    """Train for twenty steps of each stage, from nothing and with both networks."""
    for architecture in ("fast", "srresnet"):
        settings = sr.TrainingSettings(
            factor=2,
            architecture=architecture,
            arguments={"channels": 8, "n_blocks": 2},
            iterations=20,
            batch=2,
            patch=48,
            adversarial=sr.AdversarialSettings(iterations=20, head_start=0),
        )
        model = sr.finetune(list(planes.values()), base=None, settings=settings)
        for part, tensors in sorted(model.weights.items()):
            whole = [tensors[name].float().numpy().ravel() for name in sorted(tensors)]
            yield (
                f"{architecture} after 20 steps, {part}",
                digest(np.concatenate(whole)),
            )


def report(plane: NDArray, model: Path) -> str:
    """Give a report's JSON."""
    result = sr.upscale(plane, model, device="cpu")
    return json.dumps(sr.assess(plane, result, model=model).as_json(), sort_keys=True)


def main() -> None:
    """Write the digests, and list those that are not what they were."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--models", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--compare", type=Path, metavar="BEFORE")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    after = dict(digests(arguments.models))
    arguments.output.write_text(json.dumps(after, indent=1) + "\n")
    print(f"{len(after)} digests")
    if arguments.compare:
        before = json.loads(arguments.compare.read_text())
        changed = [name for name in before if after.get(name) != before[name]]
        print(*changed, sep="\n")
        print(f"{len(changed)} of {len(before)} differ")


if __name__ == "__main__":
    main()
