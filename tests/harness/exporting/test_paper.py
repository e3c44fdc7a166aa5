"""The table for papers: the report's numbers with their intervals, and names that LaTeX prints as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hostile import HOSTILE, acting
from result_files import Scores, crows, write

from harness.cli import app
from harness.exporting.paper import escaped, export, latex, markdown_table
from harness.exporting.source import read_run
from harness.reporting.index import Index


def test_cells_are_values_with_their_intervals(run: Path) -> None:
    exported = read_run(run)
    index = Index.of(exported.report)
    base = index.stages[0]
    entry = index.entry(base, index.crows_task(base), "crows_score")
    assert entry is not None
    assert entry.low is not None
    assert entry.high is not None
    cell = f"70.0 [{entry.low:.1f}, {entry.high:.1f}]"
    markdown, tex = markdown_table(exported), latex(exported)
    assert f"| {cell.replace('[', chr(92) + '[').replace(']', chr(92) + ']')} |" in markdown
    assert f"{{{cell}}}" in tex
    assert len([line for line in markdown.splitlines() if line.startswith("|")]) == 2 + 3
    rows = [line for line in tex.splitlines() if line.endswith(r"\\")]
    assert {line.count("&") for line in rows} == {7}
    for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\usepackage{booktabs}"):
        assert rule in tex


def test_special_characters_print_as_they_stand() -> None:
    assert escaped("a_b & 50% {x} $5 #1 ~ ^ \\") == (
        r"a\_b \& 50\% \{x\} \$5 \#1 \textasciitilde{} \textasciicircum{} \textbackslash{}"
    )
    assert escaped("one\ntwo\r\n\x1b") == r"one two\textbackslash{}x0d \textbackslash{}x1b"


def test_a_hostile_name_runs_nothing_in_latex_or_markdown(tmp_path: Path) -> None:
    name = rf"\input{{/etc/passwd}}\\ & % {HOSTILE}"
    write(tmp_path / "run", Scores({"crows_pairs": crows(28, 4)}, provenance={"model": name}))
    tex = export(tmp_path / "run", "latex")
    assert acting(tex) == []
    body = tex.partition(r"\midrule")[2].partition(r"\bottomrule")[0]
    known = {"textbackslash", "textless", "textgreater", "textbar", "textquotedbl", "textasciigrave"}
    assert set(re.findall(r"\\([a-zA-Z]+)", body)) <= known
    assert len(re.findall(r"(?<!\\)&", body)) == 3
    assert not re.search(r"(?<!\\)%", body)
    markdown = export(tmp_path / "run", "markdown")
    assert acting(markdown) == []
    assert not re.search(r"(?<!\\)[<`*]", markdown)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in markdown.splitlines() if line.startswith("|")} == {5}


def test_the_command_prints_or_writes_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "run", Scores({"crows_pairs": crows(28, 4)}))
    app(["export", "latex", str(tmp_path / "run")], standalone_mode=False)
    assert capsys.readouterr().out == export(tmp_path / "run", "latex")
    app(["export", "markdown", str(tmp_path / "run"), "--output", str(tmp_path / "t.md")], standalone_mode=False)
    assert (tmp_path / "t.md").read_text(encoding="utf-8") == export(tmp_path / "run", "markdown")
