"""Everything a training needs to go on, in memory and on disk.

This module alone knows what a checkpoint holds: the networks, their moving average,
optimisers and scaler, the position (from which all random numbers follow), what was
best so far, what was spent. A checkpoint is written aside and renamed, so it is whole
or absent.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.optim.swa_utils import AveragedModel

from napari_sr.device import choose_device
from napari_sr.files.atomic import written_atomically
from napari_sr.networks import build_generator
from napari_sr.networks.discriminators import UNetDiscriminator, build_discriminator
from napari_sr.networks.weights import fitting
from napari_sr.settings import TrainingSettings
from napari_sr.training.content_losses import compared_side

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from napari_sr.networks import Generator, OutputStep
    from napari_sr.networks.weights import Weights

Stage = Literal["fidelity", "adversarial", "done"]
_PLAIN = (
    "origin",
    "stage",
    "iteration",
    "position",
    "seconds",
    "began",
    "rate_scale",
    "n_rollbacks",
)
_FOUND = ("typical_loss", "history", "since_look", "faithful", "textured")


class CheckpointError(ValueError):
    """A checkpoint from which this training cannot go on."""


@dataclass
class Best:
    """The best generator of a stage so far, by held-out images."""

    score: float = -float("inf")
    weights: dict[str, Tensor] = field(default_factory=dict)
    looks_since: int = 0
    """Looks at the held-out images since then."""


class TrainingState:
    """What is trained, how far it is, and what it has found.

    Parameters
    ----------
    settings
        How to train.
    start
        Weights of the generator to start from; untrained when `None`.
    discriminator
        Weights of the discriminator to start from; untrained when `None`.
    network
        A generator to train instead of the one that the settings describe.
    output_step
        Scale and offset from the generator's raw output to network range, as the base's
        card has them; the architecture's own when not given.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        start: Weights | None = None,
        discriminator: Weights | None = None,
        network: Generator | None = None,
        output_step: OutputStep | None = None,
    ) -> None:
        self.settings = settings
        self.device = choose_device(settings.device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            network = network or build_generator(
                settings.architecture,
                settings.factor,
                settings.arguments,
                output_step,
            )
            self.discriminator = self._new_discriminator(discriminator)
        if start is not None:
            network.load_state_dict(fitting(network, start, "the base"))
        self.generator = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.scaler = torch.amp.GradScaler(
            self.device.type, enabled=settings.precision == "float16"
        )
        self.origin = ""
        """Digest of the base and the images, which a checkpoint must belong to."""
        self.stage: Stage = "fidelity"
        self.position = 0
        """Steps over all stages, rolled back ones included: seeds what is drawn."""
        self.seconds = 0.0
        self.faithful: dict[str, Tensor] | None = None
        """The generator of the fidelity stage, once that is over."""
        self.textured: dict[str, Tensor] | None = None
        """The generator of the adversarial stage, if it found one worth keeping."""
        self.history: list[dict[str, float | str]] = []
        """What was found at each look at the held-out images."""
        self.good: dict[str, Any] | None = None
        """Everything at the last validation of this stage: where a rollback leads."""
        self.n_parts = 1
        """In how many parts the device takes a batch; their gradients are added."""
        self._begin_stage()

    def _new_discriminator(self, weights: Weights | None) -> nn.Module | None:
        settings = self.settings.adversarial
        if settings is None or settings.weight == 0:
            return None
        network: nn.Module = build_discriminator(
            settings.discriminator, compared_side(self.settings)
        )
        if weights is not None and settings.discriminator == "unet":
            network.load_state_dict(fitting(network, weights, "the base"))
        if settings.discriminator_learns == "end":
            assert isinstance(network, UNetDiscriminator)
            network.hold_way_down()
        return network.to(self.device)

    def _begin_stage(self) -> None:
        """Start optimisers, average and search for the best again."""
        self.iteration = 0
        self.began = self.seconds
        self.rate_scale = 1.0
        self.n_rollbacks = 0
        self.typical_loss: float | None = None
        self.since_look: dict[str, list[float]] = {}
        """Losses since the last validation on the held-out images, by name."""
        self.best = Best()
        self.average = AveragedModel(self.generator, multi_avg_fn=self._average)
        self.optimizer = torch.optim.Adam(
            self.generator.parameters(), betas=self.settings.adam_betas
        )
        adversarial = self.settings.adversarial
        self.discriminator_optimizer = (
            torch.optim.Adam(
                self.discriminator.parameters(), betas=adversarial.discriminator_betas
            )
            if self.discriminator is not None and adversarial is not None
            else None
        )

    @torch.no_grad()
    def _average(
        self, average: Sequence[Tensor], now: Sequence[Tensor], _n_seen: object
    ) -> None:
        """Average over few steps at first: a short training must not lag behind.

        All tensors at once. How many steps there were stands on the CPU: what is given
        was copied to the device, and reading it would wait for all that goes on there.
        """
        n_seen = int(self.average.n_averaged)
        decay = min(self.settings.averaging, (1 + n_seen) / (10 + n_seen))
        mixed = torch._foreach_lerp(list(now), list(average), decay)
        torch._foreach_copy_(list(average), mixed)

    @property
    def trained_generator(self) -> nn.Module:
        """The averaged generator, in evaluation mode."""
        return self.average.module.eval()

    def averaged_weights(self) -> dict[str, Tensor]:
        """Copy the averaged weights as they are now."""
        return _copied(self.trained_generator.state_dict())

    def keep_if_best(self, score: float) -> None:
        """Remember the averaged generator if it has the highest score so far."""
        if score > self.best.score:
            self.best = Best(score, self.averaged_weights())
        else:
            self.best.looks_since += 1

    def finish_stage(self) -> None:
        """Keep what the stage has found and go to the next."""
        chosen = self.best.weights or self.averaged_weights()
        if self.stage == "fidelity":
            self.faithful = chosen
            self.stage = "adversarial" if self.settings.adversarial else "done"
            self.generator.load_state_dict(chosen)
        else:
            self.textured = self.best.weights or None
            self.stage = "done"
        self.good = None
        self._begin_stage()

    # ── to go on ────────────────────────────────────────────────────────────────

    def content(self) -> dict[str, Any]:
        """Copy everything that is needed to go on from here."""
        return copy.deepcopy(
            {
                **{name: getattr(self, name) for name in (*_PLAIN, *_FOUND)},
                "settings": self.settings.model_dump_json(),
                "output_step": self.generator.output_step,
                "best": asdict(self.best),
                **{name: part.state_dict() for name, part in self._parts().items()},
            }
        )

    def _parts(self) -> dict[str, Any]:
        parts = {
            "generator": self.generator,
            "average": self.average,
            "optimizer": self.optimizer,
            "scaler": self.scaler,
            "discriminator": self.discriminator,
            "discriminator_optimizer": self.discriminator_optimizer,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def restore(self, content: Mapping[str, Any]) -> None:
        """Go back, or forth, to what `content` gave."""
        content = copy.deepcopy(dict(content))
        self.stage = content["stage"]
        # Older checkpoints lack it: they compared raw outputs with the truth.
        self.generator.output_step = content.get("output_step", (1.0, 0.0))
        self._begin_stage()
        for name in (*_PLAIN, *_FOUND):
            setattr(self, name, content[name])
        self.best = Best(**content["best"])
        for name, part in self._parts().items():
            part.load_state_dict(content[name])

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all; between two steps, or at a look."""
        content = self.content()
        good = self.good
        if good is not None and good["position"] == content["position"]:
            good = {}  # this is it
        # Opened here, since torch tells of a full disk in words of its own.
        with (
            written_atomically(path) as partial,
            partial.open("wb") as file,
        ):  # closed first
            torch.save({**content, "good": good}, file)

    @classmethod
    def load(cls, path: Path) -> TrainingState:
        """Read a checkpoint that `save` wrote.

        Raises
        ------
        CheckpointError
            If the file is damaged or of another kind.
        """
        try:
            content = torch.load(path, weights_only=True, map_location="cpu")
            state = cls(TrainingSettings.model_validate_json(content["settings"]))
            good = content.pop("good")
            state.restore(content)
            state.good = content if good == {} else good
        except FileNotFoundError as error:
            raise CheckpointError(f"There is no checkpoint {path}.") from error
        except Exception as error:
            raise CheckpointError(
                f"{path.name} is not a checkpoint that this version can resume "
                f"({type(error).__name__}). Remove it to start again."
            ) from error
        return state


def _copied(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in weights.items()}
