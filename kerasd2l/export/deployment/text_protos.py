"""TF Serving's own files: `models.config` and `batching.config`, both protobuf in text."""

from __future__ import annotations

from collections.abc import Mapping

from kerasd2l.export.deployment.plans import Plan

# Of what many small models do well with. The queue holds as many requests as 100 full batches.
BATCHING: Mapping[str, int] = {
    "max_batch_size": 32,
    "batch_timeout_micros": 1000,
    "max_enqueued_batches": 100,
    "num_batch_threads": 4,
}


def models_config(plan: Plan, base: str) -> str:
    """Return `models.config`: each model, its folder, which versions, their labels.

    Args:
        plan: what is served.
        base: str, the folder of models as the server sees it.
    """
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    config = model_server_config_pb2.ModelServerConfig()
    for model in plan.models:
        entry = config.model_config_list.config.add(
            name=model.name,
            base_path=f"{base.rstrip('/')}/{model.name}",
            model_platform="tensorflow",
        )
        if plan.newest is None:
            entry.model_version_policy.all.SetInParent()
        else:
            entry.model_version_policy.latest.num_versions = plan.newest
        for label, version in model.labels.items():
            entry.version_labels[label] = version
    return text_format.MessageToString(config, as_utf8=True)


def batching_config() -> str:
    """Return `batching.config`, a BatchingParameters message.

    The package of TF Serving's messages has none for it. Each field is a wrapped integer.
    """
    return "".join(f"{key} {{ value: {value} }}\n" for key, value in BATCHING.items())


def flags(plan: Plan, config: str) -> list[str]:
    """Return the arguments of `tensorflow_model_server`; `config`: folder of the files above."""
    words = ["--port=8500", "--rest_api_port=8501", f"--model_config_file={config}/models.config"]
    if any(model.labels for model in plan.models):  # else it wants them loaded before it reads this
        words.append("--allow_version_labels_for_unavailable_models=true")
    if plan.batches:
        words += ["--enable_batching=true", f"--batching_parameters_file={config}/batching.config"]
    return words
