"""Ask a server with pydantic-open-inference: Open Inference over HTTP in JSON."""

import sys

import pydantic_open_inference as client


class Numbers(client.InputsBaseModel):
    """What half_plus_two takes."""

    x: list[float]


class Halves(client.OutputsBaseModel):
    """What half_plus_two gives."""

    y: list[float]


class Text(client.InputsBaseModel):
    """What upper takes."""

    text: list[str]


class Upper(client.OutputsBaseModel):
    """What upper gives."""

    upper: list[str]


def _expect(value, expected):
    if value != expected:
        raise SystemExit(f"expected {expected!r}, received {value!r}")


def _remote(name, takes, gives, version=None):
    return client.RemoteModel(
        model_name=name,
        inputs_model=takes,
        outputs_model=gives,
        server_url=sys.argv[1],
        request_timeout_seconds=20,
        model_version=version,
    )


halves = _remote("half_plus_two", Numbers, Halves)
_expect(halves.is_ready(), True)
halves.validate()
_expect(halves.infer(Numbers(x=[1.0, 2.0, 5.0])).y, [3.5, 4.0, 5.5])
first = _remote("half_plus_two", Numbers, Halves, "1")
_expect(first.infer(Numbers(x=[1.0])).y, [2.5])
upper = _remote("upper", Text, Upper)
upper.validate()
_expect(upper.infer(Text(text=["abc", "d"])).upper, ["ABC", "D"])
try:
    _remote("nobody", Numbers, Halves).infer(Numbers(x=[1.0]))
except client.BadStatusCodeFromServerError as error:
    _expect(error.status_code, 404)
else:
    raise SystemExit("an unknown model was answered")
