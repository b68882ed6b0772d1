"""A compose file: TF Serving in Docker on this machine, for this machine alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from kerasd2l.export.deployment.plans import Plan
from kerasd2l.export.deployment.text_protos import flags

USER = 65534  # nobody


def compose(plan: Plan, out: Path) -> dict[str, Any]:
    """Return the content of `compose.yaml`; `out`: the folder that it will lie in.

    The image has no curl: the health check asks with bash for the state of the first model.
    """
    ask = (
        f'exec 3<>/dev/tcp/127.0.0.1/8501 && printf "GET /v1/models/{plan.models[0].name} '
        r'HTTP/1.0\r\n\r\n" >&3 && grep -q AVAILABLE <&3'
    )
    here = out.resolve()
    return {
        "name": "kerasd2l",
        "services": {
            "tensorflow-serving": {
                "image": plan.image,
                "entrypoint": ["tensorflow_model_server"],
                "command": flags(plan, "/config"),
                "ports": ["127.0.0.1:8500:8500", "127.0.0.1:8501:8501"],
                "volumes": [
                    _mount(os.path.relpath(plan.folder, here), "/models"),
                    _mount("./models.config", "/config/models.config"),
                    _mount("./batching.config", "/config/batching.config"),
                ],
                "healthcheck": {
                    "test": ["CMD", "bash", "-c", ask],
                    "interval": "10s",
                    "timeout": "5s",
                    "retries": 3,
                    "start_period": "60s",
                },
                "user": f"{USER}:{USER}",
                "read_only": True,
                "tmpfs": ["/tmp"],
                "cap_drop": ["ALL"],
                "security_opt": ["no-new-privileges:true"],
                "mem_limit": f"{plan.memory}g",
                "restart": "unless-stopped",
            }
        },
    }


def _mount(source: str, target: str) -> dict[str, Any]:
    source = source if source.startswith(".") else f"./{source}"
    bind = {"create_host_path": False}
    return {"type": "bind", "source": source, "target": target, "read_only": True, "bind": bind}
