"""Whatever lies in an experiment file or a config that it names, it is read or is one ValueError that names a file."""

from __future__ import annotations

import json
from pathlib import Path

from any_file import check_any

from harness.experiments.experiment import _claim
from harness.experiments.experiment_file import from_settings, load
from harness.machine.strategy import read_strategy
from harness.storage.shipped import shipped, shipped_names

SETTINGS = {
    "name": "any",
    "models": [{"name": "a", "pretrained": "b", "model_args": {"dtype": "float32"}, "tasks": ["crows_pairs"]}],
    "tasks": ["crows_pairs", "wikitext2"],
    "scoring": {"limits": {"wikitext2": 12}, "metadata": {"k": 3}, "gen_kwargs": {"max_gen_toks": 5}},
    "training": {
        "learning_rate": 0.001,
        "num_train_epochs": 1,
        "objective": "balance",
        "lr_scheduler_kwargs": {"a": 1},
    },
    "retention": {"perplexity_kept": 1.2},
    "seeds": [0, 1],
    "controls": ["noise"],
}


def test_any_experiment_file_is_read_or_one_error(tmp_path: Path) -> None:
    text = json.dumps(SETTINGS, indent=1).encode()
    check_any(load, tmp_path / "any.yaml", text, "yaml")


def test_every_shipped_experiment_is_read() -> None:
    for name in shipped_names("experiments"):
        assert load(Path(name)).name


def test_any_record_of_an_experiment_in_a_runs_folder_is_read_or_one_error(tmp_path: Path) -> None:
    experiment = from_settings(SETTINGS)
    valid = json.dumps(experiment.written).encode()
    check_any(lambda file: _claim_again(file, experiment), tmp_path / "experiment.json", valid, "json")


def _claim_again(file: Path, experiment: object) -> None:
    """What differs from the experiment is refused in the folder's name, and what cannot be read in the file's."""
    try:
        _claim(file.parent, experiment)  # type: ignore[arg-type]
    except ValueError as error:
        if "belongs to another experiment" not in str(error):
            raise


def test_any_accelerate_config_is_read_or_one_error(tmp_path: Path) -> None:
    (tmp_path / "zero2.json").write_text('{"zero_optimization": {"stage": 2}}', encoding="utf-8")
    valid = b"distributed_type: DEEPSPEED\ndeepspeed_config: {deepspeed_config_file: zero2.json}\nnum_processes: 2\n"
    valid += b"num_machines: 1\nmixed_precision: 'no'\nuse_cpu: true\n"

    def read(file: Path) -> None:
        try:
            str(read_strategy(file, {}))
        except ValueError as error:
            # The config may name any file in place of DeepSpeed's, and the message is then about that one.
            if not str(error).startswith("/etc/passwd: not JSON"):
                raise

    check_any(read, tmp_path / "config.yaml", valid, "yaml")


def test_any_deepspeed_config_is_read_or_one_error(tmp_path: Path) -> None:
    shape = next(iter(sorted(shipped("accelerate_configs").rglob("*.json"))))
    config = tmp_path / "config.yaml"
    config.write_text(
        f"distributed_type: DEEPSPEED\ndeepspeed_config: {{deepspeed_config_file: {shape.name}}}\n", encoding="utf-8"
    )
    check_any(lambda _: str(read_strategy(config, {})), tmp_path / shape.name, shape.read_bytes(), "json")
