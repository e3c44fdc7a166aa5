"""Which kind of language model a checkpoint is, and which tasks and which model class that kind has here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from harness.data.in_memory import held
from harness.data.model_place import not_on_hub, require_model
from harness.storage.reading import brief, read_object, shown

if TYPE_CHECKING:
    from transformers import PretrainedConfig

Family = Literal["causal", "masked", "seq2seq"]

FAMILIES: tuple[Family, ...] = get_args(Family)
TASKS_OF: Mapping[Family, str] = {
    "causal": "crows_pairs, crows_pairs_prompt, stereoset, stereoset_prompt, bbq, bbq_choice, bbq_generate, "
    "wikitext2, bias_generation",
    "masked": "crows_pairs, crows_pairs_pll, stereoset, wikitext2, bias_generation",
    "seq2seq": "crows_pairs, crows_pairs_prompt, stereoset, stereoset_prompt, bbq, bbq_choice, bbq_generate, "
    "wikitext2, bias_generation",
}


def family(config: PretrainedConfig, backend: str = "default") -> Family:
    """What kind of language model a `transformers` config describes; `backend` is lm-eval's model argument.

    Encoder-decoders are told by lm-eval's own rule (model type), masked models by their architecture, else their type.
    """
    from transformers.models.auto import modeling_auto as auto

    if backend != "causal" and (
        config.is_encoder_decoder or config.model_type in auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES
    ):
        return "seq2seq"
    architectures = config.architectures or []
    if any(name in auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values() for name in architectures):
        return "causal"
    if any(name.endswith("ForMaskedLM") for name in architectures):
        return "masked"
    return "masked" if config.model_type in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES else "causal"


def read_config(metadata: Mapping[str, object]) -> PretrainedConfig:
    """The config of the model that `metadata` names as `--model_args` does; code from its repository is never run.

    Raises:
        ValueError: it is no model's folder, or its config is broken; says what to give instead, or names the file.
        OSError: it is no folder, and the hub gives no model of this name.
    """
    if found := held(metadata["pretrained"]):
        return found.config
    require_model(metadata)
    from transformers import AutoConfig

    name = str(metadata["pretrained"])
    file = Path(name).expanduser() / str(metadata.get("subfolder") or "") / "config.json"
    if file.is_file() and not metadata.get("gguf_file"):
        # Of a broken one transformers says nothing that helps.
        named = read_object(file).get("architectures")
        if named is not None and not (isinstance(named, list) and all(isinstance(one, str) for one in named)):
            raise ValueError(f"{file}: architectures is {shown(named)}, expected a list of names")
    try:
        return AutoConfig.from_pretrained(
            name,
            revision=str(metadata.get("revision") or "main"),
            subfolder=metadata.get("subfolder") or "",
            gguf_file=metadata.get("gguf_file"),
            trust_remote_code=False,
        )
    except OSError as error:
        if file.is_file() and not isinstance(error, PermissionError):
            raise ValueError(f"{file}: no config that transformers can read ({brief(error)})") from error
        raise error if Path(name).is_dir() else OSError(not_on_hub(name, error)) from error
    except Exception as error:  # transformers checks the fields of some models, and trips over those of others
        if not file.is_file():
            raise
        raise ValueError(f"{file}: no config that transformers can read ({brief(error)})") from error


def family_of(metadata: Mapping[str, object]) -> Family:
    """The family of the model that `metadata` names in `pretrained`; without one, causal."""
    if not metadata.get("pretrained"):
        return "causal"
    return family(read_config(metadata), str(metadata.get("backend") or "default"))


def require_family(metadata: Mapping[str, object], asking: str, families: Collection[Family]) -> Family:
    """The model's family, known before anything of it is scored or trained.

    Args:
        metadata: names the model in `pretrained`, as `--model_args` does.
        asking: the task or model class that takes `families` only.

    Raises:
        ValueError: the model is of another family; says which, and what that family can be asked instead.
    """
    kind = family_of(metadata)
    if kind not in families:
        model = metadata.get("pretrained") or "a model that has no name"
        raise ValueError(
            f"{asking} takes {' and '.join(families)} language models, and {model} is a {kind} one. "
            f"`stereoscope eval --model hf-any` scores it on: {TASKS_OF[kind]}"
        )
    return kind
