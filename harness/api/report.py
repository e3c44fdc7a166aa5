"""`harness.report`: the report of what was scored, which shows itself in a notebook."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import PrivateAttr

from harness.reporting.build import build_report
from harness.reporting.schema import Report as Content
from harness.storage.reading import read_record

if TYPE_CHECKING:
    import pandas

HEIGHT = "720px"


class Report(Content):
    """All of report.json as attributes (`verdict`, `entries`, `stages`, ...), and the files beside it.

    In a notebook it shows the page report.html; printed, the verdict and the leaderboard.
    """

    _folder: Path = PrivateAttr()

    @property
    def folder(self) -> Path:
        """Where report.json, report.html, leaderboard.md, leaderboard.json and the pictures are."""
        return self._folder

    def to_frame(self) -> pandas.DataFrame:
        """Every entry as a row of a pandas frame; columns are the fields of an entry.

        Raises:
            ModuleNotFoundError: pandas is not installed; says how to install it.
        """
        from harness.api.frames import frame

        return frame([entry.model_dump() for entry in self.entries])

    def __str__(self) -> str:
        return f"{self.verdict}\n\n{(self.folder / 'leaderboard.md').read_text(encoding='utf-8')}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The page in a frame of its own: its styles stay inside, and it has no scripts."""
        page = (self.folder / "report.html").read_text(encoding="utf-8")
        style = f"width: 100%; height: {HEIGHT}; border: 1px solid #dde3e9; border-radius: 6px"
        return f'<iframe title="Stereoscope report" style="{style}" sandbox srcdoc="{html.escape(page)}"></iframe>'


def report(*folders: str | Path, output_dir: str | Path | None = None, halves: bool = False) -> Report:
    """Build the report of runs, or of saved scores, from their files alone; loads no model.

    Args:
        folders: of runs, of `Scores.save`, or of `stereoscope eval --output_path`.
        output_dir: where to write; by default `report/` in the only folder, or in the working folder for several.
        halves: report StereoSet also by two fixed halves of its target terms.

    Raises:
        FileNotFoundError: a folder holds nothing that was scored.
        ValueError: no folder is given, or files contradict each other; says which.
    """
    written = build_report(
        [Path(folder) for folder in folders], None if output_dir is None else Path(output_dir), halves=halves
    )
    return read_report(written)


def read_report(folder: Path) -> Report:
    """The report that lies in a folder.

    Raises:
        ValueError: its report.json is broken; names the file and the key.
    """
    found = read_record(folder / "report.json", Report, "build the report again")
    found._folder = folder
    return found
