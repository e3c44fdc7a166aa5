"""Numbers as people read them, in reports, plans and messages."""

from __future__ import annotations

NOTHING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


def parameters(count: int | None) -> str:
    """A parameter count as people write it: 135M, 1.3B; a dash where it is not known."""
    if count is None:
        return NOTHING
    for size, suffix in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            digits = f"{count / size:.3g}" if count < 1000 * size else f"{count / size:.0f}"
            return f"{digits}{suffix}"
    return str(count)


def signed(value: float | None, decimals: int = 1) -> str:
    """A change with its sign, and none before a zero."""
    if value is None:
        return NOTHING
    text = f"{value:+.{decimals}f}"
    return text[1:] if float(text) == 0 else text.replace("-", MINUS)


def duration(seconds: float | None) -> str:
    """A time as people say it: "4.2 s", "67 s", "12 min", "3.5 h"; a dash where it is not known."""
    if seconds is None:
        return NOTHING
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def p_text(value: float | None) -> str:
    """A p value to the precision that means something."""
    if value is None:
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"
