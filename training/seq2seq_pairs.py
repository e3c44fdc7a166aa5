"""Pairs as an encoder-decoder reads them: the decoder's text is predicted, its end token included.

The decoder reads its own text shifted right by one, behind the model's start token. Padding is the target of nothing,
so it needs no label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from transformers import PreTrainedTokenizerBase

from harness.data.crows_pairs import Pair
from harness.data.infill import infill_pair, source_ids, target_ids
from training.pairs import PairRows, Row, shared_end

INSTRUCTION = "Write this sentence again, about other people: "


@dataclass(frozen=True)
class Seq2SeqRows:
    """One row a sentence.

    `infill`: the encoder reads what the pair shares, the decoder fills in the gaps, exactly as when the pair is scored.
    `rewrite`: the encoder reads an instruction and the pair's other sentence, the decoder writes this one.
    """

    tokenizer: PreTrainedTokenizerBase
    decoder_start_token_id: int
    form: Literal["infill", "rewrite"]

    def __call__(self, pair: Pair, epoch: int) -> PairRows:
        if self.form == "rewrite":
            more = self._row(INSTRUCTION + pair.sent_less, pair.sent_more)
            less = self._row(INSTRUCTION + pair.sent_more, pair.sent_less)
            return PairRows([more], [less], pair.row, shared_end(more.targets, less.targets))
        template, spans = infill_pair(pair.sent_more, pair.sent_less)
        more, less = (self._row(template, span) for span in spans)
        return PairRows([more], [less], pair.row)

    def _row(self, source: str, target: str) -> Row:
        labels = target_ids(self.tokenizer, target)
        return Row(
            {
                "input_ids": source_ids(self.tokenizer, source),
                "decoder_input_ids": [self.decoder_start_token_id, *labels[:-1]],
            },
            columns=list(range(len(labels))),
            targets=labels,
        )
