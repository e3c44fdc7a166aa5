"""`cda` and `dropout`: the text that is trained on, and the dropout that it is trained with."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from one_step import loss_of, trainer_of
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoConfig, GPT2Config, LlamaConfig, MambaConfig

from harness.data.families import family_of
from harness.data.sources import SAMPLE, SOURCES
from harness.data.split import find_split
from harness.data.tokens import load_tokenizer
from harness.scoring.trained import trained, trained_from
from training.config import folds_of, from_settings
from training.counterfactual_text import texts_of
from training.dropout import raised, require_drops
from training.families import load_model, require_readable
from training.objectives import OBJECTIVES
from training.pair_arguments import ON_TEXT, PairArguments
from training.pairs import PairInEpoch
from training.run import train
from training.text_blocks import text_blocks
from training.trainer import PairTrainer

Tiny = Callable[..., Path]
TEXT = """\
The king met a waitress.

It rained all day.
The king met a waitress.
The Jewish choir sang; a Muslim poet read.
"""


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (file := tmp_path_factory.mktemp("text") / "text.txt").write_text(TEXT)
    return file


def test_paragraphs_with_a_listed_word_are_kept_beside_their_counterfactuals(text: Path) -> None:
    gender = PairArguments("gpt2", objective="cda", text=str(text))
    king, queen = "The king met a waitress.", "The queen met a waiter."
    assert texts_of(gender, seed=0) == [king, queen]
    both = PairArguments("gpt2", objective="cda", text=str(text), bias_types=["gender", "religion"])
    *first, sang, swapped = texts_of(both, seed=0)
    assert first == [king, queen]
    assert sang == "The Jewish choir sang; a Muslim poet read."
    # Each group goes to one other, whichever is drawn; other seeds draw others.
    drawn = {texts_of(both, seed=seed)[-1] for seed in range(5)}
    assert swapped in drawn
    assert len(drawn) > 1
    assert drawn <= {
        f"The {one} choir sang; a {other} poet read."
        for one in ("Christian", "Muslim")
        for other in ("Jewish", "Christian")
    }


def test_dropout_takes_each_paragraph_once_as_it_is(text: Path) -> None:
    found = texts_of(PairArguments("gpt2", objective="dropout", text=str(text)), seed=0)
    assert found == [line for number, line in enumerate(TEXT.splitlines()) if line and number != 3]


def blocks_of(folder: Path, text: Path, **settings: Any) -> tuple[Any, Any, Any]:
    arguments = PairArguments(str(folder), objective="cda", text=str(text), **settings)
    family = family_of({"pretrained": str(folder)})
    tokenizer, model = load_tokenizer({"pretrained": str(folder)}), load_model(arguments, family)
    return text_blocks(arguments, family, tokenizer, model, 0), tokenizer, model


def test_a_causal_model_reads_the_pieces_token_by_token(tiny: Tiny, text: Path) -> None:
    blocks, tokenizer, _ = blocks_of(tiny("llama"), text, block_tokens=6)
    rows = [blocks[PairInEpoch(number, 0)].row for number in range(len(blocks))]
    assert max(blocks.lengths) <= 6
    assert max(blocks.lengths) - min(blocks.lengths) <= 1
    assert all(row.inputs["input_ids"] == [0, *row.targets[:-1]] for row in rows)
    told = tokenizer.decode([token for row in rows for token in row.targets])
    assert told == "The king met a waitress.The queen met a waiter."


def test_a_masked_model_is_asked_as_bert_was(tiny: Tiny, tmp_path: Path) -> None:
    (file := tmp_path / "long.txt").write_text("The king and the queen saw the rain in the old town. " * 150)
    blocks, tokenizer, _ = blocks_of(tiny("bert"), file, block_tokens=40)
    seen: Counter[str] = Counter()
    for number in range(len(blocks)):
        for epoch in range(4):
            row, piece = blocks[PairInEpoch(number, epoch)].row, blocks.pieces[number]
            assert len(row.columns) == max(1, round(0.15 * len(piece)))
            assert row.targets == [piece[column - 1] for column in row.columns]
            for column, target in zip(row.columns, row.targets, strict=True):
                shown = row.inputs["input_ids"][column]
                seen["mask" if shown == tokenizer.mask_token_id else "same" if shown == target else "other"] += 1
    shares = {name: count / sum(seen.values()) for name, count in seen.items()}
    assert shares == pytest.approx({"mask": 0.8, "same": 0.1, "other": 0.1}, abs=0.03)
    assert blocks[PairInEpoch(0, 0)] == blocks[PairInEpoch(0, 0)] != blocks[PairInEpoch(0, 1)]


@pytest.mark.parametrize("kind", ["gpt2", "roberta", "t5"])
def test_the_loss_is_what_transformers_says_of_each_text_alone(
    tiny: Tiny, text: Path, tmp_path: Path, kind: str
) -> None:
    trainer = trainer_of(tiny(kind), tmp_path, [], objective="cda", text=str(text), block_tokens=9)
    blocks, model = trainer.train_dataset, trainer.model.eval()
    assert len(set(blocks.lengths)) > 1
    expected = []
    for number in range(3):
        row = blocks[PairInEpoch(number, 0)].row
        asked = {name: torch.tensor([ids]) for name, ids in row.inputs.items()}
        labels = torch.tensor([row.targets])
        if kind == "roberta":
            labels = torch.full_like(asked["input_ids"], -100)
            labels[0, row.columns] = torch.tensor(row.targets)
        elif kind == "gpt2":
            asked, labels = {"input_ids": torch.tensor([[0, *row.targets]])}, torch.tensor([[-100, *row.targets]])
        else:
            del asked["decoder_input_ids"]
        expected.append(model(**asked, labels=labels).loss.item())
    assert loss_of(trainer, range(3)).item() == pytest.approx(sum(expected) / 3, rel=1e-4)


DROPPED = {
    "gpt2": {"resid_pdrop": 0.15, "embd_pdrop": 0.15, "attn_pdrop": 0.15},
    "roberta": {"hidden_dropout_prob": 0.20, "attention_probs_dropout_prob": 0.15},
    "t5": {"dropout_rate": 0.15},
}


@pytest.mark.parametrize("kind", list(DROPPED))
def test_dropout_is_raised_in_training_and_as_it_was_in_what_is_saved(
    tiny: Tiny, text: Path, tmp_path: Path, kind: str
) -> None:
    asked = {"objective": "dropout", "text": str(text), "full": True, "block_tokens": 9, "data_dir": "sample"}
    stock = {"max_steps": 2, "per_device_train_batch_size": 2, "report_to": "none", "disable_tqdm": True}
    seen: list[set[float]] = []
    with pytest.MonkeyPatch.context() as patch:
        step = PairTrainer.compute_loss

        def noted(trainer: Any, model: nn.Module, *given: Any, **named: Any) -> Any:
            seen.append({module.p for module in model.modules() if isinstance(module, nn.Dropout)})
            assert model.training
            return step(trainer, model, *given, **named)

        patch.setattr(PairTrainer, "compute_loss", noted)
        train(*from_settings({"model_name_or_path": str(tiny(kind)), "output_dir": str(tmp_path), **asked, **stock}))
    assert len(seen) == 2
    assert set(DROPPED[kind].values()) <= seen[0]
    checkpoint = tmp_path / "fold-0" / "checkpoint-2"
    saved, loaded = (json.loads((folder / "config.json").read_text()) for folder in (checkpoint, tiny(kind)))
    assert {name: saved[name] for name in DROPPED[kind]} == {name: loaded[name] for name in DROPPED[kind]}
    assert set(DROPPED[kind]) == set(raised(AutoConfig.from_pretrained(tiny(kind))))
    split = find_split(checkpoint)
    assert split is not None
    assert (split.train, len(split.held_out), split.held_out_fold) == ((), 90, None)
    assert trained(checkpoint).fold is None
    assert trained_from(checkpoint, "digest", adapter=False)["trained_on"] == {}


def test_rates_are_the_published_ones_and_no_rate_is_lowered() -> None:
    assert raised(AutoConfig.for_model("albert")) == {"hidden_dropout_prob": 0.05, "attention_probs_dropout_prob": 0.05}
    assert raised(LlamaConfig()) == {"attention_dropout": 0.15}
    assert raised(GPT2Config(embd_pdrop=0.4)) == {"resid_pdrop": 0.15, "embd_pdrop": 0.4, "attn_pdrop": 0.15}


def test_a_model_without_dropout_and_one_that_does_not_heed_it_are_refused(tiny: Tiny, text: Path) -> None:
    arguments = PairArguments("a-mamba", objective="dropout", text=str(text))
    with pytest.raises(ValueError, match="the config of a mamba model has no dropout that could be raised"):
        require_readable(arguments, MambaConfig(architectures=["MambaForCausalLM"]))
    model = load_model(PairArguments(str(tiny("gpt2"))), "causal")
    state = torch.random.get_rng_state()
    with pytest.raises(ValueError, match="a gpt2 model does not heed the dropout of its config"):
        require_drops(model, {"input_ids": torch.tensor([[1, 2, 3]])})
    require_drops(
        load_model(PairArguments(str(tiny("llama")), objective="dropout"), "causal"),
        {"input_ids": torch.tensor([[1, 2, 3]])},
    )
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("kind", ["llama", "bert"])
def test_a_resumed_run_ends_as_one_that_was_not_broken_off(tiny: Tiny, text: Path, tmp_path: Path, kind: str) -> None:
    asked = {"objective": "cda", "text": str(text), "block_tokens": 6, "data_dir": "sample", "num_folds": 4}
    stock = {"max_steps": 4, "save_steps": 2, "save_strategy": "steps", "per_device_train_batch_size": 2}
    settings = {"model_name_or_path": str(tiny(kind)), "output_dir": str(tmp_path), **asked, **stock}
    assert folds_of(settings) == [0]

    def end() -> dict[str, Tensor]:
        train(*from_settings({**settings, "report_to": "none", "disable_tqdm": True}))
        return load_file(tmp_path / "fold-0" / "checkpoint-4" / "adapter_model.safetensors")

    straight = end()
    shutil.rmtree(tmp_path / "fold-0" / "checkpoint-4")
    (tmp_path / "fold-0" / "trained.json").unlink()
    resumed = end()
    assert all(torch.equal(resumed[name], weight) for name, weight in straight.items())
    run = json.loads((tmp_path / "fold-0" / "run.json").read_text())
    assert {"text_sha256", "words_sha256", "bias_types", "block_tokens"} < run.keys()
    assert not {"num_folds", "balance_weight", "text", "words"} & run.keys()


@pytest.mark.parametrize(
    ("content", "settings", "told"),
    [
        (
            "It rained.\nAll day.\n",
            {},
            r"of its 2 paragraphs has a word of .*words.yaml for gender \(.+, \.\.\.\)",
        ),
        (TEXT, {"bias_types": ["age"]}, "no words for bias type 'age'"),
        (TEXT, {"bias_types": ["gender", "gender"]}, "expected one or more, each once"),
        (None, {}, "this is the text that wikitext2 scores"),
    ],
)
def test_a_text_that_does_not_do_is_refused_with_what_was_looked_for(
    tmp_path: Path, content: str | None, settings: dict[str, Any], told: str
) -> None:
    file = tmp_path / "mine.txt"
    if content is None:
        shutil.copy(SAMPLE / SOURCES["wikitext2"].path, file)
    else:
        file.write_text(content)
    arguments = PairArguments("gpt2", objective="cda", text=str(file), data_dir="sample", **settings)
    with pytest.raises(ValueError, match=told):
        require_readable(arguments, GPT2Config())


def test_word_lists_of_other_objectives_and_long_pieces_are_refused(tiny: Tiny, text: Path, tmp_path: Path) -> None:
    for given in ({"words": "words.yaml"}, {"bias_types": ["race"]}):
        with pytest.raises(ValueError, match="words and bias_types: dropout exchanges no words"):
            PairArguments("gpt2", objective="dropout", **given)
    with pytest.raises(ValueError, match=r"block_tokens=128: .* reads 64 at once; lower it"):
        trainer_of(tiny("gpt2"), tmp_path, [], objective="cda", text=str(text))
    assert [one for one, of in OBJECTIVES.items() if of.of == "texts"] == list(ON_TEXT)
