"""From disk to disk: where pixels lie in the world, and what is left when it stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import islice

import numpy as np
import psutil
import pytest
from stacks_on_disk import axes_of, contents, counts, names_in, read_stack, write_stack
from tiny_models import tiny_fast

from napari_sr.cli import main
from napari_sr.methods.interpolation import Interpolation
from napari_sr.models.sr_model import save_model
from napari_sr.runs.one_file import FileJob, FileResult, run_job, upscale_file
from napari_sr.settings import UpscaleSettings
from napari_sr.upscaling.flow import upscale

SUFFIXES = (".ome.tif", ".ome.zarr")
NEAREST = Interpolation("nearest", 2)


# Where the pixels lie


def corners(axes, shape):
    """Give the outer borders of the first and the last pixel along each axis."""
    return np.array(
        [
            (axis.origin - axis.spacing / 2, axis.origin + axis.spacing * (n - 0.5))
            for axis, n in zip(axes, shape, strict=True)
        ]
    )


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
@pytest.mark.parametrize("after", SUFFIXES)
@pytest.mark.parametrize("before", SUFFIXES)
def test_the_corners_of_input_and_output_agree(tmp_path, before, after, factor):
    shape = (2, 3, 11, 8)
    source = write_stack(tmp_path / f"a{before}", counts(shape), "tzyx")
    model = Interpolation("nearest", factor)
    output = upscale_file(source, tmp_path / f"r{after}", model).path

    recorded, computed = axes_of(source), axes_of(output)
    assert computed[:2] == recorded[:2]  # t and z
    assert [axis.unit for axis in computed] == ["s", "um", "um", "um"]
    low = corners(recorded, shape)
    high = corners(computed, (2, 3, 11 * factor, 8 * factor))
    extent = low[:, 1:] - low[:, :1]
    assert (np.abs(high - low) <= 1e-9 * extent).all()
    for smaller, larger in zip(computed[2:], recorded[2:], strict=True):
        assert smaller.spacing == pytest.approx(larger.spacing / factor, rel=1e-12)


@pytest.mark.parametrize("after", SUFFIXES)
def test_what_is_not_calibrated_stays_so(tmp_path, after):
    source = write_stack(tmp_path / "a.ome.tif", counts((2, 8, 8)))
    output = upscale_file(source, tmp_path / f"r{after}", NEAREST).path
    assert [axis.unit for axis in axes_of(output)] == [None, None, None]


def test_twice_by_two_lies_where_once_by_four_lies(tmp_path):
    source = write_stack(tmp_path / "a.ome.tif", counts((8, 8)), "yx")
    first = upscale_file(source, tmp_path / "2.ome.zarr", NEAREST).path
    second = upscale_file(first, tmp_path / "22.ome.tif", NEAREST).path
    direct = upscale_file(
        source, tmp_path / "4.ome.tif", Interpolation("nearest", 4)
    ).path
    for twice, once in zip(axes_of(second), axes_of(direct), strict=True):
        assert twice.origin == pytest.approx(once.origin, rel=1e-12)
        assert twice.spacing == pytest.approx(once.spacing, rel=1e-12)
    np.testing.assert_array_equal(read_stack(second), read_stack(direct))


# The model of a file does what the model in memory does


def test_a_trained_model_goes_from_disk_to_disk(tmp_path):
    array = counts((3, 30, 25))
    model = tiny_fast()
    path = save_model(model, tmp_path / "m.safetensors")
    source = write_stack(tmp_path / "a.ome.zarr", array)
    result = upscale_file(source, tmp_path / "r.ome.tif", path, tile=20)
    np.testing.assert_array_equal(
        read_stack(result.path), upscale(array, model, tile=20)
    )


# What is left when it stops: nothing, or of an OME-Zarr what is needed to go on

SHAPE, N_TILES = (3, 30, 20), 18
STOPS = [0, 1, 5, 6, 7, 12, N_TILES - 1, N_TILES]


@pytest.fixture(params=SUFFIXES)
def job(request, tmp_path):
    source = write_stack(tmp_path / "a.ome.tif", counts(SHAPE), "zyx")
    return FileJob(source, tmp_path / "out" / f"r{request.param}")


def events_of(job, upscaler=NEAREST):
    return run_job(job, upscaler, UpscaleSettings(tile=10))


def finish(job):
    """Do a job to its end, and give the bytes of its output."""
    *steps, result = events_of(job)
    assert isinstance(result, FileResult)
    assert len(steps) == N_TILES or (is_gone_on_with(job) and len(steps) < N_TILES)
    return contents(job.output)


def is_gone_on_with(job):
    return job.output.suffix == ".zarr"


def seen_in(job):
    """List what is in the folder of an output, but for a run to be gone on with."""
    kept = {f".{job.output.name}.partial"} if is_gone_on_with(job) else set()
    return sorted(set(names_in(job.output.parent)) - kept)


def elsewhere(job):
    return replace(job, output=job.output.parents[1] / "elsewhere" / job.output.name)


class Faulty(Interpolation):
    """Fails at one tile."""

    def __init__(self, call, error):
        super().__init__("nearest", 2)
        self._left, self._error = call, error

    def __call__(self, batch):
        self._left -= 1
        if self._left == 0:
            raise self._error
        return super().__call__(batch)


@pytest.mark.parametrize("n_steps", STOPS)
def test_closing_a_flow_leaves_nothing(job, n_steps):
    events = events_of(job)
    assert len(list(islice(events, n_steps))) == n_steps
    events.close()
    assert seen_in(job) == []
    assert finish(job) == finish(elsewhere(job))


@pytest.mark.parametrize("n_steps", STOPS[1:])
def test_an_interrupt_between_two_steps_leaves_nothing(job, n_steps):
    events = events_of(job)
    list(islice(events, n_steps))
    with pytest.raises(KeyboardInterrupt):
        events.throw(KeyboardInterrupt())
    assert seen_in(job) == []


@pytest.mark.parametrize("call", [1, 6, 7, N_TILES])
@pytest.mark.parametrize(
    "error", [RuntimeError("broken"), KeyboardInterrupt()], ids=repr
)
def test_a_fault_at_a_tile_leaves_nothing(job, error, call):
    with pytest.raises(type(error)) as caught:
        list(events_of(job, Faulty(call, error)))
    assert caught.value is error
    assert seen_in(job) == []
    assert finish(job) == finish(elsewhere(job))


@pytest.mark.parametrize("n_steps", [1, 7, N_TILES])
def test_an_output_to_be_replaced_stays_until_the_new_one_is_there(job, n_steps):
    finish(job)
    old = contents(job.output)
    again = replace(job, overwrite=True)
    events = run_job(again, Interpolation("bicubic", 2), UpscaleSettings(tile=16))
    list(islice(events, n_steps))
    assert contents(job.output) == old
    events.close()
    assert contents(job.output) == old
    assert seen_in(job) == [job.output.name]


def test_the_source_is_free_when_a_flow_ends(job):
    for n_steps in (1, N_TILES + 1):
        events = events_of(job)
        list(islice(events, n_steps))
        events.close()
        files = [file.path for file in psutil.Process().open_files()]
        assert str(job.source) not in files


# The same for a real process that is told to stop

SLOWLY = """
import sys, time
from napari_sr.cli import main
from napari_sr.methods.interpolation import Interpolation
compute = Interpolation.__call__
def slowly(self, batch):
    time.sleep(0.05)
    return compute(self, batch)
Interpolation.__call__ = slowly
sys.exit(main(sys.argv[1:]))
"""

SLOW = pytest.mark.slow
SIGNALS = [  # signal, suffix, seconds after the first byte, exit code
    pytest.param("SIGTERM", ".ome.tif", 0.0, 130, id="terminate-at-once"),
    pytest.param("SIGINT", ".ome.tif", 0.4, 130, id="interrupt"),
    pytest.param("SIGKILL", ".ome.zarr", 0.2, -9, id="kill-zarr"),
    pytest.param("SIGTERM", ".ome.tif", 0.5, 130, id="terminate", marks=SLOW),
    pytest.param("SIGTERM", ".ome.zarr", 0.3, 130, id="terminate-zarr", marks=SLOW),
    pytest.param("SIGKILL", ".ome.tif", 0.4, -9, id="kill", marks=SLOW),
]


def command(job):
    return [
        *("upscale", str(job.source), "-o", str(job.output)),
        *("-m", "nearest", "--factor", "2", "--tile", "10"),
    ]


def wait_for(condition, seconds=600):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never began"
        time.sleep(0.005)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals")
@pytest.mark.parametrize(("name", "suffix", "delay", "code"), SIGNALS)
def test_a_process_that_is_stopped_leaves_nothing(tmp_path, name, suffix, delay, code):
    source = write_stack(tmp_path / "a.ome.tif", counts(SHAPE), "zyx")
    job = FileJob(source, tmp_path / "out" / f"r{suffix}")
    process = subprocess.Popen(
        [sys.executable, "-c", SLOWLY, *command(job)],
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests run in the background of a shell, Ctrl-C is not listened to.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    wait_for(lambda: names_in(job.output.parent) or process.poll() is not None)
    time.sleep(delay)
    process.send_signal(getattr(signal, name))
    _, said = process.communicate(timeout=600)

    assert process.returncode == code, said
    left = seen_in(job)
    assert job.output.name not in left
    if name != "SIGKILL":
        assert left == []
        kept = "what is done is kept, and the same command resumes from there"
        told = kept if is_gone_on_with(job) else "no incomplete file is left"
        assert said == f"Interrupted; {told}.\n"
    assert main(command(job)) == 0
    assert contents(job.output) == finish(elsewhere(job))
