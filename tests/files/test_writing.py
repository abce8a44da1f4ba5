"""An output is complete or absent, and what does not fit is refused at once."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sr.files import create_stack, open_stack
from napari_sr.files.tiff import images as tiff
from napari_sr.files.zarr import images as ome_zarr
from napari_sr.image.stack import Axis, StackError

AXES = [Axis("z", 2, "um"), Axis("y", 0.5, "um"), Axis("x", 0.5, "um")]


def pixels(shape, dtype="uint16", seed=0):
    values = np.random.default_rng(seed).uniform(0, 200, shape)
    return values.astype(dtype)


def create(path, **options):
    options = {"shape": (3, 7, 5), "dtype": "uint16", "axes": AXES} | options
    return create_stack(path, **({"provenance": {}} | options))


def write(path, array, **options):
    with create(path, **options) as writer:
        for index in range(3):
            writer.write((index,), array[index])


def write_one_and(stop, path, plane, **options):
    with create(path, **options) as writer:
        writer.write((0,), plane)
        raise stop


def read(path):
    with open_stack(path) as stack:
        return np.stack([stack.plane(index) for index in stack.indices()])


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(params=[".ome.tif", ".zarr"])
def target(request, tmp_path):
    return tmp_path / "new" / f"a{request.param}"


def test_nothing_has_the_final_name_before_the_commit(target):
    with create(target) as writer:
        for index in range(3):
            writer.write((index,), pixels((7, 5)))
        (growing,) = names_in(target.parent)
        assert growing.startswith(".")
        assert growing.endswith(".partial")
    assert names_in(target.parent) == [target.name]


@pytest.mark.parametrize("stop", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_interruption_leaves_nothing(target, stop):
    with pytest.raises(stop):
        write_one_and(stop, target, pixels((7, 5)))
    assert names_in(target.parent) == []


def test_a_generator_that_is_closed_leaves_nothing(target):
    def flow():
        with create(target) as writer:
            for index in range(3):
                writer.write((index,), pixels((7, 5)))
                yield index

    steps = flow()
    assert next(steps) == 0
    steps.close()
    assert names_in(target.parent) == []


def test_missing_planes_are_refused_and_leave_nothing(target):
    writer = create(target)
    writer.write((0,), pixels((7, 5)))
    with pytest.raises(StackError, match=r"lacks 2 planes, the first is \(1,\)"):
        writer.commit()
    assert names_in(target.parent) == []


def test_discarding_and_committing_are_final(target):
    writer = create(target)
    writer.discard()
    writer.discard()
    with pytest.raises(StackError, match="already"):
        writer.write((0,), pixels((7, 5)))
    with pytest.raises(StackError, match="already"):
        writer.commit()
    assert names_in(target.parent) == []


def test_what_exists_is_kept_unless_it_is_to_be_overwritten(target):
    old, new = pixels((3, 7, 5), seed=1), pixels((3, 7, 5), seed=2)
    write(target, old)
    with pytest.raises(StackError, match="exists"):
        create(target)
    with pytest.raises(RuntimeError):
        write_one_and(RuntimeError, target, new[0], overwrite=True)
    assert np.array_equal(read(target), old)
    write(target, new, overwrite=True)
    assert np.array_equal(read(target), new)
    assert names_in(target.parent) == [target.name]


def test_the_old_one_stays_until_the_commit(target):
    old, new = pixels((3, 7, 5), seed=1), pixels((3, 7, 5), seed=2)
    write(target, old)
    with create(target, overwrite=True) as writer:
        for index in range(3):
            writer.write((index,), new[index])
            assert np.array_equal(read(target), old)
    assert np.array_equal(read(target), new)


def test_a_place_taken_meanwhile_is_not_overwritten(target):
    mine, theirs = create(target), pixels((3, 7, 5), seed=1)
    write(target, theirs)
    for index in range(3):
        mine.write((index,), pixels((7, 5)))
    with pytest.raises(StackError, match="exists"):
        mine.commit()
    assert np.array_equal(read(target), theirs)
    assert names_in(target.parent) == [target.name]


def test_a_folder_of_other_things_is_never_overwritten(target):
    target.mkdir(parents=True)
    (target / "thesis.txt").write_text("years of work")
    with pytest.raises(StackError, match="not an image of this format"):
        create(target, overwrite=True)
    assert (target / "thesis.txt").exists()


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StackError, match="cannot be written"):
        create(tmp_path / "file" / "a.tif")
    with pytest.raises(StackError, match="cannot be written"):
        create(tmp_path / "file" / "a.zarr")


def test_a_full_disk_is_one_sentence_and_leaves_nothing(target, monkeypatch):
    def full(self, index, plane):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tiff.TiffSink, "put", full)
    monkeypatch.setattr(ome_zarr.ZarrSink, "put", full)
    with pytest.raises(StackError, match=r"cannot be written \(No space left"):
        write(target, pixels((3, 7, 5)))
    assert names_in(target.parent) == []


WRONG_PLANES = {
    "shape": ((0,), pixels((5, 7)), r"expected a plane of \(7, 5\) uint16"),
    "dtype": ((0,), pixels((7, 5), "float32"), "not .* float32"),
    "no such plane": ((3,), pixels((7, 5)), r"expected plane \(0,\), not \(3,\)"),
    "not an index": ((), pixels((7, 5)), r"expected plane \(0,\), not \(\)"),
}


@pytest.mark.parametrize(
    ("index", "plane", "why"), WRONG_PLANES.values(), ids=WRONG_PLANES
)
def test_a_plane_that_does_not_fit_is_refused(target, index, plane, why):
    writer = create(target)
    with pytest.raises(StackError, match=why):
        writer.write(index, plane)
    writer.discard()


def test_a_tiff_is_written_in_order_and_a_zarr_in_any(tmp_path):
    writer = create(tmp_path / "a.tif")
    with pytest.raises(StackError, match="in order"):
        writer.write((1,), pixels((7, 5)))
    writer.discard()
    array = pixels((3, 7, 5))
    with create(tmp_path / "a.zarr") as writer:
        for index in (2, 0, 1):
            writer.write((index,), array[index])
        with pytest.raises(StackError, match="each plane once"):
            writer.write((1,), array[1])
    assert np.array_equal(read(tmp_path / "a.zarr"), array)


WRONG_REQUESTS = {
    "suffix": ("a.png", {}, "cannot be written; expected TIFF"),
    "compression": ("a.tif", {"compression": "jpeg"}, "zlib, zstd, none"),
    "dtype": ("a.tif", {"dtype": "float64"}, "cannot hold float64 pixels"),
    "axes": ("a.tif", {"axes": [Axis("y"), Axis("x")]}, "3 dimensions but 2 axes"),
}


@pytest.mark.parametrize(
    ("name", "options", "why"), WRONG_REQUESTS.values(), ids=WRONG_REQUESTS
)
def test_what_cannot_be_written_is_refused_at_once(tmp_path, name, options, why):
    with pytest.raises(StackError, match=why):
        create(tmp_path / name, **options)
    assert names_in(tmp_path) == []


def test_provenance_that_is_not_json_is_refused(target):
    with pytest.raises(StackError, match="not JSON"):
        create(target, provenance={"low": np.float32(1)})
