"""`harness.finetune`: what `python -m training` does, in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.api.alone import require_one_process
from harness.api.checkpoint import Checkpoint


def finetune(model: str | Path, output_dir: str | Path, **settings: Any) -> tuple[Checkpoint, ...]:
    """Fine-tune a model on CrowS-Pairs, fold after fold, or on running text (`cda`, `dropout`), in this process.

    Folds that are finished in `output_dir` are skipped and broken-off ones resumed, so the same call goes on where an
    interrupted one stopped. The random state of the program is given back as it was.

    Args:
        model: a folder or hub id of a causal, masked or encoder-decoder language model; each fold loads it anew.
        output_dir: for the checkpoints, `fold-I/checkpoint-N`; it belongs to these settings from then on.
        settings: of `python -m training`, by name: `objective="balance"`, `num_folds=5`, `folds=[0]`, `full=True`,
            `lora_r=16`, `data_dir="sample"`; and every field of transformers' `TrainingArguments`:
            `num_train_epochs=2`, `learning_rate=5e-4`, `per_device_train_batch_size=16`, `max_steps=10`, ...

    Returns:
        The checkpoints of all folds, which `harness.score` takes: by default one an epoch.

    Raises:
        TypeError: the model is no folder or hub id.
        ValueError: an unknown setting or one that means nothing here, or the folder is another run's.
        FloatingPointError: the loss is not finite.
        RuntimeError: one of several processes of a launch.
    """
    require_one_process("finetune", "training ...")
    if not isinstance(model, str | Path):
        raise TypeError(
            f"model is a {type(model).__name__}; expected a folder or hub id, since each fold starts from it anew. "
            "Write it to a folder with model.save_pretrained(FOLDER), and its tokenizer beside it"
        )
    from harness.machine.randomness import randomness_kept
    from training.config import from_settings
    from training.finished import finished_checkpoints
    from training.run import train

    asked = {**settings, "model_name_or_path": str(model), "output_dir": str(output_dir)}
    with randomness_kept():
        pair_arguments, training_arguments = from_settings(asked)
        train(pair_arguments, training_arguments)
    wanted = pair_arguments.held_out_folds()
    return tuple(
        Checkpoint(one.folder, str(model), one.step, one.epoch, one.split)
        for one in finished_checkpoints(Path(output_dir))
        if one.split.fold in wanted
    )
