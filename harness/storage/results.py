"""Result folders: lm-eval's own results and samples files, written atomically, with the provenance of every number."""

from __future__ import annotations

import glob
import hashlib
import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.storage.files import atomic_write, sha256_file
from harness.storage.names import require_plain_name
from harness.storage.plain_results import plain_provenance, samples_file
from harness.storage.provenance import Asking, Provenance, Seal, asking_of
from harness.storage.reading import brief, json_lines, parse_record, read_object
from harness.storage.result_parts import AGAIN as AGAIN
from harness.storage.result_parts import PARTS, require_parts

PROVENANCE_KEY = "stereoscope"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scored:
    """One results file and the samples files beside it."""

    file: Path
    provenance: Provenance
    results: Mapping[str, Any]

    def only(self, tasks: Collection[str]) -> Scored:
        """The same file as if it held these tasks alone."""
        if self.provenance.tasks.keys() <= set(tasks):
            return self
        parts = {
            name: {task: value for task, value in getattr(self.provenance, name).items() if task in tasks}
            for name in ("tasks", "generations", "samples")
        }
        scores = {
            name: {task: value for task, value in self.results.get(name, {}).items() if task in tasks}
            for name in ("results", "configs")
        }
        return Scored(self.file, self.provenance.model_copy(update=parts), {**self.results, **scores})

    @cached_property
    def asking(self) -> Asking:
        """How the tasks were asked; for files of before, what lm-eval noted of it."""
        return self.provenance.asking or asking_of(self.results, self.provenance.tasks)

    def rows_of(self, task: str) -> int | None:
        """How many rows the task has, scored or not; None in files that do not say."""
        noted: int | None = self.results.get("n-samples", {}).get(task, {}).get("original")
        return self.provenance.tasks[task].of or noted

    @property
    def subtasks(self) -> dict[str, list[str]]:
        """The tasks and groups of each of lm-eval's groups."""
        return self.results.get("group_subtasks") or {}

    def seal(self, task: str) -> Seal | None:
        """What the task's samples file has to be; None in files of before."""
        return self.provenance.samples.get(task)

    def samples_file(self, task: str) -> Path:
        """Where the task's lines are, if they were kept."""
        return samples_file(self.file, task)

    def samples(self, task: str) -> Iterator[dict[str, Any]]:
        """The task's lines, in document order of the file.

        Raises:
            FileNotFoundError: the model was scored without its samples, so nothing can be recomputed from it.
            ValueError: the file is not the one that was written with the results, or a line is no JSON; names it.
        """
        for _, line in json_lines(self.checked_samples_file(task), AGAIN):
            yield line

    def checked_samples_file(self, task: str) -> Path:
        """The samples file, once it is known to be there and, where it was sealed, unaltered; raises as `samples`."""
        path, seal = self.samples_file(task), self.seal(task)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no samples beside {self.file.name}; score again with --log-samples")
        if seal is not None and (found := sha256_file(path)) != seal.sha256:
            with path.open("rb") as file:
                lines = sum(1 for _ in file)
            raise ValueError(
                f"{path}: not the samples that {self.file.name} was written with: expected {seal.lines} lines with "
                f"sha256 {seal.sha256}, found {lines} with {found}. They were edited, shortened or are another "
                "model's; put the original file back, or score this model again"
            )
        return path


def read_scored(file: Path, plain: bool = False) -> Scored | None:
    """A results file; None if it has no provenance, so that nothing is known of its model.

    Args:
        plain: take one that plain `lm_eval` wrote for what it says of itself.

    Raises:
        ValueError: it is no results file, or a name in it cannot be a samples file's; names the file and the key.
    """
    results = {key: value for key, value in read_object(file, AGAIN).items() if value is not None or key not in PARTS}
    provenance = _provenance(file, results, plain)
    if provenance is None:
        return None
    require_parts(file, results)
    if provenance.asking is None:
        try:
            asking_of(results, provenance.tasks)
        except ValidationError as error:
            raise ValueError(
                f"{file}, config: how its tasks were asked cannot be told ({brief(error)}); {AGAIN}"
            ) from error
    return Scored(file, provenance, results)


def _provenance(file: Path, results: Mapping[str, Any], plain: bool) -> Provenance | None:
    if PROVENANCE_KEY not in results:
        if not plain:
            return None
        require_parts(file, results)
        return plain_provenance(file, results)
    provenance = parse_record(results[PROVENANCE_KEY], Provenance, f"{file}, {PROVENANCE_KEY}", AGAIN)
    for name in ("tasks", "generations", "samples"):
        for task in getattr(provenance, name):
            require_plain_name(task, f"{file}, {PROVENANCE_KEY}.{name}")
    return provenance


def write_results(
    folder: Path,
    results: Mapping[str, Any],
    samples: Mapping[str, Iterable[str]],
    *,
    name: str = "results",
    unsealed: Collection[str] = (),
) -> Path:
    """Write a results file and a samples file a task; all of them, or on an error none.

    The results file comes last and is what makes the folder a scored one. Older files in the folder stay. Its
    provenance, where it has one, gets the digest and the number of lines of each samples file.

    Args:
        samples: the lines of each task.
        name: how the results file begins.
        unsealed: tasks whose samples come from a file without a digest, so that nobody knows whether they are whole.

    Returns:
        The results file.

    Raises:
        OSError: the disk is full or the folder not writable.
        ValueError: a task's name cannot be a file's.
    """
    for task in samples:
        require_plain_name(task, "the name of a task")
    date = datetime.now().isoformat().replace(":", "-")
    written = [folder / f"samples_{task}_{date}.jsonl" for task in samples]
    try:
        seals = {}
        for path, (task, lines) in zip(written, samples.items(), strict=True):
            digest = _Digest(lines)
            atomic_write(path, digest)
            if task not in unsealed:
                seals[task] = digest.seal.model_dump()
        if PROVENANCE_KEY in results:
            results = {**results, PROVENANCE_KEY: {**results[PROVENANCE_KEY], "samples": seals}}
        atomic_write(path := folder / f"{name}_{date}.json", json.dumps(results, indent=2, ensure_ascii=False))
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return path


class _Digest:
    """Text passed on piece by piece, and the seal of what has been."""

    def __init__(self, chunks: Iterable[str]) -> None:
        self._chunks, self._sha256, self._lines = chunks, hashlib.sha256(), 0

    def __iter__(self) -> Iterator[str]:
        for chunk in self._chunks:
            self._sha256.update(chunk.encode())
            self._lines += chunk.count("\n")
            yield chunk

    @property
    def seal(self) -> Seal:
        return Seal(sha256=self._sha256.hexdigest(), lines=self._lines)


def results_place(output_path: str) -> tuple[Path, str | None]:
    """The folder of `--output-path`, and how results files in it begin where it names a .json file.

    Raises:
        ValueError: a .json that is a folder.
    """
    path = Path(output_path)
    if path.suffix != ".json":
        return path, None
    if path.is_dir():
        raise ValueError(f"--output-path {path}: a folder, though its name ends in .json; give another name")
    return path.parent, path.stem


def copy_results(scored: Scored, folder: Path) -> Path:
    """Put a results file and the samples beside it into another folder, whole or not at all; returns the copy.

    Raises:
        OSError: the disk is full or the folder not writable.
    """
    date = scored.file.stem.rpartition("_")[2]
    for file in (*sorted(scored.file.parent.glob(f"samples_*_{glob.escape(date)}.jsonl")), scored.file):
        with file.open(encoding="utf-8", newline="") as lines:
            atomic_write(folder / file.name, lines)
    return folder / scored.file.name


def find_scored(folder: Path, plain: bool = False) -> list[Scored]:
    """What was scored under `folder`, sorted by path: the newest results file with provenance of each sub-folder.

    Commands of `stereoscope eval` that score one model into one folder add up: an earlier file counts for the tasks
    that no later one has, if the weights and all that was set beside the prompt are the same. Models that were asked
    in other ways, after another start token or under a chat template, add up apart. A run's stages count as they were
    last.

    Args:
        plain: take files that plain `lm_eval` wrote, too.
    """
    of_folder: dict[Path, list[Path]] = {}
    for file in sorted(folder.rglob("results_*.json"), reverse=True):
        of_folder.setdefault(file.parent, []).append(file)
    found = [scored for files in of_folder.values() for scored in _added_up(files, plain)]
    return sorted(found, key=lambda scored: scored.file)


def _added_up(files: Iterable[Path], plain: bool) -> Iterator[Scored]:
    """Of one folder's results files, newest first."""
    newest: dict[tuple[str | None, ...], Provenance] = {}
    tasks: dict[tuple[str | None, ...], set[str]] = {}
    for scored in filter(None, (read_scored(file, plain) for file in files)):
        provenance, way = scored.provenance, _way_of_asking(scored)
        if newest and (provenance.inputs_sha256 or next(iter(newest.values())).inputs_sha256):
            return
        first = newest.setdefault(way, provenance)
        if _decisive(provenance) != _decisive(first):
            log.warning(
                "%s does not count: a later file in its folder scored other weights or in another precision",
                scored.file,
            )
        elif new := provenance.tasks.keys() - tasks.setdefault(way, set()):
            yield scored.only(new)
            tasks[way] |= new


def _way_of_asking(scored: Scored) -> tuple[str | None, ...]:
    """What makes two files those of one model asked in one way."""
    asking = scored.asking
    return (
        scored.provenance.started_after,
        asking.chat_template_sha256,
        asking.system_instruction_sha256,
        str(asking.fewshot_as_multiturn and asking.chat_template_sha256 is not None),
    )


def _decisive(provenance: Provenance) -> tuple[str, str, str]:
    """What makes two files those of the same weights, computed in the same way."""
    return provenance.model, provenance.weights, provenance.dtype
