"""How much reflection a border needs: pixels beside it, and the time it takes.

    python -m benchmarks.borders [MODEL] --data DIR

A plane is continued by reflection as far as the network sees, 40 px for the paper's, so
that every tile is computed alike wherever it lies. Here a network gets less of it, and
zeros beyond as its convolutions have them in training: what does the ring of pixels
within 8 recorded pixels of the border lose, on planes of 96² recorded pixels of the
calibrate role, and what would be saved on small planes?
"""

from __future__ import annotations

import argparse
from time import process_time

import numpy as np
import torch
from torch.nn import functional

import napari_sr as sr
from benchmarks.real_images import (
    BLACK,
    DATA_RANGE,
    add_data_argument,
    recorded,
    rows_of,
    sharp_planes,
)
from napari_sr.instrument.noise import noise_map

SIDE, RING, N_IMAGES, PHOTONS = 96, 8, 24, 200


@torch.inference_mode()
def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="srgan-x4")
    add_data_argument(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    network = sr.load_model(arguments.model).at_dial(0.0).network
    factor, halo = network.factor, network.halo
    reaches = sorted({4, 8, 16, 24, halo})
    errors: dict[int, list[float]] = {reach: [] for reach in reaches}
    seconds = dict.fromkeys(reaches, 0.0)
    apart = dict.fromkeys(reaches, 0.0)
    rows = [row for row in rows_of(arguments.data, "calibrate") if row.usable_as_target]
    for row in rows[:: max(1, len(rows) // N_IMAGES)]:
        sharp = next(iter(sharp_planes(arguments.data, row)))
        sharp = sharp[: SIDE * factor, : SIDE * factor]
        if min(sharp.shape) < SIDE * factor:
            continue
        low = recorded(sharp, factor, PHOTONS, heights=row.domain == "topography")
        image = torch.from_numpy((low.astype(np.float32) - BLACK) / DATA_RANGE)
        image = image[None, None]
        told = noise_map(image, 1 / PHOTONS, 0.0)
        batch = torch.cat([image, told], 1)[:, : network.in_channels]
        truth = torch.from_numpy((sharp - BLACK) / DATA_RANGE)
        results = {}
        for reach in reaches:
            padded = functional.pad(batch, (reach,) * 4, mode="reflect")
            started = process_time()
            fine = network(padded.contiguous(memory_format=torch.channels_last))
            seconds[reach] += process_time() - started
            crop = slice(reach * factor, -reach * factor)
            results[reach] = fine[0, 0, crop, crop]
            ring = torch.ones_like(truth, dtype=torch.bool)
            inner = slice(RING * factor, -RING * factor)
            ring[inner, inner] = False
            error = (results[reach] - truth)[ring].square().mean()
            errors[reach].append(float(-10 * torch.log10(error)))
        for reach in reaches:
            difference = (results[reach] - results[halo]).abs().max()
            apart[reach] = max(apart[reach], float(difference))
    print(f"{len(errors[halo])} images, {SIDE}² recorded pixels")
    print("| reflected px | PSNR of the ring | largest difference | processor time |")
    print("|---|---|---|---|")
    for reach in reaches:
        print(
            f"| {reach} | {np.mean(errors[reach]):.2f} dB | "
            f"{DATA_RANGE * apart[reach]:.0f} counts of {DATA_RANGE:.0f} | "
            f"{seconds[reach] / seconds[halo]:.2f} |"
        )


if __name__ == "__main__":
    main()
