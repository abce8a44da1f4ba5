"""Measure shipped models on real test images, beside what a lab would use instead.

    python -m benchmarks.accuracy.evaluate --data DIR [--models NAME …] [--write]

Every sharp test image of the models' domains is recorded (see
`napari_sr.evaluation.protocol.PROTOCOL`) and super-resolved by the whole upscaling
flow. Models of a domain stand beside the general one of their factor. `--write` puts
the figures into the card; `--docs` writes `docs/quality.md` and the README's table from
the cards.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import napari_sr as sr
from benchmarks.accuracy.real_images import add_data_argument, rows_of, sharp_planes
from napari_sr.cards.model_card import read_card
from napari_sr.catalogue.lookup import SHIPPED, list_cards
from napari_sr.catalogue.summary import models_table, quality_tables
from napari_sr.evaluation.protocol import (
    PROTOCOL,
    SMALLEST,
    SharpPlane,
    evaluate_specimen,
    flat_fields_of,
    methods_for,
)
from napari_sr.image.sampling import evenly_spread
from napari_sr.metrics.quality import Measured, averaged
from napari_sr.models.sr_model import SRModel, save_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_sr.cards.model_card import ModelCard

N_PLANES = 4
DOCS, README = Path("docs/quality.md"), Path("README.md")
BEGIN, END = "<!-- quality:begin -->", "<!-- quality:end -->"


def measure(
    models: Sequence[SRModel], root: Path, role: str = "test"
) -> dict[str, list[Measured]]:
    """Measure models of one factor on the images of their domains, beside baselines.

    Every image is recorded and given to each baseline once, for all models together.

    Returns
    -------
    dict
        By name of a model: the figures of what stands in its card.
    """
    general = _general_beside(models)
    found: dict[str, list[Measured]] = {model.name: [] for model in models}
    for domain, specimen in specimens(root, _common_domain(models), role):
        meant = [model for model in models if model.domain in (domain, "general")]
        if not meant:
            continue
        methods = methods_for(list({m.name: m for m in (*meant, *general)}.values()))
        measured = list(evaluate_specimen(specimen, methods, models[0].factor))
        for model in meant:
            others = [one for one in general if one.name != model.name]
            shown = methods_for([model, *others])
            found[model.name] += [one for one in measured if one.method in shown]
    return {name: averaged(many) for name, many in found.items()}


def specimens(root: Path, domain: str, role: str) -> Iterator[tuple[str, SharpPlane]]:
    """Read the sharp images of a domain, with its name; "general" stands for all.

    Of a volume `N_PLANES` planes, evenly spread: neighbours hardly differ.
    """
    for row in rows_of(root, role, None if domain == "general" else domain):
        planes = list(sharp_planes(root, row))
        for number in evenly_spread(len(planes), N_PLANES):
            sharp = planes[number]
            if min(sharp.shape) >= SMALLEST:
                heights = row.domain == "topography"
                yield row.domain, SharpPlane(row.dataset, sharp, heights, row.group)


def _common_domain(models: Sequence[SRModel]) -> str:
    domains = {model.domain for model in models}
    return domains.pop() if len(domains) == 1 else "general"


def _general_beside(models: Sequence[SRModel]) -> list[SRModel]:
    """Find the general model of the same factor, if there is one."""
    path = SHIPPED / f"general-x{models[0].factor}.safetensors"
    if not path.exists():
        return []
    general = sr.load_model(path)
    assert isinstance(general, SRModel)
    return [general]


def write_docs() -> None:
    """Write the page of all tables, and the table of the README, from the cards."""
    parts = ["# Quality of the shipped models", PROTOCOL]
    for path in sorted(SHIPPED.glob("*.safetensors")):
        card = read_card(path)
        parts += [f"## {card.name}", card.description, *quality_tables(card)]
    DOCS.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    before, rest = README.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    table = models_table(list_cards())
    README.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


def shipped(names: Sequence[str] | None = None) -> list[SRModel]:
    """Load models by name, all shipped ones when none is named."""
    if names is None:
        names = sorted(path.stem for path in SHIPPED.glob("*.safetensors"))
    loaded = [sr.load_model(name) for name in names]
    return [model for model in loaded if isinstance(model, SRModel)]


def by_factor(models: Sequence[SRModel]) -> list[list[SRModel]]:
    """Put models of one factor together."""
    groups: dict[int, list[SRModel]] = defaultdict(list)
    for model in models:
        groups[model.factor].append(model)
    return list(groups.values())


def with_figures(model: SRModel, figures: Sequence[Measured]) -> ModelCard:
    """Put what was measured into a model's card, with what it leaves of flat noise."""
    return model.card.model_copy(
        update={
            "quality": tuple(figures),
            "flat_fields": tuple(flat_fields_of([model])),
            "quality_protocol": PROTOCOL,
        }
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*")
    parser.add_argument("--role", default="test", choices=["test", "calibrate"])
    parser.add_argument("--write", action="store_true", help="into the model's card")
    parser.add_argument("--docs", action="store_true", help="write docs/quality.md")
    add_data_argument(parser)
    arguments = parser.parse_args()
    for models in by_factor(shipped(arguments.models)):
        figures = measure(models, arguments.data, arguments.role)
        for model in models:
            card = with_figures(model, figures[model.name])
            print(f"## {model.name}\n\n", "\n\n".join(quality_tables(card)), flush=True)
            if arguments.write:
                path = SHIPPED / f"{model.name}.safetensors"
                save_model(SRModel(card, model.weights), path)
    if arguments.docs:
        write_docs()


if __name__ == "__main__":
    main()
