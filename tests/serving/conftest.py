"""One server for all tests that ask one, on the models of the contract."""

import importlib.util
import sys
from pathlib import Path

import pytest
from contract.models import write_models

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(scope="session")
def load_script():
    """Import a script of `scripts/` by its name, and what it imports from there."""
    return _load


def _load(name):
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        sys.path.append(str(SCRIPTS))
        try:
            spec.loader.exec_module(module)
        finally:
            sys.path.remove(str(SCRIPTS))
    return sys.modules[name]


@pytest.fixture(scope="session")
def contract_models(tmp_path_factory):
    """The folder of the contract's models, with `models.config`."""
    pytest.importorskip("uvicorn", reason="needs the extra kerasd2l[serve]")
    return write_models(tmp_path_factory.mktemp("contract")).parent


@pytest.fixture(scope="session")
def contract_server(contract_models):
    """`kerasd2l serve` on the models of the contract; it must end with exit code 0."""
    serving = _load("serving_process").serving
    config = contract_models / "models.config"
    with serving(contract_models, "--config", str(config), threads=1) as server:
        yield server
