"""What a LoRA adapter's folder holds, by names alone."""

from __future__ import annotations

WEIGHTS_FILE = "adapter_model.safetensors"


def is_up(name: str) -> bool:
    """Whether a tensor of the weights file is the factor B of a change B A, in which the change is linear."""
    return ".lora_B." in name or ".lora_embedding_B" in name
