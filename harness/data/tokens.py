"""The model's tokens before the model is loaded: how many of a text lm-eval will score, and what they start after.

A `loglikelihood` answer is a sum without its token count, so the counts that normalise it go onto the task's rows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from transformers import PretrainedConfig

Family = Literal["causal", "encoder-decoder", "masked"]

_CAUSAL: tuple[Family, ...] = ("causal",)
_USE_INSTEAD = {
    "encoder-decoder": "Use `stereoset_prompt`, which works with `--model hf` for encoder-decoder models.",
    "masked": "None of the tasks here scores masked models.",
}


@dataclass(frozen=True)
class Tokens:
    """The tokenizer that a task's metadata names, used as lm-eval's `--model hf` uses it."""

    start_token: str
    start_token_id: int
    _counter: Any

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, object], task: str = "this task") -> Tokens:
        """Load the tokenizer that `--model_args` names: `pretrained`, `tokenizer`, `revision`, `add_bos_token`, ...

        The start token is `prefix_token_id` where it is given, else BOS, else EOS. Code from a model's repository is
        never run, whatever `trust_remote_code` says.

        Raises:
            ValueError: no tokenizer is named, it has no start token, or the model is no causal language model.
        """
        if not metadata.get("pretrained") and not metadata.get("tokenizer"):
            raise ValueError(
                f"{task} puts token counts on its rows and was told of no tokenizer: give "
                "`--model_args pretrained=MODEL`, or `--metadata tokenizer=MODEL` beside another kind of model"
            )
        require_family(metadata, task)
        counter = _counting_model(metadata)
        start = counter.prefix_token_id
        token = None if start is None else _token(counter.tokenizer, start)
        if token is None:
            wrong = "neither BOS nor EOS" if start is None else f"no token {start}"
            raise ValueError(
                f"{task}: the tokenizer {counter.tokenizer.name_or_path} has {wrong} for a sentence to start after; "
                "name a token it has: `--model_args ...,prefix_token_id=ID`"
            )
        return cls(token, start, counter)

    def count(self, context: str, continuation: str) -> int:
        """Number of tokens of `continuation` that lm-eval scores after `context`; "" is the start token alone."""
        return int(self._counter.loglikelihood([_request(context, continuation)], disable_tqdm=True)[0][0])

    def count_rolling(self, text: str) -> int:
        """Number of tokens that lm-eval's `loglikelihood_rolling` scores of a document, over all its windows."""
        return int(self._counter.loglikelihood_rolling([_request(text)], disable_tqdm=True)[0])

    @property
    def columns(self) -> dict[str, str | int]:
        """What every scored row carries of its start token."""
        return {"start_token": self.start_token, "start_token_id": self.start_token_id}


def family(config: PretrainedConfig, backend: str = "default") -> Family:
    """What kind of language model a `transformers` config describes; `backend` is lm-eval's model argument.

    Encoder-decoders are told by lm-eval's own rule (model type), masked models by their architecture, else their type.
    """
    from transformers.models.auto import modeling_auto as auto

    if backend != "causal" and (
        config.is_encoder_decoder or config.model_type in auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES
    ):
        return "encoder-decoder"
    architectures = config.architectures or []
    if any(name in auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values() for name in architectures):
        return "causal"
    if any(name.endswith("ForMaskedLM") for name in architectures):
        return "masked"
    return "masked" if config.model_type in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES else "causal"


def require_family(metadata: Mapping[str, object], task: str, families: Collection[Family] = _CAUSAL) -> None:
    """Read the config of the model that `metadata` names, if any, before anything of it is scored or trained.

    Raises:
        ValueError: the model is of another family; says which, and what to use instead.
    """
    if not (pretrained := metadata.get("pretrained")):
        return
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(
        pretrained,
        revision=str(metadata.get("revision") or "main"),
        subfolder=metadata.get("subfolder") or "",
        gguf_file=metadata.get("gguf_file"),
        trust_remote_code=False,
    )
    kind = family(config, str(metadata.get("backend") or "default"))
    if kind not in families:
        raise ValueError(
            f"{task} takes {' and '.join(families)} language models, and {pretrained} is "
            f"{'an' if kind[0] in 'aeiou' else 'a'} {kind} model "
            f"({', '.join(config.architectures or [config.model_type])}). {_USE_INSTEAD[kind]}"
        )


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
            self._create_tokenizer(
                metadata.get("pretrained"),
                metadata.get("tokenizer"),
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
