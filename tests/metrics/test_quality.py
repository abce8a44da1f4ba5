"""Quality: what is measured together, averaged, and shown as tables."""

from __future__ import annotations

import csv
import io
import math

import numpy as np
import pytest

from napari_sr import metrics
from napari_sr.image.sampling import binned
from napari_sr.metrics.descriptions import FIGURES, NONE, PLANE_FIGURES, as_text
from napari_sr.metrics.quality import (
    Agreement,
    FlatField,
    Measured,
    Quality,
    as_csv,
    averaged,
    dataset_table,
    flat_tables,
    measure,
    measure_agreement,
    summary_table,
)


def quality(psnr, ssim=0.9, **others):
    figures = {
        "si_psnr": psnr + 1,
        "ms_ssim": 0.95,
        "gradient_similarity": 0.99,
        "spectrum_error": 0.5,
        "lattice": 12.34,
        "true_lattice": 5,
        "agreement": 40,
        "mean_shift": 0.001,
    }
    return Quality(psnr=psnr, ssim=ssim, **{**figures, **others})


def measured(dataset, photons, method, psnr, ssim=0.9, n_images=1):
    return Measured(
        dataset=dataset,
        n_images=n_images,
        photons=photons,
        method=method,
        quality=quality(psnr, ssim),
    )


def pair(side=48):
    random = np.random.default_rng(0)
    truth = random.random((side, side)) * 1000
    return truth + random.normal(0, 20, truth.shape), truth


# ── one result ──────────────────────────────────────────────────────────────────────


def test_the_figures_are_those_of_the_metrics():
    result, truth = pair()

    found = measure(result, truth, binned(truth, 2), data_range=1000, border=4)

    scale = {"data_range": 1000, "border": 4}
    for name in ("psnr", "si_psnr", "ssim", "ms_ssim", "gradient_similarity"):
        expected = getattr(metrics, name)(result, truth, **scale)
        assert getattr(found, name) == expected, name
    assert found.spectrum_error == metrics.spectrum_error(result, truth, 2, border=4)
    # in counts of a range of 20,000
    assert found.lattice == 20 * metrics.lattice(result, 2, border=4)
    assert found.true_lattice == 20 * metrics.lattice(truth, 2, border=4)


def test_agreement_and_mean_compare_the_result_with_the_recording():
    _, truth = pair()
    recording = binned(truth, 2)

    found = measure(truth + 10, truth, recording, data_range=1000, border=4)

    assert found.agreement == pytest.approx(20 * math.log10(1000 / 10), abs=1e-4)
    assert found.mean_shift == pytest.approx(0.01, abs=1e-6)


def test_what_needs_no_reference_is_the_same_without_one():
    low = np.random.default_rng(3).uniform(0, 100, (20, 24))
    high = low.repeat(2, 0).repeat(2, 1) + 1
    found = measure_agreement(high, low, data_range=100, border=4)
    whole = measure(high, high - 1, low, data_range=100, border=4)
    assert found.model_dump() == whole.model_dump(include=set(Agreement.model_fields))
    assert found.mean_shift == pytest.approx(0.01)


def test_every_figure_can_be_explained_and_written():
    assert set(FIGURES) == set(Quality.model_fields)
    for figure in FIGURES.values():
        assert figure.meaning.endswith(".")
        assert format(1.0, figure.format)


def test_a_perfect_result_can_be_written_and_read():
    _, truth = pair()

    found = measure(truth, truth, binned(truth, 2), data_range=1000)

    assert found.psnr == math.inf
    assert Quality.model_validate_json(found.model_dump_json()) == found


# ── many results ────────────────────────────────────────────────────────────────────


def test_images_are_averaged_by_dataset_method_and_recording():
    found = averaged(
        [
            measured("actin", None, "bicubic", 30),
            measured("actin", None, "bicubic", 34),
            measured("actin", 50.0, "bicubic", 20),
            measured("actin", None, "mine", 36),
            measured("beads", None, "bicubic", 25),
        ]
    )

    assert [(one.dataset, one.photons, one.method, one.n_images) for one in found] == [
        ("actin", None, "bicubic", 2),
        ("actin", 50.0, "bicubic", 1),
        ("actin", None, "mine", 1),
        ("beads", None, "bicubic", 1),
    ]
    assert [one.quality.psnr for one in found] == [32, 20, 36, 25]
    assert found[0].quality.si_psnr == 33


FOUND = [
    measured("beads", None, "bicubic", 30, 0.9, 4),
    measured("beads", None, "mine", 31.5, 0.95, 4),
    measured("beads", 200.0, "bicubic", 20, 0.5, 4),
    measured("beads", 200.0, "mine", 24, 0.7, 4),
    measured("actin", None, "bicubic", 28, 0.8, 2),
    measured("actin", None, "mine", 27.5, 0.79, 2),
    measured("actin", 200.0, "bicubic", 22, 0.6, 2),
    measured("actin", 200.0, "mine", 24, 0.65, 2),
]


def test_the_table_of_datasets_shows_gains_over_bicubic():
    assert (
        dataset_table(FOUND, ["mine"])
        == """\
| dataset | images | recorded | bicubic | mine |
| --- | --- | --- | --- | --- |
| actin | 2 | clean | 28.00 / 0.800 | -0.50 / -0.010 |
| actin | 2 | 200 photons | 22.00 / 0.600 | +2.00 / +0.050 |
| beads | 4 | clean | 30.00 / 0.900 | +1.50 / +0.050 |
| beads | 4 | 200 photons | 20.00 / 0.500 | +4.00 / +0.200 |"""
    )


def test_the_summary_counts_every_dataset_alike():
    lines = summary_table(FOUND).splitlines()

    assert lines[0] == (
        "| recorded | method | PSNR/dB | SI-PSNR/dB | SSIM | MS-SSIM | "
        "gradient similarity | spectrum error | agreement/dB | shift of the mean | "
        "lattice | lattice of the truth |"
    )
    assert lines[2] == (
        "| clean | bicubic | 29.00 | 30.00 | 0.8500 | 0.9500 | 0.9900 | 0.500 | "
        "40.00 | +0.100% | 12.3 | 5.0 |"
    )
    assert [line.split(" | ")[:3] for line in lines[3:]] == [
        ["| clean", "mine", "29.50"],
        ["| 200 photons", "bicubic", "21.00"],
        ["| 200 photons", "mine", "24.00"],
    ]


def without_lattice(one):
    """What was measured before lattices were."""
    figures = one.quality.model_dump(exclude={"lattice", "true_lattice"})
    return one.model_copy(update={"quality": Quality.model_validate(figures)})


def test_figures_that_were_taken_before_lattices_are_shown_without():
    old = [without_lattice(one) for one in FOUND]

    assert "lattice" not in summary_table(old)
    assert averaged(old)[0].quality.lattice is None
    row = next(csv.DictReader(io.StringIO(as_csv(old))))
    assert (row["lattice"], row["psnr"]) == ("", "30.0")

    some = [old[0], *FOUND[1:]]  # the first mean lacks one, the others do not
    lines = summary_table(some).splitlines()
    assert [line.split(" | ")[10] for line in lines[2:4]] == ["–", "12.3"]


def test_the_csv_holds_every_figure():
    rows = list(csv.DictReader(io.StringIO(as_csv(FOUND))))

    assert len(rows) == len(FOUND)
    for row, one in zip(rows, FOUND, strict=True):
        assert row["dataset"] == one.dataset
        assert row["photons"] == ("" if one.photons is None else str(one.photons))
        for name, value in one.quality.model_dump().items():
            assert float(row[name]) == value


def test_the_table_of_flat_fields_has_a_column_for_each_level():
    found = [
        FlatField(photons=photons, method=method, share=share, lattice=photons)
        for method, shares in {"bicubic": (1, 1), "mine": (0.12, 0.3456)}.items()
        for photons, share in zip((50, 5000), shares, strict=True)
    ]
    found += [
        FlatField(photons=None, method=method, share=None, lattice=0.25)
        for method in ("bicubic", "mine")
    ]
    shares = """\
| noise of a flat field over bicubic's | 50 photons | 5000 photons |
| --- | --- | --- |
| bicubic | 1.000 | 1.000 |
| mine | 0.120 | 0.346 |"""
    lattices = """\
| lattice of a flat field | 50 photons | 5000 photons | clean |
| --- | --- | --- | --- |
| bicubic | 50.0 | 5000.0 | 0.2 |
| mine | 50.0 | 5000.0 | 0.2 |"""

    assert flat_tables(found) == [shares, lattices]
    old = [one.model_copy(update={"lattice": None}) for one in found]
    assert flat_tables(old) == [shares]
    assert flat_tables([]) == []


def test_planes_of_one_volume_are_one_specimen():
    quality = Quality(
        agreement=40, mean_shift=0, psnr=30, si_psnr=31, ssim=0.9, ms_ssim=0.9,
        gradient_similarity=0.8, spectrum_error=0.2,
    )  # fmt: skip

    def counted(*specimens):
        planes = [
            Measured(
                dataset="a", photons=None, method="b", quality=quality, specimen=name
            )
            for name in specimens
        ]
        (mean,) = averaged(planes)
        return mean.n_images, mean.n_specimens

    assert counted("bone", "bone", "rock") == (3, 2)
    assert counted("bone", "") == (2, None)  # nobody knows


def test_a_figure_that_is_new_leaves_what_was_stored_readable():
    class Later(Quality):
        warmth: float
        """A figure that a later version takes."""

    before = Quality(
        agreement=40, mean_shift=0, psnr=30, si_psnr=31, ssim=0.9, ms_ssim=0.9,
        gradient_similarity=0.8, spectrum_error=0.2,
    )  # fmt: skip

    later = Later.model_validate_json(before.model_dump_json())

    assert later.psnr == 30
    assert math.isnan(later.warmth)
    assert math.isnan(Later.mean([later, later]).warmth)
    unknown = before.model_copy(update={"psnr": math.nan})
    measured = Measured(dataset="a", photons=None, method="b", quality=unknown)
    again = Measured.model_validate_json(measured.model_dump_json())
    assert math.isnan(again.quality.psnr)
    assert as_text("psnr", math.nan) == NONE


def test_no_figure_of_a_plane_is_called_as_one_of_a_model():
    assert not FIGURES.keys() & PLANE_FIGURES.keys()
