"""The description in a package of bioimage.io → what is needed to run its network.

This module alone reads their YAML, by way of `bioimageio.spec`, which knows all
versions of it. Nothing is downloaded, and of the files that it names only those are
read that a network of one channel needs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_sr.cards.model_card import ModelFormatError
from napari_sr.interop.bioimageio.processing import read_processing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_sr.interop.bioimageio.files import Package
    from napari_sr.interop.bioimageio.processing import Processing

_MOST_BYTES, _MOST_VALUES, _DEEPEST = 200_000, 20_000, 40
"""Of a description; aliases count as often as they stand for something."""
_MOST_OPEN = 100
"""Brackets within brackets: readers of YAML take minutes over thousands."""
_LARGEST = 2048
"""Side of the smallest image that a network may ask for."""
_SHORT = 200


@dataclass(frozen=True, slots=True)
class Sizes:
    """Lengths of an axis that a network takes."""

    smallest: int
    step: int
    """0: only the smallest."""

    def next(self, length: int) -> int:
        """Give the shortest that is not below a length; the fixed one in any case."""
        if length <= self.smallest or not self.step:
            return self.smallest
        n_steps = -(-(length - self.smallest) // self.step)
        return self.smallest + n_steps * self.step


@dataclass(frozen=True, slots=True)
class Described:
    """A network with one image in and a finer one out."""

    title: str
    licence: str
    axes: tuple[str, ...]
    """Of the input, in order: "batch", "channel", "y", "x"."""
    output_axes: tuple[str, ...]
    sizes: tuple[Sizes, Sizes]
    """Of y and x."""
    factor: int | None
    """As described, where it follows from the axes."""
    halo: int
    """Pixels of the output that are not to be used, on each side."""
    processing: Processing
    weights: Any
    """As `bioimageio.spec` describes the weights, by kind."""


def read_description(package: Package) -> Described:
    """Read the description of a package.

    Raises
    ------
    ModelFormatError
        If it is not a valid description of a model of one image in and one out, or the
        library that reads it is missing.
    """
    content = _parsed(package)
    model = _validated(package.name, content)
    tensors = [*model.inputs, *model.outputs]
    if (len(model.inputs), len(model.outputs)) != (1, 1):
        raise ModelFormatError(
            f"{package.name}: takes {_listed(t.id for t in model.inputs)} and gives "
            f"{_listed(t.id for t in model.outputs)}; expected one image in and one "
            "out. Choose another model."
        )
    (axes, output_axes), (model_input, output) = (
        [_axes_of(package.name, tensor) for tensor in tensors],
        tensors,
    )
    return Described(
        title=_plain(str(model.name)),
        licence=_plain(str(model.license or "unknown")),
        axes=axes,
        output_axes=output_axes,
        sizes=_sizes_of(package.name, model_input),
        factor=_factor_of(package.name, model_input, output),
        halo=max(int(getattr(axis, "halo", 0)) for axis in output.axes),
        processing=read_processing(package.name, model_input, output),
        weights=model.weights,
    )


def _parsed(package: Package) -> dict[str, Any]:
    """Read YAML without its tags for Python, and refuse what would fill the memory."""
    text = package.read(package.description, _MOST_BYTES)
    try:
        from ruyaml import YAML
    except ImportError as error:
        raise _missing(package.name, error) from error
    try:
        if _depth_of(text) > _MOST_OPEN:
            raise ValueError("too many brackets")
        content = YAML(typ="safe", pure=True).load(text.decode())
    except Exception as error:  # whatever is no YAML
        raise ModelFormatError(
            f"{package.name}: its description is not plain YAML "
            f"({type(error).__name__}). Get the package again."
        ) from error
    if not isinstance(content, dict) or not _is_moderate(content):
        raise ModelFormatError(
            f"{package.name}: its description is not a mapping of a moderate number "
            "of values. Get the package again."
        )
    # The library would look for that model elsewhere.
    if any(
        "output_of" in tensor
        for tensor in _within(content.get("inputs", ()))
        if isinstance(tensor, dict)
    ):
        raise ModelFormatError(
            f"{package.name}: takes the output of another model; expected an image. "
            "Choose another model."
        )
    return content


def _depth_of(text: bytes) -> int:
    """Count how many brackets are open at a time, as far as one can tell."""
    depth = deepest = 0
    for mark in re.findall(rb"[][{}]", text):
        depth = depth + 1 if mark in b"[{" else max(0, depth - 1)
        deepest = max(deepest, depth)
    return deepest


def _is_moderate(content: object) -> bool:
    """Count values, through aliases, until there are too many."""
    level, n_values = [content], 0
    for _ in range(_DEEPEST):
        n_values += len(level)
        if not level or n_values > _MOST_VALUES:
            break
        level = [within for value in level for within in _within(value)]
    return not level


def _within(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _validated(name: str, content: dict[str, Any]) -> Any:  # noqa: ANN401
    """Let bioimageio.spec read a description, of any version, as one of 0.5."""
    try:
        import bioimageio.spec
        from loguru import logger
    except Exception as error:  # it may not fit pydantic
        raise _missing(name, error) from error
    logger.disable("bioimageio.spec")
    context = bioimageio.spec.ValidationContext(perform_io_checks=False)
    try:
        model = bioimageio.spec.build_description(
            content, context=context, format_version="latest"
        )
        if isinstance(model, bioimageio.spec.InvalidDescr):
            wrong = model.validation_summary.errors[0]
            place = ".".join(map(str, wrong.loc))
            raise ModelFormatError(
                f"{name}: its description is not valid: {_plain(place)}: "
                f"{_plain(wrong.msg)}. Get the package again."
            )
    except ModelFormatError:
        raise
    except Exception as error:  # of a description that nobody thought of
        raise ModelFormatError(
            f"{name}: its description cannot be read ({type(error).__name__}). Get the "
            "package again."
        ) from error
    if model.type != "model":
        raise ModelFormatError(
            f"{name}: describes {_plain(str(model.type))!r}, expected a model. Choose "
            "another package."
        )
    return model


def _missing(name: str, error: Exception) -> ModelFormatError:
    return ModelFormatError(
        f"{name}: packages of bioimage.io need libraries that cannot be loaded here "
        f"({type(error).__name__}). Install them with: pip install "
        '"napari-sr[bioimageio]"'
    )


def _axes_of(name: str, tensor: Any) -> tuple[str, ...]:  # noqa: ANN401
    """Name the axes of a tensor, once they are those of planes of one channel."""
    described = [
        f"{len(axis.channel_names)} channels" if axis.type == "channel"
        else str(axis.id) if axis.type == "space" else axis.type
        for axis in tensor.axes
    ]  # fmt: skip
    is_plane = sorted(set(described) - {"batch", "1 channels"}) == ["x", "y"]
    if not is_plane or len(set(described)) < len(described):
        raise ModelFormatError(
            f"{name}: the tensor {str(tensor.id)!r} has the axes {_listed(described)}; "
            "expected y and x, and at most a batch and one channel. Choose another "
            "model."
        )
    return tuple("channel" if text == "1 channels" else text for text in described)


def _plane_axes(tensor: Any) -> list[Any]:  # noqa: ANN401
    """Give y and x."""
    by_name = {str(axis.id): axis for axis in tensor.axes}
    return [by_name["y"], by_name["x"]]


def _sizes_of(name: str, tensor: Any) -> tuple[Sizes, Sizes]:  # noqa: ANN401
    y, x = (
        Sizes(size, 0)
        if isinstance(size := axis.size, int)
        else Sizes(getattr(size, "min", 0), getattr(size, "step", 0))
        for axis in _plane_axes(tensor)
    )
    is_odd = (y.step == 0) != (x.step == 0) or (y.step == 0 and y != x)
    if is_odd or not 0 < min(y.smallest, x.smallest) <= _LARGEST:
        wanted = _listed(str(axis.size) for axis in _plane_axes(tensor))
        raise ModelFormatError(
            f"{name}: takes planes of the sizes {wanted}; expected squares of a fixed "
            f"side, or any side from a smallest on, up to {_LARGEST} px. Choose "
            "another model."
        )
    if max(y.smallest, x.smallest, y.step, x.step) > _LARGEST:
        raise ModelFormatError(
            f"{name}: takes planes of at least {y.smallest} × {x.smallest} px in steps "
            f"of {y.step} × {x.step} px, which is more than {_LARGEST} px. Choose "
            "another model."
        )
    return y, x


def _factor_of(name: str, model_input: Any, output: Any) -> int | None:  # noqa: ANN401
    """Find out from the axes how much finer a result is."""
    ratios, offsets = [], []
    for axis, fine in zip(_plane_axes(model_input), _plane_axes(output), strict=True):
        size = fine.size
        if isinstance(size, int) and isinstance(axis.size, int):
            ratios.append(size / axis.size)
        elif not isinstance(size, int) and hasattr(size, "offset"):
            ratios.append(axis.scale / fine.scale)
            offsets.append(size.offset)
    if not ratios:
        return None
    if any(offsets) or len(set(ratios)) > 1 or ratios[0] not in range(2, 17):
        ratios_text = " and ".join(f"{ratio:.4g}" for ratio in ratios)
        cut = f", less {-offsets[0]} px" if any(offsets) else ""
        raise ModelFormatError(
            f"{name}: gives planes with {ratios_text} times as many rows and "
            f"columns{cut}; "
            "expected 2 to 16 times as many, and the same for both. Choose a model "
            "that super-resolves."
        )
    return round(ratios[0])


def _listed(names: Iterator[Any] | Sequence[Any]) -> str:
    return _plain(", ".join(map(str, names)) or "nothing")


def _plain(text: str) -> str:
    """Leave out of a text from a file what a terminal would obey."""
    shown = "".join(sign if sign.isprintable() else " " for sign in text)
    return shown[:_SHORT]
