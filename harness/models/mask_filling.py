"""Generation with a masked language model: the likeliest words for a gap, and texts continued mask by mask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import torch
from lm_eval.models.utils import normalize_gen_kwargs
from torch import Tensor

from harness.models.sampling import Sampling, draw, sampling_of, seed_of
from harness.terminal.bars import progress

Row = TypeVar("Row")


class FillsMasks(Protocol):
    """What is asked of a model here; `MaskedLM` says what each of these is."""

    rank: int
    max_gen_toks: int
    tokenizer: Any

    @property
    def max_length(self) -> int: ...

    def batches(
        self, rows: Sequence[Row], length: Callable[[Row], int], predictions: Callable[[Row], int] | None = None
    ) -> Iterator[Sequence[Row]]: ...

    def log_distributions(self, rows: Sequence[Sequence[int]], places: Sequence[Sequence[int]]) -> Tensor: ...

    def too_long(self, request: Any, length: int) -> str: ...


def fill_templates(lm: FillsMasks, templates: Sequence[tuple[int, Any, int]]) -> Iterator[tuple[int, str]]:
    """Answers to (number, request, rank): the token of that rank for the template's first gap, no special ones.

    Raises:
        ValueError: a template is longer than the model's positions.
    """
    mask = lm.tokenizer.mask_token_id
    encoded = []
    for number, request, rank in templates:
        ids = tuple(lm.tokenizer(request.args[0], verbose=False)["input_ids"])
        if len(ids) > lm.max_length:
            raise ValueError(lm.too_long(request, len(ids)))
        encoded.append((number, ids, rank))
    ranked: dict[tuple[int, ...], list[int]] = {}
    most = max((rank for *_, rank in encoded), default=0) + 1
    for batch in lm.batches(sorted({ids for _, ids, _ in encoded}, key=lambda ids: (-len(ids), ids)), len, lambda _: 1):
        log_p = _words_only(lm, lm.log_distributions(batch, [[ids.index(mask)] for ids in batch]))
        ranked |= zip(batch, log_p.topk(most).indices.tolist(), strict=True)
    for number, ids, rank in encoded:
        yield number, str(lm.tokenizer.decode([ranked[ids][rank]])).strip()


def complete(lm: FillsMasks, requests: Sequence[tuple[int, Any, int]], disable_tqdm: bool) -> Iterator[tuple[int, str]]:
    """Continuations of (number, request, repeat): all masks to be filled stand behind the prompt, the leftmost first.

    Greedy unless `do_sample`. Ends at one of `until`, which is cut off.

    Raises:
        ValueError: a prompt and its continuation exceed the model's positions.
    """
    open_ones = [_prepared(lm, *request) for request in requests]
    with progress(len(requests), "Filling masks", hidden=disable_tqdm or lm.rank != 0) as bar:
        while open_ones:
            for one in [one for one in open_ones if one.is_done]:
                yield one.number, one.text
                bar.update()
            open_ones = sorted((one for one in open_ones if not one.is_done), key=lambda one: -one.length)
            for batch in lm.batches(open_ones, lambda one: one.length, lambda _: 1):
                rows = [one.row(lm.tokenizer.mask_token_id) for one in batch]
                places = [[len(one.before) + len(one.tokens)] for one in batch]
                for one, log_p in zip(batch, _words_only(lm, lm.log_distributions(rows, places)), strict=True):
                    one.tokens.append(one.next_token(log_p))
                    one.generated = _text(lm, [*one.before, *one.tokens])[len(_text(lm, one.before)) :]


@dataclass
class _Continuation:
    """A text as far as it is generated. `before` and `after` are the prompt's ids on both sides of what is added."""

    number: int
    before: list[int]
    after: list[int]
    arguments: dict[str, Any]
    sampling: Sampling | None
    seed: int
    tokens: list[int] = field(default_factory=list)
    generated: str = ""

    @property
    def room(self) -> int:
        """Tokens that may be generated."""
        return int(self.arguments["max_gen_toks"])

    @property
    def length(self) -> int:
        """Ids of the whole text, the masks that are still to be filled included."""
        return len(self.before) + self.room + len(self.after)

    @property
    def text(self) -> str:
        """What was generated before the first of the strings that end it."""
        found = [self.generated.find(stop) for stop in self.arguments["until"] if stop]
        return self.generated[: min((place for place in found if place >= 0), default=None)]

    @property
    def is_done(self) -> bool:
        return len(self.tokens) >= self.room or self.text != self.generated

    def next_token(self, log_p: Tensor) -> int:
        """The token that goes next, by log-probabilities [V]."""
        if self.sampling is None:
            return int(log_p.argmax())
        seed = torch.tensor([self.seed], device=log_p.device)
        return int(draw(log_p[None], seed, torch.full_like(seed, len(self.tokens)), self.sampling))

    def row(self, mask: int) -> list[int]:
        return [*self.before, *self.tokens, *[mask] * (self.room - len(self.tokens)), *self.after]


def _prepared(lm: FillsMasks, number: int, request: Any, repeat: int) -> _Continuation:
    prompt, given = request.args
    mask = lm.tokenizer.mask_token_id
    ids = list(lm.tokenizer(prompt + lm.tokenizer.mask_token, verbose=False)["input_ids"])
    end = ids.index(mask)
    arguments = dict(normalize_gen_kwargs(dict(given), lm.max_gen_toks))
    sampling = sampling_of(request, lm.max_gen_toks)
    one = _Continuation(number, ids[:end], ids[end + 1 :], arguments, sampling, seed_of(prompt, repeat))
    if one.length > lm.max_length:
        raise ValueError(lm.too_long(request, one.length))
    return one


def _text(lm: FillsMasks, ids: Sequence[int]) -> str:
    # Cleaning up joins marks to the word before them, also over the end of a prompt, whose length then changes.
    return str(lm.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _words_only(lm: FillsMasks, log_p: Tensor) -> Tensor:
    """[N, V] without the special tokens and whatever lies beyond the tokenizer's vocabulary: neither is text."""
    allowed = log_p.clone()
    allowed[:, [token for token in lm.tokenizer.all_special_ids if token < log_p.shape[1]]] = -torch.inf
    allowed[:, len(lm.tokenizer) :] = -torch.inf
    return allowed
