"""Numbers as a pandas frame, where pandas is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas


def frame(rows: Sequence[Mapping[str, object]]) -> pandas.DataFrame:
    """A row a mapping, a column a key.

    Raises:
        ModuleNotFoundError: pandas is not installed; says how to install it.
    """
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("to_frame() needs pandas: pip install pandas") from error
    return pandas.DataFrame(rows)
