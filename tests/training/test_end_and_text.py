"""Further terms of `balance`: the shared end of a pair, and running text on which the model stays what it was."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from one_step import loss_of, trainer_of
from safetensors.torch import load_file
from short_runs import two_steps
from torch import Tensor
from torch.nn import functional
from transformers import AutoConfig

from harness.data.crows_pairs import Pair
from harness.data.families import family_of
from harness.data.sources import SAMPLE, SOURCES
from harness.data.tokens import load_tokenizer
from training.config import TrainingArguments, fingerprint, problems
from training.families import AUTO_CLASSES, require_readable
from training.pair_arguments import PairArguments
from training.pairs import shared_end
from training.running_text import DrawnText
from training.seq2seq_pairs import INSTRUCTION
from training.text_rows import CausalText

Tiny = Callable[..., Path]


@pytest.mark.parametrize(
    ("more", "less", "count"),
    [
        ("the poor man ran", "the rich man ran", 2),
        ("the very poor man", "the poor man", 2),
        ("men ran", "women sat", 0),
        ("a a b", "a b", 1),  # the second "a" of the longer one is what differs
        ("he ran", "he ran", 0),
    ],
)
def test_the_shared_end_is_what_follows_all_that_differs(more: str, less: str, count: int) -> None:
    assert shared_end(more.split(), less.split()) == shared_end(less.split(), more.split()) == count


def slow_balance_of_ends(folder: Path, model: Any, base: Any, pair: Pair, end_weight: float) -> Tensor:
    """Whole texts one by one, the gradient left to autograd."""
    tokenizer = load_tokenizer({"pretrained": str(folder)})
    causal = family_of({"pretrained": str(folder)}) == "causal"
    sides = (pair.sent_more, pair.sent_less)
    found, drifts = [], []
    for text, other in (sides, sides[::-1]):
        target = torch.tensor(tokenizer(text)["input_ids"] if not causal else tokenizer.encode(text))
        if causal:
            start = torch.tensor([tokenizer.bos_token_id])
            asked = {"input_ids": torch.cat([start, target[:-1]])[None]}
        else:
            asked = {"input_ids": torch.tensor([tokenizer(INSTRUCTION + other)["input_ids"]]), "labels": target[None]}
        log_p, log_b = (one(**asked).logits[0].log_softmax(-1) for one in (model, base))
        found.append((target.tolist(), log_p[range(len(target)), target]))
        drifts.append((log_b.exp() * (log_b - log_p)).sum(-1).mean())
    (more, its), (less, others) = found
    end = shared_end(more, less)
    assert 0 < end < len(less)
    gaps = [its.sum() - others.sum(), its[-end:].sum() - others[-end:].sum()]
    whole, ends = (functional.smooth_l1_loss(gap, torch.zeros(())) for gap in gaps)
    return 0.5 * whole + 0.5 * sum(drifts) / 2 + end_weight * ends


def gradients(model: Any, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def require_same(model: Any, loss: Tensor, expected: Tensor) -> None:
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    ours, twin = gradients(model, loss), gradients(model, expected)
    assert ours.keys() == twin.keys() != set()
    for name, slope in ours.items():
        torch.testing.assert_close(slope, twin[name], rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [("llama", {}), ("gpt2", {"share_prefixes": False}), ("t5", {"seq2seq_form": "rewrite", "full": True})],
)
def test_loss_and_gradient_with_the_end_are_those_of_a_plain_loop(
    tiny: Tiny, tmp_path: Path, pairs: list[Pair], kind: str, settings: dict[str, Any]
) -> None:
    some = pairs[:2]
    trainer = trainer_of(tiny(kind), tmp_path, some, end_weight=0.7, **settings)
    model = trainer.model.eval()
    base = AUTO_CLASSES[family_of({"pretrained": str(tiny(kind))})].from_pretrained(tiny(kind)).eval()
    if "full" in settings:
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(1.5)
    expected = sum(slow_balance_of_ends(tiny(kind), model, base, pair, 0.7) for pair in some) / 2
    require_same(model, loss_of(trainer, range(2)), expected)
    told: dict[str, float] = {"loss": 0.0}
    trainer.log(told)
    assert told["abs_end_diff"] > 0


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("kind", ["llama", "bert", "t5"])
def test_loss_and_gradient_on_running_text_are_those_of_whole_distributions(
    tiny: Tiny, tmp_path: Path, pairs: list[Pair], kind: str, full: bool
) -> None:
    told = {"text_kl_weight": 3.0, "text_tokens": 20, "text_chunks": 3, "data_dir": "sample", "full": full}
    trainer = trainer_of(tiny(kind), tmp_path, pairs[:2], **told)
    model, text = trainer.model.eval(), trainer.text
    if full:
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(1.5)
    base = AUTO_CLASSES[family_of({"pretrained": str(tiny(kind))})].from_pretrained(tiny(kind)).eval()
    tokenizer = load_tokenizer({"pretrained": str(tiny(kind))})
    kls: list[Tensor] = []
    for number in random.Random("0 0").sample(range(len(text.pieces)), 3):
        piece = list(text.pieces[number])
        row = text.row_of(piece, f"0 0 {number}")
        asked = {name: torch.tensor([ids]) for name, ids in row.inputs.items()}
        if kind == "llama":
            asked, columns = {"input_ids": torch.tensor([[0, *piece]])}, list(range(20))
        elif kind == "bert":
            columns = [place for place, token in enumerate(row.inputs["input_ids"]) if token == tokenizer.mask_token_id]
            assert [piece[column - 1] for column in columns] == row.targets
            assert len(columns) == 3
        else:
            asked, columns = {**asked, "labels": torch.tensor([row.targets])}, list(range(len(row.targets)))
            del asked["decoder_input_ids"]
        log_p, log_b = (one(**asked).logits[0, columns].log_softmax(-1) for one in (model, base))
        kls += (log_b.exp() * (log_b - log_p)).sum(-1).unbind()
    require_same(model, trainer._text_loss(model, text), 3 * torch.stack(kls).mean())


def test_the_text_is_read_once_a_step_beside_the_pairs(tiny: Tiny, tmp_path: Path, pairs: list[Pair]) -> None:
    trainer = trainer_of(tiny("llama"), tmp_path, pairs[:4], text_kl_weight=2.0, data_dir="sample")
    trainer.model.eval()
    first, second = (loss_of(trainer, range(2)).item() for _ in range(2))
    assert first - second == pytest.approx(trainer._text_loss(trainer.model, trainer.text).item(), abs=1e-5)
    trainer.state.global_step = 1
    assert loss_of(trainer, range(2)).item() not in (first, second)


@pytest.mark.parametrize("processes", [2, 3, 5])
def test_processes_share_the_pieces_of_a_step(processes: int) -> None:
    text = DrawnText([[number, number] for number in range(50)], CausalText(99), per_step=4, seed=7)
    for step in range(3):
        whole = text.rows(step, 0, 1)
        assert len(whole) == 4
        shared = [row for process in range(processes) for row in text.rows(step, process, processes)]
        assert sorted(map(str, shared)) == sorted(map(str, whole))
    assert text.rows(0, 0, 1) != text.rows(1, 0, 1)


TEXT = {"text_kl_weight": 1.0, "end_weight": 0.5, "text_tokens": 12, "data_dir": "sample"}


def test_a_resumed_run_and_one_of_added_up_batches_end_alike(tiny: Tiny, tmp_path: Path, pairs: list[Pair]) -> None:
    def end(folder: Path, **stock: Any) -> dict[str, Tensor]:
        two_steps(tiny("gpt2", 0.1), folder, pairs[:12], {"max_steps": 4, **stock}, **TEXT)
        return load_file(folder / "checkpoint-4" / "adapter_model.safetensors")

    straight = end(tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoint-4")
    (tmp_path / "run" / "trained.json").unlink()
    resumed = end(tmp_path / "run")
    assert all(torch.equal(resumed[name], weight) for name, weight in straight.items())

    def without_dropout(name: str, **stock: Any) -> dict[str, Tensor]:
        checkpoint = two_steps(tiny("gpt2"), tmp_path / name, pairs[:12], {"adam_epsilon": 1e-6, **stock}, **TEXT)
        return load_file(checkpoint / "adapter_model.safetensors")

    whole = without_dropout("whole")
    parts = without_dropout("parts", per_device_train_batch_size=1, gradient_accumulation_steps=4)
    for name, weight in whole.items():
        torch.testing.assert_close(parts[name], weight, rtol=0, atol=5e-5)


def test_weights_of_0_change_nothing_and_read_nothing(tiny: Tiny, tmp_path: Path, pairs: list[Pair]) -> None:
    before, after = (
        load_file(two_steps(tiny("gpt2", 0.1), tmp_path / name, pairs[:8], **given) / "adapter_model.safetensors")
        for name, given in {"usual": {}, "zero": {"text": "none.txt", "text_tokens": 9, "end_weight": 0.0}}.items()
    )
    assert all(torch.equal(after[name], weight) for name, weight in before.items())
    assert (tmp_path / "usual" / "run.json").read_text() == (tmp_path / "zero" / "run.json").read_text()


def test_a_run_is_known_by_what_the_text_says_and_not_by_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One line of text.\n")
    shutil.copy(tmp_path / "a.txt", tmp_path / "b.txt")
    (tmp_path / "c.txt").write_text("Another line of text.\n")
    stock = TrainingArguments(output_dir=str(tmp_path))
    one, same, other = (
        fingerprint(PairArguments("gpt2", text_kl_weight=1.0, text=str(tmp_path / f"{name}.txt")), stock)
        for name in "abc"
    )
    assert one == same
    assert {key for key in one if one[key] != other[key]} == {"text_sha256"}


@pytest.mark.parametrize(
    ("kind", "settings", "told"),
    [
        ("bert", {"end_weight": 0.5}, r"end_weight=0.5: .*masked model, which reads a sentence from both sides"),
        ("t5", {"end_weight": 0.5}, r"end_weight=0.5: .*seq2seq_form=infill.* Take seq2seq_form=rewrite"),
        ("gpt2", {"end_weight": 0.5, "objective": "dpo"}, "end_weight=0.5: dpo does not read it"),
        ("gpt2", {"text_kl_weight": 1.0, "objective": "both"}, "text_kl_weight=1: both does not read it"),
        ("gpt2", {"text_kl_weight": -1.0}, "text_kl_weight=-1.0: expected 0 or more"),
        ("gpt2", {"text_chunks": 0}, "text_chunks=0: expected 1 or more"),
    ],
)
def test_what_means_nothing_is_refused_by_name(tiny: Tiny, kind: str, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        require_readable(PairArguments(str(tiny(kind)), **settings), AutoConfig.from_pretrained(tiny(kind)))
    assert [key for key, _ in problems({"text_tokens": 1})] == ["text_tokens"]


def test_the_text_that_is_scored_and_one_that_does_not_do_are_refused_before_training(
    tiny: Tiny, tmp_path: Path, pairs: list[Pair]
) -> None:
    shutil.copy(SAMPLE / SOURCES["wikitext2"].path, tmp_path / "mine.txt")
    scored = PairArguments(str(tiny("gpt2")), text_kl_weight=1.0, text=str(tmp_path / "mine.txt"), data_dir="sample")
    with pytest.raises(ValueError, match="this is the text that wikitext2 scores"):
        require_readable(scored, AutoConfig.from_pretrained(tiny("gpt2")))
    (tmp_path / "short.txt").write_text("A line.\n")
    told = {"text_kl_weight": 1.0, "data_dir": "sample"}
    with pytest.raises(ValueError, match=r"short.txt: 0 pieces of 64 tokens, and a step reads text_chunks=2"):
        trainer_of(tiny("gpt2"), tmp_path, pairs[:2], text=str(tmp_path / "short.txt"), **told)
    for kind, longest in {"gpt2": 64, "bert": 62, "t5": 70}.items():
        with pytest.raises(ValueError, match=rf"text_tokens=200: .* reads {longest} at once"):
            trainer_of(tiny(kind), tmp_path, pairs[:2], text_tokens=200, **told)
