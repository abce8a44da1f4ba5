"""One term for one thing: private words do not occur in what people read.

The list holds what a reader of the field would have to guess, and words about how the
work was organised, each with what is said instead. `docs/glossary.md` has the terms.
"""

from __future__ import annotations

import argparse
import ast
import re
import tomllib
from pathlib import Path

import pytest

import napari_sr as sr
from napari_sr.catalogue.lookup import FOR_COMPARISON, SHIPPED
from napari_sr.cli.commands import build_parser

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "napari_sr"

INSTEAD = {
    r"\btold\b": "noise-conditioned; reported; unless another is given",
    r"\bwhom\b": "patient data",
    r"recorded again": "re-degraded",
    r"what differs": "the properties that differ, by name",
    r"\bthere already\b": "already done; exists",
    r"\bof test (recordings|images),": "the usual order: … of the test images",
    r"\bkept back\b": "held out",
    r"\bnobody\b": "unknown",
    r"\b(no|not) sure(ly)?\b|\bsure gain": "(not) significant",
    r"\bsureness\b|\bhow sure\b": "uncertainty",
    r"came to nothing": "brought no gain",
    r"\brivals?\b": "baseline",
    r"\bat hand\b": "available",
    r"\bunasked\b": "automatically; without being asked",
    r"\bpretend\b": "simulated accelerator",
    r"\bmend(s|ed|ing)?\b": "correct, fix",
    r"\btells? of\b": "reports",
    r"\banew\b": "again",
    r"\bas ever\b": "as before",
    r"\b(last|two) looks?\b": "validation",
    r"\b(made|networks?|models?) (elsewhere|of others)\b": "third-party",
    r"\bchance makes\b": "expected by chance",
    r"\bin words\b": "as a sentence",
    r"(?<!there )\b(is|are) no\b(?! (longer|more|finer|larger|smaller))": "is not a",
    # How the work was organised is not of interest.
    r"\b(helper|session)s?\b|stopped by|\bissue \d+|\(#\d+\)": "stopped early; nothing",
}

PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("benchmarks/**/*.md")),
    ROOT / "sample_data" / "README.md",
]


def found_in(text):
    """Find the words of the list, each with what stands around it and its cure."""
    text = " ".join(text.split())
    return [
        f"… {text[max(0, hit.start() - 40) : hit.end() + 30]} … say: {instead}"
        for word, instead in INSTEAD.items()
        for hit in re.finditer(word, text, re.IGNORECASE)
    ]


def prose_of(page):
    """Give a page without its code, in which names stand."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S)
    text = re.sub(r"`[^`\n]+`", "CODE", text)
    # The table of examples holds the words themselves.
    text = re.sub(r"^\| before \| after \|.*?\n\n", "\n\n", text, flags=re.M | re.S)
    return re.sub(r"\]\([^)\s]+\)", "]", text)


def docstrings_of(tree):
    """Give the docstrings below a node, those of attributes too."""
    return {
        id(node.value): node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }


def messages_of(path):
    """Give all strings of a module of two words or more, but not its docstrings."""
    tree = ast.parse(path.read_text("utf-8"))
    docstrings = docstrings_of(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (getattr(part, "value", "…") for part in node.values)
            yield "".join(part if isinstance(part, str) else "…" for part in parts)
        elif isinstance(node, ast.Constant) and id(node) not in docstrings:
            if isinstance(node.value, str) and len(node.value.split()) > 1:
                yield node.value


def helps_of(parser):
    """Give the help of a parser and of all below it."""
    yield parser.format_help()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from helps_of(below)


def test_the_list_finds_its_words_and_nothing_else():
    assert len(found_in("A network told the noise,\n by whom?")) == 2
    assert len(found_in("It is no result. See (#12).")) == 2
    assert not found_in("It is no longer there; there is no file, and are no more.")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_are_in_the_terms_of_the_field(page):
    assert found_in(prose_of(page)) == []


def test_messages_labels_and_tooltips_are_in_the_terms_of_the_field():
    found = {
        str(path.relative_to(ROOT)): words
        for path in PACKAGE.rglob("*.py")
        if (words := [one for text in messages_of(path) for one in found_in(text)])
    }
    assert found == {}


def test_docstrings_are_in_the_terms_of_the_field():
    found = {
        str(path.relative_to(ROOT)): words
        for path in PACKAGE.rglob("*.py")
        for text in docstrings_of(ast.parse(path.read_text("utf-8"))).values()
        if (words := found_in(text))
    }
    assert found == {}


@pytest.mark.parametrize("name", ["napari.yaml", "trust/report/page.html.jinja"])
def test_templates_are_in_the_terms_of_the_field(name):
    assert found_in((PACKAGE / name).read_text("utf-8")) == []


def test_help_is_in_the_terms_of_the_field():
    helps = list(helps_of(build_parser()))
    assert len(helps) > 15
    assert [found for text in helps for found in found_in(text)] == []


@pytest.mark.parametrize(
    "folder", [SHIPPED, FOR_COMPARISON], ids=lambda path: path.name
)
def test_cards_are_in_the_terms_of_the_field(folder):
    cards = [sr.load_model(path).card for path in folder.glob("*.safetensors")]
    assert cards
    texts = [text for card in cards for text in (card.description, card.verdict)]
    assert [found for text in texts for found in found_in(text)] == []


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("recipes/*.toml")), ids=lambda path: path.name
)
def test_recipes_are_in_the_terms_of_the_field(path):
    recipe = tomllib.loads(path.read_text("utf-8"))
    assert found_in(recipe.get("description", "")) == []
