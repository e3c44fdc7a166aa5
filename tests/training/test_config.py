"""Settings from files and flags: a mistake is named with its line, and means that nothing starts."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from training.batches import GroupedBySentenceLength
from training.config import TrainingArguments, from_settings, parse, problems
from training.pair_arguments import PairArguments
from training.unused import REASONS


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("learning_rat: 1", "line 2: unknown key 'learning_rat'"),
        ("learning_rate: fast", "line 2: learning_rate: invalid float"),
        ("objective: unbias", "line 2: objective: invalid choice"),
    ],
)
def test_a_wrong_key_or_value_of_the_config_names_its_line(
    tmp_path: Path, line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"num_folds: 2\n{line}\n")
    with pytest.raises(SystemExit):
        parse(["--config", str(config)])
    assert message in capsys.readouterr().err


def test_a_flag_wins_over_the_config_file(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"model_name_or_path": "gpt2", "learning_rate": 1e-3, "num_folds": 4}))
    ours, theirs = parse(["--config", str(config), "--output_dir", str(tmp_path), "--num_folds", "7"])
    assert (ours.num_folds, theirs.learning_rate) == (7, 1e-3)


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--eval_strategy", "epoch"], "checkpoints are scored by `stereoscope run`"),
        (["--load_best_model_at_end", "true"], "checkpoints are scored by `stereoscope run`"),
        (["--save_strategy", "best"], "take `epoch` or `steps`"),
        (["--resume_from_checkpoint", "runs/fold-0/checkpoint-5"], "goes on from the newest complete checkpoint"),
        (["--enable_jit_checkpoint", "true"], "goes on from the newest complete checkpoint"),
        (["--label_smoothing_factor", "0.1"], "the objectives are training/objectives.py's"),
        (["--auto_find_batch_size", "true"], "the objectives are training/objectives.py's"),
        (["--push_to_hub", "true"], "nothing is uploaded"),
        (["--save_on_each_node", "true"], "rank 0 writes there"),
    ],
)
def test_a_setting_that_would_do_nothing_is_refused_with_the_reason(
    tmp_path: Path, flags: list[str], reason: str
) -> None:
    with pytest.raises(ValueError, match=f"{flags[0][2:]}=.* means nothing here.*{reason}"):
        parse(["--model_name_or_path", "gpt2", "--output_dir", str(tmp_path), *flags])


def test_a_setting_that_would_do_nothing_is_refused_with_its_line_of_the_config(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("num_folds: 2\nsave_strategy: no\neval_strategy: no\nload_best_model_at_end: true\n")
    with pytest.raises(SystemExit):
        parse(["--config", str(config)])
    assert "line 4: load_best_model_at_end=True means nothing here (it is False)" in capsys.readouterr().err


def test_yaml_reads_no_as_false_and_the_strategy_is_no_all_the_same(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"model_name_or_path: gpt2\noutput_dir: {tmp_path}\nsave_strategy: no\n")
    assert parse(["--config", str(config)])[1].save_strategy == "no"
    settings = {"model_name_or_path": "gpt2", "output_dir": str(tmp_path), "save_strategy": False}
    assert from_settings(settings)[1].save_strategy == "no"


def test_no_passes_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"num_train_epochs=0\.0 trains nothing"):
        parse(["--model_name_or_path", "gpt2", "--output_dir", str(tmp_path), "--num_train_epochs", "0"])


def test_every_setting_that_is_refused_is_one_of_the_stock_trainers(tmp_path: Path) -> None:
    stock = TrainingArguments(output_dir=str(tmp_path))
    assert [name for names in REASONS.values() for name in names if not hasattr(stock, name)] == []


def test_folds_are_all_or_numbers_below_their_count() -> None:
    assert PairArguments("gpt2", num_folds=3).held_out_folds() == [0, 1, 2]
    assert PairArguments("gpt2", num_folds=3, folds=["2"]).held_out_folds() == [2]
    with pytest.raises(ValueError, match=r"folds has \['3'\]"):
        PairArguments("gpt2", num_folds=3, folds=["3"]).held_out_folds()


def test_batches_hold_sentences_of_one_length_and_change_with_the_epoch() -> None:
    lengths = [5, 50] * 100
    sampler = GroupedBySentenceLength(lengths, per_step=10, seed=0)
    first = list(sampler)
    order = [key.pair for key in first]
    assert sorted(order) == list(range(200))
    assert sum(len({lengths[pair] for pair in order[at : at + 10]}) == 1 for at in range(0, 200, 10)) == 20
    assert first == list(GroupedBySentenceLength(lengths, per_step=10, seed=0))
    sampler.epoch = 1
    second = list(sampler)
    assert [key.pair for key in second] != order
    assert {key.epoch for key in first} == {0}
    assert {key.epoch for key in second} == {1}


def test_a_list_where_one_value_belongs_is_told_as_any_other_mistake() -> None:
    ((key, problem),) = problems({"learning_rate": [0.1, 0.2]})
    assert key == "learning_rate"
    assert "unrecognized arguments: 0.2" in problem


@pytest.mark.parametrize("beta", [0, -0.1])
def test_a_preference_loss_without_a_beta_is_refused(beta: float) -> None:
    assert [key for key, _ in problems({"objective": "dpo", "beta": beta})] == ["beta"]
    with pytest.raises(ValueError, match="above 0"):
        PairArguments("model", objective="dpo", beta=beta)
