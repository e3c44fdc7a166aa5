"""What an experiment refuses before it starts: tasks that a model's family cannot do, and T5 in fp16."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.data.sources import SAMPLE, SOURCES
from harness.experiments import preflight
from harness.experiments.experiment_file import Experiment, ExperimentFile, resolved
from harness.experiments.preflight import check
from harness.planning.plan import known_config

ROOT = Path(__file__).resolve().parents[3]


def checked(pretrained: str, tasks: list[str], **model: Any) -> None:
    entry = {"name": "one", "pretrained": pretrained, "tasks": tasks, **model}
    file = {"name": "study", "models": [entry], "tasks": ["crows_pairs"]}
    check(resolved(ExperimentFile.model_validate(file)), known_config)


@pytest.mark.parametrize(
    ("pretrained", "tasks", "wrong", "able"),
    [
        ("bert-base-uncased", ["crows_pairs", "crows_pairs_prompt"], "crows_pairs_prompt", "crows_pairs_pll"),
        ("bert-base-uncased", ["stereoset_prompt"], "stereoset_prompt_intrasentence", "stereoset"),
        ("gpt2", ["crows_pairs_pll"], "crows_pairs_pll", "crows_pairs_prompt"),
        ("google/flan-t5-small", ["stereoset", "crows_pairs_pll"], "crows_pairs_pll", "stereoset_prompt"),
    ],
)
def test_a_task_that_the_family_cannot_do_is_named_with_those_that_it_can(
    pretrained: str, tasks: list[str], wrong: str, able: str
) -> None:
    with pytest.raises(ValueError, match=rf"study, model one: {pretrained}.* cannot be asked {wrong}.*can be .*{able}"):
        checked(pretrained, tasks)


@pytest.mark.parametrize(
    ("pretrained", "tasks"),
    [
        ("bert-base-uncased", ["crows_pairs", "crows_pairs_pll", "stereoset", "wikitext2"]),
        ("gpt2", ["crows_pairs", "crows_pairs_prompt", "stereoset", "stereoset_prompt", "wikitext2"]),
        ("google/flan-t5-small", ["crows_pairs", "crows_pairs_prompt", "stereoset_prompt", "stereoset"]),
    ],
)
def test_every_task_of_a_family_passes(pretrained: str, tasks: list[str]) -> None:
    checked(pretrained, tasks)


def test_held_out_tasks_are_for_checkpoints_and_come_by_themselves() -> None:
    with pytest.raises(ValueError, match=r"crows_pairs_heldout, .*which only a trained checkpoint .*name crows_pairs"):
        checked("gpt2", ["crows_pairs*"])


def test_t5_in_fp16_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    training = {"accelerate_config": "accelerate_configs/t4x2_ddp.yaml"}
    with pytest.raises(ValueError, match=re.escape("google/flan-t5-small overflow")):
        checked("google/flan-t5-small", ["crows_pairs"], training=training)
    checked("bert-base-uncased", ["crows_pairs"], training=training)


def test_a_run_on_gpus_that_are_not_here_is_refused_before_the_first_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(preflight, "visible_gpus", list)
    model = {"name": "one", "pretrained": "gpt2"}

    def on(config: str) -> Experiment:
        training = {"accelerate_config": f"accelerate_configs/{config}.yaml"}
        given = {"name": "study", "models": [model], "tasks": ["crows_pairs"], "training": training}
        return resolved(ExperimentFile.model_validate(given))

    with pytest.raises(ValueError, match=r"study, model one: 2 GPUs, ZeRO-2, fp16: asked for, but torch sees no GPU"):
        preflight.check_devices(on("t4x2_zero2"))
    preflight.check_devices(on("cpu_2proc_zero2"))
    preflight.check_devices(on("two_machines_zero3"))


def test_a_setting_that_means_nothing_for_a_family_and_the_text_that_is_scored_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEREOSCOPE_DATA", "sample")
    with pytest.raises(ValueError, match=r"study, model one: end_weight=0.5: bert-base-uncased is a masked model"):
        checked("bert-base-uncased", ["crows_pairs"], training={"end_weight": 0.5})
    shutil.copy(SAMPLE / SOURCES["wikitext2"].path, text := tmp_path / "mine.txt")
    with pytest.raises(ValueError, match=r"model one: .*mine.txt: this is the text that wikitext2 scores"):
        checked("gpt2", ["crows_pairs"], training={"text_kl_weight": 1.0, "text": str(text)})
    checked("gpt2", ["crows_pairs"], training={"text_kl_weight": 1.0, "end_weight": 0.5})
