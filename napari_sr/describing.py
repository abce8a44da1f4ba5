"""Stacks, models and results → what a person is told about them.

This module alone knows the wording; who prints it is the command line.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from math import isfinite, nan
from typing import TYPE_CHECKING, Any

from napari_sr.quality import (
    BASELINE,
    as_markdown,
    dataset_table,
    flat_tables,
    summary_table,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from napari_sr.batching import FileFailure, FileResult, FileShared
    from napari_sr.card import ModelCard
    from napari_sr.forecast import Forecast
    from napari_sr.stack import Stack
    from napari_sr.training import Step

_NOTE = re.compile(r"\s*[(;].*")
"""What stands behind the name of a licence."""
ROUND = 0.95
"""Widths along both axes whose ratio is less are told apart."""
WAYS = ("given", "auto")
"""How a model can be told the noise."""


def describe_share(shared: FileShared) -> str:
    """Say in one line what others still have to do."""
    left = (
        f"{shared.n_missing} regions are left to the others"
        if shared.n_missing
        else "another one finishes; if that was ended, run this without --shard"
    )
    return f"{shared.path}: this share is done; {left}"


def describe_forecast(found: Forecast) -> str:
    """Say what a run will take, and whether the disk can hold it."""
    plan = found.plan
    if len(found.shapes) == 1:
        shape = " × ".join(map(str, found.shapes[0]))
        what = f"{shape} {plan.dtype} in {found.n_regions} regions"
    else:
        what = f"{len(found.shapes)} results, {found.n_regions} planes or regions"
    minutes = round(found.seconds / 60)
    time = (
        f"{minutes // 60} h {minutes % 60} min" if minutes > 1 else "a minute or less"
    )
    lines = [
        what,
        f"disk: about {_size(found.disk)} ({_size(found.n_bytes_raw)} before "
        f"compression), {_size(found.free)} are free",
        f"memory: about {_size(found.memory)}",
        f"time: about {time} in one process on {plan.device}, tile {plan.tile}",
    ]
    if not found.fits:
        lines.append("The disk cannot hold it. Choose another place, or zstd.")
    return "\n".join(lines)


def _size(n_bytes: int) -> str:
    """Write a size as people do."""
    size, units = float(n_bytes), ["bytes", "kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:.3g} {units[0]}"


def describe_many(statuses: Sequence[str], n_files: int, report: Path) -> str:
    """Say in one line what became of many files."""
    n_failed, n_there = statuses.count("failed"), statuses.count("exists")
    there = f", {n_there} of them were there already" if n_there else ""
    text = f"{len(statuses) - n_failed} of {n_files} files done{there}, "
    return f"{text}{n_failed} failed{f'; see {report}' if n_failed else ''}."


def describe_result(result: FileResult) -> str:
    """Say in one line what was written and how."""
    plan = result.plan
    shape = " × ".join(map(str, result.shape))
    tile = f"auto ({plan.tile})" if plan.tile_is_auto else str(plan.tile)
    parts = [f"{result.path}: {shape} {plan.dtype}, tile {tile}"]
    parts.append(f"range {plan.intensity.low:g} to {plan.intensity.high:g}")
    if plan.noise is not None:
        parts.append(f"noise {_as_typed(asdict(plan.noise))}")
    if plan.blur is not None:
        parts.append(_blur_as_text(plan.blur.model_dump()))
    if result.share_clipped:
        parts.append(f"{result.share_clipped:.2%} of pixels clipped")
    if result.n_repeated:
        parts.append(f"tiles computed again in float32: {result.n_repeated}")
    return ", ".join(parts)


def _blur_as_text(blur: Mapping[str, Any]) -> str:
    """Write the blur that a blind model found."""
    round_off = f", ratio {blur['ratio']:.2f}" if blur["ratio"] < ROUND else ""
    return f"blur found: σ {blur['sigma']:.2f} px of the result{round_off}"


def _as_typed(noise: Mapping[str, float]) -> str:
    """Write a noise level as `--noise` takes it."""
    names = ("gain", "read", "offset")
    return ",".join(f"{name}={noise[name] + 0:.5g}" for name in names)


def describe_failure(failure: FileFailure) -> str:
    """Say in one line what went wrong with which file."""
    text = " ".join(str(failure.error).split()) or type(failure.error).__name__
    return text if failure.name in text else f"{failure.name}: {text}"


def describe_model(card: ModelCard) -> str:
    """Say what a model is, what it was trained on and how good it is."""
    lines = [
        f"{card.name}: {card.description}",
        f"×{card.factor}, {card.domain}, {card.architecture} {card.arguments or ''}",
        f"halo {card.halo} px, licence {card.licence}, "
        f"made by napari-sr {card.package_version}",
    ]
    if card.training_images:
        licences = ", ".join(sorted({image.licence for image in card.training_images}))
        lines.append(f"trained on {len(card.training_images)} images ({licences})")
    lines += [
        f"{name.replace('_', ' ')}: {value:.4g}"
        if isinstance(value, float)
        else f"{name}: {value}"
        for name, value in card.imported.items()
    ]
    if card.base:
        lines.append(f"fine-tuned from {card.base}")
    if card.verdict:
        lines.append(card.verdict)
    lines.append(
        card.interval.in_words()
        if card.interval is not None
        else "Not calibrated: there are no intervals with this model."
    )
    if card.quality:
        lines += ["", card.quality_protocol]
        lines += [f"\n{table}" for table in quality_tables(card)]
    return "\n".join(lines)


def quality_tables(card: ModelCard) -> list[str]:
    """Show all means, the gains on each dataset, and what is made of nothing."""
    methods = dict.fromkeys(one.method for one in card.quality)
    own = [method for method in methods if method.startswith(f"{card.name} ")]
    tables = [summary_table(card.quality), dataset_table(card.quality, own)]
    return [*tables, *flat_tables(card.flat_fields)]


def card_as_markdown(card: ModelCard) -> str:
    """Say what a model is, where it comes from and how good it is, in a few lines.

    Parameters
    ----------
    card
        Of the model.

    Returns
    -------
    str
        Markdown for a narrow column: no table is wider than four short cells.
    """
    parts = [card.description, f"**×{card.factor}** for *{card.domain}*"]
    if card.verdict:
        parts.append(card.verdict)
    if card.training_images:
        names = {_NOTE.sub("", one.licence) for one in card.training_images}
        n_images, licences = len(card.training_images), ", ".join(sorted(names))
        parts.append(f"Trained on {n_images} images under {licences}.")
    if card.base:
        parts.append(f"Fine-tuned from {card.base}.")
    parts.append(f"Licence {card.licence}, made by napari-sr {card.package_version}.")
    if card.quality:
        parts.append("**PSNR beside bicubic, test images**")
        parts.append(_gains_table(card))
    return "\n\n".join(filter(None, parts))


def _gains_table(card: ModelCard) -> str:
    """Show the mean PSNR of bicubic and what the model gains, by recording."""
    rows = []
    for recorded in dict.fromkeys(one.recorded for one in card.quality):
        base = _mean_psnr(card, recorded, BASELINE)
        gains = (_mean_psnr(card, recorded, f"{card.name} {w}") for w in WAYS)
        shown = [f"{gain - base:+.2f}" if isfinite(gain) else "–" for gain in gains]
        rows.append([recorded, f"{base:.2f}", *shown])
    return as_markdown(["recorded", "bicubic", *WAYS], rows)


def models_table(cards: Sequence[ModelCard]) -> str:
    """Compare models with bicubic: mean gain in PSNR, one row each, as Markdown."""
    recordings = list(dict.fromkeys(f.recorded for c in cards for f in c.quality))
    head = ["model", "images", "factor"]
    head += [f"{recorded}, {way}" for recorded in recordings for way in WAYS]
    rows = [
        [card.name, card.domain, f"×{card.factor}"]
        + [
            f"{gain:+.2f} dB" if isfinite(gain) else "–"
            for recorded in recordings
            for gain in (_mean_gain(card, recorded, way) for way in WAYS)
        ]
        for card in cards
        if card.quality
    ]
    return as_markdown(head, rows)


def _mean_gain(card: ModelCard, recorded: str, way: str) -> float:
    """Average over the datasets what a model gains over bicubic in PSNR."""
    found = _mean_psnr(card, recorded, f"{card.name} {way}")
    return found - _mean_psnr(card, recorded, BASELINE)


def _mean_psnr(card: ModelCard, recorded: str, method: str) -> float:
    """Average the PSNR of a method over the datasets; not a number if unknown."""
    found = [
        one.quality.psnr
        for one in card.quality
        if (one.recorded, one.method) == (recorded, method)
    ]
    return sum(found) / len(found) if found else nan


def describe_step(step: Step) -> str:
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


def describe_stack(stack: Stack) -> str:
    """Say how large a stack is, where it lies and what made it."""
    planes = "1 plane" if stack.n_planes == 1 else f"{stack.n_planes} planes"
    lines = [f"{stack.name}: {planes}, {stack.dtype.name}"]
    for axis, length in zip(stack.axes, stack.shape, strict=True):
        unit = axis.unit or "pixel"
        lines.append(
            f"  {axis.name}: {length}, spacing {axis.spacing:g} {unit}, "
            f"origin {axis.origin + 0.0:g}"
        )
    if stack.provenance:
        software = stack.provenance.get("software", "unknown software")
        notice = stack.provenance.get("notice")
        lines.append(f"made by {software}" + (f" ({notice})" if notice else ""))
        lines += _how_it_was_made(stack.provenance)
    return "\n".join(lines)


def _how_it_was_made(provenance: Mapping[str, Any]) -> list[str]:
    """Say which model with which noise and range gave a result of ours."""
    plan = provenance.get("plan")
    if not isinstance(plan, dict):
        return []
    parts = [f"model {plan.get('model', 'unknown')} ×{plan.get('factor', '?')}"]
    if digest := plan.get("model_sha256"):
        parts.append(f"SHA-256 {digest[:12]}…")
    parts += [f"{name} {value}" for name, value in plan.get("options", {}).items()]
    if plan.get("dial") is not None:
        parts.append(f"dial {plan['dial']:g}")
    if plan.get("blur") is not None:
        parts.append(_blur_as_text(plan["blur"]))
    if intensity := plan.get("intensity"):
        parts.append(f"range {intensity['low']:g} to {intensity['high']:g}")
    if noise := plan.get("noise"):
        parts.append(f"noise {_as_typed(noise)}")
    return [", ".join(parts)]


def stack_as_json(stack: Stack) -> dict[str, object]:
    """Say all that is known about a stack, in types that JSON has."""
    return {
        "name": stack.name,
        "dtype": stack.dtype.name,
        "axes": [
            {**asdict(axis), "length": length}
            for axis, length in zip(stack.axes, stack.shape, strict=True)
        ],
        "provenance": stack.provenance,
    }
