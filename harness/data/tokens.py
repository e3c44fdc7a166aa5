"""The model's tokens before the model is loaded: how many of a text are scored, and what they start after.

A `loglikelihood` answer is a sum without its token count, so the counts that normalise it go onto the task's rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from harness.data.families import Family, read_config, require_family
from harness.data.in_memory import held
from harness.data.infill import target_ids
from harness.data.masked_text import require_mask, scored_text


class Tokens(Protocol):
    """The tokenizer that a task's metadata names, used as the model class of its family uses it."""

    @property
    def family(self) -> Family:
        """Of the model that the tokenizer belongs to."""

    @property
    def start(self) -> tuple[str, int]:
        """The token that scored text starts after, and its id."""

    def count(self, context: str, continuation: str) -> int:
        """Number of tokens of `continuation` that are scored after `context`; "" is the start token alone."""

    def count_rolling(self, text: str) -> int:
        """Number of tokens that `loglikelihood_rolling` scores of a document, over all its windows."""


def load_tokens(
    metadata: Mapping[str, object], task: str = "this task", families: Sequence[Family] = ("causal",)
) -> Tokens:
    """Load the tokenizer that `--model_args` names: `pretrained`, `tokenizer`, `revision`, `add_bos_token`, ...

    Code from a model's repository is never run, whatever `trust_remote_code` says.

    Args:
        families: the kinds of models that the task is defined for.

    Raises:
        ValueError: no tokenizer is named, it lacks a token that its family needs, or the model is of another family.
    """
    if not metadata.get("pretrained") and not metadata.get("tokenizer"):
        raise ValueError(
            f"{task} puts token counts on its rows and was told of no tokenizer: give "
            "`--model_args pretrained=MODEL`, or `--metadata tokenizer=MODEL` beside another kind of model"
        )
    kind = require_family(metadata, task, families)
    if kind == "masked":
        return MaskedTokens(load_tokenizer(metadata))
    if kind == "seq2seq":
        return Seq2SeqTokens(load_tokenizer(metadata), decoder_start_token_id(metadata))
    return CausalTokens(metadata, task)


def columns(tokens: Tokens) -> dict[str, str | int]:
    """What every scored row carries of its start token."""
    token, token_id = tokens.start
    return {"start_token": token, "start_token_id": token_id}


def load_tokenizer(metadata: Mapping[str, object]) -> Any:
    """The transformers tokenizer that a task's metadata names."""
    from transformers import AutoTokenizer

    name = metadata.get("tokenizer") or metadata["pretrained"]
    if found := held(name):
        return found.tokenizer
    return AutoTokenizer.from_pretrained(
        name,
        revision=str(metadata.get("revision") or "main"),
        subfolder=metadata.get("subfolder") or "",
        trust_remote_code=False,
    )


def decoder_start_token_id(metadata: Mapping[str, object]) -> int:
    """What the decoder of the model that `metadata` names starts from (T5: its padding token).

    Raises:
        ValueError: the model's config does not say.
    """
    start = getattr(read_config(metadata), "decoder_start_token_id", None)
    if start is None:
        raise ValueError(
            f"{metadata['pretrained']}: its config.json names no decoder_start_token_id, so where the decoder's text "
            "starts is unknown; add it there (T5: its pad_token_id)"
        )
    return int(start)


def positions(metadata: Mapping[str, object], tokenizer: Any) -> int:
    """Tokens in the window of the model that `metadata` names, as lm-eval finds it out."""
    from lm_eval.models.utils import resolve_max_length

    if metadata.get("max_length"):
        return int(str(metadata["max_length"]))
    return int(resolve_max_length(read_config(metadata), tokenizer))


class CausalTokens:
    """Tokens as lm-eval's `--model hf` scores them. The start token is `prefix_token_id` if given, else BOS, else EOS.

    Raises:
        ValueError: the tokenizer has no start token.
    """

    family: Family = "causal"

    def __init__(self, metadata: Mapping[str, object], task: str) -> None:
        self._counter = _counting_model(metadata)
        start = self._counter.prefix_token_id
        token = None if start is None else _token(self._counter.tokenizer, start)
        if token is None:
            wrong = "neither BOS nor EOS" if start is None else f"no token {start}"
            raise ValueError(
                f"{task}: the tokenizer {self._counter.tokenizer.name_or_path} has {wrong} for a sentence to start "
                "after; name a token it has: `--model_args ...,prefix_token_id=ID`"
            )
        self.start = (token, int(start))

    def count(self, context: str, continuation: str) -> int:
        """As `Tokens.count`."""
        return int(self._counter.loglikelihood([_request(context, continuation)], disable_tqdm=True)[0][0])

    def count_rolling(self, text: str) -> int:
        """As `Tokens.count_rolling`."""
        return int(self._counter.loglikelihood_rolling([_request(text)], disable_tqdm=True)[0])


class MaskedTokens:
    """Tokens of a masked model: all that the text has, special tokens left out.

    Raises:
        ValueError: the tokenizer has no mask token, or cannot say where in a text a token stands.
    """

    family: Family = "masked"

    def __init__(self, tokenizer: Any) -> None:
        require_mask(tokenizer)
        self.tokenizer = tokenizer
        token = tokenizer.cls_token
        self.start = ("", -1) if token is None else (str(token), int(tokenizer.cls_token_id))

    def count(self, context: str, continuation: str) -> int:
        """As `Tokens.count`."""
        return len(scored_text(self.tokenizer, context, continuation).places)

    def count_rolling(self, text: str) -> int:
        """As `Tokens.count_rolling`."""
        return self.count("", text)


class Seq2SeqTokens:
    """Tokens of an encoder-decoder: those of the decoder's text, its end token included."""

    family: Family = "seq2seq"

    def __init__(self, tokenizer: Any, decoder_start_token_id: int) -> None:
        self.tokenizer = tokenizer
        self.start = (str(tokenizer.convert_ids_to_tokens(decoder_start_token_id)), decoder_start_token_id)

    def count(self, context: str, continuation: str) -> int:
        """As `Tokens.count`."""
        return len(target_ids(self.tokenizer, continuation))

    def count_rolling(self, text: str) -> int:
        """An encoder-decoder has no likelihood of a text alone.

        Raises:
            ValueError: always.
        """
        raise ValueError("an encoder-decoder scores a continuation of a context, never a text alone")


def _token(tokenizer: Any, token_id: int) -> str | None:
    return str(tokenizer.convert_ids_to_tokens(token_id)) if 0 <= token_id < len(tokenizer) else None


def _request(*arguments: str) -> Any:
    from lm_eval.api.instance import Instance

    return Instance(request_type="loglikelihood", doc={}, arguments=arguments, idx=0)


def _counting_model(metadata: Mapping[str, object]) -> Any:
    """lm-eval's own HFLM without weights: it answers a request with the number of tokens that it would have scored.

    Whatever lm-eval does to a text before the model sees it (special tokens, spaces moved over to the continuation,
    rolling windows) is done here by the same code, so that the counts cannot drift from the scores.
    """
    from lm_eval.api.model import LM
    from lm_eval.models.huggingface import HFLM

    class Counter(HFLM):
        def __init__(self) -> None:
            LM.__init__(self)
            self.backend = "causal"
            self.enable_thinking = None
            self.batch_size_per_gpu = 1
            # Any window length gives the same total; one that no text reaches gives one window.
            self._max_length = 1 << 40
            self.add_bos_token = metadata.get("add_bos_token")
            prefix = metadata.get("prefix_token_id")
            self.custom_prefix_token_id = None if prefix is None else int(str(prefix))
            fast = metadata.get("use_fast_tokenizer")
            in_memory = held(metadata.get("pretrained"))
            self._create_tokenizer(
                metadata.get("pretrained"),
                metadata.get("tokenizer") if in_memory is None else in_memory.tokenizer,
                revision=str(metadata.get("revision") or "main"),
                subfolder=metadata.get("subfolder") or "",
                gguf_file=metadata.get("gguf_file"),
                use_fast_tokenizer=True if fast is None else fast,
                add_bos_token=self.add_bos_token,
            )

        def _loglikelihood_tokens(
            self, requests: Sequence[tuple[Any, list[int], list[int]]], **_: Any
        ) -> list[tuple[float, bool]]:
            return [(float(len(continuation)), False) for _, _, continuation in requests]

    return Counter()
