"""The card: what a model file says about itself, read without reading the model."""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

import napari_sr
from napari_sr.cards.model_card import (
    SCHEMA_VERSION,
    Instrument,
    ModelCard,
    ModelFormatError,
    TrainingImage,
    as_header,
    read_card,
)
from napari_sr.image.intensity import IntensityPolicy
from napari_sr.metrics.quality import Measured, Quality

CARD = ModelCard(
    name="nuclei-x2",
    description="Nuclei · 2 × finer",
    domain="fluorescence",
    factor=2,
    architecture="fast",
    arguments={"channels": 8, "n_blocks": 1},
    intensity=IntensityPolicy(kind="fixed", low=100, high=4000),
    halo=4,
    output_scale=0.5,
    output_offset=0.5,
    instrument=Instrument(photons=(20, 500)),
    training_settings={"seed": 3, "instrument": {"photons": [20, 500]}},
    training_images=(TrainingImage(file="a.tif", licence="CC0", source="somewhere"),),
    quality=(
        Measured(
            dataset="d",
            n_images=3,
            photons=None,
            method="auto",
            quality=Quality(
                psnr=30,
                si_psnr=31,
                ssim=0.9,
                ms_ssim=0.95,
                gradient_similarity=0.99,
                spectrum_error=0.5,
                agreement=math.inf,
                mean_shift=0,
            ),
        ),
    ),
)


def write(path, header, tensors=None):
    tensors = {"faithful.weight": torch.ones(3)} if tensors is None else tensors
    save_file(tensors, path, metadata=header)
    return path


def header_of(text):
    """Write any text as a card, with the digest that belongs to it."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"napari_sr_card": text, "napari_sr_card_sha256": digest}


def altered(**changes):
    """Write the card with other entries; what becomes None is left out."""
    content = {**json.loads(CARD.model_dump_json()), **changes}
    return header_of(json.dumps({k: v for k, v in content.items() if v is not None}))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "nuclei-x2.safetensors"


# ── written and read ────────────────────────────────────────────────────────────────


def test_a_card_is_read_as_it_was_written(path):
    assert read_card(write(path, as_header(CARD))) == CARD


def test_a_card_can_be_read_from_a_path_as_text(path):
    assert read_card(str(write(path, as_header(CARD)))) == CARD


def test_a_card_says_which_version_wrote_it():
    assert CARD.schema_version == SCHEMA_VERSION
    assert CARD.package_version == napari_sr.__version__


def test_reading_a_card_reads_no_tensors(path):
    write(path, as_header(CARD), {"faithful.weight": torch.rand(1000)})
    content = path.read_bytes()
    path.write_bytes(content[:-4000] + b"\xff" * 4000)

    assert read_card(path) == CARD


def test_reading_a_card_loads_no_torch(path):
    write(path, as_header(CARD))
    code = (
        "import sys; from napari_sr.cards.model_card import read_card; "
        f"print(read_card({str(path)!r}).name, 'torch' in sys.modules)"
    )

    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert said.stdout.split() == ["nuclei-x2", "False"]


# ── what is refused ─────────────────────────────────────────────────────────────────

UNUSABLE_CARDS = [
    pytest.param(altered(schema_version=2), "version 2.*reads version 1", id="newer"),
    pytest.param(altered(schema_version="1"), "version 1", id="version as text"),
    pytest.param(altered(schema_version=None), "version None", id="no version"),
    pytest.param(altered(colour="red"), "colour: Extra inputs", id="unknown field"),
    pytest.param(altered(name=None), "name: Field required", id="missing field"),
    pytest.param(altered(factor="two"), "factor: Input should be", id="wrong type"),
    pytest.param(altered(recommended_dial=2), "recommended_dial", id="dial"),
    pytest.param(
        altered(instrument={"photons": [0, 1]}), "instrument.photons", id="instrument"
    ),
    pytest.param(altered(output_scale="inf"), "output_scale", id="infinite step"),
    pytest.param(header_of("no card"), "version None", id="no JSON"),
    pytest.param(header_of("[1, 2]"), "version None", id="a list"),
    pytest.param(header_of(""), "version None", id="nothing"),
    pytest.param(
        {**as_header(CARD), "napari_sr_card_sha256": "0" * 64},
        "its card has been changed",
        id="another digest",
    ),
    pytest.param(
        {"napari_sr_card": CARD.model_dump_json()},
        "its card has been changed",
        id="no digest",
    ),
    pytest.param({"format": "pt"}, "without a napari-sr card", id="no card"),
    pytest.param(None, "without a napari-sr card", id="no header"),
]


def assert_one_sentence(error):
    """Hold the house's law for refusals: short, on one line, with what to do."""
    text = str(error)
    assert "\n" not in text
    assert len(text) < 400
    assert text.endswith((".", ".)"))


@pytest.mark.parametrize(("header", "why"), UNUSABLE_CARDS)
def test_an_unusable_card_is_refused(path, header, why):
    write(path, header)

    with pytest.raises(ModelFormatError, match=f"nuclei-x2.safetensors: .*{why}") as no:
        read_card(path)
    assert_one_sentence(no.value)


NO_MODEL_FILES = {
    "empty": b"",
    "one byte": b"\x00",
    "text": b"This is not a model at all, but a long enough text file.",
    "pickle": b"\x80\x04\x95" + b"\x00" * 64,
    "huge header": b"\xff" * 64,
    "no JSON": (20).to_bytes(8, "little") + b"x" * 20,
}


@pytest.mark.parametrize("content", NO_MODEL_FILES.values(), ids=NO_MODEL_FILES)
def test_another_file_is_refused(path, content):
    path.write_bytes(content)

    with pytest.raises(ModelFormatError, match="not a safetensors file, or cut") as no:
        read_card(path)
    assert_one_sentence(no.value)


def test_a_missing_file_and_a_folder_are_refused(path):
    for nothing in (path, path.parent):
        with pytest.raises(ModelFormatError, match="There is no model file") as no:
            read_card(nothing)
        assert_one_sentence(no.value)


def test_the_instrument_of_an_older_card_is_a_perfect_detector():
    old = {"psf_sigma": [0, 1], "photons": [20, 500], "read": [0.001, 0.05]}

    found = Instrument.model_validate(old | {"share_clean": 0.25})

    assert found == Instrument(psf_sigma=(0, 1), photons=(20, 500))
