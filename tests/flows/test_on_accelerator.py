"""Every flow that gives a result runs on an accelerator, and gives the CPU's."""

from __future__ import annotations

import json

import numpy as np
import pytest
from stacks_on_disk import counts, read_stack, write_stack
from tiny_models import tiny_blind, tiny_fast, tiny_scn, tiny_srresnet

import napari_sr as sr
from napari_sr.catalogue.lookup import load_model
from napari_sr.cli import main
from napari_sr.cli.selfcheck import self_check
from napari_sr.evaluation.protocol import noise_of, on_scale, recorded
from napari_sr.evaluation.side_by_side import compare_side_by_side
from napari_sr.files.zarr import regions as zarr_regions
from napari_sr.image import regions
from napari_sr.image.stack import Stack
from napari_sr.models.sr_model import SRModel
from napari_sr.phantoms import make_phantom
from napari_sr.runs.one_file import FileJob, run_job
from napari_sr.settings import UpscaleSettings
from napari_sr.training.calibration import Known, find_interval
from napari_sr.trust.uncertainty import spread
from napari_sr.upscaling.flow import as_upscaler
from napari_sr.upscaling.plan import make_plan
from napari_sr.upscaling.progress import run_to_end

PLANES = counts((2, 60, 70))
ON_CPU = {"device": "cpu"}
MODELS = {
    "fast": tiny_fast(),
    "srresnet": tiny_srresnet(),
    "scn": tiny_scn(n_views=8),
    "blind": tiny_blind(),
}


def textured():
    """A model with two ends and an interval."""
    faithful, other = tiny_fast(), tiny_fast(seed=1)
    weights = {**faithful.weights, "textured": other.weights["faithful"]}
    known = [
        Known(n, recorded(sharp, 2, None), sharp, noise_of(None))
        for n, sharp in enumerate(specimens(2))
    ]
    interval = find_interval(faithful, known, known)
    changed = {"interval": interval, "recommended_dial": 0.5}
    return SRModel(faithful.card.model_copy(update=changed), weights)


def specimens(n, side=64):
    for seed in range(n):
        truth = make_phantom("nuclei", n_planes=1, size=side, seed=seed).truth
        yield on_scale(truth.reshape(side, side))


def assert_alike(found, expected, by=1):
    """The same but for rounding, which a different order of sums changes."""
    apart = np.abs(np.asarray(found, np.float64) - np.asarray(expected, np.float64))
    assert apart.max() <= by
    assert np.asarray(expected).std() > 100 * by


# ── upscaling ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", MODELS)
def test_an_array(accelerator, name):
    found = sr.upscale(PLANES, MODELS[name])

    assert accelerator.n_operations > 0
    assert accelerator.n_copied_back > 0
    assert_alike(found, sr.upscale(PLANES, MODELS[name], **ON_CPU))


@pytest.mark.parametrize("name", ["bicubic", "richardson-lucy", "wiener"])
def test_an_array_without_weights(accelerator, name):
    method = load_model(name, factor=2)

    found = sr.upscale(PLANES, method)

    assert accelerator.n_copied_back > 0
    assert_alike(found, sr.upscale(PLANES, method, **ON_CPU))


def test_a_file(accelerator, tmp_path):
    source = write_stack(tmp_path / "a.ome.tif", PLANES, "zyx")

    done = sr.upscale_file(source, tmp_path / "r.ome.tif", tiny_fast())

    assert done.plan.device == "pretend"
    assert_alike(
        read_stack(tmp_path / "r.ome.tif"), sr.upscale(PLANES, tiny_fast(), **ON_CPU)
    )


@pytest.fixture
def small_regions(monkeypatch):
    monkeypatch.setattr(regions, "SIDE", 64)
    monkeypatch.setattr(regions, "CHUNK", 16)
    monkeypatch.setattr(zarr_regions, "CHUNK", 16)


@pytest.mark.usefixtures("small_regions")
def test_regions(accelerator, tmp_path):
    source = write_stack(tmp_path / "a.ome.tif", PLANES, "zyx")

    sr.upscale_file(source, tmp_path / "r.ome.zarr", tiny_fast())

    assert accelerator.n_copied_back > 4
    assert_alike(
        read_stack(tmp_path / "r.ome.zarr"), sr.upscale(PLANES, tiny_fast(), **ON_CPU)
    )


@pytest.mark.usefixtures("small_regions")
def test_a_worker(accelerator, tmp_path):
    """In a thread of this process: another one would not know the pretend device."""
    distributed = pytest.importorskip("distributed", reason="dask is not installed")
    from napari_sr.runs.workers import Workers

    source = write_stack(tmp_path / "a.ome.tif", PLANES, "zyx")
    output = tmp_path / "r.ome.zarr"
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        job = FileJob(source, output, workers=Workers(client, tiny_fast()))
        *_, last = run_job(job, tiny_fast(), UpscaleSettings())

    assert last.plan.device == "pretend"
    assert accelerator.n_copied_back > 4
    assert_alike(read_stack(output), sr.upscale(PLANES, tiny_fast(), **ON_CPU))


# ── how good it is ──────────────────────────────────────────────────────────────────


def test_an_interval(accelerator):
    found = sr.upscale_with_interval(PLANES[0], textured())

    assert accelerator.n_copied_back > 0
    expected = sr.upscale_with_interval(PLANES[0], textured(), **ON_CPU)
    assert_alike(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-3, atol=1)


def test_a_calibration(accelerator):
    known = [
        Known(n, recorded(sharp, 2, 200.0), sharp, noise_of(200.0))
        for n, sharp in enumerate(specimens(3))
    ]

    found = find_interval(tiny_fast().to("pretend"), known, known)

    assert accelerator.n_copied_back > 0
    expected = find_interval(tiny_fast(), known, known)
    assert found.scale == pytest.approx(expected.scale, rel=1e-4)
    assert found.floor == expected.floor


def test_a_report(accelerator, tmp_path):
    sharp = next(specimens(1, 128))
    low = recorded(sharp, 2, 200.0)
    model = sr.save_model(textured(), tmp_path / "tiny.safetensors")
    source = write_stack(tmp_path / "low.ome.tif", low)
    result = tmp_path / "r.ome.tif"
    sr.upscale_file(source, result, str(model))
    assert accelerator.n_copied_back > 0

    found = sr.assess(source, result, sharp, str(model))

    sr.upscale_file(source, result, str(model), overwrite=True, **ON_CPU)
    expected = sr.assess(source, result, sharp, str(model))
    (mine, *_), (theirs, *_) = (
        one.comparison.figures.values() for one in (found, expected)
    )
    assert mine.psnr == pytest.approx(theirs.psnr, abs=1e-3)


def test_a_comparison_of_methods(accelerator):
    low = Stack.from_array(PLANES)
    baselines = {"tiny": tiny_fast(), "bicubic": load_model("bicubic", factor=2)}

    found = run_to_end(compare_side_by_side(low, baselines))

    assert {plan["device"] for plan in found.plans.values()} == {"pretend"}
    assert accelerator.n_copied_back > 0
    expected = run_to_end(
        compare_side_by_side(low, baselines, settings=UpscaleSettings(**ON_CPU))
    )
    for name in baselines:
        assert_alike(found.pictures[name], expected.pictures[name])


def test_a_self_check(accelerator):
    findings = list(self_check(tiny_fast(), side=40))

    assert [one.text for one in findings if not one.is_well] == []
    assert findings[0].text.startswith("Pretend accelerator, ")
    assert accelerator.n_copied_back > 0


def test_calibrating_from_the_command_line(accelerator, tmp_path, capsys):
    model = sr.save_model(tiny_fast(), tmp_path / "tiny.safetensors")
    for number, sharp in enumerate(specimens(3)):
        write_stack(tmp_path / f"{number}.ome.tif", np.uint16(sharp))
    files = sorted(str(path) for path in tmp_path.glob("*.ome.tif"))

    assert main(["evaluate", *files, "-m", str(model), "--calibrate"]) == 0

    capsys.readouterr()
    assert accelerator.n_copied_back > 0
    assert load_model(str(model)).card.interval is not None


# ── how it is computed ──────────────────────────────────────────────────────────────


def test_a_spread_is_that_of_the_cpu(accelerator):
    stack = Stack.from_array(PLANES[0])
    model = tiny_fast().to("pretend")
    plan = make_plan(stack, model, UpscaleSettings())

    found = spread(PLANES[0], model, plan)

    assert accelerator.n_copied_back > 0
    there = plan.model_copy(update=ON_CPU)
    for mine, theirs in zip(found, spread(PLANES[0], tiny_fast(), there), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1)


def test_a_result_says_where_it_was_computed(accelerator, tmp_path):
    source = write_stack(tmp_path / "a.ome.tif", PLANES, "zyx")

    sr.upscale_file(source, tmp_path / "r.ome.tif", tiny_fast())

    with sr.open_stack(tmp_path / "r.ome.tif") as stack:
        said = json.dumps(stack.provenance)
    assert '"device": "pretend"' in said
    assert as_upscaler(tiny_fast(), UpscaleSettings()).device.type == "pretend"
