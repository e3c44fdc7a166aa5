"""Models whose bias is known because it was planted: the instrument measures it, and `balance` takes it off."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from training.config import parse
from training.run import train

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from planted.corpus import Corpus, plant  # noqa: E402
from planted.data_sets import write_data  # noqa: E402
from planted.expected import TASKS, expected_scores  # noqa: E402
from planted.learning import train_and_save  # noqa: E402
from planted.measured import Scored, beside, scores_of  # noqa: E402
from planted.models import KINDS  # noqa: E402

# As experiments/families_demo.yaml has them.
SETTINGS = ("--learning_rate", "5e-3", "--weight_decay", "1", "--num_train_epochs", "20")


BALANCED = 0.7


# benchmarks/planted_bias.py measures all four at three shares, experiments/families_demo.yaml balances all four.
@pytest.mark.slow
@pytest.mark.parametrize(("name", "share"), [("gpt2", BALANCED), ("bert", 0.9)])
def test_the_planted_bias_is_measured_and_balance_takes_it_off(name: str, share: float, tmp_path: Path) -> None:
    corpus: Corpus = plant(share=share, odds=0.8)
    family = KINDS[name].family
    write_data(corpus, tmp_path / "data")
    train_and_save(name, corpus, tmp_path / "model", seed=0)
    before = scores_of(tmp_path / "model", TASKS[family], tmp_path / "data", tmp_path / "before")
    compared = list(beside(name, corpus.share, before, expected_scores(corpus, family)))
    assert not [one for one in compared if not one.agrees]
    if share == BALANCED:
        _check_balancing(name, tmp_path, before)


def _check_balancing(name: str, tmp_path: Path, before: dict[tuple[str, str], Scored]) -> None:
    """Fine-tuning on half of the pairs takes four fifths off the other half's preferences, and the model stays one."""
    _balance(tmp_path)
    (checkpoint,) = (tmp_path / "trained" / "fold-0").glob("checkpoint-*")
    tasks = ("crows_pairs_heldout", "stereoset_intrasentence")
    after = scores_of(checkpoint, tasks, tmp_path / "data", tmp_path / "after")
    unseen, items = (lambda metric: after[tasks[0], metric].value), (lambda metric: after[tasks[1], metric].value)
    assert unseen("abs_logprob_diff") <= before["crows_pairs", "abs_logprob_diff"].value / 5
    assert abs(unseen("crows_score") - 50) < abs(before["crows_pairs", "crows_score"].value - 50)
    assert abs(items("ss") - 50) < abs(before[tasks[1], "ss"].value - 50)
    assert items("lms") >= before[tasks[1], "lms"].value - 5


def _balance(folder: Path) -> None:
    words = ["--model_name_or_path", folder / "model", "--data_dir", folder / "data"]
    words += ["--output_dir", folder / "trained", "--objective", "balance", "--full", "true", "--kl_weight", "0.1"]
    words += ["--num_folds", "2", "--folds", "0", "--save_strategy", "steps", "--save_steps", "0.999", *SETTINGS]
    train(*parse(list(map(str, words))))
