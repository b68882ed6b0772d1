"""TensorFlow Serving's `models.config`: which models, which of their versions, and their labels."""

from __future__ import annotations

from pathlib import Path

from kerasd2l.serving.server.calls import ServingError
from kerasd2l.serving.server.storage import ModelConfig


def read_config(file: Path) -> dict[str, ModelConfig]:
    """Read the models of a file in text format; paths in it are relative to its folder.

    Raises:
        ServingError: it cannot be read; the message says why.
    """
    from google.protobuf import text_format
    from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

    try:
        content = text_format.Parse(file.read_text("utf8"), ModelServerConfig())
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise ServingError("INVALID_ARGUMENT", f"cannot read {file}: {error}") from None
    configs: dict[str, ModelConfig] = {}
    for config in content.model_config_list.config:
        path = file.parent / config.base_path
        policy = config.model_version_policy
        versions: str | tuple[int, ...] | int = 1
        if policy.WhichOneof("policy_choice") == "all":
            versions = "all"
        elif policy.WhichOneof("policy_choice") == "specific":
            versions = tuple(policy.specific.versions)
        elif policy.WhichOneof("policy_choice") == "latest":
            versions = max(1, policy.latest.num_versions)
        if not config.name or config.name in configs:
            raise ServingError(
                "INVALID_ARGUMENT", f"{file}: every model needs a name of its own: {config.name!r}"
            )
        if not config.base_path:
            raise ServingError("INVALID_ARGUMENT", f"{file}: {config.name} has no base_path")
        configs[config.name] = ModelConfig(config.name, path, versions, dict(config.version_labels))
    if not configs:
        raise ServingError("INVALID_ARGUMENT", f"{file} names no models in model_config_list")
    return configs
