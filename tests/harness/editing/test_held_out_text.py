"""The text that controls are sized on: no document of the test file, and losses that a slow twin finds too."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import tiny_models
import torch

from harness.data.sources import SAMPLE, SOURCES
from harness.data.wikitext import dataset, passages, read
from harness.editing.held_out_text import held_out_text
from harness.models.any import load_lm
from harness.models.base import TransformersLM


def loaded(folder: Path) -> TransformersLM:
    return load_lm(str(folder), device="cpu")


def test_passages_are_running_text_of_other_documents_than_those_scored(real_data: Path) -> None:
    path = real_data / SOURCES["wikitext2_valid"].path
    found = passages(path, 320, 12)
    assert len(found) == 12
    assert max(len(text.split()) for text in found) == 320
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
    assert text.words[0] == len(words.split())
    assert len(given.split()) == (len(given.split()) + len(words.split())) // 5
    assert text.perplexity(losses) == pytest.approx(math.exp(losses.sum() / text.words.sum()))


@pytest.mark.parametrize("kind", ["masked", "t5"])
def test_other_families_are_asked_as_wikitext2_asks_them(kind: str, tmp_path: Path) -> None:
    """The rows of the task's own reader, for a data folder whose test file is the sample's validation file."""
    lm = loaded({"masked": tiny_models.masked, "t5": tiny_models.t5}[kind](tmp_path / "model"))
    text = held_out_text(lm, "sample")
    file = tmp_path / "data" / "wikitext2" / "wiki.test.raw"
    file.parent.mkdir(parents=True)
    pages = passages(SAMPLE / SOURCES["wikitext2_valid"].path, 320, 12)
    file.write_text(" \n" + "".join(f" = Title = \n \n {page} \n" for page in pages), encoding="utf-8")
    more = {"data_dir": str(file.parents[1]), "sampled_tokens": 512, "max_length": lm.max_length}
    rows = dataset(**{**lm.task_metadata, **more})["test"]
    asked = [request.args[1:] for request in text.requests]
    # The task's pages have their titles too, so only what does not depend on the text is the same.
    if kind == "masked":
        assert sum(len(scored) for scored, _ in asked) == sum(map(len, rows["scored"])) == 512
    else:
        assert [key for key, _ in asked] == rows["span_key"]
    assert [window for _, window in asked] == rows["window"]
    assert np.isfinite(text.losses(lm)).all()
    assert 0 < text.words.sum() < sum(len(page.split()) for page in pages)


def test_an_encoder_decoder_without_sentinels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no sentinel tokens"):
        held_out_text(loaded(tiny_models.byte_t5(tmp_path)), "sample")


def test_a_rise_that_all_passages_share_is_known_exactly(byte_llama: Path) -> None:
    text = held_out_text(loaded(byte_llama), "sample")
    before = np.arange(len(text.words), dtype=np.float64)
    assert text.rise(before, before + 0.25 * text.words) == pytest.approx((0.25, 0.0), abs=1e-12)
