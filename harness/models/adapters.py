"""LoRA adapters on a loaded base model, and the checks that an adapter belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peft import PeftConfig, PeftType, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file

from harness.storage.weights import weights_sha256

WEIGHTS_FILE = "adapter_model.safetensors"


def attach(base: Any, path: Path, pretrained: str) -> Any:
    """`base` with the adapter of folder `path` on it; `base` itself is unchanged once the result is unloaded.

    Args:
        base: a transformers model without an adapter.
        pretrained: the folder or hub id that it was loaded from.

    Raises:
        ValueError: no LoRA adapter in safetensors there, or one that was trained on another base model.
    """
    if not (path / "adapter_config.json").is_file() or not (path / WEIGHTS_FILE).is_file():
        raise ValueError(f"{path}: no adapter here (expected adapter_config.json and {WEIGHTS_FILE})")
    config = PeftConfig.from_pretrained(str(path))
    if config.peft_type != PeftType.LORA:
        raise ValueError(f"{path}: a {config.peft_type} adapter; only LoRA can be taken off the base model again")
    named = config.base_model_name_or_path
    _require_same_base(path, named, pretrained)
    weights = load_file(path / WEIGHTS_FILE)
    config.inference_mode, config.base_model_name_or_path = True, None
    try:
        model = get_peft_model(base, config)
    except ValueError as error:
        raise ValueError(f"{path}: does not fit {pretrained}: {error}") from error
    wanted = _shapes(get_peft_model_state_dict(model, save_embedding_layers=False))
    found = _shapes(weights)
    if differing := sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)):
        model.unload()
        first = differing[0]
        raise ValueError(
            f"{path}: trained on another base model than {pretrained}: {len(differing)} tensors do not fit, first "
            f"{first}: expected {wanted.get(first, 'none')}, found {found.get(first, 'none')}. Load the base model "
            f"that it names, {named}"
        )
    set_peft_model_state_dict(model, weights)
    return model.eval()


def _require_same_base(path: Path, named: str | None, pretrained: str) -> None:
    """Two models of one shape take each other's adapters without a murmur: compare weights, or the names on the hub."""
    if not named or named == pretrained:
        return
    local = [Path(name).is_dir() for name in (named, pretrained)]
    # A folder that has moved, or that was filled from the hub, cannot be compared; the shapes still are.
    if not all(local) and (any(local) or Path(named).is_absolute()):
        return
    if not all(local) or weights_sha256(Path(named)) != weights_sha256(Path(pretrained)):
        raise ValueError(f"{path}: trained on the base model {named}, whose weights are not those of {pretrained}")


def _shapes(tensors: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}
