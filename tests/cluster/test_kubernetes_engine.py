"""`launch --engine kubernetes`: the manifests. `scripts/check_manifests.py` has them validated."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from kerasd2l.cli import main
from kerasd2l.cluster import kubernetes
from kerasd2l.cluster.jobs import train_job
from kerasd2l.cluster.resolving import PORT, find

yaml = pytest.importorskip("yaml", reason="the extra `kubernetes` has it")

TRAIN = ["train", "lenet", "--data", "builtin"]


def manifests(*command, kind="job", volume="claim", **numbers):
    job = train_job([*TRAIN, *command], **{"workers": 3, **numbers})
    documents = kubernetes.manifests(job, image="registry/kerasd2l:1", kind=kind, volume=volume)
    assert documents[0]["kind"] == "NetworkPolicy"
    return job, documents[1:]


def launch(*words):
    options = ["--engine", "kubernetes", "--workers", "2", *map(str, words)]
    return CliRunner().invoke(main, ["launch", *options])


def pod_of(documents):
    """Return the pod's specification, wherever it stands."""
    spec = documents[-1 if documents[-1]["kind"] != "TrainJob" else 0]["spec"]
    if "tfReplicaSpecs" in spec:
        return spec["tfReplicaSpecs"]["Worker"]["template"]["spec"]
    if "mlPolicy" in spec:
        spec = spec["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]
    return spec["template"]["spec"]


def environment(entries):
    return {entry["name"]: entry["value"] for entry in entries}


def test_the_pods_of_a_job_find_each_other():
    job, (service, indexed) = manifests("--out", "runs/lenet")
    name = job.unique_name
    assert name.startswith("kerasd2l-lenet-")
    pod = pod_of([service, indexed])
    # Kubernetes calls pod 1 of the Job NAME-1, in the domain that is `subdomain`.
    env = environment(pod["containers"][0]["env"])
    found = find({**env, "JOB_COMPLETION_INDEX": "1", "HOSTNAME": f"{name}-1"})
    assert (found.rank, found.size) == (1, 3)
    assert [t.address for t in found.tasks] == [f"{name}-{i}.{name}:2222" for i in range(3)]
    assert pod["subdomain"] == service["metadata"]["name"] == name
    assert indexed["spec"]["completionMode"] == "Indexed"
    assert indexed["spec"]["completions"] == indexed["spec"]["parallelism"] == 3
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"job-name": name}
    assert service["spec"]["publishNotReadyAddresses"]
    assert service["spec"]["ports"][0]["port"] == PORT


def test_the_pods_of_a_trainjob_find_each_other():
    """JobSet calls them TRAINJOB-node-0-INDEX, and its service like the TrainJob."""
    job, documents = manifests("--out", "runs/lenet", kind="trainjob")
    runtime, trainjob = documents
    trainer = trainjob["spec"]["trainer"]
    host = f"{trainjob['metadata']['name']}-node-0-2"
    env = environment(trainer["env"])
    found = find({**env, "JOB_COMPLETION_INDEX": "2", "HOSTNAME": host})
    assert found.address == f"{job.unique_name}-node-0-2.{job.unique_name}:2222"
    assert trainer["numNodes"] == runtime["spec"]["mlPolicy"]["numNodes"] == 3
    assert trainer["args"][0] == "train"
    assert pod_of(documents)["containers"][0]["name"] == "node"
    assert trainjob["spec"]["runtimeRef"]["name"] == runtime["metadata"]["name"]


def test_a_tfjob_has_the_names_that_its_operator_looks_for():
    _, (tfjob,) = manifests("--out", "runs/lenet", kind="tfjob", max_restarts=2)
    worker = tfjob["spec"]["tfReplicaSpecs"]["Worker"]
    assert (worker["replicas"], worker["restartPolicy"]) == (3, "OnFailure")
    assert tfjob["spec"]["runPolicy"]["backoffLimit"] == 6
    (container,) = pod_of([tfjob])["containers"]
    assert container["name"] == "tensorflow"
    assert container["ports"] == [{"name": "tfjob-port", "containerPort": PORT}]
    assert "env" not in container  # TF_CONFIG comes from the operator


@pytest.mark.parametrize("kind", kubernetes.KINDS)
def test_only_workers_reach_workers(kind):
    """The policy is for the pods that have the labels which the template gives them."""
    job = train_job([*TRAIN, "--out", "x"], workers=2)
    policy, *rest = kubernetes.manifests(job, image="i", kind=kind, volume="claim")
    chosen = policy["spec"]["podSelector"]["matchLabels"]
    assert policy["spec"]["ingress"] == [{"from": [{"podSelector": {"matchLabels": chosen}}]}]
    template = rest[-1 if kind != "trainjob" else 0]["spec"]
    if kind == "tfjob":
        template = template["tfReplicaSpecs"]["Worker"]
    if kind == "trainjob":
        template = template["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]
    assert template["template"]["metadata"]["labels"] == chosen


@pytest.mark.parametrize("kind", kubernetes.KINDS)
def test_restarts_resume_and_one_try_does_not(kind):
    def words(**numbers):
        _, documents = manifests("--out", "x", kind=kind, **numbers)
        if kind == "trainjob":
            return documents[1]["spec"]["trainer"]["args"]
        return pod_of(documents)["containers"][0]["args"]

    assert words() == [*TRAIN, "--out", "x"]
    assert words(max_restarts=1) == ["train", "--resume", *TRAIN[1:], "--out", "x"]


@pytest.mark.parametrize("kind", kubernetes.KINDS)
def test_gpus_memory_and_volume(kind):
    _, documents = manifests("--out", "x", kind=kind, gpus_per_worker=2)
    pod = pod_of(documents)
    container = pod["containers"][0]
    if kind == "trainjob":
        resources = documents[1]["spec"]["trainer"]["resourcesPerNode"]
    else:
        resources = container["resources"]
    assert resources["limits"] == {"nvidia.com/gpu": "2"}
    places = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert places == {"shared": "/kerasd2l", "tmp": "/tmp", "shm": "/dev/shm"}
    assert container["workingDir"] == places["shared"]
    claims = [v["persistentVolumeClaim"] for v in pod["volumes"] if v["name"] == "shared"]
    assert claims == [{"claimName": "claim"}]
    assert pod["securityContext"]["runAsNonRoot"]


def test_a_single_worker_waits_for_nobody():
    _, (_, indexed) = manifests("--out", "x", workers=1)
    assert "env" not in pod_of([indexed])["containers"][0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"out": "/runs/x"}, "must lie on the volume, which is /kerasd2l"),
        ({"out": "../x"}, "must lie on the volume"),
        ({"volume": "My Claim"}, "name of a PersistentVolumeClaim"),
        ({"volume": "a..b"}, "name of a PersistentVolumeClaim"),
        ({"kind": "pod"}, "unknown kind 'pod'. There are: job, tfjob, trainjob"),
    ],
)
def test_what_kubernetes_could_not_have_is_refused(changes, message):
    out = changes.pop("out", "x")
    with pytest.raises(ValueError, match=message):
        manifests("--out", out, **changes)


def test_a_dollar_is_no_variable_of_kubernetes():
    _, (_, indexed) = manifests("--out", "x", "--set", "note=$(HOME)")
    assert "note=$$(HOME)" in pod_of([indexed])["containers"][0]["args"]


def test_the_command_prints_or_writes(tmp_path):
    printed = launch("--image", "r/k:1", "--kind", "tfjob", "--", *TRAIN, "--out", "runs/a")
    assert printed.exit_code == 0, printed.output
    _, tfjob = yaml.safe_load_all(printed.stdout)
    assert (tfjob["apiVersion"], tfjob["kind"]) == ("kubeflow.org/v1", "TFJob")
    folder = tmp_path / "deploy"
    written = launch("--image", "r/k:1", "--out-dir", folder, "--", *TRAIN, "--out", "runs/a")
    manifest, dockerfile = map(Path, written.stdout.split())
    assert {manifest, dockerfile} == set(folder.iterdir())
    assert re.fullmatch("kerasd2l-a-[0-9a-f]{6}.yaml", manifest.name)
    kinds = [d["kind"] for d in yaml.safe_load_all(manifest.read_text())]
    assert kinds == ["NetworkPolicy", "Service", "Job"]
    lines = (folder / "Dockerfile").read_text().splitlines()
    assert lines[1].startswith("FROM python:3") and lines[-1] == 'ENTRYPOINT ["kerasd2l"]'


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--", *TRAIN], "needs a container image with kerasd2l"),
        (["--image", "a b", "--", *TRAIN], "an image is such as registry/name:tag"),
        (["--image", "r/k:1", "--", "list"], "a cluster runs `train` only"),
        (["--image", "r/k:1", "--time", "3", "--", *TRAIN], "is an option of slurm"),
        (["--image", "r/k:1", "--grace", "3", "--", *TRAIN], "is an option of local"),
    ],
)
def test_a_wrong_command_is_a_usage_error(words, message):
    result = launch(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in " ".join(result.stderr.replace("\n", " ").split())


def test_engines_and_numbers_of_workers_are_checked():
    for words, message in (
        (["--engine", "yarn", "--workers", "2"], "'yarn' is not one of"),
        (["--engine", "slurm", "--workers", "0"], "0 is not in the range"),
        (["--workers", "2", "--image", "x"], "is an option of kubernetes"),
    ):
        result = CliRunner().invoke(main, ["launch", *words, "--", *TRAIN])
        assert result.exit_code == 2
        assert message in result.stderr
