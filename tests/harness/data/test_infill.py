"""Sentences cut into what they share and what fills the gaps: put together again they must be the sentences."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tiny_models

from harness.data import crows_pairs
from harness.data.infill import infill_blank, infill_pair, require_sentinels, source_ids, target_ids

SENTINEL = re.compile(r"<extra_id_\d+>")


def put_together(template: str, spans: str) -> str:
    """The sentence that a template and the text of its gaps stand for."""
    names, fills = SENTINEL.findall(spans), [fill.strip() for fill in SENTINEL.split(spans)[1:]]
    assert fills.pop() == ""
    assert SENTINEL.findall(template) == names[:-1] == [f"<extra_id_{number}>" for number in range(len(fills))]
    assert names[-1] == f"<extra_id_{len(fills)}>"
    for name, fill in zip(names, fills, strict=False):
        template = template.replace(name, f" {fill} ")
    return "".join(template.split())


@pytest.mark.parametrize(
    ("more", "less", "template", "spans"),
    [
        (
            "The nurse was kind.",
            "The doctor was kind.",
            "The <extra_id_0> was kind.",
            ("<extra_id_0> nurse <extra_id_1>", "<extra_id_0> doctor <extra_id_1>"),
        ),
        (
            "She met the old nurse.",
            "She met the nurse.",
            "She met the <extra_id_0>nurse.",
            ("<extra_id_0> old <extra_id_1>", "<extra_id_0> <extra_id_1>"),
        ),
        (
            "He left her.",
            "She left him.",
            "<extra_id_0> left <extra_id_1>.",
            ("<extra_id_0> He <extra_id_1> her <extra_id_2>", "<extra_id_0> She <extra_id_1> him <extra_id_2>"),
        ),
        (
            "an old nurse sang",
            "one young doctor sang",
            "<extra_id_0> sang",
            ("<extra_id_0> an old nurse <extra_id_1>", "<extra_id_0> one young doctor <extra_id_1>"),
        ),
        (
            "Nurses sing",
            "we all went home early.",
            "<extra_id_0>",
            ("<extra_id_0> Nurses sing <extra_id_1>", "<extra_id_0> we all went home early. <extra_id_1>"),
        ),
        (
            "He sings, badly",
            "He sings; badly!",
            "He sings<extra_id_0> badly<extra_id_1>",
            ("<extra_id_0> , <extra_id_1> <extra_id_2>", "<extra_id_0> ; <extra_id_1> ! <extra_id_2>"),
        ),
        ("Same.", "Same.", "Same.", ("<extra_id_0>", "<extra_id_0>")),
    ],
    ids=["word", "insertion", "two gaps", "neighbours", "all", "marks", "equal"],
)
def test_a_pair_is_cut_where_its_words_differ(more: str, less: str, template: str, spans: tuple[str, str]) -> None:
    assert infill_pair(more, less) == (template, spans)
    turned = infill_pair(less, more)
    assert [put_together(turned.template, one) for one in turned.spans] == [
        "".join(text.split()) for text in (less, more)
    ]


def test_the_real_pairs_are_whole_again_with_their_gaps_filled(real_data: Path) -> None:
    tokenizer = tiny_models.real_tokenizer(real_data, "t5-small")
    pairs = crows_pairs.read(real_data / "crows_pairs" / "crows_pairs_anonymized.csv")
    unknown = tokenizer.unk_token_id
    for pair in pairs:
        infill = infill_pair(pair.sent_more, pair.sent_less)
        for spans, text in zip(infill.spans, (pair.sent_more, pair.sent_less), strict=True):
            assert put_together(infill.template, spans) == "".join(text.split())
            ids = target_ids(tokenizer, spans)
            # Every sentinel is one token of the vocabulary, in order, and one end token closes the text.
            marks = [token for token in ids if token in tokenizer.convert_tokens_to_ids(SENTINEL.findall(spans))]
            assert marks == tokenizer.convert_tokens_to_ids(SENTINEL.findall(spans))
            assert unknown not in marks
            assert ids.count(tokenizer.eos_token_id) == 1
            assert ids[-1] == tokenizer.eos_token_id
        assert infill.spans[0] != infill.spans[1]


def test_every_blank_gets_a_sentinel_and_the_same_fill() -> None:
    assert infill_blank("The BLANK is a BLANK.", "BLANK", ["nurse", "fog"]) == (
        "The <extra_id_0> is a <extra_id_1>.",
        ("<extra_id_0> nurse <extra_id_1> nurse <extra_id_2>", "<extra_id_0> fog <extra_id_1> fog <extra_id_2>"),
    )
    assert infill_blank("She left. BLANK", "BLANK", [" She sang. "]) == (
        "She left. <extra_id_0>",
        ("<extra_id_0> She sang. <extra_id_1>",),
    )


@pytest.mark.parametrize("adds_end", [True, False])
def test_the_end_token_closes_both_texts_once(adds_end: bool) -> None:
    tokenizer = tiny_models.unigram(adds_end=adds_end)
    for ids in (source_ids(tokenizer, "the nurse"), target_ids(tokenizer, "the nurse"), target_ids(tokenizer, "")):
        assert ids.count(tokenizer.eos_token_id) == 1
        assert ids[-1] == tokenizer.eos_token_id


def test_t5s_own_tokenizer_closes_both_texts_once(real_data: Path) -> None:
    tokenizer = tiny_models.real_tokenizer(real_data, "t5-small")
    for ids in (source_ids(tokenizer, "the nurse"), target_ids(tokenizer, "the nurse")):
        assert tokenizer.convert_ids_to_tokens(ids) == ["▁the", "▁nurse", "</s>"]


def test_a_tokenizer_without_sentinels_is_sent_to_the_prompt_tasks() -> None:
    with pytest.raises(ValueError, match=r"crows_pairs: .*no sentinel tokens.*crows_pairs_prompt"):
        require_sentinels(tiny_models.byte_level(), "crows_pairs")
    require_sentinels(tiny_models.unigram(), "crows_pairs")
