"""DDP, ZeRO-2 and ZeRO-3 on two processes: the run of one process, really shared out, saved whole, resumed by any."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from family_models import FAMILIES
from many_runs import CONFIGS, Run, here, launch
from peft import PeftModel
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from training.checkpoints import complete_checkpoints, keep_weights_only
from training.families import AUTO_CLASSES
from training.resume import newest, saved_state

pytestmark = [pytest.mark.slow, pytest.mark.distributed]

FLAGS = {
    "num_folds": 3,
    "folds": 0,
    "data_dir": "sample",
    # What makes two processes alike to 1e-5 is explained in test_run.py.
    "adam_epsilon": 1e-6,
    # Of weights only: biases and norms are a second group for the optimizer, and for what splits its state.
    "weight_decay": 0.1,
    "max_steps": 6,
    "save_strategy": "steps",
    "save_steps": 3,
    "logging_steps": 1,
    "disable_tqdm": True,
    # Half the length of the first gradients: clipping has to work on the whole of them.
    "max_grad_norm": 0.5,
}
DDP, ZERO2, ZERO3 = "cpu_2proc", "cpu_2proc_zero2", "cpu_2proc_zero3"
STRATEGIES = (DDP, ZERO2, ZERO3)


class Case(NamedTuple):
    """A model and how it is trained."""

    kind: str
    full: bool
    objective: str
    accumulate: int = 1
    form: str = "infill"

    def __str__(self) -> str:
        return f"{self.kind}-{'full' if self.full else 'lora'}-{self.objective}"


CASES = [
    Case("gpt2", False, "balance"),
    Case("gpt2", True, "balance"),
    Case("bert", True, "both", accumulate=2),
    Case("flan-t5", False, "balance"),
]
DDP_CASES = [*CASES, Case("bert", False, "balance"), Case("flan-t5", False, "both", form="rewrite")]
"""With what else differs between processes: how many sub-tokens are masked, and rows of another length."""
RESUMED = [CASES[0], CASES[2]]
"""An adapter, and a model whose masks depend on the epoch."""
GROWN = {ZERO2: RESUMED[0], ZERO3: RESUMED[1]}
"""Resumed by more processes than began it; under DDP that is tested in test_run.py."""


def run_of(case: Case, model: Path, output_dir: Path, processes: int = 2, **settings: Any) -> Run:
    flags = {
        **FLAGS,
        "model_name_or_path": model,
        "output_dir": output_dir,
        "full": case.full,
        "objective": case.objective,
        "learning_rate": 1e-3 if case.full else 5e-3,
        "per_device_train_batch_size": 8 // processes // case.accumulate,
        "gradient_accumulation_steps": case.accumulate,
        "seq2seq_form": case.form,
    }
    return Run(flags, **settings)


def changed(run: Run, **flags: object) -> Run:
    return dataclasses.replace(run, flags={**run.flags, **flags})


def stopped(finished: Path, output_dir: Path) -> Path:
    """A copy of a finished run as it was when step 3 had been saved."""
    shutil.copytree(finished, output_dir)
    shutil.rmtree(output_dir / "fold-0" / "checkpoint-6")
    (output_dir / "fold-0" / "trained.json").unlink()
    return output_dir


def small_buckets(deepspeed: str, folder: Path) -> Path:
    """A copy of the DeepSpeed file, without its ending, with a bucket smaller than the vocabulary."""
    config = json.loads((CONFIGS / f"{deepspeed}.json").read_text())
    config["zero_optimization"]["reduce_bucket_size"] = 1000
    (folder / f"{deepspeed}_small.json").write_text(json.dumps(config))
    return folder / f"{deepspeed}_small"


@pytest.fixture(scope="module")
def home(tiny: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every case under every strategy, and runs that stop after step 3 and go on with another number of processes.

    Folders: `STRATEGY/CASE`, `one` being one process; `2-to-1/STRATEGY/CASE` and `1-to-2/STRATEGY/CASE`; `folds`, two
    folds in one run; `still`, FLAN-T5 that goes through ZeRO-3 without learning; `small/zero2` and `small/zero3`, GPT-2
    with buckets that its largest weight does not fit into.
    """
    home = tmp_path_factory.mktemp("strategies")
    folds = {"folds": "0 1", "max_steps": 3}
    launch(DDP, [run_of(case, tiny(case.kind), home / DDP / str(case)) for case in DDP_CASES], home)
    sharded = [
        run_of(case, tiny(case.kind), home / strategy / str(case), deepspeed=deepspeed)
        for strategy, deepspeed in ((ZERO2, "zero2"), (ZERO3, "zero3"))
        for case in CASES
    ]
    sharded.append(changed(run_of(CASES[1], tiny("gpt2"), home / "folds" / ZERO3, deepspeed="zero3"), **folds))
    still = run_of(Case("flan-t5", True, "both"), tiny("flan-t5"), home / "still", deepspeed="zero3")
    sharded.append(changed(still, learning_rate=0.0, max_steps=1, save_steps=1))
    launch(ZERO2, sharded, home)
    one = [run_of(case, tiny(case.kind), home / "one" / str(case), 1) for case in DDP_CASES]
    one.append(changed(run_of(CASES[1], tiny("gpt2"), home / "folds" / "one", 1), **folds))
    for case in RESUMED:
        folder = stopped(home / DDP / str(case), home / "2-to-1" / DDP / str(case))
        one.append(run_of(case, tiny(case.kind), folder, 1))
    for run in one:
        here(run)
    alone, together = [], []
    for strategy, deepspeed in ((ZERO2, "zero2"), (ZERO3, "zero3")):
        for case in RESUMED:
            folder = stopped(home / strategy / str(case), home / "2-to-1" / strategy / str(case))
            alone.append(run_of(case, tiny(case.kind), folder, 1, deepspeed=deepspeed))
        case = GROWN[strategy]
        folder = home / "alone" / strategy / str(case)
        alone.append(run_of(case, tiny(case.kind), folder, 1, deepspeed=deepspeed))
    launch(ZERO2, alone, home, "--num_processes", "1")
    for strategy, deepspeed in ((ZERO2, "zero2"), (ZERO3, "zero3")):
        case = GROWN[strategy]
        folder = stopped(home / "alone" / strategy / str(case), home / "1-to-2" / strategy / str(case))
        together.append(run_of(case, tiny(case.kind), folder, deepspeed=deepspeed))
        folder = stopped(home / strategy / str(RESUMED[0]), home / "2-to-2" / strategy / str(RESUMED[0]))
        together.append(run_of(RESUMED[0], tiny("gpt2"), folder, deepspeed=deepspeed))
    for deepspeed in ("zero2", "zero3"):
        small = small_buckets(deepspeed, home)
        together.append(run_of(CASES[1], tiny("gpt2"), home / "small" / deepspeed, deepspeed=str(small)))
    other = stopped(home / ZERO2 / str(RESUMED[0]), home / "other" / str(RESUMED[0]))
    refused = "written by a run under ZeRO-2, and this one is under ZeRO-3"
    together.append(run_of(RESUMED[0], tiny("gpt2"), other, deepspeed="zero3", refused=refused))
    launch(ZERO2, together, home)
    return home


def losses(run: Path, step: int = 6) -> list[float]:
    state = json.loads((run / "fold-0" / f"checkpoint-{step}" / "trainer_state.json").read_text())
    return [entry["loss"] for entry in state["log_history"] if "loss" in entry]


def loaded(case: Case, model: Path, checkpoint: Path) -> Mapping[str, Tensor]:
    """What plain transformers, and plain peft for an adapter, make of a checkpoint."""
    auto_class = AUTO_CLASSES[FAMILIES[case.kind]]
    if case.full:
        found, problems = auto_class.from_pretrained(checkpoint, output_loading_info=True)
        assert not problems["missing_keys"]
        assert not problems["unexpected_keys"]
        return found.state_dict()
    return PeftModel.from_pretrained(auto_class.from_pretrained(model), str(checkpoint)).state_dict()


def largest_difference(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> float:
    assert left.keys() == right.keys()
    return max((left[name] - right[name]).abs().max().item() for name in left)


def held(run: Path, fold: str = "fold-0") -> list[dict[str, int]]:
    return json.loads((run / fold / "trained.json").read_text())["held_bytes"]


@pytest.mark.parametrize(
    ("case", "strategy"),
    [(case, strategy) for strategy in STRATEGIES for case in (DDP_CASES if strategy == DDP else CASES)],
    ids=str,
)
def test_two_processes_train_as_one_does(home: Path, tiny: Callable[..., Path], case: Case, strategy: str) -> None:
    one, two = home / "one" / str(case), home / strategy / str(case)
    assert losses(two) == pytest.approx(losses(one), abs=1e-5)
    weights = [loaded(case, tiny(case.kind), run / "fold-0" / "checkpoint-6") for run in (one, two)]
    assert largest_difference(*weights) < 5e-5
    begun = loaded(case, tiny(case.kind), two / "fold-0" / "checkpoint-3")
    assert largest_difference(weights[1], begun) > 1e-4


@pytest.mark.parametrize("deepspeed", ["zero2", "zero3"])
def test_a_weight_larger_than_the_reduce_bucket_is_trained_as_any_other(
    home: Path, tiny: Callable[..., Path], deepspeed: str
) -> None:
    runs = [home / "one" / str(CASES[1]), home / "small" / deepspeed]
    assert losses(runs[1]) == pytest.approx(losses(runs[0]), abs=1e-5)
    assert largest_difference(*(loaded(CASES[1], tiny("gpt2"), run / "fold-0" / "checkpoint-6") for run in runs)) < 5e-5


@pytest.mark.parametrize("case", CASES, ids=str)
def test_each_of_two_processes_holds_its_share(home: Path, case: Case) -> None:
    (whole,) = held(home / "one" / str(case))
    assert (whole["frozen_copy"] > 0) == (case.full and case.objective == "balance")
    shares = {DDP: (1, 1), ZERO2: (1, 0.5), ZERO3: (0.5, 0.5)}
    for strategy, (parameters, optimizer) in shares.items():
        ranks = held(home / strategy / str(case))
        assert len(ranks) == 2
        for rank in ranks:
            assert rank["parameters"] == pytest.approx(parameters * whole["parameters"], rel=0.02)
            assert rank["optimizer"] == pytest.approx(optimizer * whole["optimizer"], rel=0.02)
            assert rank["frozen_copy"] == pytest.approx(parameters * whole["frozen_copy"], rel=0.02)


def test_a_second_fold_under_zero3_starts_from_the_models_own_weights(home: Path, tiny: Callable[..., Path]) -> None:
    runs = [home / "folds" / run / "fold-1" / "checkpoint-3" for run in ("one", ZERO3)]
    assert largest_difference(*(loaded(CASES[1], tiny("gpt2"), checkpoint) for checkpoint in runs)) < 5e-5
    assert held(home / "folds" / ZERO3, "fold-1") == held(home / ZERO3 / str(CASES[1]))


def test_flan_t5_keeps_every_tensor_of_its_file_under_zero3(home: Path, tiny: Callable[..., Path]) -> None:
    before = load_file(tiny("flan-t5") / "model.safetensors")
    after = load_file(home / "still" / "fold-0" / "checkpoint-1" / "model.safetensors")
    assert not torch.equal(before["lm_head.weight"], before["shared.weight"])
    assert after.keys() == before.keys()
    assert [name for name in before if not torch.equal(before[name], after[name])] == []


@pytest.mark.parametrize("case", CASES, ids=str)
def test_weight_files_are_the_same_whatever_wrote_them(home: Path, case: Case) -> None:
    name = "model.safetensors" if case.full else "adapter_model.safetensors"
    contents = []
    for run in ("one", *STRATEGIES):
        with safe_open(home / run / str(case) / "fold-0" / "checkpoint-6" / name, "pt") as file:
            contents.append({key: tuple(file.get_slice(key).get_shape()) for key in file.keys()})  # noqa: SIM118
    assert all(content == contents[0] for content in contents)


@pytest.mark.parametrize("strategy", [ZERO2, ZERO3])
def test_an_adapters_checkpoint_does_not_hold_the_frozen_base(home: Path, strategy: str) -> None:
    checkpoint = home / strategy / str(CASES[0]) / "fold-0" / "checkpoint-6"
    states = [torch.load(file, weights_only=False) for file in checkpoint.glob("global_step6/*model_states.pt")]
    assert len(states) == (1 if strategy == ZERO2 else 2)
    assert all("lora_" in name for state in states for name in state["module"])
    (whole,) = held(home / "one" / str(CASES[0]))
    trained = whole["optimizer"] // 2
    # Weights twice (adapter and resume state, there with a 32-bit copy), two moments, and a megabyte of vocabulary.
    size = sum(file.stat().st_size for file in checkpoint.rglob("*.*") if file.suffix in (".pt", ".safetensors"))
    assert size < 5 * trained + 200_000


RESUMPTIONS = [("2-to-1", strategy, case) for strategy in STRATEGIES for case in RESUMED]
RESUMPTIONS += [("1-to-2", strategy, case) for strategy, case in GROWN.items()]
RESUMPTIONS += [("2-to-2", strategy, RESUMED[0]) for strategy in (ZERO2, ZERO3)]


@pytest.mark.parametrize(("how", "strategy", "case"), RESUMPTIONS, ids=str)
def test_a_stopped_run_goes_on_to_the_same_weights_with_any_number_of_processes(
    home: Path, tiny: Callable[..., Path], how: str, strategy: str, case: Case
) -> None:
    straight, resumed = home / "one" / str(case), home / how / strategy / str(case)
    assert losses(resumed) == pytest.approx(losses(straight), abs=1e-5)
    weights = [loaded(case, tiny(case.kind), run / "fold-0" / "checkpoint-6") for run in (straight, resumed)]
    assert largest_difference(*weights) < 5e-5
    assert sorted(file.name for file in (resumed / "fold-0").iterdir()) == sorted(
        file.name for file in (straight / "fold-0").iterdir()
    )


def test_optimizer_state_of_another_stage_is_not_silently_dropped(home: Path) -> None:
    # That it was refused is asserted by the launched run itself.
    folder = home / "other" / str(RESUMED[0]) / "fold-0"
    assert saved_state(folder / "checkpoint-3") == (2, 2)
    assert not (folder / "trained.json").exists()


@pytest.mark.parametrize("strategy", ["one", ZERO3])
def test_a_checkpoint_without_its_resume_state_can_still_be_scored(
    home: Path, tiny: Callable[..., Path], tmp_path: Path, strategy: str
) -> None:
    case = RESUMED[0]
    shutil.copytree(home / strategy / str(case) / "fold-0", tmp_path / "fold-0")
    earlier, last = complete_checkpoints(tmp_path / "fold-0")
    before = loaded(case, tiny(case.kind), earlier)
    keep_weights_only(earlier)
    assert complete_checkpoints(tmp_path / "fold-0") == [earlier, last]
    assert largest_difference(loaded(case, tiny(case.kind), earlier), before) == 0
    assert saved_state(earlier) is None
    assert newest([earlier, last]) == last
    assert newest([earlier]) is None
    assert not list(earlier.glob("*.pt*")) + list(earlier.glob("global_step*"))
