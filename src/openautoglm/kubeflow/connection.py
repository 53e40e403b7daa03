"""Where a Kubeflow server is and how it is spoken to: address, token, certificates."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from openautoglm.errors import ConfigError
from openautoglm.kubeflow.patience import Patience

TOKEN = "OPENAUTOGLM_KUBEFLOW_TOKEN"  # noqa: S105
HOST = "OPENAUTOGLM_KUBEFLOW_HOST"
PROJECTED = "KF_PIPELINES_SA_TOKEN_PATH"
"""Where Kubeflow itself says which file a pod's token for Kubeflow Pipelines is projected into."""
_PROJECTED = Path("/var/run/secrets/kubeflow/pipelines/token")


@dataclass(frozen=True)
class Token:
    """A bearer token, or where it is read from before each request.

    Attributes:
        value: The token itself; never shown.
        file: Read anew each time: what is projected into a pod is replaced within the hour.
    """

    value: str | None = field(default=None, repr=False)
    file: Path | None = None

    def read(self) -> str | None:
        """The token that is good now; None where none is used.

        Raises:
            ConfigError: The file cannot be read, or what is there cannot be a token.
        """
        if self.file is None:
            return self.value
        try:
            found = self.file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "no text of plain letters"
            raise ConfigError(
                f"the token cannot be read: {why}", where=str(self.file), hint=_HOW
            ) from None
        return _checked(found, str(self.file))


_HOW = f"--token-file FILE, or the token itself in {TOKEN}"


def _checked(token: str, where: str) -> str:
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        what = "has blanks, breaks or other signs within" if token else "is empty"
        raise ConfigError(f"the token {what}", where=where, hint=_HOW)
    return token


@dataclass(frozen=True)
class Connection:
    """How a server is spoken to.

    Attributes:
        host: `http://` or `https://`, and a path where Kubeflow is behind one.
        token: Who asks.
        namespace: Whose pipelines, experiments and runs, on a server of several users.
        ca: Certificates of those who may sign the server's; None takes the usual ones.
        timeout: Seconds for one attempt of a request.
        patience: How often and how long it is asked again.
    """

    host: str
    token: Token = Token()
    namespace: str | None = None
    ca: Path | None = None
    timeout: float = 30.0
    patience: Patience = field(default_factory=Patience)


def connection(
    host: str | None,
    *,
    token_file: Path | None = None,
    ca: Path | None = None,
    namespace: str | None = None,
    timeout: float = 30.0,
) -> Connection:
    """A connection from what a command line and the environment say.

    Args:
        host: The server's address; None takes `OPENAUTOGLM_KUBEFLOW_HOST`.
        token_file: Where the token is; without it `OPENAUTOGLM_KUBEFLOW_TOKEN`, then, in a pod,
            the token that is projected there, then none.
        ca: A file of certificates.
        namespace: Of the user.
        timeout: Seconds for one attempt.

    Raises:
        ConfigError: There is no host, or one of these cannot be used.
    """
    address = host or os.environ.get(HOST)
    if not address:
        raise ConfigError(
            "no server is named",
            where="--host",
            allowed="the address of Kubeflow Pipelines, as https://HOST/pipeline",
            hint=f"--host URL, or the URL in {HOST}; "
            "kubectl port-forward -n kubeflow svc/ml-pipeline 8888 gives http://localhost:8888",
        )
    if ca is not None:
        _refuse_no_certificates(ca)
    if timeout <= 0:
        raise ConfigError(f"found {timeout}", where="--timeout", allowed="more than 0 seconds")
    return Connection(_address(address), _token(token_file), namespace, ca, timeout)


def _refuse_no_certificates(file: Path) -> None:
    try:
        ssl.create_default_context(cafile=str(file))
    except OSError as error:  # SSLError among them
        raise ConfigError(
            f"the certificates cannot be read: {error.strerror or error}",
            where=f"--ca {file}",
            allowed="a PEM file of certificates",
        ) from None


def _address(given: str) -> str:
    try:
        parts = urlsplit(given)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or parts.scheme not in ("http", "https") or port == 0:
        raise ConfigError(
            "this is no address of a server",
            where=f"--host {given.rpartition('@')[2]}",
            allowed="http://HOST:PORT or https://HOST, with a path where there is one",
        )
    if parts.username or parts.password:
        raise ConfigError(
            "user and password do not belong into the address",
            where=f"--host {parts.scheme}://...@{given.rpartition('@')[2]}",
            hint=_HOW,
        )
    if parts.query or parts.fragment:
        # What a browser shows: https://HOST/pipeline/#/runs is Kubeflow at https://HOST/pipeline.
        raise ConfigError(
            "an address ends before `?` and `#`",
            where=f"--host {given}",
            hint=f"--host {given.partition('#')[0].partition('?')[0].rstrip('/')}",
        )
    return given.rstrip("/")


def _token(file: Path | None) -> Token:
    if file is not None:
        token = Token(file=file)
        token.read()
        return token
    if given := os.environ.get(TOKEN):
        return Token(_checked(given.strip(), f"environment variable {TOKEN}"))
    projected = Path(os.environ.get(PROJECTED) or _PROJECTED)
    return Token(file=projected) if projected.is_file() else Token()
