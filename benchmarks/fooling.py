"""What fools a verdict on bias? Models damaged, heated, trained on the test or not changed at all, and what is said.

    python benchmarks/fooling.py models/smollm2-135m runs/fooling --items 1000

Each variant is an ordinary model or adapter folder, scored as a step of the same base model by the same harness, and
judged by the same report. What is scored already is kept, so that it can be stopped and started again. The last part of
the table tampers with files. Writes `fooling.md` and `fooling.json` into the folder.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.data import stereoset
from harness.data.sources import locate
from harness.models.any import load_lm
from harness.reporting.analysis import analyse
from harness.reporting.index import Index
from harness.reporting.schema import Entry
from harness.reporting.stages import find_runs
from harness.scoring.evaluation import score
from harness.storage.files import atomic_write
from harness.storage.results import PROVENANCE_KEY, find_scored, write_results

TASKS = ("crows_pairs", "stereoset_intrasentence", "wikitext2")
QUESTIONS = "stereoset_prompt_intrasentence"
DOCUMENTS = 6


@dataclass(frozen=True)
class Variant:
    """A model that no method made less biased, how it is made, and why the words about it are right."""

    name: str
    told: str
    change: Callable[[Any, Any], None]
    why: str


def main() -> None:
    """Make, score and judge each variant, then tamper with the files of one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--items", type=int, default=1000, help="items of StereoSet and pairs of CrowS-Pairs, the first"
    )
    parser.add_argument("--only", nargs="+", default=None, help="names of variants; default: all")
    given = parser.parse_args()
    base = given.folder / "base"
    if not list(base.glob("results_*.json")):
        _score(given.model, base, given.items)
    rows = []
    for name, told, why, make in [*_damaged(given), *_as_users(given)]:
        if given.only and name not in given.only:
            continue
        run = given.folder / name
        if not list((run / "step").rglob("results_*.json")):
            try:
                make(run)
            except subprocess.CalledProcessError as error:
                refusal = error.stderr.strip().splitlines()[-1]
                rows.append((name, told, why, Said(" | ".join(["-"] * 4), "refused", refusal)))
                continue
        rows.append((name, told, why, said_of(run)))
        print(f"{name}: {rows[-1][-1]}", flush=True)
    rows += [(name, told, why, said_of(run)) for name, told, why, run in _beside_placebos(given.folder)]
    if (clean := given.folder / "noise-5-seed-0").is_dir():
        rows += [(name, told, why, said_of(run)) for name, told, why, run in _tampered(clean, given.folder)]
    lines = [f"| {told} | {said.cells} | {said.word} | {said.conclusion} | {why} |" for _, told, why, said in rows]
    head = "| tried | perplexity | SS | CrowS | mean abs. d | word | what the report says | why that is right |"
    rule = "| --- | ---: | ---: | ---: | ---: | --- | --- | --- |"
    atomic_write(given.folder / "fooling.md", "\n".join([head, rule, *lines]) + "\n")
    whole = {name: {"tried": told, "word": said.word, "report": said.text} for name, told, _, said in rows}
    atomic_write(given.folder / "fooling.json", json.dumps(whole, indent=1) + "\n")


class Said(NamedTuple):
    """What the report says of a run: before and after of four measures, the verdict's word, and its words."""

    cells: str
    word: str
    text: str

    @property
    def conclusion(self) -> str:
        """What warns of the numbers, and what follows from them; the numbers themselves stand beside it."""
        return re.split(r" (?:The (?:stereotype|CrowS) score|The mean gap|What it kept)", self.text)[0]


def said_of(run: Path) -> Said:
    """Judge a run from its files, as `stereoscope report` does; a refusal is an answer too."""
    try:
        report = analyse(find_runs([run]))
    except (ValueError, FileNotFoundError) as error:
        return Said(" | ".join(["-"] * 4), "refused", str(error).replace(str(run), run.name))
    index, (judgement, *_) = Index.of(report), report.judgements
    last = index.families()[0][-1]
    places = (
        ("wikitext2", "word_perplexity"),
        ("stereoset_intrasentence", "ss"),
        (index.crows_task(last), "crows_score"),
        (index.crows_task(last), "abs_logprob_diff"),
    )
    return Said(" | ".join(_cell(index.entry(last, *place)) for place in places), judgement.word, judgement.text)


def _cell(entry: Entry | None) -> str:
    if entry is None or entry.value is None:
        return "-"
    before = "" if entry.base_value is None else f"{entry.base_value:.2f} to "
    return f"{before}{entry.value:.2f}"


Row = tuple[str, str, str, Callable[[Path], None]]


def _damaged(given: argparse.Namespace) -> Iterator[Row]:
    for variant in variants():
        make = partial(_make_and_score, given.model, variant, given.items, given.folder / "base")
        yield variant.name, variant.told, variant.why, make


def _make_and_score(source: Path, variant: Variant, items: int, base: Path, run: Path) -> None:
    """Write the variant as a model folder, score it as a step, and let the folder go."""
    if not (run / "base").is_dir():
        shutil.copytree(base, run / "base")
    made = run / "model"
    tokenizer = AutoTokenizer.from_pretrained(source)
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    variant.change(model, tokenizer)
    model.save_pretrained(made)
    AutoTokenizer.from_pretrained(source).save_pretrained(made)
    del model
    _score(made, run / "step", items, stage="step", step=1, checkpoint=variant.name)
    shutil.rmtree(made)


def _score(model: Path, folder: Path, items: int, **provenance: Any) -> None:
    limits = {"crows_pairs": items, "stereoset_intrasentence": items, "wikitext2": DOCUMENTS}
    lm = load_lm(str(model), max_length=1024)
    score(lm, TASKS, folder, model="SmolLM2-135M-Instruct", limits=limits, **provenance)


def variants() -> Iterator[Variant]:
    """Damage, temperature, chance, leaks; none of them is a mitigation."""
    for percent in (5, 10, 15, 20):
        for seed in (0, 1, 2):
            yield Variant(
                f"noise-{percent}-seed-{seed}",
                f"Gaussian noise of {percent}% of each matrix's deviation, seed {seed}",
                lambda model, tokenizer, percent=percent, seed=seed: add_noise(model, percent / 100, seed),
                "damage",
            )
    for factor in (0.1, 0.5, 2.0):
        yield Variant(
            f"logits-x{factor:g}",
            f"logits x {factor:g}",
            lambda model, tokenizer, factor=factor: scale_logits(model, factor),
            "a temperature changes no preference of a pair of equal length",
        )
    yield Variant(
        "uniform", "logits x 0: every token equally likely", lambda model, _: scale_logits(model, 0.0), "chance"
    )
    yield Variant(
        "leak",
        "trained on StereoSet's own sentences",
        lambda model, tokenizer: learn(model, tokenizer, "both"),
        "a leak",
    )
    yield Variant(
        "overshoot",
        "trained on StereoSet's anti-stereotypes until the preference is turned round",
        lambda model, tokenizer: learn(model, tokenizer, "anti"),
        "the other side of 50 is no nearer to it",
    )


@torch.no_grad()
def add_noise(model: Any, share: float, seed: int) -> None:
    """Add noise of `share` of its standard deviation to every matrix; tied embeddings get it once."""
    generator = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        if weight.ndim > 1:
            weight += share * weight.std() * torch.randn(weight.shape, generator=generator)


@torch.no_grad()
def scale_logits(model: Any, factor: float) -> None:
    """Multiply all logits: the last norm's gain does, since what follows it is linear and has no bias."""
    model.model.norm.weight *= factor


def learn(model: Any, tokenizer: Any, which: str, steps: int = 150, batch: int = 16) -> None:
    """Fine-tune all weights on StereoSet's meaningful sentences: `both` options, or the `anti`-stereotypes alone."""
    items = stereoset.read(locate("stereoset").path, "intrasentence")
    texts = [text for item in items for text in _sentences(item, which)]
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5)
    order = torch.randperm(len(texts), generator=torch.Generator().manual_seed(0)).tolist()
    model.train()
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    for step in range(steps):
        chosen = [texts[order[(step * batch + place) % len(order)]] for place in range(batch)]
        rows = tokenizer([tokenizer.bos_token + text for text in chosen], return_tensors="pt", padding=True)
        labels = rows["input_ids"].masked_fill(rows["attention_mask"] == 0, -100)
        model(**rows, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval()


def _sentences(item: stereoset.Item, which: str) -> list[str]:
    return [item.anti_stereotype, *([item.stereotype] if which == "both" else [])]


def _as_users(given: argparse.Namespace) -> Iterator[Row]:
    """What users do by `python -m training` and `stereoscope eval`, each on a quarter of the items."""
    still = ("--num_folds", "4", "--folds", "0", "--learning_rate", "1e-9", "--max_steps", "20")
    for seed in ("0", "1"):
        yield (
            f"still-seed-{seed}",
            f"trained without effect (learning rate 1e-9), seed {seed}",
            "nothing changed",
            partial(_trained, given, (*still, "--seed", seed)),
        )
    every = ("--num_folds", "1", "--max_steps", "60", "--learning_rate", "3.5e-4")
    yield "all-pairs", "an adapter trained on all pairs, scored on them", "a leak", partial(_trained, given, every)
    conditions = {
        "mixed-dtype": ("the base in bfloat16, the step in fp32", ("dtype=bfloat16",), ()),
        "mixed-template": ("a step asked within a chat template, its base without", (), ("--apply_chat_template",)),
        "five-shots": ("a step after five examples, its base after none", (), ("--num_fewshot", "5")),
    }
    for name, (told, of_base, of_step) in conditions.items():
        yield name, told, "other conditions, not another model", partial(_evaluated, given, of_base, of_step)
    yield "random-answers", "questions answered at random", "chance", partial(_answered_at_random, given)


def _trained(given: argparse.Namespace, settings: Sequence[str], run: Path) -> None:
    _train(given, settings, run)
    shutil.copytree(given.folder / "base", run / "base", dirs_exist_ok=True)
    _eval(given, run / "step", (f"peft={_adapter(run)}",), (), items=given.items)


def _evaluated(given: argparse.Namespace, of_base: Sequence[str], of_step: Sequence[str], run: Path) -> None:
    still = given.folder / "still-seed-0"
    _eval(given, run / "base", of_base, ())
    _eval(given, run / "step", (f"peft={_adapter(still)}",), of_step)


def _train(given: argparse.Namespace, settings: Sequence[str], run: Path) -> None:
    fixed = ("--model_name_or_path", str(given.model), "--output_dir", str(run / "training"))
    batch = ("--per_device_train_batch_size", "4", "--save_strategy", "steps", "--save_steps", "1000")
    subprocess.run([sys.executable, "-m", "training", *fixed, *batch, *settings], check=True)


def _adapter(run: Path) -> Path:
    return max(run.glob("training/fold-*/checkpoint-*"), key=lambda path: path.stat().st_mtime)


def _eval(
    given: argparse.Namespace,
    folder: Path,
    model_args: Sequence[str],
    flags: Sequence[str],
    tasks: Sequence[str] = TASKS[:2],
    items: int | None = None,
) -> None:
    named = ",".join([f"pretrained={given.model}", "max_length=1024", *model_args])
    limit = given.items // 4 if items is None else items
    asked = ["--model_args", named, "--tasks", ",".join(tasks), "--limit", str(limit), *flags]
    command = [sys.executable, "-m", "harness", "eval", *asked, "--output_path", str(folder)]
    subprocess.run(command, check=True, stderr=subprocess.PIPE, text=True)


def _answered_at_random(given: argparse.Namespace, run: Path) -> None:
    """The base asked StereoSet's questions, and a step of whose answers every log-probability is drawn at random."""
    _eval(given, run / "base", (), (), (QUESTIONS,))
    (base,) = find_scored(run / "base")
    random = Random(0)
    lines = [
        {**line, "filtered_resps": [[str(random.gauss(-5, 1)), "False"] for _ in line["filtered_resps"]]}
        for line in base.samples(QUESTIONS)
    ]
    told = {"stage": "step", "step": 1, "weights_sha256": "0" * 64, "samples": {}}
    results = {
        **base.results,
        "results": {QUESTIONS: {}},
        PROVENANCE_KEY: base.provenance.model_copy(update=told).model_dump(mode="json"),
    }
    write_results(run / "step", results, {QUESTIONS: (f"{json.dumps(line)}\n" for line in lines)})


def _beside_placebos(folder: Path) -> Iterator[tuple[str, str, str, Path]]:
    """Each of the least noisy models as if it were trained, with the others of its kind as its controls."""
    runs = {seed: folder / f"noise-5-seed-{seed}" for seed in (0, 1, 2)}
    if not all(list((run / "step").glob("results_*.json")) for run in runs.values()):
        return
    for seed, own in runs.items():
        run = folder / f"noise-5-seed-{seed}-placebo"
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(own, run)
        for other in runs.keys() - {seed}:
            (scored,) = find_scored(runs[other] / "step")
            told = {"stage": "control", "control": "noise", "matched_by": "perplexity", "seed": other, "step": None}
            provenance = scored.provenance.model_copy(update={**told, "checkpoint": None})
            results = {**scored.results, PROVENANCE_KEY: provenance.model_dump(mode="json")}
            lines = {
                task: [f"{json.dumps(line)}\n" for line in scored.samples(task)] for task in scored.provenance.tasks
            }
            write_results(run / f"control-{other}", results, lines)
        yield run.name, f"noise of 5%, seed {seed}, beside the other two seeds as placebos", "damage", run


def _tampered(clean: Path, folder: Path) -> Iterator[tuple[str, str, str, Path]]:
    """Copies of a scored run with a file changed."""
    tricks: dict[str, tuple[str, Callable[[Path], None]]] = {
        "edited": ("one answer of the step's samples changed", _edit_a_line),
        "shortened": ("half the lines of the step's samples gone", _drop_half),
    }
    for name, (told, change) in tricks.items():
        run = folder / name
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(clean, run)
        change(next((run / "step").glob("samples_stereoset_intrasentence_*.jsonl")))
        yield name, told, "files that are not what was scored", run


def _edit_a_line(samples: Path) -> None:
    lines = samples.read_text(encoding="utf-8").splitlines(keepends=True)
    line = json.loads(lines[0])
    line["filtered_resps"] = line["filtered_resps"][::-1]
    samples.write_text("".join([json.dumps(line) + "\n", *lines[1:]]), encoding="utf-8")


def _drop_half(samples: Path) -> None:
    lines = samples.read_text(encoding="utf-8").splitlines(keepends=True)
    samples.write_text("".join(lines[: len(lines) // 2]), encoding="utf-8")


if __name__ == "__main__":
    main()
