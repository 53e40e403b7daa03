"""What a comparison comes to."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """Of one metric. Missing data is `UNDECIDED`, never `NO_WORSE`."""

    NO_WORSE = "no_worse"
    WORSE = "worse"
    UNDECIDED = "undecided"
