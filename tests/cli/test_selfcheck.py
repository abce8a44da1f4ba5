"""A device is looked at, and what is wrong with it is found."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_models import tiny_fast

from napari_sr.cli import main, selfcheck
from napari_sr.cli.selfcheck import self_check
from napari_sr.models.sr_model import SRModel, save_model


def found(model):
    return list(self_check(model, "cpu", side=40))


def test_a_cpu_agrees_with_itself_and_gets_over_full_memory():
    device, software, cpu, memory, pace, *training = found(tiny_fast())

    assert all(one.is_well for one in (device, cpu, memory, pace, *training))
    assert device.text.startswith("CPU, ")
    assert f"torch {torch.__version__}" in software.text
    assert "at most 0e+00 of the range" in cpu.text
    assert "ran out of memory with tiles of 52 px, as intended" in memory.text
    assert "s per megapixel of the result; device busy " in pace.text
    assert [one.name for one in training] == [
        "training, fidelity stage",
        "training, adversarial stage",
    ]
    assert all("by 0.0% after 3 steps" in one.text for one in training)


def test_a_device_that_computes_otherwise_is_found(monkeypatch):
    compute, n_runs = SRModel.__call__, []

    def wrong_at_first(self, batch):
        n_runs.append(1)
        result = compute(self, batch)
        stripes = 0.01 - 0.02 * (torch.arange(result.shape[-1]) % 2)
        # Agreement with the recording leaves them: their mean over a pixel is nothing.
        return result + stripes * (len(n_runs) <= 5)

    monkeypatch.setattr(SRModel, "__call__", wrong_at_first)
    _, _, cpu, memory, *_ = found(tiny_fast())

    assert not cpu.is_well
    assert not memory.is_well


def test_memory_that_does_not_run_out_is_not_called_well(monkeypatch):
    monkeypatch.setattr(selfcheck, "_TOO_LARGE", 1)

    assert not found(tiny_fast())[3].is_well


@pytest.mark.parametrize(
    ("name", "wrong"), [("pixels", 1.1), ("adversarial", math.nan)]
)
def test_a_training_that_goes_otherwise_is_found(monkeypatch, name, wrong):
    teach = selfcheck._steps_of_training
    devices = []

    def wrong_at_first(recorded, stage, device):
        losses, seconds = teach(recorded, stage, device)
        devices.append(device)
        if name in losses and len(devices) % 2:
            losses[name] *= wrong
        return losses, seconds

    monkeypatch.setattr(selfcheck, "_steps_of_training", wrong_at_first)
    *_, fidelity, adversarial = found(tiny_fast())

    assert not adversarial.is_well
    assert fidelity.is_well is (name == "adversarial")


def test_the_command(tmp_path, capsys):
    path = save_model(tiny_fast(), tmp_path / "tiny.safetensors")

    assert main(["selfcheck", "--device", "cpu", "-m", str(path)]) == 0

    header, rule, *rows = capsys.readouterr().out.splitlines()
    assert rule == "|---|---|---|"
    assert len(rows) == 7
    assert all(row.endswith("| passed |") and row.count("|") == 4 for row in rows)
    assert header.count("|") == 4


def test_for_an_issue_it_adds_versions_and_no_path(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(selfcheck, "self_check", lambda *_: iter(()))
    path = save_model(tiny_fast(), tmp_path / "tiny.safetensors")

    assert main(["selfcheck", "--for-issue", "-m", str(path)]) == 0

    text = capsys.readouterr().out
    assert text.startswith("<details>")
    assert text.endswith("</details>\n")
    assert f"torch {torch.__version__.partition('+')[0]}" in text
    assert str(tmp_path) not in text
