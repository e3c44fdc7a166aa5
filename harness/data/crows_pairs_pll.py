"""CrowS-Pairs as its authors score masked models: what both sentences have in common, given what sets them apart."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.data.crows_pairs import scored_pairs, task_name
from harness.data.masked_text import scored_text
from harness.data.tokens import columns, load_tokenizer, load_tokens

if TYPE_CHECKING:
    from datasets import Dataset


class Shared(NamedTuple):
    """Of two texts: how many tokens they share, and which tokens of each, counted from 0, are its own."""

    shared: int
    own_more: list[int]
    own_less: list[int]


def dataset(*, held_out: bool = False, **metadata: object) -> dict[str, Dataset]:
    """The rows that lm-eval asks: both sentences of a pair, and their tokens that are read but not scored.

    score(s) = sum over the tokens u that both sentences share of log P(u | all other tokens of s), one mask at a time
    (Nangia et al. 2020, section 3). Uncased models read the sentences in small letters, as in the authors' program.

    Args:
        held_out: only the pairs that the checkpoint was not trained on, see `harness.data.held_out`.

    Raises:
        ValueError: not a masked model.
    """
    from datasets import Dataset

    task = task_name("crows_pairs_pll", held_out)
    tokens = load_tokens(metadata, task, ("masked",))
    tokenizer = load_tokenizer(metadata)
    asked = scored_pairs(task, metadata, held_out)
    uncased = is_uncased(tokenizer)
    rows = []
    for pair in asked.pairs:
        more, less = (text.lower() if uncased else text for text in (pair.sent_more, pair.sent_less))
        found = shared_tokens(tokenizer, more, less)
        rows.append(
            {
                **asked.columns(pair),
                "answers": [more, less],
                "given": [found.own_more, found.own_less],
                "tokens_more": found.shared,
                "tokens_less": found.shared,
                **columns(tokens),
                **asked.data.columns,
            }
        )
    return {"test": Dataset.from_list(rows)}


def shared_tokens(tokenizer: Any, more: str, less: str) -> Shared:
    """Which tokens two texts share: difflib's `equal` blocks of their ids.

    The blocks are those of the whole ids, special tokens in, as the authors compare them; special tokens are then left
    out of the count.
    """
    texts = [scored_text(tokenizer, "", text) for text in (more, less)]
    blocks = SequenceMatcher(None, texts[0].input_ids, texts[1].input_ids, autojunk=False).get_matching_blocks()
    shared = [
        places
        for block in blocks
        for places in zip(range(block.a, block.a + block.size), range(block.b, block.b + block.size), strict=True)
        if places[0] in texts[0].places and places[1] in texts[1].places
    ]
    own = [
        [number for number, place in enumerate(text.places) if place not in {both[side] for both in shared}]
        for side, text in enumerate(texts)
    ]
    return Shared(len(shared), *own)


def is_uncased(tokenizer: Any) -> bool:
    """Whether the vocabulary is one of small letters: the tokenizer says so, or reads capitals as such."""
    normalizer = tokenizer.backend_tokenizer.normalizer
    reads_as_small = normalizer is not None and normalizer.normalize_str("A") == normalizer.normalize_str("a")
    return bool(tokenizer.init_kwargs.get("do_lower_case")) or reads_as_small
