"""Settings of the stock Trainer that would be read here and do nothing, or harm: refused, with the reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import transformers

_SCORED = "checkpoints are scored by `stereoscope run` or `eval`, not while they are trained; leave it out"
_RESUMED = "a run goes on from the newest complete checkpoint in output_dir by itself; leave it out"
_NOT_SHARED_OUT = "all machines share output_dir, and rank 0 writes there; leave it out"
_PAIRS = "the objectives are training/objectives.py's, over all pairs of a step; leave it out"
_UPLOAD = "nothing is uploaded while it is trained; upload a checkpoint's folder with `hf upload`"

REASONS: Mapping[str, tuple[str, ...]] = {
    _SCORED: (
        *("eval_strategy", "eval_steps", "eval_delay", "eval_on_start", "per_device_eval_batch_size", "do_eval"),
        *("do_predict", "prediction_loss_only", "eval_accumulation_steps", "batch_eval_metrics", "bf16_full_eval"),
        *("fp16_full_eval", "eval_use_gather_object", "eval_do_concat_batches", "load_best_model_at_end"),
        *("metric_for_best_model", "greater_is_better"),
    ),
    _RESUMED: (
        *("resume_from_checkpoint", "ignore_data_skip", "restore_callback_states_from_checkpoint"),
        "enable_jit_checkpoint",
    ),
    _NOT_SHARED_OUT: ("save_on_each_node",),
    _PAIRS: (
        *("label_smoothing_factor", "label_names", "length_column_name", "train_sampling_strategy"),
        *("average_tokens_across_devices", "auto_find_batch_size", "remove_unused_columns"),
    ),
    _UPLOAD: (
        *("push_to_hub", "hub_model_id", "hub_strategy", "hub_token", "hub_private_repo", "hub_always_push"),
        "hub_revision",
    ),
}
"""Each reason, and the settings that have to stay as they are for it."""

_STOCK = {name: field.default for name, field in transformers.TrainingArguments.__dataclass_fields__.items()}
_UNUSED = {name: reason for reason, names in REASONS.items() for name in names}
_BESIDE_STOCK = {"remove_unused_columns": False}


def refusals(settings: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Each of these settings that means nothing here, and why."""
    for name, value in settings.items():
        if name == "save_strategy" and value == "best":
            yield name, f"save_strategy=best means nothing here: {_SCORED}, and take `epoch` or `steps`"
        elif name in _UNUSED and value != (usual := _BESIDE_STOCK.get(name, _STOCK[name])) and value is not None:
            yield name, f"{name}={value} means nothing here (it is {usual}): {_UNUSED[name]}"
