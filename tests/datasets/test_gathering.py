"""Training data: from files and arrays to pieces of images in network units."""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import settings as runs
from hypothesis import strategies as st
from sample_files import write_zarr
from scipy import ndimage
from stacks_on_disk import counts, write_stack

from napari_sr.datasets import PlaneCache, SharpImage, gather_images
from napari_sr.datasets.plane_cache import FilledPlane
from napari_sr.files import open_stack
from napari_sr.image.intensity import IntensityPolicy, IntensityRange
from napari_sr.image.stack import Axis, Stack, StackError
from napari_sr.training.patches import PatchSource

FIXED = IntensityPolicy(kind="fixed", low=100, high=1100)
MEASURED = IntensityPolicy(low=1, high=99)
EVERYTHING = (slice(None), slice(None))


def network(array):
    """What FIXED makes of counts."""
    return ((array.astype(np.float64) - 100) / 1000).astype(np.float32)


def whole(image):
    return image[EVERYTHING]


class Watched:
    """Planes that remember how often each was read, and do not stay in memory."""

    dtype = np.dtype(np.uint16)

    def __init__(self, n, side=50):
        self.shape, self.read = (n, side, side), []

    def __getitem__(self, index):
        self.read.append(index[0])
        return np.full(self.shape[1:], index[0], np.uint16)


# ── what may be given ───────────────────────────────────────────────────────────────


def test_an_array_is_a_stack_of_planes():
    array = counts((3, 20, 30))

    images = gather_images(array, FIXED)

    assert [image.name for image in images] == [
        "image 1 [0]",
        "image 1 [1]",
        "image 1 [2]",
    ]
    assert {image.stack for image in images} == {"image 1"}
    assert [image.depth for image in images] == [0, 1, 2]
    assert all(image.shape == (20, 30) for image in images)
    for image, plane in zip(images, array, strict=True):
        assert np.array_equal(whole(image), network(plane))


def test_each_of_several_arrays_is_a_stack_of_its_own():
    images = gather_images(
        [counts((20, 30)), [counts((2, 9, 9), "uint8", high=200)]], FIXED
    )

    assert [image.stack for image in images] == ["image 1", "image 2", "image 2"]
    assert images[0].name == "image 1"


def test_files_folders_and_patterns_are_read_alike(tmp_path):
    array = counts((20, 30))
    path = write_stack(tmp_path / "cell.tif", array)

    for given_as in (path, str(path), tmp_path, str(tmp_path / "*.tif"), [path]):
        (image,) = gather_images(given_as, FIXED)
        assert image.name == image.stack == "cell"
        assert np.array_equal(whole(image), network(array))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_tiff_and_ome_zarr_of_any_pixel_type_give_the_same(tmp_path, dtype):
    array = counts((2, 60, 70), dtype, low=0, high=200)
    write_stack(tmp_path / "a.tif", array)
    write_zarr(tmp_path / "b.zarr", array, "zyx")

    images = gather_images(tmp_path, FIXED)

    assert [image.stack for image in images] == ["a", "a", "b", "b"]
    for image, plane in zip(images, [*array, *array], strict=True):
        assert whole(image).dtype == np.float32
        assert np.array_equal(whole(image), network(plane))


def test_one_channel_of_files_is_read(tmp_path):
    array = counts((2, 60, 70))
    path = write_zarr(tmp_path / "b.zarr", array, "cyx")

    (image,) = gather_images(path, FIXED, channel=1)

    assert np.array_equal(whole(image), network(array[1]))


def test_a_file_given_twice_is_one_image(tmp_path):
    path = write_stack(tmp_path / "cell.tif", counts((20, 30)))

    assert len(gather_images([path, tmp_path, str(path)], FIXED)) == 1


def test_files_of_one_name_are_told_apart(tmp_path):
    for folder in "ab":
        write_stack(tmp_path / folder / "cell.tif", counts((20, 30)))
    stack = Stack.from_array(counts((20, 30)), name="cell")

    images = gather_images([tmp_path, stack, stack], FIXED)

    assert [image.stack for image in images] == ["a/cell", "b/cell", "cell", "cell (2)"]


def test_an_open_stack_stays_open(tmp_path):
    path = write_stack(tmp_path / "cell.tif", counts((20, 30)))
    with open_stack(path) as stack:
        (image,) = gather_images(stack, FIXED)
        del image
        gc.collect()
        assert stack.plane(()).shape == (20, 30)


def test_depth_follows_z_or_else_the_longest_axis():
    depths = []
    for names in ("tzyx", "tpyx"):
        axes = [Axis(name) for name in names]
        stack = Stack.from_array(np.zeros((3, 2, 9, 9), np.uint8), axes=axes)
        depths.append([image.depth for image in gather_images(stack, FIXED)])

    assert depths == [[0, 1, 0, 1, 0, 1], [0, 0, 1, 1, 2, 2]]


WRONG = [
    pytest.param([], "No image was given", id="nothing"),
    pytest.param([[], []], "No image was given", id="nothing nested"),
    pytest.param(7, "not int", id="a number"),
    pytest.param([{"a": 1}], "not dict", id="a mapping"),
    pytest.param("nowhere.tif", "nowhere.tif does not exist", id="missing file"),
    pytest.param("nowhere/*.tif", "No file matches", id="empty pattern"),
    pytest.param(np.zeros((9, 9), bool), "image 1 holds bool.*to uint8", id="bool"),
    pytest.param(
        np.full((9, 9), np.nan, np.float32), "no finite pixel", id="only gaps"
    ),
]


@pytest.mark.parametrize(("sources", "why"), WRONG)
def test_what_is_no_image_is_refused(sources, why):
    with pytest.raises(ValueError, match=why):
        gather_images(sources, MEASURED)


def test_a_channel_of_an_array_is_refused():
    with pytest.raises(ValueError, match="channel=1 chooses a channel of a file"):
        gather_images(np.zeros((9, 9), np.uint8), FIXED, channel=1)


# ── counts to network range ─────────────────────────────────────────────────────────


def test_the_range_is_measured_once_per_stack():
    array = counts((3, 40, 40))
    array[1] //= 10
    dim = counts((40, 40), high=500)

    images = gather_images([array, dim], MEASURED)

    bright = IntensityRange.measure(Stack.from_array(array), MEASURED)
    assert [image.intensity for image in images[:3]] == [bright] * 3
    assert images[3].intensity == IntensityRange.measure(
        Stack.from_array(dim), MEASURED
    )
    assert np.percentile(whole(images[3]), (1, 99)) == pytest.approx([0, 1], abs=0.01)


def test_gaps_are_filled_and_known_and_do_not_count_for_the_range():
    array = counts((40, 40), "float32")
    array[:5, :7] = np.nan
    array[20, 20] = np.inf

    (image,) = gather_images(array, MEASURED)

    assert image.intensity == IntensityRange.measure(Stack.from_array(array), MEASURED)
    assert np.isfinite(whole(image)).all()
    assert image[0:1, 0:7] == pytest.approx(
        image.intensity.normalize(array[5:6, 0:7]), abs=2
    )
    assert np.array_equal(image.gaps(EVERYTHING), ~np.isfinite(array))
    assert image.gaps((slice(3, 6), slice(6, 9))).tolist() == [
        [True, False, False],
        [True, False, False],
        [False, False, False],
    ]


def test_an_integer_image_has_no_gaps():
    (image,) = gather_images(counts((9, 9)), FIXED)

    assert image.gaps(EVERYTHING) is None


# ── pieces ──────────────────────────────────────────────────────────────────────────


def ends_within(side):
    """Slices as people write them: open, negative, beyond the end, empty."""
    ends = st.none() | st.integers(-side - 2, side + 2)
    return st.builds(slice, ends, ends)


@runs(max_examples=40, deadline=None)
@given(st.data())
def test_a_piece_is_that_part_of_the_plane(data):
    array = counts((17, 23))
    (image,) = gather_images(array, FIXED)
    part = tuple(data.draw(ends_within(side)) for side in array.shape)

    assert np.array_equal(image[part], network(array[part]))


@runs(max_examples=25, deadline=None)
@given(st.data())
def test_a_crop_is_an_image_of_its_own(data):
    array = counts((17, 23))
    (image,) = gather_images(array, FIXED)
    outer, inner = (
        tuple(data.draw(ends_within(side)) for side in array.shape) for _ in range(2)
    )

    crop = image.cropped(*outer)

    assert crop.shape == array[outer].shape
    assert crop.stack == image.stack
    assert np.array_equal(crop[inner], network(array[outer][inner]))


@pytest.mark.parametrize("part", [(slice(0, 9, 2), slice(None)), slice(0, 9), (3, 4)])
def test_anything_but_two_slices_is_refused(part):
    (image,) = gather_images(counts((17, 23)), FIXED)

    with pytest.raises(IndexError, match="piece of"):
        image[part]


def test_a_piece_can_be_written_into_without_harm():
    (image,) = gather_images(counts((17, 23)), FIXED)
    before = whole(image)

    image[0:5, 0:5][:] = 0

    assert np.array_equal(whole(image), before)


MOVES = [(0.5, 0.0), (0.0, -0.3), (0.25, 0.4), (-0.5, 0.02)]


@pytest.mark.parametrize("moved", MOVES, ids=str)
def test_a_moved_image_is_a_spline_shift_of_the_whole_plane(moved):
    plane = ndimage.gaussian_filter(counts((70, 80)).astype(np.float32), 1)
    expected = network(ndimage.shift(plane, moved, order=5, mode="mirror"))
    image = SharpImage(
        "a",
        "a",
        0,
        (70, 80),
        IntensityRange(100, 1100),
        lambda: FilledPlane(plane, None),
        moved=moved,
    )

    for part in (
        EVERYTHING,
        (slice(0, 9), slice(70, 80)),
        (slice(20, 40), slice(3, 60)),
    ):
        assert image[part] == pytest.approx(expected[part], abs=2e-4)
    crop = image.cropped(slice(10, 60), slice(5, 75))
    assert whole(crop) == pytest.approx(expected[10:60, 5:75], abs=2e-4)


def test_a_movement_keeps_the_brightness():
    flat = FilledPlane(np.full((40, 40), 777, np.uint16), None)
    image = SharpImage(
        "a", "a", 0, (40, 40), IntensityRange(0, 777), lambda: flat, moved=(0.5, 0.3)
    )

    assert whole(image) == pytest.approx(np.ones((40, 40)), abs=1e-6)


# ── more than fits into memory ──────────────────────────────────────────────────────


def plane_of(nbytes, value=0):
    return FilledPlane(np.full(nbytes, value, np.uint8), None)


def test_a_plane_that_fits_is_read_once():
    source = Watched(4)
    images = gather_images(source, FIXED)

    for _ in range(3):
        for image in images:
            assert (image[3:5, 4:6] == network(np.array(image.depth))).all()

    assert source.read == [0, 1, 2, 3]


def test_measuring_the_range_and_training_read_a_plane_once():
    source = Watched(4)
    for image in gather_images(source, IntensityPolicy()):
        whole(image)

    assert sorted(source.read) == [0, 1, 2, 3]


def test_the_plane_used_longest_ago_makes_room():
    source = Watched(3)
    images = gather_images(source, FIXED, cache=PlaneCache(2 * 5000))
    for i in (0, 1, 0, 2, 0, 1):
        whole(images[i])

    assert source.read == [0, 1, 2, 1]


def test_images_of_one_cache_share_its_room():
    source, cache = Watched(3), PlaneCache(2 * 5000)
    first, second = (gather_images(source, FIXED, cache=cache) for _ in range(2))
    for image in (first[0], second[0], second[1], first[0]):
        whole(image)

    assert source.read == [0, 0, 1, 0]


@runs(max_examples=40, deadline=None)
@given(
    room=st.integers(0, 40),
    used=st.lists(st.tuples(st.integers(0, 9), st.integers(1, 15)), max_size=60),
)
def test_the_cache_never_holds_more_than_its_bytes(room, used):
    cache, sizes = PlaneCache(room), {}
    for key, nbytes in used:
        nbytes = sizes.setdefault(key, nbytes)
        plane = cache.get(key, lambda n=nbytes, k=key: plane_of(n, k))
        assert (plane.counts == key).all()
        assert cache.n_bytes <= room
        assert cache.n_bytes == sum(one.nbytes for one in cache._planes.values())


def test_a_plane_larger_than_the_cache_drives_nothing_out():
    cache, read = PlaneCache(10), []
    cache.get("small", lambda: plane_of(8))
    cache.get("large", lambda: plane_of(11))

    cache.get("small", lambda: read.append(1) or plane_of(8))

    assert not read


def test_gaps_count_for_the_cache():
    plane = counts((10, 10), "float32")
    plane[0, 0] = np.nan

    assert FilledPlane.of(plane).nbytes == 10 * 10 * (4 + 1)


def test_a_cache_of_negative_size_is_refused():
    with pytest.raises(ValueError, match="at least 0 bytes, not -1"):
        PlaneCache(-1)


def test_training_on_a_large_file_needs_little_memory(tmp_path):
    array = counts((48, 256, 256))  # 6.3 MB
    path = write_stack(tmp_path / "large.tif", array)
    del array
    images = gather_images(path, FIXED, cache=PlaneCache(2**19))
    source = PatchSource(images, 32)
    source.batch(0, 2)
    tracemalloc.start()

    for step in range(10):
        source.batch(step, 8)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**19 + 2**20


def test_few_files_are_open_at_a_time_and_none_in_the_end(tmp_path):
    for i in range(30):
        write_stack(tmp_path / f"{i}.tif", counts((9, 9), seed=i))
    images = gather_images(tmp_path, FIXED, cache=PlaneCache(0))
    assert open_files(tmp_path) == 0

    for _ in range(2):
        for i, image in enumerate(images):
            assert np.array_equal(whole(image), network(counts((9, 9), seed=i)))
            assert open_files(tmp_path) <= 16
    del images, image
    gc.collect()

    assert open_files(tmp_path) == 0


def open_files(folder):
    held = psutil.Process().open_files()
    return sum(one.path.startswith(str(folder)) for one in held)


def test_a_file_that_disappeared_is_said(tmp_path):
    path = write_stack(tmp_path / "cell.tif", counts((9, 9)))
    (image,) = gather_images(path, FIXED)
    path.unlink()

    with pytest.raises(StackError, match=r"cell\.tif does not exist"):
        whole(image)


# ── patches ─────────────────────────────────────────────────────────────────────────


def test_patches_of_images_are_those_of_the_same_arrays(tmp_path):
    arrays = [counts((30, 40), seed=i) for i in range(3)]
    for i, array in enumerate(arrays):
        write_stack(tmp_path / f"{i}.tif", array)

    streamed = PatchSource(gather_images(tmp_path, FIXED), 8, seed=3).batch(5, 20)
    held = PatchSource([network(array) for array in arrays], 8, seed=3).batch(5, 20)

    assert np.array_equal(streamed.numpy(), held.numpy())


def test_patches_are_rarely_mostly_gaps():
    array = counts((64, 64), "float32", low=5000)
    array[:, :48] = np.nan
    (image,) = gather_images(array, FIXED)
    marked = SharpImage(
        "a",
        "a",
        0,
        (64, 64),
        IntensityRange(0, 1),
        lambda: FilledPlane(np.isnan(array).astype(np.float32), np.isnan(array)),
    )
    assert image.gaps(EVERYTHING).mean() == 0.75

    patches = PatchSource([marked], 8).batch(0, 300)

    # 44 of 57 places are mostly gaps, eight in a row once in eight times
    assert (patches.mean(dim=(1, 2, 3)) > 0.5).float().mean() < 0.25
