"""Files in, files out: names, results, failures."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from stacks_on_disk import (
    axes_of,
    counts,
    names_in,
    provenance_of,
    read_stack,
    write_stack,
)
from tiny_models import tiny_fast

from napari_sr.image.intensity import NoiseLevel
from napari_sr.image.stack import Stack, StackError
from napari_sr.methods.interpolation import Interpolation
from napari_sr.runs.many_files import FileSkipped, resume_job, run_jobs
from napari_sr.runs.one_file import (
    FileFailure,
    FileJob,
    FileResult,
    run_job,
    upscale_file,
    upscale_files,
)
from napari_sr.runs.output_names import choose_outputs, name_outputs
from napari_sr.settings import UpscaleSettings
from napari_sr.upscaling.flow import PixelTypeWarning, TileStep, upscale
from napari_sr.upscaling.plan import Plan
from napari_sr.upscaling.provenance import NOTICE

NEAREST = Interpolation("nearest", 2)
BICUBIC = Interpolation("bicubic", 2)

NAMES = [  # sources, outputs below the folder
    pytest.param(["a.tif"], ["a_x2.ome.tif"], id="one"),
    pytest.param(["d/a.tif", "d/b.tif"], ["a_x2.ome.tif", "b_x2.ome.tif"], id="two"),
    pytest.param(
        ["d/a.ome.tif", "d/b.ome.zarr", "d/c.TIFF", "d/e.f.tif"],
        ["a_x2.ome.tif", "b_x2.ome.tif", "c_x2.ome.tif", "e.f_x2.ome.tif"],
        id="suffixes",
    ),
    pytest.param(
        ["d/p/a.tif", "d/q/a.tif", "d/b.tif"],
        ["p/a_x2.ome.tif", "q/a_x2.ome.tif", "b_x2.ome.tif"],
        id="sub-folders",
    ),
    pytest.param(
        ["../d/a.tif", "e/b.tif"],
        ["d/a_x2.ome.tif", "here/e/b_x2.ome.tif"],
        id="not-outside-the-folder",
    ),
    pytest.param(
        ["e/../a.tif", "e/b.tif"],
        ["a_x2.ome.tif", "e/b_x2.ome.tif"],
        id="there-and-back",
    ),
    pytest.param([("d/z2.tif", "d/z1.tif")], ["z2_x2.ome.tif"], id="a-stack"),
]


def as_source(name):
    return Path(name) if isinstance(name, str) else tuple(map(Path, name))


@pytest.mark.parametrize(("sources", "outputs"), NAMES)
def test_outputs_are_named_after_their_sources(sources, outputs, tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    named = name_outputs([as_source(name) for name in sources], Path("out"), 2)
    assert named == [Path("out") / name for name in outputs]


def test_no_sources_have_no_outputs():
    assert name_outputs([], Path("out"), 2) == []


ONE, TWO = [Path("a.tif")], [Path("a.tif"), Path("b.tif")]

OUTPUTS = [  # sources, output, where the results go
    pytest.param(ONE, "r.ome.tif", ["r.ome.tif"], id="a-file"),
    pytest.param(ONE, "r.ome.zarr", ["r.ome.zarr"], id="a-zarr"),
    pytest.param(ONE, "there.zarr", ["there.zarr"], id="a-zarr-that-is-there"),
    pytest.param(ONE, "new", ["new/a_x2.ome.tif"], id="a-folder"),
    pytest.param(ONE, "v1.2", ["v1.2/a_x2.ome.tif"], id="a-folder-with-a-dot"),
    pytest.param(
        TWO, "new", ["new/a_x2.ome.tif", "new/b_x2.ome.tif"], id="several-in-a-folder"
    ),
]

NO_OUTPUTS = [
    pytest.param(
        TWO, "r.ome.tif", "2 results cannot be written to one file", id="one-for-two"
    ),
    pytest.param(TWO, "there.zarr", "2 results cannot be", id="inside-a-zarr"),
    pytest.param(ONE, "r.png", r"expected a name that ends in \.ome\.tif", id="png"),
    pytest.param(TWO, "r.png", r"A folder with a dot .* must exist", id="png-for-two"),
]


@pytest.mark.parametrize(("sources", "output", "expected"), OUTPUTS)
def test_an_output_is_a_file_or_a_folder(
    sources, output, expected, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for name in ("there.zarr", "v1.2"):
        Path(name).mkdir()
    assert choose_outputs(sources, Path(output), 2) == [Path(p) for p in expected]


@pytest.mark.parametrize(("sources", "output", "words"), NO_OUTPUTS)
def test_what_can_be_neither_is_refused(sources, output, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("there.zarr").mkdir()
    with pytest.raises(StackError, match=words):
        choose_outputs(sources, Path(output), 2)


# One file


@pytest.mark.parametrize("compression", ["zlib", "zstd", None])
@pytest.mark.parametrize("suffix", [".ome.tif", ".tif", ".ome.zarr"])
def test_a_file_holds_what_memory_would(tmp_path, suffix, compression):
    array = counts((2, 3, 21, 17))
    source = write_stack(tmp_path / "a.ome.tif", array)
    result = upscale_file(
        source, tmp_path / f"r{suffix}", BICUBIC, compression=compression, tile=16
    )
    np.testing.assert_array_equal(read_stack(result.path), upscale(array, BICUBIC))
    assert (result.source, result.shape) == (source, (2, 3, 42, 34))
    assert names_in(tmp_path) == ["a.ome.tif", f"r{suffix}"]


def test_several_files_may_be_one_stack(tmp_path):
    array = counts((3, 8, 9))
    paths = [write_stack(tmp_path / f"{i}.tif", plane) for i, plane in enumerate(array)]
    result = upscale_file(paths, tmp_path / "r.ome.tif", BICUBIC)
    np.testing.assert_array_equal(read_stack(result.path), upscale(array, BICUBIC))


def test_a_channel_may_be_chosen(tmp_path):
    array = counts((2, 3, 8, 9))
    source = tmp_path / "a.ome.tif"
    tifffile.imwrite(source, array, metadata={"axes": "CZYX"}, photometric="minisblack")
    result = upscale_file(source, tmp_path / "r.ome.tif", NEAREST, channel=1)
    np.testing.assert_array_equal(read_stack(result.path), upscale(array[1], NEAREST))


def test_the_share_of_clipped_pixels_is_that_of_the_whole_stack(tmp_path):
    array = counts((3, 10, 10), high=400, low=0)
    source = write_stack(tmp_path / "a.tif", array)
    with pytest.warns(PixelTypeWarning, match="outside the range of uint8"):
        result = upscale_file(source, tmp_path / "r.ome.tif", NEAREST, dtype="uint8")
    assert result.share_clipped == pytest.approx(np.mean(array > 255))


@pytest.mark.parametrize("suffix", [".ome.tif", ".ome.zarr"])
def test_an_output_says_how_it_came_about(tmp_path, suffix):
    secret = tmp_path / "patient Doe"
    secret.mkdir()
    source = write_stack(secret / "hidden name.tif", counts((2, 20, 20)))
    model = tiny_fast()
    result = upscale_file(
        source, tmp_path / f"r{suffix}", model, noise=NoiseLevel(read=9), tile=24
    )
    said = provenance_of(result.path)
    assert said["notice"] == NOTICE == "computed, not measured; not for diagnosis"
    assert said["software"].startswith("napari-sr ")
    assert said["source"] == {"shape": [2, 20, 20], "dtype": "uint16"}
    assert Plan.model_validate(said["plan"]) == result.plan
    assert result.plan.model_sha256 == model.digest
    files = (
        [result.path, *result.path.rglob("*")]
        if suffix == ".ome.zarr"
        else [result.path]
    )
    for file in filter(Path.is_file, files):
        for private in (b"Doe", b"hidden name", os.fsencode(tmp_path)):
            assert private not in file.read_bytes()


def test_an_existing_output_is_left_alone_unless_told_otherwise(tmp_path):
    source = write_stack(tmp_path / "a.tif", counts((8, 8)))
    output = write_stack(tmp_path / "r.ome.tif", counts((4, 4), seed=1))
    before = output.read_bytes()
    with pytest.raises(StackError, match="exists"):
        upscale_file(source, output, NEAREST)
    assert output.read_bytes() == before
    upscale_file(source, output, NEAREST, overwrite=True)
    assert read_stack(output).shape == (16, 16)


@pytest.mark.parametrize("name", ["a.ome.tif", "a.ome.zarr"])
def test_a_measurement_is_never_replaced_by_its_own_result(tmp_path, name):
    array = counts((3, 8, 8))
    source = write_stack(tmp_path / name, array)
    with pytest.raises(StackError, match="is its own source"):
        upscale_file(source, source, NEAREST, overwrite=True)
    with pytest.raises(StackError, match="is its own source"):
        upscale_file([tmp_path / "b.tif", source], source, NEAREST, overwrite=True)
    np.testing.assert_array_equal(read_stack(source), array)


def test_a_failing_run_leaves_the_old_output(tmp_path):
    source = write_stack(tmp_path / "a.tif", np.full((8, 8), np.nan, "float32"))
    output = write_stack(tmp_path / "r.ome.tif", counts((4, 4)))
    before = output.read_bytes()
    with pytest.raises(StackError, match="no finite pixel"):
        upscale_file(source, output, NEAREST, overwrite=True)
    assert output.read_bytes() == before
    assert names_in(tmp_path) == ["a.tif", "r.ome.tif"]


def test_unknown_options_are_refused(tmp_path):
    source = write_stack(tmp_path / "a.tif", counts((8, 8)))
    with pytest.raises(ValueError, match="colour"):
        upscale_file(source, tmp_path / "r.ome.tif", NEAREST, colour="red")


# Many files


@pytest.fixture
def folder(tmp_path):
    """Four files, of which the second is no image and the third one has no number."""
    folder = tmp_path / "in"
    folder.mkdir()
    write_stack(folder / "a.tif", counts((8, 8)))
    (folder / "b.tif").write_text("not an image")
    write_stack(folder / "c.tif", np.full((8, 8), np.nan, "float32"))
    (folder / "sub").mkdir()
    write_stack(folder / "sub" / "d.ome.zarr", counts((2, 8, 9)))
    return folder


def test_one_failing_file_does_not_stop_the_others(folder, tmp_path):
    sources = [folder / name for name in ("a.tif", "b.tif", "c.tif", "sub/d.ome.zarr")]
    events = list(upscale_files(sources, tmp_path / "out", NEAREST))
    assert [type(event) for event in events] == [
        FileResult,
        FileFailure,
        FileFailure,
        FileResult,
    ]
    assert [event.source for event in events] == sources
    assert "not a readable TIFF" in str(events[1].error)
    assert events[2].name == "c.tif"
    assert names_in(tmp_path / "out") == ["a_x2.ome.tif", "sub"]
    assert names_in(tmp_path / "out" / "sub") == ["d_x2.ome.tif"]
    np.testing.assert_array_equal(
        read_stack(events[3].path), upscale(sources[3], NEAREST)
    )


def test_files_are_done_one_by_one(folder, tmp_path):
    events = upscale_files([folder / "a.tif", folder / "c.tif"], tmp_path, NEAREST)
    assert names_in(tmp_path) == ["in"]
    next(events)
    assert names_in(tmp_path) == ["a_x2.ome.tif", "in"]
    events.close()


def test_existing_outputs_are_failures_of_their_own(folder, tmp_path):
    sources = [folder / "a.tif", folder / "sub" / "d.ome.zarr"]
    (first, _) = upscale_files(sources, tmp_path / "out", NEAREST)
    kept = first.path.read_bytes()
    again = list(upscale_files(sources, tmp_path / "out", BICUBIC))
    assert ["exists" in str(event.error) for event in again] == [True, True]
    assert first.path.read_bytes() == kept
    replaced = list(upscale_files(sources, tmp_path / "out", BICUBIC, overwrite=True))
    assert all(isinstance(event, FileResult) for event in replaced)
    assert first.path.read_bytes() != kept


def test_a_fault_of_the_model_is_the_failure_of_each_file(folder, tmp_path):
    class Broken(Interpolation):
        def __call__(self, batch):
            raise RuntimeError("a shape does not fit")

    events = list(
        upscale_files([folder / "a.tif"], tmp_path / "out", Broken("nearest", 2))
    )
    assert str(events[0].error) == "a shape does not fit"
    assert names_in(tmp_path / "out") == []


def test_a_collision_stops_only_what_it_touches(folder, tmp_path):
    write_stack(folder / "a.ome.tif", counts((8, 8)))
    names = ["a.tif", "a.ome.tif", "sub/d.ome.zarr"]
    events = upscale_files([folder / name for name in names], tmp_path / "out", NEAREST)
    first, second, third = events
    assert isinstance(first, FileResult)
    assert isinstance(third, FileResult)
    assert "a.tif and a.ome.tif would both be written" in str(second.error)
    jobs = [FileJob(folder / name, tmp_path / "more.ome.tif") for name in names[:2]]
    outcomes = run_jobs(jobs, NEAREST, UpscaleSettings(device="cpu"))
    kinds = {n: type(one) for n, one in outcomes if type(one) is not TileStep}
    assert kinds == {0: FileResult, 1: FileFailure}


@pytest.mark.parametrize("suffix", [".ome.tif", ".ome.zarr"])
def test_a_pixel_size_may_be_given_where_it_is_wrong(tmp_path, suffix):
    source = write_stack(tmp_path / "a.tif", counts((2, 8, 9)), "zyx")
    result = upscale_file(
        source, tmp_path / f"r{suffix}", NEAREST, pixel_size="0.5 x 0.2 mm"
    )
    z, y, x = axes_of(result.path)
    assert z.spacing == 2.5
    assert (y.spacing, y.unit, x.spacing, x.unit) == (0.25, "mm", 0.1, "mm")
    with pytest.raises(ValueError, match="expected a pixel size"):
        upscale_file(source, tmp_path / "s.ome.tif", NEAREST, pixel_size="0.5 apples")
    assert not (tmp_path / "s.ome.tif").exists()


def test_a_recording_that_is_replaced_makes_no_result(tmp_path):
    source = write_stack(tmp_path / "a.tif", counts((40, 8, 8)))
    other = write_stack(tmp_path / "b.tif", counts((40, 8, 8), seed=1))
    job = FileJob(source, tmp_path / "r.ome.tif")
    steps = run_job(job, NEAREST, UpscaleSettings(device="cpu"))
    next(steps)
    os.replace(other, source)
    with pytest.raises(StackError, match=r"a\.tif was changed or replaced"):
        list(steps)
    assert names_in(tmp_path) == ["a.tif"]


# ── resuming, and stacks that are open already ──────────────────────────────────────


def events_of(job):
    settings = UpscaleSettings(device="cpu")
    return [
        one for one in resume_job(job, NEAREST, settings) if type(one) is not TileStep
    ]


def test_what_is_there_is_left_alone_unless_it_is_to_be_replaced(tmp_path):
    source = write_stack(tmp_path / "a.ome.tif", counts((8, 9)))
    output = tmp_path / "a_x2.ome.tif"

    (first,) = events_of(FileJob(source, output))
    (again,) = events_of(FileJob(source, output))
    (replaced,) = events_of(FileJob(source, output, overwrite=True))

    assert type(first) is type(replaced) is FileResult
    assert again == FileSkipped(source, output)


@pytest.mark.parametrize("suffix", [".ome.tif", ".ome.zarr"])
def test_what_is_there_is_not_taken_for_what_it_is_not(tmp_path, suffix):
    source = write_stack(tmp_path / f"a{suffix}", counts((8, 9)))
    job = FileJob(source, tmp_path / f"a_x2{suffix}")

    def told(upscaler=NEAREST, **options):
        settings = UpscaleSettings(device="cpu", **options)
        (event,) = resume_job(job, upscaler, settings)
        return str(event.error) if isinstance(event, FileFailure) else type(event)

    write_stack(job.output, counts((16, 18)))
    assert "does not state how it was made; choose another folder" in told()
    shutil.rmtree(job.output) if job.output.is_dir() else job.output.unlink()
    assert type(events_of(job)[-1]) is FileResult
    assert told(tile=16) is told() is FileSkipped  # pixels do not depend on tiles
    assert "made with another model;" in told(BICUBIC)
    assert "made with another noise and dtype;" in told(dtype="float32", noise=0)
    later = job.output.stat().st_mtime + 10
    os.utime(source, (later, later))
    assert "is older than its recording a" in told()


def test_a_stack_that_is_open_is_a_source_and_stays_open(tmp_path):
    stack = Stack.from_array(counts((8, 9)), name="layer 1")
    job = FileJob(stack, tmp_path / "a.ome.tif", notes={"napari": {"rotate": 1}})

    (result,) = events_of(job)

    assert job.name == "layer 1"
    assert provenance_of(result.path)["napari"] == {"rotate": 1}
    np.testing.assert_array_equal(
        read_stack(result.path), stack.plane(()).repeat(2, 0).repeat(2, 1)
    )


def test_stacks_give_names_that_every_system_takes():
    names = ["my/cells 1.5", "a: b?", "..", "ünï"]
    stacks = [Stack.from_array(counts((8, 9)), name=name) for name in names]

    outputs = name_outputs(stacks, Path("out"), 2)

    expected = ["my_cells 1.5", "a_ b", "image", "ünï"]
    assert [path.name for path in outputs] == [f"{n}_x2.ome.tif" for n in expected]
    assert {path.parent for path in outputs} == {Path("out")}


def test_what_is_done_and_what_failed_is_printed_in_a_line(tmp_path):
    path = write_stack(tmp_path / "a.tif", counts((2, 20, 24)))
    broken = tmp_path / "b.tif"
    broken.write_text("x")
    done, failed = upscale_files([path, broken], tmp_path / "out", NEAREST)
    output = tmp_path / "out" / "a_x2.ome.tif"
    assert str(done) == f"a.tif → {output}: 2 × 40 × 48 uint16, nearest"
    assert str(failed) == f"b.tif failed: {failed.error}"
