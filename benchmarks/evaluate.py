"""Measure shipped models on real test images, beside what a lab would use instead.

    python -m benchmarks.evaluate --data DIR [--models NAME …] [--write]

Every sharp test image of the models' domains is recorded (see
`napari_sr.evaluation.PROTOCOL`) and super-resolved by the whole upscaling flow. Models
of a domain stand beside the general one of their factor. `--write` puts the figures
into the card; `--docs` writes `docs/quality.md` and the README's table from the cards.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import napari_sr as sr
from benchmarks.real_images import add_data_argument, rows_of, sharp_planes
from napari_sr.card import read_card
from napari_sr.catalogue import SHIPPED
from napari_sr.describing import models_table, quality_tables
from napari_sr.evaluation import (
    PROTOCOL,
    SMALLEST,
    Specimen,
    evaluate_specimen,
    flat_fields,
    methods_for,
    ways_of,
)
from napari_sr.model import SRModel, save_model
from napari_sr.quality import Measured, averaged

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS, README = Path("docs/quality.md"), Path("README.md")
BEGIN, END = "<!-- quality:begin -->", "<!-- quality:end -->"


def measure(model: SRModel, root: Path, role: str = "test") -> list[Measured]:
    """Measure one model on the images of its domain, beside its rivals."""
    methods = methods_for([model, *_general_beside(model)])
    found: list[Measured] = []
    for specimen in specimens(root, model.domain, role):
        found += evaluate_specimen(specimen, methods, model.factor)
    return averaged(found)


def specimens(root: Path, domain: str, role: str) -> Iterator[Specimen]:
    """Read the sharp images of a domain; "general" stands for all."""
    for row in rows_of(root, role, None if domain == "general" else domain):
        for sharp in sharp_planes(root, row):
            if min(sharp.shape) >= SMALLEST:
                yield Specimen(row.dataset, sharp, row.domain == "topography")


def _general_beside(model: SRModel) -> list[SRModel]:
    """Find the general model of the same factor, if there is another one."""
    path = SHIPPED / f"general-x{model.factor}.safetensors"
    if model.domain == "general" or not path.exists():
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
    table = models_table(sr.list_models())
    README.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*")
    parser.add_argument("--role", default="test", choices=["test", "calibrate"])
    parser.add_argument("--write", action="store_true", help="into the model's card")
    parser.add_argument("--docs", action="store_true", help="write docs/quality.md")
    add_data_argument(parser)
    arguments = parser.parse_args()
    names = arguments.models
    if names is None:
        names = sorted(path.stem for path in SHIPPED.glob("*.safetensors"))
    for name in names:
        model = sr.load_model(name)
        assert isinstance(model, SRModel)
        figures = tuple(measure(model, arguments.data, arguments.role))
        flat = {"bicubic": methods_for([model])["bicubic"], **ways_of(model)}
        card = model.card.model_copy(
            update={
                "quality": figures,
                "flat_fields": tuple(flat_fields(flat, model.factor)),
                "quality_protocol": PROTOCOL,
            }
        )
        print(f"## {name}\n\n", "\n\n".join(quality_tables(card)), flush=True)
        if arguments.write:
            save_model(SRModel(card, model.weights), SHIPPED / f"{name}.safetensors")
    if arguments.docs:
        write_docs()


if __name__ == "__main__":
    main()
