"""A training on Kubernetes: `kerasd2l launch --engine kubernetes` writes what kubectl applies.

Three kinds: `job`, an Indexed Job with a headless Service, which every cluster runs; `tfjob`,
Kubeflow's TFJob v1, whose operator sets TF_CONFIG; `trainjob`, a runtime and a TrainJob of
Kubeflow Trainer v2, which has no runtime for TensorFlow. Workers of the first and the last know
each other by their index and the names that the service gives them.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

from kerasd2l.cluster.jobs import EngineError, Job

KINDS = ("job", "tfjob", "trainjob")
MOUNT = "/kerasd2l"
PORT = 2222
USER = 65534  # nobody
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
# 2 (usage) and 3 (the loss is not finite) would come again.
_FINAL = [2, 3]

DOCKERFILE = f"""\
# Build it in the folder of kerasd2l's source: docker build -t IMAGE -f Dockerfile .
FROM python:3.11-slim
COPY . /source
RUN pip install --no-cache-dir /source{{cuda}}
USER {USER}:{USER}
ENV HOME=/tmp
ENTRYPOINT ["kerasd2l"]
"""


def dockerfile(gpus: bool) -> str:
    """Return a Dockerfile for the image of the workers."""
    return DOCKERFILE.format(cuda=' "tensorflow[and-cuda]"' if gpus else "")


def manifests(job: Job, *, image: str, kind: str = "job", volume: str) -> list[dict[str, Any]]:
    """Return the objects that `kubectl apply` takes.

    Args:
        job: what to train. Its folders are those of the volume: relative ones start there. With
            restarts the command gets `--resume`: it goes on with what its run folder holds.
        image: str, as from `dockerfile`.
        kind: one of `KINDS`.
        volume: str, a PersistentVolumeClaim that all nodes can write (ReadWriteMany).

    Raises:
        ValueError: an unknown kind, names that Kubernetes has not, a run folder elsewhere.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}. There are: {', '.join(KINDS)}.")
    if not image or re.search(r"\s", image):
        raise ValueError(f"an image is such as registry/name:tag. Received: {image!r}.")
    if not re.fullmatch(rf"{_LABEL}(\.{_LABEL})*", volume):
        raise ValueError(
            f"the volume must be the name of a PersistentVolumeClaim. Received: {volume!r}."
        )
    out = PurePosixPath(MOUNT, job.out)
    if ".." in out.parts or PurePosixPath(MOUNT) not in out.parents:
        raise ValueError(
            f"--out must lie on the volume, which is {MOUNT} in the workers. Received: {job.out}. "
            "Give a relative folder, such as runs/lenet."
        )
    documents = {"job": _job, "tfjob": _tfjob, "trainjob": _trainjob}[kind](job, image, volume)
    return [_policy(job), *documents]


def as_yaml(documents: list[dict[str, Any]], line: str) -> str:
    """Return the text of the manifests.

    Args:
        documents: what `manifests` returned.
        line: str, the command that made them, for a comment.

    Raises:
        EngineError: PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError as error:
        raise EngineError(
            f"PyYAML is not installed ({error}): pip install 'kerasd2l[kubernetes]'"
        ) from error
    head = "".join(f"# {part}\n" for part in f"Written by: {line}".splitlines())
    return head + yaml.safe_dump_all(documents, sort_keys=False, width=200)


def write(folder: Path, job: Job, text: str) -> list[Path]:
    """Write the manifests and a Dockerfile into a folder; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {f"{job.unique_name}.yaml": text, "Dockerfile": dockerfile(job.gpus_per_worker > 0)}
    for name, content in contents.items():
        (folder / name).write_text(content)
    return [folder / name for name in contents]


def _policy(job: Job) -> dict[str, Any]:
    """A NetworkPolicy: nobody but the workers reaches their ports, which ask for no password."""
    spec = {
        "podSelector": {"matchLabels": _labels(job)},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": {"matchLabels": _labels(job)}}]}],
    }
    about = {"name": job.unique_name, "labels": _labels(job)}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": about,
        "spec": spec,
    }


def _job(job: Job, image: str, volume: str) -> list[dict[str, Any]]:
    """An Indexed Job: Kubernetes names its pods NAME-0, NAME-1, ... and knows each failed one."""
    env = _own_env(job, job.unique_name)
    pod = _pod(job, _container(job, image, "worker", env), volume)
    pod |= {"subdomain": job.unique_name, "restartPolicy": "Never"}
    service = {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,  # they meet before they are ready
        "selector": {"job-name": job.unique_name},
        "ports": [{"name": "tensorflow", "port": PORT}],
    }
    spec = {
        "completions": job.workers,
        "parallelism": job.workers,
        "completionMode": "Indexed",
        # All fail when one does: each of them counts.
        "backoffLimit": job.max_restarts * job.workers,
        "podFailurePolicy": {"rules": [_final_codes("worker")]},
        "template": {"metadata": {"labels": _labels(job)}, "spec": pod},
    }
    about = {"name": job.unique_name, "labels": _labels(job)}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": about, "spec": service},
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": about, "spec": spec},
    ]


def _tfjob(job: Job, image: str, volume: str) -> list[dict[str, Any]]:
    """A TFJob: the operator knows its container and its port by their names."""
    container = _container(job, image, "tensorflow", [])
    container["ports"] = [{"name": "tfjob-port", "containerPort": PORT}]
    worker = {
        "replicas": job.workers,
        # Not ExitCode, for which 1 is final: with 1 ends who has lost another worker.
        "restartPolicy": "OnFailure" if job.max_restarts else "Never",
        "template": {
            "metadata": {"labels": _labels(job)},
            "spec": _pod(job, container, volume),
        },
    }
    policy = {"cleanPodPolicy": "Running", "backoffLimit": job.max_restarts * job.workers}
    return [
        {
            "apiVersion": "kubeflow.org/v1",
            "kind": "TFJob",
            "metadata": {"name": job.unique_name, "labels": _labels(job)},
            "spec": {"runPolicy": policy, "tfReplicaSpecs": {"Worker": worker}},
        }
    ]


def _trainjob(job: Job, image: str, volume: str) -> list[dict[str, Any]]:
    """A TrainingRuntime and a TrainJob; the JobSet made of them has a service of its name."""
    container = _container(job, image, "node", [])
    command = {key: container.pop(key) for key in ("image", "args", "resources")}
    container["image"] = image
    pod = _pod(job, container, volume) | {"restartPolicy": "Never"}
    node = {
        "name": "node",
        "template": {
            "metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}},
            "spec": {
                "backoffLimit": 0,  # one failed pod: all start again
                "podFailurePolicy": {"rules": [_final_codes("node")]},
                "template": {"metadata": {"labels": _labels(job)}, "spec": pod},
            },
        },
    }
    failure = {
        "maxRestarts": job.max_restarts,
        "rules": [
            {
                "name": "final",
                "action": "FailJobSet",
                "onJobFailureReasons": ["PodFailurePolicy"],
            }
        ],
    }
    runtime = {
        "mlPolicy": {"numNodes": job.workers},
        "template": {"spec": {"failurePolicy": failure, "replicatedJobs": [node]}},
    }
    trainer = {
        "image": command["image"],
        "args": command["args"],
        "numNodes": job.workers,
        "resourcesPerNode": command["resources"],
        "env": _own_env(job, job.unique_name),
    }
    version = "trainer.kubeflow.org/v1alpha1"
    about = {"name": job.unique_name, "labels": _labels(job)}
    reference = {
        "apiGroup": "trainer.kubeflow.org",
        "kind": "TrainingRuntime",
        "name": job.unique_name,
    }
    return [
        {"apiVersion": version, "kind": "TrainingRuntime", "metadata": about, "spec": runtime},
        {
            "apiVersion": version,
            "kind": "TrainJob",
            "metadata": about,
            "spec": {"runtimeRef": reference, "trainer": trainer},
        },
    ]


def _labels(job: Job) -> dict[str, str]:
    return {"app.kubernetes.io/name": job.unique_name, "app.kubernetes.io/part-of": "kerasd2l"}


def _own_env(job: Job, service: str) -> list[dict[str, str]]:
    """What a worker needs beside JOB_COMPLETION_INDEX and its host name to know the others."""
    if job.workers == 1:
        return []
    return [
        {"name": "KERASD2L_WORKERS", "value": str(job.workers)},
        {"name": "KERASD2L_SERVICE", "value": service},
    ]


def _final_codes(container: str) -> dict[str, Any]:
    codes = {"containerName": container, "operator": "In", "values": _FINAL}
    return {"action": "FailJob", "onExitCodes": codes}


def _container(job: Job, image: str, name: str, env: list[dict[str, str]]) -> dict[str, Any]:
    resources: dict[str, Any] = {"requests": {"cpu": "1", "memory": "2Gi"}}
    if job.gpus_per_worker:
        resources["limits"] = {"nvidia.com/gpu": str(job.gpus_per_worker)}
    mounts = [{"name": "shared", "mountPath": MOUNT}, {"name": "tmp", "mountPath": "/tmp"}]
    if job.gpus_per_worker > 1:  # NCCL
        mounts.append({"name": "shm", "mountPath": "/dev/shm"})
    return {
        "name": name,
        "image": image,
        "command": ["kerasd2l"],
        # $(X) is a variable to Kubernetes
        "args": [w.replace("$(", "$$(") for w in _words(job)],
        "workingDir": MOUNT,
        "resources": resources,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    } | ({"env": env} if env else {})


def _words(job: Job) -> list[str]:
    return list(job.with_resume() if job.max_restarts else job.command)


def _pod(job: Job, container: dict[str, Any], volume: str) -> dict[str, Any]:
    volumes: list[dict[str, Any]] = [
        {"name": "shared", "persistentVolumeClaim": {"claimName": volume}},
        {"name": "tmp", "emptyDir": {}},
    ]
    if job.gpus_per_worker > 1:
        volumes.append({"name": "shm", "emptyDir": {"medium": "Memory"}})
    return {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 90,  # SIGTERM saves
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": volumes,
    }
