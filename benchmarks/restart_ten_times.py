"""Kills rank 1 of a two-process training, and counts how often it goes on from its newest checkpoint by itself.

    python benchmarks/restart_ten_times.py FOLDER --by run|torch [--tries 10]

`run` is what `stereoscope run` does with a failed stage; `torch` is `accelerate launch --max_restarts` on its own. One
line a try: how long rank 0 outlived rank 1, where the run went on, and whether the weights equal those of a run left
alone.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from kill_twenty_times import ENVIRONMENT, ROOT, weights

sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from tiny_models import byte_llama  # noqa: E402

from harness.experiments.launching import launch  # noqa: E402
from harness.machine.orphans import only_run, process_state  # noqa: E402

RESTARTING = ("--rdzv_backend", "c10d", "--max_restarts", "3", "--monitor_interval", "1")
FLAGS = (
    *("--num_folds", "3", "--folds", "0", "--data_dir", "sample", "--max_steps", "60", "--save_strategy", "steps"),
    *("--save_steps", "20", "--per_device_train_batch_size", "4", "--learning_rate", "0.001", "--disable_tqdm", "true"),
)


def command(model: Path, out: Path, launcher: tuple[str, ...] = ()) -> list[str]:
    """`accelerate launch` of a training in two processes."""
    config = ("--config_file", str(ROOT / "accelerate_configs" / "cpu_2proc.yaml"), "--main_process_port", "0")
    accelerate = (sys.executable, "-m", "accelerate.commands.launch", *config, *launcher)
    run = ("-m", "training", "--model_name_or_path", str(model), "--output_dir", str(out))
    return [*accelerate, *run, *FLAGS]


def ranks_of(out: Path) -> dict[int, int]:
    """The process ids of the ranks that train into `out`."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text().split("\0")
            environment = (process / "environ").read_text().split("\0")
        except OSError:
            continue
        rank = next((word[5:] for word in environment if word.startswith("RANK=")), None)
        if str(out) in words and rank is not None:
            found[int(rank)] = int(process.name)
    return found


def kill_rank_1(out: Path, outlived: list[float]) -> None:
    """Once the first checkpoint is complete; notes how many seconds rank 0 is there after it."""
    while not (out / "fold-0" / "checkpoint-20").is_dir():
        time.sleep(0.01)
    ranks = ranks_of(out)
    os.kill(ranks[1], signal.SIGKILL)
    started = time.monotonic()
    while process_state(ranks[0]) is not None:
        time.sleep(0.01)
    outlived.append(time.monotonic() - started)


def attempt(model: Path, out: Path, by: str) -> tuple[int, float, str]:
    """Exit code, the seconds that rank 0 outlived rank 1, and the run's messages."""
    outlived: list[float] = []
    killer = threading.Thread(target=kill_rank_1, args=(out, outlived), daemon=True)
    killer.start()
    file = out.with_suffix(".log")
    if by == "torch":
        environment = {**ENVIRONMENT, "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
        with file.open("w", encoding="utf-8") as log:
            words = command(model, out, RESTARTING)
            code = subprocess.run(words, env=environment, cwd=ROOT, stdout=log, stderr=log, check=False).returncode
    else:
        words = ["sh", "-c", 'exec "$@" >> "$0" 2>&1', str(file), *command(model, out)]
        with only_run(out.with_suffix(".run")) as environment:
            os.chdir(ROOT)
            started = {**ENVIRONMENT, **environment}
            code = launch(words, started, 3, lambda: sorted(out.glob("fold-0/*/manifest.json")))
    killer.join(60)
    return code, outlived[0], file.read_text(encoding="utf-8")


def main() -> None:
    """Exit 1 if any try did not end as the run left alone did."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="An empty folder to work in.")
    parser.add_argument("--by", choices=("run", "torch"), default="run")
    parser.add_argument("--tries", type=int, default=10)
    options = parser.parse_args()
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    model = byte_llama(folder / "model")
    subprocess.run(command(model, folder / "alone"), env=ENVIRONMENT, cwd=ROOT, check=True, capture_output=True)
    expected, times, good = weights(folder / "alone"), [], 0
    for number in range(options.tries):
        out = folder / f"try-{number}"
        code, seconds, said = attempt(model, out, options.by)
        resumed = re.findall(r"resuming from (checkpoint-\d+)", said)
        same = weights(out) == expected
        print(f"{number + 1:2d}: rank 0 gone after {seconds:.1f} s, resumed from {resumed}, exit {code}, same {same}")
        sys.stdout.flush()
        times.append(seconds)
        good += code == 0 and bool(resumed) and same
    print(f"{good} of {options.tries}; rank 0 gone after {min(times):.1f} to {max(times):.1f} s")
    sys.exit(good != options.tries)


if __name__ == "__main__":
    main()
