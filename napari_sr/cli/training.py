"""`napari-sr train` and `napari-sr finetune`: a training, followed to its end.

However it ends (done, Ctrl-C, SIGTERM, out of time), what was found is written, or the
checkpoint stays and the command says how to go on. The first interrupt lets the present
step be finished; a second one does not.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from argparse import ArgumentTypeError
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING

from tqdm import tqdm

from napari_sr.cli.terminal import FAILED, INTERRUPTED, OK, say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from types import FrameType

    from napari_sr.cards.model_card import Instrument
    from napari_sr.models.sr_model import SRModel
    from napari_sr.settings import ForZ
    from napari_sr.training.flow import TrainingStep
    from napari_sr.training.session import Training


LINE_EVERY = 15.0
"""Seconds between two lines where there is no terminal to follow a training on."""


def add_train(parser: argparse.ArgumentParser) -> None:
    """Describe `train`."""
    add = parser.add_argument
    add("recipe", type=Path, metavar="RECIPE.toml")
    add("-o", "--output", type=Path, metavar="MODEL.safetensors",
        help="by default next to the recipe, with the name that it states")  # fmt: skip
    _add_common(parser)
    parser.set_defaults(run=_train)


def add_finetune(parser: argparse.ArgumentParser) -> None:
    """Describe `finetune`."""
    add = parser.add_argument
    add("images", nargs="*", metavar="IMAGES",
        help="sharp images like yours: files, folders, quoted patterns")  # fmt: skip
    add("-o", "--output", type=Path, required=True, metavar="MINE.safetensors")
    add("--base", required=True, metavar="NAME", help="the model to start from")
    add("--minutes", type=float, help="time to spend (5)")
    add("--iterations", type=int, help="steps to take, instead of a time")
    add(
        "--adversarial",
        action="store_true",
        help="also train a textured end (SRGAN) for the dial",
    )
    add("--low", nargs="+", metavar="LOW", default=[],
        help="low-resolution recordings of the same fields, for measured "
            "pairs")  # fmt: skip
    add("--recordings", nargs="+", metavar="FILES", default=[],
        help="recordings made with your instrument, of other fields: its blur and "
            "noise are estimated from them")  # fmt: skip
    add("--recordings-only", nargs="+", metavar="FILES", default=[],
        help="self-supervised: learn from recordings alone, without sharp "
            "images")  # fmt: skip
    add("--psf-sigma", type=float, metavar="PIXELS",
        help="standard deviation of the blur of your instrument, in pixels of the "
            "result, if it is known; otherwise the range of the base "
            "model")  # fmt: skip
    add("--for-z", nargs="?", const=True, type=float, metavar="RATIO",
        help="learn from the planes of one volume to super-resolve it along z; RATIO "
            "is the step along z over the pixel size, by default that of the "
            "file")  # fmt: skip
    add("--blur-along-z", type=_read_blur, metavar="PIXELS",
        help="standard deviation of the blur along z to undo, in pixels of the plane, "
            "in addition to the thickness of a plane (0); auto estimates it, for a "
            "specimen that is alike in all directions")  # fmt: skip
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    add("--seed", type=int, default=0)
    _add_common(parser)
    parser.set_defaults(run=_finetune, misuse=parser.error)


def _add_common(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--resume", action="store_true", help="resume an interrupted training")
    add("--overwrite", action="store_true", help="replace an existing model file")
    add("--keep-anyway", action="store_true",
        help="write the model even if it is not better than its base")  # fmt: skip


def _train(arguments: argparse.Namespace) -> int:
    from napari_sr.recipes import read_recipe

    recipe = read_recipe(arguments.recipe)
    if not recipe.images:
        raise ValueError(
            f"{arguments.recipe.name} names no images. Add a line above its tables, "
            f'such as images = ["sharp"], with files or folders seen from the recipe.'
        )
    name = f"{recipe.name}.safetensors"
    output = arguments.output or arguments.recipe.with_name(name)

    def begin(checkpoint: Path) -> Training:
        from napari_sr.training.session import Training

        return Training(
            list(recipe.images),
            recipe.settings,
            low_images=list(recipe.low_images) or None,
            base=recipe.base,
            checkpoint=checkpoint,
            name=recipe.name,
            domain=recipe.domain,
            description=recipe.description,
            recordings_only=recipe.recordings_only,
        )

    keep_anyway = arguments.keep_anyway or recipe.base is None
    return _follow(begin, output, arguments, keep_anyway)


def _finetune(arguments: argparse.Namespace) -> int:
    alone = arguments.recordings_only
    if bool(alone) == bool(arguments.images):
        arguments.misuse(
            "give either sharp images, or --recordings-only if there are none"
        )
    if alone and (arguments.low or arguments.recordings or arguments.for_z):
        arguments.misuse(
            "--recordings-only cannot be combined with --low, --recordings or --for-z"
        )
    if arguments.psf_sigma is not None and arguments.low:
        arguments.misuse("with --low the blur is in the pairs: leave out --psf-sigma")

    def begin(checkpoint: Path) -> Training:
        from napari_sr.training.presets import settings_for
        from napari_sr.training.session import Training

        settings = settings_for(
            arguments.base,
            minutes=arguments.minutes,
            iterations=arguments.iterations,
            adversarial=arguments.adversarial,
            instrument=_estimated(arguments),
            psf_sigma=arguments.psf_sigma,
            for_z=_for_z(arguments),
            device=arguments.device,
            seed=arguments.seed,
        )
        return Training(
            alone or arguments.images,
            settings,
            low_images=arguments.low or None,
            base=arguments.base,
            checkpoint=checkpoint,
            name=arguments.output.stem,
            recordings_only=bool(alone),
        )

    return _follow(begin, arguments.output, arguments, arguments.keep_anyway)


def _estimated(arguments: argparse.Namespace) -> Instrument | None:
    """Estimate the instrument from the user's recordings, and say what was found."""
    if not arguments.recordings:
        return None
    if arguments.low:
        raise ValueError(
            "Measured pairs (--low) need no estimated degradation model "
            "(--recordings). Give one of the two."
        )
    from napari_sr.catalogue.lookup import load_model
    from napari_sr.instrument.estimation import estimate_instrument

    estimate = estimate_instrument(
        arguments.recordings,
        arguments.images,
        factor=load_model(arguments.base).factor,
    )
    say(estimate.describe(), flush=True)
    return estimate.instrument


def _for_z(arguments: argparse.Namespace) -> ForZ | None:
    """Find out how the volume is recorded along z, and say it."""
    if arguments.for_z is None:
        if arguments.blur_along_z is not None:
            raise ValueError("--blur-along-z needs --for-z. Give both, or neither.")
        return None
    if len(arguments.images) != 1:
        raise ValueError(
            "--for-z learns from one volume, the one to be super-resolved; got "
            f"{len(arguments.images)}. Train for each separately."
        )
    from napari_sr.training.presets import estimated_blur_along_z, for_z_of

    ratio = None if arguments.for_z is True else arguments.for_z
    volume, asked = arguments.images[0], arguments.blur_along_z
    found = for_z_of(volume, ratio, 0.0 if asked is None else asked)
    say(f"Along z: a step of {found.ratio:.3g} pixels, blur {found.blur:g} pixels.")
    if asked is None and (blur := estimated_blur_along_z(volume, found.ratio)):
        say(
            f"If the specimen is alike in all directions, it is blurred along z by "
            f"{blur:g} pixels, which --blur-along-z {blur:g} learns to undo. Results "
            f"are far worse where that blur is not there."
        )
    return found


def _read_blur(text: str) -> float | str:
    try:
        return text if text == "auto" else float(text)
    except ValueError:
        raise ArgumentTypeError(f"expected auto or a number, got {text!r}") from None


def _follow(
    begin: Callable[[Path], Training],
    output: Path,
    arguments: argparse.Namespace,
    keep_anyway: bool,
) -> int:
    """Train to the end or until interrupted; write what was found."""
    checkpoint = output.with_name(output.name + ".checkpoint")
    _check_places(output, checkpoint, arguments)
    training = begin(checkpoint)
    for note in training.notes:
        say(note, flush=True)
    interrupted = False
    try:
        with _asked_to_stop() as asked:
            _show(training, asked)
        if asked.is_set():
            interrupted = True
            training.save()
    except KeyboardInterrupt:
        interrupted = True
    if interrupted:
        say("Interrupted; finishing with the best weights so far.", flush=True)
    from napari_sr.training.calibration import calibrated_model

    model = calibrated_model(training)
    say(model.card.verdict)
    is_kept = model.card.is_better or keep_anyway
    if is_kept:
        _write(model, output)
    _write_curves(training, output)  # after the model, which must not wait for them
    if not is_kept:
        say("Not written, because it is not a gain.", file=sys.stderr)
    if (interrupted or not is_kept) and checkpoint.exists():
        what = "continues" if interrupted else "--keep-anyway writes it anyway"
        say(f"{checkpoint} is kept: --resume {what}.", file=sys.stderr)
    if interrupted:
        return INTERRUPTED
    if not is_kept:
        return FAILED
    checkpoint.unlink(missing_ok=True)
    return OK


@contextmanager
def _asked_to_stop() -> Iterator[Event]:
    """Take the first Ctrl-C or SIGTERM for a wish, and leave the next to others."""
    asked = Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}

    def ask(_signal: int, _frame: FrameType | None) -> None:
        asked.set()
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in signals:
        signal.signal(number, ask)
    try:
        yield asked
    finally:
        restore()


def _check_places(
    output: Path, checkpoint: Path, arguments: argparse.Namespace
) -> None:
    """Refuse now what would be refused after the training."""
    if output.suffix != ".safetensors":
        raise ValueError(f"A model file ends in .safetensors, got {output.name!r}.")
    if output.exists() and not arguments.overwrite:
        raise ValueError(f"{output} exists. Use --overwrite or another name.")
    if checkpoint.exists() and not arguments.resume:
        raise ValueError(
            f"{checkpoint} is left from an interrupted run. Use --resume to go on with "
            f"it, or remove it."
        )
    if not checkpoint.exists() and arguments.resume:
        raise ValueError(
            f"There is no training to resume: {checkpoint} does not exist."
        )
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output.parent):
            pass
    except OSError as error:
        raise ValueError(
            f"Nothing can be written in {output.parent}: {error.strerror}. Choose "
            f"another folder."
        ) from error


def _show(training: Training, asked: Event) -> None:
    """Follow a training on one line; without a terminal, on one now and then."""
    last = monotonic()
    with tqdm(total=1000, disable=None, leave=False, bar_format="{desc}|{bar}|") as bar:
        for step in training:
            text = describe_step(step)
            if not bar.disable:
                bar.n = round(1000 * step.progress)
                bar.set_description_str(text)
            is_due = monotonic() - last > LINE_EVERY or step.validation is not None
            if step.message or (bar.disable and is_due):
                bar.write(text)
                last = monotonic()
            if asked.is_set():
                break


def _write(model: SRModel, output: Path) -> None:
    from napari_sr.models.sr_model import save_model

    say(save_model(model, output))


def _write_curves(training: Training, output: Path) -> None:
    from napari_sr.training.curves import draw_curves, write_table

    if not training.state.history:
        return
    write_table(training.state.history, output.with_suffix(".curves.csv"))
    figure = draw_curves(training.state.history, training.baselines())
    figure.savefig(output.with_suffix(".curves.png"), dpi=120)


def describe_step(step: TrainingStep) -> str:
    """Say in one line how a training goes."""
    if step.message:
        return f"{step.stage} {step.iteration}: {step.message}"
    parts = [f"{step.stage} {step.iteration}"]
    parts += [f"{name} {value:.4f}" for name, value in step.losses.items()]
    if step.validation is not None:
        parts.append(f"held out {step.validation.psnr:.2f} dB")
        parts.append(f"spectrum error {step.validation.spectrum_error:.3f}")
    if isfinite(step.seconds_left):
        minutes, seconds = divmod(round(step.seconds_left), 60)
        parts.append(f"{minutes}:{seconds:02} left")
    return ", ".join(parts)
