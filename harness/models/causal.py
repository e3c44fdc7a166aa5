"""The causal language model that is scored: lm-eval's own `hf`, refusing what would give a wrong number."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import torch
from lm_eval.api.registry import register_model
from torch import Tensor

from harness.data.families import Family
from harness.models.base import TransformersLM
from harness.models.embedded import unknown_token
from harness.models.prefix_tree import Row, Text, logits_of, one_text, rows, takes_trees, widest
from harness.models.requests import require_finite
from harness.terminal.bars import progress

# Prompts are read at once as far as a multiple of this: longer steps make fewer batches that read more one by one.
PROMPT_STEP = 4

# Nodes of a tree that is laid out as one row. Measured with SmolLM2-135M on two cores: wider rows share more and attend
# to more that they do not see.
ROW_NODES = 128

_Tokenised = tuple[Any, list[int], list[int]]


class _Tree(NamedTuple):
    """A row with what is asked of it: the nodes that predictions are read from and, of each request, its number, the
    predictions' places among these nodes, and the tokens that are expected there.
    """

    row: Row
    nodes: list[int]
    asked: list[tuple[int, list[int], list[int]]]


class ContextOverflowError(ValueError):
    """A request is longer than the model's context window; `index` is its place among the requests."""

    def __init__(self, index: int, length: int) -> None:
        super().__init__(index, length)
        self.index, self.length = index, length


@register_model("hf-causal")
class CausalLM(TransformersLM):
    """lm-eval's `hf` for causal models, as a `TransformersLM`; a text longer than the context window is an error."""

    family: ClassVar[Family] = "causal"
    backend_name = "causal"

    def __init__(self, pretrained: str, *, share_prefixes: bool = True, **kwargs: Any) -> None:
        """As `TransformersLM`.

        Args:
            share_prefixes: whether what texts begin with in common is computed once, where the model allows it.
        """
        super().__init__(pretrained, **kwargs)
        self.share_prefixes = share_prefixes

    @cached_property
    def takes_trees(self) -> bool:
        """Whether the model was found to give the same answers for texts that are laid out as a tree."""
        last = int(self._model.get_input_embeddings().weight.shape[0])
        return takes_trees(self._model, self.device, [last * number // 8 for number in range(1, 8)])

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """lm-eval's answers: (log-probability of the continuation in nats, whether greedy decoding would give it).

        Raises:
            ValueError: a request exceeds the context window, or has a token that the model has no embedding for.
            FloatingPointError: a log-probability is not finite.
        """
        self._require_known_texts(requests)
        try:
            answers: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm=disable_tqdm)
        except ContextOverflowError as error:
            raise ValueError(self.too_long(requests[error.index], error.length)) from None
        require_finite(requests, [logprob for logprob, _ in answers])
        return answers

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Log-probability of whole documents in nats, windows as lm-eval cuts them.

        Raises:
            ValueError: a document has a token that the model has no embedding for.
            FloatingPointError: a log-probability is not finite.
        """
        self._require_known_texts(requests)
        with self.batch_size_known():
            answers: list[float] = super().loglikelihood_rolling(requests, disable_tqdm=disable_tqdm)
        require_finite(requests, answers)
        return answers

    def prompt_parts(self, ids: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """See `TransformersLM.prompt_parts`: prompts of nearly one length get first parts of exactly one."""
        cut = (len(ids) - 1) // PROMPT_STEP * PROMPT_STEP
        return ids[:cut], ids[cut:]

    def continuer(self, firsts: Tensor, owners: Tensor) -> Callable[[Tensor], Tensor]:
        """See `TransformersLM.continuer`; a model without a cache of keys and values reads the whole text each time."""
        cache: Any = None
        if firsts.shape[1]:
            read = self.whole_model.base_model(firsts, use_cache=True)
            cache = getattr(read, "past_key_values", None)
            if hasattr(cache, "batch_select_indices"):
                cache.batch_select_indices(owners)
            else:
                cache = None
        text = firsts[owners]

        def logits_after(token: Tensor) -> Tensor:
            nonlocal cache, text
            text = torch.cat([text, token[:, None]], dim=1)
            output = self._model(text if cache is None else token[:, None], past_key_values=cache, use_cache=True)
            cache = getattr(output, "past_key_values", None)
            last: Tensor = output.logits[:, -1]
            return last

        return logits_after

    def _require_known_texts(self, requests: Sequence[Any]) -> None:
        # lm-eval cuts texts into tokens where their documents are no longer known. Ids may have gaps.
        last = max(self.tokenizer.get_vocab().values())
        if unknown_token(self.tokenizer, self._model, [last, self.prefix_token_id]):
            for request in requests:
                self.require_embedded(request, [self.prefix_token_id], self._prompt_ids("".join(request.args[:2])))

    def _prompt_ids(self, prompt: str) -> list[int]:
        ids: list[int] = self.tok_encode(prompt)
        return ids

    def _positions_needed(self, prompt: int, room: int) -> int:
        return prompt + room

    def _loglikelihood_tokens(
        self, requests: Sequence[_Tokenised], disable_tqdm: bool = False, override_bs: int | None = None
    ) -> list[tuple[float, bool]]:
        asked: defaultdict[Text, list[int]] = defaultdict(list)
        for index, (_, context, continuation) in enumerate(requests):
            # What the model is fed: requests that differ in their last token only are one text.
            asked[tuple(context + continuation[:-1])].append(index)
        longest = max(asked, key=len)
        if len(longest) > self.max_length:
            raise ContextOverflowError(asked[longest][0], len(longest))
        answers: list[tuple[float, bool]] = [(math.nan, False)] * len(requests)
        with progress(len(requests), "Scoring", hidden=disable_tqdm or self.rank != 0) as bar:
            for found in self._answers(requests, asked):
                for index, answer in found:
                    answers[index] = answer
                bar.update(len(found))
        return answers

    def _answers(
        self, requests: Sequence[_Tokenised], asked: Mapping[Text, Sequence[int]]
    ) -> Iterator[list[tuple[int, tuple[float, bool]]]]:
        """Batch by batch, numbers of requests and their answers."""
        laid_out: Iterable[Row] = map(one_text, asked)
        if self.share_prefixes and len(asked) > 1 and self.takes_trees:
            narrow = widest(self._model.config)
            laid_out = rows(asked, min(ROW_NODES, narrow or ROW_NODES), narrow)
        trees = sorted((_tree(row, requests, asked) for row in laid_out), key=lambda tree: -len(tree.row.tokens))
        # A text by itself needs no mask, and attention is faster without one.
        for shared in (True, False):
            alike = [tree for tree in trees if (len(tree.row.paths) > 1) == shared]
            for batch in self.batches(alike, lambda tree: len(tree.row.tokens), lambda tree: len(tree.nodes)):
                yield self._score(batch)

    @torch.inference_mode()
    def _score(self, batch: Sequence[_Tree]) -> list[tuple[int, tuple[float, bool]]]:
        logits = logits_of(self._model, [tree.row for tree in batch], [tree.nodes for tree in batch], self.device)
        logits = logits.to(self.softmax_dtype or logits.dtype)
        first = 0
        lines: list[int] = []
        targets: list[int] = []
        for tree in batch:
            for _, places, expected in tree.asked:
                lines += [first + place for place in places]
                targets += expected
            first += len(tree.nodes)
        line, target = torch.tensor(lines, device=self.device), torch.tensor(targets, device=self.device)
        logprobs = logits[line, target] - logits.logsumexp(-1)[line]
        tops = logits.argmax(-1)[line] == target
        answers = iter(torch.stack([logprobs, tops.to(logprobs.dtype)], 1).tolist())
        scored = []
        for tree in batch:
            for number, places, _ in tree.asked:
                own = [next(answers) for _ in places]
                scored.append((number, (math.fsum(logprob for logprob, _ in own), all(top for _, top in own))))
        return scored


def _tree(row: Row, requests: Sequence[_Tokenised], asked: Mapping[Text, Sequence[int]]) -> _Tree:
    places: dict[int, int] = {}
    found = []
    for text, path in row.paths:
        for number in asked[text]:
            _, context, continuation = requests[number]
            nodes = path[len(context) - 1 :]
            found.append((number, [places.setdefault(node, len(places)) for node in nodes], continuation))
    return _Tree(row, list(places), found)
