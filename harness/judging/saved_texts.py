"""The second pass over generated texts: what is saved is judged, and the results are written again with the scores."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.judging.judges import REGARD_LABELS, Choice, Judge, choice_of, judge_of
from harness.metrics.benchmarks import BENCHMARKS
from harness.storage.provenance import Generation
from harness.storage.reading import shown
from harness.storage.results import AGAIN, PROVENANCE_KEY, Scored, find_scored, read_scored, write_results

log = logging.getLogger(__name__)

Lines = list[dict[str, Any]]


def judge_saved(
    file: Path | None, choices: Mapping[str, Choice] | None = None, tasks: Collection[str] | None = None
) -> Path | None:
    """Judge the texts of a results file, each process of `accelerate launch` its share, and write the results anew.

    The file it came from goes away if nobody had judged it, since nothing is in it that is not in the new one.

    Args:
        file: the results file; None on every process but the first, which is the one that reads and writes.
        choices: the judge of each task; by default, of every task that generated texts, the one that it asked for.
        tasks: what the new file holds; all of the old one's by default.

    Returns:
        The new results file, the old one where there was nothing to judge; None where `file` is.
    """
    scored = None if file is None else read_scored(file)
    lines: dict[str, Lines] = {}
    if scored is not None:
        scored = scored if tasks is None else scored.only(tasks)
        choices = _asked_for(scored) if choices is None else choices
        lines = {task: list(_lines_of(scored, task)) for task in choices}
    by_choice: dict[Choice, list[str]] = {}
    for task, choice in (choices or {}).items():
        by_choice.setdefault(choice, []).extend(_texts(lines[task]))
    found = {choice: (judge, findings) for choice, judge, findings in _judged_together(by_choice)}
    if scored is None or not choices:
        return file
    for task, choice in choices.items():
        _put_behind(lines[task], found[choice][1])
    return _written(scored, lines, {task: (choice, found[choice][0]) for task, choice in choices.items()})


def reclassify(
    folder: Path, classifier: str | None, label: str, data_dir: str | None, allow_pickle: bool
) -> list[Path]:
    """Judge all saved texts below a folder with another classifier, or with the judge that they were asked for.

    A classifier that tells the four labels of regard apart judges the texts of regard tasks, any other one toxicity.

    Raises:
        FileNotFoundError: no generated texts are saved there.
        ValueError: the classifier lacks the label.
    """
    written = []
    for scored in find_scored(folder):
        if classifier is None:
            choices = _asked_for(scored)
            if data_dir is not None:
                choices = {task: choice._replace(data_dir=data_dir) for task, choice in choices.items()}
        else:
            measures, labels = _kind(classifier, label, allow_pickle)
            generations = scored.provenance.generations
            of_kind = [task for task, generation in generations.items() if generation.measures == measures]
            choices = dict.fromkeys(of_kind, Choice(classifier, labels, data_dir, allow_pickle))
        if choices and (file := judge_saved(scored.file, choices, scored.provenance.tasks)):
            written.append(file)
            log.info("%s: %s", file, ", ".join(choices))
    if not written:
        raise FileNotFoundError(
            f"{folder}: no saved texts that {classifier or 'a judge'} could judge; they come of `stereoscope eval "
            "--output-path` or `stereoscope run` on the tasks toxicity_*, regard_* and honest_*"
        )
    return written


def _kind(classifier: str, label: str, allow_pickle: bool) -> tuple[str, tuple[str, ...]]:
    from harness.judging.classifiers import require_labels
    from harness.judging.demonstration import DEMONSTRATION

    if classifier != DEMONSTRATION:
        try:
            require_labels(classifier, REGARD_LABELS, allow_pickle)
        except ValueError:
            pass
        else:
            return "regard", REGARD_LABELS
    require_labels(classifier, (label,), allow_pickle)
    return "toxicity", (label,)


def _asked_for(scored: Scored) -> dict[str, Choice]:
    configs = scored.results.get("configs") or {}
    found = {}
    for task, generation in scored.provenance.generations.items():
        metadata = configs.get(task, {}).get("metadata")
        if not metadata:
            raise ValueError(
                f"{scored.file}: says of {task} that it generated, and has no configs.{task}.metadata; {AGAIN}"
            )
        found[task] = choice_of(generation.measures, metadata)
    return found


def _lines_of(scored: Scored, task: str) -> Iterator[dict[str, Any]]:
    """The samples of a task that generated, each known to have its texts in place."""
    for number, line in enumerate(scored.samples(task), start=1):
        answers = line.get("filtered_resps")
        entries = answers[0] if isinstance(answers, list) and answers else None
        if not isinstance(entries, list) or not all(isinstance(entry, list) and entry for entry in entries):
            raise ValueError(
                f"{scored.samples_file(task)}, line {number}: filtered_resps is {shown(answers)}, expected one list of "
                f"texts with their findings; {AGAIN}"
            )
        yield line


def _texts(lines: Lines) -> list[str]:
    """All texts of a task that are not empty, each once."""
    every = (str(entry[0]) for line in lines for entry in line["filtered_resps"][0])
    return list(dict.fromkeys(text for text in every if text.strip()))


def _judged_together(by_choice: Mapping[Choice, Sequence[str]]) -> list[tuple[Choice, Judge, dict[str, list[Any]]]]:
    """Every process judges its share; the first one's question is everybody's, and all get all answers."""
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list, gather_object

    state = PartialState()
    asked: list[Any] = [[(choice, list(dict.fromkeys(texts))) for choice, texts in by_choice.items()]]
    if state.num_processes > 1:
        broadcast_object_list(asked)
    found = []
    for choice, texts in asked[0]:
        judge = judge_of(choice)
        share = texts[state.process_index :: state.num_processes]
        pairs = list(zip(share, judge.findings(share, disable_tqdm=not state.is_main_process), strict=True))
        if state.num_processes > 1:
            pairs = gather_object(pairs)
        found.append((choice, judge, dict(pairs)))
    return found


def _put_behind(lines: Lines, findings: Mapping[str, Sequence[Any]]) -> None:
    for line in lines:
        texts = [str(entry[0]) for entry in line["filtered_resps"][0]]
        # Text, as lm-eval writes everything that a model answered.
        line["filtered_resps"] = [[[text, *map(str, findings.get(text, ()))] for text in texts]]


def _written(scored: Scored, lines: Mapping[str, Lines], judges: Mapping[str, tuple[Choice, Judge]]) -> Path:
    """The results file and the samples of all its tasks, with new scores for those that were judged."""
    results = {**scored.results, "results": {task: dict(values) for task, values in scored.results["results"].items()}}
    generations = dict(scored.provenance.generations)
    for task, (choice, judge) in judges.items():
        scores = BENCHMARKS[task].metrics([BENCHMARKS[task].record(line) for line in lines[task]])
        told = results["results"][task]
        told |= {key: scores[metric] for key in told if (metric := key.partition(",")[0]) in scores}
        generations[task] = Generation(
            **{
                **generations[task].model_dump(),
                "classifier": choice.classifier,
                "labels": judge.labels,
                "judge": judge.name,
                "judge_sha256": judge.sha256,
            }
        )
    provenance = scored.provenance.model_copy(update={"generations": generations})
    results[PROVENANCE_KEY] = provenance.model_dump(mode="json")
    samples: dict[str, Iterable[str]] = {
        task: [json.dumps(line, ensure_ascii=False) + "\n" for line in judged] for task, judged in lines.items()
    }
    for task in scored.results.get("configs") or {}:
        if task not in samples and scored.samples_file(task).is_file():
            samples[task] = [scored.checked_samples_file(task).read_text(encoding="utf-8")]
    # What nobody could check while it was read gets no seal by being written again.
    unsealed = [task for task in samples if scored.seal(task) is None]
    written = write_results(
        scored.file.parent, results, samples, name=scored.file.stem.rpartition("_")[0], unsealed=unsealed
    )
    if not scored.provenance.is_judged:
        scored.file.unlink()
        for task in scored.results.get("configs") or {}:
            scored.samples_file(task).unlink(missing_ok=True)
    return written
