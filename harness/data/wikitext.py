"""WikiText-2 raw, test file (Merity et al. 2017, arXiv 1609.07843): running text, to see what a debiased model lost."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from harness.data.sources import locate_for
from harness.data.tokens import columns, load_tokens

if TYPE_CHECKING:
    from datasets import Dataset


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
    try:
        # Not read_text: it would turn every kind of line end into one.
        lines = path.read_bytes().decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 ({error})") from error
    starts = [number for number, line in enumerate(lines) if _is_title(line)]
    if not starts:
        raise ValueError(f"{path}: no ` = Title = ` heading; expected WikiText-2's raw form")
    if any(line.strip() for line in lines[: starts[0]]):
        raise ValueError(f"{path}, line 1: text before the first ` = Title = ` heading")
    return [
        Document(lines[start].strip().strip("=").strip(), "\n".join(lines[start:end]))
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True)
    ]


def dataset(**metadata: object) -> dict[str, Dataset]:
    """The rows that lm-eval scores: a document each. `page` is detokenised by lm-eval's own rules before scoring."""
    from datasets import Dataset
    from lm_eval.tasks.wikitext.preprocess_wikitext import wikitext_detokenizer

    data = locate_for("wikitext2", metadata)
    documents = read(data.path)
    tokens = load_tokens(metadata, "wikitext2", ("causal", "masked"))
    pages = [wikitext_detokenizer({"page": document.page}) for document in documents]
    rows = [
        {
            "document": number,
            "title": document.title,
            "page": page,
            "words": document.words,
            "bytes": document.bytes,
            "tokens": tokens.count_rolling(page),
            **columns(tokens),
            **data.columns,
        }
        for number, (document, page) in enumerate(zip(documents, pages, strict=True))
    ]
    return {"test": Dataset.from_list(rows)}


def _is_title(line: str) -> bool:
    """A level-1 heading: ` = Title = `, while ` = = Section = = ` is a deeper one."""
    text = line.strip()
    return text.startswith("= ") and text.endswith(" =") and not (text.startswith("= =") or text.endswith("= ="))
