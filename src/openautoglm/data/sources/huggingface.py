"""A Hugging Face data set: a local folder, or a name on the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from openautoglm.artifacts.digest import file_sha256
from openautoglm.config.data import HuggingFaceSource
from openautoglm.data.raw import RawFile
from openautoglm.errors import SourceError
from openautoglm.observability.progress import say

_FILE = "rows.parquet"
_ANSWER_SECONDS = 10
_BATCH = 10_000


def fetch_huggingface(
    source: HuggingFaceSource, project: Path, work: Path, payload: Path
) -> tuple[RawFile, dict[str, str | None]]:
    """Write one split of a data set as Parquet; class labels become their names.

    Args:
        source: What to read.
        project: A relative folder is relative to it.
        work: Where the library may unpack a local folder.
        payload: Where to write.

    Returns:
        The file, and its origin: path, config, split and the commit on the hub (None for a folder).

    Raises:
        SourceError: The extra `hub` is missing, the hub does not answer or knows no such name,
            or the data set cannot be loaded.
    """
    try:
        import datasets
    except ImportError:
        raise SourceError(
            "Hugging Face data sets need the extra `hub`",
            where="params.yaml, key data.source.kind",
            hint="pip install 'open-autoglm[hub]'",
        ) from None
    folder = project / Path(source.path).expanduser()
    is_folder = folder.is_dir()
    commit = None if is_folder else _commit(source)
    say(f"loading {source.path}, split {source.split}")
    try:
        loaded = datasets.load_dataset(
            str(folder) if is_folder else source.path,
            source.config,
            split=source.split,
            revision=commit,
            cache_dir=str(work / "datasets") if is_folder else None,
        )
    # The library raises what its readers raise.
    except Exception as error:
        raise SourceError(
            f"the data set cannot be loaded: {error}",
            where=_where(source),
            hint="check data.source.path, config and split",
        ) from error
    _write(loaded, payload / _FILE)
    name = folder.name if is_folder else source.path
    raw = RawFile(file=_FILE, name=f"{name}:{source.split}", sha256=file_sha256(payload / _FILE))
    absolute = Path(source.path).expanduser().is_absolute()
    origin = {
        "path": folder.name if absolute else source.path,
        "config": source.config,
        "split": source.split,
        "commit": commit,
    }
    return raw, origin


def _commit(source: HuggingFaceSource) -> str | None:
    """Ask the hub which commit the revision means: one short question, before any retries.

    Offline (HF_HUB_OFFLINE) nobody is asked, and only what is in the cache can be loaded.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    if constants.HF_HUB_OFFLINE:
        return source.revision
    try:
        found = HfApi().dataset_info(source.path, revision=source.revision, timeout=_ANSWER_SECONDS)
    except HFValidationError:
        raise SourceError(
            "this is neither a folder nor a name on the hub",
            where=_where(source),
            allowed="a folder, or NAME, or OWNER/NAME",
        ) from None
    except HfHubHTTPError as error:
        raise SourceError(
            f"no folder of this name, and the hub refuses it: {error}",
            where=_where(source),
            hint="check the name and the revision; for a private one: hf auth login",
        ) from None
    except Exception as error:  # no network is an error of whichever HTTP library is below
        raise SourceError(
            f"no folder of this name, and the hub does not answer: {error}",
            where=f"{_where(source)}, {constants.ENDPOINT}",
            hint="connect to the network, or give a local folder in data.source.path",
        ) from None
    return found.sha


def _write(loaded: Any, path: Path) -> None:
    names = {
        column: pa.array(feature.names)
        for column, feature in loaded.features.items()
        if hasattr(feature, "int2str")
    }
    writer = None
    try:
        for batch in loaded.with_format("arrow").iter(batch_size=_BATCH):
            table = _named(batch, names).replace_schema_metadata(None)
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        raise SourceError("the split has no rows", where=path.name)
    say(f"{len(loaded)} rows, {path.stat().st_size / 1e6:.1f} MB")


def _named(table: pa.Table, names: dict[str, pa.Array]) -> pa.Table:
    for column, values in names.items():
        position = table.schema.get_field_index(column)
        codes = table.column(column).combine_chunks()
        # -1 is the library's sign for "no label".
        codes = pc.if_else(pc.less(codes, 0), None, codes)
        table = table.set_column(position, column, values.take(codes))
    return table


def _where(source: HuggingFaceSource) -> str:
    return f"{source.path}, revision {source.revision or 'none given'}"
