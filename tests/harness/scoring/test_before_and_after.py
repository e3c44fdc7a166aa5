"""What would fail after hours is refused before the model loads, and what fails after scoring loses no score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness import score
from harness.experiments.names import check_name
from harness.scoring import eval_command
from harness.scoring.eval_command import run
from harness.scoring.eval_config import require_fitting_names
from harness.storage.names import LONGEST
from harness.storage.results import find_scored
from training.config import from_settings


def asked(model: Path, *more: str, tasks: str = "crows_pairs") -> list[str]:
    data = () if any("data_dir" in word for word in more) else ("--metadata", "data_dir=sample")
    return ["--model_args", f"pretrained={model}", "--tasks", tasks, "--limit", "4", *more, *data]


@pytest.fixture
def loads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*arguments: object) -> Any:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(eval_command, "_load", load)
    monkeypatch.setattr("harness.models.any.load_lm", load)


@pytest.mark.usefixtures("loads_nothing")
@pytest.mark.parametrize("model", ["hf-any", "hf"])
@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("file", "--output-path .*file cannot be written"),
        ("file/out", "--output-path .*file/out cannot be written"),
        ("n" * 300, "--output-path .*nnn cannot be written"),
        ("file/results.json", "--output-path .*file cannot be written"),
        ("folder.json", "folder.json: a folder"),
    ],
)
def test_a_place_that_cannot_take_the_results(
    model: str, output: str, said: str, byte_llama: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises((OSError, ValueError), match=said):
        run(["--model", model, *asked(byte_llama, "--output_path", str(tmp_path / output))])


@pytest.mark.usefixtures("loads_nothing")
@pytest.mark.parametrize(
    ("tasks", "more", "said"),
    [
        ("crows_pairs", ["--metadata", "data_dir=/nowhere"], "/nowhere/crows_pairs/.*no such file"),
        ("honest_binary", ["--metadata", "data_dir=/nowhere"], "no such file|not on this machine"),
        ("crow_pairs", [], "no such task: crow_pairs; did you mean 'crows_pairs'"),
        (
            "toxicity_rtp_challenging",
            ["--metadata", "data_dir=sample", "toxicity_classifier=demonstration", "toxicity_label=rude"],
            "rude",
        ),
        (
            "regard_bold_gender",
            ["--metadata", "data_dir=sample", "regard_classifier=/nowhere"],
            "/nowhere",
        ),
        ("crows_pairs", ["--num-fewshot", "5"], "--num-fewshot 5: crows_pairs are asked without examples"),
        ("crows_pairs", ["--wandb_args", "project=x"], "--wandb_args needs wandb, which is not installed"),
    ],
)
def test_what_a_task_lacks(tasks: str, more: list[str], said: str, byte_llama: Path) -> None:
    with pytest.raises((OSError, ValueError), match=said):
        run(asked(byte_llama, *more, tasks=tasks))


@pytest.mark.usefixtures("loads_nothing")
@pytest.mark.parametrize(
    ("tasks", "options", "said"),
    [
        ("crows_pairs", {"data_dir": "/nowhere"}, "no such file"),
        ("crow_pairs", {}, "no such task"),
        ("crows_pairs", {"metadata": {"colour": "blue"}}, "no task of this run reads 'colour'"),
    ],
)
def test_the_same_from_python(tasks: str, options: dict[str, Any], said: str, byte_llama: Path) -> None:
    with pytest.raises((OSError, ValueError), match=said):
        score(str(byte_llama), tasks, **options)


def test_a_task_whose_name_no_file_can_have() -> None:
    require_fitting_names(["t" * LONGEST])
    with pytest.raises(ValueError, match="its name has 201 bytes"):
        require_fitting_names(["t" * (LONGEST + 1)])


def test_an_experiments_names_are_those_of_folders() -> None:
    check_name("m" * 120)
    with pytest.raises(ValueError, match="121 characters, use 120 at most"):
        check_name("m" * 121)


def test_training_refuses_a_logger_that_is_not_installed(byte_llama: Path, tmp_path: Path) -> None:
    settings = {"model_name_or_path": str(byte_llama), "output_dir": str(tmp_path), "report_to": "wandb"}
    with pytest.raises(ValueError, match="report_to: wandb is not installed: pip install wandb"):
        from_settings(settings)


def test_a_model_in_a_folder_of_a_long_name_gets_results(byte_llama: Path, tmp_path: Path) -> None:
    long = tmp_path / ("模" * 60) / ("m" * 200)
    long.parent.mkdir()
    long.symlink_to(byte_llama)
    run(asked(long, "--output_path", str(tmp_path / "out")))
    (found,) = find_scored(tmp_path / "out")
    assert found.file.parent.name.endswith("m" * 200)
    assert len(found.file.parent.name.encode()) < 255


@pytest.mark.parametrize("broken", ["judge_saved", "hand_on"])
def test_whatever_fails_after_scoring_the_scores_are_saved_and_shown(
    broken: str,
    byte_llama: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*arguments: object) -> Any:
        raise RuntimeError("the logger's server is gone")

    monkeypatch.setattr(eval_command, broken, fail)
    with pytest.raises(RuntimeError, match="server is gone"):
        run(asked(byte_llama, "--output_path", str(tmp_path)))
    (found,) = find_scored(tmp_path)
    shown = capsys.readouterr().out
    assert str(found.file.parent) in shown
    assert f"{found.results['results']['crows_pairs']['crows_score,none']:.1f}" in shown


def test_scores_are_shown_where_the_disk_is_full(
    byte_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*arguments: object, **options: object) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(eval_command, "write_scored", full)
    with pytest.raises(OSError, match="No space left"):
        run(asked(byte_llama, "--output_path", str(tmp_path)))
    shown = capsys.readouterr().out
    assert "crows_score" in shown or "CrowS" in shown
    assert "They could not be written." in shown
