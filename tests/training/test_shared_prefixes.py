"""What the sentences of a pair begin with goes through the model once, and changes neither loss nor gradient."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from one_step import loss_of, trainer_of

from harness.data.crows_pairs import Pair
from harness.data.tokens import load_tokenizer
from training.causal_pairs import SharedPrefixCollator
from training.families import collator_of, load_model, rows_of
from training.pair_arguments import PairArguments
from training.pairs import PairCollator

Tiny = Callable[..., Path]


def gradients(trainer: Any, count: int) -> tuple[float, dict[str, torch.Tensor]]:
    trainer.model.eval()
    loss = loss_of(trainer, range(count))
    loss.backward()
    return loss.item(), {
        name: weight.grad for name, weight in trainer.model.named_parameters() if weight.grad is not None
    }


@pytest.mark.parametrize("objective", ["anti", "both", "balance"])
@pytest.mark.parametrize(("kind", "full"), [("gpt2", True), ("llama", False)])
def test_loss_and_gradients_are_those_of_sentences_one_by_one(
    tiny: Tiny, pairs: list[Pair], tmp_path: Path, kind: str, full: bool, objective: str
) -> None:
    found = []
    for shared in (True, False):
        settings = {"objective": objective, "full": full, "share_prefixes": shared}
        trainer = trainer_of(tiny(kind), tmp_path / str(shared), pairs, **settings)
        assert isinstance(trainer.data_collator, SharedPrefixCollator if shared else PairCollator)
        found.append(gradients(trainer, 6))
    (loss, slopes), (expected, its) = found
    assert loss == pytest.approx(expected, rel=1e-5)
    assert slopes.keys() == its.keys()
    for name, slope in slopes.items():
        torch.testing.assert_close(slope, its[name], rtol=1e-3, atol=1e-5, msg=name)


def test_each_token_of_a_common_beginning_is_read_and_predicted_once(tiny: Tiny, pairs: list[Pair]) -> None:
    folder = tiny("llama")
    tokenizer = load_tokenizer({"pretrained": str(folder)})
    arguments = PairArguments(str(folder))
    rows = rows_of(arguments, "causal", tokenizer, 0)
    item = rows(pairs[0], 0)
    batch = SharedPrefixCollator()([item, item])
    more, less = (tuple(row.inputs["input_ids"]) for row in (item.more[0], item.less[0]))
    common = next(place for place, (one, other) in enumerate(zip(more, less, strict=False)) if one != other)
    # Each sentence's last token predicts nothing, and is not read.
    assert batch["input_ids"].shape == (2, len(more) + len(less) - 2 - common)
    scored = batch["scored"]
    assert len(scored["target"]) == 2 * (len(more) + len(less) - 2 - (common - 1))
    # Where they part, one place has two predictions.
    assert len(scored["place"]) == 2 * (len(more) + len(less) - 2)
    for owner, ids in enumerate((more, more, less, less)):
        assert scored["target"][scored["place"][scored["owner"] == owner]].tolist() == list(ids[1:])


def test_a_model_that_counts_positions_for_itself_gets_sentences_one_by_one(tiny: Tiny) -> None:
    folder = tiny("bloom")
    arguments = PairArguments(str(folder))
    model, tokenizer = load_model(arguments, "causal"), load_tokenizer({"pretrained": str(folder)})
    assert isinstance(collator_of(arguments, "causal", model, tokenizer, 20), PairCollator)


def test_a_window_that_two_sentences_exceed_takes_them_one_by_one(tiny: Tiny) -> None:
    folder = tiny("llama")
    arguments = PairArguments(str(folder))
    model, tokenizer = load_model(arguments, "causal"), load_tokenizer({"pretrained": str(folder)})
    model.config.sliding_window = 30
    assert isinstance(collator_of(arguments, "causal", model, tokenizer, 16), PairCollator)
    assert isinstance(collator_of(arguments, "causal", model, tokenizer, 15), SharedPrefixCollator)
