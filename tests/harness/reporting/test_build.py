"""The report command's work: all files or none, the same bytes every time, and no model library loaded for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from result_files import Scores, crows, write, write_run

from harness.reporting import build
from harness.reporting.build import build_report

FILES = {"report.json", "leaderboard.json", "leaderboard.md", "report.html", "plot.svg"}


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_all_files_are_written_beside_the_run(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    folder = build_report([run])
    assert folder == run / "report"
    assert set(contents(folder)) == FILES
    assert json.loads((folder / "report.json").read_text(encoding="utf-8"))["schema_version"] == "1.5"


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path) -> None:
    first = build_report([write_run(tmp_path / "a" / "run")], tmp_path / "first")
    second = build_report([write_run(tmp_path / "b" / "run")], tmp_path / "second")
    assert contents(first) == contents(second)
    assert contents(build_report([tmp_path / "a" / "run"], first)) == contents(second)


def test_another_process_with_another_hash_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    told = (
        "import sys; from pathlib import Path; from harness.reporting.build import build_report;"
        f"build_report([Path({str(run)!r})], Path(sys.argv[1]));"
        "loaded = {'torch', 'transformers', 'lm_eval', 'datasets', 'peft', 'accelerate'} & set(sys.modules);"
        "assert not loaded, loaded"
    )
    for seed in ("1", "2"):
        subprocess.run(
            [sys.executable, "-c", told, str(tmp_path / seed)],
            check=True,
            env={"PYTHONHASHSEED": seed, "HOME": str(tmp_path)},
        )
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_importing_the_report_stays_light() -> None:
    heavy = "{'torch', 'transformers', 'lm_eval', 'datasets', 'matplotlib', 'scipy', 'statsmodels'}"
    told = f"import sys, harness.reporting.build; loaded = {heavy} & set(sys.modules); assert not loaded, loaded"
    subprocess.run([sys.executable, "-c", told], check=True)


def test_nothing_scored_names_the_folder_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(FileNotFoundError, match=r"run: nothing scored in this folder.*Score a model first"):
        build_report([tmp_path / "run"])
    assert list((tmp_path / "run").iterdir()) == []
    with pytest.raises(ValueError, match="no run folder given"):
        build_report([])


def test_missing_samples_name_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, Scores({"crows_pairs": crows(28, 4)}))
    next(file.parent.glob("samples_*")).unlink()
    with pytest.raises(FileNotFoundError, match=r"samples_crows_pairs_.*no samples beside"):
        build_report([tmp_path])


def test_a_failure_leaves_the_old_report_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(tmp_path / "run")
    before = contents(build_report([run]))

    def no_picture(report: object) -> str:
        raise OSError("no space left on device")

    monkeypatch.setattr(build, "plot_svg", no_picture)
    with pytest.raises(OSError, match="no space"):
        build_report([run])
    assert contents(run / "report") == before
