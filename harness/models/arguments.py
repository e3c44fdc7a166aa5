"""The arguments that a model may be loaded with, known without importing what loads it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness.terminal.nearest import did_you_mean

if TYPE_CHECKING:
    from transformers import PretrainedConfig

# lm-eval's `HFLM` and our `TransformersLM`.
_OF_CLASSES = (
    "pretrained backend revision subfolder tokenizer truncation logits_cache max_length device dtype "
    "softmax_dtype mixed_precision_dtype batch_size max_batch_size trust_remote_code use_fast_tokenizer "
    "add_bos_token prefix_token_id parallelize max_memory_per_gpu max_cpu_memory offload_folder tp_plan peft "
    "delta autogptq gptqmodel gguf_file think_end_token enable_thinking chat_template_args allow_pickle share_prefixes "
    "recipe"
)
OF_CLASSES = tuple(_OF_CLASSES.split())
# What they hand on to `from_pretrained` of transformers.
_OF_LOADING = (
    "attn_implementation experts_implementation cache_dir device_map force_download generation_config "
    "ignore_mismatched_sizes key_mapping kernel_config local_files_only low_cpu_mem_usage max_memory "
    "offload_buffers quantization_config load_in_4bit load_in_8bit token torch_dtype tp_size use_kernels "
    "use_safetensors variant weights_only"
)
OF_LOADING = tuple(_OF_LOADING.split())


def require_dtype(given: object) -> None:
    """Refuse a precision that is none, before a model is loaded in it.

    Raises:
        ValueError: names the nearest one.
    """
    import torch

    known = [name for name, value in vars(torch).items() if isinstance(value, torch.dtype) and value.is_floating_point]
    name = str(given).removeprefix("torch.")
    if name not in (*known, "auto"):
        raise ValueError(
            f"dtype={given}: no precision of that name{did_you_mean(name, known)} Usual ones are float32, "
            "bfloat16 and float16"
        )


def require_known_arguments(names: Iterable[str], config: PretrainedConfig | None = None) -> None:
    """Refuse a misspelt argument, which transformers would hand to the model's constructor.

    Args:
        config: the model's, whose values may be changed by arguments of their names.

    Raises:
        ValueError: an argument that nothing takes; names the nearest one.
    """
    known = {*OF_CLASSES, *OF_LOADING, *(() if config is None else config.to_dict())}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(
            f"a model has no argument {unknown[0]!r}{did_you_mean(unknown[0], [*OF_CLASSES, *OF_LOADING])}"
        )
