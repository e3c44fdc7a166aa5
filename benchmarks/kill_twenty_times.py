"""Kills a whole `stereoscope run` at random moments and lets it finish: the report must be the same every time.

    python benchmarks/kill_twenty_times.py FOLDER [--kills 20] [--seed 0]

One line a kill: the moment, the stage at work, and whether report and checkpoints equal those of a run left alone.
The report may differ in dates, durations and paths, in nothing else.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]
VARYING = ("making_seconds", "seconds", "command", "checkpoint", "results")
"""Keys of a report that hold durations, or names with a folder or date in them."""
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


class Outcome(NamedTuple):
    """One kill: when, what the run said last, and what the finished run left."""

    seconds: float
    stage: str
    same_report: bool
    same_weights: bool


def timeless(report: Path) -> Any:
    """A report without what two runs of one experiment may differ in."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: strip(item) for key, item in value.items() if key not in VARYING}
        return [strip(item) for item in value] if isinstance(value, list) else value

    return strip(json.loads((report / "report.json").read_text(encoding="utf-8")))


def weights(out: Path) -> dict[str, str]:
    """The digest of every checkpoint's weights, by its place in the run."""
    files = sorted(out.rglob("checkpoint-*/*.safetensors"))
    return {str(file.relative_to(out)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def write_experiment(folder: Path) -> Path:
    """A tiny model in two processes, two folds, six checkpoints: every stage lasts a few seconds."""
    sys.path.insert(0, str(ROOT / "tests"))
    from tiny_models import byte_llama

    content = {
        "name": "killed",
        "data_dir": "sample",
        "models": [{"name": "tiny", "pretrained": str(byte_llama(folder / "model"))}],
        "tasks": ["crows_pairs", "stereoset_intrasentence"],
        "training": {
            "accelerate_config": str(ROOT / "accelerate_configs" / "cpu_2proc.yaml"),
            "num_folds": 3,
            "folds": [0, 1],
            "max_steps": 60,
            "save_strategy": "steps",
            "save_steps": 20,
            "per_device_train_batch_size": 2,
            "learning_rate": 0.001,
            "disable_tqdm": True,
        },
    }
    file = folder / "killed.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return file


def command(experiment: Path, out: Path) -> list[str]:
    """`stereoscope run`, of this checkout."""
    return [sys.executable, "-m", "harness", "run", str(experiment), "--output_dir", str(out)]


def finish(experiment: Path, out: Path) -> float:
    """Run to the end; the seconds that it took.

    Raises:
        RuntimeError: it failed; shows its last lines.
    """
    started = time.monotonic()
    done = subprocess.run(
        command(experiment, out), env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{out}: exit code {done.returncode}\n{(done.stdout + done.stderr)[-3000:]}")
    return time.monotonic() - started


def kill(experiment: Path, out: Path, seconds: float) -> str | None:
    """Start a run and kill its process group after a while; the line on the stage that was at work.

    None: the run had come to its end before.
    """
    log = out.with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            command(experiment, out), env=ENVIRONMENT, cwd=ROOT, stdout=file, stderr=file, start_new_session=True
        )
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        else:
            return None
    stages = re.findall(r"\[\d+/\d+\] .*", log.read_text(encoding="utf-8"))
    return stages[-1] if stages else "before the first stage"


def trials(folder: Path, kills: int, seed: int) -> list[Outcome]:
    """A run left alone, then `kills` that are killed once each at a random moment of its length and finished."""
    experiment = write_experiment(folder)
    # A report names its run by the folder's name, so all have one.
    alone = folder / "alone" / "out"
    length = finish(experiment, alone)
    report, expected = timeless(alone / "report"), weights(alone)
    print(f"left alone: {length:.0f} s, {len(expected)} checkpoints")
    moments = random.Random(seed)
    found = []
    while len(found) < kills:
        out = folder / f"killed-{len(found)}" / "out"
        seconds = moments.uniform(0, length)
        stage = kill(experiment, out, seconds)
        if stage is None:
            # The machine is faster than it was: this was no kill.
            length = seconds
            shutil.rmtree(out.parent)
            continue
        finish(experiment, out)
        same = timeless(out / "report") == report
        found.append(Outcome(seconds, stage, same, weights(out) == expected))
        print(f"{len(found):2d}: killed after {seconds:4.1f} s, {stage}: same report {same}, same weights", end=" ")
        print(found[-1].same_weights, flush=True)
        if same and found[-1].same_weights:
            shutil.rmtree(out.parent)
    return found


def main() -> None:
    """Exit 1 if any report or checkpoint differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="An empty folder to work in.")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    found = trials(options.folder.resolve(), options.kills, options.seed)
    same = sum(one.same_report and one.same_weights for one in found)
    print(f"{same} of {len(found)} the same")
    sys.exit(same != len(found))


if __name__ == "__main__":
    main()
