"""How repositories name the tensors of their SRResNet.

This module alone knows those names and each repository's conventions: what follows the
last convolution, and in which range images go in.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Layout:
    """Names of one repository; `{i}` counts, an empty name: there is no such layer."""

    name: str
    signature: tuple[str, ...]
    """Names that are there in this layout only."""
    architecture: str
    head: str
    first: str
    second: str
    upsampling: str
    tail: str
    head_slope: str = ""
    first_norm: str = ""
    slope: str = ""
    second_norm: str = ""
    middle: str = ""
    middle_norm: str = ""
    upsampling_slope: str = ""
    fine: str = ""
    first_block: int = 0
    first_step: int = 0
    inner_leak: float = 0.0
    """Slope within blocks where none is stored."""
    outer_leak: float = 0.0
    """Slope elsewhere where none is stored."""
    output_scale: float = 1.0
    output_offset: float = 0.0
    is_imagenet_normalized: bool = False


LAYOUTS = (
    Layout(
        name="Lornatang/SRGAN-PyTorch",
        signature=("conv1.0.weight", "trunk.0.rcb.0.weight"),
        architecture="srresnet-clamped",
        head="conv1.0",
        head_slope="conv1.1",
        first="trunk.{i}.rcb.0",
        first_norm="trunk.{i}.rcb.1",
        slope="trunk.{i}.rcb.2",
        second="trunk.{i}.rcb.3",
        second_norm="trunk.{i}.rcb.4",
        middle="conv2.0",
        middle_norm="conv2.1",
        upsampling="upsampling.{i}.upsample_block.0",
        upsampling_slope="upsampling.{i}.upsample_block.2",
        tail="conv3",
    ),
    Layout(
        name="leftthomas/SRGAN",
        signature=("block1.0.weight", "block2.conv1.weight", "block8.0.conv.weight"),
        architecture="srresnet-tanh",
        head="block1.0",
        head_slope="block1.1",
        first="block{i}.conv1",
        first_norm="block{i}.bn1",
        slope="block{i}.prelu",
        second="block{i}.conv2",
        second_norm="block{i}.bn2",
        middle="block7.0",
        middle_norm="block7.1",
        upsampling="block8.{i}.conv",
        upsampling_slope="block8.{i}.prelu",
        tail="block8.{n_steps}",
        first_block=2,
        output_scale=0.5,
        output_offset=0.5,
    ),
    Layout(
        name="XPixelGroup/BasicSR MSRResNet",
        signature=("conv_first.weight", "body.0.conv1.weight", "upconv1.weight"),
        architecture="msrresnet",
        head="conv_first",
        first="body.{i}.conv1",
        second="body.{i}.conv2",
        upsampling="upconv{i}",
        fine="conv_hr",
        tail="conv_last",
        first_step=1,
        outer_leak=0.1,
    ),
    Layout(
        name="sgrvinod/a-PyTorch-Tutorial-to-Super-Resolution",
        signature=(
            "conv_block1.conv_block.0.weight",
            "residual_blocks.0.conv_block1.conv_block.0.weight",
        ),
        architecture="srresnet-tanh",
        head="conv_block1.conv_block.0",
        head_slope="conv_block1.conv_block.1",
        first="residual_blocks.{i}.conv_block1.conv_block.0",
        first_norm="residual_blocks.{i}.conv_block1.conv_block.1",
        slope="residual_blocks.{i}.conv_block1.conv_block.2",
        second="residual_blocks.{i}.conv_block2.conv_block.0",
        second_norm="residual_blocks.{i}.conv_block2.conv_block.1",
        middle="conv_block2.conv_block.0",
        middle_norm="conv_block2.conv_block.1",
        upsampling="subpixel_convolutional_blocks.{i}.conv",
        upsampling_slope="subpixel_convolutional_blocks.{i}.prelu",
        tail="conv_block3.conv_block.0",
        output_scale=0.5,
        output_offset=0.5,
        is_imagenet_normalized=True,
    ),
)
