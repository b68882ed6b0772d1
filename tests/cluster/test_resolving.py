"""Who the workers are, by the environment of TF_CONFIG, Kubernetes and Slurm."""

import json

import pytest

from kerasd2l.cluster.cluster import ClusterError
from kerasd2l.cluster.resolving import find

POD = {
    "KERASD2L_WORKERS": "3",
    "KERASD2L_SERVICE": "work",
    "JOB_COMPLETION_INDEX": "2",
    "HOSTNAME": "work-2",
}
# As srun of Slurm 24.11 sets it in a task: five tasks on three nodes.
STEP = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "5",
    "SLURM_STEP_NODELIST": "n[9-10],gpu",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2),1",
    "SLURM_PROCID": "3",
    "SLURM_NODEID": "1",
    "SLURM_LOCALID": "1",
    "SLURM_DISTRIBUTION": "block",
}


def without(env, *gone, **more):
    return {key: value for key, value in env.items() if key not in gone} | more


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"PATH": "/bin", "HOSTNAME": "a-0", "JOB_COMPLETION_INDEX": "0"},
        without(POD, KERASD2L_WORKERS="1"),
        {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4"},  # the shell of salloc
        {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"},  # a batch script
        {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_ID": "4294967290"},
    ],
)
def test_a_process_that_is_alone(env):
    said = []
    assert find(env, say=said.append) is None
    assert not said


def test_tf_config_comes_first():
    cluster = {"chief": ["a:1"], "worker": ["b:1"]}
    config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 0}})
    said = []
    found = find({**POD, **STEP, "TF_CONFIG": config}, say=said.append)
    assert (found.rank, found.spec) == (1, cluster)
    assert said == ["TF_CONFIG: this is worker 0 (b:1), one of 2 workers"]


def test_parameter_servers_are_no_workers():
    cluster = {"chief": ["a:1"], "worker": ["b:1"], "ps": ["c:1"]}
    said = []
    find(
        {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "ps", "index": 0}})},
        say=said.append,
    )
    assert said == ["TF_CONFIG: this is ps 0 (c:1), one of 2 workers and 1 parameter server"]


def test_an_error_names_its_variable_once():
    with pytest.raises(ClusterError, match=r"^TF_CONFIG is not valid JSON"):
        find({"TF_CONFIG": "{"})


@pytest.mark.parametrize("host", ["work-2", "work-2.work.default.svc.cluster.local"])
def test_a_pod_of_an_indexed_job(host):
    said = []
    found = find({**POD, "HOSTNAME": host}, say=said.append)
    assert found.spec == {"worker": [f"work-{i}.work:2222" for i in range(3)]}
    assert (found.rank, found.gpu_share) == (2, (0, 1))
    assert said == ["Kubernetes: this is worker 2 (work-2.work:2222), one of 3 workers"]


def test_a_step_of_slurm():
    found = find(STEP)
    base = 12000 + 64 * 7
    hosts = ["n9", "n9", "n10", "n10", "gpu"]  # Slurm's order, not the alphabet's
    assert found.spec == {"worker": [f"{h}:{base + i}" for i, h in enumerate(hosts)]}
    assert (found.rank, found.gpu_share) == (3, (1, 2))
    last = find({**STEP, "SLURM_PROCID": "4", "SLURM_NODEID": "2", "SLURM_LOCALID": "0"})
    assert last.gpu_share == (0, 1)


@pytest.mark.parametrize("name", ["SLURM_GPUS_PER_TASK", "SLURM_NTASKS_PER_GPU"])
def test_gpus_that_slurm_has_given_to_tasks_are_not_divided_again(name):
    assert find({**STEP, name: "1"}).gpu_share == (0, 1)


def test_another_step_has_other_ports():
    assert find(STEP).address != find({**STEP, "SLURM_STEP_ID": "1"}).address
    assert find(STEP).address != find({**STEP, "SLURM_JOB_ID": "8"}).address


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"TF_CONFIG": "{"}, r"^TF_CONFIG is not valid JSON"),
        (without(POD, "JOB_COMPLETION_INDEX"), r"^Kubernetes: JOB_COMPLETION_INDEX .* not set"),
        (without(POD, JOB_COMPLETION_INDEX="x"), r"JOB_COMPLETION_INDEX must be a whole .*'x'"),
        (without(POD, JOB_COMPLETION_INDEX="3", HOSTNAME="work-3"), r"expected 0 to 2.*index=3"),
        (without(POD, KERASD2L_WORKERS=""), r"KERASD2L_WORKERS must be a whole number.*''"),
        (without(POD, KERASD2L_WORKERS="0"), r"the cluster has none"),
        (without(POD, "KERASD2L_SERVICE"), r"KERASD2L_SERVICE is not set.*headless service"),
        (without(POD, HOSTNAME="work-xyz"), r"must end with its index.*-2.*HOSTNAME=work-xyz"),
        (without(STEP, SLURM_PROCID="9"), r"^Slurm: expected SLURM_PROCID from 0 to 4.*9"),
        (without(STEP, SLURM_PROCID="?"), r"SLURM_PROCID must be a whole number.*'\?'"),
        (without(STEP, "SLURM_JOB_ID"), r"SLURM_JOB_ID must be a whole number.*not set"),
        (without(STEP, "SLURM_STEP_NODELIST"), r"SLURM_STEP_NODELIST=, "),
        (without(STEP, SLURM_STEP_NODELIST="n[1-"), r"cannot read the nodes or tasks.*n\[1-"),
        (without(STEP, SLURM_STEP_TASKS_PER_NODE="2"), r"expected 5 tasks .*TASKS_PER_NODE=2\."),
        (without(STEP, SLURM_DISTRIBUTION="cyclic"), r"node by node.*--distribution=block"),
        (without(STEP, SLURM_NODEID="0"), r"task 3 as number 1 of node 0.*distribution=block"),
    ],
)
def test_half_and_wrong_environments(env, message):
    with pytest.raises(ClusterError, match=message):
        find(env)
