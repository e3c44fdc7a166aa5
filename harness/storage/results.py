"""Result folders: lm-eval's own results and samples files, written atomically, with the provenance of every number."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.data.families import Family
from harness.storage.files import atomic_write

PROVENANCE_KEY = "stereoscope"


class TaskData(BaseModel):
    """Which data a task was scored on; `n` counts its rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    origin: Literal["sample", "local", "fetched"]
    n: int


class Generation(BaseModel):
    """How a task's texts were drawn, and who judged them.

    `k` texts a prompt; `arguments` are lm-eval's generation arguments, `seed` what the noise of sampled texts comes
    from. `judge` is its name for readers, None until judged; `classifier` what it is loaded from, None for HurtLex.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    measures: Literal["toxicity", "regard", "honest"]
    k: int
    arguments: dict[str, Any]
    seed: int
    classifier: str | None = None
    labels: tuple[str, ...] = ()
    judge: str | None = None
    judge_sha256: str | None = None

    @property
    def setting(self) -> str:
        """What belongs to the name of every metric: EMT grows with k, and another judge gives other numbers."""
        return f"k={self.k}, {self.arguments['max_gen_toks']} tokens, {self.judge or 'not judged'}"


class Provenance(BaseModel):
    """Where a results file comes from: model, weights, training step, data, versions, command.

    `inputs_sha256` names everything that decided the scores, so that a finished stage is known when a run goes on.
    `stage` is "base" for an untrained model and "step" for a checkpoint; `fold` counts from 0 and is None without
    cross-fitting. `started_after` is the token that a sentence's first token is conditioned on, for a masked model the
    one that stands before it, "" where there is none. `generations` names each task that had texts generated.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    pretrained: str
    parameters: int
    family: Family = "causal"
    weights_sha256: str
    stage: Literal["base", "step"] = "base"
    step: int | None = None
    epoch: float | None = None
    fold: int | None = None
    checkpoint: str | None = None
    started_after: str
    started_after_id: int
    dtype: str
    tasks: dict[str, TaskData]
    generations: dict[str, Generation] = Field(default_factory=dict)
    versions: dict[str, str]
    command: str
    seconds: float
    inputs_sha256: str = ""

    @property
    def is_judged(self) -> bool:
        """Whether all that was generated was judged too."""
        return all(generation.judge for generation in self.generations.values())


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
            for name in ("tasks", "generations")
        }
        scores = {
            name: {task: value for task, value in self.results.get(name, {}).items() if task in tasks}
            for name in ("results", "configs")
        }
        return Scored(self.file, self.provenance.model_copy(update=parts), {**self.results, **scores})

    def samples_file(self, task: str) -> Path:
        """Where the task's lines are, if they were kept. A results file may have any name that ends in its date."""
        date = self.file.stem.rpartition("_")[2]
        return self.file.with_name(f"samples_{task}_{date}.jsonl")

    def samples(self, task: str) -> Iterator[dict[str, Any]]:
        """The task's lines, in document order of the file.

        Raises:
            FileNotFoundError: the model was scored without its samples, so nothing can be recomputed from it.
        """
        path = self.samples_file(task)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no samples beside {self.file.name}; score again with --log-samples")
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield json.loads(line)
                except json.JSONDecodeError as error:
                    raise ValueError(f"{path}, line {number}: not JSON ({error}); score this model again") from error


def read_scored(file: Path) -> Scored | None:
    """A results file; None if it has no provenance, so that nothing is known of its model."""
    results = json.loads(file.read_text(encoding="utf-8"))
    if PROVENANCE_KEY not in results:
        return None
    return Scored(file, Provenance.model_validate(results[PROVENANCE_KEY]), results)


def write_results(
    folder: Path, results: Mapping[str, Any], samples: Mapping[str, Iterable[str]], *, name: str = "results"
) -> Path:
    """Write a results file and a samples file a task; all of them, or on an error none.

    The results file comes last and is what makes the folder a scored one. Older files in the folder stay.

    Args:
        samples: the lines of each task.
        name: how the results file begins.

    Returns:
        The results file.

    Raises:
        OSError: the disk is full or the folder not writable.
    """
    date = datetime.now().isoformat().replace(":", "-")
    written = [folder / f"samples_{task}_{date}.jsonl" for task in samples]
    try:
        for path, lines in zip(written, samples.values(), strict=True):
            atomic_write(path, lines)
        atomic_write(path := folder / f"{name}_{date}.json", json.dumps(results, indent=2, ensure_ascii=False))
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return path


def find_scored(folder: Path) -> list[Scored]:
    """What was scored under `folder`, sorted by path: the newest results file with provenance of each sub-folder.

    Commands of `stereoscope eval` that score one model into one folder add up: an earlier file counts for the tasks
    that no later one has, if weights, start token and precision are the same. A run's stages count as they were last.
    """
    of_folder: dict[Path, list[Path]] = {}
    for file in sorted(folder.rglob("results_*.json"), reverse=True):
        of_folder.setdefault(file.parent, []).append(file)
    found = [scored for files in of_folder.values() for scored in _added_up(files)]
    return sorted(found, key=lambda scored: scored.file)


def _added_up(files: Iterable[Path]) -> Iterator[Scored]:
    """Of one folder's results files, newest first."""
    newest: Provenance | None = None
    tasks: set[str] = set()
    for scored in filter(None, map(read_scored, files)):
        newest = newest or scored.provenance
        if _conditions(scored.provenance) == _conditions(newest) and (new := scored.provenance.tasks.keys() - tasks):
            yield scored.only(new)
            tasks |= new
        if newest.inputs_sha256:
            return


def _conditions(provenance: Provenance) -> tuple[str, ...]:
    """What makes two files those of one model scored in one way."""
    return (
        provenance.model,
        provenance.weights_sha256,
        provenance.started_after,
        provenance.dtype,
        provenance.inputs_sha256,
    )
