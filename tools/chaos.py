"""Break runs and files at random for as long as one likes; count what came of it.

    make chaos                     # two minutes
    python -m tools.chaos --minutes 60 --seed 7 --write

Runs and trainings are killed at random moments, their disk takes no more, their input
vanishes, a second process does the same, until one comes to its end. Then the result
must be the one that nobody disturbed, nothing may be left over, and what was said must
be sentences. Files that can be read are changed at random bytes, and opened in
processes that have little memory and time. `--write` puts the counts into
docs/chaos.md.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = Path(__file__).parents[1] / "docs" / "chaos.md"
_CONTEXT = multiprocessing.get_context("forkserver")
_MEMORY, _SECONDS = 6 * 2**30, 20
"""What may be taken to open changed files: address space, and time for each."""
_PER_PROCESS = 100
"""Changed files that a process opens."""


# ── runs ────────────────────────────────────────────────────────────────────────────


@dataclass
class Workload:
    """A command, and what of its folder is its result."""

    name: str
    arguments: list[str]
    result: str
    resume: list[str] = field(default_factory=list)
    """What is typed besides once there is something to go on with."""
    checkpoint: str = ""
    share: float = 1.0
    """How often it is taken, against others."""


_MODEL = ("-m", "general-x2")
WORKLOADS = [
    Workload("TIFF", ["upscale", "a.ome.tif", *_MODEL, "-o", "r.ome.tif"], "r.ome.tif"),
    Workload(
        "OME-Zarr", ["upscale", "a.ome.tif", *_MODEL, "-o", "r.ome.zarr"], "r.ome.zarr"
    ),
    Workload("folder", ["upscale", "in", *_MODEL, "-o", "out"], "out"),
    Workload(
        "workers",
        ["upscale", "a.ome.tif", *_MODEL, "-o", "r.ome.zarr", "--workers", "2"],
        "r.ome.zarr",
        share=0.1,
    ),
    Workload(
        "fine-tune",
        ["finetune", "sharp", "--base", "general-x2", "--iterations", "4",
         "--keep-anyway", "-o", "m.safetensors"],
        "m.safetensors", ["--resume"], "m.safetensors.checkpoint", 0.4,
    ),
    Workload(
        "train",
        ["train", "recipe.toml", "--keep-anyway", "-o", "m.safetensors"],
        "m.safetensors", ["--resume"], "m.safetensors.checkpoint", 0.6,
    ),
]  # fmt: skip
RECIPE = """
name = "small"
images = ["sharp"]
[settings]
iterations = 12
batch = 2
patch = 20
validate_every = 3
arguments = { channels = 4, n_blocks = 1 }
device = "cpu"
"""
FAULTS = ("killed", "disk full", "input gone", "two at once")


def prepare(folder: Path) -> None:
    """Write what all workloads read."""
    import tifffile

    random = np.random.default_rng(0)
    planes = random.poisson(300, (6, 48, 64)).astype(np.uint16)
    tifffile.imwrite(folder / "a.ome.tif", planes, metadata={"axes": "ZYX"})
    for name in ("in", "sharp"):
        (folder / name).mkdir()
    for number in range(3):
        tifffile.imwrite(folder / "in" / f"{number}.tif", planes[number])
        image = np.kron(random.poisson(300, (20, 20)), np.ones((8, 8), int))
        tifffile.imwrite(folder / "sharp" / f"{number}.tif", image.astype(np.uint16))
    (folder / "recipe.toml").write_text(RECIPE)


def _command(folder: Path, arguments: list[str], most_bytes: int | None) -> None:
    """Run a command in a process of its own, which leads a group."""
    os.setsid()
    os.chdir(folder)
    with open("said", "a", encoding="utf-8") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    if most_bytes is not None:  # writing more is refused, as by a full disk
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    import torch

    from napari_sr.cli import main

    torch.set_num_threads(1)
    code = main(arguments)
    sys.stdout.flush()
    os._exit(code)


def start(
    folder: Path, arguments: list[str], most_bytes: int | None = None
) -> multiprocessing.process.BaseProcess:
    """Begin a command in a process that has imported everything already."""
    process = _CONTEXT.Process(
        target=_command, args=(folder, arguments, most_bytes), daemon=False
    )
    process.start()
    return process


def digest_of(path: Path) -> str:
    """Say what a result is: its pixels, or the weights of a model."""
    if path.suffix == ".safetensors":
        from napari_sr.cards.model_card import read_card

        return json.dumps(read_card(path).digests, sort_keys=True)
    from napari_sr.files import open_stack

    digest = hashlib.sha256()
    is_image = path.name.endswith((".ome.tif", ".ome.zarr"))
    for image in [path] if is_image else sorted(path.glob("*.ome.tif")):
        with open_stack(image) as stack:
            for index in stack.indices():
                digest.update(stack.plane(index).tobytes())
    return digest.hexdigest()


def arguments_of(workload: Workload, folder: Path) -> list[str]:
    """Give what is typed now."""
    is_begun = workload.checkpoint and (folder / workload.checkpoint).exists()
    return workload.arguments + (workload.resume if is_begun else [])


def ended(process: multiprocessing.process.BaseProcess, most: float) -> bool:
    """Wait for a process for so many seconds; kill its whole group after them."""
    process.join(most)
    if process.exitcode is not None:
        return True
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid or 0, signal.SIGKILL)
    process.kill()
    process.join()
    return False


def disturb(
    fault: str,
    workload: Workload,
    folder: Path,
    seconds: float,
    random: np.random.Generator,
) -> bool:
    """Do one thing to a run; tell whether it was hit before its end."""
    arguments = arguments_of(workload, folder)
    moment = random.uniform(0, seconds)
    if fault == "killed":
        return not ended(start(folder, arguments), moment)
    if fault == "disk full":
        process = start(folder, arguments, int(random.integers(100, 40_000)))
        return ended(process, 20 * seconds + 60) and process.exitcode != 0
    if fault == "two at once":
        both = [start(folder, arguments) for _ in range(2)]
        if not all(ended(process, 20 * seconds + 120) for process in both):
            raise TimeoutError(f"{workload.name}: two at once did not end")
        return any(process.exitcode for process in both)
    process = start(folder, arguments)
    time.sleep(moment)
    sources = {"train": "sharp", "fine-tune": "sharp", "folder": "in"}
    source = folder / sources.get(workload.name, "a.ome.tif")
    source.rename(folder / "elsewhere")
    is_over = ended(process, 20 * seconds + 60)
    (folder / "elsewhere").rename(source)
    return is_over and process.exitcode != 0


def left_over(folder: Path) -> list[str]:
    """List hidden files that a finished run has left."""
    return [str(path.relative_to(folder)) for path in folder.rglob(".*")]


def break_run(
    workload: Workload,
    whole: dict[str, tuple[str, float]],
    random: np.random.Generator,
    counts: Counter,
) -> None:
    """Disturb a run a few times, then let it end, and look at what is there."""
    expected, seconds = whole[workload.name]
    with TemporaryDirectory() as place:
        folder = Path(place)
        prepare(folder)
        for _ in range(int(random.integers(1, 6))):
            weights = (0.7, 0.1, 0.1, 0.1)
            fault = str(random.choice(FAULTS, p=weights))
            if workload.checkpoint and fault == "two at once":
                continue  # two trainings with one checkpoint are refused or undefined
            counts[workload.name, fault] += disturb(
                fault, workload, folder, seconds, random
            )
            result = folder / workload.result
            if result.exists() and workload.name != "folder":
                counts[workload.name, "half-written"] += digest_of(result) != expected
                break
        if not (folder / workload.result).exists() or workload.name == "folder":
            process = start(folder, arguments_of(workload, folder))
            if not ended(process, 20 * seconds + 120):
                counts[workload.name, "hung"] += 1
                return
            counts[workload.name, "not gone on with"] += process.exitcode != 0
        is_same = (folder / workload.result).exists() and (
            digest_of(folder / workload.result) == expected
        )
        counts[workload.name, "lost"] += not is_same
        said = (folder / "said").read_text("utf-8", errors="replace")
        counts[workload.name, "traceback"] += "Traceback" in said
        # A run that was over before the last kill took what it had left with it.
        counts[workload.name, "left over"] += bool(left_over(folder))
        if not is_same or "Traceback" in said or left_over(folder):
            print(workload.name, is_same, left_over(folder), said[-3000:], flush=True)


def undisturbed(workload: Workload) -> tuple[str, float]:
    """Run a workload to its end: its result, and the seconds that it takes."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        prepare(folder)
        started = time.monotonic()
        if not ended(start(folder, workload.arguments), 300):
            raise TimeoutError(workload.name)
        seconds = time.monotonic() - started
        if not (folder / workload.result).exists():
            raise RuntimeError((folder / "said").read_text("utf-8"))
        return digest_of(folder / workload.result), seconds


# ── files ───────────────────────────────────────────────────────────────────────────


def seeds_of(folder: Path) -> dict[str, tuple[Path, Callable[[Path], None]]]:
    """Write a small file of each kind that is read, and say how it is opened."""
    import tifffile
    import tomli_w

    import napari_sr as sr
    from napari_sr.cards.model_card import read_card
    from napari_sr.catalogue.exporting import export_model
    from napari_sr.catalogue.lookup import read_foreign
    from napari_sr.models.sr_model import read_model
    from napari_sr.recipes import read_recipe, read_upscale_recipe
    from napari_sr.training.checkpoint import TrainingState

    def planes_of(path: Path) -> None:
        with sr.open_stack(path) as stack:
            for index in stack.indices():
                stack.plane(index)

    random = np.random.default_rng(1)
    planes = random.integers(0, 999, (2, 24, 20), np.uint16)
    tifffile.imwrite(folder / "plain.tif", planes, photometric="minisblack")
    tifffile.imwrite(folder / "small.ome.tif", planes, metadata={"axes": "ZYX"},
                     compression="zlib")  # fmt: skip
    tifffile.imwrite(folder / "imagej.tif", planes, imagej=True,
                     metadata={"axes": "ZYX", "spacing": 2, "unit": "um"})  # fmt: skip
    tifffile.imwrite(folder / "tiled.tif", planes[0], tile=(16, 16))
    bicubic = sr.load_model("bicubic", factor=2)
    sr.upscale_file(folder / "plain.tif", folder / "image.ome.zarr", bicubic)
    settings = sr.TrainingSettings(
        iterations=2, batch=1, patch=16, arguments={"channels": 2, "n_blocks": 1},
        validate_every=1,
    )  # fmt: skip
    images = [random.integers(0, 999, (48, 48), np.uint16) for _ in range(2)]
    checkpoint = folder / "training.checkpoint"
    training = sr.train(images, settings, checkpoint=checkpoint)
    for step in training:
        if step.iteration == 1:
            training.save()
            shutil.copy(checkpoint, folder / "kept.checkpoint")
    sr.save_model(training.model, folder / "model.safetensors")
    paper = settings.model_copy(update={"architecture": "srresnet"})
    export_model(sr.finetune(images, None, settings=paper), folder / "other.pth")
    recipe = {
        "name": "a",
        "settings": settings.model_dump(exclude_none=True, mode="json"),
    }
    (folder / "train.toml").write_bytes(tomli_w.dumps(recipe).encode())
    (folder / "run.toml").write_text('model = "bicubic"\ninputs = ["a.tif"]\n')
    found: dict[str, tuple[Path, Callable[[Path], None]]] = {
        "plain TIFF": (folder / "plain.tif", planes_of),
        "OME-TIFF": (folder / "small.ome.tif", planes_of),
        "ImageJ TIFF": (folder / "imagej.tif", planes_of),
        "tiled TIFF": (folder / "tiled.tif", planes_of),
        "OME-Zarr": (folder / "image.ome.zarr", planes_of),
        "model file": (folder / "model.safetensors", lambda path: read_model(path)),
        "card": (folder / "model.safetensors", lambda path: read_card(path)),
        "checkpoint of others": (folder / "other.pth", lambda path: read_foreign(path)),
        "training": (folder / "kept.checkpoint", lambda path: TrainingState.load(path)),
        "recipe of a training": (folder / "train.toml", lambda path: read_recipe(path)),
        "recipe of a run": (
            folder / "run.toml",
            lambda path: read_upscale_recipe(path),
        ),
    }
    with contextlib.suppress(ImportError):
        import pydicom.data

        name = pydicom.data.get_testdata_file("CT_small.dcm")
        shutil.copy(name, folder / "slice.dcm")
        found["DICOM"] = (folder / "slice.dcm", planes_of)
    with contextlib.suppress(ImportError):
        import h5py

        with h5py.File(folder / "volume.h5", "w") as file:
            data = file.create_dataset("data", data=planes, compression="gzip")
            data.attrs["element_size_um"] = (2.0, 0.5, 0.5)
        found["HDF5"] = (folder / "volume.h5", planes_of)
    with contextlib.suppress(ImportError):
        import mrcfile

        with mrcfile.new(folder / "volume.mrc", planes) as file:
            file.voxel_size = 5.0
        found["MRC"] = (folder / "volume.mrc", planes_of)
    with contextlib.suppress(ImportError):
        import nibabel

        image = nibabel.Nifti1Image(planes.T.astype(np.int16), np.diag([1, 1, 2, 1]))
        for kind, name in {"NIfTI": "a.nii", "packed NIfTI": "b.nii.gz"}.items():
            nibabel.save(image, folder / name)
            found[kind] = (folder / name, planes_of)
    with contextlib.suppress(ImportError, ValueError):
        package = export_model(training.model, folder / "package.zip")
        found["package of bioimage.io"] = (package, lambda path: read_foreign(path))
    return found


def change(content: bytes, random: np.random.Generator) -> bytes:
    """Flip, cut, repeat or overwrite some bytes."""
    changed = bytearray(content)
    kind = int(random.integers(5))
    at = int(random.integers(len(changed)))
    if kind == 0:
        del changed[at:]
    elif kind == 1:
        length = int(random.integers(1, 64))
        changed[at : at + length] = random.bytes(length)
    elif kind == 2:
        changed[at:at] = changed[at : at + int(random.integers(1, 64))]
    else:
        head = min(len(changed), 512)  # where most that is said stands
        for _ in range(int(random.integers(1, 9))):
            place = int(random.integers(head if kind == 3 else len(changed)))
            changed[place] = int(random.choice([0, 1, 127, 255, random.integers(256)]))
    return bytes(changed)


def _open_changed(folder: Path, name: str, seed: int, pipe: object) -> None:
    """Open changed copies of a file; tell how each ended."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError()))
    source, look = seeds_of_known(folder)[name]
    random = np.random.default_rng(seed)
    with TemporaryDirectory() as place, contextlib.redirect_stderr(io.StringIO()):
        for number in range(_PER_PROCESS):
            copy = Path(place) / f"{number}{source.name}"
            shutil.copytree(source, copy) if source.is_dir() else shutil.copy(
                source, copy
            )
            files = (
                [p for p in copy.rglob("*") if p.is_file()] if copy.is_dir() else [copy]
            )
            changed = files[int(random.integers(len(files)))]
            changed.write_bytes(change(changed.read_bytes(), random))
            signal.alarm(_SECONDS)
            pipe.send((number, _outcome(partial(look, copy))))  # type: ignore[attr-defined]
            signal.alarm(0)
            shutil.rmtree(copy) if copy.is_dir() else copy.unlink()
    os._exit(0)


def _outcome(look: Callable[[], None]) -> str:
    """Open a file and tell how it ended: read, refused in a sentence, or how else."""
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            look()
    except TimeoutError:
        return "hung"
    except (ValueError, OSError) as error:  # ours are of these kinds
        is_sentence = type(error).__module__.startswith("napari_sr")
        return "refused" if is_sentence else f"{type(error).__name__}: {error}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "read"


_SEEDS: dict[Path, dict[str, tuple[Path, Callable[[Path], None]]]] = {}


def seeds_of_known(folder: Path) -> dict[str, tuple[Path, Callable[[Path], None]]]:
    """Give the seeds that the parent has written; forked processes inherit them."""
    return _SEEDS[folder]


def break_files(folder: Path, name: str, seed: int, counts: Counter) -> None:
    """Open changed copies of one kind of file in a process of its own."""
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe(duplex=False)
    process = fork.Process(target=_open_changed, args=(folder, name, seed, theirs))
    process.start()
    theirs.close()
    n_told = 0
    with contextlib.suppress(EOFError):
        while ours.poll(_SECONDS + 10):
            _, outcome = ours.recv()
            n_told += 1
            kind = outcome if outcome in ("read", "refused", "hung") else "raw error"
            counts[name, kind] += 1
            if kind in ("raw error", "hung"):
                print(
                    f"{name}, seed {seed}, number {n_told - 1}: {outcome}"[:300],
                    flush=True,
                )
    process.join(5)
    if n_told < _PER_PROCESS:
        counts[name, "crashed"] += 1
        print(f"{name}, seed {seed}, number {n_told}: the process ended", flush=True)
        process.kill()


# ── all of it ───────────────────────────────────────────────────────────────────────

BAD = ("half-written", "not gone on with", "lost", "left over", "traceback", "hung")
OUTCOMES = ("read", "refused", "raw error", "hung", "crashed")


def tables(runs: Counter, files: Counter) -> str:
    """Write the counts as Markdown."""
    lines = ["| run | " + " | ".join((*FAULTS, *BAD)) + " |"]
    lines.append("|---" * (1 + len(FAULTS) + len(BAD)) + "|")
    for workload in WORKLOADS:
        row = [str(runs[workload.name, column]) for column in (*FAULTS, *BAD)]
        lines.append(f"| {workload.name} | " + " | ".join(row) + " |")
    lines += ["", "| changed files | number | " + " | ".join(OUTCOMES) + " |"]
    lines.append("|---" * (2 + len(OUTCOMES)) + "|")
    for name in dict.fromkeys(name for name, _ in files):
        row = [files[name, outcome] for outcome in OUTCOMES]
        lines.append(f"| {name} | {sum(row)} | " + " | ".join(map(str, row)) + " |")
    total = sum(files.values())
    n_kills = sum(runs[workload.name, "killed"] for workload in WORKLOADS)
    lines += ["", f"{n_kills} kills, {total} changed files."]
    return "\n".join(lines)


def main() -> int:
    """Run the command line; 1 if anything was lost, hung, left over or raw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=["runs", "files"])
    parser.add_argument("--write", action="store_true", help="into docs/chaos.md")
    arguments = parser.parse_args()
    _CONTEXT.set_forkserver_preload(["napari_sr.cli", "napari_sr.training.session",
                                     "napari_sr.runs.workers"])  # fmt: skip
    random = np.random.default_rng(arguments.seed)
    runs, files = Counter(), Counter()
    with TemporaryDirectory() as place:
        folder = Path(place)
        os.environ["NAPARI_SR_MODELS"] = str(folder / "models")
        whole = {}
        if arguments.only != "files":
            start(folder, ["models"]).join()  # the server is warm after it
            whole = {workload.name: undisturbed(workload) for workload in WORKLOADS}
        if arguments.only != "runs":
            _SEEDS[folder] = seeds_of(folder)
        shares = np.array([workload.share for workload in WORKLOADS])
        number, end = 0, time.monotonic() + 60 * arguments.minutes
        while time.monotonic() < end:
            if arguments.only != "files":
                workload = WORKLOADS[
                    random.choice(len(WORKLOADS), p=shares / shares.sum())
                ]
                break_run(workload, whole, random, runs)
            if arguments.only != "runs":
                names = list(_SEEDS[folder])
                seed = arguments.seed * 1_000_000 + number
                break_files(folder, names[number % len(names)], seed, files)
                number += 1
    text = tables(runs, files)
    print(text)
    if arguments.write:
        PAGE.write_text(
            PAGE.read_text("utf-8").split("<!-- counts -->")[0]
            + "<!-- counts -->\n\n`python -m tools.chaos --minutes "
            f"{arguments.minutes:g} --seed {arguments.seed}`:\n\n{text}\n",
            "utf-8",
        )
    is_bad = any(runs[w.name, b] for w in WORKLOADS for b in BAD)
    return int(is_bad or any(files[n, o] for n, _ in files for o in OUTCOMES[2:]))


if __name__ == "__main__":
    sys.exit(main())
