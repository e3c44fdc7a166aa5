"""One format of log lines for this project and the libraries under it, and what of theirs is no news to a user.

To be called by programs, never by what can be imported: a notebook keeps its own logging.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from types import TracebackType

from harness.terminal.printable import printable

OURS = ("harness", "training", "__main__")

_CHATTER = {
    # Whoever scores or trains on a CPU knows it.
    "DeepSpeed": ("Setting accelerator to CPU",),
    # lm-eval decodes greedily with the temperature 0 that it is given; nothing of it is in question.
    "transformers.generation": ("The following generation flags are not valid",),
    # It is what `accelerate launch` does wherever it is not told otherwise.
    "torch.distributed.run": ("Setting OMP_NUM_THREADS environment variable",),
    # Padding is masked, whatever its token, and texts end where the tokenizer says.
    "transformers.train": ("The tokenizer has new PAD/BOS/EOS tokens",),
    # Sentences are scored as they stand: a chat template would make them another question.
    "lm_eval.evaluator": ("appears to be an instruct or chat variant",),
    # The table and every report say how many items were scored.
    "lm_eval.config": ("--limit SHOULD ONLY BE USED FOR TESTING",),
}


def start_logging() -> None:
    """Set up a program's log on stderr: our lines from the first process of a launch, warnings from all.

    Deprecations are left out: they are news for who writes code against a library, and tests show them there.
    """
    handler = _BesideBars(sys.stderr)
    handler.setFormatter(_OneFormat(datefmt="%H:%M:%S"))
    handler.addFilter(_is_news)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in OURS:
        logging.getLogger(name).setLevel(logging.INFO if is_first_process() else logging.WARNING)
    logging.getLogger("lm_eval").setLevel(os.environ.get("LMEVAL_LOG_LEVEL", "").upper() or logging.WARNING)
    # These make their handlers in the middle of a run, when they are first needed; a filter is there before.
    for name in ("DeepSpeed", "torch.distributed.run"):
        logging.getLogger(name).addFilter(_through_root)
    sys.excepthook = _printed
    logging.captureWarnings(True)
    warnings.formatwarning = _one_line
    if not sys.warnoptions:
        for category in (FutureWarning, DeprecationWarning, PendingDeprecationWarning):
            warnings.simplefilter("ignore", category)


def is_first_process() -> bool:
    """Whether this is the first process of its launch, or the only one."""
    return os.environ.get("RANK", "0") == "0"


class _OneFormat(logging.Formatter):
    """`22:01:31 message`; what warns says so, and what is not ours says whose it is.

    Messages quote names and files of others, which a terminal is not to act on.
    """

    def format(self, record: logging.LogRecord) -> str:
        library = record.name.partition(".")[0]
        kind = record.levelname.lower() if record.levelno >= logging.WARNING else ""
        origin = "" if library in (*OURS, "py", "root") else library
        before = " ".join(filter(None, (kind, f"({origin})" if origin else "")))
        message = _joined(record) if origin else record.getMessage()
        text = f"{self.formatTime(record, self.datefmt)} {before}{': ' if before else ''}{message}"
        return printable(f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text)


class _BesideBars(logging.StreamHandler):  # type: ignore[type-arg]
    """Takes progress bars off the screen for the moment of a line, which would be appended to one otherwise."""

    def emit(self, record: logging.LogRecord) -> None:
        if "tqdm" not in sys.modules:
            super().emit(record)
            return
        from tqdm import tqdm

        with tqdm.external_write_mode(file=self.stream):
            super().emit(record)


def _is_news(record: logging.LogRecord) -> bool:
    message = _joined(record)
    return not any(
        record.name.startswith(name) and any(part in message for part in parts) for name, parts in _CHATTER.items()
    )


def _joined(record: logging.LogRecord) -> str:
    """The message as one line: lm-eval and DeepSpeed break theirs."""
    return " ".join(record.getMessage().split())


def _printed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """The traceback of what nobody caught, whose message may quote a file."""
    sys.stderr.write(printable("".join(traceback.format_exception(kind, error, trace))))


def _through_root(record: logging.LogRecord) -> bool:
    if record.levelno >= logging.WARNING:
        for handler in logging.getLogger().handlers:
            handler.handle(record)
    return False


def _one_line(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    return f"{category.__name__}: {message} ({filename}, line {lineno})"
