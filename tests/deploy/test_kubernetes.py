"""deploy/kubernetes: the manifests say what Kubernetes, Locust's operator and our own command understand."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner

from host.environment import SECRETS_VARIABLE
from loadgen.seal import VARIABLE
from loadgen.targets.mapping import target_specs
from peakday.cli import app
from peakday.config import load_config

DEPLOY = Path(__file__).parents[2] / "deploy"
JOB = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "job.yaml").read_text()))
OPERATOR = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "operator.yaml").read_text()))
OPERATOR_2025 = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "operator-2025.yaml").read_text()))
CRDS = Path(__file__).with_name("crds")
OPERATOR_ARGS = shlex.split(OPERATOR[1]["spec"]["args"])
API = {
    "ConfigMap": "v1",
    "PersistentVolumeClaim": "v1",
    "Service": "v1",
    "Job": "batch/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
}


def one(documents, kind, name=None):
    (found,) = [one for one in documents if one["kind"] == kind and name in (None, one["metadata"]["name"])]
    return found


def pod(name):
    return one(JOB, "Job", name)["spec"]["template"]


def container(name):
    return pod(name)["spec"]["containers"][0]


def files(documents, folder: Path) -> Path:
    """The ConfigMap's files, written as its mount shows them."""
    for name, text in one(documents, "ConfigMap")["data"].items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("document", JOB, ids=lambda document: document["metadata"]["name"])
def test_every_document_is_of_a_kind_that_kubernetes_serves(document):
    """Kind and API version belong together, and Kubernetes' own schema allows every field, strictly."""
    assert document["apiVersion"] == API[document["kind"]]
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("documents", [JOB, OPERATOR], ids=["job", "operator"])
def test_the_mapping_is_read_and_its_target_is_owned(documents, tmp_path, monkeypatch):
    """The files of the ConfigMap are what the command reads: else the run would be refused in the cluster."""
    monkeypatch.chdir(files(documents, tmp_path))
    (spec,) = target_specs(tmp_path / "target.yaml")
    (owned,) = load_config().owned_targets
    assert spec.url.startswith(owned + "/")
    assert load_config().unpaid_targets == (owned,)  # or the run is refused: what is elsewhere may cost money


def test_every_volume_that_is_mounted_is_there():
    """Mounts name volumes, volumes name the ConfigMap and the claim of the same file."""
    spec = pod("peakday-master")["spec"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert {mount["name"] for mount in spec["containers"][0]["volumeMounts"]} == set(volumes)
    assert volumes["config"]["configMap"]["name"] == one(JOB, "ConfigMap")["metadata"]["name"]
    claim = one(JOB, "PersistentVolumeClaim")["metadata"]["name"]
    assert volumes["runs"]["persistentVolumeClaim"]["claimName"] == claim
    paths = [mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"] if mount.get("subPath")]
    assert paths == [f"{spec['containers'][0]['workingDir']}/peakday.yaml"]


def test_the_service_leads_to_the_master():
    """Its selector is the master's labels, its port the master's, its name what workers are told."""
    service = one(JOB, "Service")
    assert service["spec"]["selector"].items() <= pod("peakday-master")["metadata"]["labels"].items()
    ports = {port["name"]: port["containerPort"] for port in container("peakday-master")["ports"]}
    assert [port["port"] for port in service["spec"]["ports"]] == [ports["locust"]] == [5557]
    worker = container("peakday-worker")["args"]
    assert worker[worker.index("--master-host") + 1] == service["metadata"]["name"]


def workers_asked(args: list[str]) -> int:
    return int(args[args.index("--workers") + 1])


def test_as_many_workers_start_as_the_master_waits_for():
    """Otherwise it would wait for ten minutes, and give up."""
    spec = one(JOB, "Job", "peakday-worker")["spec"]
    assert workers_asked(container("peakday-master")["args"]) == spec["parallelism"] == spec["completions"]
    test = one(OPERATOR, "LocustTest")["spec"]
    assert workers_asked(shlex.split(test["args"])) == test["workers"]


def test_a_worker_has_a_whole_core():
    """A quota below what is requested would throttle it, and so make it late."""
    for resources in (
        container("peakday-worker")["resources"],
        one(OPERATOR, "LocustTest")["spec"]["worker"]["resources"],
    ):
        assert resources["requests"]["cpu"] == resources["limits"]["cpu"] == "1"


def crd(name):
    return yaml.safe_load((CRDS / name).read_text())


@pytest.mark.parametrize("documents", [OPERATOR, OPERATOR_2025], ids=["2026", "2025"])
def test_the_operators_documents_hold_against_its_definition(documents):
    """Strictly: an unknown field is pruned in silence by the API server. The ConfigMap is Kubernetes' own kind."""
    test, config, definition = one(documents, "LocustTest"), one(documents, "ConfigMap"), crd("locust.io-v1.yaml")
    group, _, version = test["apiVersion"].partition("/")
    assert (group in definition["groups"], version) == (True, definition["version"])
    jsonschema.Draft202012Validator(definition["spec"]).validate(test["spec"])
    kubernetes_validate.validate(config, kubernetes_validate.latest_version(), strict=True)
    assert test["spec"]["locustfile"]["configMap"]["name"] == config["metadata"]["name"]


def test_the_other_operator_of_the_same_kind_would_refuse_ours():
    """Its definition knows no spec.workers: that is the field by which which-operator.sh tells the two apart."""
    spec, other = one(OPERATOR, "LocustTest")["spec"], crd("other-operator-v2.yaml")["spec"]
    assert not jsonschema.Draft202012Validator(other).is_valid(spec)
    assert "workers" in crd("locust.io-v1.yaml")["spec"]["properties"]
    assert "workers" not in other["properties"]


@pytest.mark.parametrize("wrong", [{"replicas": 8}, {"workers": "8"}, {"env": [{"name": "A", "valueFrom": {}}]}])
def test_a_field_that_the_operator_does_not_know_is_an_error(wrong):
    spec = one(OPERATOR, "LocustTest")["spec"]
    assert not jsonschema.Draft202012Validator(crd("locust.io-v1.yaml")["spec"]).is_valid({**spec, **wrong})


@pytest.mark.parametrize(
    ("documents", "args"),
    [
        (JOB, container("peakday-master")["args"][1:]),
        (OPERATOR, ["--master", *shlex.split(OPERATOR[1]["spec"]["args"])]),
    ],
    ids=["job", "operator"],
)
def test_the_masters_args_are_a_command_of_ours(documents, args, tmp_path, monkeypatch):
    """As the container runs them, but for the path of the mapping and for `--dry-run` at a thousandth of the rate."""
    monkeypatch.chdir(files(documents, tmp_path))
    monkeypatch.setenv(VARIABLE, "a secret of this test")
    args = [f"http={tmp_path}/target.yaml" if arg.startswith("http=") else arg for arg in args]
    monkeypatch.setattr(
        "loadgen.transport.connection.socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("127.0.0.1", 1))]
    )
    done = CliRunner().invoke(app, ["run", *args, "--dry-run", "--scale", "0.001"])
    assert done.exit_code == 0, done.output


def entry(tmp_path: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """The operator image's entry point with a `peakday` that only tells its arguments, and fails with 3."""
    fake = tmp_path / "peakday"
    fake.write_text('#!/bin/sh\necho "peakday $@"\nexit 3\n')
    fake.chmod(0o755)
    script = DEPLOY / "kubernetes" / "operator-entrypoint.sh"
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "KEEP_S": "0"}
    return subprocess.run(
        ["/bin/sh", script, *args], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )


def test_the_operators_entry_point_runs_master_and_worker_and_ends_with_zero(tmp_path):
    """The operator gives both the same args after its own, and starts again what does not end with 0: 3 is logged."""
    done = entry(tmp_path, "--master", "smoke", "--workers", "8")
    assert (done.stdout, done.returncode) == ("peakday run --master smoke --workers 8\n", 0)
    assert done.stderr == "peakday run ended with exit code 3\n"
    done = entry(tmp_path, "--worker", "--master-host", "m", "smoke", "--workers", "8")
    assert (done.stdout, done.returncode) == ("peakday run --worker --master-host m smoke --workers 8\n", 0)


@pytest.mark.parametrize(
    ("crds", "answer", "code"),
    [
        ({"locust.io": "integer"}, "operator.yaml", 0),
        ({"locust.cloud": "integer"}, "operator-2025.yaml", 0),
        ({"locust.io": ""}, "belongs to another operator", 1),
        ({}, "use job.yaml", 1),
    ],
)
def test_the_cluster_tells_which_operator_it_has(crds, answer, code, tmp_path):
    """Two operators own a kind LocustTest in one group: the fields of their definitions tell them apart."""
    cases = "".join(f"  locusttests.{group}) printf '%s' '{field}' ;;\n" for group, field in crds.items())
    fake = tmp_path / "kubectl"
    fake.write_text(f'#!/bin/sh\ncase "$3" in\n{cases}  *) exit 1 ;;\nesac\n')
    fake.chmod(0o755)
    script = DEPLOY / "kubernetes" / "which-operator.sh"
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(["/bin/sh", script], env=environment, capture_output=True, text=True, check=False)
    assert answer in done.stdout + done.stderr
    assert done.returncode == code


def test_the_operators_two_files_differ_in_the_api_group_alone():
    assert [test["apiVersion"] for test in (OPERATOR[1], OPERATOR_2025[1])] == ["locust.io/v1", "locust.cloud/v1"]
    assert OPERATOR[0] == OPERATOR_2025[0]
    assert {**OPERATOR[1], "apiVersion": ""} == {**OPERATOR_2025[1], "apiVersion": ""}


@pytest.mark.parametrize("name", ["peakday-master", "peakday-worker"])
def test_a_pod_runs_restricted_and_is_never_started_again(name):
    """Kubernetes' restricted profile; an INVALID run ends instead of beginning once more."""
    job = one(JOB, "Job", name)["spec"]
    spec, inside = pod(name)["spec"], container(name)["securityContext"]
    assert (job["backoffLimit"], spec["restartPolicy"]) == (0, "Never")
    assert job["activeDeadlineSeconds"] > 0
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    assert inside == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert set(container(name)["resources"]["limits"]) == {"cpu", "memory"}


def test_only_workers_reach_the_masters_port():
    """The policy selects the master's pod, and lets in the workers' labels on the port that the Service names."""
    policy = one(JOB, "NetworkPolicy")["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= pod("peakday-master")["metadata"]["labels"].items()
    workers, prometheus = policy["ingress"]
    (source,) = workers["from"]
    assert source["podSelector"]["matchLabels"].items() <= pod("peakday-worker")["metadata"]["labels"].items()
    locust = [port["port"] for port in one(JOB, "Service")["spec"]["ports"]]
    assert [port["port"] for port in workers["ports"]] == locust
    assert [list(source) for source in prometheus["from"]] == [["namespaceSelector"]]
    assert not {port["port"] for port in prometheus["ports"]} & set(locust)


def test_prometheus_reads_the_master_at_the_port_that_is_open_for_it():
    """Argument, container port, policy and the annotation of the usual discovery name one port."""
    args, template = container("peakday-master")["args"], pod("peakday-master")
    port = args[args.index("--metrics-port") + 1]
    assert template["metadata"]["annotations"] == {"prometheus.io/scrape": "true", "prometheus.io/port": port}
    assert int(port) in [one["containerPort"] for one in container("peakday-master")["ports"]]
    assert [one["port"] for one in one(JOB, "NetworkPolicy")["spec"]["ingress"][1]["ports"]] == [int(port)]


@pytest.mark.parametrize("name", ["peakday-master", "peakday-worker"])
def test_secrets_are_files_and_no_variable_holds_one(name):
    """`kubectl describe`, `ps` and a crash dump show variables; the folder's name is all they see."""
    (mount,) = [one for one in container(name)["volumeMounts"] if one["name"] == "secrets"]
    assert container(name)["env"] == [{"name": SECRETS_VARIABLE, "value": mount["mountPath"]}]
    assert mount["readOnly"]
    assert "envFrom" not in container(name)
    (volume,) = [one for one in pod(name)["spec"]["volumes"] if one["name"] == "secrets"]
    assert volume["projected"]["defaultMode"] == 0o440
    run = volume["projected"]["sources"][0]["secret"]
    assert [item["path"] for item in run["items"]] == [VARIABLE]


def test_a_worker_ignores_the_masters_arguments(monkeypatch):
    """The run comes from the master: what else stands on the worker's command line is the operator's habit."""
    asked = []
    monkeypatch.setattr("loadgen.remote_workers.run_worker", lambda *args: asked.append(args) or 0)
    command = ["run", "--worker", "--master-host", "m", *OPERATOR_ARGS]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert asked[0][0] == "m"
