"""What all tests share: one thread, and no models but those of the package."""

from __future__ import annotations

import os
import sys
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING

# Before torch is loaded: tests are small, and threads only get into each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import pretend_device
import pytest

from napari_sr import device

if TYPE_CHECKING:
    from collections.abc import Iterator

if not pretend_device.WHY_NOT:
    pretend_device.register()


@pytest.fixture(scope="session", autouse=True)
def _no_models_of_the_user(tmp_path_factory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_SR_MODELS", str(tmp_path_factory.mktemp("models")))
        patch.setenv("NAPARI_SR_CONFIG", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture
def tiny_card(tmp_path, monkeypatch):
    """Put a small model that is told the noise into the catalogue; give its card."""
    from tiny_models import tiny_fast

    from napari_sr.catalogue.lookup import list_cards
    from napari_sr.models.sr_model import save_model

    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setenv("NAPARI_SR_MODELS", str(folder))
    save_model(tiny_fast(), folder / "tiny.safetensors")
    (card,) = (card for card in list_cards() if card.name == "tiny")
    return card


@pytest.fixture
def accelerator(monkeypatch) -> Iterator[pretend_device.Machine]:
    """A pretend accelerator, which `auto` finds; see `pretend_device`."""
    if pretend_device.WHY_NOT:
        pytest.skip(pretend_device.WHY_NOT)
    kind = device.Kind(tile=64, pins=True)
    kinds = {pretend_device.NAME: kind, **device.KINDS}
    monkeypatch.setattr(device, "KINDS", kinds)
    with pretend_device.installed() as machine:
        yield machine


@pytest.fixture
def torchvision(monkeypatch, tmp_path):
    """A torchvision with a thin VGG-19, an empty cache and no way to the network."""

    def refused(*args, **kwargs):
        raise AssertionError("tried to reach the network")

    from thin_vgg import FILE, thin_vgg19

    models = ModuleType("torchvision.models")
    models.vgg19 = thin_vgg19
    version = SimpleNamespace(url=f"https://example.org/models/{FILE}")
    models.VGG19_Weights = SimpleNamespace(IMAGENET1K_V1=version)
    package = ModuleType("torchvision")
    package.models = models
    monkeypatch.setitem(sys.modules, "torchvision", package)
    monkeypatch.setitem(sys.modules, "torchvision.models", models)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("socket.socket.connect", refused)
    monkeypatch.setattr("socket.getaddrinfo", refused)
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", refused)
    monkeypatch.setattr("torch.hub.download_url_to_file", refused)


@pytest.fixture
def cached(torchvision, tmp_path):
    """The weight file in the cache of torch, beside the network that it is of."""
    import torch
    from thin_vgg import FILE, thin_vgg19

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = thin_vgg19(weights=None)
    path = tmp_path / "hub" / "checkpoints" / FILE
    path.parent.mkdir(parents=True)
    torch.save(network.state_dict(), path)
    return SimpleNamespace(path=path, network=network)
