"""Every error a user can meet.

    OpenAutoGLMError             exit 1: a fault of ours or of the machine
    ├── InputError               exit 2: something given to us cannot be used
    │   ├── ConfigError          a key of params.yaml or config.yaml
    │   ├── DataError            rows, columns, labels
    │   ├── SourceError          a data source or base model that cannot be read
    │   ├── StoreError           MLflow, a DVC remote or a disk that does not answer or has no room
    │   │   └── ServerError      a Kubeflow server (`openautoglm.kubeflow.errors`)
    │   ├── ArtifactError        a folder that is missing, incomplete or not what its manifest says
    │   ├── BusyError            somebody else holds the lock
    │   └── RouteError           weights or names that no router may be given
    ├── StepError                a step broke although its input was good
    ├── RouterError              a gateway refused routes, or did not take them in time
    ├── DeployError              what was deployed does not become healthy
    ├── RunFailedError           a pipeline run that was waited for (`openautoglm.kubeflow.errors`)
    ├── Refusal                  a replica's error answer (`openautoglm.serving.refusals`)
    └── ReplicaError             what a client meets (`openautoglm.client.errors`)

An error says what was found, where, what is allowed and what to type next; `str(error)` is the
whole text, one part a line, ready for a terminal.
"""

from __future__ import annotations


class OpenAutoGLMError(Exception):
    """Root of all errors raised on purpose.

    Args:
        what: What was found, one sentence without a full stop.
        where: File with line, key path or row.
        allowed: What would have been accepted.
        hint: The next thing to type or do.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        allowed: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.allowed = allowed
        self.hint = hint

    def __str__(self) -> str:
        parts = [self.what]
        if self.where:
            parts.append(f"  where:   {self.where}")
        if self.allowed:
            parts.append(f"  allowed: {self.allowed}")
        if self.hint:
            parts.append(f"  next:    {self.hint}")
        return "\n".join(parts)


class InputError(OpenAutoGLMError):
    """Something the caller gave cannot be used; nothing was changed."""

    exit_code = 2


class ConfigError(InputError):
    """A configuration file has a key or a value that is not allowed."""


class DataError(InputError):
    """The rows themselves cannot be used: columns, labels, encoding, counts."""


class SourceError(InputError):
    """A data source or a base model cannot be read."""


class StoreError(InputError):
    """A store (MLflow, DVC remote, disk) does not answer or is full."""


class ArtifactError(InputError):
    """A folder is missing, incomplete, or differs from its manifest."""


class BusyError(InputError):
    """Another process holds the lock; the message names it."""


class RouteError(InputError):
    """Weights, names or endpoints that no router may be given."""


class StepError(OpenAutoGLMError):
    """A step failed although its input was good."""


class RouterError(OpenAutoGLMError):
    """A gateway refused its routes, or did not take them in time."""


class DeployError(OpenAutoGLMError):
    """What was deployed does not become healthy; the message names the process and its log."""
