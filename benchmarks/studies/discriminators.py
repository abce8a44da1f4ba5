"""Which discriminator stays in the game: its accuracy and losses, step by step.

    python -m benchmarks.studies.discriminators NAME … --data DIR [--steps 100]

Each candidate trains the textured end of general-x4 for the same few steps. A look at
the held-out images follows every tenth of them: what the discriminator got right since
the last one (0.5 is chance, 1.0 is saturated), both losses, and what it is all for,
PSNR and spectrum error. The tables stay in `benchmarks/results/discriminators/`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import napari_sr as sr
from benchmarks.accuracy.real_images import (
    BLACK,
    DATA_RANGE,
    add_data_argument,
    training_images,
)
from napari_sr.settings import AdversarialSettings
from tools.zoo.train_shipped import images_to_judge_by

RESULTS = Path(__file__).parents[1] / "results" / "discriminators"
PLAIN = {"discriminator": "srgan"}
DETAIL = {"discriminator": "srgan-detail"}
CANDIDATES: dict[str, dict[str, object]] = {
    "srgan": PLAIN,
    "srgan-slow": {**PLAIN, "discriminator_rate": 2e-5},
    "srgan-labels": {**PLAIN, "real_label": 0.9},
    "srgan-penalty": {**PLAIN, "gradient_penalty": 0.1},
    "detail": DETAIL,
    "detail-slow": {**DETAIL, "discriminator_rate": 2e-5},
    "detail-penalty": {**DETAIL, "gradient_penalty": 0.001},
    "detail-penalty-10": {**DETAIL, "gradient_penalty": 0.01},
    "detail-all": {
        **DETAIL,
        "discriminator_rate": 5e-5,
        "gradient_penalty": 0.001,
        "real_label": 0.9,
    },
    "unet": {"discriminator": "unet"},
    "unet-penalty": {"discriminator": "unet", "gradient_penalty": 0.1},
    "unet-penalty-100": {"discriminator": "unet", "gradient_penalty": 10.0},
}
COLUMNS = (
    "iteration", "accuracy", "discriminator", "adversarial", "gradient_penalty",
    "psnr", "spectrum_error",
)  # fmt: skip


def table_of(name: str, root: Path, n_steps: int) -> str:
    """Train one candidate and give what its looks found, as a table."""
    base = sr.load_model("general-x4")
    images, weights = training_images(root, None, smallest=112)
    adversarial = AdversarialSettings(
        iterations=n_steps, head_start=n_steps // 5, ramp=n_steps // 5, largest_loss=5
    ).model_copy(update=CANDIDATES[name])
    settings = sr.TrainingSettings.model_validate(
        {
            **base.card.training_settings,
            "iterations": 0,
            "adversarial": adversarial.model_dump(),
            "validate_every": max(1, n_steps // 10),
        }
    ).model_copy(update={"patch": 24, "batch": 8})
    training = sr.train(
        [image * DATA_RANGE + BLACK for image in images],
        settings,
        base=base,
        weights=weights,
        judged_by=images_to_judge_by(root, None),
    )
    for _ in training:
        pass
    rows = [row for row in training.state.history if row["stage"] == "adversarial"]
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    for row in rows:
        cells = (row.get(column, "") for column in COLUMNS)
        shown = (f"{cell:.3f}" if isinstance(cell, float) else cell for cell in cells)
        lines.append("| " + " | ".join(str(cell) for cell in shown) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=CANDIDATES)
    parser.add_argument("--steps", type=int, default=100)
    add_data_argument(parser)
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in arguments.names:
        found = table_of(name, arguments.data, arguments.steps)
        (RESULTS / f"{name}.md").write_text(found)
        print(name, found, sep="\n", flush=True)


if __name__ == "__main__":
    main()
