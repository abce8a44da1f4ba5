"""The command line: `napari-sr upscale`, `finetune`, `train`, `models`, `info`, ….

This package alone prints, and knows the exit codes: 0 all done, 1 something could not
be done, 2 the command was not understood, 130 interrupted. Heavy modules are imported
by the commands that need them, so that help is quick.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import warnings
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from napari_sr._version import __version__
from napari_sr.catalogue.summary import describe_model
from napari_sr.cli.arguments import read_options, read_output
from napari_sr.cli.comparing import add_bank, add_compare
from napari_sr.cli.evaluating import add_evaluate
from napari_sr.cli.exit_codes import FAILED, INTERRUPTED, MISUSED, OK
from napari_sr.cli.exporting import add_export
from napari_sr.cli.flags import add_flags, typed_in
from napari_sr.cli.info import describe_stack, stack_as_json
from napari_sr.cli.reporting import add_report
from napari_sr.cli.running import add_running, jobs_for, plan_jobs, run_jobs
from napari_sr.cli.saying import say
from napari_sr.cli.selfchecking import add_selfcheck
from napari_sr.cli.training import add_finetune, add_train
from napari_sr.files.finding import find_sources, find_stacks
from napari_sr.files.formats import COMPRESSIONS
from napari_sr.files.url import as_path
from napari_sr.settings import UpscaleSettings, explain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from napari_sr.runs.output_names import Source


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a log in an old encoding lacks ×
            stream.reconfigure(errors="replace")
    arguments = argparse.Namespace()
    on_terminate = signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        arguments = _parser().parse_args(argv)
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            return int(arguments.run(arguments))
    except KeyboardInterrupt:
        _complain(f"Interrupted; {_what_is_left(arguments)}.")
        return INTERRUPTED
    except ValidationError as error:
        _complain(explain(error, "--"))
        return MISUSED
    except (ValueError, OSError, RuntimeError, MemoryError, ImportError) as error:
        _complain(str(error) or type(error).__name__)
        return FAILED
    finally:
        signal.signal(signal.SIGTERM, on_terminate)


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    """Say what a warning says, without the line of code that it comes from."""
    _complain(str(message))


def _what_is_left(arguments: argparse.Namespace) -> str:
    output = getattr(arguments, "output", None)
    if output is not None and output.suffix.lower() == ".zarr":
        return "what is done is kept, and the same command goes on from there"
    return "nothing half-written was left"


def _as_interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Let a terminated run end as one that was interrupted: cleanly."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # nothing disturbs the cleaning up
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="napari-sr",
        description="Super-resolve X-ray and microscopy stacks in their own counts.",
    )
    parser.add_argument(
        "--version", action="version", version=f"napari-sr {__version__}"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_upscale(commands.add_parser("upscale", help="super-resolve files or folders"))
    add_finetune(
        commands.add_parser("finetune", help="adapt a model to your own images")
    )
    add_train(commands.add_parser("train", help="train a model from a recipe"))
    add_evaluate(
        commands.add_parser("evaluate", help="measure models on your own sharp images")
    )
    add_report(
        commands.add_parser("report", help="say how far a result can be trusted")
    )
    add_compare(commands.add_parser("compare", help="put several methods side by side"))
    add_selfcheck(
        commands.add_parser("selfcheck", help="check a device: results, memory, pace")
    )
    add_bank(commands.add_parser("bank", help="index sharp images for retrieval"))
    _add_models(commands.add_parser("models", help="list the models that can be used"))
    info = commands.add_parser("info", help="describe a stack or a model file")
    info.add_argument("file", help="a stack, a model file, or the name of a model")
    info.add_argument("--json", action="store_true", help="print everything, as JSON")
    info.set_defaults(run=_info)
    demo = commands.add_parser("demo", help="run the main job on example images")
    demo.add_argument("-o", "--output", type=Path, default=Path("demo_output"))
    demo.add_argument(
        "--samples", type=Path, help="folder of sample data; made anew when not given"
    )
    demo.set_defaults(run=_demo)
    samples = commands.add_parser("samples", help="write the synthetic sample data")
    samples.add_argument("folder", type=Path)
    samples.set_defaults(run=_samples)
    return parser


def _add_models(models: argparse.ArgumentParser) -> None:
    models.set_defaults(run=_models)
    actions = models.add_subparsers(metavar="ACTION")
    into = actions.add_parser(
        "import", help="take over a model file, or a network made elsewhere"
    )
    into.add_argument("file", type=Path,
        help=".safetensors, .pth of another repository, or a package of "
        "bioimage.io")  # fmt: skip
    into.add_argument("--trust", action="store_true",
        help="run the code that comes with a package")  # fmt: skip
    into.set_defaults(run=_import_model)
    add_export(actions.add_parser("export", help="write a model for other programs"))


def _add_upscale(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("inputs", nargs="*", metavar="IN",
        help="files, folders, quoted patterns, or URLs of OME-Zarr")  # fmt: skip
    add("-o", "--output", type=read_output, metavar="OUT",
        help="a file for one input (.ome.tif or .ome.zarr), else a folder; asked for "
        "unless the recipe says it, as is the model")  # fmt: skip
    add("-m", "--model", help="a name (see `napari-sr models`) or file")
    add("--recipe", type=Path, metavar="FILE",
        help="a TOML file that says what is not said here")  # fmt: skip
    add("--factor", type=int, help="for methods without one of their own (bicubic)")
    add("--set", nargs=2, action="append", metavar=("NAME", "VALUE"), dest="options",
        help="an option of a method without weights, such as psf_sigma "
        "1.5")  # fmt: skip
    add("--channel", type=int, help="which channel to take, from 0")
    add("--stack", action="store_true", help="take all inputs as planes of one stack")
    add("--overwrite", action="store_true", help="replace existing outputs")
    add("--compression", choices=COMPRESSIONS,
        help="all lossless; zlib is read everywhere, zstd is faster")  # fmt: skip
    add_flags(parser, UpscaleSettings)
    add_running(parser)
    parser.set_defaults(run=_upscale, misuse=parser.error)


def _upscale(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments)
    if arguments.stack:
        files = find_stacks(arguments.inputs, leave_out=arguments.output)
        sources: list[Source] = [tuple(files)]
    else:
        sources = [*find_sources(arguments.inputs, leave_out=arguments.output)]

    from napari_sr.catalogue.lookup import load_with_options
    from napari_sr.upscaling.flow import as_upscaler

    options = arguments.options or {}
    model = load_with_options(arguments.model, arguments.factor, options)
    upscaler = as_upscaler(model, settings)
    jobs = jobs_for(arguments, sources, upscaler.factor)
    if arguments.plan:
        return plan_jobs(jobs, upscaler, settings)
    return run_jobs(arguments, jobs, upscaler, settings)


def _settings(arguments: argparse.Namespace) -> UpscaleSettings:
    """Gather the settings; what is not typed is taken from the recipe, if there is one.

    The other arguments are completed in place.
    """
    options: dict[str, object] = {}
    if arguments.options is not None:
        arguments.options = read_options(arguments.options)
    if arguments.recipe is not None:
        from napari_sr.recipes import read_upscale_recipe

        recipe = read_upscale_recipe(arguments.recipe)
        options = dict(recipe.settings)
        for name in _FROM_RECIPE:
            typed = getattr(arguments, name)
            if typed is None or typed is False or typed == []:
                setattr(arguments, name, getattr(recipe, name))
        if isinstance(arguments.output, str):
            arguments.output = as_path(arguments.output)
    if arguments.compression is None:
        arguments.compression = COMPRESSIONS[0]
    required = {"IN": "inputs", "-o/--output": "output", "-m/--model": "model"}
    missing = [name for name, kept in required.items() if not getattr(arguments, kept)]
    if missing:
        arguments.misuse(f"the following arguments are required: {', '.join(missing)}")
    options |= typed_in(arguments, UpscaleSettings)
    return UpscaleSettings.model_validate(options)


_FROM_RECIPE = (
    *("inputs", "output", "model", "factor", "options", "channel", "stack"),
    *("format", "compression", "workers", "scheduler", "slurm"),
)


def _models(_arguments: argparse.Namespace) -> int:
    from napari_sr.catalogue.lookup import list_models

    listed = list_models()
    width = max(len(model.name) for model in listed)
    for model in listed:
        factors = ", ".join(map(str, model.factors))
        asked = " (--factor)" if len(model.factors) > 1 else ""
        kind = f"×{factors}{asked}  {model.domain}"
        say(f"{model.name:{width}}  {kind}: {model.description}")
    return OK


def _import_model(arguments: argparse.Namespace) -> int:
    from napari_sr.catalogue.installing import install_foreign, install_model
    from napari_sr.catalogue.lookup import list_entries

    if arguments.file.suffix == ".safetensors":
        path = install_model(arguments.file)
    else:
        path = install_foreign(arguments.file, trust=arguments.trust)
    card = next(entry.card for entry in list_entries() if entry.path == path)
    say(describe_model(card))
    return OK


def _info(arguments: argparse.Namespace) -> int:
    say(_description(arguments.file, arguments.json))
    return OK


def _description(name: str, as_json: bool) -> str:
    """Find out what a name or a path stands for, and describe it."""
    from napari_sr.cards.model_card import read_card
    from napari_sr.catalogue.lookup import list_cards, read_foreign
    from napari_sr.files import open_stack
    from napari_sr.interop.recognizing import is_foreign
    from napari_sr.methods.names import METHODS

    named = {card.name: card for card in list_cards()}
    if name in named or name.endswith(".safetensors") or is_foreign(name):
        is_ours = name.endswith(".safetensors")
        card = named.get(name) or (
            read_card(name) if is_ours else read_foreign(name).card
        )
        return card.model_dump_json(indent=1) if as_json else describe_model(card)
    if name in METHODS and not Path(name).exists():
        text = f"{name}, by 2, 3, 4 or 8 (--factor): {METHODS[name].description}"
        return json.dumps({"name": name}) if as_json else text
    with open_stack(name) as stack:
        known = stack_as_json(stack)
        return json.dumps(known, indent=1) if as_json else describe_stack(stack)


def _demo(arguments: argparse.Namespace) -> int:
    from napari_sr.cli.demo import HEADING, run_demo

    say(HEADING)
    for line in run_demo(arguments.output, arguments.samples):
        say(line)
    return OK


def _samples(arguments: argparse.Namespace) -> int:
    from napari_sr.phantoms import write_samples

    for path in write_samples(arguments.folder, overwrite=True):
        say(path)
    return OK


def _complain(text: str) -> None:
    say(text, file=sys.stderr)
