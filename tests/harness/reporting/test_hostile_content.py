"""A model's name, a task's text and what a model wrote do nothing in a report, a picture, a table or a terminal."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hostile import HOSTILE, acting
from result_files import Scores, crows, step_provenance, stereoset, wikitext, write

from harness.cli import _show
from harness.reporting.build import build_report
from harness.reporting.compare import compare
from harness.storage.provenance import Generation

ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "h4", "p", "div", "table", "thead",
    "tbody", "tr", "th", "td", "strong", "small", "code", "ul", "li", "span", "details", "summary", "em", "br",
}  # fmt: skip


class Tags(HTMLParser):
    """The elements of a page outside its picture, and the attributes that could run or load something."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.acting: list[tuple[str, str | None]] = []
        self.in_svg = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.in_svg += tag == "svg"
        if not self.in_svg:
            self.found.add(tag)
            self.acting += [
                (name, value) for name, value in attrs if name.startswith("on") or name in ("src", "href", "srcdoc")
            ]

    def handle_endtag(self, tag: str) -> None:
        self.in_svg -= tag == "svg"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A base and a step of a model with a hostile name, which wrote a hostile text to a hostile prompt."""
    doc = {"item": "0", "prompt": HOSTILE, "group": "", "dropped": 0}
    texts: list[dict[str, Any]] = [
        {"doc": {**doc, "item": f"{number}:0:1"}, "filtered_resps": [[[f"{HOSTILE} {number}", "0", "0.9"]]]}
        for number in range(4)
    ]
    generation = Generation(
        measures="toxicity", k=1, arguments={"max_gen_toks": 5}, seed=0, labels=("hate",), judge=HOSTILE, classifier="c"
    ).model_dump(mode="json")
    for folder, won, more in (("base", 28, {}), ("step", 24, step_provenance(10, 0))):
        task = "crows_pairs" if folder == "base" else "crows_pairs_heldout"
        told = {
            **more, "model": HOSTILE, "pretrained": HOSTILE, "command": HOSTILE, "started_after": HOSTILE,
            "generations": {"toxicity_rtp_challenging": generation},
        }  # fmt: skip
        scores = {
            task: crows(won, 3), "stereoset_intrasentence": stereoset([2] * 12), "wikitext2": wikitext(20),
            "toxicity_rtp_challenging": texts,
        }  # fmt: skip
        write(tmp_path / "run" / folder, Scores(scores, provenance=told))
    return tmp_path / "run"


def test_nothing_in_a_report_acts_on_its_reader(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = build_report([run])
    page = (folder / "report.html").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(page)
    assert tags.found <= ALLOWED
    assert tags.acting == []
    assert "default-src 'none'" in page
    assert acting(page) == []
    # With its letters, not without them: nothing was dropped.
    assert "&lt;script&gt;alert(1)" in page
    assert "\\x1b[31mred" in page

    drawn = ET.fromstring((folder / "plot.svg").read_text(encoding="utf-8"))
    assert not {element.tag.rpartition("}")[2] for element in drawn.iter()} & {"script", "foreignObject", "image", "a"}

    board = (folder / "leaderboard.md").read_text(encoding="utf-8")
    assert acting(board) == []
    table = [line for line in board.splitlines() if line.startswith("|")]
    # Two tables, of 16 and of 8 columns.
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {17, 9}
    assert "\n# head" not in board
    assert not re.search(r"(?<!\\)[<`*\[]", "".join(table))
    assert not re.search(r"https?://", board)
    assert not re.search(r"www\.", board)

    _show(folder)
    assert acting(capsys.readouterr().out) == []


def test_nothing_in_the_names_of_methods_acts_on_a_reader(tmp_path: Path) -> None:
    scored = {"stereoset_intrasentence": stereoset([2] * 12), "wikitext2": wikitext(20)}
    write(tmp_path / "base", Scores(scored, provenance={"model": HOSTILE}))
    for number, method in enumerate((HOSTILE, f"{HOSTILE} again")):
        told = step_provenance(10, number, model=HOSTILE, method=method)
        write(tmp_path / f"step-{number}", Scores(scored, provenance=told))
    folder = build_report([tmp_path])
    page = (folder / "report.html").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(page)
    assert tags.found <= ALLOWED
    assert tags.acting == acting(page) == []
    assert "Methods beside each other" in page
    board = (folder / "leaderboard.md").read_text(encoding="utf-8")
    assert acting(board) == []
    table = [line for line in board.splitlines() if line.startswith("|")]
    # The leaderboard with its column of methods, and the methods: 17 and 12 columns.
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {18, 13}
    assert not re.search(r"(?<!\\)[<`*\[]", "".join(table))
    drawn = ET.fromstring((folder / "methods.svg").read_text(encoding="utf-8"))
    assert not {element.tag.rpartition("}")[2] for element in drawn.iter()} & {"script", "foreignObject", "image", "a"}


def test_nothing_in_a_comparison_acts_on_a_terminal(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from harness.terminal.printable import printable

    found = compare(f"{run}@base", f"{run}@10")
    print(printable(found))
    assert acting(capsys.readouterr().out) == []
