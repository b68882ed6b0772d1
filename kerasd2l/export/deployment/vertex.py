"""Vertex AI: for each model the body of a request that uploads it, to be run by TF Serving."""

from __future__ import annotations

import re
from typing import Any

from kerasd2l.export.deployment.plans import Plan

_REGISTRY = r"([a-z0-9-]+-docker\.pkg\.dev|(?:[a-z]+\.)?gcr\.io)/.+"


def vertex(plan: Plan) -> dict[str, dict[str, Any]]:
    """Return name -> body of `projects.locations.models.upload`.

    Vertex AI copies the NAME folder, tells the container where by AIP_STORAGE_URI, sends a
    request's `instances` to the predict route as they are, and hands the answer back.

    Raises:
        ValueError: no folder in Cloud Storage, an image that Vertex AI does not take, or versions
            other than the latest.
    """
    if not re.fullmatch("gs://[a-z0-9][a-z0-9._-]+(/.*)?", plan.storage or ""):
        raise ValueError(
            "Vertex AI reads models from Cloud Storage: storage must be gs://BUCKET/FOLDER, where "
            f"{plan.folder.name} is copied to. Received: {plan.storage!r}."
        )
    if not re.fullmatch(_REGISTRY, plan.image):
        raise ValueError(
            "Vertex AI takes images from Artifact Registry: copy the one of TF Serving there and "
            f"give REGION-docker.pkg.dev/PROJECT/REPOSITORY/serving:TAG. Received: {plan.image!r}."
        )
    if plan.versions != "latest" or any(model.labels for model in plan.models):
        raise ValueError("Vertex AI counts versions itself: it gets the latest, without labels.")
    return {
        model.name: {
            "model": {
                "displayName": model.name,
                "description": f"version {model.versions[-1]}, exported by kerasd2l",
                "artifactUri": f"{plan.storage}/{model.name}",
                "labels": {"exporter": "kerasd2l", "version": str(model.versions[-1])},
                "containerSpec": {
                    "imageUri": plan.image,
                    "command": ["tensorflow_model_server"],
                    "args": [
                        "--rest_api_port=8501",
                        f"--model_name={model.name}",
                        "--model_base_path=$(AIP_STORAGE_URI)",
                    ],
                    "ports": [{"containerPort": 8501}],
                    "predictRoute": f"/v1/models/{model.name}:predict",
                    "healthRoute": f"/v1/models/{model.name}",
                },
            }
        }
        for model in plan.models
    }
