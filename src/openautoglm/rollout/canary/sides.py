"""Who stands side by side: two versions of a registered model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from openautoglm.config.project import Project
from openautoglm.deploy.found import Found, by_alias
from openautoglm.deploy.release import Release
from openautoglm.deploy.resolve import place
from openautoglm.deploy.store import ModelStore
from openautoglm.inference.package import NumericInput, Package, TextInput, read_package


@dataclass(frozen=True)
class Sides:
    """Champion and challenger as the registry has them, each with the variant it chose.

    Attributes:
        champion: What serves now, or would.
        challenger: What may replace it.
        data: Digest of the rows the challenger was made from.
        models: The project's model store.
        found: Where the models of both are, the champion's first.
    """

    champion: Release
    challenger: Release
    data: str
    models: ModelStore
    found: tuple[Found, Found]

    @property
    def champion_labels(self) -> tuple[str, ...]:
        """The champion's classes; its model is in the store."""
        return self._package(self.champion).labels

    @property
    def differ(self) -> str:
        """Why one row cannot be asked of both; "" when it can. Their models are in the store."""
        first, second = (self._input(one) for one in (self.champion, self.challenger))
        if first.kind != second.kind:
            return f"the champion takes {first.kind} rows, and this model {second.kind} ones"
        one, other = getattr(first, "features", None), getattr(second, "features", None)
        return "" if one == other else "champion and this model take other features"

    def _package(self, release: Release) -> Package:
        return read_package(self.models.folder(release.digest))

    def _input(self, release: Release) -> TextInput | NumericInput:
        return self._package(release).families[release.family].input

    @contextmanager
    def placed(self) -> Iterator[None]:
        """Have both models in the store; they stay there until a ledger names them.

        Raises:
            ArtifactError: A model is damaged.
            StoreError: The registry's storage does not give it.
            OSError: The disk is full.
        """
        with self.models.reserved():
            for one in self.found:
                place(self.models, one.digest, one.files)
            yield


def sides(project: Project, service: str, model: str, champion: str, challenger: str) -> Sides:
    """Look up two versions.

    Args:
        project: Whose registry.
        service: What clients call the model.
        model: Its registered name.
        champion: A version.
        challenger: Another one.

    Raises:
        ConfigError: There is no such version, or it cannot be served.
        StoreError: The registry does not answer.
    """
    found = by_alias(project, model, champion), by_alias(project, model, challenger)
    first, second = (
        Release(
            name=service,
            version=one.version,
            digest=one.digest,
            family=one.choice.family,
            variant=one.choice.variant,
            origin=one.origin,
        )
        for one in found
    )
    return Sides(first, second, found[1].data, ModelStore(project), found)
