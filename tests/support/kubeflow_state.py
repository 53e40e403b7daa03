"""What a Kubeflow Pipelines server keeps, and what it refuses: the v2beta1 API without HTTP.

Statuses and sense of the messages follow `backend/src/apiserver` of kubeflow/pipelines 2.
"""

from __future__ import annotations

import base64
import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from tests.support import robfig
from tests.support.kubeflow_models import RefusalError, body_of, invalid

Row = dict[str, Any]
_KINDS = {
    "STRING": str,
    "NUMBER_INTEGER": (int, float),
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": bool,
    "LIST": list,
    "STRUCT": dict,
}


class State:
    """Rows by kind, each with its id; a second passes with every row that is made."""

    def __init__(self, *, multi_user: bool) -> None:
        self.multi_user = multi_user
        self.rows: dict[str, dict[str, Row]] = {
            kind: {} for kind in ("experiments", "pipelines", "versions", "runs", "recurring_runs")
        }
        self._numbers = itertools.count(1)

    def get(self, kind: str, id_: str) -> Row:
        if id_ not in self.rows[kind]:
            raise RefusalError(404, 5, f"{kind} {id_} not found")
        return self.rows[kind][id_]

    def add(self, kind: str, key: str, row: Row) -> Row:
        number = next(self._numbers)
        made = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
        row = {**row, key: f"{kind}-{number}", "created_at": made.isoformat()}
        self.rows[kind][row[key]] = row
        return row

    def create_experiment(self, data: Any) -> Row:
        row = body_of("V2beta1Experiment", data, ("display_name",), ("experiment_id",))
        self._namespace(row)
        self._refuse_twin("experiments", row, ("display_name", "namespace"))
        return self.add("experiments", "experiment_id", {**row, "storage_state": "AVAILABLE"})

    def create_pipeline(self, data: Any) -> Row:
        row = body_of("V2beta1Pipeline", data, ("display_name",), ("pipeline_id",))
        self._namespace(row)
        row = {**row, "name": row.get("name") or row["display_name"]}
        self._refuse_twin("pipelines", row, ("name", "namespace"))
        return self.add("pipelines", "pipeline_id", row)

    def upload_version(self, query: dict[str, str], file: str, content: bytes) -> Row:
        """As the multipart upload does it."""
        self.get("pipelines", query.get("pipelineid", ""))
        if not file.endswith((".yaml", ".yml", ".zip", ".tar.gz")):
            raise invalid("Unexpected pipeline file format. Support .zip, .tar.gz or YAML")
        spec = _spec(content)
        name = query.get("name") or query.get("display_name") or file
        if len(name) > 127:
            raise invalid("PipelineVersion.Name is longer than 127 characters")
        row = {
            "pipeline_id": query["pipelineid"],
            "name": name,
            "display_name": query.get("display_name") or name,
            "description": query.get("description", ""),
        }
        self._refuse_twin("versions", row, ("name", "pipeline_id"))
        row = self.add("versions", "pipeline_version_id", row)
        self.rows["versions"][row["pipeline_version_id"]]["spec"] = spec
        return row

    def create_run(self, data: Any) -> Row:
        row = body_of(
            "V2beta1Run",
            data,
            ("display_name", "experiment_id", "pipeline_version_reference"),
            ("run_id", "state", "created_at"),
        )
        self.get("experiments", row["experiment_id"])
        self._fits(row)
        return self.add("runs", "run_id", {**row, "state": "PENDING"})

    def create_recurring_run(self, data: Any) -> Row:
        row = body_of(
            "V2beta1RecurringRun",
            data,
            ("display_name", "experiment_id", "pipeline_version_reference", "trigger"),
            ("recurring_run_id", "status", "created_at"),
        )
        self.get("experiments", row["experiment_id"])
        self._fits(row)
        if row.get("mode", "MODE_UNSPECIFIED") == "MODE_UNSPECIFIED":
            raise invalid("Recurring run has no mode")
        concurrency = row.get("max_concurrency", "0")
        if not concurrency.isdecimal() or not 1 <= int(concurrency) <= 10:
            raise invalid(
                "Max concurrency of a recurring run must be at least 1 and at most 10. "
                f"Received {concurrency}"
            )
        try:
            robfig.parse(row["trigger"]["cron_schedule"]["cron"])
        except ValueError as error:
            raise invalid(f"Schedule cron is not a supported format. Error: {error}") from None
        experiment = self.rows["experiments"][row["experiment_id"]]
        whose = {key: experiment[key] for key in ("namespace",) if key in experiment}
        return self.add(
            "recurring_runs",
            "recurring_run_id",
            {**row, **whose, "status": f"{row['mode']}D"},
        )

    def switch(self, id_: str, mode: str) -> Row:
        self.get("recurring_runs", id_).update(mode=mode, status=f"{mode}D")
        return {}

    def listed(self, kind: str, query: dict[str, str], inside: Row, key: str = "") -> Row:
        """A page of rows, newest last.

        Args:
            kind: Of rows.
            query: `page_size`, `page_token`, `filter`.
            inside: What the rows must have, such as a namespace.
            key: What the rows are called in the answer, if it is another name.
        """
        rows = [
            row
            for row in self.rows[kind].values()
            if all(row.get(name) == value for name, value in inside.items())
            and _passes(row, query.get("filter", ""))
        ]
        size = min(int(query.get("page_size") or 20), 200)
        same = [query.get("filter", ""), inside]
        begin = 0
        if token := query.get("page_token"):
            begin, then = json.loads(base64.b64decode(token))
            if then != same:
                raise invalid("page token does not match the supplied filtering criteria")
        page: Row = {key or kind: rows[begin : begin + size], "total_size": len(rows)}
        if begin + size < len(rows):
            page["next_page_token"] = base64.b64encode(
                json.dumps([begin + size, same]).encode()
            ).decode()
        return page

    def _namespace(self, row: Row) -> None:
        if self.multi_user and not row.get("namespace"):
            raise invalid("Namespace is empty. Please specify a valid namespace")
        if not self.multi_user and row.get("namespace"):
            raise invalid("In single-user mode, requests have no namespace")

    def _refuse_twin(self, kind: str, row: Row, keys: tuple[str, ...]) -> None:
        for other in self.rows[kind].values():
            if all(other.get(key) == row.get(key) for key in keys):
                raise RefusalError(
                    409, 6, f"The name {row[keys[0]]} already exist. Please specify a new name"
                )

    def _fits(self, row: Row) -> None:
        reference = row["pipeline_version_reference"]
        version = self.get("versions", reference.get("pipeline_version_id", ""))
        if version["pipeline_id"] != reference.get("pipeline_id"):
            raise invalid("the version belongs to another pipeline")
        inputs = version["spec"].root.input_definitions.parameters
        if inputs and "runtime_config" not in row:
            raise invalid("pipeline requiring input has no parameter(s) provided")
        given = row.get("runtime_config", {}).get("parameters", {})
        for name, value in given.items():
            if name not in inputs:
                raise invalid(f"parameter(s) provided are not required by pipeline: {name}")
            kind = pipeline_spec_pb2.ParameterType.ParameterTypeEnum.Name(
                inputs[name].parameter_type
            )
            if not isinstance(value, _KINDS[kind]) or (
                isinstance(value, bool) and kind != "BOOLEAN"
            ):
                raise invalid(f"input parameter {name} requires type {kind}")
        for name, one in inputs.items():
            if name not in given and not one.is_optional and not one.HasField("default_value"):
                raise invalid(f"parameter {name} is not optional, yet has neither value")


def _spec(content: bytes) -> Any:
    try:
        document = next(iter(yaml.safe_load_all(content)))
        spec = json_format.ParseDict(document, pipeline_spec_pb2.PipelineSpec())
    except (yaml.YAMLError, json_format.ParseError, StopIteration) as error:
        raise invalid(f"pipeline spec is invalid: {error}") from None
    if not spec.pipeline_info.name or not spec.HasField("root"):
        raise invalid("pipeline spec is invalid: it has no name or no root")
    return spec


def _passes(row: Row, text: str) -> bool:
    """Whether a row has what every predicate of a filter asks; letters in any case."""
    if not text:
        return True
    found = body_of("V2beta1Filter", json.loads(text), ("predicates",), ())
    for one in found["predicates"]:
        if one.get("operation") != "EQUALS" or "string_value" not in one:
            raise invalid("this server compares texts for equality only")
        if one.get("key") not in ("display_name", "name"):
            raise invalid(f"no support for filtering on unrecognized field {one.get('key')!r}")
        if str(row.get(one["key"], "")).lower() != one["string_value"].lower():
            return False
    return True
