"""What cannot work in a compiled pipeline is found before a server has it.

A pipeline with everything in it is compiled, and then one thing of it is broken at a time.
"""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, List  # noqa: UP035

import pytest
from kfp import compiler, dsl, kubernetes
from ruamel.yaml import YAML

from openautoglm.errors import ConfigError
from openautoglm.kubeflow.checks import check, findings
from openautoglm.kubeflow.compiling import Compiled

IMAGE = f"registry.invalid/runner@sha256:{'a' * 64}"
EXIT, LOOP, IF = "comp-exit-handler-1", "comp-for-loop-2", "comp-condition-3"
TASKS, GIVEN = ("dag", "tasks"), ("inputs", "parameters")
DEFINED = ("inputDefinitions", "parameters")
PLATFORM = ("platforms", "kubernetes", "deploymentSpec", "executors")
Keys = tuple[str | int, ...]
component = dsl.component(base_image=IMAGE, install_kfp_package=False)


@component
def numbers() -> list:
    return [1, 2]


@component
def work(
    n: int,
    params: dict,
    out: dsl.Output[dsl.Dataset],
    rate: float = 0.5,
    name: str = "x",
    flag: bool = True,
    some: list = [1],  # noqa: B006
):
    pass


@component
def gather(parts: dsl.Input[List[dsl.Dataset]], out: dsl.Output[dsl.Model]) -> str:  # noqa: UP006
    return "pass"


@component
def use(model: dsl.Input[dsl.Model], verdict: str, times: int):
    pass


@component
def record(status: dsl.PipelineTaskFinalStatus):
    pass


@dsl.pipeline(name="everything")
def everything(params: dict = {"a": 1}, lr: float = 0.1, label: str = "x", count: int = 3):  # noqa: B006
    with dsl.ExitHandler(record(), name="whatever happened"):
        found = numbers()
        with dsl.ParallelFor(found.output, parallelism=2) as n:
            worked = work(n=n, params=params, rate=lr, name="some", flag=False)
        gathered = gather(parts=dsl.Collected(worked.outputs["out"]))
        gathered.set_retry(2, backoff_duration="30s").set_env_variable("A", "b")
        gathered.set_cpu_request("500m").set_cpu_limit("2")
        gathered.set_memory_request("1Gi").set_memory_limit("2Gi")
        gathered.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(1)
        kubernetes.use_secret_as_env(gathered, "stores", {"uri": "URI"})
        kubernetes.mount_pvc(gathered, "claim", "/work")
        kubernetes.add_node_selector(gathered, "disk", "ssd")
        with dsl.If(gathered.outputs["Output"] == "pass", name="passed"):
            use(model=gathered.outputs["out"], verdict=f"{label}, so", times=count).after(found)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    file = tmp_path_factory.mktemp("ir") / "everything.yaml"
    compiler.Compiler().compile(everything, str(file))
    return file.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def documents(text):
    return list(YAML(typ="safe").load_all(text))


def fatal(documents: list[Any]) -> list[str]:
    return [one.what for one in findings(documents) if one.fatal]


def walk(node: Any, path: Keys = ()) -> Iterator[Keys]:
    """Paths of everything in a document."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from walk(value, (*path, key))


def at(node: Any, path: Keys) -> Any:
    for key in path:
        node = node[key]
    return node


def unnoticed(documents: list[Any], paths: list[Keys], change: Callable[[Any, Any], object]):
    """Of the places, those where a change of (parent, key) is no finding."""
    assert paths
    missed = []
    for path in paths:
        changed = copy.deepcopy(documents)
        change(at(changed, path[:-1]), path[-1])
        if not fatal(changed):
            missed.append(".".join(map(str, path)))
    return missed


def test_a_pipeline_that_can_run_has_no_finding(text, documents):
    assert fatal(documents) == []
    check(Compiled("everything", text, Path("everything.py")))


def test_a_reference_to_what_is_not_there_is_found_wherever_it_stands(documents):
    keys = (
        "componentInputArtifact",
        "componentInputParameter",
        "executorLabel",
        "inputParameter",
        "itemInput",
        "outputArtifactKey",
        "outputParameterKey",
        "producerSubtask",
        "producerTask",
    )
    paths = [path for path in walk(documents[:1]) if path[-1] in keys]
    assert {path[-1] for path in paths} == set(keys)
    paths += [path for path in walk(documents[:1]) if path[-2:-1] == ("dependentTasks",)]
    paths += [path for path in walk(documents[:1]) if path[-2:] == ("componentRef", "name")]

    def rename(parent, key):
        parent[key] = "gone"

    assert unnoticed(documents, paths, rename) == []


def test_nothing_that_something_else_needs_can_be_taken_away(documents):
    named = ("tasks", "components", "executors", "parameters", "artifacts")
    paths = [path for path in walk(documents[:1]) if path[-2:-1] in [(one,) for one in named]]
    needless = {
        # optional where they are given, or where they are defined and not given
        *((0, "components", LOOP, *TASKS, "work", *GIVEN, one) for one in ("rate", "name", "flag")),
        (0, "root", *TASKS, "record", *GIVEN, "status"),
        (0, "components", "comp-work", *DEFINED, "some"),
        # a condition is about what its task is given, whoever takes that
        (0, "components", IF, *DEFINED, "pipelinechannel--gather-Output"),
    }
    assert needless < set(paths)
    paths = [path for path in paths if path not in needless]
    assert unnoticed(documents, paths, lambda parent, key: parent.pop(key)) == []


def test_a_field_that_kubeflow_does_not_know_is_found_in_every_part(documents):
    free = {"defaultValue", "constant"}
    paths = [
        (*path, "unheardOf")
        for path in walk(documents)
        if isinstance(at(documents, path), dict) and len(path) > 1 and not free & set(path)
    ]
    assert {path[0] for path in paths} == {0, 1}
    assert unnoticed(documents, paths, lambda parent, key: parent.update({key: 1})) == []


@pytest.mark.parametrize("wrong", [None, "text", 1.5, True, ["list"], {"a": "mapping"}])
def test_a_default_or_a_constant_of_another_type_is_found(documents, wrong):
    def differs(value: Any) -> bool:
        return type(value) is not type(wrong) or (isinstance(value, float) and value.is_integer())

    paths = [
        path
        for path in walk(documents[:1])
        if path[-1] in ("defaultValue", "constant") and differs(at(documents, path))
    ]
    assert unnoticed(documents, paths, lambda parent, key: parent.update({key: wrong})) == []


def broken(documents: list[Any], change: Callable[[Any, Any], object]) -> list[str]:
    """What is found after `change(pipeline, what Kubernetes is asked for)`."""
    pipeline, platform = copy.deepcopy(documents)
    change(pipeline, at(platform, PLATFORM)["exec-gather"])
    return fatal([pipeline, platform])


def put(value: Any, *keys: str | int) -> Callable[[Any, Any], None]:
    """A change of the pipeline: a value at a place."""

    def change(pipeline, _):
        at(pipeline, keys[:-1])[keys[-1]] = value

    return change


TASK = ("components", EXIT, *TASKS, "gather")
CONTAINER = ("deploymentSpec", "executors", "exec-gather", "container")
LIMITS = (*CONTAINER, "resources")
COPY = {"componentRef": {"name": "comp-record"}, "dependentTasks": ["exit-handler-1"]}
LAST = {"triggerPolicy": {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}}
RAW = {"itemInput": "pipelinechannel--numbers-Output-loop-item", "items": {"raw": "{}"}}
CASES = {
    "nothing to run": put({}, "root"),
    "no tasks but exit tasks": lambda pipeline, _: pipeline["root"]["dag"]["tasks"].pop(
        "exit-handler-1"
    ),
    "tasks wait for one another": put(
        ["gather"], "components", EXIT, *TASKS, "numbers", "dependentTasks"
    ),
    "it waits for the exit task `record`": put(
        ["record"], "root", *TASKS, "exit-handler-1", "dependentTasks"
    ),
    "only one would run": put({**COPY, **LAST}, "root", *TASKS, "other"),
    "an exit task comes after one task, and this one after 0": put(
        [], "root", *TASKS, "record", "dependentTasks"
    ),
    "it is told the end of `numbers`": put(
        "numbers", "root", *TASKS, "record", *GIVEN, "status", "taskFinalStatus", "producerTask"
    ),
    "which only an exit task is told": put(
        {"parameters": {"x": {"taskFinalStatus": {"producerTask": "numbers"}}}}, *TASK, "inputs"
    ),
    "wants system.Dataset and is given system.Model": put(
        "system.Model",
        *("components", LOOP, "outputDefinitions", "artifacts", "pipelinechannel--work-out"),
        *("artifactType", "schemaTitle"),
    ),
    "wants a list of artifacts": put(
        False,
        *("components", LOOP, "outputDefinitions", "artifacts", "pipelinechannel--work-out"),
        "isArtifactList",
    ),
    "wants STRUCT and is given STRING": put(
        "STRING", "components", LOOP, *DEFINED, "pipelinechannel--params", "parameterType"
    ),
    "has no type": put({}, "components", "comp-use", *DEFINED, "verdict"),
    "it refers to the parameter `gone`": put(
        "inputs.parameter_values['gone'] == 'pass'",
        *("components", EXIT, *TASKS, "condition-3", "triggerPolicy", "condition"),
    ),
    "what it goes over is no list": put(
        RAW, "components", EXIT, *TASKS, "for-loop-2", "parameterIterator"
    ),
    "`comp-exit-handler-1` is a part of itself": put(
        EXIT, "components", LOOP, *TASKS, "work", "componentRef", "name"
    ),
    "no task calls the component `comp-idle`": put(
        {"executorLabel": "exec-gather"}, "components", "comp-idle"
    ),
    "no component runs in the executor `exec-idle`": put(
        {"container": {"image": IMAGE}}, "deploymentSpec", "executors", "exec-idle"
    ),
    "containers and importers only": put({}, *CONTAINER[:-1]),
    "is not pinned": put("registry.invalid/runner:latest", *CONTAINER, "image"),
    "is no name of an environment variable": put([{"name": "1 x"}], *CONTAINER, "env"),
    "`A` is set twice": put([{"name": "A"}, {"name": "A"}], *CONTAINER, "env"),
    "it asks for more cpu (500m) than its limit (250m)": put("250m", *LIMITS, "resourceCpuLimit"),
    "it asks for more memory (3Gi) than its limit (2Gi)": put(
        "3Gi", *LIMITS, "resourceMemoryRequest"
    ),
    "`2 GB` is no amount of memory": put("2 GB", *LIMITS, "resourceMemoryLimit"),
    "`nan` is no amount of cpu": put("nan", *LIMITS, "resourceCpuRequest"),
    "accelerators need both": put({"resourceCount": "1", "count": "1"}, *LIMITS, "accelerator"),
    "`some` is no count": put("some", *LIMITS, "accelerator", "resourceCount"),
    "takes 2.1.0 only": put("2.0.0", "schemaVersion"),
    "`Every thing` is no name of a pipeline": put("Every thing", "pipelineInfo", "name"),
    "a task's name has": put({"componentRef": {"name": "comp-numbers"}}, "root", *TASKS, "a b"),
    "its name is too long": put(
        {"componentRef": {"name": "comp-numbers"}}, "root", *TASKS, "a" * 122
    ),
    "`/secret` is no name of a secret": lambda _, asked: asked["secretAsEnv"][0].update(
        secretName="/secret"
    ),
    "`my claim` is no name of a claim": lambda _, asked: asked["pvcMount"][0].update(
        constant="my claim"
    ),
    "it mounts at `work`": lambda _, asked: asked["pvcMount"][0].update(mountPath="work"),
    "two volumes are mounted at `/work`": lambda _, asked: asked["pvcMount"].append(
        asked["pvcMount"][0]
    ),
    "the environment variable `A` is set twice": lambda _, asked: asked["secretAsEnv"][0].update(
        keyToEnv=[{"secretKey": "uri", "envVar": "A"}]
    ),
}


@pytest.mark.parametrize("words", CASES)
def test_what_is_wrong_is_told_in_words(documents, words):
    assert any(words in what for what in broken(documents, CASES[words]))


def test_what_is_asked_for_an_executor_that_is_not_there_is_found(documents):
    pipeline, platform = copy.deepcopy(documents)
    at(platform, PLATFORM)["exec-gone"] = at(platform, PLATFORM).pop("exec-gather")
    assert fatal([pipeline, platform]) == [
        "it is about the executor `exec-gone`, which does not exist"
    ]


def test_another_platform_or_another_document_is_found(documents):
    pipeline, platform = copy.deepcopy(documents)
    platform["platforms"]["elsewhere"] = {}
    assert fatal([pipeline, platform]) == ["there is no platform `elsewhere`"]
    assert "documents" in fatal([*documents, {"kind": "Pod"}])[0]
    assert "2 pipelines" in fatal([documents[0], documents[0]])[0]
    assert "0 pipelines" in fatal([])[0]
    assert "no mapping" in fatal([*documents, "text"])[0]


def test_retries_in_a_loop_are_told_and_keep_nothing_from_running(documents, capsys):
    pipeline, platform = copy.deepcopy(documents)
    pipeline["components"][LOOP]["dag"]["tasks"]["work"]["retryPolicy"] = {"maxRetryCount": 2}
    assert [one.task for one in findings([pipeline, platform])] == ["work"]
    text = f"{json.dumps(pipeline)}\n---\n{json.dumps(platform)}"
    check(Compiled("everything", text, Path("x.py"), {"work": "pipelines/x.py:7"}))
    assert "pipelines/x.py:7: task `work`: the server ignores retries" in capsys.readouterr().err


def test_every_finding_is_told_with_the_place_of_its_task_or_the_line_of_the_ir(text):
    wrong = text.replace(IMAGE, "runner:latest").replace("name: comp-use\n", "name: comp-lost\n")
    where = {"gather": "pipelines/everything.py:41"}
    with pytest.raises(ConfigError) as told:
        check(Compiled("everything", wrong, Path("pipelines/everything.py"), where))
    shown = str(told.value)
    image = "its image `runner:latest` is not pinned"
    line = wrong[: wrong.index("name: comp-lost")].count("\n")
    assert f"- pipelines/everything.py:41: task `gather`: {image}" in shown
    assert f"- IR line {line}: task `use`: it calls the component `comp-lost`" in shown
    assert shown.count(image) == 5
    assert told.value.where == "pipelines/everything.py"


def test_a_text_that_the_server_would_read_as_a_number_is_found(text):
    """Kubeflow writes YAML 1.1, where `1e3` is a text, and the server reads 1.2."""
    wrong = text.replace("constant: some\n", "constant: 1e3\n")
    with pytest.raises(ConfigError, match="task `work`: `name`: a number does not fit STRING"):
        check(Compiled("everything", wrong, Path("x.py")))


@pytest.mark.parametrize("wrong", ["{", "a: 1\na: 2", "a: !!int x", "a: \x07"])
def test_what_is_no_yaml_is_told(wrong):
    with pytest.raises(ConfigError, match="the IR is no YAML"):
        check(Compiled("everything", wrong, Path("x.py")))
