"""Sixty steps of the paper's network from nothing, beside bicubic.

    python -m benchmarks.studies.from_nothing em fluorescence --data DIR [--told]

It starts as an interpolation in its own range, so that sixty steps are enough to be
above bicubic of the same held-out recordings; from another range it would be far below.
"""

from __future__ import annotations

import argparse

import napari_sr as sr
from benchmarks.accuracy.real_images import (
    BLACK,
    DATA_RANGE,
    add_data_argument,
    training_images,
)
from tools.zoo.train_shipped import images_to_judge_by

N_STEPS = 60


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("domains", nargs="+")
    parser.add_argument("--told", action="store_true", help="with a noise map")
    parser.add_argument("--factor", type=int, default=4)
    add_data_argument(parser)
    arguments = parser.parse_args()
    for domain in arguments.domains:
        images, weights = training_images(arguments.data, domain, smallest=96)
        settings = sr.TrainingSettings(
            factor=arguments.factor,
            architecture="srresnet",
            arguments={"in_channels": 2} if arguments.told else {},
            iterations=N_STEPS,
            batch=8,
            patch=24,
            validate_every=N_STEPS // 3,
        )
        training = sr.train(
            [image * DATA_RANGE + BLACK for image in images],
            settings,
            weights=weights,
            judged_by=images_to_judge_by(arguments.data, domain),
        )
        for _ in training:
            pass
        bicubic = training.held_out.judge_bicubic().psnr
        course = ", ".join(f"{row['psnr']:.2f}" for row in training.state.history)
        print(f"{domain}: {course} dB; bicubic {bicubic:.2f} dB", flush=True)


if __name__ == "__main__":
    main()
