"""docs/notebook.ipynb runs from its first cell to its last, on a tiny model, and shows what it promises."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import nbformat
import pytest

import harness

FILE = Path(__file__).resolve().parents[1] / "docs" / "notebook.ipynb"


@pytest.fixture(scope="module")
def notebook() -> Any:
    return nbformat.read(FILE, as_version=4)


def code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_it_is_a_notebook_without_outputs(notebook: Any) -> None:
    nbformat.validate(notebook)
    assert not any(cell.outputs or cell.execution_count for cell in code(notebook))


def test_it_uses_every_function_that_harness_exports(notebook: Any) -> None:
    text = "\n".join(cell.source for cell in code(notebook))
    for name in harness.__all__:
        if inspect.isfunction(getattr(harness, name)):
            assert f"from harness import {name}\n" in text
            assert f"{name}(" in text


@pytest.mark.slow
def test_it_runs_and_shows_tables_and_the_report(
    notebook: Any, byte_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nbclient import NotebookClient

    monkeypatch.setenv("STEREOSCOPE_NOTEBOOK_MODEL", str(byte_llama))
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": FILE.parent}}
    ).execute()
    shown = [output.data.get("text/html", "") for cell in code(notebook) for output in cell.outputs if "data" in output]
    assert sum("CrowS score" in html for html in shown) >= 2
    (page,) = [html for html in shown if html.startswith("<iframe")]
    assert "step 3" in page
    difference = next(cell for cell in code(notebook) if "in_memory" in cell.source).outputs[-1].data["text/plain"]
    assert float(difference) == pytest.approx(0, abs=1e-5)
