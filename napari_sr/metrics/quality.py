"""How good a result is: one measurement, and the tables that everything shows of it.

This module alone knows which figures are taken together and how they are written down.
No torch, and scikit-image only when something is measured: a model's card holds what
was found.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from math import nan
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_sr.image.sampling import binned
from napari_sr.metrics.descriptions import FIGURES, as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

BASELINE = "bicubic"
"""The method that others are compared with."""


class Agreement(BaseModel):
    """The figures that need no reference: a result beside its recording."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    agreement: float
    """PSNR of the result, binned to the recorded pixels, against the recording."""
    mean_shift: float
    """Mean of the result minus that of the recording, as a share of the data range."""
    lattice: float | None = None
    """In counts of a data range of `metrics.SCALE`; `None` if not measured."""

    @model_validator(mode="before")
    @classmethod
    def _unknown_where_nobody_looked(cls, figures: object) -> object:
        """Read what was stored before a figure was thought of: it is not a number."""
        if not isinstance(figures, dict):
            return figures
        fields = cls.model_fields.items()
        return {name: nan for name, field in fields if field.is_required()} | figures

    @classmethod
    def mean(cls, many: Sequence[Self]) -> Self:
        """Average each figure; one that some of them lack has no mean."""
        means = {}
        for name in cls.model_fields:
            values = [getattr(figures, name) for figures in many]
            means[name] = None if None in values else sum(values) / len(values)
        return cls.model_validate(means)


class Quality(Agreement):
    """Figures of one result, or their means over many; see `napari_sr.metrics`."""

    psnr: float
    """In dB, as all that are in dB over the stated data range."""
    si_psnr: float
    """PSNR after the best gain and offset."""
    ssim: float
    ms_ssim: float
    gradient_similarity: float
    spectrum_error: float
    """Mean |log10 of the ratio of power| from the recorded Nyquist to twice that."""
    true_lattice: float | None = None
    """Of the truth, for comparison; as `lattice`."""


class Measured(BaseModel):
    """The quality of one method on one dataset, recorded in one way."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    n_images: int = 1
    """Planes; those of one volume or field are not independent."""
    n_specimens: int | None = None
    """Fields, volumes or specimens that they are of; `None` if unknown."""
    photons: float | None
    """Photons at white; `None` for a recording without noise."""
    method: str
    quality: Quality
    specimen: str = Field(default="", exclude=True)
    """Of a single plane, what it is of."""

    @property
    def recorded(self) -> str:
        """Say how it was recorded."""
        return recorded_as(self.photons)


class FlatField(BaseModel):
    """What a method makes of a field where there is nothing to be seen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    photons: float | None
    """At white; the field lies half-way between black and white."""
    method: str
    share: float | None
    """Standard deviation of the result over that of the bicubic one; `None` where there
    is no noise."""
    lattice: float | None = None
    """As in `Quality`."""

    @property
    def recorded(self) -> str:
        """Say how it was recorded."""
        return recorded_as(self.photons)


def recorded_as(photons: float | None) -> str:
    """Say how something was recorded: with so many photons at white, or clean."""
    return "clean" if photons is None else f"{photons:g} photons"


def measure(
    result: NDArray,
    truth: NDArray,
    recording: NDArray,
    *,
    data_range: float,
    border: int = 0,
) -> Quality:
    """Compare a result with the truth and with what was recorded.

    Parameters
    ----------
    result, truth
        `(factor·y, factor·x)` in counts.
    recording
        `(y, x)` in counts: what the result was made from.
    data_range
        Peak of the figures in dB, and 1 of the similarities, in counts.
    border
        Pixels at each edge of the result that do not count.

    Raises
    ------
    ValueError
        If the shapes do not fit each other.
    """
    from napari_sr import metrics

    factor = truth.shape[0] // recording.shape[0]

    def compared(metric: Callable[..., float]) -> float:
        return metric(result, truth, data_range=data_range, border=border)

    return Quality(
        psnr=compared(metrics.psnr),
        si_psnr=compared(metrics.si_psnr),
        ssim=compared(metrics.ssim),
        ms_ssim=compared(metrics.ms_ssim),
        gradient_similarity=compared(metrics.gradient_similarity),
        spectrum_error=metrics.spectrum_error(result, truth, factor, border=border),
        true_lattice=lattice_on_scale(truth, factor, data_range, border),
        **measure_agreement(
            result, recording, data_range=data_range, border=border
        ).model_dump(),
    )


def measure_agreement(
    result: NDArray, recording: NDArray, *, data_range: float, border: int = 0
) -> Agreement:
    """Compare a result with what was recorded: what needs no reference.

    Parameters
    ----------
    result, recording, data_range, border
        As for `measure`.
    """
    from napari_sr import metrics

    factor = result.shape[0] // recording.shape[0]
    return Agreement(
        agreement=metrics.psnr(
            binned(result, factor),
            recording,
            data_range=data_range,
            border=border // factor,
        ),
        mean_shift=float(result.mean() - recording.mean()) / data_range,
        lattice=lattice_on_scale(result, factor, data_range, border),
    )


def lattice_on_scale(
    image: NDArray, factor: int, data_range: float, border: int = 0
) -> float:
    """Measure a lattice in counts of a data range of `metrics.SCALE`.

    Parameters
    ----------
    image
        `(factor·y, factor·x)` in counts.
    factor, border
        As for `metrics.lattice`.
    data_range
        Of the image, in counts.
    """
    from napari_sr import metrics

    in_counts = metrics.lattice(image, factor, border=border)
    return in_counts * metrics.SCALE / data_range


def most_on_images(true_lattice: float) -> float:
    """Tell the largest lattice that a shipped model may have on an image."""
    return 2 * true_lattice + 10


def most_on_flat_fields(lattice_of_bicubic: float) -> float:
    """Tell the largest lattice that a shipped model may have on a flat field."""
    return lattice_of_bicubic + 5


def averaged(measured: Iterable[Measured]) -> list[Measured]:
    """Average over the images of each dataset, method and way of recording."""
    groups: dict[tuple[str, float | None, str], list[Measured]] = defaultdict(list)
    for each in measured:
        groups[each.dataset, each.photons, each.method].append(each)
    return [
        Measured(
            dataset=dataset,
            n_images=sum(each.n_images for each in many),
            n_specimens=_n_specimens(many),
            photons=photons,
            method=method,
            quality=Quality.mean([each.quality for each in many]),
        )
        for (dataset, photons, method), many in groups.items()
    ]


def _n_specimens(many: Sequence[Measured]) -> int | None:
    """Count what is independent, where that is known of every plane."""
    of_each = [each.specimen for each in many]
    return len(set(of_each)) if all(of_each) else None


# ── tables ──────────────────────────────────────────────────────────────────────────


def summary_table(measured: Sequence[Measured]) -> str:
    """Write the means over the datasets as a Markdown table, all figures.

    Parameters
    ----------
    measured
        Averaged: one entry for each dataset, method and way of recording.
    """
    groups: dict[tuple[str, str], list[Quality]] = defaultdict(list)
    for each in measured:
        groups[each.recorded, each.method].append(each.quality)
    means = {both: Quality.mean(many) for both, many in groups.items()}
    names = [
        name
        for name in FIGURES
        if any(getattr(each, name) is not None for each in means.values())
    ]
    head = ["recorded", "method", *(FIGURES[name].title for name in names)]
    rows = [
        [*both, *(as_text(name, getattr(mean, name)) for name in names)]
        for both, mean in means.items()
    ]
    return as_markdown(head, rows)


def dataset_table(measured: Sequence[Measured], methods: Sequence[str]) -> str:
    """Write PSNR and SSIM of each dataset as a Markdown table.

    Parameters
    ----------
    measured
        As for `summary_table`, the baseline among them.
    methods
        Which to show beside the baseline, as gains over it.
    """
    known = {(each.dataset, each.photons, each.method): each for each in measured}
    rows = []
    for dataset in sorted({each.dataset for each in measured}):
        for photons in dict.fromkeys(each.photons for each in measured):
            base = known[dataset, photons, BASELINE]
            gains = [known[dataset, photons, name].quality for name in methods]
            rows.append(
                [
                    dataset,
                    str(base.n_images),
                    base.recorded,
                    f"{base.quality.psnr:.2f} / {base.quality.ssim:.3f}",
                    *(_gain(gain, base.quality) for gain in gains),
                ]
            )
    return as_markdown(["dataset", "images", "recorded", BASELINE, *methods], rows)


def flat_tables(fields: Sequence[FlatField]) -> list[str]:
    """Write what is made of flat fields: the noise that is left, and the lattice.

    Returns
    -------
    list of str
        Markdown tables; without the second where no lattice was measured.
    """
    kinds = (
        ("noise of a flat field over bicubic's", "share", ".3f"),
        (f"{FIGURES['lattice'].title} of a flat field", "lattice", ".1f"),
    )
    tables = []
    for title, name, form in kinds:
        known = {
            (field.method, field.recorded): format(value, form)
            for field in fields
            if (value := getattr(field, name)) is not None
        }
        levels = dict.fromkeys(recorded for _, recorded in known)
        rows = [
            [method, *(known[method, recorded] for recorded in levels)]
            for method in dict.fromkeys(method for method, _ in known)
        ]
        if rows:
            tables.append(as_markdown([title, *levels], rows))
    return tables


def as_csv(measured: Sequence[Measured]) -> str:
    """Write everything that was measured as comma-separated values."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["dataset", "n_images", "photons", "method", *FIGURES])
    for each in measured:
        photons = "" if each.photons is None else each.photons
        figures = [getattr(each.quality, name) for name in FIGURES]
        writer.writerow([each.dataset, each.n_images, photons, each.method, *figures])
    return text.getvalue()


def as_markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _gain(quality: Quality, base: Quality) -> str:
    return f"{quality.psnr - base.psnr:+.2f} / {quality.ssim - base.ssim:+.3f}"
