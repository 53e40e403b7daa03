"""A full or read-only disk, told as what it is, however deep in a library it was met."""

from __future__ import annotations

import errno

from openautoglm.errors import StoreError

_FULL = ("no space left on device", "disk is full", "disk quota exceeded")


def disk_problem(error: BaseException) -> StoreError | None:
    """What is wrong with the disk; None when that is not what an error comes from.

    Args:
        error: With its causes.
    """
    seen: BaseException | None = error
    while seen is not None:
        number = seen.errno if isinstance(seen, OSError) else None
        text = str(seen).lower()
        if number in (errno.ENOSPC, errno.EDQUOT) or any(part in text for part in _FULL):
            where = getattr(seen, "filename", None)
            return StoreError(
                "no space left on the disk; nothing half-written was kept",
                where=str(where) if where else None,
                hint="free some space, then the same command again",
            )
        if number == errno.EROFS:
            return StoreError("the disk is read-only", where=str(getattr(seen, "filename", "")))
        seen = seen.__cause__ or seen.__context__
    return None
