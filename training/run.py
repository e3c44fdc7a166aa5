"""What `python -m training` does: fold after fold, each into a folder of its own; finished ones are skipped."""

from __future__ import annotations

import json
import logging
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from pickle import UnpicklingError

from accelerate.state import AcceleratorState
from accelerate.utils import gather_object
from transformers import PrinterCallback, ProgressCallback, TrainerCallback, set_seed
from transformers.utils.logging import disable_progress_bar

from harness.data import crows_pairs
from harness.data.families import Family, family_of
from harness.data.sources import locate
from harness.data.split import SPLIT_FILE, Split
from harness.data.tokens import load_tokenizer
from harness.machine.allocator import hand_freed_memory_back
from harness.machine.orphans import exit_with_run, stop_with_launcher
from harness.machine.watch import Watch
from harness.storage.files import atomic_write, require_writable
from harness.storage.making import TRAINED_FILE
from harness.storage.reading import brief, read_object, shown
from harness.storage.trainer_state import epoch_of
from harness.terminal.libraries import take_over_libraries
from harness.terminal.logs import start_logging
from training.as_asked import require_processes
from training.checkpoints import complete_checkpoints, scheduled_checkpoints
from training.config import NOT_OF_THE_RESULT, TrainingArguments, fingerprint, parse
from training.data import data_of, text_of
from training.disk import full_disk_explained
from training.families import load_model, require_fitting, with_adapter
from training.finished import is_finished
from training.folds import grouped_folds
from training.kept_memory import KeptMemory
from training.objectives import OBJECTIVES
from training.pair_arguments import ON_TEXT, PairArguments
from training.progress import Progress
from training.resume import newest, ready
from training.shared_folder import require_shared
from training.shown import Shown
from training.stopping import NOT_FINISHED, Stopping
from training.trainer import SAVING, LastStepSaved, PairTrainer

RUN_FILE = "run.json"
DESTRUCTIVE_LEARNING_RATE = 1e-2
log = logging.getLogger("training")


def main(argv: Sequence[str]) -> None:
    """Train fold after fold into `output_dir/fold-I`; a finished one is skipped, a broken-off one resumed."""
    exit_with_run()
    stop_with_launcher()
    stopping = Stopping()
    start_logging()
    take_over_libraries()
    pair_arguments, training_arguments = parse(argv)
    disable_progress_bar()
    require_processes(training_arguments.world_size)
    with Watch(
        training_arguments.process_index,
        training_arguments.world_size,
        patience=pair_arguments.hang_seconds,
        slow=training_arguments.ddp_timeout,
        settings=f"--hang-seconds (now {pair_arguments.hang_seconds:g}) or, for a first step or a checkpoint that "
        f"computes, --ddp-timeout (now {training_arguments.ddp_timeout:g})",
    ) as watch:
        train(pair_arguments, training_arguments, stopping, Progress(watch))


def train(
    pair_arguments: PairArguments,
    training_arguments: TrainingArguments,
    stopping: Stopping | None = None,
    progress: Progress | None = None,
) -> None:
    """Train the folds, and end with `NOT_FINISHED` where SIGTERM asks for it, if `stopping` listens for that.

    Raises:
        OSError, ValueError: the folder, the model or the settings are not fit for it; no model is loaded then.
    """
    output_dir = Path(training_arguments.output_dir)
    require_writable(output_dir)
    require_shared(output_dir, training_arguments)
    hand_freed_memory_back()
    family = family_of({"pretrained": pair_arguments.model_name_or_path})
    require_fitting(pair_arguments, training_arguments, family)
    if pair_arguments.full and training_arguments.learning_rate >= DESTRUCTIVE_LEARNING_RATE:
        log.warning(
            "learning_rate=%g with full fine-tuning: published work destroyed models at such rates (LMS fell from "
            "95.9 to 0.2); usual ones are 1e-5 to 5e-5",
            training_arguments.learning_rate,
        )
    if pair_arguments.full and OBJECTIVES[pair_arguments.objective].base:
        log.warning(
            "full fine-tuning with `%s` keeps a second, frozen copy of the model in memory: its weights once more, "
            "shared out under ZeRO-3 and on every process otherwise. LoRA needs none",
            pair_arguments.objective,
        )
    data = locate("crows_pairs", pair_arguments.data_dir)
    pairs = crows_pairs.read(data.path)
    crows_pairs.tell_of_odd(data, pairs)
    for split in splits_of(pair_arguments, pairs, data.sha256):
        training_arguments.output_dir = str(output_dir / f"fold-{split.fold}")
        if stopping and stopping.agreed(training_arguments):
            sys.exit(NOT_FINISHED)
        callbacks = [callback for callback in (stopping, progress) if callback is not None]
        if not train_fold(pair_arguments, training_arguments, family, split, pairs, callbacks):
            sys.exit(NOT_FINISHED)


def splits_of(pair_arguments: PairArguments, pairs: Sequence[crows_pairs.Pair], data_sha256: str) -> Iterator[Split]:
    """What each training sees of the pairs and what it holds out: all of them, where it is on running text."""
    parts = 1 if pair_arguments.objective in ON_TEXT else pair_arguments.num_folds
    alone = 0 if pair_arguments.objective in ON_TEXT else -1
    folds = grouped_folds(pairs, parts) if parts > 1 else [alone] * len(pairs)
    for fold in pair_arguments.held_out_folds():
        yield Split(
            data_sha256=data_sha256,
            folds=parts,
            fold=fold,
            train=tuple(pair.pair_id for pair, its in zip(pairs, folds, strict=True) if its != fold),
            held_out=tuple(pair.pair_id for pair, its in zip(pairs, folds, strict=True) if its == fold),
        )


def train_fold(
    pair_arguments: PairArguments,
    training_arguments: TrainingArguments,
    family: Family,
    split: Split,
    pairs: Sequence[crows_pairs.Pair],
    callbacks: Sequence[TrainerCallback] = (),
) -> bool:
    """Train on the pairs of `split.train`; leaves split.json, run.json, checkpoint-N folders, trained.json.

    Each checkpoint-N has a split.json of its own, which names its weights; the fold's says what the run holds out.

    Returns:
        Whether it is finished: not if a callback stopped it, and then without trained.json.

    Raises:
        ValueError: the folder holds another run, names what differs; or the model cannot be trained on these pairs.
    """
    folder = Path(training_arguments.output_dir)
    claim(folder, split, fingerprint(pair_arguments, training_arguments), training_arguments.process_index == 0)
    if is_finished(folder):
        log.info("fold %d: finished earlier, skipped", split.fold)
        return True
    if training_arguments.process_index == 0:
        shutil.rmtree(folder / SAVING, ignore_errors=True)
    set_seed(training_arguments.seed)
    model = load_model(pair_arguments, family)
    tokenizer = load_tokenizer({"pretrained": pair_arguments.model_name_or_path})
    chosen = [pair for pair in pairs if pair.pair_id in set(split.train)]
    dataset, collator = data_of(pair_arguments, family, model, tokenizer, chosen, training_arguments.seed)
    order = training_arguments.seed if training_arguments.data_seed is None else training_arguments.data_seed
    text = text_of(pair_arguments, family, tokenizer, model, order)
    base_model = None
    if not pair_arguments.full:
        # Under ZeRO-3 loading draws random numbers: the adapter's are to be the same under every strategy.
        set_seed(training_arguments.seed)
        model = with_adapter(model, pair_arguments, family)
    elif OBJECTIVES[pair_arguments.objective].base:
        base_model = load_model(pair_arguments, family)
    # Each fold's trainer brings an Accelerator, and accelerate takes a DeepSpeed plugin for the first one only.
    AcceleratorState._reset_state()
    trainer = PairTrainer(
        model=model,
        args=training_arguments,
        train_dataset=dataset,
        data_collator=collator,
        tokenizer=tokenizer,
        pair_arguments=pair_arguments,
        split=split,
        base_model=base_model,
        text=text,
        callbacks=[LastStepSaved(), KeptMemory(), *callbacks, losses := Shown()],
    )
    for stock in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(stock)
    trainable = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    log.info(
        "fold %d: %s of a %s model on %d %s, %d pairs held out; %d of %d weights trained, %d process(es)",
        split.fold,
        pair_arguments.objective,
        family,
        len(dataset),
        dataset.unit,
        len(split.held_out),
        trainable,
        sum(weight.numel() for weight in model.parameters()),
        training_arguments.world_size,
    )
    started = time.monotonic()
    start = newest(complete_checkpoints(folder))
    if start is not None:
        log.info("fold %d: resuming from %s", split.fold, start.name)
    resumable = ready(start, trainer.accelerator, pair_arguments.allow_pickle)
    with full_disk_explained(folder, folder / SAVING), resumable as checkpoint:
        try:
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        except UnpicklingError as error:
            raise ValueError(
                f"{start}: its optimizer, scheduler or random state is not of tensors and numbers alone, as runs write "
                f"it ({brief(error)}). Nothing of it was run; move the folder away to go on from an earlier checkpoint"
            ) from error
    if trainer.state.global_step < trainer.state.max_steps:
        return False
    held = gather_object([trainer.sharding.held])
    if trainer.is_world_process_zero():
        scheduled = scheduled_checkpoints(folder)
        finished = {
            "checkpoints": {step.name: epoch_of(step) for step in scheduled},
            "steps": trainer.state.global_step,
            "seconds": (seconds := round(time.monotonic() - started, 1)),
            "held_bytes": [one and one._asdict() for one in held],
        }
        atomic_write(folder / TRAINED_FILE, json.dumps(finished, indent=1) + "\n")
        at_the_end = "" if losses.loss is None else f", loss {losses.loss:.4g} at the end"
        log.info("fold %d: trained, %d steps in %.0f s%s", split.fold, trainer.state.global_step, seconds, at_the_end)
        for passing in set(complete_checkpoints(folder)) - set(scheduled):
            shutil.rmtree(passing)
    trainer.accelerator.wait_for_everyone()
    return True


def claim(folder: Path, split: Split, settings: dict[str, object], writes: bool) -> None:
    """Mark the folder as this run's, or refuse it when it is another's.

    Raises:
        ValueError: another split or other settings made what is in there; names the keys that differ.
    """
    wanted = {RUN_FILE: settings, SPLIT_FILE: split.model_dump(mode="json", exclude_none=True)}
    for name, content in wanted.items():
        file = folder / name
        if file.is_file():
            told = read_object(file, "give another output_dir, or delete the folder")
            found = {key: value for key, value in told.items() if key not in NOT_OF_THE_RESULT or name != RUN_FILE}
            differing = sorted(key for key in content.keys() | found.keys() if content.get(key) != found.get(key))
            if differing:
                first = differing[0]
                change = f"{first} was {shown(found.get(first))}, is {shown(content.get(first))}"
                raise ValueError(
                    f"{folder} belongs to another run: {', '.join(differing)} differ in {name} ({change}). "
                    "Give another output_dir, or delete the folder."
                )
        elif writes:
            atomic_write(file, json.dumps(content, indent=1) + "\n")
