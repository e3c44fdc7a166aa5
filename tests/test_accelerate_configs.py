"""Every accelerate config loads with the installed accelerate and asks for what its name says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted((ROOT / "accelerate_configs").glob("*.yaml"))
EXPECTED = {
    "cpu": ("NO", 1),
    "cpu_2proc": ("MULTI_GPU", 2),
    "p100": ("NO", 1),
    "t4x2_ddp": ("MULTI_GPU", 2),
    "t4x2_ddp_fp32": ("MULTI_GPU", 2),
    "t4x2_zero2": ("DEEPSPEED", 2),
    "t4x2_zero3": ("DEEPSPEED", 2),
}


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_config_loads_and_asks_for_what_its_name_says(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    monkeypatch.chdir(ROOT)
    config = load_config_from_file(str(file))
    assert (str(config.distributed_type).rpartition(".")[2], config.num_processes) == EXPECTED[file.stem]
    if "zero" in file.stem:
        settings = json.loads(Path(config.deepspeed_config["deepspeed_config_file"]).read_text())
        assert settings["zero_optimization"]["stage"] == int(file.stem[-1])
        assert settings["fp16"]["enabled"]
        assert "bf16" not in settings


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_config_says_for_which_models_it_is(file: Path) -> None:
    first = file.read_text().splitlines()[0]
    assert first.startswith("# ")
    assert "weights" in first or "models" in first
