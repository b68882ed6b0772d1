"""Clients that know nothing of this library: the two that need nothing installed."""

import pytest


@pytest.mark.parametrize("name", ["curl", "fetch"])
def test_an_outside_client_is_answered(name, load_script, contract_server, tmp_path):
    clients = load_script("serving_clients")
    try:
        clients.prepare(name, tmp_path)
    except clients.Missing as reason:
        pytest.skip(str(reason))
    assert clients.ask(name, contract_server.http, contract_server.grpc, tmp_path) == ""
