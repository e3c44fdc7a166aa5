"""The files around the program: the citation is valid, the changelog current, and every room is on the maps."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import harness

ROOT = Path(__file__).resolve().parents[1]
ROOMS = sorted(file.parent.name for file in (ROOT / "harness").glob("*/__init__.py"))
# What the schema of the Citation File Format 1.2.0 requires, and the keys that it knows.
REQUIRED = {"authors", "cff-version", "message", "title"}
KNOWN = REQUIRED | {
    *("abstract", "commit", "contact", "date-released", "doi", "identifiers", "keywords", "license", "license-url"),
    *("preferred-citation", "references", "repository", "repository-artifact", "repository-code", "type", "url"),
    "version",
}
OF_AN_ENTITY = {
    *("address", "alias", "city", "country", "date-end", "date-start", "email", "fax", "location", "name", "orcid"),
    *("post-code", "region", "tel", "website"),
}


@pytest.fixture
def citation() -> Any:
    return yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_the_citation_is_of_the_format(citation: Any) -> None:
    assert set(citation) >= REQUIRED
    assert set(citation) <= KNOWN
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] in ("software", "dataset")
    texts = [citation[key] for key in ("message", "title", "abstract", "license", "version")]
    assert all(isinstance(text, str) and text for text in [*texts, *citation["keywords"]])
    assert len(set(citation["keywords"])) == len(citation["keywords"])
    for author in citation["authors"]:
        assert author["name"]
        assert set(author) <= OF_AN_ENTITY


def test_the_citation_is_of_this_version(citation: Any) -> None:
    assert citation["version"] == harness.__version__


def test_the_changelog_has_this_version_below_what_is_not_released() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[(.+?)\]", text, flags=re.MULTILINE)
    assert versions[:2] == ["Unreleased", harness.__version__]
    kinds = set(re.findall(r"^### (.+)$", text, flags=re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_is_in_the_tree_the_table_and_the_order_of_imports(room: str) -> None:
    tree = (ROOT / "README.md").read_text(encoding="utf-8").partition("## How it works")[2]
    assert re.search(rf"^  {room}/ +\w", tree, flags=re.MULTILINE)
    assert f"`harness/{room}/`" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert re.search(rf'"[^"\n]*harness\.{room}\b', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_maps_have_no_room_that_is_gone() -> None:
    tree = (ROOT / "README.md").read_text(encoding="utf-8").partition("## How it works")[2]
    assert sorted(re.findall(r"^  (\w+)/ ", tree, flags=re.MULTILINE)) == ROOMS
    table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## A benchmark")[0]
    assert sorted(re.findall(r"`harness/(\w+)/`", table)) == ROOMS


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(((?!https?:)[^)#]+)", (ROOT / page).read_text(encoding="utf-8")):
        assert (ROOT / target).exists(), target


def test_no_two_test_files_have_one_name() -> None:
    """pytest imports them by it, and leaves the second out of a run of all."""
    names = [file.name for file in (ROOT / "tests").rglob("test_*.py")]
    assert [name for name in names if names.count(name) > 1] == []
