"""Generation with a masked language model: the likeliest words for a gap, and texts continued mask by mask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from lm_eval.models.utils import normalize_gen_kwargs
from torch import Tensor
from tqdm import tqdm

if TYPE_CHECKING:
    from harness.models.masked import MaskedLM


def fill_templates(lm: MaskedLM, templates: Sequence[tuple[int, str, int]]) -> Iterator[tuple[int, str]]:
    """Answers to (number, template, rank): the token of that rank for the template's first gap, no special ones.

    Raises:
        ValueError: a template is longer than the model's positions.
    """
    encoded = [(number, lm.tokenizer(text, verbose=False)["input_ids"], rank) for number, text, rank in templates]
    for (number, ids, _), (_, text, _) in zip(encoded, templates, strict=True):
        if len(ids) > lm.max_length:
            raise ValueError(f"request {number}: template of {len(ids)} tokens, {lm.pretrained} takes {lm.max_length}")
        if lm.tokenizer.mask_token_id not in ids:
            raise ValueError(f"request {number}: no {lm.tokenizer.mask_token} among the tokens of {text!r}")
    ranked: dict[tuple[int, ...], list[int]] = {}
    most = max((rank for *_, rank in encoded), default=0) + 1
    rows = sorted({tuple(ids) for _, ids, _ in encoded}, key=lambda ids: (-len(ids), ids))
    for batch in lm._batches(rows, len):
        places = [[ids.index(lm.tokenizer.mask_token_id)] for ids in batch]
        for ids, log_p in zip(batch, _words_only(lm, lm.log_distributions(batch, places)), strict=True):
            ranked[ids] = log_p.topk(most).indices.tolist()
    for number, ids, rank in encoded:
        yield number, str(lm.tokenizer.decode([ranked[tuple(ids)][rank]])).strip()


def complete(lm: MaskedLM, requests: Sequence[tuple[int, Any]], disable_tqdm: bool) -> Iterator[tuple[int, str]]:
    """Continuations of (number, request): all masks to be filled stand behind the prompt, the leftmost goes first.

    Greedy unless `do_sample`; `temperature` and `top_p` as in transformers. Ends at one of `until`, which is cut off.

    Raises:
        ValueError: a prompt and its continuation exceed the model's positions.
    """
    for number, request in tqdm(requests, disable=disable_tqdm or lm.rank != 0, desc="Filling masks"):
        prompt, given = request.args
        arguments = normalize_gen_kwargs(dict(given), lm.max_gen_toks)
        room = int(arguments["max_gen_toks"])
        encoded = lm.tokenizer(prompt, return_special_tokens_mask=True, verbose=False)
        ids, special = list(encoded["input_ids"]), list(encoded["special_tokens_mask"])
        end = len(ids)
        while end and special[end - 1]:
            end -= 1
        if len(ids) + room > lm.max_length:
            raise ValueError(lm._too_long(request, len(ids) + room))
        text = ""
        generated: list[int] = []
        while len(generated) < room and not any(stop in text for stop in arguments["until"]):
            masks = [lm.tokenizer.mask_token_id] * (room - len(generated))
            row = [*ids[:end], *generated, *masks, *ids[end:]]
            log_p = _words_only(lm, lm.log_distributions([row], [[end + len(generated)]]))[0]
            generated.append(_pick(log_p, arguments))
            text = str(lm.tokenizer.decode([*ids[:end], *generated], skip_special_tokens=True))
            text = text[len(str(lm.tokenizer.decode(ids[:end], skip_special_tokens=True))) :]
        for stop in arguments["until"]:
            text = text.split(stop)[0] if stop else text
        yield number, text


def _words_only(lm: MaskedLM, log_p: Tensor) -> Tensor:
    """[N, V] without the special tokens and whatever lies beyond the tokenizer's vocabulary: neither is text."""
    allowed = log_p.clone()
    allowed[:, lm.tokenizer.all_special_ids] = -torch.inf
    allowed[:, len(lm.tokenizer) :] = -torch.inf
    return allowed


def _pick(log_p: Tensor, arguments: dict[str, Any]) -> int:
    if not arguments.get("do_sample"):
        return int(log_p.argmax())
    scaled = (log_p / float(arguments.get("temperature") or 1.0)).softmax(-1)
    ordered, tokens = scaled.sort(descending=True)
    # The smallest set of tokens that holds top_p of the probability (Holtzman et al. 2020).
    ordered[ordered.cumsum(-1) - ordered >= float(arguments.get("top_p") or 1.0)] = 0
    return int(tokens[torch.multinomial(ordered, 1)])
