"""`stereoscope control JOB`: makes the controls of one model, each as large as what training did to it."""

from __future__ import annotations

import json
import logging
import math
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from harness.machine.startup import imports_uncollected
from harness.storage.controls import CONTROL_FILE, ControlRecord, Matched
from harness.storage.files import atomic_write
from harness.storage.provenance import MatchedBy
from harness.storage.reading import read_record
from harness.storage.weights import weights_sha256
from harness.terminal.libraries import take_over_libraries

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from harness.editing.held_out_text import HeldOutText, Rise
    from harness.editing.noise import Noise
    from harness.models.base import TransformersLM

log = logging.getLogger(__name__)

ERRORS = 2.0
"""A rise of perplexity that is not above so many standard errors is none that noise could be sized by."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Trained(_Part):
    """A trained checkpoint that a control is to be as large as."""

    checkpoint: Path
    fold: int | None
    seed: int | None


class ControlTarget(_Part):
    """One control to make."""

    folder: Path
    seed: int
    inputs_sha256: str


class ControlJob(_Part):
    """What `stereoscope run` writes for the stage that makes a model's controls of one kind."""

    model: str
    pretrained: str
    kind: str
    model_args: dict[str, Any] = Field(default_factory=dict)
    data_dir: str | None = None
    trained: tuple[Trained, ...]
    targets: tuple[ControlTarget, ...]


class Aim(NamedTuple):
    """What training did on average: to log perplexity, and to the weights. `reason` is why not to go by perplexity."""

    rise: Rise
    norm: float
    matched: tuple[Matched, ...]
    reason: str | None


class Size(NamedTuple):
    """How large a control came out, and by what it was sized."""

    matched_by: MatchedBy
    reason: str | None
    scale: float
    rise: float


def run_control(file: Path) -> None:
    """Make every control of a job file, in order; each folder is there as a whole or not at all."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    make_controls(read_record(file, ControlJob))


def make_controls(job: ControlJob) -> None:
    """Measure what training did, then size the noise of each seed.

    Raises:
        ValueError: training left the weights as they were.
    """
    with imports_uncollected():
        from harness.editing.held_out_text import held_out_text
        from harness.models.any import load_lm
    take_over_libraries()

    def load(checkpoint: Path) -> TransformersLM:
        return load_lm(str(checkpoint), **(job.model_args | {"revision": "main"}))

    lm = load_lm(job.pretrained, **job.model_args)
    text = held_out_text(lm, job.data_dir)
    base = text.losses(lm)
    aim = _aim(lm, text, base, job.trained, load)
    log.info(
        "%s: training changed perplexity on held-out text by %+.2f%% (standard error %.2f, %d checkpoints)",
        job.model,
        100 * math.expm1(aim.rise.value),
        100 * aim.rise.error,
        len(aim.matched),
    )
    for target in job.targets:
        noise = _noise(lm, job.trained[0].checkpoint, target.seed, load)
        size = _sized(lm, text, base, noise, aim)
        record = ControlRecord(
            kind=job.kind,
            seed=target.seed,
            matched_by=size.matched_by,
            reason=size.reason,
            target_ratio=math.exp(aim.rise.value),
            target_error=aim.rise.error,
            reached_ratio=math.exp(size.rise),
            scale=size.scale,
            update_norm=size.scale * noise.unit_norm,
            base_perplexity=text.perplexity(base),
            text=text.told,
            matched=aim.matched,
            inputs_sha256=target.inputs_sha256,
        )
        _write(target.folder, noise, record)
        noise.take_off()
        log.info(
            "%s: %s with seed %d, %.3g of each matrix's deviation, changes it by %+.2f%%",
            job.model,
            job.kind,
            target.seed,
            size.scale,
            100 * math.expm1(size.rise),
        )


def _aim(
    lm: TransformersLM,
    text: HeldOutText,
    base: NDArray[np.float64],
    trained: Sequence[Trained],
    load: Callable[[Path], TransformersLM],
) -> Aim:
    matched, changes = [], []
    for one in trained:
        losses, norm = _outcome(lm, text, one.checkpoint, load)
        changes.append(losses - base)
        matched.append(
            Matched(
                checkpoint=str(one.checkpoint),
                fold=one.fold,
                seed=one.seed,
                weights_sha256=weights_sha256(one.checkpoint),
                ratio=math.exp(text.rise(base, losses).value),
                update_norm=norm,
            )
        )
    rise = text.rise(base, base + sum(changes) / len(changes))
    norm = sum(one.update_norm for one in matched) / len(matched)
    if norm == 0:
        raise ValueError(
            f"{trained[0].checkpoint}: training left the weights as they were, so there is no size for a control; "
            "train with a learning rate and steps, or leave `controls` out"
        )
    reason = None
    if rise.value <= ERRORS * rise.error:
        reason = (
            f"training changed perplexity by {100 * math.expm1(rise.value):+.2f}%, which is not above {ERRORS:g} "
            f"standard errors ({100 * rise.error:.2f}% each)"
        )
    return Aim(rise, norm, tuple(matched), reason)


def _outcome(
    lm: TransformersLM, text: HeldOutText, checkpoint: Path, load: Callable[[Path], TransformersLM]
) -> tuple[NDArray[np.float64], float]:
    """The losses of a trained checkpoint and the norm of its update."""
    from harness.editing.noise import adapter_norm, distance, is_adapter

    if not is_adapter(checkpoint):
        trained = load(checkpoint)
        return text.losses(trained), distance(lm, trained)
    lm.use_adapter(checkpoint)
    losses = text.losses(lm)
    lm.use_adapter(None)
    return losses, adapter_norm(checkpoint)


def _noise(lm: TransformersLM, like: Path, seed: int, load: Callable[[Path], TransformersLM]) -> Noise:
    from harness.editing.noise import AdapterNoise, WeightsNoise, is_adapter

    return AdapterNoise(lm, like, seed) if is_adapter(like) else WeightsNoise(lm, load(like), seed)


def _sized(lm: TransformersLM, text: HeldOutText, base: NDArray[np.float64], noise: Noise, aim: Aim) -> Size:
    """Leaves the model with the noise of the size returned."""
    from harness.editing.matching import scale_for

    def rise(scale: float) -> float:
        noise.put(scale)
        return text.rise(base, text.losses(lm)).value

    start = aim.norm / noise.unit_norm
    if aim.reason is not None:
        return Size("norm", aim.reason, start, rise(start))
    if found := scale_for(rise, aim.rise.value, start):
        return Size("perplexity", None, found.scale, found.rise)
    reason = "no scale of this noise raises perplexity as much as training did"
    log.warning("%s, so it gets the norm of training's update", reason)
    return Size("norm", reason, start, rise(start))


def _write(folder: Path, noise: Noise, record: ControlRecord) -> None:
    """The checkpoint under another name first, then in the place of what may be there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(left)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    aside.chmod(0o755)
    noise.save(aside)
    atomic_write(aside / CONTROL_FILE, json.dumps(record.model_dump(mode="json"), indent=1) + "\n")
    if folder.exists():
        shutil.rmtree(folder)
    aside.rename(folder)


def write_control_job(file: Path, job: ControlJob) -> None:
    """Write the job file that `run_control` reads."""
    atomic_write(file, json.dumps(job.model_dump(mode="json"), indent=1) + "\n")
