"""Is the memory that `stereoscope plan` tells what training takes? Both, side by side, for models that take seconds.

    OMP_NUM_THREADS=1 python benchmarks/memory_measured.py
    python benchmarks/memory_measured.py --gpu

Each case trains two steps of the largest batch in a process of its own, with the trainer of `python -m training` and
random texts of the length of the longest of CrowS-Pairs. Measured is the process's peak of resident memory over those
steps (VmHWM), less what it held after training a tiny model of the same kind: imports, libraries, threads. With `--gpu`
it is the peak of what torch allocated on the first GPU. Shapes are published ones with random weights, which cost as
much as trained ones; a model's folder is loaded. Of several processes it is the largest.
"""

from __future__ import annotations

import argparse
import gc
import logging
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, PretrainedConfig, set_seed

from harness.data.families import Family, family
from harness.data.split import Split
from harness.machine.allocator import hand_freed_memory_back
from harness.machine.strategy import Strategy, read_strategy
from harness.planning.activations import Batch
from harness.planning.memory import GIB, Memory
from harness.planning.model_shapes import SHAPES, config_of
from harness.planning.plan import largest_batch, pair_arguments, planned
from training.config import TrainingArguments
from training.families import AUTO_CLASSES, load_model, with_adapter
from training.pairs import PairCollator, PairDataset, PairRows, Row
from training.trainer import PairTrainer

STEPS = 2
FOUND = "peak bytes: "
TINY: Mapping[str, Mapping[str, Any]] = {
    "bert": {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32},
    "bloom": {"hidden_size": 32, "n_layer": 1, "n_head": 2},
    "gpt2": {"n_embd": 32, "n_layer": 1, "n_head": 2},
    "llama": {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32},
    "t5": {"d_model": 32, "d_kv": 16, "d_ff": 32, "num_layers": 1, "num_heads": 2, "decoder_start_token_id": 0},
}


@dataclass(frozen=True)
class Case:
    """A model, hub id of a known shape or folder, and how it is trained."""

    pretrained: str
    full: bool
    objective: str = "balance"
    pairs: int = 8
    checkpointing: bool = False
    accumulation: int = 1
    config: str = ""

    def __str__(self) -> str:
        how = ["full" if self.full else "LoRA", self.objective, f"{self.pairs} pairs"]
        how += ["checkpointing"] * self.checkpointing + [f"accumulation {self.accumulation}"] * (self.accumulation > 1)
        how += [Path(self.config).stem] * bool(self.config)
        return f"{self.pretrained}, {', '.join(how)}"

    def strategy(self, gpu: bool) -> Strategy:
        """One process, or what the accelerate config says."""
        return read_strategy(Path(self.config), {}) if self.config else Strategy(gpu=gpu)

    @property
    def settings(self) -> dict[str, Any]:
        """As `python -m training` names them."""
        return {
            "full": self.full,
            "objective": self.objective,
            "per_device_train_batch_size": self.pairs,
            "gradient_checkpointing": self.checkpointing,
            "gradient_accumulation_steps": self.accumulation,
        }


CASES = (
    Case("models/smollm2-135m", full=False),
    Case("models/smollm2-135m", full=True, objective="both"),
    Case("models/smollm2-135m", full=True, objective="both", checkpointing=True),
    Case("gpt2", full=False),
    Case("gpt2", full=True),
    Case("gpt2", full=True, objective="both", pairs=4, accumulation=2),
    Case("bert-base-uncased", full=False),
    Case("bert-base-uncased", full=True, objective="both"),
    Case("google/flan-t5-small", full=False),
    Case("google/flan-t5-small", full=True, objective="both"),
    Case("models/smollm2-135m", full=True, objective="both", pairs=2, config="accelerate_configs/cpu_2proc.yaml"),
    Case("models/smollm2-135m", full=True, objective="both", pairs=2, config="accelerate_configs/cpu_2proc_zero2.yaml"),
    Case("models/smollm2-135m", full=True, objective="both", pairs=2, config="accelerate_configs/cpu_2proc_zero3.yaml"),
)


def config(case: Case) -> PretrainedConfig:
    """Of the model that the case names."""
    return config_of(case.pretrained) if case.pretrained in SHAPES else AutoConfig.from_pretrained(case.pretrained)


def plan(case: Case, gpu: bool) -> tuple[Batch, Memory]:
    """The largest step of the case, and its planned memory."""
    shape = config(case)
    arguments = pair_arguments(case.pretrained, case.settings)
    batch = largest_batch(family(shape), arguments, case.pairs)
    return batch, planned(shape, family(shape), arguments, case.strategy(gpu), batch, case.settings)[1]


def measure(case: Case, gpu: bool) -> int:
    """Bytes at the peak of the case's training, in this process, which trains nothing else."""
    hand_freed_memory_back()
    shape = config(case)
    kind = family(shape)
    batch, _ = plan(case, gpu)
    copies = 2 if case.full and case.objective == "balance" else 1
    _train(case, kind, [AUTO_CLASSES[kind].from_config(_tiny(shape)) for _ in range(copies)], batch)
    gc.collect()
    before = _resident("VmRSS")
    models = [_model(case, shape, kind) for _ in range(copies)]
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from what is resident now
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    _train(case, kind, models, batch)
    return torch.cuda.max_memory_allocated() if gpu else _resident("VmHWM") - before


def _model(case: Case, shape: PretrainedConfig, kind: Family) -> Any:
    if case.pretrained in SHAPES:
        return AUTO_CLASSES[kind].from_config(shape)
    return load_model(pair_arguments(case.pretrained, case.settings), kind)


def _train(case: Case, kind: Family, models: Sequence[Any], batch: Batch) -> None:
    """Train the first of the models; a second one is its frozen copy."""
    model, base = models[0], models[1] if len(models) > 1 else None
    set_seed(0)
    arguments = pair_arguments(case.pretrained, case.settings)
    if not case.full:
        model = with_adapter(model, arguments, kind)
    ours = vars(arguments)
    with tempfile.TemporaryDirectory() as folder:
        PairTrainer(
            model=model,
            args=TrainingArguments(
                output_dir=folder,
                max_steps=STEPS,
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
                **{name: value for name, value in case.settings.items() if name not in ours},
            ),
            train_dataset=_texts(batch, case, model.config.vocab_size),
            data_collator=PairCollator(0),
            pair_arguments=arguments,
            split=Split(data_sha256="", folds=1, fold=-1, train=(), held_out=()),
            base_model=base,
        ).train()


def _texts(batch: Batch, case: Case, vocabulary: int) -> PairDataset:
    """Pairs that make exactly `batch`, as often as a step takes them."""
    draw = torch.Generator().manual_seed(0)

    def ids(count: int) -> list[int]:
        return torch.randint(1, vocabulary, (count,), generator=draw).tolist()

    def row() -> Row:
        inputs = {"input_ids": ids(batch.tokens)}
        if batch.decoder_tokens:
            inputs["decoder_input_ids"] = ids(batch.decoder_tokens)
        scored = batch.scored // batch.rows
        return Row(inputs, list(range(scored)), ids(scored))

    def rows_of(pair: Any, epoch: int) -> PairRows:
        number = int(pair) % case.pairs
        rows = [row() for _ in range(batch.rows * number // case.pairs, batch.rows * (number + 1) // case.pairs)]
        return PairRows(rows[: len(rows) // 2], rows[len(rows) // 2 :], csv_row=int(pair))

    pairs: Any = range(case.pairs * case.accumulation * case.strategy(False).processes)
    return PairDataset(pairs, rows_of, 512)


def _tiny(shape: PretrainedConfig) -> PretrainedConfig:
    return AutoConfig.for_model(shape.model_type, vocab_size=1000, **TINY[shape.model_type])


def _resident(name: str) -> int:
    """A line of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def main() -> None:
    """Measure every case in a process of its own and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpu", action="store_true", help="train on the first GPU, in fp32")
    parser.add_argument("--case", type=int, help="measure this one, counted from 0, and print its bytes alone")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    if arguments.gpu and not torch.cuda.is_available():
        parser.error("--gpu: torch finds no GPU here")
    if arguments.case is not None:
        print(f"{FOUND}{measure(CASES[arguments.case], arguments.gpu)}", flush=True)
        return
    print("| case | planned GiB | measured GiB | planned / measured |\n| --- | ---: | ---: | ---: |")
    for number, case in enumerate(CASES):
        if arguments.gpu and case.config:
            continue  # those are for CPU processes
        launch = ["-m", "accelerate.commands.launch", "--config_file", case.config] if case.config else []
        command = [sys.executable, *launch, __file__, "--case", str(number), *["--gpu"] * arguments.gpu]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        measured = max(int(line.removeprefix(FOUND)) for line in printed.splitlines() if line.startswith(FOUND))
        _, memory = plan(case, arguments.gpu)
        row = f"{memory.peak / GIB:.2f} | {measured / GIB:.2f} | {memory.peak / measured:.2f}"
        print(f"| {case} | {row} |", flush=True)


if __name__ == "__main__":
    main()
