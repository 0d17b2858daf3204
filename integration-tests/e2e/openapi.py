"""The OpenAPI document, as a public validator sees it, and what the gateway answers, as the document describes it."""

import json
import sys
from typing import Any, Iterator

import httpx
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from harness import GATEWAY, MASTER_KEY, case, check, equal, run

OPERATOR = {"authorization": f"Bearer {MASTER_KEY}"}
DOCUMENT = httpx.get(f"{GATEWAY}/openapi.json").json()
ECHO = {"provider": "echo", "upstreamModel": "echo"}


def call(method: str, path: str, body: Any = None) -> httpx.Response:
    return httpx.request(method.upper(), GATEWAY + path, headers=OPERATOR, json=body, timeout=30)


def made(path: str) -> str:
    """The path with its variables filled in by something that was just made."""
    if path.startswith("/admin/deployments/{id}"):
        made_id = call("post", "/admin/deployments", {"publicModel": "made", **ECHO}).json()["data"]["id"]
    elif path.startswith("/admin/keys/{id}"):
        made_id = call("post", "/admin/keys", {"name": "made"}).json()["data"]["id"]
    elif path.startswith("/v1/responses/{id}"):
        made_id = call("post", "/v1/responses", {"model": "echo", "input": "Hello", "store": True}).json()["id"]
    elif path == "/admin/logs/{id}":
        hello = {"model": "echo", "messages": [{"role": "user", "content": "Hello"}]}
        made_id = call("post", "/v1/chat/completions", hello).headers["x-request-id"]
    else:
        made_id = ""
        if path.startswith("/admin/fallbacks/"):
            chain = {"primaryModel": "echo", "fallbackModels": ["spare"]}
            check(call("put", "/admin/fallbacks", chain).status_code == 200, "a chain")
    known = {"{id}": made_id, "{model}": "echo", "{primaryModel}": "echo", "{reason}": "general"}
    for variable, value in known.items():
        path = path.replace(variable, value)
    return path


def undescribed(schema: dict[str, Any], value: Any, place: str) -> Iterator[str]:
    """Members of administration answers that the document does not know."""
    while "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    if "anyOf" in schema:
        schema = schema["anyOf"][0]
        yield from undescribed(schema, value, place) if value is not None else ()
        return
    if isinstance(value, list):
        for item in value[:20]:
            yield from undescribed(schema.get("items", {}), item, f"{place}[]")
    if not isinstance(value, dict):
        return
    properties = dict(schema.get("properties", {}))
    for part in schema.get("allOf", []):
        while "$ref" in part:
            part = DOCUMENT["components"]["schemas"][part["$ref"].rsplit("/", 1)[1]]
        properties |= part.get("properties", {})
    for name, member in value.items():
        known = properties.get(name, schema.get("additionalProperties"))
        if known is None:
            if properties:
                yield f"{place}.{name}"
        elif isinstance(known, dict):
            yield from undescribed(known, member, f"{place}.{name}")


@case("the document is valid OpenAPI 3.1")
def is_valid() -> None:
    errors = [f"{list(error.absolute_path)}: {error.message}" for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()]
    equal(errors[:5], [], "errors")


def answers_as_described(path: str, method: str, operation: dict[str, Any]) -> None:
    if "multipart/form-data" in operation.get("requestBody", {}).get("content", {}):
        return  # the suites of the official clients send forms
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    bodies = [example["value"] for example in content.get("examples", {}).values()] or [None]
    status, success = next(item for item in operation["responses"].items() if item[0].startswith("2"))
    if list(success["content"]) == ["text/event-stream"]:
        with httpx.stream(method, GATEWAY + path, headers=OPERATOR, timeout=30) as stream:
            equal(stream.status_code, int(status), "status of a stream without end")
        return
    for body in bodies:
        answer = call(method, made(path), body)
        equal(answer.status_code, int(status), answer.text[:200])
        media = answer.headers["content-type"].split(";")[0]
        check(media in success["content"] or f"{media.split('/')[0]}/*" in success["content"], f"{media} is described")
        if media != "application/json":
            continue
        schema = {"components": DOCUMENT["components"], **success["content"][media]["schema"]}
        errors = Draft202012Validator(schema).iter_errors(answer.json())
        equal([f"{error.json_path}: {error.message[:200]}" for error in errors][:5], [], "against its schema")
        if path.startswith("/admin/"):
            equal(sorted(set(undescribed(schema, answer.json(), ""))), [], "members that are not described")


for _path, _operations in DOCUMENT["paths"].items():
    for _method, _operation in _operations.items():
        case(f"{_method} {_path} works and answers as described", _path, _method, _operation)(answers_as_described)

if __name__ == "__main__":
    call("post", "/admin/deployments", {"publicModel": "spare", **ECHO})
    sys.exit(run("openapi"))
