"""deploy/kubernetes: the manifests say what Kubernetes, Locust's operator and our own command understand."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from loadgen.targets.mapping import target_specs
from peakday.cli import app
from peakday.config import load_config

DEPLOY = Path(__file__).parents[2] / "deploy"
JOB = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "job.yaml").read_text()))
OPERATOR = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "operator.yaml").read_text()))
# Properties of the CRD's spec: locustio/k8s-operator, charts/locust-operator/crds/locusttest.yaml, read 2026-11-23.
CRD_SPEC = {
    "annotations", "labels", "image", "imagePullPolicy", "imagePullSecrets", "workers", "args", "env", "master",
    "worker", "locustfile", "metrics",
}  # fmt: skip
CRD_ROLE = {"labels", "annotations", "resources"}
OPERATOR_ARGS = shlex.split(OPERATOR[1]["spec"]["args"])
API = {"ConfigMap": "v1", "PersistentVolumeClaim": "v1", "Service": "v1", "Job": "batch/v1"}


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
    """Kind and API version belong together; where kubernetes-validate is installed, the whole schema is held."""
    assert document["apiVersion"] == API[document["kind"]]
    validator = pytest.importorskip("kubernetes_validate")
    validator.validate(document, validator.latest_version(), strict=True)


@pytest.mark.parametrize("documents", [JOB, OPERATOR], ids=["job", "operator"])
def test_the_mapping_is_read_and_its_target_is_owned(documents, tmp_path, monkeypatch):
    """The files of the ConfigMap are what the command reads: else the run would be refused in the cluster."""
    monkeypatch.chdir(files(documents, tmp_path))
    (spec,) = target_specs(tmp_path / "target.yaml")
    (owned,) = load_config().owned_targets
    assert spec.url.startswith(owned + "/")


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
    ports = {port["containerPort"] for port in container("peakday-master")["ports"]}
    assert {port["port"] for port in service["spec"]["ports"]} == ports == {5557}
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


def test_the_operators_resource_has_only_fields_of_its_schema():
    """An unknown field is pruned in silence by the API server."""
    test = one(OPERATOR, "LocustTest")
    assert test["apiVersion"] in ("locust.cloud/v1", "locust.io/v1")
    assert set(test["spec"]) <= CRD_SPEC
    assert set(test["spec"]["master"]) | set(test["spec"]["worker"]) <= CRD_ROLE
    assert list(test["spec"]["locustfile"]) == ["configMap"]
    assert test["spec"]["locustfile"]["configMap"]["name"] == one(OPERATOR, "ConfigMap")["metadata"]["name"]


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


def test_the_operators_entry_point_runs_master_and_worker_with_their_exit_code(tmp_path):
    """The operator gives both the same args after its own; an invalid run's 3 reaches the Job."""
    done = entry(tmp_path, "--master", "smoke", "--workers", "8")
    assert (done.stdout, done.returncode) == ("peakday run --master smoke --workers 8\n", 3)
    done = entry(tmp_path, "--worker", "--master-host", "m", "smoke", "--workers", "8")
    assert (done.stdout, done.returncode) == ("peakday run --worker --master-host m smoke --workers 8\n", 3)


def test_a_worker_ignores_the_masters_arguments(monkeypatch):
    """The run comes from the master: what else stands on the worker's command line is the operator's habit."""
    asked = []
    monkeypatch.setattr("loadgen.run.run_worker", lambda *args: asked.append(args) or 0)
    command = ["run", "--worker", "--master-host", "m", *OPERATOR_ARGS]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert asked[0][0] == "m"


def test_the_image_has_a_stage_for_the_operator_and_the_command_last():
    """`docker build` without a target makes the last stage."""
    stages = [line.split() for line in (DEPLOY / "Dockerfile").read_text().splitlines() if line.startswith("FROM ")]
    assert [stage[-1] for stage in stages] == ["base", "operator", "peakday"]
