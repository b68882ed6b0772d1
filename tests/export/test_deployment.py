"""The files of other servers, read back by the messages and schemas of those servers."""

import json
import shutil
import subprocess
import sys

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from kerasd2l.export import manifest
from kerasd2l.export.deployment import TARGETS, plan, write
from kerasd2l.export.manifest import SavedModelError

yaml = pytest.importorskip("yaml", reason="the extra `serve` has it")
configs = pytest.importorskip(
    "tensorflow_serving.config.model_server_config_pb2", reason="the extra `serve` has it"
)
VERTEX = {"storage": "gs://bucket/models", "image": "europe-docker.pkg.dev/me/mine/serving:2.20.0"}


@pytest.fixture
def folder(tmp_path, exported):
    """Two models; the second, Two_Words, is another program's, in versions 3 and 12."""
    root = tmp_path / "models"
    shutil.copytree(exported, root / "tiny" / "1")
    for version in (3, 12):
        shutil.copytree(exported, root / "Two_Words" / str(version))
        (root / "Two_Words" / str(version) / manifest.MANIFEST).unlink()
    (root / "notes").mkdir()
    (root / "README.md").write_text("no model")
    return root


def models_config(text):
    return text_format.Parse(text, configs.ModelServerConfig()).model_config_list.config


def batching_parameters(text):
    """Parse BatchingParameters as TF Serving's session_bundle_config.proto has it."""
    file = descriptor_pb2.FileDescriptorProto(name="batching.proto", syntax="proto3")
    file.dependency.append("google/protobuf/wrappers.proto")
    message = file.message_type.add(name="BatchingParameters")
    names = "max_batch_size batch_timeout_micros max_enqueued_batches num_batch_threads"
    for number, name in enumerate(names.split(), 1):
        message.field.add(
            name=name,
            number=number,
            type="TYPE_MESSAGE",
            label="LABEL_OPTIONAL",
            type_name=".google.protobuf.Int64Value",
        )
    pool = descriptor_pool.Default()
    pool.Add(file)
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName("BatchingParameters"))
    return text_format.Parse(text, kind())


def test_tf_serving_here_reads_each_model_from_its_folder(folder, tmp_path):
    files = write(plan(folder, versions="2", labels=["Two_Words/old=3"]), "tfserving")
    assert {path.relative_to(folder / "deploy/tfserving").name for path in files} == {
        "models.config",
        "batching.config",
    }
    first, second = models_config(files[0].read_text())
    assert (first.name, first.base_path) == ("Two_Words", str(folder / "Two_Words"))
    assert first.model_version_policy.latest.num_versions == 2
    assert dict(first.version_labels) == {"old": 3}
    assert second.name == "tiny" and not second.version_labels
    assert second.model_platform == "tensorflow"
    assert batching_parameters(files[1].read_text()).max_batch_size.value == 32


def test_all_versions_are_a_policy_of_its_own(folder):
    files = write(plan(folder / "Two_Words", versions="all"), "tfserving")
    (model,) = models_config(files[0].read_text())
    assert model.model_version_policy.HasField("all")


def test_batching_is_on_where_every_signature_can_be_batched(folder):
    flag = "--enable_batching=true"
    assert flag in write(plan(folder / "tiny"), "tfserving")[0].read_text()
    models, batching = write(plan(folder), "tfserving")
    assert flag not in models.read_text()
    assert "Such has: Two_Words" in batching.read_text()


def test_a_signature_with_a_free_axis_or_a_scalar_is_not_batched(folder):
    file = folder / "tiny" / "1" / manifest.MANIFEST
    content = json.loads(file.read_text())
    for shape in ([], [None, None]):
        content["signatures"]["predict"]["inputs"]["pixels"]["shape"] = shape
        file.write_text(json.dumps(content))
        assert not plan(folder / "tiny").batches


def test_compose_mounts_the_folder_read_only_and_serves_this_machine(folder, tmp_path):
    out = tmp_path / "elsewhere" / "compose"
    files = write(plan(folder), "compose", out)
    service = yaml.safe_load((out / "compose.yaml").read_text())["services"]["tensorflow-serving"]
    assert service["image"] == "tensorflow/serving:2.20.0"
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert all(mount["read_only"] for mount in service["volumes"])
    assert (out / service["volumes"][0]["source"]).resolve() == folder.resolve()
    assert [model.base_path for model in models_config(files[1].read_text())] == [
        "/models/Two_Words",
        "/models/tiny",
    ]
    pytest.importorskip("check_jsonschema")
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*check, out / "compose.yaml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_kubernetes_serves_a_volume_as_nobody(folder):
    (file,) = write(plan(folder, storage="pvc://disk/served/models"), "kubernetes")
    config, deployment, service = yaml.safe_load_all(file.read_text())
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mount = container["volumeMounts"][0]
    assert (mount["subPath"], mount["readOnly"]) == ("served/models", True)
    assert pod["volumes"][0]["persistentVolumeClaim"] == {"claimName": "disk", "readOnly": True}
    assert pod["securityContext"]["runAsNonRoot"]
    assert {port["containerPort"] for port in container["ports"]} == {8500, 8501}
    assert {"startupProbe", "readinessProbe", "livenessProbe", "resources"} <= set(container)
    assert len(models_config(config["data"]["models.config"])) == 2
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()


def test_kserve_gets_a_service_for_each_model_and_a_version_that_reads_it(folder):
    (file,) = write(plan(folder, storage="gs://bucket/models/"), "kserve")
    services = list(yaml.safe_load_all(file.read_text()))
    assert [service["metadata"]["name"] for service in services] == ["two-words", "tiny"]
    model = services[0]["spec"]["predictor"]["model"]
    assert model["runtimeVersion"] == "2.20.0" and model["protocolVersion"] == "v1"
    assert model["storageUri"] == "gs://bucket/models/Two_Words"


def test_vertex_sends_what_rest_takes_to_the_model(folder):
    files = write(plan(folder, **VERTEX), "vertex")
    assert [file.name for file in files] == ["Two_Words.json", "tiny.json"]
    model = json.loads(files[0].read_text())["model"]
    assert model["artifactUri"] == "gs://bucket/models/Two_Words"
    assert model["containerSpec"]["predictRoute"] == "/v1/models/Two_Words:predict"
    assert model["containerSpec"]["ports"] == [{"containerPort": 8501}]


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ("tfserving", {"versions": "newest"}, "versions must be latest, all or a number"),
        ("tfserving", {"versions": "0"}, "Received: '0'"),
        ("tfserving", {"labels": ["old=3"]}, "a label must be NAME/LABEL=VERSION"),
        ("tfserving", {"labels": ["huge/old=3"]}, "no model 'huge'. There are: Two_Words, tiny"),
        ("tfserving", {"labels": ["Two_Words/old=3"]}, "3 is not served. Of Two_Words these"),
        ("compose", {"image": "tensorflow/serving"}, "needs a tag"),
        ("kubernetes", {"storage": "gs://bucket"}, "must be pvc://CLAIM"),
        ("kubernetes", {"storage": "pvc://disk/../up"}, "must be pvc://CLAIM"),
        ("kserve", {"versions": "all"}, "KServe serves the latest"),
        ("vertex", {}, "must be gs://BUCKET/FOLDER"),
        ("vertex", {"storage": "gs://bucket"}, "Artifact Registry"),
        ("vertex", VERTEX | {"versions": "2"}, "counts versions itself"),
        ("heroku", {}, "There are: tfserving"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_written(folder, target, options, message):
    with pytest.raises(ValueError, match=message):
        write(plan(folder, **options), target)
    assert not (folder / "deploy").exists()


def test_a_folder_without_models_and_one_that_is_for_versions_are_refused(folder):
    with pytest.raises(SavedModelError, match="holds no NAME/VERSION"):
        plan(folder / "notes")
    with pytest.raises(ValueError, match="inside a model's folder"):
        write(plan(folder), "compose", folder / "tiny" / "deploy")


@pytest.mark.parametrize("target", TARGETS[:-1])
def test_without_the_extra_it_says_what_to_install(folder, target, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    monkeypatch.setitem(sys.modules, "tensorflow_serving.config", None)
    with pytest.raises(SavedModelError, match=r"pip install 'kerasd2l\[serve\]'"):
        write(plan(folder), target)
