"""WikiText-2 raw (Merity et al. 2017, arXiv 1609.07843): running text, to see what a debiased model lost.

The test file is scored; the validation file is what settings and controls may look at.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.data.draw import drawn
from harness.data.families import FAMILIES
from harness.data.sources import locate_for
from harness.data.span_corruption import corrupted, window_of
from harness.data.tokens import Seq2SeqTokens, Tokens, columns, load_tokens, positions
from harness.storage.text import read_text

if TYPE_CHECKING:
    from datasets import Dataset

SAMPLED_TOKENS = 2000
SEED = 0
SIZING_PASSAGES, SIZING_WORDS = 12, 320
"""Passages of the validation file on which controls are made as large as training: nothing else reads them."""
# A masked token costs a pass over its whole window. In BERT's 512 ids, the sample would take four times as long.
MASKED_WINDOW = 128


class Document(NamedTuple):
    """One article in WikiText's tokenised form (`co @-@ star`, punctuation set off), its heading included."""

    title: str
    page: str

    @property
    def words(self) -> int:
        """Number of words as lm-eval's `wikitext` counts them: of the original, the empty strings at its ends too."""
        return len(re.split(r"\s+", self.page))

    @property
    def bytes(self) -> int:
        """Number of UTF-8 bytes of the original."""
        return len(self.page.encode("utf-8"))


def read(path: Path) -> list[Document]:
    """Split the file at its ` = Title = ` lines, as lm-eval's `wikitext` does through its document-level edition.

    That gives 62 documents for the published test file, though it has 60 articles: two formulas of "Constant k filter"
    stand on lines of their own that look like headings. They are kept as documents, so that perplexities compare.

    Raises:
        ValueError: not UTF-8, or no such heading in the file.
    """
    lines = read_text(path).split("\n")
    starts = [number for number, line in enumerate(lines) if _is_title(line)]
    if not starts:
        raise ValueError(f"{path}: no ` = Title = ` heading; expected WikiText-2's raw form")
    if any(line.strip() for line in lines[: starts[0]]):
        raise ValueError(f"{path}, line 1: text before the first ` = Title = ` heading")
    return [
        Document(lines[start].strip().strip("=").strip(), "\n".join(lines[start:end]))
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True)
    ]


class Asked(NamedTuple):
    """What a model is asked for of one page.

    `tokens` are scored; `share` is that of the page's own tokens which these stand for, and `columns` what a row says
    beside the page to have just them scored.
    """

    tokens: int
    share: float
    columns: Mapping[str, object] = {}


def passages(path: Path, words: int, count: int) -> list[str]:
    """Passages of up to `words` words of running text, detokenised, without headings, evenly spaced over the file.

    Args:
        count: how many at most; a file that has fewer gives all it has.
    """
    found = []
    for lines in _paragraphs(path):
        text = [word for line in lines for word in line.split()]
        found += [" ".join(text[start : start + words]) for start in range(0, len(text), words)]
    return [found[number] for number in _spaced(len(found), count)]


def paragraphs_beside(path: Path, words: int, count: int) -> Iterator[str]:
    """The paragraphs, detokenised, that share no word with these `passages`.

    Of a file so short that the passages would be more than half of it, all paragraphs.
    """
    documents = list(_paragraphs(path))
    sizes = [-(-sum(len(line.split()) for line in lines) // words) for lines in documents]
    taken = set(_spaced(sum(sizes), count))
    if 2 * len(taken) > sum(sizes):
        taken = set()
    first = 0
    for lines, size in zip(documents, sizes, strict=True):
        before = 0
        for line in lines:
            after = before + len(line.split())
            if after > before and taken.isdisjoint(range(first + before // words, first + (after - 1) // words + 1)):
                yield line
            before = after
        first += size


def _paragraphs(path: Path) -> Iterator[list[str]]:
    """Of each document its lines, detokenised, without headings."""
    from lm_eval.tasks.wikitext.preprocess_wikitext import wikitext_detokenizer

    for document in read(path):
        lines = wikitext_detokenizer({"page": document.page}).split("\n")
        yield [line for line in lines if not line.strip().startswith("=")]


def _spaced(found: int, count: int) -> list[int]:
    """At most `count` of so many numbers, evenly spaced."""
    taken = min(count, found)
    return [number * found // taken for number in range(taken)]


def dataset(**metadata: object) -> dict[str, Dataset]:
    """The rows that lm-eval scores: a document each. `page` is detokenised by lm-eval's own rules before scoring.

    A causal model is asked for the whole page, a masked one for some of its tokens (`scored`, in windows of `window`
    ids), an encoder-decoder for spans that are hidden in it (`span_key`, `window`). `words` and `bytes` are those of
    the original, times the share of the page that is asked for.

    Metadata: `sampled_tokens`, how many tokens of the whole file a masked model is asked for (default 2,000, or "all").

    Raises:
        ValueError: another number of tokens, or an encoder-decoder whose tokenizer has no sentinels.
    """
    from datasets import Dataset
    from lm_eval.tasks.wikitext.preprocess_wikitext import wikitext_detokenizer

    data = locate_for("wikitext2", metadata)
    documents = read(data.path)
    tokens = load_tokens(metadata, "wikitext2", FAMILIES)
    pages = [wikitext_detokenizer({"page": document.page}) for document in documents]
    rows = [
        {
            "document": number,
            "title": document.title,
            "page": page,
            "words": document.words * asked.share,
            "bytes": document.bytes * asked.share,
            "tokens": asked.tokens,
            **asked.columns,
            **columns(tokens),
            **data.columns,
        }
        for number, (document, page, asked) in enumerate(
            zip(documents, pages, asked_of(tokens, pages, metadata), strict=True)
        )
    ]
    return {"test": Dataset.from_list(rows)}


def asked_of(tokens: Tokens, pages: Sequence[str], metadata: Mapping[str, object]) -> list[Asked]:
    """What a model of the tokens' family is asked for of each page; `metadata` as for `dataset`."""
    if isinstance(tokens, Seq2SeqTokens):
        window = window_of(tokens.tokenizer, positions(metadata, tokens.tokenizer), "wikitext2")
        return [_hidden(tokens.tokenizer, page, f"{SEED}/{number}", window) for number, page in enumerate(pages)]
    lengths = [tokens.count_rolling(page) for page in pages]
    if tokens.family == "masked":
        return _sampled(lengths, _sampled_tokens(metadata.get("sampled_tokens", SAMPLED_TOKENS), sum(lengths)))
    return [Asked(length, 1) for length in lengths]


def _sampled(lengths: Sequence[int], count: int) -> list[Asked]:
    """`count` tokens of all pages together, whichever `drawn` draws."""
    chosen = drawn(str(SEED), sum(lengths), count)
    ends = list(accumulate(lengths))
    found = []
    for length, end in zip(lengths, ends, strict=True):
        within = chosen[bisect_left(chosen, end - length) : bisect_left(chosen, end)]
        scored = [number - (end - length) for number in within]
        row = {"scored": scored, "window": MASKED_WINDOW}
        found.append(Asked(len(scored), len(scored) / max(1, length), row))
    return found


def _hidden(tokenizer: Any, page: str, key: str, window: int) -> Asked:
    parts = corrupted(tokenizer, page, window, key)
    share = sum(part.hidden for part in parts) / max(1, sum(part.length for part in parts))
    return Asked(sum(len(part.target) for part in parts), share, {"span_key": key, "window": window})


def _sampled_tokens(given: object, every: int) -> int:
    if given == "all":
        return every
    if not str(given).isdecimal() or int(str(given)) < 1:
        raise ValueError(f"sampled_tokens={given!r}: expected how many tokens to score, 1 or more, or all")
    return int(str(given))


def _is_title(line: str) -> bool:
    """A level-1 heading: ` = Title = `, while ` = = Section = = ` is a deeper one."""
    text = line.strip()
    return text.startswith("= ") and text.endswith(" =") and not (text.startswith("= =") or text.endswith("= ="))
