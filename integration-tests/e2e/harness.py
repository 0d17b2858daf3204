"""What the Python suites share: cases, one line per result, and where everything is."""

import contextlib
import json
import os
import time
import traceback
from typing import Any, Callable, Iterator

import httpx

STUB = os.environ.get("STUB", "")
GATEWAY = os.environ.get("GATEWAY", "")
GRPC = os.environ.get("GRPC", "")
MASTER_KEY = os.environ.get("MASTER_KEY", "")
# What every deployment sends to the stub. One stub error repeats it, so that a leak would show.
PROVIDER_KEY = "sk-stub-secret-key-0001"
TEXT = "Grüße aus der Werkstatt:\nZeile zwei – 日本語 und 🦀."
HELLO = [{"role": "user", "content": "Hello"}]
# Nothing of these may ever reach a client.
SECRETS = ("stub-", "org-Stub", "proj_Stub", "req_Stub", "stub.example", STUB.removeprefix("http://"), PROVIDER_KEY)

_cases: list[tuple[str, Callable[[], None]]] = []


def case(name: str, *arguments: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Registers a function as a case. With arguments, as one of several cases of one function."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        _cases.append((name, lambda: function(*arguments)))
        return function

    return register


def run(suite: str) -> int:
    """Runs what was registered; one line each, details of failures below their line."""
    failures = 0
    for name, function in _cases:
        try:
            function()
        except Exception as error:  # every failure is a result, not the end
            failures += 1
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            print(f"FAIL {suite}: {name} ({type(error).__name__}: {reason})", flush=True)
            trace = [line for line in traceback.format_exc().splitlines() if "/e2e/" in line and "venv" not in line]
            print("\n".join(f"     {line.strip()}" for line in trace[-2:]), flush=True)
        else:
            print(f"ok {suite}: {name}", flush=True)
    return 1 if failures else 0


def equal(got: Any, wanted: Any, what: str = "value") -> None:
    if got != wanted:
        raise AssertionError(f"{what}: wanted {wanted!r}, got {got!r}")


def check(condition: Any, what: str) -> None:
    if not condition:
        raise AssertionError(what)


def no_secrets(text: str) -> None:
    for secret in SECRETS:
        check(not secret or secret not in text, f"`{secret}` leaks in: {text[:300]}")


@contextlib.contextmanager
def raises(kind: type[BaseException]) -> Iterator[list[Any]]:
    """The block must fail with exactly this exception class; it is handed out in the list."""
    caught: list[Any] = []
    try:
        yield caught
    except BaseException as error:
        if type(error) is not kind:
            raise AssertionError(f"wanted {kind.__name__}, got {type(error).__name__}: {error}") from error
        caught.append(error)
    else:
        raise AssertionError(f"wanted {kind.__name__}, but it succeeded")


def admin(method: str, path: str, body: Any = None, expect: int | None = None) -> Any:
    """One administrative REST call; answers the `data` of a success."""
    headers = {"authorization": f"Bearer {MASTER_KEY}"}
    reply = httpx.request(method, f"{GATEWAY}/admin{path}", json=body, headers=headers, timeout=30)
    if expect is None:
        check(reply.is_success, f"{method} {path}: {reply.status_code} {reply.text[:300]}")
    else:
        equal(reply.status_code, expect, f"status of {method} {path} ({reply.text[:200]})")
    return reply.json().get("data") if reply.content else None


def issue_key(**fields: Any) -> dict[str, Any]:
    return admin("POST", "/keys", {"name": "e2e", **fields}, expect=201)


def stub_requests(forget: bool = False) -> list[dict[str, Any]]:
    return httpx.request("DELETE" if forget else "GET", f"{STUB}/__requests", timeout=30).json()["requests"]


def eventually(what: str, condition: Callable[[], Any], seconds: float = 5) -> None:
    """For effects in other processes that no call waits for."""
    end = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < end, f"not within {seconds} s: {what}")
        time.sleep(0.02)


def events(raw: str) -> list[str]:
    """The data of each event of a stream, comments left out."""
    return [
        "\n".join(line.removeprefix("data:").removeprefix(" ") for line in frame.splitlines() if line.startswith("data:"))
        for frame in raw.split("\n\n")
        if any(line.startswith("data:") for line in frame.splitlines())
    ]


def text_of(chunks: list[Any], choice: int = 0) -> str:
    return "".join(c.delta.content or "" for chunk in chunks for c in chunk.choices if c.index == choice)


def loads(text: str) -> Any:
    return json.loads(text)
