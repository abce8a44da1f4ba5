"""A checkpoint of another repository → an `SRModel`.

This module alone turns their tensors into ours: batch norms are folded into the
convolutions before them, colours collapsed where that changes nothing, and everything
about the network is found from shapes. Grey goes in as three equal colours and the mean
of the three comes out. Nothing is left out or ignored.
"""

from __future__ import annotations

import hashlib
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.nn.utils.fusion import fuse_conv_bn_weights

from napari_sr.cards.model_card import ModelCard, ModelFormatError
from napari_sr.image.intensity import IntensityPolicy
from napari_sr.interop.layouts import LAYOUTS
from napari_sr.interop.probe import look_at
from napari_sr.interop.safe_loading import read_weights
from napari_sr.models.sr_model import SRModel
from napari_sr.networks import build_generator
from napari_sr.networks.bounded import no_larger_than

if TYPE_CHECKING:
    import os

    from torch import Tensor

    from napari_sr.interop.layouts import Layout

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, per colour, in [0, 1]."""


class UnknownLayoutError(ModelFormatError):
    """A checkpoint whose tensors are of no layout known here."""


def import_checkpoint(path: str | os.PathLike[str]) -> SRModel:
    """Read a network of another repository.

    Parameters
    ----------
    path
        A state dict as `torch.save` wrote it, in one of `LAYOUTS`.

    Returns
    -------
    SRModel
        With a card that says what was changed and what the self-test found.

    Raises
    ------
    ModelFormatError
        If it is not usable, in one sentence; nothing in the file was executed.
    """
    path = Path(path)
    tensors = read_weights(path)
    layout = _recognize(path.name, tensors)
    try:
        weights, arguments, factor = _Converter(path.name, layout, tensors).convert()
        network = build_generator(layout.architecture, factor, arguments)
    except ModelFormatError:
        raise
    except (ValueError, RuntimeError, IndexError, TypeError) as error:
        raise ModelFormatError(
            f"{path.name}: its tensors are named as in {layout.name}, but their shapes "
            f"do not belong together. Get the file again."
        ) from error
    is_bounded = layout.architecture != "msrresnet"
    card = ModelCard(
        name=path.stem,
        description=f"Imported from {layout.name}.",
        factor=factor,
        architecture=layout.architecture,
        arguments=arguments,
        # An output that ends at 0 and 1 would cut off what lies beyond.
        intensity=IntensityPolicy(low=0, high=100) if is_bounded else IntensityPolicy(),
        halo=network.halo,
        output_scale=layout.output_scale,
        output_offset=layout.output_offset,
        licence="unknown",
    )
    model = SRModel(card, {"faithful": weights})
    facts: dict[str, str | float] = {
        "layout": layout.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "colours": "grey image as three equal colours in, mean of the colours out",
        **look_at(model),
    }
    card = card.model_copy(update={"imported": facts})
    return SRModel(card, {"faithful": weights})


def _recognize(name: str, tensors: dict[str, Tensor]) -> Layout:
    for layout in LAYOUTS:
        if all(key in tensors for key in layout.signature):
            return layout
    known = ", ".join(layout.name for layout in LAYOUTS)
    raise UnknownLayoutError(
        f"{name}: its tensors ({', '.join(list(tensors)[:3])}, …) have an unknown "
        f"layout. Known are: {known}."
    )


class _Converter:
    """Takes tensors out by name, so that what is left over can be listed."""

    def __init__(self, name: str, layout: Layout, tensors: dict[str, Tensor]) -> None:
        self._name, self._layout, self._tensors = name, layout, tensors
        self._used: set[str] = set()
        self._missing: list[str] = []
        self._weights: dict[str, Tensor] = {}
        self._n_blocks = self._count(layout.first, layout.first_block)
        self._n_steps = self._count(layout.upsampling, layout.first_step)

    def convert(self) -> tuple[dict[str, Tensor], dict[str, int], int]:
        """Give weights, arguments and factor of our network."""
        layout = self._layout
        head, tail = self._convolution(layout.head), self._convolution(self._tail)
        self._put("head_slope", self._slope(layout.head_slope, head, layout.outer_leak))
        self._put_blocks(head)
        factor = self._put_upsampling(head)
        if layout.fine:
            self._put("fine.0", self._convolution(layout.fine))
            self._put("fine.1", self._slope("", head, layout.outer_leak))
        self._refuse_misfits()
        head, n_inputs = self._collapsed_head(head)
        if layout.architecture == "msrresnet":  # a mean commutes with what is linear
            tail = {key: tensor.mean(0, keepdim=True) for key, tensor in tail.items()}
        self._put("head", head)
        self._put("tail", tail)
        arguments = {
            "channels": len(head["weight"]),
            "n_blocks": self._n_blocks,
            "outer_kernel": head["weight"].shape[-1],
            "kernel": self._weights["blocks.0.first.weight"].shape[-1],
            "n_inputs": n_inputs,
            "n_outputs": len(tail["weight"]),
        }
        with no_larger_than(self._weights, self._name, arguments):
            network = build_generator(layout.architecture, factor, arguments)
        network.load_state_dict(self._weights)  # or refuse misshapen ones
        return self._weights, arguments, factor

    def _put(self, name: str, tensors: dict[str, Tensor]) -> None:
        """Name tensors as a layer of ours."""
        self._weights |= {f"{name}.{key}": tensor for key, tensor in tensors.items()}

    def _put_blocks(self, head: dict[str, Tensor]) -> None:
        """Take the residual blocks, and what stands behind them."""
        layout = self._layout
        for i in range(self._n_blocks):
            first, norm, slope, second, second_norm = (
                name.format(i=i + layout.first_block)
                for name in (layout.first, layout.first_norm, layout.slope,
                             layout.second, layout.second_norm)
            )  # fmt: skip
            self._put(f"blocks.{i}.first", self._convolution(first, norm))
            leak = self._slope(slope, head, layout.inner_leak)
            self._put(f"blocks.{i}.slope", leak)
            self._put(f"blocks.{i}.second", self._convolution(second, second_norm))
        if layout.middle:
            self._put("middle", self._convolution(layout.middle, layout.middle_norm))

    def _put_upsampling(self, head: dict[str, Tensor]) -> int:
        """Take the steps of the up-sampling; give the factor of all of them."""
        layout, areas = self._layout, []
        for i in range(self._n_steps):
            number = i + layout.first_step
            convolution = self._convolution(layout.upsampling.format(i=number))
            self._put(f"upsampling.{i}", convolution)
            slope = layout.upsampling_slope.format(i=number)
            leak = self._slope(slope, head, layout.outer_leak)
            self._put(f"upsampling_slopes.{i}", leak)
            areas.append(len(convolution["weight"]) // len(head["weight"]))
        factor: int = round(prod(areas) ** 0.5)
        return factor

    @property
    def _tail(self) -> str:
        return self._layout.tail.format(n_steps=self._n_steps)

    def _count(self, name: str, start: int) -> int:
        """Count layers of a name up to the last one that is there."""
        return max(
            (i - start + 1 for i in range(start, start + len(self._tensors))
             if name.format(i=i) + ".weight" in self._tensors),
            default=0,
        )  # fmt: skip

    def _take(self, key: str) -> Tensor:
        if key not in self._tensors:
            self._missing.append(key)
            return torch.zeros(1, 1, 1, 1)
        self._used.add(key)
        return self._tensors[key]

    def _convolution(self, name: str, norm: str = "") -> dict[str, Tensor]:
        """Take a convolution, with the norm behind it folded in float64."""
        weight, bias = self._take(f"{name}.weight"), None
        # A convolution before a norm needs no bias of its own.
        if not norm or f"{name}.bias" in self._tensors:
            bias = self._take(f"{name}.bias").double()
        if norm:
            mean, variance, scale, shift = (
                self._take(f"{norm}.{part}").double()
                for part in ("running_mean", "running_var", "weight", "bias")
            )
            if self._missing:  # told when all of them are known
                return {"weight": weight, "bias": weight}
            folded, shifted = fuse_conv_bn_weights(
                weight.double(), bias, mean, variance, 1e-5, scale, shift
            )
            weight, bias = folded.detach(), shifted.detach()
        assert bias is not None
        return {"weight": weight.float(), "bias": bias.float()}

    def _slope(
        self, name: str, head: dict[str, Tensor], leak: float
    ) -> dict[str, Tensor]:
        """Give a slope for each channel: those stored, or the constant one."""
        n_channels = len(head["weight"])
        if not name:
            return {"weight": torch.full((n_channels,), leak)}
        slopes = self._take(f"{name}.weight").flatten()
        return {"weight": slopes.expand(n_channels).clone()}

    def _collapsed_head(self, head: dict[str, Tensor]) -> tuple[dict[str, Tensor], int]:
        """Sum over equal colours; keep them where each is normalised differently.

        There the padding with zeros stands for another grey in each colour.
        """
        n_inputs = head["weight"].shape[1]
        if n_inputs not in (1, 3):
            raise ModelFormatError(
                f"{self._name}: takes {n_inputs} channels; expected 1 or 3. Use a "
                "network for grey or RGB images."
            )
        mean, deviation = [0.0], [1.0]
        if self._layout.is_imagenet_normalized and n_inputs == 3:
            mean, deviation = list(_MEAN), list(_DEVIATION)
        else:
            head = {**head, "weight": head["weight"].sum(1, keepdim=True)}
            n_inputs = 1
        self._weights["input_mean"] = torch.tensor(mean).reshape(-1, 1, 1)
        self._weights["input_deviation"] = torch.tensor(deviation).reshape(-1, 1, 1)
        return head, n_inputs

    def _refuse_misfits(self) -> None:
        surplus = sorted(set(self._tensors) - self._used)
        if self._missing or surplus:
            raise ModelFormatError(
                f"{self._name}: looks like {self._layout.name}, but these tensors are "
                f"missing: {', '.join(self._missing) or 'none'}; and these surplus: "
                f"{', '.join(surplus) or 'none'}. Get the file again."
            )
