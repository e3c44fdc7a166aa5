"""The causal language model that is scored: lm-eval's own `hf`, refusing what would give a wrong number."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, ClassVar

import torch
from accelerate.utils import gather_object
from lm_eval.api.registry import register_model
from torch import Tensor

from harness.data.families import Family
from harness.models.asked import Answer, Tokenised, Tree, answers, shares, trees
from harness.models.base import TransformersLM
from harness.models.embedded import unknown_token
from harness.models.prefix_tree import after_prefix, logits_of, takes_trees, widest
from harness.models.requests import require_finite
from harness.terminal.bars import progress

log = logging.getLogger(__name__)

# Prompts are read at once as far as a multiple of this: longer steps make fewer batches that read more one by one.
PROMPT_STEP = 4

# Nodes of a tree that is laid out as one row. Measured with SmolLM2-135M on two cores: wider rows share more and attend
# to more that they do not see.
ROW_NODES = 128
# What is kept from one checkpoint to the next: tokens of texts; and trees, of lists of requests with so many tokens.
KEPT_TEXTS, KEPT_TREES, KEPT_TOKENS = 1 << 17, 8, 1_000_000
# Of all processes together: more would take longer to hand around than it saves.
MOST_TOKENS_TO_DEAL = 10_000_000


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
        self._deals = True
        self._tokens: dict[tuple[str, Any], list[int]] = {}
        self._trees: dict[Any, list[Tree]] = {}

    @cached_property
    def takes_trees(self) -> bool:
        """Whether the model was found to give the same answers for texts that are laid out as a tree."""
        last = int(self._model.get_input_embeddings().weight.shape[0])
        found = takes_trees(self._model, self.device, [last * number // 8 for number in range(1, 8)])
        if not found:
            log.info("%s does not read texts as a tree: each is computed by itself", self.pretrained)
        return found

    def tok_encode(self, string: Any, add_special_tokens: bool | None = None, **options: Any) -> Any:
        """As lm-eval's; the tokens of texts are kept, since every checkpoint is asked for the same ones."""
        if options or not isinstance(string, str):
            return super().tok_encode(string, add_special_tokens=add_special_tokens, **options)
        key = (string, add_special_tokens)
        if key not in self._tokens:
            if len(self._tokens) >= KEPT_TEXTS:
                self._tokens.clear()
            self._tokens[key] = super().tok_encode(string, add_special_tokens=add_special_tokens)
        return list(self._tokens[key])

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """lm-eval's answers: (log-probability of the continuation in nats, whether greedy decoding would give it).

        Raises:
            ValueError: a request exceeds the context window, or has a token that the model has no embedding for.
            FloatingPointError: a log-probability is not finite.
        """
        self._require_known_texts(requests)
        try:
            found: list[Answer] = super().loglikelihood(requests, disable_tqdm=disable_tqdm)
        except ContextOverflowError as error:
            raise ValueError(self.too_long(requests[error.index], error.length)) from None
        require_finite(requests, [logprob for logprob, _ in found])
        return found

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Log-probability of whole documents in nats, windows as lm-eval cuts them.

        Raises:
            ValueError: a document has a token that the model has no embedding for.
            FloatingPointError: a log-probability is not finite.
        """
        self._require_known_texts(requests)
        # lm-eval has each process ask as often as all others, but of its own windows.
        self._deals = False
        try:
            with self.batch_size_known():
                found: list[float] = super().loglikelihood_rolling(requests, disable_tqdm=disable_tqdm)
        finally:
            self._deals = True
        require_finite(requests, found)
        return found

    def prompt_parts(self, ids: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """See `TransformersLM.prompt_parts`: prompts of nearly one length get first parts of exactly one."""
        cut = (len(ids) - 1) // PROMPT_STEP * PROMPT_STEP
        if self.recipe is not None and len(ids) > 1:
            cut = max(cut, 1)  # a prefix stands behind the start token, which is in the first part then
        return ids[:cut], ids[cut:]

    def continuer(self, firsts: Tensor, owners: Tensor) -> Callable[[Tensor], Tensor]:
        """See `ByRecipe.continuer`; a model without a cache of keys and values reads the whole text each time."""
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
        self, requests: Sequence[Tokenised], disable_tqdm: bool = False, override_bs: int | None = None
    ) -> list[Answer]:
        for number, request in enumerate(requests):
            if (length := len(request[1]) + len(request[2]) - 1) > self.max_length:
                raise ContextOverflowError(number, length)
        everyones, first = self._of_all_processes(requests)
        dealt = everyones is not requests
        as_trees = self.share_prefixes and len(everyones) > 1 and self.takes_trees
        laid_out = self._laid_out(everyones, all(gather_object([as_trees])) if dealt else as_trees)
        mine = shares(laid_out, self.world_size, self._node_cost)[self.rank] if dealt else laid_out
        found: list[tuple[int, Answer]] = []
        with progress(sum(len(tree.asked) for tree in mine), "Scoring", hidden=disable_tqdm or self.rank != 0) as bar:
            # A text by itself needs no mask, and attention is faster without one.
            for shared in (True, False):
                alike = [tree for tree in mine if tree.is_shared == shared]
                for _, scored in self.over_batches(
                    alike,
                    lambda tree: tree.width + self._applied.longest,
                    self._score,
                    lambda tree: len(tree.nodes),
                ):
                    found += scored
                    bar.update(len(scored))
        if dealt:
            found = gather_object(found)
        of = dict(found)
        return [of[first + number] for number in range(len(requests))]

    def _of_all_processes(self, requests: Sequence[Tokenised]) -> tuple[Sequence[Tokenised], int]:
        """The requests of all processes, which are dealt anew by what they take, and where one's own begin in them."""
        # A process whose answers are all in lm-eval's cache asks for none, and the others would wait for it.
        if self.world_size == 1 or not self._deals or self.cache_hook.dbdict is not None:
            return requests, 0
        tokens = sum(len(context) + len(continuation) for _, context, continuation in requests)
        if sum(gather_object([tokens])) > MOST_TOKENS_TO_DEAL:
            return requests, 0
        counts = gather_object([len(requests)])
        bare: Sequence[Tokenised] = [(None, context, continuation) for _, context, continuation in requests]
        return gather_object(bare), sum(counts[: self.rank])

    def _laid_out(self, requests: Sequence[Tokenised], as_trees: bool) -> list[Tree]:
        texts = tuple((tuple(context), tuple(continuation)) for _, context, continuation in requests)
        if (key := (as_trees, self._applied.longest, texts)) in self._trees:
            return self._trees[key]
        narrow = widest(self._model.config)
        if narrow is not None and self._applied.longest:
            narrow, as_trees = narrow - self._applied.longest, as_trees and narrow > self._applied.longest
        at_most = min(ROW_NODES, narrow or ROW_NODES) if as_trees else None
        laid_out = trees(requests, at_most, narrow)
        if sum(len(context) + len(continuation) for context, continuation in texts) <= KEPT_TOKENS:
            if len(self._trees) >= KEPT_TREES:
                del self._trees[next(iter(self._trees))]
            self._trees[key] = laid_out
        return laid_out

    @property
    def _node_cost(self) -> float:
        """What a position takes in the body, in rows of the vocabulary head: by their weights."""
        head = self._model.get_output_embeddings()
        weights = self._model.get_input_embeddings().weight if head is None else head.weight
        return float(max(self.parameters / weights.numel() - 1, 0.1))

    @torch.inference_mode()
    def _score(self, batch: Sequence[Tree]) -> list[tuple[int, Answer]]:
        def behind(prefix: tuple[int, ...]) -> Tensor:
            asked = [(tree.row, tree.nodes) for tree in batch]
            if prefix:
                asked = [after_prefix(row, nodes, prefix, self._text_start) for row, nodes in asked]
            return logits_of(self._model, [row for row, _ in asked], [nodes for _, nodes in asked], self.device)

        logits = self._applied(behind)
        return list(answers(batch, logits.to(self.softmax_dtype or logits.dtype)))
