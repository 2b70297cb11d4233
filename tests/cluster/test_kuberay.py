"""The manifest for Kubernetes, as far as it can be looked at without a cluster."""

import shlex
from typing import Any

import pytest
import yaml
from batch_setup import ROOT
from evertalk_batch.cli import options_of, read_arguments


@pytest.fixture(scope="module")
def ray_job() -> dict[str, Any]:
    manifest = yaml.safe_load_all((ROOT / "cluster" / "kuberay.yaml").read_text(encoding="utf-8"))
    return next(part for part in manifest if part["kind"] == "RayJob")["spec"]


def pods(ray_job: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = ray_job["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


def test_every_node_of_ray_keeps_its_workers_priority_and_sends_nothing(ray_job: dict[str, Any]) -> None:
    for pod in pods(ray_job):
        for container in pod["containers"]:
            values = {one["name"]: one["value"] for one in container["env"]}
            assert values == {"RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"}


def test_pods_see_the_folder_that_the_command_names(ray_job: dict[str, Any]) -> None:
    options = options_of(read_arguments(shlex.split(ray_job["entrypoint"])[1:]))
    for pod in pods(ray_job):
        mounts = [one["mountPath"] for one in pod["containers"][0]["volumeMounts"]]
        for path in (options.jobs, options.workflow, options.store, options.base):
            assert any(path.startswith(f"{mount}/") for mount in mounts)


def test_there_are_as_many_gpus_as_workers(ray_job: dict[str, Any]) -> None:
    options = options_of(read_arguments(shlex.split(ray_job["entrypoint"])[1:]))
    (group,) = ray_job["rayClusterSpec"]["workerGroupSpecs"]
    limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert group["replicas"] * int(limits["nvidia.com/gpu"]) == options.workers
