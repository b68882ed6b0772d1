#!/usr/bin/env python
"""Send every case of the contract to a server, and say which are answered as TF Serving answers.

    python tests/serving/contract/run.py --url http://127.0.0.1:8501

Cases that are ours alone are left out; `--ours` sends them, and leaves out what ours does
otherwise. `models.py` makes the models and says how TF Serving is started on them. Needs nothing
but Python.

A case (`cases/*.json`) is an object. What is sent: `request`, "METHOD /path"; `body`, any JSON; or
`text`, which is sent as it is; or `repeat`, [before, piece, times, after]; `gzip` and `chunked`,
true or absent; `send_headers`. What is to come: `status`, a number or several; and of the body any
of
  json     exactly this value; 1 and 1.0 differ, NaN is refused
  close    this value, floats to seven digits
  like     at least these keys, with these values; lists have their length
  error    {"error": text} and nothing else; the text holds this, or each of these
  holds    the body as text holds each of these; `lacks`: none of these
  not_json true: it is no JSON
and `headers`, name -> what it holds; null: there is none. `clause` is where it is from:
`ecosystem.md` 3a and 3d, or a file of TF Serving. `only` is "ours" or "tfserving".
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CASES = Path(__file__).parent / "cases"
SECONDS = 20.0  # for one answer


@dataclass(frozen=True)
class Answer:
    """What came back: status, headers by their name in lower case, and the body, unpacked."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def load_cases(only: str) -> list[dict[str, Any]]:
    """Return the cases for "ours" or for "tfserving", in order; each with its file's name."""
    return [
        {"file": path.stem, **case}
        for path in sorted(CASES.glob("*.json"))
        for case in json.loads(path.read_text())
        if case.get("only", only) == only
    ]


def send(connection: http.client.HTTPConnection, case: Mapping[str, Any]) -> Answer:
    """Send a case over a connection that is kept."""
    method, _, path = case["request"].partition(" ")
    headers = {"Content-Type": "application/json", **case.get("send_headers", {})}
    body: Any = _body(case)
    if case.get("gzip"):
        body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
    chunked = case.get("chunked", False)
    if chunked:
        body = iter([body[:5], body[5:]])
        headers["Transfer-Encoding"] = "chunked"
    if method in ("GET", "OPTIONS"):
        body = None
    connection.request(method, path, body, headers, encode_chunked=chunked)
    response = connection.getresponse()
    content = response.read()
    told = {name.lower(): value for name, value in response.getheaders()}
    if told.get("content-encoding") == "gzip":
        content = gzip.decompress(content)
    return Answer(response.status, told, content)


def faults(case: Mapping[str, Any], answer: Answer) -> Iterator[str]:
    """Say in a line each what of an answer is not as the case has it."""
    expected = case["status"]
    if answer.status not in (expected if isinstance(expected, list) else [expected]):
        yield f"status {answer.status}, not {expected}"
    for name, part in case.get("headers", {}).items():
        found = answer.headers.get(name)
        if found is not None if part is None else part not in (found or ""):
            yield f"header {name}: {found!r}, not {part!r}"
    text = answer.body.decode("utf-8", "replace")
    yield from (f"lacks {part!r}" for part in case.get("holds", []) if part not in text)
    yield from (f"holds {part!r}" for part in case.get("lacks", []) if part in text)
    try:
        value = json.loads(text)
    except ValueError:
        if not case.get("not_json") and any(key in case for key in _MATCHERS):
            yield "no JSON"
        return
    if case.get("not_json"):
        yield "JSON"
    for key, matches in _MATCHERS.items():
        if key in case and not matches(case[key], value):
            yield f"not {key} {json.dumps(case[key], ensure_ascii=False)}"


def _body(case: Mapping[str, Any]) -> bytes:
    if "repeat" in case:
        before, piece, times, after = case["repeat"]
        return (before + piece * times + after).encode()
    return case["text"].encode() if "text" in case else json.dumps(case.get("body")).encode()


def _same(expected: Any, value: Any) -> bool:
    if type(expected) is not type(value):
        return False
    if isinstance(expected, dict):
        return expected.keys() == value.keys() and all(
            _same(expected[key], value[key]) for key in expected
        )
    if isinstance(expected, list):
        return len(expected) == len(value) and all(map(_same, expected, value))
    return expected == value


def _close(expected: Any, value: Any) -> bool:
    if isinstance(expected, float) and isinstance(value, float):
        same_sign = math.copysign(1.0, expected) == math.copysign(1.0, value)
        return same_sign and math.isclose(expected, value, rel_tol=1e-7)
    if isinstance(expected, dict) and isinstance(value, dict):
        return expected.keys() == value.keys() and all(
            _close(expected[key], value[key]) for key in expected
        )
    if isinstance(expected, list) and isinstance(value, list):
        return len(expected) == len(value) and all(map(_close, expected, value))
    return _same(expected, value)


def _like(expected: Any, value: Any) -> bool:
    if isinstance(expected, dict) and isinstance(value, dict):
        return all(key in value and _like(part, value[key]) for key, part in expected.items())
    if isinstance(expected, list) and isinstance(value, list):
        return len(expected) == len(value) and all(map(_like, expected, value))
    return _same(expected, value)


def _error(expected: str | list[str], value: Any) -> bool:
    if not isinstance(value, dict) or list(value) != ["error"] or not value["error"]:
        return False
    parts = [expected] if isinstance(expected, str) else expected
    return isinstance(value["error"], str) and all(part in value["error"] for part in parts)


_MATCHERS = {"json": _same, "close": _close, "like": _like, "error": _error}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8501", help="of the server")
    parser.add_argument("--ours", action="store_true", help="the server is `kerasd2l serve`")
    parser.add_argument("-v", "--verbose", action="store_true", help="print every case")
    arguments = parser.parse_args()
    place = urlsplit(arguments.url)
    cases = load_cases("ours" if arguments.ours else "tfserving")
    failed = 0
    for case in cases:
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=SECONDS)
        try:
            answer = send(connection, case)
            found = list(faults(case, answer))
            shown = answer.body.decode("utf-8", "replace")[:300]
        except (OSError, http.client.HTTPException) as error:
            found, shown = [f"{type(error).__name__}: {error}"], ""
        finally:
            connection.close()
        failed += bool(found)
        if found or arguments.verbose:
            print(f"{'FAILED' if found else 'ok':6} {case['file']}: {case['name']}")
        for fault in found:
            print(f"       {fault}")
        if found:
            print(f"       {case['request']} [{case['clause']}]\n       {shown}")
    print(f"{len(cases) - failed} of {len(cases)} cases are answered as the contract says.")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
