"""All report files from run folders: report.json, leaderboard.json, leaderboard.md, report.html and its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.reporting.analysis import analyse
from harness.reporting.leaderboard import leaderboard_json, leaderboard_markdown
from harness.reporting.methods_plot import methods_svg
from harness.reporting.page import METHODS_PLOT, SCALE_PLOT, page_html
from harness.reporting.plot import plot_svg
from harness.reporting.scale_plot import scale_svg
from harness.reporting.stages import find_runs
from harness.storage.files import atomic_write

REPORT_FOLDER = "report"


def build_report(run_dirs: Sequence[Path], out: Path | None = None, *, halves: bool = False) -> Path:
    """Write the report of one or more runs; reads result files only, and needs no model library.

    Every file is computed before the first is written, so that a report is never half of an old and half of a new one.

    Args:
        run_dirs: output folders of runs, each with results files somewhere below it.
        out: folder to write to; by default `report` in the only run folder, or in the current one for several.
        halves: report StereoSet also by the two fixed halves of its target terms.

    Returns:
        The folder that holds the report.

    Raises:
        FileNotFoundError: a folder holds nothing that was scored, or a results file lacks its samples.
        ValueError: result files contradict each other.
    """
    if not run_dirs:
        raise ValueError("no run folder given: name at least one folder with results")
    report = analyse(find_runs(run_dirs), halves=halves)
    plot = plot_svg(report)
    drawn = {METHODS_PLOT: methods_svg(report), SCALE_PLOT: scale_svg(report)}
    more = {name: picture for name, picture in drawn.items() if picture is not None}
    files = {
        "report.json": report.to_json(),
        "leaderboard.json": leaderboard_json(report),
        "leaderboard.md": leaderboard_markdown(report),
        "plot.svg": plot,
        "report.html": page_html(report, plot, more),
        **more,
    }
    folder = out or (run_dirs[0] / REPORT_FOLDER if len(run_dirs) == 1 else Path(REPORT_FOLDER))
    for name, text in files.items():
        atomic_write(folder / name, text)
    return folder
