"""Rubbish, the death of the models, versions that come and go: a part of what the script does."""

import json

import pytest
from contract.models import write_models


@pytest.fixture(scope="module")
def endurance(load_script):
    return load_script("serving_endurance")


@pytest.mark.slow
def test_malformed_requests_are_answered_and_harm_nobody(endurance, contract_server):
    told = []
    assert endurance.bear(contract_server, None, 200, 3, told.append) == [], told
    assert "'slow': 24" in told[0] and "'headers': 24" in told[0]


def test_the_models_are_back_after_their_process_was_killed(endurance, contract_server):
    told = []
    assert endurance.kill(contract_server, told.append) == [], told


@pytest.mark.slow
def test_no_request_fails_while_versions_come_and_go(endurance, tmp_path):
    write_models(tmp_path).unlink()
    model = tmp_path / "alone" / "half_plus_two"
    model.parent.mkdir()
    (tmp_path / "half_plus_two").rename(model)
    body = json.dumps({"instances": [1.0, 2.0]}).encode()
    told = []
    faults = endurance.endure(model, body, 20, 3, told.append)
    assert [fault for fault in faults if "grew" not in fault] == [], told  # too short to tell
