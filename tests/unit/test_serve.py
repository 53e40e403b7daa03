"""What `openautoglm serve` says of a model it cannot serve, before anything listens."""

from __future__ import annotations

import pytest

from openautoglm.cli.serve import serve
from openautoglm.errors import ArtifactError
from openautoglm.serving.listen import Places


def refused(model, digest=None):
    with pytest.raises(ArtifactError) as error:
        serve(
            model,
            digest=digest,
            name="clc",
            version=None,
            family=None,
            variant=None,
            places=Places("127.0.0.1", 0, None, reuse_port=False),
            settings_file=None,
            assigned=(),
        )
    return str(error.value)


def test_a_folder_that_is_no_model_is_told_apart_from_one_without_a_manifest(tmp_path):
    assert "there is no compressed model" in refused(tmp_path / "nothing")
    (tmp_path / "payload").mkdir()
    found = refused(tmp_path)
    assert "no manifest" in found
    assert "--digest sha256-" in found


def test_a_file_is_no_model(tmp_path):
    file = tmp_path / "file"
    file.touch()
    assert "there is no compressed model" in refused(file)


def test_another_digest_is_shown_beside_the_one_that_was_asked_for(tmp_path):
    (tmp_path / "payload").mkdir()
    asked = f"sha256-{'0' * 64}"
    found = refused(tmp_path, asked)
    assert asked in found
    assert "the model's digest is sha256-" in found
