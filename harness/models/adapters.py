"""LoRA adapters on a loaded base model, the checks that an adapter belongs to it, and the base without it again."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import PeftConfig, PeftType, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor

from harness.models.added_tokens import fit_vocabulary
from harness.models.kept import Kept
from harness.storage.adapter_files import WEIGHTS_FILE
from harness.storage.names import exists
from harness.storage.reading import brief, read_object, require_object, shown
from harness.storage.weights import weights_sha256

BASE_CHANGED_BY = ("pissa", "olora", "loftq")
"""Ways to begin an adapter that take its first values off the base's weights, as its setup does here again."""
BASE_CHANGED_BY_DATA = ("corda", "lora_ga")
"""The same, computed from texts that an adapter does not hold."""

_WRAPPED = re.compile(r"\.(base_layer|original_module|token_adapter)(?=\.)")
_AGAIN = re.compile(r"\.(modules_to_save|token_adapter\.trainable_tokens_\w+)(\.|$)")
"""Of resized embeddings PEFT saves what was trained a second time, under its inner names, and for a tied head too."""
_OWN = "put the adapter's own file back"
log = logging.getLogger(__name__)


class Attached(NamedTuple):
    """A base model with an adapter on it, and what the base was."""

    model: Any
    kept: Kept


def attach(base: Any, path: Path, pretrained: str) -> Attached:
    """`base` with the adapter of folder `path` on it; `kept.put_back()` takes it off, to the bit.

    Args:
        base: a transformers model without an adapter.
        pretrained: the folder or hub id that it was loaded from.

    Raises:
        ValueError: no LoRA adapter in safetensors there, one that was trained on another base model, or one that has to
            be merged with its base before it can be scored; `base` is then as it was.
    """
    if not (path / "adapter_config.json").is_file() or not (path / WEIGHTS_FILE).is_file():
        raise ValueError(f"{path}: no adapter here (expected adapter_config.json and {WEIGHTS_FILE})")
    config = read_adapter_config(path)
    if config.peft_type != PeftType.LORA:
        raise ValueError(f"{path}: a {config.peft_type} adapter; only LoRA can be taken off the base model again")
    named = config.base_model_name_or_path
    _require_same_base(path, named, pretrained)
    begun_by = str(config.init_lora_weights).lower()
    if begun_by.startswith(BASE_CHANGED_BY_DATA):
        raise ValueError(
            f"{path}: init_lora_weights={begun_by} changed the base model by numbers that the adapter does not hold. "
            "Merge it where it was trained (merge_and_unload), and score the merged model"
        )
    if "_niter_" in begun_by:
        log.warning("%s: %s changed the base model by a random approximation, which is drawn anew", path, begun_by)
    config.inference_mode, config.base_model_name_or_path = True, None
    kept = Kept(base)
    try:
        return Attached(_attached(kept, config, _weights_of(path, config), path, (pretrained, named)), kept)
    except BaseException:
        kept.put_back()
        raise


def read_adapter_config(path: Path) -> Any:
    """PEFT's config of the adapter in a folder.

    Raises:
        ValueError: its adapter_config.json is broken; names the file.
    """
    file = path / "adapter_config.json"
    told = read_object(file, _OWN)
    base = told.get("base_model_name_or_path")
    if not isinstance(base, str | None):
        raise ValueError(f"{file}: base_model_name_or_path is {shown(base)}, expected a name; {_OWN}")
    ranks = [told.get("r", 1), *require_object(told.get("rank_pattern") or {}, f"{file}, rank_pattern").values()]
    for rank in ranks:
        if type(rank) is not int or rank < 1:
            raise ValueError(f"{file}: a rank r is {shown(rank)}, expected a whole number of 1 or more; {_OWN}")
    try:
        return PeftConfig.from_pretrained(str(path))
    except Exception as error:  # PEFT builds a dataclass of whatever stands there
        raise ValueError(f"{file}: no config of an adapter ({brief(error)}); {_OWN}") from error


def _weights_of(path: Path, config: Any) -> dict[str, Tensor]:
    """The tensors of an adapter's file, once a rank in its config has been seen to be theirs and no larger."""
    file = path / WEIGHTS_FILE
    try:
        weights = load_file(file)
    except Exception as error:  # safetensors' own errors are no ValueErrors
        raise ValueError(f"{file}: no weights in safetensors ({brief(error)}); {_OWN}") from error
    largest = max((size for tensor in weights.values() for size in tensor.shape), default=0)
    for rank in (config.r, *config.rank_pattern.values()):
        if rank > largest:
            raise ValueError(
                f"{path / 'adapter_config.json'}: a rank r is {rank}, and no tensor of {WEIGHTS_FILE} has so many "
                f"rows; {_OWN}"
            )
    return weights


def _attached(kept: Kept, config: Any, weights: dict[str, Tensor], path: Path, names: tuple[str, str | None]) -> Any:
    base, (pretrained, named) = kept.model, names
    is_resized = fit_vocabulary(base, config, weights, path, pretrained)
    is_changed = str(config.init_lora_weights).lower().startswith(BASE_CHANGED_BY)
    if is_changed:
        # OLoRA writes into the base's own memory: it is to write beside it.
        for weight in base.parameters():
            weight.data = weight.data.clone()
    try:
        model = get_peft_model(base, config)
    except Exception as error:  # PEFT reads its config's fields unguarded: any of Python's errors may come
        raise ValueError(f"{path}: does not fit {pretrained}: {brief(error)}") from error
    wanted = _shapes(get_peft_model_state_dict(model, save_embedding_layers=False))
    weights = {name: tensor for name, tensor in weights.items() if name in wanted or not _AGAIN.search(name)}
    # PEFT saves layers of the base along: those that an adapter is on if they are embeddings, all that were resized.
    along = {name: own for name in weights.keys() - wanted.keys() if (own := _in_base(name)) in kept.weights}
    found = _shapes({name: tensor for name, tensor in weights.items() if name not in along})
    if differing := sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)):
        first = differing[0]
        raise ValueError(
            f"{path}: trained on another base model than {pretrained}: {len(differing)} tensors do not fit, first "
            f"{first}: expected {wanted.get(first, 'none')}, found {found.get(first, 'none')}. Load the base model "
            f"that it names, {named}"
        )
    for name, own in along.items():
        if not is_changed and not _same(weights[name], kept.weights[own]):
            raise ValueError(
                f"{path}: trained on another base model than {pretrained}: the {own} that was saved along differs from "
                f"this one's. Load the base model that it names, {named}; if it was trained with the adapter, "
                "merge the two (merge_and_unload), and score the merged model"
            )
        if not is_changed and not is_resized:
            del weights[name]
    for name, weight in model.named_parameters(remove_duplicate=False):
        if name in weights:
            # The same for biases and whatever else of the base is loaded.
            weight.data = weight.data.clone()
    set_peft_model_state_dict(model, weights)
    return model.eval()


def _require_same_base(path: Path, named: str | None, pretrained: str) -> None:
    """Two models of one shape take each other's adapters without a murmur: compare weights, or the names on the hub."""
    if not named or named == pretrained:
        return
    local = [exists(Path(name)) and Path(name).is_dir() for name in (named, pretrained)]
    # A folder that has moved, or that was filled from the hub, cannot be compared; the shapes still are.
    if not all(local) and (any(local) or Path(named).is_absolute()):
        return
    if not all(local) or weights_sha256(Path(named)) != weights_sha256(Path(pretrained)):
        raise ValueError(f"{path}: trained on the base model {named}, whose weights are not those of {pretrained}")


def _in_base(name: str) -> str:
    """What a tensor of an adapter's file is called in the base model, if it is one of the base's own."""
    return _WRAPPED.sub("", name.removeprefix("base_model.model."))


def _same(saved: Tensor, own: Tensor) -> bool:
    """Whether two matrices agree in the rows that both have, in the coarser of their precisions."""
    rows = min(len(saved), len(own))
    saved, own = saved[:rows].to(own.device), own[:rows]
    if {saved.dtype, own.dtype} == {torch.float16, torch.bfloat16}:
        return torch.allclose(saved.float(), own.float(), rtol=2**-7)
    dtype = min(saved.dtype, own.dtype, key=lambda one: one.itemsize)
    return torch.equal(saved.to(dtype), own.to(dtype))


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}
