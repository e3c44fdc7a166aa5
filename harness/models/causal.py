"""The causal language model that is scored: lm-eval's own `hf`, in fp32, refusing what would give a wrong number."""

from __future__ import annotations

import hashlib
import logging
import math
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from lm_eval.api.registry import register_model
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import normalize_gen_kwargs
from tqdm import tqdm
from transformers.utils import cached_file

from harness.allocator import keep_freed_memory
from harness.data.tokens import require_family
from harness.files import sha256_file
from harness.models.adapters import attach
from harness.weights import require_safe_weights, weights_sha256

log = logging.getLogger(__name__)

# Tokens in one forward pass. Measured with SmolLM2-135M on CPU: from 512 on, more tokens a batch take longer each.
CPU_BATCH_TOKENS = 512
# On a GPU memory is the limit: lm-eval holds a batch's logits and their log-softmax, each of this size in fp32.
GPU_LOGITS_BYTES = 1 << 30

_Tokenised = tuple[Any, list[int], list[int]]


class ContextOverflowError(ValueError):
    """A request is longer than the model's context window; `index` is its place among the requests."""

    def __init__(self, index: int, length: int) -> None:
        super().__init__(index, length)
        self.index, self.length = index, length


@register_model("hf-causal")
class CausalLM(HFLM):
    """lm-eval's `hf` for causal models, with these differences.

    fp32 unless told otherwise; safetensors only, unless `allow_pickle`; other model families refused; documents shared
    out over all processes of `accelerate launch`, on CPU too; a text longer than the context window or a log-likelihood
    that is no finite number is an error; batches are filled up to a number of tokens; adapters can be swapped.
    """

    _model: Any

    def __init__(
        self,
        pretrained: str,
        *,
        device: str | None = None,
        dtype: str = "float32",
        batch_size: int | str = "auto",
        revision: str = "main",
        subfolder: str = "",
        gguf_file: str | None = None,
        peft: str | None = None,
        prefix_token_id: int | None = None,
        allow_pickle: bool = False,
        trust_remote_code: bool = False,
        **kwargs: Any,
    ) -> None:
        """Load the model; the arguments are lm-eval's.

        Args:
            pretrained: a model folder or a hub id.
            batch_size: rows a batch at most; "auto" sets no such limit beside the one on tokens.
            allow_pickle: whether weights that can run code when they are loaded are accepted.

        Raises:
            ValueError: no causal model, a folder without weights or with pickled ones only, or too few processes.
        """
        source = {"revision": revision, "subfolder": subfolder, "gguf_file": gguf_file}
        require_family({"pretrained": pretrained, **source}, "hf-causal")
        if gguf_file is None:
            require_safe_weights(pretrained, allow_pickle)
            kwargs |= {} if allow_pickle else {"use_safetensors": True}
        if not torch.cuda.is_available():
            # Without it accelerate starts no process group on a machine without GPUs, and every rank scores everything.
            os.environ.setdefault("ACCELERATE_USE_CPU", "true")
        super().__init__(
            pretrained,
            backend="causal",
            device=_device(device),
            dtype=dtype,
            batch_size=batch_size,
            prefix_token_id=None if prefix_token_id is None else int(prefix_token_id),
            trust_remote_code=trust_remote_code,
            **source,
            **kwargs,
        )
        self._join_processes()
        if self.device.type == "cpu":
            keep_freed_memory()
        self.metadata: dict[str, Any] = {
            "pretrained": pretrained,
            **{name: value for name, value in source.items() if value},
            **{name: kwargs[name] for name in ("tokenizer", "add_bos_token", "use_fast_tokenizer") if name in kwargs},
        }
        self.parameters = sum(weight.numel() for weight in self._model.parameters())
        self.adapter: Path | None = None
        if peft:
            self.use_adapter(peft)

    @property
    def task_metadata(self) -> dict[str, Any]:
        """What the tasks are told of the model: enough to load its tokenizer and find its checkpoint's split."""
        return {
            **self.metadata,
            **({} if self.custom_prefix_token_id is None else {"prefix_token_id": self.custom_prefix_token_id}),
            **({} if self.adapter is None else {"peft": str(self.adapter)}),
        }

    @property
    def weights_sha256(self) -> str:
        """Digest of the files that the base model's weights came from and, with an adapter, of the adapter's."""
        names = ("pretrained", "revision", "subfolder", "gguf_file")
        return files_sha256(**{name: self.metadata[name] for name in names if name in self.metadata}, peft=self.peft)

    def use_adapter(self, path: str | Path | None) -> None:
        """Put another LoRA adapter on the loaded base weights; None takes the adapter off.

        Raises:
            ValueError: the adapter was trained on another base model; the model then has no adapter.
        """
        if self.adapter is not None:
            self._model = self._model.unload()
            self.adapter = self.peft = None
        if path is not None:
            self._model = attach(self._model, Path(path), self.pretrained)
            self.adapter, self.peft = Path(path), str(path)

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """lm-eval's answers: (log-probability of the continuation in nats, whether greedy decoding would give it).

        Raises:
            ValueError: a request exceeds the context window.
            FloatingPointError: a log-probability is not finite.
        """
        try:
            answers: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm=disable_tqdm)
        except ContextOverflowError as error:
            raise ValueError(self._too_long(requests[error.index], error.length)) from None
        _require_finite(requests, [logprob for logprob, _ in answers])
        return answers

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Log-probability of whole documents in nats, windows as lm-eval cuts them.

        Raises:
            FloatingPointError: a log-probability is not finite.
        """
        answers: list[float] = super().loglikelihood_rolling(requests, disable_tqdm=disable_tqdm)
        _require_finite(requests, answers)
        return answers

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """lm-eval's generations.

        Raises:
            ValueError: a prompt and what may be generated after it exceed the context window.
        """
        for request in requests:
            prompt, arguments = request.args
            room = normalize_gen_kwargs(dict(arguments), self.max_gen_toks)["max_gen_toks"]
            if (length := len(self.tok_encode(prompt)) + room) > self.max_length:
                raise ValueError(self._too_long(request, length))
        generated: list[str] = super().generate_until(requests, disable_tqdm=disable_tqdm)
        return generated

    def _loglikelihood_tokens(
        self, requests: Sequence[_Tokenised], disable_tqdm: bool = False, override_bs: int | None = None
    ) -> list[tuple[float, bool]]:
        groups: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, (_, context, continuation) in enumerate(requests):
            # What the model is fed; requests that differ in their last token only share one row (lm-eval's cache).
            groups[tuple(context + continuation[:-1])].append(index)
        longest = max(groups, key=len)
        if len(longest) > self.max_length:
            raise ContextOverflowError(groups[longest][0], len(longest))
        answers: list[tuple[float, bool]] = [(math.nan, False)] * len(requests)
        with tqdm(total=len(requests), disable=disable_tqdm or self.rank != 0, desc="Scoring") as bar:
            for batch in self._batches(sorted(groups, key=lambda tokens: (-len(tokens), tokens))):
                places = [index for tokens in batch for index in groups[tokens]]
                scored = super()._loglikelihood_tokens(
                    [requests[index] for index in places], disable_tqdm=True, override_bs=len(places)
                )
                for index, answer in zip(places, scored, strict=True):
                    answers[index] = answer
                bar.update(len(places))
        return answers

    def _batches(self, rows: Sequence[tuple[int, ...]]) -> Iterator[Sequence[tuple[int, ...]]]:
        """Cut rows, longest first, into batches that stay below the limit on tokens once padded."""
        tokens = CPU_BATCH_TOKENS if self.device.type == "cpu" else GPU_LOGITS_BYTES // (4 * self.vocab_size)
        most = len(rows) if self.batch_size == "auto" else int(self.batch_size)
        start = 0
        while start < len(rows):
            size = max(1, min(most, tokens // len(rows[start])))
            yield rows[start : start + size]
            start += size

    def _detect_batch_size(self, requests: Sequence[Any] | None = None, pos: int = 0) -> int:
        # lm-eval would find out by running full windows until memory ends; likelihoods are cut by tokens anyway.
        return 16 if self.device.type == "cpu" else int(self.max_batch_size)

    def _join_processes(self) -> None:
        state = PartialState()
        self._rank, self._world_size = state.process_index, state.num_processes
        if (launched := int(os.environ.get("WORLD_SIZE", "1"))) != self._world_size:
            raise ValueError(
                f"{launched} processes were launched and {self._world_size} found each other, so each would score "
                "every document. On CPU launch with `accelerate launch --config_file accelerate_configs/cpu_2proc.yaml`"
            )

    def _too_long(self, request: Any, length: int) -> str:
        return (
            f"{_name(request)}: {length} tokens with the start token, and the context window of {self.pretrained} has "
            f"{self.max_length}. It would have to be cut, which scores another text; leave the document out or take "
            "a model with a longer window."
        )


def files_sha256(
    pretrained: str, revision: str = "main", subfolder: str = "", gguf_file: str | None = None, peft: str | None = None
) -> str:
    """Digest of a model's weight files, in a folder or in the hub's cache, and of its adapter's where it has one."""
    config = cached_file(pretrained, gguf_file or "config.json", revision=revision, subfolder=subfolder)
    base = sha256_file(Path(config)) if gguf_file else weights_sha256(Path(config).parent)
    return base if peft is None else hashlib.sha256(f"{base}\n{weights_sha256(Path(peft))}".encode()).hexdigest()


def _device(asked: str | None) -> str:
    if asked is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    if asked.startswith("cuda") and not torch.cuda.is_available():
        log.warning("device %s: torch finds no GPU here; scoring on the CPU", asked)
        return "cpu"
    return asked


def _require_finite(requests: Sequence[Any], logprobs: Sequence[float]) -> None:
    for request, logprob in zip(requests, logprobs, strict=True):
        if not math.isfinite(logprob):
            raise FloatingPointError(
                f"{_name(request)}: log-likelihood is {logprob} for {request.args[-1][:80]!r}. Half precision "
                "overflows in some models (score with dtype=float32); else the weights are damaged or diverged."
            )


def _name(request: Any) -> str:
    return f"{request.task_name or 'request'}, document {request.doc_id}"
