"""The text that controls are sized on: no document of the test file, and losses that a slow twin finds too."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import pytest
import tiny_models
import torch

from harness.data.sources import SAMPLE, SOURCES
from harness.data.wikitext import passages, read
from harness.editing.held_out_text import held_out_text
from harness.models.any import load_lm
from harness.models.base import TransformersLM


def loaded(folder: Path) -> TransformersLM:
    return load_lm(str(folder), device="cpu")


def test_passages_are_running_text_of_other_documents_than_those_scored(real_data: Path) -> None:
    path = real_data / SOURCES["wikitext2_valid"].path
    found = passages(path, 256, 24)
    assert len(found) == 24
    assert max(len(text.split()) for text in found) == 256
    assert not any(" @-@ " in text or " = " in text for text in found)
    scored = {one.title for one in read(real_data / SOURCES["wikitext2"].path)}
    assert scored.isdisjoint(one.title for one in read(path))


def test_the_sample_has_other_articles_than_those_scored() -> None:
    scored, sizing = (read(SAMPLE / SOURCES[name].path) for name in ("wikitext2", "wikitext2_valid"))
    assert len(sizing) == 8
    assert {one.title for one in scored}.isdisjoint(one.title for one in sizing)
    assert all(60 <= len(one.page.split()) <= 150 for one in sizing)


def test_a_causal_models_loss_is_that_of_the_last_four_fifths_of_the_words(byte_llama: Path) -> None:
    lm = loaded(byte_llama)
    text = held_out_text(lm, "sample")
    losses = text.losses(lm)
    given, words = text.requests[0].args
    ids = torch.tensor([lm.tokenizer(given + words)["input_ids"]])
    log_p = lm.whole_model(ids).logits.log_softmax(-1)[0, :-1].gather(1, ids[0, 1:, None])
    assert losses[0] == pytest.approx(-float(log_p[-len(words) :].sum()), rel=1e-5)
    assert text.units[0] == len(words.split())
    assert len(given.split()) == (len(given.split()) + len(words.split())) // 5
    assert text.perplexity(losses) == pytest.approx(math.exp(losses.sum() / text.units.sum()))


def test_a_masked_models_loss_is_that_of_every_eighth_token_alone(tmp_path: Path) -> None:
    lm = loaded(tiny_models.masked(tmp_path))
    text = held_out_text(lm, "sample")
    number = 1
    ids = lm.tokenizer(text.requests[number].args[1])["input_ids"]
    total = 0.0
    places = range(1 + number, len(ids) - 1, 8)
    for place in places:
        masked = torch.tensor([[*ids[:place], lm.tokenizer.mask_token_id, *ids[place + 1 :]]])
        total -= float(lm.whole_model(masked).logits[0, place].log_softmax(-1)[ids[place]])
    assert text.losses(lm)[number] == pytest.approx(total, rel=1e-5)
    assert text.units[number] == len(places)


def test_an_encoder_decoder_fills_in_three_words_of_twenty(tmp_path: Path) -> None:
    lm = loaded(tiny_models.t5(tmp_path))
    text = held_out_text(lm, "sample")
    for request in text.requests:
        context, target = request.args
        pieces = [piece for piece in target.split(" ") if piece]
        gaps = [place for place, piece in enumerate(pieces) if piece.startswith("<extra_id_")]
        assert context.split().count("<extra_id_0>") == 1
        assert all(after - before in (2, 3, 4) for before, after in pairwise(gaps))
    context, target = text.requests[0].args
    source, labels = (lm.tokenizer(one, return_tensors="pt")["input_ids"] for one in (context, target))
    loss = lm.whole_model(input_ids=source, labels=labels).loss
    assert text.losses(lm)[0] / text.units[0] == pytest.approx(float(loss), rel=1e-5)


def test_an_encoder_decoder_without_sentinels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no sentinel tokens"):
        held_out_text(loaded(tiny_models.byte_t5(tmp_path)), "sample")


def test_a_rise_that_all_passages_share_is_known_exactly(byte_llama: Path) -> None:
    text = held_out_text(loaded(byte_llama), "sample")
    before = torch.arange(len(text.units)).double().numpy()
    assert text.rise(before, before + 0.25 * text.units) == pytest.approx((0.25, 0.0), abs=1e-12)
