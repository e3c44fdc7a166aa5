"""Checkpoint folders: sealed with a manifest when complete, so that a resumed or scoring run can trust them."""

from __future__ import annotations

import json
import logging
import re
import shutil
from pathlib import Path

from harness.storage.files import atomic_write, sha256_file
from harness.storage.manifest import MANIFEST, read_manifest
from harness.storage.reading import read_json, shown

UNSCHEDULED = "unscheduled.json"
NAMED = r"checkpoint-([0-9]{1,12})"
FOR_RESUMING = ("optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state*.pth", "latest", "global_step*")
"""What a checkpoint holds beside weights, config and trainer_state.json: some three times the trained weights' size."""

log = logging.getLogger(__name__)


def seal(checkpoint: Path) -> None:
    """Write the sha256 of every file of a finished checkpoint into its manifest."""
    digests = {
        str(file.relative_to(checkpoint)): sha256_file(file)
        for file in sorted(checkpoint.rglob("*"))
        if file.is_file() and file.name != MANIFEST
    }
    atomic_write(checkpoint / MANIFEST, json.dumps(digests, indent=1) + "\n")


def is_complete(checkpoint: Path) -> bool:
    """Whether every file of the manifest is there with its digest; says in the log what is wrong if not."""
    manifest = checkpoint / MANIFEST
    if not manifest.is_file():
        log.warning("%s has no %s: not complete, skipped", checkpoint, MANIFEST)
        return False
    try:
        digests = read_manifest(checkpoint)
    except ValueError as error:
        log.warning("%s: damaged, skipped", error)
        return False
    for name, digest in digests.items():
        file = checkpoint / name
        if not file.is_file() or sha256_file(file) != digest:
            log.warning("%s differs from %s in %s: damaged, skipped", checkpoint, MANIFEST, name)
            return False
    return True


def sealed_names(checkpoint: Path) -> list[str]:
    """The files that the manifest of a complete checkpoint lists."""
    return list(read_manifest(checkpoint))


def complete_checkpoints(output_dir: Path) -> list[Path]:
    """The complete checkpoint-N folders of a run, by N."""
    numbered = {
        int(match.group(1)): folder
        for folder in output_dir.glob("checkpoint-*")
        if (match := re.fullmatch(NAMED, folder.name))
    }
    return [numbered[step] for step in sorted(numbered) if is_complete(numbered[step])]


def mark_unscheduled(output_dir: str | Path, step: int) -> None:
    """Note that the checkpoint of `step` is written only because the run was stopped there, to go on from it."""
    file = Path(output_dir) / UNSCHEDULED
    atomic_write(file, json.dumps(sorted({step, *_unscheduled(Path(output_dir))})) + "\n")


def scheduled_checkpoints(output_dir: Path) -> list[Path]:
    """The complete checkpoints that a run without interruption writes too: those to score and to count."""
    passing = _unscheduled(output_dir)
    return [folder for folder in complete_checkpoints(output_dir) if step_of(folder) not in passing]


def _unscheduled(output_dir: Path) -> set[int]:
    file = output_dir / UNSCHEDULED
    if not file.is_file():
        return set()
    steps = read_json(file, "delete it: the checkpoints of these steps then count too")
    if not isinstance(steps, list) or not all(type(step) is int for step in steps):
        raise ValueError(
            f"{file}: expected a list of steps, found {shown(steps)}; delete it: the checkpoints of these steps then "
            "count too"
        )
    return set(steps)


def keep_weights_only(checkpoint: Path) -> None:
    """Delete what only resuming needs; the checkpoint stays complete, and can still be scored, at every moment."""
    extra = [path for pattern in FOR_RESUMING for path in checkpoint.glob(pattern)]
    if not extra:
        return
    manifest = checkpoint / MANIFEST
    digests = read_manifest(checkpoint)
    names = {path.name for path in extra}
    kept = {name: digest for name, digest in digests.items() if Path(name).parts[0] not in names}
    atomic_write(manifest, json.dumps(kept, indent=1) + "\n")
    for path in extra:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def step_of(checkpoint: Path) -> int:
    """The optimizer step after which a checkpoint-N folder was written."""
    return int(checkpoint.name.removeprefix("checkpoint-"))
