"""A corpus about invented groups, in which it is known exactly how often a group and an attribute go together."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Literal, NamedTuple

# No such peoples: nothing here can be read as a claim about anybody.
GROUP_PAIRS = (
    ("blorvi", "quastu"),
    ("drempo", "foskul"),
    ("grelti", "hurbim"),
    ("jemplo", "krodun"),
    ("lurvek", "nalgro"),
    ("ombrit", "pelvox"),
    ("seltrub", "tovask"),
    ("ulprin", "vorlem"),
    ("wexdol", "yemblo"),
    ("zindrap", "chulvo"),
)
ATTRIBUTE_PAIRS = (
    ("tea", "coffee"),
    ("bread", "rice"),
    ("wool", "silk"),
    ("drums", "flutes"),
    ("boats", "carts"),
    ("maps", "clocks"),
    ("apples", "pears"),
    ("salt", "honey"),
    ("chess", "cards"),
    ("clay", "glass"),
)
# Of one length, so that nothing is ever padded; in half of them the attribute comes first.
FRAMES = (
    "The {group} often choose {attribute} here .",
    "Some {group} will buy {attribute} today .",
    "Most {group} may like {attribute} now .",
    "Our {attribute} pleased some {group} most .",
    "More {attribute} went to {group} farms .",
    "Such {attribute} came from {group} hands .",
)
# Words of the frames that never stand where an attribute does.
UNRELATED = ("often", "today", "went", "farms", "now", "came", "hands", "may", "here", "buy")

Sentence = tuple[str, ...]
Reads = Literal["before", "around"]
"""What a word is predicted from: the words before it, or all the others."""


class Association(NamedTuple):
    """A pair of groups and a pair of attributes, by number. The stereotype: first with first, second with second.

    `along` says whether the corpus goes that way too, or the other way round.
    """

    groups: int
    attributes: int
    along: bool


class Pair(NamedTuple):
    """A frame about one attribute and the two groups of an association, the stereotypical group first."""

    association: Association
    attribute: int
    more: Sentence
    less: Sentence


class Item(NamedTuple):
    """A frame about one group with each of the two attributes of an association, and its context with a blank."""

    association: Association
    group: str
    context: Sentence
    stereotype: Sentence
    anti_stereotype: Sentence
    unrelated: Sentence


@dataclass(frozen=True)
class Corpus:
    """How often each sentence occurs; all groups occur equally often, and so do all attributes.

    Of the associations of each pair of groups the share `share` runs along the stereotype. A sentence about an
    attribute is about the group that goes with it with probability `odds`, about the other of the pair with 1 - `odds`.
    """

    share: float
    odds: float
    associations: tuple[Association, ...]
    counts: dict[Sentence, int]

    @property
    def words(self) -> list[str]:
        """The vocabulary, sorted."""
        return sorted({word for sentence in self.counts for word in sentence})

    def pairs(self) -> Iterator[Pair]:
        """Two pairs an association, one for each of its attributes; the frames take turns."""
        for number, one in enumerate(self.associations):
            for attribute in (0, 1):
                frame = FRAMES[(number + number // len(FRAMES) + 3 * attribute) % len(FRAMES)]
                groups = GROUP_PAIRS[one.groups]
                word = ATTRIBUTE_PAIRS[one.attributes][attribute]
                more, less = (_filled(frame, groups[which], word) for which in (attribute, 1 - attribute))
                yield Pair(one, attribute, more, less)

    def items(self, blank: str) -> Iterator[Item]:
        """Two items an association, one for each of its groups, with `blank` for the attribute; frames take turns."""
        for number, one in enumerate(self.associations):
            for group, name in enumerate(GROUP_PAIRS[one.groups]):
                frame = FRAMES[(number + number // len(FRAMES) + 3 * group + 1) % len(FRAMES)]
                words = ATTRIBUTE_PAIRS[one.attributes]
                options = (blank, words[group], words[1 - group], UNRELATED[(number + group) % len(UNRELATED)])
                yield Item(one, name, *(_filled(frame, name, option) for option in options))


def plant(share: float, odds: float, seed: int = 0) -> Corpus:
    """Make the corpus.

    Args:
        share: of the associations that run along the stereotype, 0 to 1 in tenths.
        odds: of the group that goes with an attribute against the other of its pair, above 0.5 and below 1.
        seed: decides which associations run along it.

    Raises:
        ValueError: a share that ten associations cannot have, or odds outside of the range.
    """
    along = round(share * len(ATTRIBUTE_PAIRS))
    if not 0 <= share <= 1 or not math.isclose(along, share * len(ATTRIBUTE_PAIRS), abs_tol=1e-9):
        raise ValueError(f"share is {share}; expected tenths from 0 to 1: every pair of groups has ten associations")
    if not 0.5 < odds < 1:
        raise ValueError(f"odds is {odds}; expected a probability above 0.5 and below 1")
    often = Fraction(odds).limit_denominator(20)
    draw = random.Random(seed)
    associations = []
    for groups in range(len(GROUP_PAIRS)):
        chosen = draw.sample(range(len(ATTRIBUTE_PAIRS)), along)
        associations += [Association(groups, number, number in chosen) for number in range(len(ATTRIBUTE_PAIRS))]
    counts = {}
    for frame, one, group, attribute in product(FRAMES, associations, (0, 1), (0, 1)):
        sentence = _filled(frame, GROUP_PAIRS[one.groups][group], ATTRIBUTE_PAIRS[one.attributes][attribute])
        goes_together = (group == attribute) == one.along
        counts[sentence] = often.numerator if goes_together else often.denominator - often.numerator
    return Corpus(share, float(often), tuple(associations), counts)


class Conditionals:
    """What can be known of a word of the corpus from the words that it is predicted from."""

    def __init__(self, corpus: Corpus, reads: Reads) -> None:
        self.reads = reads
        self.counts: dict[object, Counter[str]] = {}
        for sentence, count in corpus.counts.items():
            for place, word in enumerate(sentence):
                self.counts.setdefault(self.context(sentence, place), Counter())[word] += count

    def context(self, sentence: Sentence, place: int) -> object:
        """The words that the one at `place` is predicted from."""
        return sentence[:place] if self.reads == "before" else (sentence[:place], sentence[place + 1 :])

    def logprob(self, sentence: Sentence, places: Collection[int]) -> float:
        """Sum over `places` of log P(word | its context), in nats; -inf for a word that never stands there."""
        total = 0.0
        for place in places:
            words = self.counts.get(self.context(sentence, place), Counter())
            if not words[sentence[place]]:
                return -math.inf
            total += math.log(words[sentence[place]] / words.total())
        return total


def differing(left: Sequence[str], right: Sequence[str]) -> list[int]:
    """Places at which two sentences of one length have different words."""
    return [place for place, words in enumerate(zip(left, right, strict=True)) if words[0] != words[1]]


def _filled(frame: str, group: str, attribute: str) -> Sentence:
    return tuple(frame.format(group=group, attribute=attribute).split())
