"""Every command of the README is known here: run small, or taken apart and checked against the command's own parser."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import app
from harness.data.crows_pairs import BIAS_TYPES
from harness.experiments.places import experiment_path
from harness.storage.shipped import shipped_names

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = [
    command for block in BLOCKS for command in block.replace("\\\n", " ").splitlines() if command and command[0] != "#"
]


def of(program: str) -> list[list[str]]:
    commands = [shlex.split(command, comments=True) for command in COMMANDS]
    return [words[1:] for words in commands if words[0] == program]


def small(arguments: list[str], model: Path, folder: Path) -> list[str]:
    """The same command with a tiny model, two documents a task, and results where they are thrown away."""
    swapped = [word.replace("models/smollm2-135m", str(model)) for word in arguments]
    return [str(folder) if word in ("results", "runs/by_hand") else word for word in swapped]


def run(*command: str) -> str:
    environment = {**os.environ, "STEREOSCOPE_DATA": "sample", "OMP_NUM_THREADS": "1"}
    outcome = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return outcome.stdout


def stereoscope(*arguments: str) -> None:
    """The command in this process, where everything is imported already."""
    app(list(arguments), standalone_mode=False)


@pytest.fixture(autouse=True)
def sample_and_clone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("STEREOSCOPE_DATA", "sample")


def test_no_command_of_the_readme_is_left_out() -> None:
    assert {shlex.split(command)[0] for command in COMMANDS} == {
        *("make", "stereoscope", "lm_eval", "accelerate", "python"),
        # Of others: to fetch, keep and start what is ours.
        *("git", "cd", "pip", "tar", "export", "srun"),
    }
    assert {words[0] for words in of("stereoscope")} == {
        *("eval", "tasks", "train", "run", "plan", "report", "data", "classify", "experiments", "init", "compare"),
    }


def test_make_knows_its_targets() -> None:
    for words in of("make"):
        run("make", "--dry-run", words[0])


@pytest.mark.slow
def test_the_lines_of_python_score_a_model(byte_llama: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (lines,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    exec(lines.replace("models/smollm2-135m", str(byte_llama)), {})
    assert "Stereotype score" in capsys.readouterr().out


@pytest.mark.slow
def test_plain_lm_eval_prints_every_metric_of_the_whole_and_of_each_bias_type(
    byte_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lm_eval.__main__ import cli_evaluate

    (words,) = of("lm_eval")
    few = ("--limit", "30", "--device", "cpu", "--batch_size", "4")
    monkeypatch.setattr(sys, "argv", ["lm_eval", *small(words, byte_llama, tmp_path), *few])
    cli_evaluate()
    printed = capsys.readouterr().out
    rows = {cells[5].strip(): cells[7].strip() for line in printed.splitlines() if len(cells := line.split("|")) > 8}
    assert {"crows_score", "stereo_score", "antistereo_score", "ties", "within_one_nat"} <= set(rows)
    assert {f"crows_score/{bias_type}" for bias_type in BIAS_TYPES} <= set(rows)
    assert float(rows["n"]) == 30


@pytest.mark.slow
def test_eval_commands_work(byte_llama: Path, tmp_path: Path) -> None:
    for words in of("stereoscope"):
        if words[0] == "eval" and "crows_pairs_heldout" not in words:
            arguments = [word.replace("<|endoftext|>", "5") for word in small(words, byte_llama, tmp_path)]
            stereoscope(*arguments, "--limit", "4")


@pytest.mark.slow
def test_saved_texts_are_classified_again(byte_llama: Path, tmp_path: Path) -> None:
    (generating,) = [words for words in of("stereoscope") if "toxicity_rtp,regard_bold_gender" in words]
    (classifying,) = [words for words in of("stereoscope") if words[0] == "classify"]
    stereoscope(*small(generating, byte_llama, tmp_path), "--limit", "4")
    stereoscope(*(word.replace("results", str(tmp_path)) for word in classifying))


@pytest.mark.slow
@pytest.mark.distributed
def test_training_by_hand_and_scoring_what_it_held_out_works(byte_llama: Path, tmp_path: Path) -> None:
    (across_machines,) = of("accelerate")
    assert "--machine_rank" in across_machines
    (training,) = [words for words in of("stereoscope") if words[0] == "train"]
    few = ["--max_steps", "1", "--per_device_train_batch_size", "2", "--num_folds", "3", "--save_steps", "1"]
    run(sys.executable, "-m", "harness", *small(training, byte_llama, tmp_path), *few)
    (heldout,) = [words for words in of("stereoscope") if "crows_pairs_heldout" in words]
    arguments = [word.replace("runs/by_hand", str(tmp_path)).replace("-N", "-1") for word in heldout]
    stereoscope(*small(arguments, byte_llama, tmp_path), "--limit", "4")


def test_the_experiment_the_readme_runs_is_there() -> None:
    for words in of("stereoscope"):
        if words[0] == "run":
            assert experiment_path(Path(words[-1])).is_file()
        if words[0] == "init":
            assert words[1] in shipped_names("experiments")
        if words[0] == "report":
            assert (ROOT / "experiments" / Path(words[1]).name).with_suffix(".yaml").is_file()


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(((?!https?:)[^)#]+)\)", README):
        assert (ROOT / target).exists(), target
