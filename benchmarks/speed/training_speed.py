"""Training smoke test and throughput, on whatever device there is.

    python -m benchmarks.speed.training_speed [--device auto] [--steps 30]

Each kind of training takes so many steps on synthetic specimens, beside a plain loop
over the same network with nothing but forward, backward and Adam on resident data. Of
all the losses must be numbers; of the fidelity stage they must fall. No images needed.
"""

from __future__ import annotations

import argparse
import math
from time import perf_counter
from typing import Any

import torch
from torch.nn import functional

import napari_sr as sr
from napari_sr.device import choose_device
from napari_sr.networks import build_generator
from napari_sr.phantoms import make_phantom
from napari_sr.settings import AdversarialSettings, TrainingSettings

KINDS: dict[str, dict[str, Any]] = {
    "fast ×2, fidelity": {"factor": 2},
    "fast ×4, fidelity": {"factor": 4, "patch": 24},
    "fast ×2, adversarial": {"factor": 2, "adversarial": {"head_start": 2}},
    "srresnet ×4, SRGAN": {
        "factor": 4,
        "patch": 28,
        "architecture": "srresnet",
        "adversarial": {"head_start": 0, "discriminator": "srgan", "pixel_weight": 0.0},
    },
}


def settings_of(kind: str, steps: int, device: str, precision: str) -> TrainingSettings:
    """Give the settings of one kind of training, all of its steps in its last stage."""
    chosen = dict(KINDS[kind])
    adversarial = chosen.pop("adversarial", None)
    if adversarial is not None:
        adversarial = AdversarialSettings(iterations=steps, **adversarial)
    return TrainingSettings(
        iterations=0 if adversarial else steps,
        adversarial=adversarial,
        batch=8,
        device=device,
        precision=precision,
        validate_every=10_000,
        **chosen,
    )


def pace_of_training(settings: TrainingSettings, images: list[Any]) -> float:
    """Train; give patches per second after the first steps, and check the losses."""
    training = sr.train(images, settings)
    losses, started, n_timed = [], perf_counter(), 0
    for step in training:
        losses.append(step.losses.get("pixels", 0.0))
        if not all(math.isfinite(value) for value in step.losses.values()):
            raise SystemExit(f"A loss is not a number: {dict(step.losses)}")
        if len(losses) == 3:  # the first steps allocate
            started, n_timed = perf_counter(), 0
        n_timed += 1
    half = len(losses) // 2
    if settings.adversarial is None and sum(losses[half:]) >= 1.5 * sum(losses[:half]):
        raise SystemExit("The loss does not fall.")
    return settings.batch * (n_timed - 1) / (perf_counter() - started)


def pace_of_plain_loop(settings: TrainingSettings, steps: int) -> float:
    """Forward, backward, Adam on one resident batch; patches per second."""
    device = choose_device(settings.device)
    network = build_generator(settings.architecture, settings.factor)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(network.parameters())
    batch = torch.rand(
        settings.batch, network.in_channels, settings.patch, settings.patch
    )
    batch = batch.to(device, memory_format=torch.channels_last)
    truth = functional.interpolate(batch[:, :1], scale_factor=settings.factor)
    for step in range(steps):
        if step == 3:
            _wait_for(device)
            started = perf_counter()
        optimizer.zero_grad()
        functional.l1_loss(network(batch), truth).backward()
        optimizer.step()
    _wait_for(device)
    return settings.batch * (steps - 3) / (perf_counter() - started)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--steps", type=int, default=30)
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    print(f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}\n")
    images = [
        make_phantom("nuclei", n_planes=1, size=256, seed=i).truth for i in (0, 1)
    ]
    print("| training | patches/s | plain fidelity loop, patches/s | ratio |")
    print("| --- | --- | --- | --- |")
    for kind in KINDS:
        settings = settings_of(kind, arguments.steps, str(device), arguments.precision)
        ours = pace_of_training(settings, images)
        plain = pace_of_plain_loop(settings, arguments.steps)
        print(f"| {kind} | {ours:.1f} | {plain:.1f} | {ours / plain:.2f} |", flush=True)


if __name__ == "__main__":
    main()
