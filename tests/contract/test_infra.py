"""What infra/kubeflow puts on a cluster: objects that exist, hold together and may do little."""

import re
from collections import Counter
from itertools import chain

import pytest
from ruamel.yaml import YAML

from tests.support.kustomize import (
    GIVEN,
    IMAGE,
    KUBEFLOW,
    Cluster,
    build,
    committed,
    configure,
    copied,
    documents,
    problems,
)
from tests.support.only import pins
from tests.support.project import ROOT

RUNS = {"dev": "kubeflow", "production": "openautoglm"}
STORES = "openautoglm-stores"
PINNED = re.compile(r"[\w.\-/]+(:[\w.\-]+)?@sha256:[0-9a-f]{64}")
RUN_POD = {"workflows.argoproj.io/workflow": "training-abc"}


@pytest.fixture(scope="module", params=list(RUNS))
def overlay(request):
    return request.param


@pytest.fixture(scope="module")
def cluster(overlay, tmp_path_factory):
    folder = copied(tmp_path_factory.mktemp("infra") / overlay, overlay, **GIVEN[overlay])
    done = configure(folder)
    assert done.returncode == 0, done.stderr
    return Cluster(build(folder))


@pytest.fixture(scope="module")
def settings():
    return YAML(typ="safe").load((ROOT / "pipelines" / "settings.yaml").read_text(encoding="utf-8"))


def selects(selector, labels):
    """Whether a label selector fits; the operators that are used here."""
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for one in selector.get("matchExpressions", []):
        there = one["key"] in labels
        assert one["operator"] in ("Exists", "In")
        if not there or (one["operator"] == "In" and labels[one["key"]] not in one["values"]):
            return False
    return True


def test_kubernetes_knows_every_field_of_every_object(cluster):
    assert list(chain.from_iterable(problems(one) for one in cluster.objects)) == []


def test_kubernetes_knows_every_field_of_every_file():
    files = [file for file in committed("*.yaml") if file.name != "kustomization.yaml"]
    assert len(files) > 12
    found = [
        f"{file.name}: {problem}"
        for file in files
        for one in documents(file.read_text(encoding="utf-8"))
        for problem in problems(one, complete=False)
    ]
    assert found == []


def test_a_field_that_kubernetes_does_not_know_is_found():
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}}
    spec = {"ports": [{"port": "x", "colour": 1}]}
    assert list(problems({**service, "spec": spec})) == [
        "Service a.spec.ports.0.port: 'x' is no int",
        "Service a.spec.ports.0: no field colour",
    ]


def test_every_file_belongs_to_a_kustomization():
    named = set()
    for file in committed("kustomization.yaml"):
        known = YAML(typ="safe").load(file.read_text(encoding="utf-8"))
        generators = known.get("configMapGenerator", []) + known.get("secretGenerator", [])
        paths = [
            *known.get("resources", []),
            *(patch["path"] for patch in known.get("patches", []) if "path" in patch),
            *(name.split("=")[-1] for one in generators for name in one.get("files", [])),
        ]
        here = [(file.parent / path).resolve() for path in paths if "private" not in path]
        assert [path for path in here if not path.exists()] == []
        named.update(here)
    parts = {
        file
        for file in committed("*")
        if file.suffix in (".yaml", ".sql", ".py")
        and file.name not in ("kustomization.yaml", "configure.py")
    }
    assert parts <= named


def test_whatever_a_pod_refers_to_is_there(cluster):
    for pod in cluster.pods:
        where = pod.namespace
        if account := pod.spec.get("serviceAccountName"):
            assert account in cluster.of("ServiceAccount", where), str(pod)
        for name, key in referred_keys(pod):
            assert key in cluster.of("Secret", where)[name]["data"], f"{pod}: {name}, {key}"
        for volume in pod.spec.get("volumes", []):
            if "secret" in volume:
                assert volume["secret"]["secretName"] in cluster.of("Secret", where), str(pod)
            if "configMap" in volume:
                assert volume["configMap"]["name"] in cluster.of("ConfigMap", where), str(pod)
            if "persistentVolumeClaim" in volume:
                claim = volume["persistentVolumeClaim"]["claimName"]
                assert claim in cluster.of("PersistentVolumeClaim", where), str(pod)


def referred_keys(pod):
    for container in pod.containers:
        for variable in container.get("env", []):
            if source := variable.get("valueFrom"):
                yield source["secretKeyRef"]["name"], source["secretKeyRef"]["key"]


def test_a_container_may_do_as_little_as_can_be(cluster):
    assert len(cluster.pods) >= 3
    for pod in cluster.pods:
        security = pod.spec["securityContext"]
        assert security["runAsNonRoot"] is True, str(pod)
        assert security["runAsUser"] > 0, str(pod)
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, str(pod)
        assert pod.spec["automountServiceAccountToken"] is False, str(pod)
        for container in pod.containers:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, str(pod)
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}, str(pod)
            assert set(container["resources"]["limits"]) == {"cpu", "memory"}, str(pod)
            assert PINNED.fullmatch(container["image"]), str(pod)


def test_what_goes_on_running_says_how_it_is(cluster):
    for pod in cluster.pods:
        if pod.workload["kind"] in ("Deployment", "StatefulSet"):
            for container in pod.containers:
                assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)


def test_a_role_names_what_it_may_read(cluster):
    roles = cluster.of("Role")
    assert set(roles) == {"openautoglm-pipeline"}
    for rule in chain.from_iterable(role["rules"] for role in roles.values()):
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
        if {"secrets", "configmaps"} & set(rule["resources"]):
            assert rule["resourceNames"]
            assert rule["verbs"] == ["get"]
    assert [one for one in cluster.objects if one["kind"].startswith("Cluster")] == []


def test_the_role_is_bound_to_the_account_of_the_runs(cluster, overlay, settings):
    [binding] = cluster.of("RoleBinding").values()
    assert binding["roleRef"]["name"] == "openautoglm-pipeline"
    assert binding["subjects"] == [
        {
            "kind": "ServiceAccount",
            "name": settings["service_account"],
            "namespace": RUNS[overlay],
        }
    ]


def test_nothing_passes_between_stores_but_what_is_named(cluster):
    policies = cluster.of("NetworkPolicy", STORES)
    assert policies["deny"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for pod in cluster.pods:
        if pod.namespace == STORES:
            own = [
                name
                for name, policy in policies.items()
                if policy["spec"]["podSelector"]
                and selects(policy["spec"]["podSelector"], pod.labels)
            ]
            assert len(own) == 1, str(pod)


def test_a_run_reaches_every_store_and_nobody_reaches_a_run(cluster, overlay):
    runs = cluster.of("NetworkPolicy", RUNS[overlay])["openautoglm-runs"]["spec"]
    assert selects(runs["podSelector"], RUN_POD)
    assert not selects(runs["podSelector"], {"app": "ml-pipeline"})
    assert runs["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in runs
    out = {port["port"] for rule in runs["egress"] for port in rule.get("ports", [])}
    for name, service in cluster.of("Service", STORES).items():
        policy = cluster.of("NetworkPolicy", STORES)[name]["spec"]
        [first, *_] = policy["ingress"][0]["from"]
        there = {"kubernetes.io/metadata.name": RUNS[overlay]}
        assert selects(first["namespaceSelector"], there), name
        assert selects(first["podSelector"], RUN_POD), name
        assert service["spec"]["ports"][0]["port"] in out, name


def test_a_service_leads_to_pods_and_a_port_that_they_have(cluster):
    services = cluster.of("Service")
    assert services
    for name, service in services.items():
        found = [
            pod
            for pod in cluster.pods
            if pod.namespace == service["metadata"]["namespace"]
            and selects({"matchLabels": service["spec"]["selector"]}, pod.labels)
        ]
        assert [str(pod).split()[1] for pod in found] == [name]
        ports = {port["name"]: port["containerPort"] for port in found[0].containers[0]["ports"]}
        for port in service["spec"]["ports"]:
            # A policy sees the port of the pod; it is the same one, so that policies can be read.
            assert ports[port["targetPort"]] == port["port"]


def test_the_names_of_the_pipeline_settings_are_those_of_the_cluster(cluster, overlay, settings):
    where = RUNS[overlay]
    assert settings["service_account"] in cluster.of("ServiceAccount", where)
    for volume in settings["volumes"]:
        assert volume["claim"] in cluster.of("PersistentVolumeClaim", where)
    secrets = cluster.of("Secret", where)
    for secret in settings["secrets"]:
        found = secrets[secret["name"]]["data"]
        assert secret.get("optional") or set(secret["variables"]) <= set(found), secret["name"]


def test_the_settings_decide_which_image_runs(cluster):
    images = Counter(one["image"] for pod in cluster.pods for one in pod.containers)
    assert images[IMAGE] >= 3
    assert "openautoglm-runner" not in images


def test_mlflow_has_two_replicas_in_production_of_which_one_stays(cluster, overlay):
    replicas = cluster.of("Deployment")["openautoglm-mlflow"]["spec"]["replicas"]
    kept = cluster.of("PodDisruptionBudget").get("openautoglm-mlflow", {}).get("spec", {})
    assert (replicas, kept.get("minAvailable")) == {"dev": (1, None), "production": (2, 1)}[overlay]


def test_mlflow_knows_every_option_of_the_manifests():
    from mlflow.cli import cli

    server = container("Deployment")
    assert server["command"] == ["mlflow", "server"]
    found = cli.commands["server"].make_context("server", list(server["args"])).params
    assert (found["app_name"], found["port"]) == ("basic-auth", 5000)
    assert (found["artifacts_destination"], found["allowed_hosts"]) == (
        "$(ARTIFACTS)",
        "$(ALLOWED_HOSTS)",
    )
    upgrade = container("CronJob")["command"]
    assert upgrade[:3] == ["mlflow", "db", "upgrade"]
    command = cli.commands["db"].commands["upgrade"]
    assert command.make_context("upgrade", upgrade[3:]).params == {
        "url": "$(MLFLOW_BACKEND_STORE_URI)"
    }


def container(kind):
    """The one container of MLflow's workload of this kind."""
    objects = [
        one
        for file in (KUBEFLOW / "base" / "mlflow").glob("*.yaml")
        if file.name != "kustomization.yaml"
        for one in documents(file.read_text(encoding="utf-8"))
    ]
    [pod] = [pod for pod in Cluster(objects).pods if pod.workload["kind"] == kind]
    [found] = pod.containers
    return found


def test_the_supported_kubeflow_is_that_of_its_sdk():
    text = (KUBEFLOW / "versions.env").read_text(encoding="utf-8")
    [version] = re.findall(r"^KFP_VERSION=(\S+)$", text, re.MULTILINE)
    sdk = pins(ROOT / "constraints.txt")["kfp"]
    assert version.split(".")[:2] == sdk.split(".")[:2]
