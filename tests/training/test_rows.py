"""What the model reads and what is expected of it, shown by decoding: no label may stand beside its place."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.data.crows_pairs import Pair
from harness.data.families import family_of
from harness.data.infill import infill_pair
from harness.data.tokens import load_tokenizer
from training.families import rows_of
from training.masked_pairs import MASKED_SHARE, PseudoLikelihoodRows
from training.pair_arguments import PairArguments
from training.pairs import PairCollator, PairDataset, PairInEpoch, RowsOf
from training.seq2seq_pairs import INSTRUCTION, Seq2SeqRows

Tiny = Callable[..., Path]
SEED = 3


def asked(folder: Path, **settings: Any) -> tuple[Any, RowsOf]:
    """The tokenizer, and how the family is asked for a pair."""
    family = family_of({"pretrained": str(folder)})
    tokenizer = load_tokenizer({"pretrained": str(folder)})
    return tokenizer, rows_of(PairArguments(str(folder), **settings), family, tokenizer, SEED)


def batch_of(rows: RowsOf, pairs: Sequence[Pair], epoch: int = 0, pad: int = 0) -> dict[str, Any]:
    dataset = PairDataset(pairs, rows, window=64)
    return PairCollator(pad)([dataset[PairInEpoch(number, epoch)] for number in range(len(pairs))])


def sentences(pairs: Sequence[Pair]) -> list[str]:
    return [pair.sent_more for pair in pairs] + [pair.sent_less for pair in pairs]


def targets_of(scored: dict[str, Any], owner: int) -> list[int]:
    return scored["target"][scored["owner"] == owner].tolist()


@pytest.mark.parametrize("kind", ["llama", "gpt2", "bloom"])
@pytest.mark.parametrize("objective", ["balance", "both", "anti"])
def test_a_causal_model_is_asked_for_each_sentence_token_by_token(
    tiny: Tiny, pairs: list[Pair], kind: str, objective: str
) -> None:
    tokenizer, rows = asked(tiny(kind), objective=objective)
    batch = batch_of(rows, pairs[:5])
    scored = batch["scored"]
    for number, sentence in enumerate(sentences(pairs[:5])):
        assert tokenizer.decode(targets_of(scored, number)) == sentence
        ids = batch["input_ids"][number]
        assert tokenizer.decode(ids[batch["attention_mask"][number] == 1]) == "<s>" + sentence
    # Where a prediction is read, the token before its target stands: the logits there are of the next token.
    assert torch.equal(batch["input_ids"][scored["row"], scored["column"] + 1], scored["target"])
    assert torch.equal(scored["row"], scored["owner"])


@pytest.mark.parametrize("kind", ["bert", "roberta"])
@pytest.mark.parametrize("objective", ["balance", "both", "anti"])
def test_a_masked_text_with_its_masks_filled_by_their_targets_is_the_sentence(
    tiny: Tiny, pairs: list[Pair], kind: str, objective: str
) -> None:
    tokenizer, rows = asked(tiny(kind), objective=objective)
    batch = batch_of(rows, pairs[:8])
    scored, ids = batch["scored"], batch["input_ids"].clone()
    assert (ids[scored["row"], scored["column"]] == tokenizer.mask_token_id).all()
    assert (ids == tokenizer.mask_token_id).sum() == len(scored["row"])
    ids[scored["row"], scored["column"]] = scored["target"]
    owners = dict(zip(scored["row"].tolist(), scored["owner"].tolist(), strict=True))
    texts = sentences(pairs[:8])
    for row, owner in owners.items():
        assert tokenizer.decode(ids[row][batch["attention_mask"][row] == 1]) == f"[CLS]{texts[owner]}[SEP]"
    assert set(owners) == set(range(len(ids)))


def test_balance_masks_each_modified_token_alone_and_no_other(tiny: Tiny) -> None:
    tokenizer, rows = asked(tiny("bert"), objective="balance")
    pair = Pair(0, "Tom drives badly.", "Rick drives badly.", "stereo", "age", "w")
    more, less, *_ = rows(pair, 0)
    assert tokenizer.decode([row.targets[0] for row in more]) == "Tom"
    assert tokenizer.decode([row.targets[0] for row in less]) == "Rick"
    for row in more + less:
        assert row.inputs["input_ids"].count(tokenizer.mask_token_id) == len(row.columns) == 1


def test_balance_over_all_tokens_masks_each_of_them_alone_and_no_special_one(tiny: Tiny) -> None:
    tokenizer, rows = asked(tiny("bert"), balanced_tokens="all")
    pair = Pair(0, "Tom drives badly.", "Rick drives badly.", "stereo", "age", "w")
    for sentence, its in zip((pair.sent_more, pair.sent_less), rows(pair, 0)[:2], strict=True):
        assert tokenizer.decode([row.targets[0] for row in its]) == sentence
        assert [row.columns for row in its] == [[column] for column in range(1, len(its) + 1)]


def test_a_sentence_that_only_lacks_words_has_nothing_to_predict_under_balance(tiny: Tiny) -> None:
    _, rows = asked(tiny("bert"), objective="balance")
    more, less, *_ = rows(Pair(0, "The old man drove badly.", "The man drove badly.", "stereo", "age", "w"), 0)
    assert len(more) > 0
    assert less == []


def test_language_modelling_masks_all_modified_tokens_and_about_15_percent_of_the_others(
    tiny: Tiny, pairs: list[Pair]
) -> None:
    tokenizer, rows = asked(tiny("bert"), objective="both")
    others = masked = 0
    for pair in pairs:
        tokens = [tokenizer(text)["input_ids"] for text in (pair.sent_more, pair.sent_less)]
        blocks = SequenceMatcher(None, *tokens, autojunk=False).get_matching_blocks()
        shared = [{start + n for start, _, size in blocks for n in range(size)}]
        shared += [{start + n for _, start, size in blocks for n in range(size)}]
        for epoch in range(5):
            for (row,), equal, ids in zip(rows(pair, epoch)[:2], shared, tokens, strict=True):
                own = set(range(len(ids))) - equal
                assert own <= set(row.columns) <= set(range(1, len(ids) - 1))
                others += len(ids) - 2 - len(own)
                masked += len(row.columns) - len(own)
    assert masked / others == pytest.approx(MASKED_SHARE, abs=0.01)


def test_masks_depend_on_seed_epoch_and_pair_alone(tiny: Tiny, pairs: list[Pair]) -> None:
    _, rows = asked(tiny("bert"), objective="both")
    drawn = {(pair.pair_id, epoch): rows(pair, epoch) for epoch in range(3) for pair in pairs}
    order = random.Random(0).sample(sorted(drawn), len(drawn))
    by_id = {pair.pair_id: pair for pair in pairs}
    random.seed(99)
    assert all(rows(by_id[name], epoch) == drawn[name, epoch] for name, epoch in order)
    first = pairs[0].pair_id
    assert drawn[first, 0] != drawn[first, 1]


def test_a_masked_sentence_that_shares_all_its_tokens_is_asked_for_one_at_least(tiny: Tiny) -> None:
    _, rows = asked(tiny("bert"), objective="both")
    pair = Pair(0, "So, he left.", "he left.", "stereo", "age", "w")
    assert min(len(rows(pair, epoch).less[0].targets) for epoch in range(50)) == 1


@pytest.mark.parametrize("kind", ["t5", "flan-t5"])
@pytest.mark.parametrize("form", ["infill", "rewrite"])
@pytest.mark.parametrize("objective", ["balance", "both", "anti"])
def test_an_encoder_decoder_is_asked_for_its_text_and_the_end_token(
    tiny: Tiny, pairs: list[Pair], kind: str, form: str, objective: str
) -> None:
    tokenizer, rows = asked(tiny(kind), objective=objective, seq2seq_form=form)
    some = pairs[:6]
    batch = batch_of(rows, some)
    infills = [infill_pair(pair.sent_more, pair.sent_less) for pair in some]
    if form == "infill":
        sources = [infill.template for infill in infills] * 2
        labels = [infill.spans[side] for side in (0, 1) for infill in infills]
    else:
        sources = [INSTRUCTION + text for text in sentences(some)[6:] + sentences(some)[:6]]
        labels = sentences(some)
    for number, (source, label) in enumerate(zip(sources, labels, strict=True)):
        read = batch["input_ids"][number][batch["attention_mask"][number] == 1]
        assert tokenizer.decode(read) == source + "</s>"
        assert tokenizer.decode(targets_of(batch["scored"], number)) == label + "</s>"


@pytest.mark.parametrize("form", ["infill", "rewrite"])
def test_the_decoder_reads_its_labels_shifted_by_one_and_padding_is_no_label(
    tiny: Tiny, pairs: list[Pair], form: str
) -> None:
    from transformers import AutoModelForSeq2SeqLM

    folder = tiny("t5")
    _, rows = asked(folder, seq2seq_form=form)
    batch = batch_of(rows, pairs[:6])
    scored, mask = batch["scored"], batch["decoder_attention_mask"]
    labels = torch.full_like(batch["decoder_input_ids"], -100)
    labels[scored["row"], scored["column"]] = scored["target"]
    assert torch.equal(labels != -100, mask == 1)
    assert len({int(row.sum()) for row in mask}) > 1, "all of one length: no padding to speak of"
    shifted = AutoModelForSeq2SeqLM.from_pretrained(folder).prepare_decoder_input_ids_from_labels(labels=labels)
    assert torch.equal(batch["decoder_input_ids"][mask == 1], shifted[mask == 1])


@pytest.mark.parametrize(
    ("kind", "settings"),
    [("llama", {}), ("bert", {}), ("roberta", {"objective": "both"}), ("t5", {}), ("t5", {"seq2seq_form": "rewrite"})],
)
def test_a_sentence_longer_than_the_window_is_an_error_that_names_its_row(
    tiny: Tiny, kind: str, settings: dict[str, Any]
) -> None:
    _, rows = asked(tiny(kind), **settings)
    long = "He is so very old. " * 9
    with pytest.raises(ValueError, match=r"row 17: \d+ tokens with special tokens, and the model takes 40"):
        PairDataset([Pair(17, f"{long} Yes.", f"{long} No.", "stereo", "age", "w")], rows, window=40)


def test_a_decoder_text_longer_than_the_window_is_an_error_though_the_encoders_is_short(tiny: Tiny) -> None:
    _, rows = asked(tiny("t5"))
    template, spans = infill_pair("Quite " * 40, "Very " * 40)
    assert len(template) < 40 < len(spans[0])
    with pytest.raises(ValueError, match="row 4: "):
        PairDataset([Pair(4, "Quite " * 40, "Very " * 40, "stereo", "age", "w")], rows, window=40)


def test_a_pair_whose_sentences_have_the_same_tokens_is_an_error_that_names_its_row(tiny: Tiny) -> None:
    _, rows = asked(tiny("bert"))
    with pytest.raises(ValueError, match=r"row 8: .* makes the same tokens of both sentences"):
        rows(Pair(8, "He left.", "He left.", "stereo", "age", "w"), 0)


@pytest.mark.parametrize("name", ["bert-base-uncased", "bert-base-cased", "roberta-base"])
def test_real_pairs_under_real_masked_tokenizers_come_back_from_their_targets(
    real_pairs: list[Pair], name: str
) -> None:
    tokenizer = load_tokenizer({"pretrained": str(Path(os.environ["STEREOSCOPE_DATA"]) / "tokenizers" / name)})
    rows = PseudoLikelihoodRows(tokenizer, "all")
    for pair in real_pairs[::15]:
        for sentence, its in zip((pair.sent_more, pair.sent_less), rows(pair, 0)[:2], strict=True):
            for row in its:
                ids = list(row.inputs["input_ids"])
                ids[row.columns[0]] = row.targets[0]
                assert ids == tokenizer(sentence)["input_ids"]


@pytest.mark.parametrize("form", ["infill", "rewrite"])
def test_real_pairs_under_t5s_tokenizer_end_their_labels(real_pairs: list[Pair], form: Any) -> None:
    tokenizer = load_tokenizer({"pretrained": str(Path(os.environ["STEREOSCOPE_DATA"]) / "tokenizers" / "t5-small")})
    rows = Seq2SeqRows(tokenizer, 0, form)
    for pair in real_pairs[::15]:
        asked = rows(pair, 0)
        for (row,) in (asked.more, asked.less):
            assert row.targets[-1] == tokenizer.eos_token_id
            assert row.inputs["decoder_input_ids"] == [0, *row.targets[:-1]]
            assert row.inputs["input_ids"].count(tokenizer.eos_token_id) == 1
