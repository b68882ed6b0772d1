"""Kubernetes: one TF Serving for all models from a volume; and KServe, one service for each."""

from __future__ import annotations

import re
from typing import Any

from kerasd2l.export.deployment.plans import Plan
from kerasd2l.export.deployment.text_protos import batching_config, flags, models_config

NAME = "tensorflow-serving"
CLAIM = "pvc://savedmodels"
USER = 65534  # nobody
_LABELS = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/part-of": "kerasd2l"}


def kubernetes(plan: Plan) -> list[dict[str, Any]]:
    """Return a ConfigMap, a Deployment and a Service.

    Raises:
        ValueError: the storage is no volume of the cluster.
    """
    storage = plan.storage or CLAIM
    match = re.fullmatch("pvc://([a-z0-9]([-a-z0-9.]*[a-z0-9])?)(?:/(.+))?", storage)
    if not match or ".." in (match[3] or "").split("/"):
        raise ValueError(
            "Kubernetes needs the models on a volume: storage must be pvc://CLAIM or "
            f"pvc://CLAIM/FOLDER. Received: {storage!r}."
        )
    claim, folder = match[1], match[3]
    config = {"models.config": models_config(plan, "/models"), "batching.config": batching_config()}
    mount = {"name": "models", "mountPath": "/models", "readOnly": True}
    mount |= {"subPath": folder} if folder else {}
    volume = {"claimName": claim, "readOnly": True}
    pod = {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(plan, mount)],
        "volumes": [
            {"name": "models", "persistentVolumeClaim": volume},
            {"name": "config", "configMap": {"name": NAME}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}},
        ],
    }
    ports = [
        {"name": name, "port": port, "targetPort": name}
        for name, port in (("grpc", 8500), ("http", 8501))
    ]
    about = {"name": NAME, "labels": _LABELS}
    deployment = {
        "replicas": 1,
        "selector": {"matchLabels": _LABELS},
        "template": {"metadata": {"labels": _LABELS}, "spec": pod},
    }
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": config},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": about, "spec": deployment},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": about,
            "spec": {"type": "ClusterIP", "selector": _LABELS, "ports": ports},
        },
    ]


def kserve(plan: Plan) -> list[dict[str, Any]]:
    """Return an InferenceService for each model.

    KServe's default version of TF Serving, 2.6.2, cannot read these models. TF Serving loads the
    highest version of a folder: `versions` and labels are not KServe's.

    Raises:
        ValueError: labels or other versions than the latest; two models of one name in Kubernetes.
    """
    if plan.versions != "latest" or any(model.labels for model in plan.models):
        raise ValueError("KServe serves the latest version, without labels.")
    names = [model.dns_name for model in plan.models]
    if len(set(names)) < len(names):
        raise ValueError(
            f"two models have the same name in Kubernetes: {', '.join(sorted(names))}."
        )
    storage = plan.storage or CLAIM
    return [
        {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {
                "name": model.dns_name,
                "labels": {"app.kubernetes.io/part-of": "kerasd2l"},
            },
            "spec": {
                "predictor": {
                    "minReplicas": 1,
                    "model": {
                        "modelFormat": {"name": "tensorflow", "version": "2"},
                        "protocolVersion": "v1",
                        "runtimeVersion": plan.tag,
                        "storageUri": f"{storage}/{model.name}",
                        "resources": _resources(plan),
                    },
                }
            },
        }
        for model in plan.models
    ]


def _container(plan: Plan, models: dict[str, Any]) -> dict[str, Any]:
    """The server. It opens its ports when the first versions of all models are loaded."""
    answers = {"httpGet": {"path": f"/v1/models/{plan.models[0].name}", "port": "http"}}
    return {
        "name": NAME,
        "image": plan.image,
        "command": ["tensorflow_model_server"],
        "args": flags(plan, "/config"),
        "ports": [
            {"name": "grpc", "containerPort": 8500},
            {"name": "http", "containerPort": 8501},
        ],
        "startupProbe": answers | {"periodSeconds": 2, "failureThreshold": 150},
        "readinessProbe": answers | {"periodSeconds": 5, "failureThreshold": 2},
        "livenessProbe": {"tcpSocket": {"port": "grpc"}, "periodSeconds": 20},
        "resources": _resources(plan),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            models,
            {"name": "config", "mountPath": "/config", "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }


def _resources(plan: Plan) -> dict[str, Any]:
    return {
        "requests": {"cpu": "500m", "memory": "512Mi"},
        "limits": {"cpu": "2", "memory": f"{plan.memory}Gi"},
    }
