"""One step, in this process: its loss equals a plain loop over sentences, and it changes only what it should."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import pytest
import torch
from one_step import loss_of, trainer_of
from peft import PeftModel
from torch import Tensor

from harness.data.crows_pairs import Pair
from harness.data.families import family_of
from harness.data.infill import infill_pair
from harness.data.split import Split
from harness.data.tokens import load_tokenizer
from training.config import TrainingArguments
from training.families import AUTO_CLASSES
from training.pair_arguments import PairArguments
from training.pairs import PairInEpoch
from training.run import train_fold
from training.seq2seq_pairs import INSTRUCTION

Tiny = Callable[..., Path]
BALANCED = [
    ("llama", {}),
    ("bert", {}),
    ("bert", {"balanced_tokens": "all"}),
    ("roberta", {}),
    ("t5", {}),
    ("flan-t5", {}),
    ("t5", {"seq2seq_form": "rewrite"}),
]


# The slow twin: one text, one mask, one sentence at a time, and nothing of ours but what the texts are.


@torch.no_grad()
def slow_log_p(folder: Path, model: Any, pair: Pair, settings: dict[str, Any]) -> Iterator[list[tuple[Tensor, int]]]:
    """Of the more, then of the less stereotypical sentence: the distribution [V] at every scored token, and its id."""
    tokenizer = load_tokenizer({"pretrained": str(folder)})
    sides = (pair.sent_more, pair.sent_less)
    if family_of({"pretrained": str(folder)}) == "causal":
        for text in sides:
            ids = tokenizer("<s>" + text, add_special_tokens=False)["input_ids"]
            logits = model(input_ids=torch.tensor([ids])).logits[0]
            yield [(logits[place].log_softmax(-1), token) for place, token in enumerate(ids[1:])]
    elif family_of({"pretrained": str(folder)}) == "masked":
        ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in sides]
        same = SequenceMatcher(None, *ids, autojunk=False).get_matching_blocks()
        shared = [{start + n for start, _, size in same for n in range(size)}]
        shared += [{start + n for _, start, size in same for n in range(size)}]
        for its, equal in zip(ids, shared, strict=True):
            found = []
            for place, token in enumerate(its):
                if settings.get("balanced_tokens") == "all" or place not in equal:
                    masked = [*its[:place], tokenizer.mask_token_id, *its[place + 1 :]]
                    logits = model(input_ids=torch.tensor([[1, *masked, 2]])).logits[0, place + 1]
                    found.append((logits.log_softmax(-1), token))
            yield found
    else:
        infill = infill_pair(*sides)
        sources, texts = [infill.template] * 2, infill.spans
        if settings.get("seq2seq_form") == "rewrite":
            sources, texts = [INSTRUCTION + text for text in reversed(sides)], sides
        for source, text in zip(sources, texts, strict=True):
            labels = tokenizer(text)["input_ids"]
            encoded = torch.tensor([tokenizer(source)["input_ids"]])
            logits = model(input_ids=encoded, labels=torch.tensor([labels])).logits[0]
            yield [(logits[place].log_softmax(-1), token) for place, token in enumerate(labels)]


def slow_balance(folder: Path, model: Any, pair: Pair, settings: dict[str, Any]) -> float:
    base = AUTO_CLASSES[family_of({"pretrained": str(folder)})].from_pretrained(folder).eval()
    sums, drifts = [], []
    for now, before in zip(
        slow_log_p(folder, model, pair, settings), slow_log_p(folder, base, pair, settings), strict=True
    ):
        sums.append(sum(log_p[token].item() for log_p, token in now))
        kl = [float((b.exp() * (b - p)).sum()) for (p, _), (b, _) in zip(now, before, strict=True)]
        drifts.append(sum(kl) / max(len(kl), 1))
    gap = abs(sums[0] - sums[1])
    return 0.5 * (0.5 * gap**2 if gap < 1 else gap - 0.5) + 0.5 * (drifts[0] + drifts[1]) / 2


@pytest.mark.parametrize(("kind", "settings"), BALANCED)
def test_balance_equals_a_plain_loop_over_sentences_and_masks(
    tiny: Tiny, tmp_path: Path, pairs: list[Pair], kind: str, settings: dict[str, Any]
) -> None:
    some = pairs[:2]
    trainer = trainer_of(tiny(kind), tmp_path, some, **settings)
    expected = [slow_balance(tiny(kind), trainer.model.eval(), pair, settings) for pair in some]
    assert loss_of(trainer, range(2)).item() == pytest.approx(sum(expected) / 2, abs=1e-4)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("kind", ["llama", "bert", "t5"])
def test_preference_losses_equal_a_plain_loop_over_sentences_and_masks(
    tiny: Tiny, tmp_path: Path, pairs: list[Pair], kind: str, full: bool
) -> None:
    trainer = trainer_of(tiny(kind), tmp_path, pairs[:2], objective="dpo", beta=0.7, full=full)
    if full:
        with torch.no_grad():
            for weight in trainer.model.parameters():
                weight.mul_(1.2)
    base = AUTO_CLASSES[family_of({"pretrained": str(tiny(kind))})].from_pretrained(tiny(kind)).eval()
    preferences = []
    for pair in pairs[:2]:
        (more, less), (more_before, less_before) = (
            [sum(log_p[token].item() for log_p, token in its) for its in slow_log_p(tiny(kind), model, pair, {})]
            for model in (trainer.model.eval(), base)
        )
        preferences.append((less - less_before) - (more - more_before))
    expected = {
        "dpo": [math.log(1 + math.exp(-0.7 * one)) for one in preferences],
        "ipo": [(one - 1 / 1.4) ** 2 for one in preferences],
    }
    assert any(abs(one) > 1e-3 for one in preferences)
    for objective, losses in expected.items():
        trainer.pair_arguments = replace(trainer.pair_arguments, objective=objective)
        assert loss_of(trainer, range(2)).item() == pytest.approx(sum(losses) / 2, abs=1e-4)


@pytest.mark.parametrize("objective", ["balance", "both"])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "bloom", "bert", "roberta", "t5"])
def test_padding_and_neighbours_in_the_batch_change_no_pairs_loss(
    tiny: Tiny, tmp_path: Path, pairs: list[Pair], kind: str, objective: str
) -> None:
    trainer = trainer_of(tiny(kind), tmp_path, pairs[:4], objective=objective)
    trainer.model.eval()
    lengths = trainer.train_dataset.lengths
    assert len(set(lengths)) > 1
    alone = [loss_of(trainer, [number]).item() for number in range(4)]
    assert loss_of(trainer, range(4)).item() == pytest.approx(sum(alone) / 4, abs=1e-4)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("kind", ["gpt2", "bert", "t5"])
def test_the_base_of_balance_has_no_dropout_and_the_trained_model_keeps_its_own(
    tiny: Tiny, tmp_path: Path, pairs: list[Pair], kind: str, full: bool
) -> None:
    trainer = trainer_of(tiny(kind, dropout=0.3), tmp_path, pairs[:4], full=full)
    dataset = trainer.train_dataset
    inputs = trainer.data_collator([dataset[PairInEpoch(number, 0)] for number in range(4)])
    scored = inputs.pop("scored")
    row, column = scored["row"], scored["column"]
    model = trainer.model.train()
    base = AUTO_CLASSES[family_of({"pretrained": str(tiny(kind, dropout=0.3))})].from_pretrained(
        tiny(kind, dropout=0.3)
    )
    with torch.no_grad():
        expected = base.eval()(**inputs).logits[row, column]
        torch.testing.assert_close(trainer._base_logits(model, inputs, row, column), expected)
        assert all(module.training for module in model.modules())
        assert not torch.equal(model(**inputs).logits, model(**inputs).logits)


def finished(folder: Path, output: Path, pairs: Sequence[Pair], full: bool) -> Path:
    """Two steps of training, and the checkpoint that they left."""
    training_arguments = TrainingArguments(
        output_dir=str(output),
        max_steps=2,
        learning_rate=1e-3,
        warmup_steps=0,
        per_device_train_batch_size=4,
        save_strategy="steps",
        save_steps=2,
        report_to=[],
        disable_tqdm=True,
    )
    split = Split(data_sha256="", folds=1, fold=-1, train=tuple(pair.pair_id for pair in pairs), held_out=())
    family = family_of({"pretrained": str(folder)})
    train_fold(PairArguments(str(folder), full=full), training_arguments, family, split, pairs)
    return output / "checkpoint-2"


def weights(model: Any) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gpt2", "roberta", "flan-t5"])
def test_lora_changes_its_adapter_alone_and_plain_peft_loads_it(
    tiny: Tiny, tmp_path: Path, pairs: list[Pair], kind: str
) -> None:
    checkpoint = finished(tiny(kind, 0.1), tmp_path, pairs[:8], full=False)
    auto_class = AUTO_CLASSES[family_of({"pretrained": str(tiny(kind, 0.1))})]
    before = weights(auto_class.from_pretrained(tiny(kind, 0.1)))
    model = PeftModel.from_pretrained(auto_class.from_pretrained(tiny(kind, 0.1)), str(checkpoint))
    learned = [weight for name, weight in model.named_parameters() if "lora_B" in name]
    assert learned
    assert all(weight.abs().max() > 0 for weight in learned)
    after = weights(model.unload())
    assert after.keys() == before.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bloom", "bert", "t5"])
def test_full_fine_tuning_changes_all_weights_and_plain_transformers_loads_them(
    tiny: Tiny, tmp_path: Path, pairs: list[Pair], kind: str
) -> None:
    checkpoint = finished(tiny(kind, 0.1), tmp_path, pairs[:8], full=True)
    auto_class = AUTO_CLASSES[family_of({"pretrained": str(tiny(kind, 0.1))})]
    before = weights(auto_class.from_pretrained(tiny(kind, 0.1)))
    loaded, problems = auto_class.from_pretrained(checkpoint, output_loading_info=True)
    assert not problems["missing_keys"]
    assert not problems["unexpected_keys"]
    after = weights(loaded)
    assert after.keys() == before.keys()
    assert [name for name in before if torch.equal(before[name], after[name])] == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bert", "t5"])
def test_balance_levels_the_pairs_it_is_trained_on(tiny: Tiny, tmp_path: Path, pairs: list[Pair], kind: str) -> None:
    steps = {"max_steps": 20, "learning_rate": 5e-3, "per_device_train_batch_size": 8, "save_strategy": "no"}
    trainer = trainer_of(tiny(kind), tmp_path, pairs[:8], steps, kl_weight=0.0)
    before = loss_of(trainer, range(8)).item()
    trainer.train()
    assert loss_of(trainer, range(8)).item() < before / 2
