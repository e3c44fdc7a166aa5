"""Several runs of `python -m training` in one launched process group: what takes seconds is done once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "accelerate_configs"


@dataclass(frozen=True)
class Run:
    """Flags of `python -m training`, a space parting several values of one.

    `deepspeed` takes the place of the launched config's DeepSpeed file. `fp16_on_cpu` lets DeepSpeed believe that this
    CPU computes in fp16. `refused` expects a ValueError with this in it.
    """

    flags: dict[str, object]
    deepspeed: str = ""
    fp16_on_cpu: bool = False
    refused: str = ""


def launch(config: str, runs: Sequence[Run], folder: Path, *flags: str) -> str:
    """Launch these with `accelerate_configs/{config}.yaml` and more flags of the launcher; returns what they printed.

    Raises:
        AssertionError: the launcher's exit code is not 0.
    """
    specification = folder / f"{config}.json"
    folder.mkdir(parents=True, exist_ok=True)
    specification.write_text(json.dumps([asdict(run) for run in runs], default=str), encoding="utf-8")
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(CONFIGS / f"{config}.yaml")]
    command += [*flags, str(Path(__file__).resolve()), str(specification)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    outcome = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, f"{' '.join(command)}\n{outcome.stdout}\n{outcome.stderr}"
    return outcome.stdout + outcome.stderr


def here(run: Run) -> None:
    """One run of one process, this one."""
    from training.config import parse
    from training.run import train

    train(*parse(_words(run)))


def _words(run: Run) -> list[str]:
    return [word for name, value in run.flags.items() for word in (f"--{name}", *str(value).split(" "))]


def main(specification: Path) -> None:
    """Each run in turn, in this process, which is one of the launched."""
    from harness.machine.startup import imports_uncollected

    with imports_uncollected():
        from training import config
        from training import run as training

    for run in (Run(**one) for one in json.loads(specification.read_text(encoding="utf-8"))):
        if run.deepspeed:
            os.environ["ACCELERATE_DEEPSPEED_CONFIG_FILE"] = str(CONFIGS / f"{run.deepspeed}.json")
        if run.fp16_on_cpu:
            from deepspeed.accelerator import get_accelerator

            get_accelerator().is_fp16_supported = lambda: True
            config.require_able = lambda *_: None
        try:
            training.main(_words(run))
        except ValueError as error:
            if not run.refused or run.refused not in str(error):
                raise
        else:
            assert not run.refused, f"expected to be refused: {run.refused}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
