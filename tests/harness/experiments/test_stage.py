"""How a stage is launched and what it needs, from its accelerate config and the GPUs that are there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.experiments.experiment_file import Scoring
from harness.experiments.scoring_stage import scoring_gpus
from harness.experiments.stage import Needs, launcher, needs
from harness.machine.run_module import program

CONFIGS = Path(__file__).resolve().parents[3] / "accelerate_configs"


@pytest.mark.parametrize("gpus", [0, 1])
def test_without_several_gpus_a_stage_is_one_plain_process(gpus: int) -> None:
    assert launcher(None, gpus) == (sys.executable,)
    assert needs(None, gpus) == Needs(1, gpus)


def test_without_a_config_a_stage_has_a_process_on_every_gpu() -> None:
    command = launcher(None, 4)
    assert command[1:6] == (*program("accelerate.commands.launch"), "--multi_gpu", "--num_processes", "4")
    assert needs(None, 4) == Needs(4, 4)


def test_accelerate_reads_the_launch_over_all_gpus_as_it_is_meant() -> None:
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    arguments = [*launcher(None, 4)[3:], *program("harness"), "score", "job.json"]
    args, _, _ = _validate_launch_command(launch_command_parser().parse_args(arguments))
    assert (args.multi_gpu, args.num_processes, args.num_machines, args.gpu_ids) == (True, 4, 1, "all")
    assert (args.module, args.training_script) == (None, program("harness")[0])
    assert (args.use_deepspeed, args.use_fsdp, args.mixed_precision) == (False, False, "no")


@pytest.mark.parametrize(
    ("config", "wanted"),
    [("cpu_2proc.yaml", (2, 0)), ("cpu.yaml", (1, 0)), ("t4x2_ddp.yaml", (2, 2)), ("p100.yaml", (1, 1))],
)
def test_a_config_decides_alone(config: str, wanted: tuple[int, int]) -> None:
    file = CONFIGS / config
    assert launcher(file, 8)[3:] == ("--config_file", str(file), "--main_process_port", "0")
    assert needs(file, 8) == Needs(*wanted)


def test_a_config_of_several_machines_is_refused_for_a_stage(tmp_path: Path) -> None:
    file = tmp_path / "two.yaml"
    file.write_text("num_machines: 2\nnum_processes: 4\n")
    with pytest.raises(ValueError, match="num_machines is 2, but a stage"):
        needs(file)


@pytest.mark.parametrize(
    ("settings", "gpus"),
    [
        ({}, 4),
        ({"device": "cuda"}, 4),
        ({"device": "cuda:1"}, 1),
        ({"device": "cpu"}, 0),
        ({"limits": {"wikitext2": 2, "crows_pairs": 100}}, 2),
    ],
)
def test_scoring_takes_all_gpus_that_have_documents_to_score(settings: dict[str, object], gpus: int) -> None:
    assert scoring_gpus(Scoring.model_validate(settings), 4) == gpus


def test_without_ray_nothing_of_it_is_loaded() -> None:
    code = "import sys, harness.cli, harness.experiments.experiment; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
