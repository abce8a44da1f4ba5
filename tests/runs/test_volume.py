"""Large results, region by region: the same pixels, however often a run is ended."""

from __future__ import annotations

import errno
import json
import os
from contextlib import closing

import numpy as np
import pytest
import zarr
from stacks_on_disk import counts, names_in, read_stack, write_stack
from tiny_models import tiny_fast

from napari_sr.files import open_stack
from napari_sr.files.zarr import regions as zarr_regions
from napari_sr.image import regions
from napari_sr.image.regions import Region, Regions
from napari_sr.image.stack import Stack, StackError
from napari_sr.methods.interpolation import Interpolation
from napari_sr.runs import resume as run_folder
from napari_sr.runs.one_file import FileJob, FileResult, FileShared, run_job
from napari_sr.runs.volume import Share
from napari_sr.settings import UpscaleSettings
from napari_sr.upscaling.flow import make_plan, region_steps, upscale

SETTINGS = UpscaleSettings(device="cpu")
NEAREST = Interpolation("nearest", 2)


@pytest.fixture
def small(monkeypatch):
    """Regions and chunks of a few pixels, so that small planes have many."""
    monkeypatch.setattr(regions, "SIDE", 64)
    monkeypatch.setattr(regions, "CHUNK", 16)
    monkeypatch.setattr(zarr_regions, "CHUNK", 16)
    monkeypatch.setattr(zarr_regions, "COARSE_ENOUGH", 24)
    monkeypatch.setattr(zarr_regions, "COARSE_SIDE", 32)


def job_in(folder, array, **more):
    source = folder / "a.ome.tif"
    if not source.exists():
        write_stack(source, array)
    return FileJob(source, folder / "r.ome.zarr", **more)


def result_of(job, upscaler=NEAREST, settings=SETTINGS):
    *_, last = run_job(job, upscaler, settings)
    return last


def stopped_after(n_steps, job, upscaler=NEAREST):
    with closing(run_job(job, upscaler, SETTINGS)) as steps:
        for _ in range(n_steps):
            next(steps)


# ── dividing ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shape", [(5, 7), (2, 3, 64, 65), (4, 1, 1)])
def test_regions_cover_every_pixel_once(shape):
    cover = np.zeros(shape, int)
    divided = Regions(shape, 32)
    for region in divided:
        cover[region.place] += 1

    assert (cover == 1).all()
    assert [divided[n] for n in range(len(divided))] == list(divided)
    with pytest.raises(IndexError, match="none has"):
        divided[len(divided)]


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_a_region_is_of_whole_chunks_of_the_result(factor):
    side = regions.region_side(factor)

    assert side * factor % regions.CHUNK == 0
    assert regions.SIDE / 2 < side * factor <= regions.SIDE


@pytest.mark.parametrize("consistency", ["auto", "off", "exact"])
def test_a_region_has_the_pixels_of_the_whole_plane(consistency):
    stack = Stack.from_array(counts((300, 420), seed=3))
    model = tiny_fast()
    settings = UpscaleSettings(device="cpu", consistency=consistency, tile=64)
    plan = make_plan(stack, model, settings)
    (whole,) = [
        step.plane
        for step in region_steps(
            stack, model, plan, [Region.whole((), stack.plane_shape)]
        )
        if step.plane is not None
    ]
    part = Region((), slice(128, 192), slice(64, 250))

    *_, last = region_steps(stack, model, plan, [part])

    expected = whole[part.times(2).place].astype(int)
    assert np.abs(last.plane.astype(int) - expected).max() <= 1


# ── writing ─────────────────────────────────────────────────────────────────────────


def test_a_large_result_holds_what_memory_would(tmp_path, small):
    array = counts((2, 75, 90))

    result = result_of(job_in(tmp_path, array))

    np.testing.assert_array_equal(read_stack(result.path), upscale(array, NEAREST))
    assert result.shape == (2, 150, 180)
    assert names_in(tmp_path) == ["a.ome.tif", "r.ome.zarr"]


def test_coarser_levels_lie_where_the_finest_does(tmp_path, small):
    rows = np.arange(75, dtype=np.uint16)[:, None] * 100
    array = np.broadcast_to(rows, (75, 90)).copy()

    path = result_of(job_in(tmp_path, array)).path

    group = zarr.open_group(path, mode="r")
    (image,) = group.attrs["ome"]["multiscales"]
    assert len(image["datasets"]) == 4
    finest = np.asarray(group["0"][...]).astype(float)
    for level, data in enumerate(image["datasets"]):
        scale, shift = (one for one in data["coordinateTransformations"])
        spacing = image["datasets"][0]["coordinateTransformations"][0]["scale"]
        assert scale["scale"] == [side * 2**level for side in spacing]
        origin = image["datasets"][0]["coordinateTransformations"][1]
        assert shift == origin
        coarse = np.asarray(group[str(level)][...]).astype(float)
        inside = slice(2, len(coarse) - 2)
        expected = finest[:: 2**level, :: 2**level]
        assert np.abs(coarse - expected)[inside].max() <= 50 * 2**level


@pytest.mark.parametrize("shape", [(75, 90), (2, 1, 40, 75)])
def test_a_result_is_as_its_specification_asks(tmp_path, small, shape):
    yaozarrs = pytest.importorskip("yaozarrs", reason="no validator is installed")
    source = tmp_path / "a.ome.tif"
    write_stack(source, counts(shape), "tzyx"[-len(shape) :])

    path = result_of(FileJob(source, tmp_path / "r.ome.zarr")).path

    yaozarrs.validate_zarr_store(str(path))
    attributes = json.loads((path / "zarr.json").read_text())
    levels = attributes["attributes"]["ome"]["multiscales"][0]["datasets"]
    assert len(levels) > 2
    levels[1]["coordinateTransformations"].reverse()  # a translation before its scale
    (path / "zarr.json").write_text(json.dumps(attributes))
    with pytest.raises(ValueError, match="scale"):
        yaozarrs.validate_zarr_store(str(path))


def test_a_region_is_one_file(tmp_path, small):
    path = result_of(job_in(tmp_path, counts((75, 90)))).path

    files = [one for one in (path / "0").rglob("*") if one.is_file()]
    assert len(files) == 1 + len(Regions((150, 180), 64))


# ── going on ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("n_steps", [1, 4, 7, 10])
def test_a_run_that_was_stopped_goes_on_to_the_same_file(tmp_path, small, n_steps):
    array, folder = counts((75, 90)), tmp_path / "other"
    folder.mkdir()
    whole = result_of(job_in(folder, array)).path
    job = job_in(tmp_path, array)

    stopped_after(n_steps, job)
    hidden = tmp_path / ".r.ome.zarr.partial"
    n_left = len(run_folder.RunFolder(hidden).missing(0))
    (hidden / "done" / "0" / ".2.partial").touch()  # killed while it said so
    steps = list(run_job(job, NEAREST, SETTINGS))

    assert sum(getattr(step, "plane", None) is not None for step in steps) == n_left
    assert not hidden.exists()
    for one in whole.rglob("*"):
        if one.is_file():
            again = job.output / one.relative_to(whole)
            assert again.read_bytes() == one.read_bytes()


@pytest.mark.parametrize(
    ("change", "what"),
    [("recording", "recording"), ("model", "model"), ("settings", "setting")],
)
def test_a_run_is_not_gone_on_with_for_something_else(tmp_path, small, change, what):
    job = job_in(tmp_path, counts((75, 90)))
    stopped_after(3, job)
    upscaler, settings = NEAREST, SETTINGS
    if change == "recording":
        job.source.unlink()
        write_stack(job.source, counts((75, 90), seed=9))
    elif change == "model":
        upscaler = Interpolation("bicubic", 2)
    else:
        settings = UpscaleSettings(device="cpu", dtype="float32")

    with pytest.raises(StackError, match=f"started with another {what}.*remove"):
        result_of(job, upscaler, settings)

    if change != "recording":
        assert isinstance(result_of(job), FileResult)


@pytest.mark.parametrize("at", [1, 3, 9, 11], ids="write {}".format)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS], ids=os.strerror)
def test_a_disk_that_refuses_keeps_what_is_done(tmp_path, small, monkeypatch, at, code):
    job, written = job_in(tmp_path, counts((75, 90))), []

    def refuse(array, place, pixels):
        written.append(place)
        if len(written) >= at:
            raise OSError(code, os.strerror(code))
        return real(array, place, pixels)

    real = zarr.Array.__setitem__
    with monkeypatch.context() as disk:
        disk.setattr(zarr.Array, "__setitem__", refuse)
        with pytest.raises(StackError, match=rf"{os.strerror(code)}.*is done is kept"):
            result_of(job)

    assert not job.output.exists()
    hidden = run_folder.RunFolder(tmp_path / ".r.ome.zarr.partial")
    n_missing = sum(len(hidden.missing(level)) for level in range(len(hidden.levels)))
    assert n_missing == sum(map(len, hidden.levels)) - (at - 1)
    result_of(job)
    np.testing.assert_array_equal(
        read_stack(job.output), upscale(counts((75, 90)), NEAREST)
    )


@pytest.mark.parametrize("at", [1, 3, 7])
def test_the_slower_of_two_processes_says_so_and_leaves_nothing(tmp_path, small, at):
    array = counts((75, 90))
    job = job_in(tmp_path, array)
    slower = run_job(job, NEAREST, SETTINGS)
    for _ in range(at):
        next(slower)
    result_of(job)

    with pytest.raises(StackError, match="Another process has finished"):
        list(slower)

    assert names_in(tmp_path) == [job.source.name, job.output.name]
    np.testing.assert_array_equal(read_stack(job.output), upscale(array, NEAREST))


def test_a_folder_that_cannot_be_written_is_told_at_once(tmp_path, small):
    job = job_in(tmp_path, counts((75, 90)))
    tmp_path.chmod(0o500)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("this user may write everywhere")
        with pytest.raises(StackError, match=r"cannot be written \(Permission denied"):
            result_of(job)
    finally:
        tmp_path.chmod(0o700)
    assert isinstance(result_of(job), FileResult)


def damaged(source):
    """Cut off the last chunk of a recording; give what mends it."""
    chunk = max(one for one in (source / "0" / "c").rglob("*") if one.is_file())
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[:-10])
    return lambda: chunk.write_bytes(whole)


def vanished(source):
    aside = source.with_name("elsewhere")
    source.rename(aside)
    return lambda: aside.rename(source)


@pytest.mark.parametrize(
    ("happens", "words"),
    [(damaged, "is cut off"), (vanished, "does not exist any more")],
)
def test_a_recording_that_fails_on_the_way_costs_nothing(tmp_path, happens, words):
    array = counts((6, 20, 24))
    source = write_stack(tmp_path / "a.ome.zarr", array)
    job = FileJob(source, tmp_path / "r.ome.zarr")
    steps = run_job(job, NEAREST, SETTINGS)
    for _ in range(3):
        next(steps)
    mend = happens(source)

    with pytest.raises(StackError, match=rf"a\.ome\.zarr is damaged.*{words}"):
        list(steps)

    n_missing = len(run_folder.RunFolder(tmp_path / ".r.ome.zarr.partial").missing(0))
    mend()
    again = list(run_job(job, NEAREST, SETTINGS))
    assert len(again) == n_missing + 1 <= 4
    np.testing.assert_array_equal(read_stack(job.output), upscale(array, NEAREST))


def test_what_a_run_leaves_that_was_killed_at_the_very_end_does_no_harm(
    tmp_path, small, monkeypatch
):
    job, array = job_in(tmp_path, counts((75, 90))), counts((75, 90))
    with monkeypatch.context() as killed:
        killed.setattr(run_folder.shutil, "rmtree", lambda *_, **__: None)
        result_of(job)
    assert ".r.ome.zarr.partial" in names_in(tmp_path)

    result_of(FileJob(job.source, job.output, overwrite=True))

    np.testing.assert_array_equal(read_stack(job.output), upscale(array, NEAREST))
    assert names_in(tmp_path) == ["a.ome.tif", "r.ome.zarr"]


def test_what_a_killed_process_was_writing_is_not_in_the_result(tmp_path, small):
    job = job_in(tmp_path, counts((75, 90)))
    stopped_after(3, job)
    half = tmp_path / ".r.ome.zarr.partial" / "image" / "0" / "c" / "0.abc.partial"
    half.write_bytes(b"half")

    result_of(job)

    assert not list(job.output.rglob("*.partial"))


def test_an_existing_result_stays_until_the_new_one_is_whole(tmp_path, small):
    job = job_in(tmp_path, counts((75, 90)))
    result_of(job)
    before = read_stack(job.output)
    with pytest.raises(StackError, match="exists"):
        result_of(job)
    replacing = FileJob(job.source, job.output, overwrite=True)

    stopped_after(3, replacing, Interpolation("bicubic", 2))

    np.testing.assert_array_equal(read_stack(job.output), before)
    result_of(replacing, Interpolation("bicubic", 2))
    assert not np.array_equal(read_stack(job.output), before)


# ── many at once ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_shares_together_make_the_result(tmp_path, small, order):
    array = counts((2, 75, 90))
    outcomes = [
        result_of(job_in(tmp_path, array, share=Share(number, 3))) for number in order
    ]

    assert [type(one) for one in outcomes] == [FileShared, FileShared, FileResult]
    assert outcomes[0].n_missing > outcomes[1].n_missing > 0
    path = tmp_path / "r.ome.zarr"
    np.testing.assert_array_equal(read_stack(path), upscale(array, NEAREST))


def test_a_share_of_a_tiff_is_refused(tmp_path):
    source = write_stack(tmp_path / "a.ome.tif", counts((8, 9)))
    job = FileJob(source, tmp_path / "r.ome.tif", share=Share(1, 2))

    with pytest.raises(StackError, match=r"Write \.ome\.zarr to"):
        result_of(job)


# ── huge planes ─────────────────────────────────────────────────────────────────────


def test_a_window_is_a_part_of_its_plane(tmp_path):
    array = counts((3, 40, 50))
    for name in ("a.ome.tif", "a.ome.zarr"):
        with open_stack(write_stack(tmp_path / name, array)) as stack:
            part = stack.window((1,), (slice(3, 20), slice(10, 50)))
            np.testing.assert_array_equal(part, array[1, 3:20, 10:50])
            with pytest.raises(IndexError, match="which lack"):
                stack.window((1,), (slice(3, 41), slice(10, 50)))


def test_huge_planes_are_looked_at_through_windows():
    stack = Stack.from_array(counts((2, 90, 200)))

    thin = stack.thinned(120)

    assert thin.shape == (2, 3, 90, 40)
    np.testing.assert_array_equal(thin.plane((1, 2)), stack.plane((1,))[:, 160:])
    assert stack.thinned(200) is stack
