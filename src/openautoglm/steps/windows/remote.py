"""A window's file that lies elsewhere, copied here."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from openautoglm.errors import DataError, StoreError


@contextmanager
def local_copy(place: str, root: Path) -> Iterator[Path]:
    """The file that a path or URI names, as a local file under its own name.

    Args:
        place: A path, relative ones to `root`, or a URI that fsspec opens: `s3://BUCKET/KEY`.
        root: The project root.

    Raises:
        DataError: There is no such file.
        StoreError: Its store does not answer, refuses, or is of no kind that is installed.
    """
    if "://" not in place:
        yield root / place
        return
    with tempfile.TemporaryDirectory(prefix="openautoglm-") as folder:
        copy = Path(folder) / Path(urlsplit(place).path).name
        _fetch(place, copy)
        yield copy


def _fetch(uri: str, copy: Path) -> None:
    import fsspec  # type: ignore[import-untyped]

    shown = uri.partition("?")[0]  # what is behind the mark may be a signature
    try:
        with fsspec.open(uri, "rb") as there, copy.open("wb") as here:
            shutil.copyfileobj(there, here)
    except FileNotFoundError as error:
        raise DataError("there is no such file", where=shown) from error
    except (ImportError, ValueError) as error:
        raise StoreError(
            f"nothing that is installed opens this: {str(error)[:200]}",
            where=shown,
            hint="pip install -c constraints.txt -e '.[s3]', for s3://",
        ) from error
    except Exception as error:  # every kind of store has errors of its own
        raise StoreError(
            f"the store of the window does not give it: {str(error)[:200]}",
            where=shown,
            hint="check its credentials and address, e.g. AWS_ENDPOINT_URL",
        ) from error
