"""What all tests share: one thread, and no models but those of the package."""

from __future__ import annotations

import os
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
        yield


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
