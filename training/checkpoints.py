"""Checkpoint folders: sealed with a manifest when complete, so that a resumed or scoring run can trust them."""

from __future__ import annotations

import json
import logging
import re
import shutil
from pathlib import Path

from harness.storage.files import atomic_write, sha256_file
from harness.storage.manifest import MANIFEST, read_manifest
from harness.storage.reading import read_json, read_object, shown

UNSCHEDULED = "unscheduled.json"
NAMED = r"checkpoint-([0-9]{1,12})"
SAVED = "saved.json"
"""In a fold's folder, beside its checkpoints: the digest of each one's manifest, as this run wrote it."""
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


def note_saved(output_dir: Path, name: str, folder: Path) -> None:
    """Keep the digest of a sealed checkpoint's manifest where the checkpoint itself is not: in the fold's own folder.

    Args:
        name: that the checkpoint will have in `output_dir`.
        folder: where it lies until then.
    """
    known = {**_saved(output_dir), name: sha256_file(folder / MANIFEST)}
    atomic_write(output_dir / SAVED, json.dumps(known, indent=1) + "\n")


def require_own(checkpoint: Path) -> None:
    """Refuse a checkpoint that this run's folder did not write, before anything pickled in it is loaded.

    The manifest has to be the one that was noted when the checkpoint was saved, each file the one that it lists, and
    no file more: DeepSpeed loads whatever has a name of its pattern.

    Raises:
        ValueError: it came from elsewhere, or was changed since; names the file and says how to go on.
    """
    way_out = (
        "DeepSpeed keeps optimizer state pickled, which can run code of whoever wrote it. Move the folder away to go "
        "on from an earlier checkpoint of this run (its weights can still be scored), or, if you trust its maker, give"
        " --allow-pickle true"
    )
    record = checkpoint.parent / SAVED
    noted = _saved(checkpoint.parent).get(checkpoint.name)
    if noted is None:
        raise ValueError(f"{checkpoint}: {record} does not say that this run wrote it. {way_out}")
    if (found := sha256_file(checkpoint / MANIFEST)) != noted:
        raise ValueError(
            f"{checkpoint / MANIFEST}: not what this run wrote: expected sha256 {noted} of {SAVED}, found {found}. "
            f"{way_out}"
        )
    if not is_complete(checkpoint):
        raise ValueError(f"{checkpoint}: its files are not those of its {MANIFEST}. {way_out}")
    there = {str(file.relative_to(checkpoint)) for file in checkpoint.rglob("*") if not file.is_dir()}
    if strangers := sorted(there - read_manifest(checkpoint).keys() - {MANIFEST}):
        raise ValueError(f"{checkpoint / strangers[0]}: not in the checkpoint's {MANIFEST}, added later. {way_out}")
    if links := sorted(str(path) for path in checkpoint.rglob("*") if path.is_symlink()):
        raise ValueError(f"{links[0]}: a link, which no run writes into a checkpoint. {way_out}")


def _saved(output_dir: Path) -> dict[str, str]:
    file = output_dir / SAVED
    if not file.is_file():
        return {}
    mend = "delete it: checkpoints of ZeRO are then resumed only with --allow-pickle true"
    noted = read_object(file, mend)
    for name, digest in noted.items():
        if not re.fullmatch(NAMED, name) or not isinstance(digest, str):
            raise ValueError(f"{file}: {shown(name)}: {shown(digest)}, expected a checkpoint and a sha256; {mend}")
    return noted


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
