"""The program from its wheel, in a folder with nothing in it: what it ships is there, and known by name."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "STEREOSCOPE_DATA")},
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
}
pytestmark = [pytest.mark.slow, pytest.mark.distributed]


def call(*command: object, cwd: Path) -> str:
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr + f"exit code {done.returncode}"


@pytest.fixture(scope="module")
def stereoscope(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command in an environment that has the wheel, and of this one everything but the checkout."""
    folder = tmp_path_factory.mktemp("installed")
    pip = (sys.executable, "-m", "pip")
    build = call(*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder, ROOT, cwd=folder)
    wheels = list(folder.glob("*.whl"))
    assert len(wheels) == 1, build
    venv = folder / "venv"
    call(sys.executable, "-m", "venv", "--without-pip", venv, cwd=folder)
    python = venv / "bin" / "python"
    there = Path(
        call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'), end=' ')", cwd=folder).split()[0]
    )
    # A folder on the path, whose own .pth files are not read: the editable installation of the checkout is one.
    (there / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    call(*pip, "--python", python, "install", "--no-deps", "--no-index", *wheels, cwd=folder)
    return venv / "bin" / "stereoscope"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("empty")


def test_ready_experiments_are_listed_and_a_missing_model_is_told_before_anything_starts(
    stereoscope: Path, empty: Path
) -> None:
    assert "demo: The main job in minutes" in call(stereoscope, "experiments", cwd=empty)
    told = call(stereoscope, "run", "demo", cwd=empty)
    assert "`stereoscope model smollm2-135m models/smollm2-135m` writes it" in told
    assert told.endswith("exit code 1")
    assert list(empty.iterdir()) == []


def test_a_plan_knows_the_shipped_configs(stereoscope: Path, empty: Path, byte_llama: Path) -> None:
    experiment = {"name": "one", "models": [{"name": "one", "pretrained": str(byte_llama)}], "tasks": ["crows_pairs"]}
    (empty / "one.yaml").write_text(yaml.safe_dump(experiment))
    told = call(stereoscope, "plan", "one", cwd=empty)
    assert "* LoRA t4x2_ddp " in told
    assert "t4x2_zero3_offload" in told


def test_a_copy_of_a_ready_experiment_runs_on_a_model_beside_it(
    stereoscope: Path, empty: Path, byte_llama: Path
) -> None:
    told = call(stereoscope, "init", "demo", "mine.yaml", cwd=empty)
    assert told == "mine.yaml\nexit code 0"
    text = (empty / "mine.yaml").read_text()
    settings = yaml.safe_load(text)
    models = [{**settings["models"][0], "pretrained": "tiny"}]
    training = {**settings["training"], "max_steps": 2, "save_steps": 2}
    smaller = {"tasks": ["crows_pairs"], "models": models, "training": training, "scoring": {}}
    (empty / "mine.yaml").write_text(yaml.safe_dump({**settings, **smaller}))
    (empty / "tiny").symlink_to(byte_llama)
    told = call(stereoscope, "run", "mine.yaml", cwd=empty)
    assert told.endswith("exit code 0"), told
    assert (empty / "runs" / "mine" / "report" / "report.html").is_file()
