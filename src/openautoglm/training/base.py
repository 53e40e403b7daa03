"""Where a base model to fine-tune comes from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from openautoglm.artifacts.digest import folder_digest
from openautoglm.errors import SourceError
from openautoglm.observability.progress import say

_ANSWER_SECONDS = 10


@dataclass(frozen=True)
class Base:
    """A base model that was found.

    Attributes:
        name: As `model.base` has it.
        place: What `from_pretrained` takes: a folder, or a hub id.
        commit: The hub's commit; None for a folder.
        digest: What it is: the commit, or the digest of the folder.
    """

    name: str
    place: str
    commit: str | None
    digest: str


def locate(base: str, revision: str | None, project: Path) -> Base:
    """Find a base: a folder (relative to `project`), the hub, or the hub's cache.

    Raises:
        SourceError: There is no such folder, and the hub does not know or does not answer and
            its cache does not hold it. Told within seconds.
    """
    folder = project / Path(base).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise SourceError(
                "a folder has no revision",
                where=f"params.yaml, key model.revision: {revision}",
                hint="set model.revision: null",
            )
        return Base(base, str(folder), None, folder_digest(folder))
    if not constants.HF_HUB_OFFLINE:
        try:
            # One short question, before the libraries begin their minutes of retries.
            found = HfApi().model_info(base, revision=revision, timeout=_ANSWER_SECONDS)
            commit = str(found.sha)
            return Base(base, base, commit, commit)
        except HFValidationError:
            raise SourceError(
                "this is neither a folder nor a name on the hub",
                where=_where(base, revision),
                allowed="a folder, or NAME, or OWNER/NAME",
            ) from None
        except HfHubHTTPError as error:
            raise SourceError(
                f"no folder of this name, and the hub refuses it: {_first_line(error)}",
                where=_where(base, revision),
                hint="check the name and the revision; for a private one: hf auth login",
            ) from None
        except Exception as error:  # no network is an error of whichever HTTP library is below
            say(f"the hub does not answer ({_first_line(error)}): looking into its cache")
    return _cached(base, revision)


def _cached(base: str, revision: str | None) -> Base:
    try:
        place = Path(snapshot_download(base, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, FileNotFoundError):
        raise SourceError(
            "no folder of this name, the hub cannot be asked, and its cache does not hold it",
            where=_where(base, revision),
            hint="connect to the network, or give a local folder in model.base",
        ) from None
    return Base(base, str(place), None, place.name)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _where(base: str, revision: str | None) -> str:
    return f"params.yaml, key model.base: {base}" + (f" at {revision}" if revision else "")
