"""`openautoglm schema`: every key there is, for machines and for the reference pages in `docs`."""

from __future__ import annotations

import json
from enum import StrEnum

from pydantic import BaseModel

from openautoglm.cli.schema_tables import tables
from openautoglm.config.params import Params
from openautoglm.config.pipelines import PipelineSettings
from openautoglm.config.schedules import Schedules
from openautoglm.config.service import Service
from openautoglm.config.serving import Serving


class Page(StrEnum):
    """What can be asked for."""

    PARAMS = "params"
    SERVING = "serving"
    SERVICE = "service"
    PIPELINES = "pipelines"
    SCHEDULES = "schedules"


_MODELS: dict[Page, type[BaseModel]] = {
    Page.PARAMS: Params,
    Page.SERVING: Serving,
    Page.SERVICE: Service,
    Page.PIPELINES: PipelineSettings,
    Page.SCHEDULES: Schedules,
}
_PARAMS_HEAD = """\
# params.yaml

How a model is made, key by key. Written by `openautoglm schema --markdown > docs/params.md`; a
test holds it against the code. `openautoglm schema` prints the same as JSON Schema. Unknown keys
are refused, and so is a key that could not matter beside the others.
"""
_SERVING_HEAD = """\
# Serving settings

How a replica serves, key by key: `openautoglm serve --set batching.max_batch_size=64`, or a YAML
file with `--settings FILE`. Written by `openautoglm schema serving --markdown >
docs/serving-settings.md`; a test holds it against the code. Unknown keys are refused.
"""
_SERVICE_HEAD = """\
# config.yaml

How a model is deployed, key by key: `openautoglm deploy -c config.yaml`. Written by `openautoglm
schema service --markdown > docs/service-settings.md`; a test holds it against the code. Unknown
keys are refused, and so is a key that could not matter beside the others.
"""
_PIPELINES_HEAD = """\
# pipelines/settings.yaml

Where and how the tasks of a Kubeflow pipeline run, key by key; [kubeflow.md](kubeflow.md) tells
what the pipelines are. Written by `openautoglm schema pipelines --markdown >
docs/pipeline-settings.md`; a test holds it against the code. Unknown keys are refused.
"""
_SCHEDULES_HEAD = """\
# pipelines/schedules.yaml

Which pipelines a Kubeflow server runs by itself, and when, key by key: `openautoglm pipeline
schedule`, see [kubeflow-server.md](kubeflow-server.md). Written by `openautoglm schema schedules
--markdown > docs/schedule-settings.md`; a test holds it against the code. Unknown keys are refused.
"""
_HEADS = {
    Page.PARAMS: _PARAMS_HEAD,
    Page.SERVING: _SERVING_HEAD,
    Page.SERVICE: _SERVICE_HEAD,
    Page.PIPELINES: _PIPELINES_HEAD,
    Page.SCHEDULES: _SCHEDULES_HEAD,
}


def json_schema(page: Page) -> str:
    """JSON Schema of a file's keys."""
    schema = _MODELS[page].model_json_schema()
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def markdown(page: Page) -> str:
    """The page of `docs`: one table a section, with the keys' full names."""
    schema = _MODELS[page].model_json_schema()
    return "\n".join((_HEADS[page], *tables("", schema, schema["$defs"], level=1)))
