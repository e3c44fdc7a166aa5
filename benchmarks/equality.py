"""Do DDP, ZeRO-2 and ZeRO-3 on two processes train what one process trains? And what does each process hold?

    OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 python benchmarks/equality.py /tmp/equality

Tiny models of every family, full and with LoRA, on the built-in pairs (sentences of different lengths, dropout off),
with one global batch. The first table gives the largest absolute difference of a step's loss and of a final weight from
the run of one process, and the bytes of weights and of AdamW's moments that each process holds. With `--seeds N` a
second table compares runs with dropout over N seeds: the masks differ with the processes, so that only the distribution
can agree. Finished runs are kept in the folder and not repeated.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "training"))

import family_models  # noqa: E402
from many_runs import Run, launch  # noqa: E402

STRATEGIES = {"cpu": "one process", "cpu_2proc": "DDP", "cpu_2proc_zero2": "ZeRO-2", "cpu_2proc_zero3": "ZeRO-3"}
KINDS = ("gpt2", "bloom", "llama", "bert", "roberta", "t5", "flan-t5")
PAIRS_A_STEP = 8


class Case(NamedTuple):
    """A model and how it is trained."""

    kind: str
    full: bool
    objective: str
    dropout: float = 0.0
    seed: int = 42

    def __str__(self) -> str:
        return f"{self.kind}, {'full' if self.full else 'LoRA'}, `{self.objective}`"

    @property
    def folder(self) -> str:
        """Unlike any other case's."""
        return f"{self.kind}-{'full' if self.full else 'lora'}-{self.objective}-{self.dropout}-{self.seed}"


def main() -> None:
    """Train every case under every strategy and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for models and runs")
    parser.add_argument("--steps", type=int, default=20, help="of AdamW")
    parser.add_argument("--seeds", type=int, default=0, help="of runs with dropout")
    arguments = parser.parse_args()
    exact = [Case(kind, full, objective) for kind in KINDS for full, objective in ((False, "balance"), (True, "both"))]
    exact.append(Case("gpt2", True, "balance"))
    random = [Case("gpt2", False, "both", 0.1, seed) for seed in range(arguments.seeds)]
    for strategy in STRATEGIES:
        train(strategy, [*exact, *random], arguments.folder, arguments.steps)
    print("\n".join(equality_table(exact, arguments.folder)))
    if random:
        print("\n" + "\n".join(dropout_table(random, arguments.folder)))


def train(strategy: str, cases: Sequence[Case], folder: Path, steps: int) -> None:
    """Launch one process group of a strategy and train in it the cases that are not there yet."""
    processes = 1 if strategy == "cpu" else 2
    runs = []
    for case in cases:
        model = folder / "models" / f"{case.kind}-{case.dropout}"
        if not model.is_dir():
            family_models.write(model, case.kind, case.dropout)
        output = folder / strategy / case.folder
        if not (output / "fold-0" / "trained.json").is_file():
            runs.append(Run(_flags(case, model, output, steps, PAIRS_A_STEP // processes)))
    if runs:
        launch(strategy, runs, folder)


def _flags(case: Case, model: Path, output: Path, steps: int, pairs: int) -> dict[str, Any]:
    return {
        "model_name_or_path": model,
        "output_dir": output,
        "data_dir": "sample",
        "num_folds": 3,
        "folds": 0,
        "full": case.full,
        "objective": case.objective,
        "learning_rate": 1e-3 if case.full else 5e-3,
        # With 1e-8 a weight whose gradient is nothing but the rounding of a sum moves as far as any other.
        "adam_epsilon": 1e-6,
        "weight_decay": 0.1,
        "seed": case.seed,
        "data_seed": 0,
        "max_steps": steps,
        "per_device_train_batch_size": pairs,
        "save_strategy": "steps",
        "save_steps": steps,
        "logging_steps": 1,
        "disable_tqdm": True,
    }


def losses(run: Path) -> list[float]:
    """Of every step."""
    (state,) = run.glob("fold-0/checkpoint-*/trainer_state.json")
    return [entry["loss"] for entry in json.loads(state.read_text())["log_history"] if "loss" in entry]


def weight_difference(left: Path, right: Path) -> float:
    """The largest absolute one between the weight files that two runs saved."""
    (one,), (other,) = (
        [load_file(file) for file in run.glob("fold-0/checkpoint-*/*.safetensors")] for run in (left, right)
    )
    assert one.keys() == other.keys()
    return max((one[name] - other[name]).abs().max().item() for name in one)


def equality_table(cases: Sequence[Case], folder: Path) -> Iterator[str]:
    """Lines of Markdown, strategies parted by slashes; bytes are of the process that holds most."""
    apart, all_names = " / ".join(list(STRATEGIES.values())[1:]), " / ".join(STRATEGIES.values())
    yield f"| case | loss: {apart} | weights: {apart} | bytes of weights: {all_names} | of AdamW's moments |"
    yield "| --- | --- | --- | --- | --- |"
    for case in cases:
        runs = [folder / strategy / case.folder for strategy in STRATEGIES]
        steps = [losses(run) for run in runs]
        by_loss = [max(abs(its - one) for its, one in zip(other, steps[0], strict=True)) for other in steps[1:]]
        by_weight = [weight_difference(run, runs[0]) for run in runs[1:]]
        found = [" / ".join(f"{difference:.1e}" for difference in part) for part in (by_loss, by_weight)]
        found += [" / ".join(f"{_most(run, key):,}" for run in runs) for key in ("parameters", "optimizer")]
        yield f"| {case} | {' | '.join(found)} |"
        if _most(runs[0], "frozen_copy"):
            copies = " / ".join(f"{_most(run, 'frozen_copy'):,}" for run in runs)
            yield f"| its frozen copy | | | {copies} | |"


def _most(run: Path, key: str) -> int:
    held = json.loads((run / "fold-0" / "trained.json").read_text())["held_bytes"]
    return max(int(rank[key]) for rank in held)


def dropout_table(cases: Sequence[Case], folder: Path) -> Iterator[str]:
    """Lines of Markdown: the mean loss of a run, over seeds, and its difference from one process's."""
    yield f"| {cases[0]}, dropout {cases[0].dropout}, {len(cases)} seeds | mean loss | difference, 2 standard errors |"
    yield "| --- | ---: | ---: |"
    found = {
        strategy: [statistics.mean(losses(folder / strategy / case.folder)) for case in cases]
        for strategy in STRATEGIES
    }
    for strategy, name in STRATEGIES.items():
        apart = [mine - its for mine, its in zip(found[strategy], found["cpu"], strict=True)]
        error = 2 * statistics.stdev(apart) / len(apart) ** 0.5
        shown = "" if strategy == "cpu" else f"{statistics.mean(apart):+.4f} ± {error:.4f}"
        yield f"| {name} | {statistics.mean(found[strategy]):.4f} | {shown} |"


if __name__ == "__main__":
    main()
