"""Settings from files and flags: a mistake is named with its line, and means that nothing starts."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from training.config import PairArguments, parse
from training.trainer import GroupedBySentenceLength


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


@pytest.mark.parametrize("flags", [["--eval_strategy", "epoch"], ["--label_smoothing_factor", "0.1"]])
def test_a_setting_that_would_do_nothing_is_refused(tmp_path: Path, flags: list[str]) -> None:
    with pytest.raises(ValueError, match=f"{flags[0][2:]}=.* means nothing here"):
        parse(["--model_name_or_path", "gpt2", "--output_dir", str(tmp_path), *flags])


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
