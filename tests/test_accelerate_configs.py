"""Every accelerate config holds nothing that is not read, asks for what its name says, and its strategy runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from harness.machine.strategy import Strategy, read_strategy

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "accelerate_configs"
CONFIGS = sorted(FOLDER.glob("*.yaml"))
DEEPSPEED = sorted(FOLDER.glob("*.json"))
EXPECTED = {
    "cpu": Strategy(),
    "cpu_2proc": Strategy(2),
    "cpu_2proc_zero2": Strategy(2, 2),
    "cpu_2proc_zero3": Strategy(2, 3),
    "p100": Strategy(gpu=True),
    "t4x2_ddp": Strategy(2, 0, "fp16", True),
    "t4x2_ddp_fp32": Strategy(2, 0, "fp32", True),
    "t4x2_zero2": Strategy(2, 2, "fp16", True),
    "t4x2_zero2_offload": Strategy(2, 2, "fp16", True, offload_optimizer=True),
    "t4x2_zero3": Strategy(2, 3, "fp16", True),
    "t4x2_zero3_fp32": Strategy(2, 3, "fp32", True),
    "t4x2_zero3_offload": Strategy(2, 3, "fp16", True, offload_optimizer=True, offload_weights=True),
    "two_machines_ddp": Strategy(2, gpu=True, machines=2),
    "two_machines_zero3": Strategy(2, 3, gpu=True, machines=2),
}


def test_there_is_a_config_for_every_machine_shape() -> None:
    assert [file.stem for file in CONFIGS] == sorted(EXPECTED)


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_config_asks_for_what_its_name_says(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found, expected = read_strategy(file, {}), EXPECTED[file.stem]
    assert str(found) == str(expected)
    for name in ("gpu", "machines", "offload_optimizer", "offload_weights"):
        assert getattr(found, name) == getattr(expected, name), name


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_accelerate_reads_every_key(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import launch_command_parser

    monkeypatch.chdir(ROOT)
    # It refuses keys that it does not know at the top, and passes those of DeepSpeed on as flags of its launcher.
    config = load_config_from_file(str(file))
    assert str(config.distributed_type).rpartition(".")[2] == yaml.safe_load(file.read_text())["distributed_type"]
    known = {action.dest for action in launch_command_parser()._actions}
    assert set(config.deepspeed_config or {}) <= known
    assert EXPECTED[file.stem].zero_stage == 0 or Path(config.deepspeed_config["deepspeed_config_file"]).is_file()


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_config_says_for_which_models_it_is(file: Path) -> None:
    first = file.read_text().splitlines()[0]
    assert first.startswith("# ")
    assert "weights" in first


@pytest.mark.parametrize("file", DEEPSPEED, ids=lambda file: file.stem)
def test_deepspeed_reads_every_key(file: Path) -> None:
    from deepspeed.runtime.config import DeepSpeedConfig

    settings = json.loads(file.read_text())
    filled = {"train_micro_batch_size_per_gpu": 4, "gradient_accumulation_steps": 2, "gradient_clipping": 1.0}
    # DeepSpeed refuses keys that it does not know inside a part, and passes over them at the top.
    parts = {"zero_optimization", *(["fp16"] if "fp16" in file.stem else [])}
    others = {"train_batch_size", "zero_allow_untested_optimizer", "zero_force_ds_cpu_optimizer"}
    assert set(settings) == parts | others | set(filled)
    assert {key for key, value in settings.items() if value == "auto"} == {*filled, "train_batch_size"}
    read = DeepSpeedConfig({**settings, **filled, "train_batch_size": 8})
    assert read.zero_allow_untested_optimizer
    assert read.zero_optimization_stage == settings["zero_optimization"]["stage"]
    assert read.float16_config.enabled == ("fp16" in file.stem)
    assert not read.bfloat16_config.enabled


def test_a_misspelt_key_would_be_found() -> None:
    from deepspeed.runtime.config import DeepSpeedConfig

    with pytest.raises(ValueError, match="overlap_com"):
        DeepSpeedConfig({"train_batch_size": 8, "zero_optimization": {"stage": 2, "overlap_com": False}})


def test_every_deepspeed_config_is_taken_by_an_accelerate_config() -> None:
    taken = {Path(line.split()[1]).stem for file in CONFIGS for line in file.read_text().splitlines() if "json" in line}
    assert taken == {file.stem for file in DEEPSPEED}


# That they train is tested in tests/training: test_sharded.py launches the four for the CPU, test_half_precision.py the
# DeepSpeed configs of those for GPUs.
