"""Continuations drawn from a model, the same for a prompt whatever else is asked, in whatever batch or process.

A token is drawn by the Gumbel-max trick: the argmax of log P(token) + Gumbel noise is a sample of P (Maddison et al.
2014, arXiv 1411.0030, section 2). The noise of a token at a step is a hash of the continuation's seed, and the seed a
hash of the prompt and the number of the continuation. Two models asked the same thus see common random numbers: where
their probabilities agree, so do their texts.
"""

from __future__ import annotations

import hashlib
import struct
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from lm_eval.models.utils import normalize_gen_kwargs
from torch import Tensor

from harness.terminal.bars import progress

# Rows in one pass. On a CPU one more row is nearly free until about here, since every pass reads all weights once.
CPU_ROWS = 128
GPU_TOKENS = 1 << 14
# With fewer rows a matrix product takes another path and rounds otherwise (measured: below four on a CPU), so that a
# prompt's text could depend on what else is asked; a batch is filled up to this.
FEWEST_ROWS = 8
# A nucleus is looked for among so many likeliest tokens, then among more; sorting a vocabulary takes far longer.
CANDIDATES = (256, 2048)

_MASK_64 = (1 << 64) - 1


class Continues(Protocol):
    """What is asked of a model here; `TransformersLM` says what each of these is."""

    rank: int
    device: torch.device
    batch_size: Any
    tokenizer: Any

    @property
    def end_token_ids(self) -> list[int]: ...

    def prompt_parts(self, ids: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]: ...

    def continuer_by_recipe(self, firsts: Tensor, owners: Tensor) -> Callable[[Tensor], Tensor]: ...

    def tok_decode(self, tokens: list[int]) -> str: ...


class Sampling(NamedTuple):
    """How one continuation is drawn; 0 turns `top_k` off, 1 `top_p`."""

    max_new_tokens: int
    temperature: float
    top_p: float
    top_k: int
    until: tuple[str, ...]

    def text(self, generated: str) -> str:
        """What was generated before the first of the strings that end it."""
        places = [place for stop in self.until if stop and (place := generated.find(stop)) >= 0]
        return generated[: min(places, default=None)]


class Asked(NamedTuple):
    """One continuation of one prompt: its tokens, how it is drawn, and which of several it is."""

    prompt: str
    ids: tuple[int, ...]
    sampling: Sampling
    repeat: int


def sampling_of(request: Any, default_tokens: int, greedy_too: bool = False) -> Sampling | None:
    """How a request of lm-eval's is to be sampled; None if it is not (greedy), unless `greedy_too`: by its likeliest.

    Raises:
        ValueError: an argument that this sampler does not know, or a value out of range.
    """
    given = dict(normalize_gen_kwargs(dict(request.args[1]), default_tokens))
    temperature = float(given.pop("temperature", None) or 0.0)
    if not given.pop("do_sample", False):
        if not greedy_too:
            return None
        temperature, given = 1.0, {**given, "top_k": 1, "top_p": 1.0}
    found = Sampling(
        max_new_tokens=int(given.pop("max_gen_toks")),
        temperature=temperature or 1.0,
        top_p=float(given.pop("top_p", 1.0)),
        top_k=int(given.pop("top_k", 0)),
        until=tuple(given.pop("until", ())),
    )
    if given:
        raise ValueError(
            f"--gen_kwargs: {', '.join(sorted(given))} cannot be asked of a sampled continuation here; it can be asked "
            "max_gen_toks, temperature, top_p, top_k and until"
        )
    if not (found.temperature > 0 and 0 < found.top_p <= 1 and found.top_k >= 0 and found.max_new_tokens > 0):
        raise ValueError(f"--gen_kwargs: expected temperature > 0, 0 < top_p <= 1 and top_k >= 0, found {found}")
    return found


def numbered(requests: Sequence[Any]) -> list[int]:
    """Of each request, which of its document's continuations it is, from 0.

    With several processes lm-eval asks for more than a document's `repeats`, so that all ask equally often; these ask
    again for the first ones.
    """
    asked: Counter[tuple[object, ...]] = Counter()
    numbers = []
    for request in requests:
        key = (request.task_name, request.doc_id, request.args[0])
        numbers.append(asked[key] % (request.repeats or 1))
        asked[key] += 1
    return numbers


def seed_of(prompt: str, repeat: int) -> int:
    """The seed (64 bits, signed) of a prompt's `repeat`-th continuation under torch's seed, which `--seed` sets."""
    digest = hashlib.sha256(f"{torch.initial_seed()}\0{repeat}\0{prompt}".encode()).digest()
    return int(struct.unpack("<q", digest[:8])[0])


def draw(logits: Tensor, seeds: Tensor, steps: Tensor, sampling: Sampling) -> Tensor:
    """Draw a token a row: logits [N, V], seeds and how many tokens were drawn before [N] (int64) -> token ids [N].

    The nucleus is the smallest set of likeliest tokens that holds `top_p` of the probability (Holtzman et al. 2020).
    """
    scaled = logits.float() / sampling.temperature
    vocabulary = scaled.shape[1]
    if sampling.top_k:
        values, tokens = scaled.topk(min(sampling.top_k, vocabulary))
        return _drawn(values.log_softmax(-1), tokens, seeds, steps, sampling.top_p)
    total = scaled.logsumexp(-1, keepdim=True)
    drawn = torch.empty_like(seeds)
    rows = torch.arange(len(scaled), device=scaled.device)
    for most in (*(few for few in CANDIDATES if few < vocabulary), vocabulary):
        values, tokens = scaled[rows].topk(most)
        logprobs = values - total[rows]
        found = (
            logprobs.exp().sum(-1) >= sampling.top_p if most < vocabulary else torch.ones_like(rows, dtype=torch.bool)
        )
        held = rows[found]
        drawn[held] = _drawn(logprobs[found], tokens[found], seeds[held], steps[held], sampling.top_p)
        rows = rows[~found]
        if not len(rows):
            break
    return drawn


def _drawn(logprobs: Tensor, tokens: Tensor, seeds: Tensor, steps: Tensor, top_p: float) -> Tensor:
    """One of the tokens [N, C], likeliest first, out of the nucleus."""
    probabilities = logprobs.exp()
    outside = probabilities.cumsum(-1) - probabilities >= top_p
    noise = gumbel(seeds[:, None], steps[:, None], tokens)
    best = (logprobs.double() + noise).masked_fill(outside, -torch.inf).argmax(-1, keepdim=True)
    return tokens.gather(1, best).squeeze(1)


def gumbel(seeds: Tensor, steps: Tensor, tokens: Tensor) -> Tensor:
    """Gumbel noise (float64) that depends on seed, step and token id only; the int64 tensors broadcast."""
    at_step = _mixed(seeds + (steps + 1) * _signed(0x9E3779B97F4A7C15))
    bits = _mixed(at_step + tokens * _signed(0xD1B54A32D192ED03))
    uniform = (_shifted(bits, 11).double() + 0.5) * 2.0**-53
    return -(-uniform.log()).log()


def _mixed(x: Tensor) -> Tensor:
    """The finaliser of SplitMix64 (Steele et al. 2014, doi 10.1145/2660193.2660195): each bit depends on all."""
    x = (x ^ _shifted(x, 30)) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ _shifted(x, 27)) * _signed(0x94D049BB133111EB)
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, places: int) -> Tensor:
    """Shift right as if unsigned; torch has no such shift of int64."""
    return (x >> places) & (_MASK_64 >> places)


def _signed(constant: int) -> int:
    return constant - (1 << 64) if constant >> 63 else constant


def continuations(lm: Continues, asked: Sequence[Asked], disable_tqdm: bool) -> dict[Asked, str]:
    """Draw each continuation once; those of one prompt share the pass over it."""
    distinct = list(dict.fromkeys(asked))
    texts: dict[Asked, str] = {}
    with progress(len(distinct), "Continuations", hidden=disable_tqdm or lm.rank != 0) as bar:
        for batch in _batches(lm, distinct):
            for one, tokens in zip(batch, _continued(lm, batch), strict=True):
                texts[one] = one.sampling.text(lm.tok_decode(_until_end(lm, tokens)))
            bar.update(len(batch))
    return texts


def _batches(lm: Continues, asked: Sequence[Asked]) -> Iterator[list[Asked]]:
    """Batches whose first parts are of one length, so that nothing is padded; a prompt's continuations together."""
    alike: defaultdict[tuple[int, Sampling], list[Asked]] = defaultdict(list)
    for one in asked:
        alike[len(lm.prompt_parts(one.ids)[0]), one.sampling].append(one)
    for (length, sampling), members in sorted(alike.items(), key=lambda item: -item[0][0]):
        members.sort(key=lambda one: (one.prompt, one.repeat))
        rows = CPU_ROWS if lm.device.type == "cpu" else max(1, GPU_TOKENS // (length + sampling.max_new_tokens))
        if lm.batch_size != "auto":
            rows = min(rows, int(lm.batch_size))
        yield from (members[start : start + rows] for start in range(0, len(members), rows))


@torch.inference_mode()
def _continued(lm: Continues, batch: Sequence[Asked]) -> list[list[int]]:
    """The new tokens of each row of a batch; what follows an end token is of no meaning.

    Rows take in what is left of their prompts token by token, so that one may draw while another still reads.
    """
    sampling = batch[0].sampling
    rows = [*batch, *[batch[-1]] * (FEWEST_ROWS - len(batch))]
    parts = [lm.prompt_parts(one.ids) for one in rows]
    place = {first: number for number, first in enumerate(dict.fromkeys(first for first, _ in parts))}
    firsts = [*place, *[parts[-1][0]] * (FEWEST_ROWS - len(place))]
    owners = torch.tensor([place[first] for first, _ in parts], device=lm.device)
    logits_after = lm.continuer_by_recipe(torch.tensor(firsts, dtype=torch.long, device=lm.device), owners)
    read = torch.tensor([len(rest) for _, rest in parts], device=lm.device)
    longest = int(read.max())
    given = torch.tensor([[*rest, *rest[-1:] * (longest - len(rest))] for _, rest in parts], device=lm.device)
    seeds = torch.tensor([seed_of(one.prompt, one.repeat) for one in rows], device=lm.device)
    ends = torch.tensor(lm.end_token_ids, device=lm.device)
    ended = torch.zeros(len(rows), dtype=torch.bool, device=lm.device)
    token, drawn = given[:, 0], []
    for step in range(longest - 1 + sampling.max_new_tokens):
        before = step + 1 - read
        # Rows of the embedding matrix beyond the tokenizer's vocabulary are no tokens.
        drawn.append(draw(logits_after(token)[:, : len(lm.tokenizer)], seeds, before, sampling))
        token = torch.where(before < 0, given[:, min(step + 1, longest - 1)], drawn[-1])
        ended |= (before >= 0) & (torch.isin(token, ends) | (before >= sampling.max_new_tokens - 1))
        if bool(ended.all()):
            break
    texts = torch.stack(drawn, dim=1).tolist()
    starts = (read - 1).tolist()
    return [
        row[start : start + sampling.max_new_tokens] for row, start in zip(texts[: len(batch)], starts, strict=False)
    ]


def _until_end(lm: Continues, tokens: Sequence[int]) -> list[int]:
    ends = set(lm.end_token_ids)
    return list(tokens[: next((place for place, token in enumerate(tokens) if token in ends), None)])
