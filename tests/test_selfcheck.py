"""A device is looked at, and what is wrong with it is found."""

from __future__ import annotations

from tiny_models import tiny_fast

from napari_sr import selfcheck
from napari_sr.cli import main
from napari_sr.model import SRModel
from napari_sr.model_file import save_model
from napari_sr.selfcheck import self_check


def found(model):
    return list(self_check(model, "cpu", side=40))


def test_a_cpu_agrees_with_itself_and_gets_over_full_memory():
    device, cpu, memory, pace = found(tiny_fast())

    assert all(one.is_well for one in (device, cpu, memory, pace))
    assert device.text.startswith("CPU, ")
    assert "at most 0e+00 of the range" in cpu.text
    assert "memory ran out with tiles of 52 px" in memory.text
    assert "megapixels of results a second; busy " in pace.text


def test_a_device_that_computes_otherwise_is_found(monkeypatch):
    compute, n_runs = SRModel.__call__, []

    def wrong_at_first(self, batch):
        n_runs.append(1)
        return compute(self, batch) + 0.01 * (len(n_runs) <= 5)

    monkeypatch.setattr(SRModel, "__call__", wrong_at_first)
    _, cpu, memory, _ = found(tiny_fast())

    assert not cpu.is_well
    assert not memory.is_well


def test_memory_that_does_not_run_out_is_not_called_well(monkeypatch):
    monkeypatch.setattr(selfcheck, "_TOO_LARGE", 1)

    assert not found(tiny_fast())[2].is_well


def test_the_command(tmp_path, capsys):
    path = save_model(tiny_fast(), tmp_path / "tiny.safetensors")

    assert main(["selfcheck", "--device", "cpu", "-m", str(path)]) == 0

    assert capsys.readouterr().out.count("well: ") == 4
