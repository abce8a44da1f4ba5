"""Workers: the same result as in one process, whoever is lost on the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import dask
import numpy as np
import psutil
import pytest
import tifffile
import torch
from counting import Counting, told
from stacks_on_disk import contents, counts, names_in, read_stack, write_stack
from tiny_models import tiny_fast

import napari_sr
from napari_sr.files import open_stack
from napari_sr.image.stack import Stack, StackError
from napari_sr.methods.interpolation import Interpolation
from napari_sr.runs.many_files import run_jobs
from napari_sr.runs.one_file import FileJob, FileResult, run_job, upscale_file
from napari_sr.runs.workers import Workers, _trailing_number, _WorkerState, connected
from napari_sr.settings import UpscaleSettings
from napari_sr.upscaling.flow import upscale

NEAREST = Interpolation("nearest", 2)
SETTINGS = UpscaleSettings(device="cpu")

# What distributed itself leaves open where a worker ends without a word.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def client():
    with connected(2) as client:
        yield client


def result_of(job, upscaler):
    *_, last = run_job(job, upscaler, SETTINGS)
    assert isinstance(last, FileResult)
    return last


def kill_one(client, random):
    """Kill a worker that is there, without a word."""
    # The last one to be killed may not have come back. That none does ends the run.
    pids = [nanny.pid for nanny in client.cluster.workers.values()]
    there = [pid for pid in pids if pid is not None and psutil.pid_exists(pid)]
    time.sleep(random.uniform(0, 0.1))
    if there:
        os.kill(random.choice(there), signal.SIGKILL)


@pytest.mark.parametrize(
    ("shape", "upscaler"),
    [((5, 40, 36), tiny_fast()), ((2, 600, 530), NEAREST)],
    ids=["a trained model", "coarser levels"],
)
def test_a_result_of_workers_is_that_of_one_process(tmp_path, client, shape, upscaler):
    source = write_stack(tmp_path / "a.ome.tif", counts(shape), "zyx")
    alone = result_of(FileJob(source, tmp_path / "1.ome.zarr"), upscaler)

    job = FileJob(source, tmp_path / "2.ome.zarr", workers=Workers(client, upscaler))
    shared = result_of(job, upscaler)

    assert (shared.plan, shared.shape) == (alone.plan, alone.shape)
    assert contents(shared.path) == contents(alone.path)
    assert names_in(tmp_path) == ["1.ome.zarr", "2.ome.zarr", "a.ome.tif"]


def test_channels_and_several_files_reach_the_workers(tmp_path, client):
    array = counts((3, 20, 24))
    files = [write_stack(tmp_path / f"{z}.tif", array[z]) for z in range(3)]
    workers = Workers(client, NEAREST)

    job = FileJob(tuple(files), tmp_path / "r.ome.zarr", workers=workers)

    np.testing.assert_array_equal(
        read_stack(result_of(job, NEAREST).path), upscale(array, NEAREST)
    )


def test_workers_take_a_model_for_each_channel(tmp_path, client):
    pixels = counts((2, 3, 20, 24))
    source = tmp_path / "a.ome.tif"
    tifffile.imwrite(
        source,
        pixels,
        ome=True,
        photometric="minisblack",
        metadata={"axes": "CZYX", "Channel": {"Name": ["DAPI", "GFP"]}},
    )
    own = {"GFP": Interpolation("bicubic", 2)}
    workers = Workers(client, NEAREST, of_channels=own)
    expected = [upscale(pixels[0], NEAREST), upscale(pixels[1], own["GFP"])]

    job = FileJob(source, tmp_path / "r.ome.zarr", workers=workers, of_channels=own)
    result_of(job, NEAREST)
    many = [FileJob(source, tmp_path / "m.ome.tif", of_channels=own)]
    for _, outcome in run_jobs(many, NEAREST, SETTINGS, workers):
        assert isinstance(outcome, FileResult)

    for path in (job.output, many[0].output):
        for number, plane in enumerate(expected):
            with open_stack(path, channel=number) as stack:
                found = [stack.plane(index) for index in stack.indices()]
            np.testing.assert_array_equal(found, plane)
    with pytest.raises(StackError, match=r"models of their own for \['GFP'\]"):
        result_of(replace(job, output=tmp_path / "n.ome.zarr", of_channels={}), NEAREST)


def test_each_worker_loads_the_model_once_and_no_region_is_done_twice(tmp_path, client):
    upscaler = Counting(tmp_path / "log")
    source = write_stack(tmp_path / "a.ome.tif", counts((30, 20, 24)))

    job = FileJob(source, tmp_path / "r.ome.zarr", workers=Workers(client, upscaler))
    result_of(job, upscaler)

    assert set(told(tmp_path / "log", "loaded").values()) == {1}
    begun = told(tmp_path / "log", "begun")
    assert sum(begun.values()) == 30
    assert len(begun) == 2
    assert min(begun.values()) >= 8  # both had their part


def killed_at_random(tmp_path, client, n_workers, n_kills, n_planes):
    """Kill workers in the middle of a run; give how often regions were begun."""
    random = np.random.default_rng(0)
    upscaler = Counting(tmp_path / "log", seconds=0.1)
    array = counts((n_planes, 20, 24))
    source = write_stack(tmp_path / "a.ome.tif", array)
    workers = Workers(client, upscaler, patience=600)  # a nanny may be that slow
    alone = result_of(FileJob(source, tmp_path / "1.ome.zarr"), NEAREST)
    job = FileJob(source, tmp_path / "2.ome.zarr", workers=workers)
    at = set(random.choice(n_planes - n_workers, n_kills, replace=False))
    for done, _ in enumerate(run_job(job, upscaler, SETTINGS)):
        if done in at:
            kill_one(client, random)
    assert contents(job.output) == contents(alone.path)
    np.testing.assert_array_equal(read_stack(job.output), upscale(array, NEAREST))
    return sum(told(tmp_path / "log", "begun").values())


@pytest.mark.under_load
@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")
def test_what_a_lost_worker_was_at_is_done_by_another(tmp_path, client):
    n_begun = killed_at_random(tmp_path, client, 2, n_kills=3, n_planes=30)

    assert 30 <= n_begun <= 30 + 3  # each loss costs one region at most


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")
def test_twenty_random_losses_among_four_workers(tmp_path):
    with connected(4) as client:
        n_begun = killed_at_random(tmp_path, client, 4, n_kills=20, n_planes=150)

    assert 150 <= n_begun <= 150 + 20


async def gives_up():
    raise OSError("no more processes")


@pytest.mark.under_load
@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")
def test_a_run_ends_when_no_worker_is_left_and_goes_on_with_others(tmp_path, client):
    array = counts((12, 20, 24))
    source = write_stack(tmp_path / "a.ome.tif", array)
    upscaler = Counting(tmp_path / "log", seconds=0.1)
    rest = (source, tmp_path / "r.ome.zarr")
    with connected(2) as lost:
        job = FileJob(*rest, workers=Workers(lost, upscaler, patience=1))
        steps = run_job(job, upscaler, SETTINGS)
        for _ in range(4):
            next(steps)
        for nanny in lost.cluster.workers.values():
            nanny.instantiate = gives_up
            os.kill(nanny.pid, signal.SIGKILL)
        with pytest.raises(
            StackError, match=r"No worker is left.*1 s.*the same command again"
        ):
            list(steps)

    job = FileJob(*rest, workers=Workers(client, upscaler))
    *others, _ = run_job(job, upscaler, SETTINGS)

    assert len(others) <= 12 - 4
    np.testing.assert_array_equal(read_stack(job.output), upscale(array, NEAREST))


@pytest.mark.under_load
def test_workers_that_come_later_are_used(tmp_path):
    source = write_stack(tmp_path / "a.ome.tif", counts((30, 20, 24)))
    upscaler = Counting(tmp_path / "log", seconds=0.2)
    with connected(1) as client:
        job = FileJob(
            source, tmp_path / "r.ome.zarr", workers=Workers(client, upscaler)
        )
        steps = run_job(job, upscaler, SETTINGS)
        next(steps)
        client.cluster.scale(2)
        client.wait_for_workers(2)
        list(steps)

    assert len(told(tmp_path / "log", "begun")) == 2


@pytest.fixture
def begin(tmp_path):
    """Begins a scheduler or a worker as a process of its own, which leads a group."""
    says = tmp_path / "scheduler.json"
    paths = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    with ExitStack() as stack:

        def begin(what, *options):
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{what}", *options,
                 "--scheduler-file", str(says), "--no-dashboard"],
                env={**os.environ, "PYTHONPATH": paths},
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        yield begin


@pytest.fixture
def apart(tmp_path, begin):
    """The address of a scheduler that is a process of its own, and the process."""
    says = tmp_path / "scheduler.json"
    scheduler = begin("scheduler", "--port", "0", "--host", "127.0.0.1")
    while not says.exists():
        time.sleep(0.05)
    return json.loads(says.read_text())["address"], scheduler


@pytest.mark.under_load
@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")
def test_a_run_ends_when_workers_are_killed_with_those_who_restart_them(
    tmp_path, apart, begin
):
    array = counts((30, 20, 24))
    source = write_stack(tmp_path / "a.ome.tif", array)
    upscaler = Counting(tmp_path / "log", seconds=0.1)
    nannies = [begin("worker", "--nthreads", "1") for _ in range(2)]
    with connected(scheduler=apart[0]) as client:
        client.wait_for_workers(2)
        workers = Workers(client, upscaler, patience=2)
        job = FileJob(source, tmp_path / "r.ome.zarr", workers=workers)
        steps = run_job(job, upscaler, SETTINGS)
        next(steps)
        for nanny in nannies:
            os.killpg(nanny.pid, signal.SIGKILL)
        with pytest.raises(
            StackError, match=r"No worker is left.*2 s.*the same command again"
        ):
            list(steps)

        begin("worker", "--no-nanny", "--nthreads", "1")
        client.wait_for_workers(1)
        *others, _ = run_job(job, upscaler, SETTINGS)
    assert len(others) < 30
    np.testing.assert_array_equal(read_stack(job.output), upscale(array, NEAREST))


@pytest.mark.under_load
def test_a_run_ends_when_the_scheduler_is_gone(tmp_path, apart, begin):
    address, scheduler = apart
    begin("worker", "--no-nanny", "--nthreads", "1")
    source = write_stack(tmp_path / "a.ome.tif", counts((30, 20, 24)))
    upscaler = Counting(tmp_path / "log", seconds=0.1)
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "2s"}),
        connected(scheduler=address) as client,
    ):
        workers = Workers(client, upscaler, patience=600)
        job = FileJob(source, tmp_path / "r.ome.zarr", workers=workers)
        steps = run_job(job, upscaler, SETTINGS)
        next(steps)
        scheduler.kill()
        with pytest.raises(
            StackError, match=r"scheduler .* is lost.*the same command again"
        ):
            list(steps)

    *others, _ = run_job(FileJob(source, job.output), NEAREST, SETTINGS)
    assert len(others) < 30
    np.testing.assert_array_equal(
        read_stack(job.output), upscale(counts((30, 20, 24)), NEAREST)
    )


@pytest.fixture
def typed(tmp_path):
    """A run with workers, begun as from a terminal; it has said so."""
    source = write_stack(tmp_path / "a.ome.tif", counts((3000, 16, 18)))
    output = tmp_path / "r.ome.zarr"
    words = ("upscale", str(source), "-o", str(output), "-m", "nearest", "--factor=2")
    code = (
        "import sys; from napari_sr.cli import main; "
        "print(flush=True); sys.exit(main(sys.argv[1:]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words, "--workers", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout.readline() == "\n"
    yield process, output
    process.kill()
    process.communicate()


def said_after_ctrl_c(process):
    """Interrupt as a terminal does, all of them; give what is said, once all ended."""
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate()
    deadline = time.monotonic() + 60
    while any(group_of(pid) == process.pid for pid in psutil.pids()):
        assert time.monotonic() < deadline, "a process is left over"
        time.sleep(0.05)
    return said


def group_of(pid):
    with suppress(ProcessLookupError):
        return os.getpgid(pid)
    return None


@pytest.mark.under_load
@pytest.mark.skipif(sys.platform == "win32", reason="there are no process groups")
def test_ctrl_c_with_workers_is_one_sentence(typed):
    process, output = typed
    done = output.with_name(f".{output.name}.partial") / "done" / "0"
    while not (done.exists() and any(done.iterdir())):
        assert process.poll() is None, "it ended before anything was done"
        time.sleep(0.02)

    assert said_after_ctrl_c(process) == (
        "Interrupted; what is done is kept, and the same command resumes from there.\n"
    )
    assert process.returncode == 130


@pytest.mark.under_load
@pytest.mark.skipif(sys.platform == "win32", reason="there are no process groups")
@pytest.mark.parametrize("seconds", [0.1, 0.4, 1.5, 4.0])
def test_ctrl_c_while_workers_start_is_one_sentence(typed, seconds):
    process, _ = typed
    time.sleep(seconds)  # modules are imported, then workers begun

    said = said_after_ctrl_c(process)

    assert process.returncode == 130
    assert said.startswith("Interrupted; ")
    assert said.count("\n") == 1


def test_a_client_that_closed_by_itself_ends_a_run_in_one_sentence(
    tmp_path, apart, begin
):
    begin("worker", "--no-nanny", "--nthreads", "1")
    source = write_stack(tmp_path / "a.ome.tif", counts((6, 20, 24)))
    with connected(scheduler=apart[0]) as client:
        workers = Workers(client, NEAREST)
        steps = run_job(
            FileJob(source, tmp_path / "r.ome.zarr", workers=workers), NEAREST, SETTINGS
        )
        next(steps)
        client.close()  # as it does where a scheduler stays away for too long
        with pytest.raises(
            StackError, match=r"scheduler .* is lost.*the same command again"
        ):
            list(steps)


def test_an_error_on_a_worker_is_told_and_what_is_done_stays(tmp_path, client):
    source = tmp_path / "a.ome.zarr"
    write_stack(source, counts((6, 20, 24)))
    last = source / "0" / "c" / "5" / "0" / "0"
    whole = last.read_bytes()
    workers = Workers(client, NEAREST)
    job = FileJob(source, tmp_path / "r.ome.zarr", workers=workers)
    steps = run_job(job, NEAREST, UpscaleSettings(intensity_range=(0, 60_000)))
    next(steps)
    last.write_bytes(whole[:-10])

    with pytest.raises(StackError, match="damaged: plane"):
        list(steps)

    last.write_bytes(whole)
    again = list(run_job(job, NEAREST, UpscaleSettings(intensity_range=(0, 60_000))))
    assert len(again) < 6
    np.testing.assert_array_equal(
        read_stack(job.output), np.repeat(np.repeat(counts((6, 20, 24)), 2, 1), 2, 2)
    )


def test_what_is_in_memory_is_refused(tmp_path, client):
    stack = Stack.from_array(counts((8, 9)))
    workers = Workers(client, NEAREST)
    job = FileJob(stack, tmp_path / "r.ome.zarr", workers=workers)

    with pytest.raises(StackError, match="in memory"):
        list(run_job(job, NEAREST, SETTINGS))


def test_a_scheduler_that_is_there_is_used(tmp_path, client):
    source = write_stack(tmp_path / "a.ome.tif", counts((3, 20, 24)))
    with connected(scheduler=client.scheduler.address) as other:
        workers = Workers(other, NEAREST)
        assert workers.dashboard.startswith("http://127.0.0.1:")
        path = upscale_file(source, tmp_path / "r.ome.zarr", NEAREST, client=other).path
    assert client.run(os.getpid)  # its workers stay
    np.testing.assert_array_equal(
        read_stack(path), upscale(counts((3, 20, 24)), NEAREST)
    )


def test_a_scheduler_that_is_not_there_is_told():
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(
            StackError, match=r"No scheduler responds at tcp://127\.0\.0\.1:1"
        ),
        connected(scheduler="tcp://127.0.0.1:1"),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "number"), [("0", 0), ("SLURMCluster-13", 13), ("tcp://a:b", 0)]
)
def test_workers_of_a_machine_are_told_apart_by_number(name, number):
    assert _trailing_number(name) == number


SBATCH = """#!/bin/sh
cp "$1" "$0.job"
setsid bash "$0.job" > "$0.log" 2>&1 &
echo $! > "$0.pid"
echo Submitted batch job 7
"""


@pytest.fixture
def sbatch(tmp_path, monkeypatch):
    """A SLURM of one machine, which starts each job at once."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in {"sbatch": SBATCH, "scancel": "#!/bin/sh\n"}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    return folder


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("setsid") is None, reason="there is no setsid")
def test_jobs_of_slurm_are_workers(tmp_path, sbatch):
    (tmp_path / "slurm.toml").write_text(
        'cores = 1\nmemory = "2GB"\nqueue = "gpu"\ninterface = "lo"\n'
        'job_extra_directives = ["--gres=gpu:1"]\n'
    )
    source = write_stack(tmp_path / "a.ome.tif", counts((3, 20, 24)))

    with connected(slurm=tmp_path / "slurm.toml") as client:
        workers = Workers(client, NEAREST)
        job = FileJob(source, tmp_path / "r.ome.zarr", workers=workers)
        result = result_of(job, NEAREST)

    np.testing.assert_array_equal(
        read_stack(result.path), upscale(counts((3, 20, 24)), NEAREST)
    )


@pytest.mark.parametrize("text", ["cores =", "cores = 1\nmemory = '1GB'\ncolour = 3"])
def test_a_wrong_file_of_slurm_is_told(tmp_path, text):
    (tmp_path / "slurm.toml").write_text(text)
    with (
        pytest.raises(
            ValueError, match=r"slurm\.toml does not hold arguments of dask_jobqueue"
        ),
        connected(slurm=tmp_path / "slurm.toml"),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "expected"), [("0", 0), ("5", 2), ("SLURMCluster-7", 1)]
)
def test_workers_of_one_machine_take_turns_at_its_gpus(monkeypatch, name, expected):
    chosen = []

    def device(number):
        chosen.append(number)
        return nullcontext()

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "device", device)
    n_threads = torch.get_num_threads()  # which a station sets for its process
    station = _WorkerState(NEAREST, {}, napari_sr.__version__)
    worker = SimpleNamespace(name=name, state=SimpleNamespace(nthreads=n_threads))
    station.setup(worker)
    assert station.call(lambda _station, number: number + 1, (1,)) == 2
    assert chosen == [expected]
