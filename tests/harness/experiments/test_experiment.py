"""`stereoscope run` as a user meets it: one file, stages that are skipped when done, folders that survive a kill."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hostile_folder import STEREOSCOPE, imported, write_own_modules
from in_this_process import Here
from lm_eval.tasks import TaskManager
from tiny_models import byte_bert, byte_llama

from harness.experiments.experiment import _claim, run
from harness.experiments.experiment_file import load
from harness.experiments.scoring_stage import checkpoint_tasks
from harness.scoring import task_files

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "benchmarks"))

from kill_twenty_times import timeless  # noqa: E402

STAGES = ("score tiny", "train tiny", "score checkpoints of tiny")
# A library's line would name it: "22:01:31 warning (transformers): ...".
OUR_LINE = re.compile(r"\d\d:\d\d:\d\d (?!\w+ \()[^\r]+")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
HERE = Path(tempfile.mkdtemp(prefix="working_folder_"))
"""Where all runs are started: among a user's own modules, of which none may be imported."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return byte_llama(tmp_path_factory.mktemp("models") / "tiny")


def write(file: Path, model: Path, **changes: Any) -> Path:
    content: dict[str, Any] = {
        "name": "tiny",
        "data_dir": "sample",
        "models": [{"name": "tiny", "pretrained": str(model)}],
        "tasks": ["crows_pairs", "stereoset_intrasentence", "wikitext2"],
        "scoring": {"limits": {"wikitext2": 2}},
        "training": {
            "num_folds": 3,
            "folds": [0, 1],
            "max_steps": 4,
            "save_strategy": "steps",
            "save_steps": 2,
            "per_device_train_batch_size": 4,
            "learning_rate": 0.005,
        },
    }
    file.write_text(yaml.safe_dump({**content, **changes}, sort_keys=False))
    return file


def stereoscope(*arguments: object) -> list[str]:
    return [*STEREOSCOPE, *map(str, arguments)]


def finish(*arguments: object, environment: dict[str, str] = ENVIRONMENT) -> str:
    outcome = subprocess.run(
        stereoscope(*arguments), env=environment, cwd=HERE, capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    # Whatever a run does, what it leaves in a log file are lines of ours.
    assert [line for line in outcome.stderr.splitlines() if not OUR_LINE.fullmatch(line)] == []
    return outcome.stdout + outcome.stderr


@pytest.fixture(scope="module", autouse=True)
def own_modules() -> Iterator[None]:
    write_own_modules(HERE)
    yield
    shutil.rmtree(HERE)


@pytest.fixture(scope="module")
def undisturbed(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An experiment and its finished run, whose stages ran in this process."""
    folder = tmp_path_factory.mktemp("run")
    experiment = write(folder / "tiny.yaml", model)
    run(experiment, folder / "out", executor=Here())
    return experiment, folder / "out"


def test_a_run_scores_the_base_and_every_checkpoint_and_reports(undisturbed: tuple[Path, Path]) -> None:
    _, out = undisturbed
    report = json.loads((out / "report" / "report.json").read_text())
    stages = {(entry["stage"], entry["step"]) for entry in report["stages"]}
    assert stages == {("base", None), ("step", 2), ("step", 4)}
    for name in ("report.html", "leaderboard.json", "leaderboard.md", "plot.svg"):
        assert (out / "report" / name).stat().st_size > 100


@pytest.mark.slow
def test_a_run_that_is_disturbed_three_times_ends_with_the_same_report(
    model: Path, undisturbed: tuple[Path, Path], tmp_path: Path
) -> None:
    """A killed training process, SIGTERM, a kill while it scores; benchmarks/kill_twenty_times.py has more.

    What then finishes it leaves lines of ours alone, imports nothing of the user's, and once more starts nothing again.
    """
    experiment, training = write(tmp_path / "tiny.yaml", model), tmp_path / "out" / "tiny" / "training"
    arguments = ("run", experiment, "--output_dir", tmp_path / "out")
    process = started(*arguments)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    wait_for(training / "fold-0" / "checkpoint-2")
    os.kill(int(children.read_text()), signal.SIGKILL)
    wait_for(training / "fold-1" / "checkpoint-2")
    process.send_signal(signal.SIGTERM)
    assert process.stderr is not None
    output = process.stderr.read()
    assert process.wait() == 128 + signal.SIGTERM
    assert f"[1/4] {STAGES[0]}: done in" in output
    assert "failed with exit code -9, but had come further: started again (2 left)" in output
    assert "stopped by SIGTERM; the same command goes on" in output

    process = started(*arguments)
    assert process.stderr is not None
    for line in process.stderr:
        if "[3/4]" in line and "started" in line:
            threading.Timer(8, process.send_signal, [signal.SIGKILL]).start()
    assert process.wait() == -signal.SIGKILL
    output = finish(*arguments)
    assert f"[3/4] {STAGES[2]}: done in" in output
    assert timeless(tmp_path / "out" / "report") == timeless(undisturbed[1] / "report")
    assert not list((tmp_path / "out").rglob(".results_*"))
    assert imported(HERE) == []
    output = finish(*arguments)
    for number, stage in enumerate(STAGES, start=1):
        assert f"[{number}/4] {stage}: finished earlier, skipped" in output
    assert timeless(tmp_path / "out" / "report") == timeless(undisturbed[1] / "report")


def started(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(stereoscope(*arguments), env=ENVIRONMENT, cwd=HERE, stderr=subprocess.PIPE, text=True)


def wait_for(folder: Path, seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not folder.is_dir():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_another_experiments_folder_is_refused(undisturbed: tuple[Path, Path], model: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other.yaml", model, training={"num_folds": 2})
    with pytest.raises(ValueError, match="belongs to another experiment: training differ"):
        run(other, undisturbed[1])


def test_a_folder_of_something_else_is_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    experiment = tmp_path.parent / "tiny.yaml"
    with pytest.raises(ValueError, match=r"not empty and no experiment's folder \(thesis.tex is there\)"):
        run(write(experiment, model), tmp_path)


def test_a_second_run_in_one_folder_is_refused(model: Path, tmp_path: Path) -> None:
    from harness.machine.orphans import only_run

    experiment = write(tmp_path / "tiny.yaml", model)
    with only_run(tmp_path / "out"), pytest.raises(RuntimeError, match="another `stereoscope run` is at work here"):
        run(experiment, tmp_path / "out")


def test_a_dry_run_prints_every_command_and_writes_nothing(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(write(tmp_path / "tiny.yaml", model), tmp_path / "out", dry_run=True)
    printed = capsys.readouterr().out
    for stage in STAGES:
        assert f"{stage}: " in printed
    assert "run_module.py training --config" in printed
    assert "causal, 32k parameters" in printed
    assert "GiB on each: weights" in printed
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: tiny", "nam: tiny", "line 1: unknown key 'nam'"),
        ("tasks:", "task:", "unknown key 'task'"),
        ("max_steps: 4", "max_step: 4", r"line \d+: unknown key 'max_step'"),
        ("max_steps: 4", "max_steps: many", r"line \d+: max_steps: invalid int value: 'many'"),
        ("wikitext2: 2", "wikitext2: all", r"line \d+: scoring.limits.wikitext2: .* \(found 'all'\)"),
        ("num_folds: 3", "output_dir: there", "'output_dir' is set by the experiment itself"),
        ("num_folds: 3", "accelerate_config: none.yaml", "accelerate_config none.yaml: no such file"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line(
    model: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    file = write(tmp_path / "tiny.yaml", model)
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=re.compile(message)):
        load(file)


def test_an_unknown_task_is_refused_before_anything_starts(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # lm-eval's own thousands, whose names take twelve seconds to read, are asked in test_before_and_after.py.
    monkeypatch.setattr(
        task_files, "_indexed", lambda folders: TaskManager(include_path=list(folders), include_defaults=False)
    )
    with pytest.raises(ValueError, match="no such task: crows_pears"):
        run(write(tmp_path / "tiny.yaml", model, tasks=["crows_pears"]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_name_for_two_models_is_refused(model: Path, tmp_path: Path) -> None:
    entry = {"name": "tiny", "pretrained": str(model)}
    with pytest.raises(ValueError, match="two models of one name"):
        load(write(tmp_path / "tiny.yaml", model, models=[entry, entry]))


def test_a_model_folder_without_weights_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no weights here"):
        run(write(tmp_path / "tiny.yaml", tmp_path / "empty"), tmp_path / "out")


def test_a_model_folder_with_pickled_weights_only_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ValueError, match="only pickled weights"):
        run(write(tmp_path / "tiny.yaml", tmp_path / "pickled"), tmp_path / "out")


def test_a_task_that_a_model_cannot_do_is_refused_before_anything_starts(model: Path, tmp_path: Path) -> None:
    bert = byte_bert(tmp_path / "bert")
    models = [{"name": "tiny", "pretrained": str(model)}, {"name": "bert", "pretrained": str(bert)}]
    tasks = ["crows_pairs", "crows_pairs_prompt"]
    with pytest.raises(ValueError, match=r"model bert: .*masked.*cannot be asked crows_pairs_prompt"):
        run(write(tmp_path / "tiny.yaml", model, models=models, tasks=tasks), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_model_may_have_tasks_of_its_own(model: Path, tmp_path: Path) -> None:
    entry = {"name": "tiny", "pretrained": str(model)}
    models = [entry, {**entry, "name": "other", "tasks": ["stereoset"]}]
    experiment = load(write(tmp_path / "tiny.yaml", model, models=models))
    assert [one.tasks for one in experiment.models] == [
        ("crows_pairs", "stereoset_intrasentence", "wikitext2"),
        ("stereoset",),
    ]


def test_a_checkpoint_is_never_scored_on_pairs_that_it_was_trained_on() -> None:
    forms = ("crows_pairs", "crows_pairs_pll", "crows_pairs_prompt")
    assert checkpoint_tasks((*forms, "wikitext2"), True) == (*(f"{form}_heldout" for form in forms), "wikitext2")
    assert checkpoint_tasks((*forms, "wikitext2"), False) == ("wikitext2",)
    assert checkpoint_tasks(("crows_pairs_p?l",), True) == ("crows_pairs_pll_heldout",)


def test_the_tasks_of_a_model_may_change_in_a_run_and_its_training_may_not(model: Path, tmp_path: Path) -> None:
    def claim(**changes: Any) -> None:
        entry = {"name": "tiny", "pretrained": str(model), **changes}
        _claim(tmp_path / "out", load(write(tmp_path / "tiny.yaml", model, models=[entry])))

    (tmp_path / "out").mkdir()
    claim()
    claim(tasks=["stereoset"])
    with pytest.raises(ValueError, match="belongs to another experiment: models differ"):
        claim(training={"seed": 7})


def test_ready_experiments_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for file in sorted((ROOT / "experiments").glob("*.yaml")):
        assert load(file).name == file.stem
