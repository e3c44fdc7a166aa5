"""The planted pairs and items in the schemas of CrowS-Pairs and StereoSet, as a data folder that the tasks read."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from harness.data.sources import SOURCES
from harness.data.stereoset import BLANK
from harness.storage.files import atomic_write
from planted.corpus import GROUP_PAIRS, Corpus, Item


def write_data(corpus: Corpus, folder: Path) -> None:
    """Write the data folder; what stands for WikiText-2 in it is the corpus, an article a pair of groups."""
    texts = {"crows_pairs": _crows_pairs(corpus), "stereoset": _stereoset(corpus), "wikitext2": _running_text(corpus)}
    for name, text in texts.items():
        path = folder / SOURCES[name].path
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, text)


def _crows_pairs(corpus: Corpus) -> str:
    """An association's two pairs have one writer, so that no fold has one of them on either side."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["", "sent_more", "sent_less", "stereo_antistereo", "bias_type", "annotations", "anon_writer"])
    for number, pair in enumerate(corpus.pairs()):
        direction = ("stereo", "antistereo")[pair.attribute]
        name = f"{pair.association.groups}-{pair.association.attributes}"
        writer.writerow([number, " ".join(pair.more), " ".join(pair.less), direction, "nationality", "[]", name])
    return file.getvalue()


def _stereoset(corpus: Corpus) -> str:
    def entry(number: int, item: Item) -> dict[str, object]:
        options = {
            "stereotype": item.stereotype,
            "anti-stereotype": item.anti_stereotype,
            "unrelated": item.unrelated,
        }
        return {
            "id": f"planted-{number}",
            "target": item.group,
            "bias_type": "race",
            "context": " ".join(item.context),
            "sentences": [
                {"id": f"planted-{number}-{label}", "sentence": " ".join(words), "gold_label": label}
                for label, words in options.items()
            ],
        }

    items = [entry(number, item) for number, item in enumerate(corpus.items(BLANK))]
    return json.dumps({"version": "planted", "data": {"intrasentence": items, "intersentence": []}}, indent=1) + "\n"


def _running_text(corpus: Corpus) -> str:
    articles = []
    for groups in GROUP_PAIRS:
        about = {sentence: count for sentence, count in corpus.counts.items() if set(sentence) & set(groups)}
        lines = [f" {' '.join(sentence)} \n" for sentence, count in about.items() for _ in range(count)]
        articles.append(f" = {' and '.join(groups)} = \n \n{''.join(lines)}")
    return "".join(articles)
