"""TensorFlow Serving's contract, clause by clause, and ours beyond it; the cases are data."""

import http.client
import time

import pytest
from contract import run

CASES = run.load_cases("ours")


@pytest.fixture(scope="module")
def connection(contract_server):
    """One connection for all cases: no answer may leave it in disorder."""
    kept = http.client.HTTPConnection("127.0.0.1", contract_server.port, timeout=run.SECONDS)
    yield kept
    kept.close()


@pytest.mark.parametrize("case", CASES, ids=[f"{case['file']}: {case['name']}" for case in CASES])
def test_the_server_answers_as_the_contract_says(case, connection):
    try:
        answer = run.send(connection, case)
    except (OSError, http.client.HTTPException):
        connection.close()
        raise
    assert list(run.faults(case, answer)) == [], answer.body[:500]


@pytest.mark.parametrize(
    ("case", "body", "fault"),
    [
        ({"json": [1.0]}, b"[1]", "not json"),
        ({"json": {"a": 1}}, b'{"a": 1, "b": 2}', "not json"),
        ({"close": [0.1]}, b"[0.2]", "not close"),
        ({"close": [-0.0]}, b"[0.0]", "not close"),
        ({"like": {"a": {"b": [1, 2]}}}, b'{"a": {"b": [1]}}', "not like"),
        ({"error": ["one", "two"]}, b'{"error": "one"}', "not error"),
        ({"error": ""}, b'{"error": ""}', "not error"),
        ({"error": ""}, b'{"error": "what", "trace": ""}', "not error"),
        ({"holds": ["a"]}, b"b", "lacks"),
        ({"json": 1}, b"<html>", "no JSON"),
        ({"not_json": True}, b"{}", "JSON"),
        ({"headers": {"x-a": None}}, b"", "header x-a"),
        ({"status": [400, 404]}, b"", "status 200"),
    ],
)
def test_the_suite_sees_what_is_not_as_it_should_be(case, body, fault):
    answer = run.Answer(200, {"x-a": "1"}, body)
    (found,) = run.faults({"status": 200, **case}, answer)
    assert found.startswith(fault)


def test_every_case_says_what_it_is_and_where_it_is_from():
    names = [(case["file"], case["name"]) for case in CASES]
    assert len(names) == len(set(names)) >= 120
    for case in CASES + run.load_cases("tfserving"):
        assert case["clause"] and case["request"].count(" ") == 1
        assert case.get("only") in (None, "ours", "tfserving")


def test_the_log_has_the_address_that_asked_not_one_that_it_claims(connection, contract_server):
    case = {"request": "GET /v1/models/claims", "send_headers": {"X-Forwarded-For": "203.0.113.9"}}
    run.send(connection, case)
    deadline = time.monotonic() + 10
    while not (lines := [line for line in contract_server.log if "/v1/models/claims" in line]):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert "127.0.0.1" in lines[0] and "203.0.113.9" not in lines[0]


def test_the_log_has_nothing_of_tensorflow(contract_server):
    """It warns of the name under which it loads a SavedModel into a session."""
    log = "".join(contract_server.log)
    assert log
    assert "WARNING" not in log and "deprecated" not in log
