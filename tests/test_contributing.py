"""What CONTRIBUTING works through, done: its code runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_sr import networks
from napari_sr.networks import build_generator
from napari_sr.phantoms import make_phantom

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def code_of(section):
    """Give the blocks of Python in a section."""
    text = re.split(r"^## ", TEXT.split(f"## {section}\n")[1], flags=re.M)[0]
    return re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)


@pytest.fixture
def residual(monkeypatch):
    """Put the architecture of the text into the table."""
    names = {}
    exec(code_of("A new architecture")[0], names)
    table = {**networks.ARCHITECTURES, "residual": names["Residual"]}
    monkeypatch.setattr(networks, "ARCHITECTURES", table)


def test_the_new_architecture_is_trained_and_used(residual):
    truth = make_phantom("nuclei", n_planes=1, size=128, seed=1).truth
    names = {
        "sharp_images": [truth.reshape(128, 128), np.rot90(truth.reshape(128, 128))],
        "recording": truth.reshape(128, 128)[:40, :50],
    }

    exec(code_of("A new architecture")[1], names)

    assert names["larger"].shape == (80, 100)
    assert names["model"].card.arguments == {"channels": 8}


def test_the_new_architecture_sees_no_further_than_it_says(residual):
    network = build_generator("residual", 2).eval()
    batch = torch.rand(1, 2, 41, 41)
    changed = batch.clone()
    changed[..., 20, 20] = 2.0

    with torch.no_grad():
        felt = (network(changed) != network(batch))[0, 0].nonzero() // 2 - 20

    assert int(felt.abs().max()) <= network.halo


def test_every_place_that_it_names_exists():
    named = re.findall(r"`([\w/]+(?:\.py|/))`", TEXT)

    places = [ROOT / "napari_sr", ROOT]
    missing = [n for n in named if not any((place / n).exists() for place in places)]

    assert missing in ([], ["napari_sr/networks/generators/residual.py"])
