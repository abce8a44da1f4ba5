"""The workers of dask.distributed: each loads the model once and does region by region.

This module alone knows dask. A worker gets a run and a number: pixels go from the store
to the worker and back, never through the scheduler. Where a worker is lost, another one
does its region.
"""

from __future__ import annotations

import logging
import re
import signal
import tomllib
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import resource_tracker
from queue import Empty, SimpleQueue
from threading import Lock, current_thread, main_thread
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import torch

from napari_sr._version import __version__
from napari_sr.device import choose_device
from napari_sr.files import open_channels
from napari_sr.files.url import Url
from napari_sr.image.stack import Stack, StackError
from napari_sr.runs.channels import upscalers_for
from napari_sr.runs.resume import RunFolder
from napari_sr.runs.volume import LocalExecutor
from napari_sr.upscaling.flow import TileStep

try:
    import dask
    from distributed import (
        CancelledError,
        Client,
        KilledWorker,
        LocalCluster,
        get_worker,
    )
    from distributed.client import ClosedClientError
    from distributed.diagnostics.plugin import WorkerPlugin
except ImportError as error:
    raise ImportError(
        "Workers need dask.distributed; pip install 'napari-sr[dask]'."
    ) from error

if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Collection,
        Generator,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )
    from contextlib import AbstractContextManager
    from pathlib import Path

    from napari_sr.files.channel import Pick
    from napari_sr.models.upscaler import Upscaler
    from napari_sr.runs.output_names import Source
    from napari_sr.settings import UpscaleSettings
    from napari_sr.upscaling.plan import Plan

    _Recording = tuple[Path | Url | tuple[Path, ...], tuple[Pick, ...] | None]
    """Absolute paths or an address, and which channels."""

_LOSSES = 10
"""Workers that may be lost over one region before it is given up."""
PATIENCE = 60.0
"""Seconds that a run waits for a worker when there is none."""
PATIENCE_IN_A_QUEUE = 86_400.0
"""The same where workers are jobs of SLURM, which may have to wait for their turn."""
_LOOK_EVERY = 1.0
"""Seconds between two counts of the workers while nothing ends."""
_ANSWER = 10.0
"""Seconds that a scheduler has for an answer before it counts as gone."""
_KEPT = "What is done is kept: run the same command again."
_SCHEDULER_GONE = f"The connection to the scheduler of the workers is lost. {_KEPT}"


@contextmanager
def connected(
    n_workers: int | None = None,
    scheduler: str | None = None,
    slurm: Path | None = None,
) -> Iterator[Client]:
    """Connect to workers for a while: those of a scheduler, of SLURM, or local ones.

    Parameters
    ----------
    n_workers
        Local processes, or jobs of SLURM; 1 when not given.
    scheduler
        Address of a scheduler, such as `tcp://node:8786`; its workers are used.
    slurm
        A TOML file with what `dask_jobqueue.SLURMCluster` takes: queue, account,
        cores, memory, walltime, …

    Raises
    ------
    StackError
        If the scheduler does not answer.
    ValueError
        If the file of SLURM is not usable.
    """
    settings = {
        "distributed.scheduler.allowed-failures": _LOSSES,
        "distributed.scheduler.worker-saturation": 1.0,
    }
    with dask.config.set(settings), ExitStack() as stack:
        try:
            if scheduler is not None:
                client = Client(scheduler)
            else:
                with _uninterrupted():
                    cluster = (
                        _slurm(slurm, n_workers) if slurm else _local(n_workers or 1)
                    )
                    client = Client(stack.enter_context(cluster))
                    if slurm is None:
                        client.register_plugin(
                            _IgnoringInterrupts(), name="napari-sr-deaf"
                        )
        except OSError as error:
            if scheduler is None:
                raise StackError(f"No workers could be started ({error}).") from error
            raise StackError(
                f"No scheduler responds at {scheduler} ({error}). Start one with "
                "`dask scheduler`, or use --workers."
            ) from error
        yield stack.enter_context(client)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Put Ctrl-C off while processes start: interrupted then, some would be left.

    A terminal tells all of them. Those that are started here are deaf to it, and what
    they start: this process ends them.
    """
    if current_thread() is not main_thread():  # which alone is interrupted
        yield
        return
    told: list[int] = []
    kinds = (signal.SIGINT, signal.SIGTERM)
    before = {
        kind: signal.signal(kind, lambda number, _frame: told.append(number))
        for kind in kinds
    }
    is_masked = hasattr(signal, "pthread_sigmask")
    if is_masked:  # threads and processes inherit it
        resource_tracker.ensure_running()  # which takes the mask off once it starts
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        if is_masked:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for kind, handler in before.items():
            signal.signal(kind, handler)
    if told:
        signal.raise_signal(told[0])


def _local(n_workers: int) -> LocalCluster:
    """Start processes on this machine, which share its cores."""
    return LocalCluster(
        n_workers=n_workers,
        threads_per_worker=max(1, torch.get_num_threads() // n_workers),
        memory_limit=0,  # settings bound it; a worker that is paused would never go on
        dashboard_address="127.0.0.1:0",
        silence_logs=logging.CRITICAL,  # what a user should know is said by us
    )


def _slurm(path: Path, n_jobs: int | None) -> Any:  # noqa: ANN401 - it has no types
    """Start a cluster whose workers are jobs of SLURM, one process each."""
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError as error:
        raise ImportError(
            "SLURM needs dask-jobqueue; pip install 'napari-sr[dask]'."
        ) from error
    finally:
        signal.signal(signal.SIGINT, on_interrupt)  # which that import takes over
    try:
        options = tomllib.loads(path.read_text("utf-8-sig"))
        cluster = SLURMCluster(**{"processes": 1, **options})
    except (RecursionError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} does not hold arguments of dask_jobqueue.SLURMCluster: {error}"
        ) from error
    cluster.scale(jobs=n_jobs or 1)
    return cluster


class Workers:
    """The workers of a client, each with the same upscaler.

    Parameters
    ----------
    client
        From `connected`, or any other.
    upscaler
        Sent to each worker once, whenever it joins.
    patience
        Seconds that a run goes on without any worker. Then it ends, and what is done
        is kept.
    of_channels
        Upscalers of some channels, by number or name, in place of that of all.
    """

    def __init__(
        self,
        client: Client,
        upscaler: Upscaler,
        patience: float = PATIENCE,
        of_channels: Mapping[Pick, Upscaler] | None = None,
    ) -> None:
        here, *others = (
            each.to(choose_device("cpu"))
            for each in (upscaler, *(of_channels or {}).values())
        )
        for each in (here, *others):
            _ = each.bytes_per_pixel  # what lies in files has been read then, is sent
        own = dict(zip(of_channels or {}, others, strict=True))
        self._own = set(own)
        self._client = client
        self._patience, self._last_seen = patience, monotonic()
        self._station = f"napari-sr-{uuid4().hex}"
        client.register_plugin(_WorkerState(here, own, __version__), name=self._station)

    @property
    def dashboard(self) -> str:
        """Where to look at them."""
        return str(self._client.dashboard_link)

    def crew(
        self,
        source: Source,
        channel: tuple[Pick, ...] | None,
        of_channels: Collection[Pick] = (),
    ) -> DaskExecutor:
        """Give those who do the regions of a recording.

        Raises
        ------
        StackError
            If it is in no file, or channels have upscalers that no worker was given.
        """
        if set(of_channels) != self._own:
            raise StackError(
                f"Workers have models of their own for {sorted(map(str, self._own))}, "
                f"but {sorted(map(str, of_channels))} were asked for; start new "
                "workers."
            )
        if isinstance(source, Stack):
            raise StackError(
                "Workers read a recording from its file, but this one is in memory. "
                "Save it first, or run without workers."
            )
        if isinstance(source, Url):
            return DaskExecutor(self, (source, channel))
        if isinstance(source, tuple):
            return DaskExecutor(
                self, (tuple(path.absolute() for path in source), channel)
            )
        return DaskExecutor(self, (source.absolute(), channel))

    def results(
        self, do: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]
    ) -> Generator[Any, None, None]:
        """Have something done for each of many; give what comes of it as it comes.

        Parameters
        ----------
        do
            Called on a worker with its station and a task. What it has done already
            must do no harm: a worker may be lost before it says so.
        tasks
            What else it is called with.

        Raises
        ------
        StackError
            If one of them ends worker after worker, no worker is left, or the scheduler
            is gone.
        """
        waiting, ended = iter(tasks), SimpleQueue[Any]()
        held: set[Any] = set()
        self._last_seen = monotonic()
        try:
            while True:
                # No more than are worked on: what waits at a lost worker looks guilty.
                n_free = max(1, self._count()) - len(held)
                for task in islice(waiting, max(0, n_free)):
                    future = self._client.submit(
                        _at_station, self._station, do, task, pure=False
                    )
                    held.add(future)
                    future.add_done_callback(ended.put)
                if not held:
                    return
                with suppress(Empty):  # workers may have come or gone
                    future = ended.get(timeout=_LOOK_EVERY)
                    held.remove(future)
                    yield self._result(future)
        except ClosedClientError as error:  # it lost the scheduler before this was sent
            raise StackError(_SCHEDULER_GONE) from error
        finally:
            self._forget(held)

    def _result(self, future: Any) -> Any:  # noqa: ANN401 - distributed has no types
        try:
            while True:
                try:
                    return future.result(timeout=_ANSWER)
                except TimeoutError:
                    if future.status == "error":  # it is the worker's
                        raise
                    self._count()  # lost with its worker, and done again by another
        except KilledWorker as error:
            raise StackError(
                f"{_LOSSES + 1} workers were lost at the same part; they may need "
                f"more memory. {_KEPT}"
            ) from error
        except CancelledError as error:
            raise StackError(_SCHEDULER_GONE) from error
        finally:
            future.release()

    def _count(self) -> int:
        """Count the workers there are; refuse to wait for ever for the next one."""
        try:
            scheduler = self._client.scheduler
            n = len(self._client.sync(scheduler.ncores, callback_timeout=_ANSWER))
        except (
            AttributeError,
            OSError,
            RuntimeError,
        ):  # it is gone, or does not answer
            n = 0
        now = monotonic()
        if n:
            self._last_seen = now
        elif now - self._last_seen >= self._patience:
            raise StackError(
                f"No worker is left, and none joined within {self._patience:g} s "
                f"(--patience). {_KEPT}"
            )
        return n

    def _forget(self, held: Iterable[Any]) -> None:
        """Have nothing more done, as far as workers still respond."""
        with suppress(OSError, RuntimeError, ClosedClientError):
            self._client.cancel(list(held))


@dataclass(frozen=True, slots=True)
class DaskExecutor:
    """Workers who do the regions of one recording; see `volumes.Crew`."""

    workers: Workers
    recording: _Recording

    def plans(self, settings: UpscaleSettings) -> Sequence[Plan]:
        """Have a worker decide: its device and its memory count, not ours."""
        plans: Sequence[Plan]
        (plans,) = self.workers.results(_plans, [(self.recording, settings)])
        return plans

    def do(
        self, run: RunFolder, level: int, numbers: Sequence[int]
    ) -> Iterator[TileStep]:
        """Have regions of a level done; the one before is complete."""
        folder = run.folder.absolute()
        groups = (
            run.slabs(numbers).values() if level == 0 else ([each] for each in numbers)
        )
        tasks = [(self.recording, folder, level, group) for group in groups]
        for done, number in enumerate(self.workers.results(_regions, tasks), start=1):
            yield TileStep(run.levels[level][number].index, done, len(tasks))


class _IgnoringInterrupts(WorkerPlugin):
    """Ctrl-C reaches all processes of a terminal; ours alone ends the others."""

    def setup(self, worker: Any) -> None:  # noqa: ANN401 - distributed has no types
        """Begin on a worker."""
        if current_thread() is main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)


class _WorkerState(WorkerPlugin):
    """What a worker keeps: the upscalers, and the recording that it reads."""

    def __init__(
        self, upscaler: Upscaler, of_channels: Mapping[Pick, Upscaler], version: str
    ) -> None:
        self.upscaler, self.of_channels = upscaler, dict(of_channels)
        self._version = version

    def setup(self, worker: Any) -> None:  # noqa: ANN401 - distributed has no types
        """Begin on a worker that knows the run or has just joined."""
        self._lock = Lock()
        self._n_threads = worker.state.nthreads
        self._number = _trailing_number(str(worker.name))
        self._opened: tuple[_Recording, list[Stack]] | None = None

    def teardown(self, worker: Any) -> None:  # noqa: ANN401 - distributed has no types
        """Close what was opened."""
        self._close()

    def call(self, do: Callable[..., Any], task: tuple[Any, ...]) -> Any:  # noqa: ANN401
        """Do one thing at a time, with all threads and a GPU of our own."""
        if __version__ != self._version:
            raise StackError(
                f"A worker has napari-sr {__version__}, but the run was started with "
                f"{self._version}. Install the same version everywhere."
            )
        with self._lock, self._own_gpu():
            torch.set_num_threads(self._n_threads)
            return do(self, *task)

    def _own_gpu(self) -> AbstractContextManager[object]:
        """Take turns with the other workers of this machine in choosing a GPU."""
        n_gpus = torch.cuda.device_count()
        return torch.cuda.device(self._number % n_gpus) if n_gpus else nullcontext()

    def alone(self, recording: _Recording, device: str) -> LocalExecutor:
        """Give what does regions of a recording in this process."""
        if self._opened is None or self._opened[0] != recording:
            self._close()
            source, channel = recording
            self._opened = recording, open_channels(source, channel)
        stacks = self._opened[1]
        upscaler = self.on(device)
        return LocalExecutor(stacks, upscalers_for(stacks, upscaler, self.of_channels))

    def on(self, device: str) -> Upscaler:
        """Give the upscaler on a device; it stays there, as do those of channels."""
        place = choose_device(device)
        self.upscaler = self.upscaler.to(place)
        for pick, own in self.of_channels.items():
            self.of_channels[pick] = own.to(place)
        return self.upscaler

    def _close(self) -> None:
        if self._opened is not None:
            for stack in self._opened[1]:
                stack.close()
            self._opened = None


def _trailing_number(name: str) -> int:
    """Read the number of a worker from its name, such as 3 or SLURMCluster-3."""
    digits = re.search(r"[0-9]+$", name)
    return int(digits[0]) if digits else 0


def _at_station(name: str, do: Callable[..., Any], task: tuple[Any, ...]) -> Any:  # noqa: ANN401
    """Do something on the worker that this runs on."""
    return get_worker().plugins[name].call(do, task)


def _plans(
    station: _WorkerState, recording: _Recording, settings: UpscaleSettings
) -> Sequence[Plan]:
    return station.alone(recording, settings.device).plans(settings)


def _regions(
    station: _WorkerState,
    recording: _Recording,
    folder: Path,
    level: int,
    numbers: Sequence[int],
) -> int:
    """Do regions, unless they are done: by a worker that was only taken for lost."""
    run = RunFolder(folder)
    left = [number for number in numbers if not run.is_done(level, number)]
    if left:
        alone = station.alone(recording, run.record.plan.device)
        for _ in alone.do(run, level, left):
            pass
    return numbers[0]
