"""How many texts a model is given at once: by what a CPU is fastest with, or by the memory that a GPU has free."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

import torch
from torch import nn

log = logging.getLogger(__name__)

# A batch's logits in fp32, which are held twice at once: of a vocabulary of 250,000 tokens those of 267 positions. More
# at once are not faster, on a GPU neither from some thousand on.
LOGITS_BYTES = {"cpu": 256 << 20, "cuda": 1 << 30}
# Positions in one forward pass on a GPU, where its memory has room for them; more are not faster.
GPU_POSITIONS = 16384

Row = TypeVar("Row")
Scored = TypeVar("Scored")


class InBatches:
    """A model of lm-eval's that cuts what it is asked into batches."""

    # Tokens in one forward pass on a CPU. Measured: from 512 on, more of them take longer each with SmolLM2-135M, and
    # as long with BERT-base, whose head runs on masked places alone.
    cpu_batch_tokens: ClassVar[int] = 512

    device: Any
    batch_size: Any
    max_batch_size: Any
    vocab_size: int
    _model: Any
    _halved = False

    @contextmanager
    def batch_size_known(self) -> Iterator[None]:
        """For lm-eval's own loops, where "auto" has it run full windows until memory ends, and print what it found.

        Likelihoods are cut by tokens anyway.
        """
        asked = self.batch_size
        if asked == "auto":
            self.batch_size_per_gpu: Any = 16 if self.device.type == "cpu" else int(self.max_batch_size)
        try:
            yield
        finally:
            self.batch_size_per_gpu = asked

    def batches(
        self, rows: Sequence[Row], length: Callable[[Row], int], predictions: Callable[[Row], int] | None = None
    ) -> Iterator[Sequence[Row]]:
        """Cut rows, longest first, into batches that stay below the limits on positions, once padded, and on logits.

        Args:
            predictions: of how many of a row's positions logits are made; by default of all.
        """
        most = len(rows) if self.batch_size == "auto" else int(self.batch_size)
        start = 0
        while start < len(rows):
            positions, logits = self._room()
            longest = length(rows[start])
            size, made = 0, 0
            for row in rows[start : start + min(most, max(1, positions // longest))]:
                made += longest if predictions is None else predictions(row)
                if size and made > logits:
                    break
                size += 1
            yield rows[start : start + size]
            start += size

    def over_batches(
        self,
        rows: Sequence[Row],
        length: Callable[[Row], int],
        score: Callable[[Sequence[Row]], Scored],
        predictions: Callable[[Row], int] | None = None,
    ) -> Iterator[tuple[Sequence[Row], Scored]]:
        """`batches`, each with what `score` makes of it.

        The first time that a GPU's memory does not suffice, the batch is scored in halves, and all after it are half as
        large.

        Raises:
            torch.OutOfMemoryError: the second time.
        """
        for batch in self.batches(rows, length, predictions):
            try:
                parts = [(batch, score(batch))]
            except torch.OutOfMemoryError:
                if self._halved or len(batch) == 1:
                    raise
                log.warning("out of memory with %d texts at once: half as many from here on", len(batch))
                self._halved, half = True, len(batch) // 2
                torch.cuda.empty_cache()
                parts = [(part, score(part)) for part in (batch[:half], batch[half:])]
            yield from parts

    def _room(self) -> tuple[int, int]:
        """Positions and rows of logits in one forward pass, on a GPU as its free memory has room for them."""
        of_logits = LOGITS_BYTES.get(self.device.type, LOGITS_BYTES["cuda"])
        positions = self.cpu_batch_tokens
        if self.device.type == "cuda":
            free = torch.cuda.mem_get_info(self.device)[0]
            # torch keeps what was freed.
            free += torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
            of_logits = min(of_logits, free // 8)
            positions = min(GPU_POSITIONS, free // 4 // (self._model.dtype.itemsize * _widths_at_once(self._model)))
        elif self.device.type != "cpu":
            positions = of_logits // (4 * self.vocab_size)
        share = 2 if self._halved else 1
        return positions // share, of_logits // (4 * self.vocab_size) // share


def _widths_at_once(model: Any) -> int:
    """Numbers that a layer's forward pass holds at once for a position: some hidden states, and its widest layer's."""
    hidden = int(model.get_input_embeddings().weight.shape[1])
    head = model.get_output_embeddings()
    wide = max(
        (module.out_features for module in model.modules() if isinstance(module, nn.Linear) and module is not head),
        default=4 * hidden,
    )
    return 8 * hidden + 4 * int(wide)
