"""What a model is and how accurate it is, as text and tables."""

from __future__ import annotations

import re
from math import isfinite, nan
from typing import TYPE_CHECKING

from napari_sr.metrics.quality import (
    BASELINE,
    as_markdown,
    dataset_table,
    flat_tables,
    summary_table,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sr.cards.model_card import ModelCard


_NOTE = re.compile(r"\s*[(;].*")
"""What stands behind the name of a licence."""


WAYS = ("given", "auto")
"""How a model can get the noise level."""


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
        lines.append(f"trained on {_training_set(card)} ({licences})")
    lines += [
        f"{name.replace('_', ' ')}: {value:.4g}"
        if isinstance(value, float)
        else f"{name}: {value}"
        for name, value in card.imported.items()
    ]
    if card.training_images:
        lines.append(f"used at dial {card.recommended_dial:g} unless another is given")
    if card.base:
        lines.append(f"fine-tuned from {card.base}")
    if card.verdict:
        lines.append(card.verdict)
    lines.append(
        card.interval.in_words()
        if card.interval is not None
        else "Not calibrated: this model gives no intervals."
    )
    if card.quality:
        lines += ["", card.quality_protocol]
        lines += [f"\n{table}" for table in quality_tables(card)]
    return "\n".join(lines)


def _training_set(card: ModelCard) -> str:
    """Say how many images were learnt from: slices of one volume are one."""
    files = len(card.training_images)
    specimens = {image.specimen for image in card.training_images}
    if len(specimens - {""}) == files:
        return f"{files} image" + ("s" if files > 1 else "")
    if "" in specimens:  # a card written before specimens were noted
        return f"{files} files"
    return f"{files} files of {len(specimens)} specimen" + "s" * (len(specimens) > 1)


def quality_tables(card: ModelCard) -> list[str]:
    """Show all means, the gains on each dataset, and what is made of nothing."""
    methods = dict.fromkeys(measured.method for measured in card.quality)
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
        names = {_NOTE.sub("", image.licence) for image in card.training_images}
        licences = ", ".join(sorted(names))
        parts.append(f"Trained on {_training_set(card)} under {licences}.")
    if card.base:
        parts.append(f"Fine-tuned from {card.base}.")
    parts.append(f"Licence {card.licence}, made by napari-sr {card.package_version}.")
    if card.quality:
        parts.append("**PSNR compared with bicubic, test images**")
        parts.append(_gains_table(card))
    return "\n\n".join(filter(None, parts))


def _gains_table(card: ModelCard) -> str:
    """Show the mean PSNR of bicubic and what the model gains, by recording."""
    rows = []
    for recorded in dict.fromkeys(measured.recorded for measured in card.quality):
        base = _mean_psnr(card, recorded, BASELINE)
        gains = (_mean_psnr(card, recorded, f"{card.name} {w}") for w in WAYS)
        shown = [f"{gain - base:+.2f}" if isfinite(gain) else "–" for gain in gains]
        rows.append([recorded, f"{base:.2f}", *shown])
    return as_markdown(["recorded", "bicubic", *WAYS], rows)


def models_table(cards: Sequence[ModelCard]) -> str:
    """Compare models with bicubic: mean gain in PSNR, one row each, as Markdown."""
    recordings = list(dict.fromkeys(f.recorded for c in cards for f in c.quality))
    head = ["model", "for", "factor", "test images"]
    head += [f"{recorded}, {way}" for recorded in recordings for way in WAYS]
    rows = [
        [card.name, card.domain, f"×{card.factor}", _n_images(card)]
        + [
            f"{gain:+.2f} dB" if isfinite(gain) else "–"
            for recorded in recordings
            for gain in (_mean_gain(card, recorded, way) for way in WAYS)
        ]
        for card in cards
        if card.quality
    ]
    return as_markdown(head, rows)


def _n_images(card: ModelCard) -> str:
    """Say how many planes the figures rest on, and of how many specimens."""
    planes = {measured.dataset: measured.n_images for measured in card.quality}
    specimens = {measured.dataset: measured.n_specimens for measured in card.quality}
    known = [n for n in specimens.values() if n is not None]
    text = f"{sum(planes.values())} of {len(planes)} datasets"
    if len(known) < len(specimens):
        return text
    return f"{text}, {sum(known)} specimens"


def _mean_gain(card: ModelCard, recorded: str, way: str) -> float:
    """Average over the datasets what a model gains over bicubic in PSNR."""
    psnr = _mean_psnr(card, recorded, f"{card.name} {way}")
    return psnr - _mean_psnr(card, recorded, BASELINE)


def _mean_psnr(card: ModelCard, recorded: str, method: str) -> float:
    """Average the PSNR of a method over the datasets; not a number if unknown."""
    values = [
        measured.quality.psnr
        for measured in card.quality
        if (measured.recorded, measured.method) == (recorded, method)
    ]
    return sum(values) / len(values) if values else nan
