#!/usr/bin/env python
"""Check what `kerasd2l launch --engine kubernetes` writes with the validators of others.

    python scripts/check_manifests.py

job, and the pods of all kinds: kubernetes-validate, strict; tfjob: the classes of Kubeflow's
training client (kubeflow-training); trainjob: the models of kubeflow-trainer-api. They go into a
virtual environment of their own, which is made anew unless --venv names one.
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
PACKAGES = ("kubernetes-validate", "kubeflow-training", "kubeflow-trainer-api", "pyyaml")

# Every key must be one of the class, every value of its type; and what the classes do not say:
# pods must be those of the Kubernetes that kubernetes-validate knows.
MANIFESTS = """
import sys, yaml
import kubernetes_validate
import kubernetes.client as core
import kubeflow.training.models as training
import kubeflow_trainer_api.models as trainer

HOMES = (training, core)

def keys(value, where=""):
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"{where}.{key}"
            yield from keys(item, f"{where}.{key}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from keys(item, f"{where}.{number}")

def as_job(name, pod):
    spec = {"template": {"spec": {"restartPolicy": "Never", **pod}}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}

pods = {
    "TFJob": lambda spec: spec["tfReplicaSpecs"]["Worker"]["template"]["spec"],
    "TrainingRuntime": lambda spec: spec["template"]["spec"]["replicatedJobs"][0]["template"][
        "spec"]["template"]["spec"],
}
for file in sys.argv[1:]:
    for document in yaml.safe_load_all(open(file)):
        kind = document["kind"]
        if kind == "TFJob":
            check("KubeflowOrgV1TFJob", document, kind)
        elif kind in ("TrainJob", "TrainingRuntime"):
            model = getattr(trainer, f"TrainerV1alpha1{kind}").from_dict(document)
            lost = set(keys(document)) - set(keys(model.to_dict()))
            assert not lost, f"{kind} has unknown keys: {lost}"
        else:
            kubernetes_validate.validate(document, VERSION, strict=True)
        if kind in pods:
            pod = pods[kind](document["spec"])
            kubernetes_validate.validate(as_job("pod", pod), VERSION, strict=True)
        print(f"{file.rpartition('/')[2]}: a valid {kind}")
"""


@click.command()
@click.option("--venv", "folder", type=click.Path(path_type=Path), help="One to use again.")
@click.option("--kubernetes", default="1.31", show_default=True, help="Its version.")
def main(folder: Path | None, kubernetes: str) -> None:
    """Write manifests of every kind, with and without GPUs, and have them validated."""
    with tempfile.TemporaryDirectory() as scratch:
        place = folder or Path(scratch) / "venv"
        if not place.exists():
            venv.create(place, with_pip=True)
            subprocess.run([place / "bin" / "pip", "install", "-q", *PACKAGES], check=True)
        files = []
        for kind in ("job", "tfjob", "trainjob"):
            for gpus in (0, 2):
                out = Path(scratch) / f"{kind}-{gpus}"
                words = ["--engine", "kubernetes", "--image", "registry/kerasd2l:1"]
                words += ["--kind", kind, "--out-dir", str(out), "--gpus-per-worker", str(gpus)]
                words += ["--workers", "2", "--max-restarts", str(gpus)]
                train = ["train", "lenet", "--out", f"runs/{kind}-{gpus}"]
                run = [sys.executable, "-m", "kerasd2l.cli", "launch", *words, "--", *train]
                subprocess.run(run, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
                files += sorted(out.glob("*.yaml"))
        version = f"VERSION = {kubernetes!r}\n"
        python = place / "bin" / "python"
        done = subprocess.run([python, "-c", version + CHECK + MANIFESTS, *files], check=False)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
