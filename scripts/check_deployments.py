#!/usr/bin/env python
"""Check what `kerasd2l export --for TARGET` writes with the validators of others.

    python scripts/check_deployments.py

compose: check-jsonschema with compose-spec's schema; kubernetes: kubernetes-validate, strict;
kserve: the classes of KServe's own client, every key and type; vertex: the messages of
google-cloud-aiplatform. They take some 300 MB in a virtual environment of their own,
which is made anew unless --venv names one. The tests read the text protobufs with TF Serving's
own messages.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import click
from openapi_check import CHECK

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("check-jsonschema", "kubernetes-validate", "google-cloud-aiplatform", "kubernetes")
VERTEX = ["--storage", "gs://bucket/savedmodels", "--image"]
VERTEX += ["europe-west4-docker.pkg.dev/project/repository/serving:2.20.0"]

# KServe's client needs 60 packages to be imported; its classes alone need two.
KSERVE = """
import importlib.util, sys, types, yaml
package = types.ModuleType("kserve")
package.__path__ = list(importlib.util.find_spec("kserve").submodule_search_locations)
sys.modules["kserve"] = package
import kserve.models as models
import kubernetes.client as client

HOMES = (models, client)
for service in yaml.safe_load_all(open(sys.argv[1])):
    check("V1beta1InferenceService", service, service["metadata"]["name"])
    print("kserve:", service["metadata"]["name"], "is an InferenceService")
"""

VERTEX_CHECK = """
import json, sys
from google.cloud.aiplatform_v1.types import UploadModelRequest
from google.protobuf import json_format
for file in sys.argv[1:]:
    body = json.load(open(file))
    json_format.ParseDict({"parent": "projects/p/locations/l", **body}, UploadModelRequest.pb()())
    print("vertex:", file, "is an UploadModelRequest")
"""


@click.command()
@click.argument("savedmodels", type=click.Path(path_type=Path), default=ROOT / "savedmodels")
@click.option("--venv", "folder", type=click.Path(path_type=Path), help="One to use again.")
def main(savedmodels: Path, folder: Path | None) -> None:
    """Write the files for SAVEDMODELS and have each looked at by its validator."""
    with tempfile.TemporaryDirectory() as scratch:
        place = folder or Path(scratch) / "venv"
        if not place.exists():
            venv.create(place, with_pip=True)
            pip = str(place / "bin" / "pip")
            subprocess.run([pip, "install", "-q", *PACKAGES], check=True)
            subprocess.run([pip, "install", "-q", "--no-deps", "kserve"], check=True)
        python, out = place / "bin" / "python", Path(scratch) / "deploy"
        for target in ("compose", "kubernetes", "kserve", "vertex"):
            more = VERTEX if target == "vertex" else []
            words = ["export", str(savedmodels), "--for", target, "--out", str(out / target)]
            run = [sys.executable, "-m", "kerasd2l.cli", *words, *more]
            subprocess.run(run, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
        compose = ["--builtin-schema", "vendor.compose-spec", str(out / "compose/compose.yaml")]
        subprocess.run([str(place / "bin" / "check-jsonschema"), *compose], check=True)
        (file,) = (out / "kubernetes").iterdir()
        subprocess.run([place / "bin" / "kubernetes-validate", "--strict", file], check=True)
        (file,) = (out / "kserve").iterdir()
        subprocess.run([python, "-c", CHECK + KSERVE, file], check=True)
        bodies = sorted((out / "vertex").iterdir())
        subprocess.run([python, "-c", VERTEX_CHECK, *bodies], check=True)


if __name__ == "__main__":
    main()
