"""From a plan to the files of a target."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kerasd2l.export.deployment import TARGETS, kubernetes, text_protos, vertex
from kerasd2l.export.deployment import compose as docker
from kerasd2l.export.deployment.plans import Plan
from kerasd2l.export.manifest import SavedModelError
from kerasd2l.run import write_atomic


def write(plan: Plan, target: str, out: Path | None = None) -> list[Path]:
    """Write the files of a target, over those of an earlier call.

    Args:
        plan: what is served.
        target: one of `TARGETS`.
        out: the folder for them. Default: deploy/TARGET in the folder of models, where servers
            find no version and so no model.

    Returns:
        Their paths.

    Raises:
        SavedModelError: a package of the extra `serve` is missing.
        ValueError: an unknown target, or a plan that it cannot carry out.
    """
    if target not in TARGETS:
        raise ValueError(f"unknown target {target!r}. There are: {', '.join(TARGETS)}.")
    out = out or plan.folder / "deploy" / target
    if plan.folder in out.resolve().parents and any(
        plan.folder / model.name in (out.resolve(), *out.resolve().parents) for model in plan.models
    ):
        raise ValueError(f"{out} lies inside a model's folder, which is for its versions alone.")
    try:
        contents = _contents(plan, target, out)
    except ImportError as error:
        raise SavedModelError(
            f"--for {target} needs more packages ({error}): pip install 'kerasd2l[serve]'"
        ) from error
    out.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        write_atomic(out / name, content.encode("utf8"))
    return [out / name for name in contents]


def _contents(plan: Plan, target: str, out: Path) -> dict[str, str]:
    """Return file name -> content."""
    if target == "vertex":
        bodies = vertex.vertex(plan)
        return {f"{name}.json": json.dumps(body, indent=2) + "\n" for name, body in bodies.items()}
    if target == "kserve":
        return {"inference-services.yaml": _yaml(kubernetes.kserve(plan), "kubectl apply -f")}
    if target == "kubernetes":
        return {"tensorflow-serving.yaml": _yaml(kubernetes.kubernetes(plan), "kubectl apply -f")}
    base = "/models" if target == "compose" else str(plan.folder)
    words = " ".join(text_protos.flags(plan, str(out.resolve())))
    run = "# docker compose up" if target == "compose" else f"# tensorflow_model_server {words}"
    contents = {
        "models.config": f"{run}\n{text_protos.models_config(plan, base)}",
        "batching.config": _why(plan) + text_protos.batching_config(),
    }
    if target == "compose":
        file = _yaml([docker.compose(plan, out)], "docker compose -f", "up")
        contents = {"compose.yaml": file, **contents}
    return contents


def _why(plan: Plan) -> str:
    """Say who may not be batched, if the server does without."""
    alone = [model.name for model in plan.models if not model.batches]
    if not alone:
        return ""
    return (
        "# Not used: TF Serving batches all models of a server or none, and refuses requests with\n"
        f"# inputs that have no batch axis, or another free one. Such has: {', '.join(alone)}.\n"
    )


def _yaml(documents: Sequence[dict[str, Any]], *command: str) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Long texts as they are; what occurs twice is written twice."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: yaml.SafeDumper, content: str) -> yaml.ScalarNode:
        style = "|" if "\n" in content else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", content, style=style)

    Dumper.add_representer(str, text)
    body = yaml.dump_all(documents, Dumper=Dumper, sort_keys=False, width=200)
    return f"# {command[0]} THIS_FILE{''.join(f' {word}' for word in command[1:])}\n{body}"
