"""Chat completions through the gateway, as an application written for the provider sees them."""

import os
import sys
from enum import Enum

import httpx
import openai
from pydantic import BaseModel

from harness import (
    GATEWAY, HELLO, MASTER_KEY, PROVIDER_KEY, TEXT,
    admin, case, check, equal, events, eventually, issue_key, loads, no_secrets, raises, run, stub_requests, text_of,
)

KEY = os.environ["KEY"]
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("get_weather", "get_time")
]
CALLS = [
    ("call_stubWeather01", "get_weather", '{"city":"Zürich","unit":"celsius"}'),
    ("call_stubClock02", "get_time", '{"zone": "Europe/Zurich",  "at": 1.50}'),
]


def sdk(key: str = KEY, **more) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{GATEWAY}/v1", api_key=key, max_retries=0, timeout=60, **more)


client = sdk()


def ask(model, **more):
    return client.chat.completions.create(model=f"py/{model}", messages=HELLO, **more)


def stream(model, **more):
    return list(client.chat.completions.create(model=f"py-stream/{model}", messages=HELLO, stream=True, **more))


def post(body, path="/v1/chat/completions", method="POST", key=KEY, **headers) -> httpx.Response:
    """A request without the SDK, for what the SDK cannot send or hides."""
    fields = {"authorization": f"Bearer {key}"} if key else {}
    fields |= {"content-type": "application/json"} if body is not None else {}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    content = body if isinstance(body, (str, bytes, type(None))) else httpx.Request("POST", "http://x", json=body).content
    return httpx.request(method, GATEWAY + path, content=content, headers=fields, timeout=60)


def chat(model, **more):
    return {"model": model, "messages": HELLO, **more}


def error_of(reply: httpx.Response, status: int, code: str | None, param: str | None = None) -> dict:
    equal(reply.status_code, status, f"status ({reply.text[:200]})")
    error = reply.json()["error"]
    equal(sorted(error), ["code", "message", "param", "type"], "members of error")
    equal((error["code"], error["param"]), (code, param), f"code and param ({error['message'][:150]})")
    check(error["message"], "a message")
    check(reply.headers.get("x-request-id"), "x-request-id on errors")
    return error


# Answers


@case("a JSON answer is the provider's, under the public name")
def _():
    raw = client.chat.completions.with_raw_response.create(model="py/text", messages=HELLO)
    reply = raw.parse()
    equal((reply.choices[0].message.content, reply.choices[0].finish_reason), (TEXT, "stop"))
    equal((reply.model, reply.object, reply.service_tier, reply.system_fingerprint), ("py/text", "chat.completion", "default", "fp_57ab0c1d2e"))
    equal((reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.total_tokens), (19, 13, 32))
    equal(reply.usage.prompt_tokens_details.cached_tokens, 4)
    check(raw.headers.get("x-request-id"), "x-request-id")
    no_secrets(raw.text)


@case("a stream is the same text, under the public name, without usage")
def _():
    chunks = stream("text")
    equal(text_of(chunks), TEXT)
    equal({chunk.model for chunk in chunks}, {"py-stream/text"})
    equal({chunk.object for chunk in chunks}, {"chat.completion.chunk"})
    equal(len({chunk.id for chunk in chunks}), 1, "ids")
    equal(chunks[0].choices[0].delta.role, "assistant")
    equal(chunks[-1].choices[0].finish_reason, "stop")
    check(all(chunk.usage is None and chunk.choices for chunk in chunks), "no usage chunk unless asked for")


@case("a stream has usage when it is asked for, once, last")
def _():
    chunks = stream("text", stream_options={"include_usage": True})
    equal(text_of(chunks), TEXT)
    equal([chunk.usage.total_tokens for chunk in chunks if chunk.usage], [32])
    equal((chunks[-1].choices, chunks[-1].model), ([], "py-stream/text"))


@case("a stream on the wire: headers, frames, one [DONE], last")
def _():
    reply = post(chat("py-stream/text", stream=True), x_request_id="e2e-stream-1")
    equal(reply.status_code, 200)
    equal(reply.headers["content-type"].split(";")[0], "text/event-stream")
    equal((reply.headers.get("cache-control"), reply.headers.get("x-accel-buffering")), ("no-cache", "no"))
    equal(reply.headers.get("x-request-id"), "e2e-stream-1")
    data = events(reply.text)
    equal((data[-1], data.count("[DONE]")), ("[DONE]", 1))
    check(all(loads(event)["choices"] for event in data[:-1]), "every event but the last has choices")
    no_secrets(reply.text)


@case("unknown fields of an answer arrive, JSON and stream")
def _():
    reply = ask("text")
    equal(reply.model_extra["x_stub"], {"region": "eu-test", "attempt": 1})
    equal(reply.choices[0].message.model_extra["x_note"], "kept")
    chunks = stream("text")
    equal(chunks[0].model_extra["x_stub"], {"region": "eu-test", "attempt": 1})
    check(any((c.choices[0].delta.model_extra or {}).get("x_note") == "kept" for c in chunks), "x_note in a delta")


@case("parallel tool calls as JSON, arguments to the byte")
def _():
    choice = ask("tools", tools=TOOLS).choices[0]
    equal(choice.finish_reason, "tool_calls")
    equal([(c.id, c.function.name, c.function.arguments) for c in choice.message.tool_calls], CALLS)


@case("parallel tool calls as a stream with interleaved arguments")
def _():
    with client.chat.completions.stream(model="py-stream/tools", messages=HELLO, tools=TOOLS) as helper:
        choice = helper.get_final_completion().choices[0]
    equal(choice.finish_reason, "tool_calls")
    equal([(c.id, c.function.name, c.function.arguments) for c in choice.message.tool_calls], CALLS)


@case("a tool loop comes to its end")
def _():
    first = ask("tools", tools=TOOLS).choices[0].message
    results = [{"role": "tool", "tool_call_id": call.id, "content": "21 °C"} for call in first.tool_calls]
    reply = client.chat.completions.create(
        model="py/tools", messages=[*HELLO, first.model_dump(exclude_none=True), *results], tools=TOOLS
    )
    equal(reply.choices[0].message.content, TEXT)


@case("structured output through the SDK's parse helper")
def _():
    class Kind(str, Enum):
        town = "town"
        village = "village"

    class Place(BaseModel):
        city: str
        kind: Kind
        people: int
        tags: list[str]

    for model in ("py/structured", "py-stream/structured"):
        reply = client.chat.completions.parse(model=model, messages=HELLO, response_format=Place)
        equal(reply.choices[0].message.parsed, Place(city="Köln", kind=Kind.town, people=7, tags=["Köln"]))


@case("the SDK's stream helper: events and final completion")
def _():
    seen = []
    with client.chat.completions.stream(
        model="py-stream/text", messages=HELLO, stream_options={"include_usage": True}
    ) as helper:
        for event in helper:
            if event.type == "content.delta":
                seen.append(event.delta)
        final = helper.get_final_completion()
    equal(("".join(seen), final.choices[0].message.content, final.usage.total_tokens), (TEXT, TEXT, 32))


@case("reasoning arrives beside the text")
def _():
    equal(ask("reasoning").choices[0].message.model_extra["reasoning_content"], "Six times seven: forty-two.")
    chunks = stream("reasoning")
    thoughts = "".join((c.choices[0].delta.model_extra or {}).get("reasoning_content") or "" for c in chunks)
    equal((thoughts, text_of(chunks)), ("Six times seven: forty-two.", "It is 42."))


@case("two choices stay apart")
def _():
    equal([(c.index, c.message.content, c.finish_reason) for c in ask("n2", n=2).choices], [(0, "Heads it is.", "stop"), (1, "Tails, for once.", "length")])
    chunks = stream("n2", n=2)
    equal((text_of(chunks, 0), text_of(chunks, 1)), ("Heads it is.", "Tails, for once."))
    ends = {c.index: c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason}
    equal(ends, {0: "stop", 1: "length"})


@case("log probabilities to the digit")
def _():
    wanted = [("Yes", -0.0123), (" é", -0.25), ("!", -0.5)]
    content = ask("logprobs", logprobs=True, top_logprobs=2).choices[0].logprobs.content
    equal([(e.token, e.logprob) for e in content], wanted)
    equal(content[1].bytes, list(" é".encode()))
    chunks = stream("logprobs", logprobs=True, top_logprobs=2)
    equal([(e.token, e.logprob) for c in chunks if c.choices[0].logprobs for e in c.choices[0].logprobs.content], wanted)


@case("a refusal and a filter stop are answers")
def _():
    message = ask("refusal").choices[0].message
    equal((message.content, message.refusal), (None, "I cannot help with that."))
    equal("".join(c.choices[0].delta.refusal or "" for c in stream("refusal")), "I cannot help with that.")
    equal(ask("filter").choices[0].finish_reason, "content_filter")
    equal(stream("filter")[-1].choices[0].finish_reason, "content_filter")


for wrapping in ("pings", "crlf", "split", "finish-no-done", "leaky-headers"):
    @case(f"{wrapping}: text exact, JSON and stream", wrapping)
    def _(model):
        equal(ask(model).choices[0].message.content, TEXT)
        equal(text_of(stream(model)), TEXT)
        raw = post(chat(f"py-stream/{model}", stream=True)).text
        equal(events(raw)[-1], "[DONE]")
        no_secrets(raw)


@case("ten thousand deltas, none lost, none twice")
def _():
    equal(text_of(stream("bulk")), "".join(f"{number} " for number in range(10_000)))


@case("slow deltas arrive one by one")
def _():
    import time

    began, times = time.monotonic(), []
    for chunk in client.chat.completions.create(model="py-stream/slow", messages=HELLO, stream=True):
        if chunk.choices and chunk.choices[0].delta.content:
            times.append(time.monotonic() - began)
    equal(len(times), 20)
    check(times[0] < 1.0 and times[-1] - times[0] > 1.5, f"first after {times[0]:.2f} s, last after {times[-1]:.2f} s")
    equal(ask("slow").choices[0].message.content, TEXT)


@case("provider headers stay with the gateway")
def _():
    for reply in (post(chat("py/leaky-headers")), post(chat("py-stream/leaky-headers", stream=True))):
        equal(reply.status_code, 200)
        for name in ("set-cookie", "openai-organization", "openai-processing-ms", "openai-version", "cf-ray", "x-ratelimit-limit-requests", "x-ratelimit-remaining-tokens"):
            check(name not in reply.headers, f"`{name}` leaks")
        check(reply.headers["x-request-id"] != "req_StubLeaky", "the provider's request id leaks")
        check(reply.headers.get("server") != "stub-edge", "the provider's server header leaks")


# What reaches the provider


def echoed(model="py/echo-request", **more):
    reply = client.chat.completions.create(model=model, messages=HELLO, **more)
    return loads(reply.choices[0].message.content)


@case("unknown request fields reach the provider")
def _():
    body = loads(echoed(extra_body={"x_new_field": {"deep": [1, None, "ü"]}})["body"])
    equal(body["x_new_field"], {"deep": [1, None, "ü"]})
    equal((body["model"], body["messages"]), ("stub-echo-request", HELLO))


@case("a request's bytes pass untouched but for the model")
def _():
    sent = '{ "temperature" : 1.50,\n "seed":9007199254740993, "model":"py/echo-request", "messages":[{"role":"user","content":"\\u00fc\\/ \U0001f980"}], "stop":null }'
    content = post(sent).json()["choices"][0]["message"]["content"]
    equal(loads(content)["body"], sent.replace("py/echo-request", "stub-echo-request"))


@case("usage is always asked of a streaming provider")
def _():
    chunks = list(client.chat.completions.create(model="py-stream/echo-request", messages=HELLO, stream=True))
    body = loads(loads(text_of(chunks))["body"])
    equal((body["stream"], body["stream_options"]["include_usage"]), (True, True))


@case("the client's own headers stop at the gateway")
def _():
    seen = echoed(extra_headers={"cookie": "a=b", "openai-organization": "org-client", "x-forwarded-for": "10.0.0.9", "x-private": "mine"})
    headers = {name: value for name, value in seen["headers"]}
    equal(headers["authorization"], f"Bearer {PROVIDER_KEY}")
    check(KEY not in str(seen), "the virtual key reaches the provider")
    for name in headers:
        check(name not in ("cookie", "openai-organization", "x-forwarded-for", "x-private", "x-api-key") and not name.startswith("x-stainless"), f"`{name}` reaches the provider")
    equal(headers.get("accept-encoding", "identity"), "identity")
    equal((seen["path"], headers["content-type"]), ("/v1/chat/completions", "application/json"))


@case("a client that leaves takes the provider's stream with it")
def _():
    stub_requests(forget=True)
    with client.chat.completions.create(model="py-stream/slow", messages=HELLO, stream=True) as chunks:
        next(iter(chunks))
    eventually("the stub sees a hang-up", lambda: any(r["hung_up"] for r in stub_requests()), seconds=1.5)


# Provider errors

REQUEST_FAULTS = [
    # model, exception, status, code, param, words of the provider that must survive
    ("400", openai.BadRequestError, 400, None, "temperature", "Expected a value <= 2"),
    ("400-context", openai.BadRequestError, 400, "context_length_exceeded", "messages", "128000 tokens"),
    ("400-policy", openai.BadRequestError, 400, "content_policy_violation", None, "safety system"),
    ("413", openai.APIStatusError, 413, "request_too_large", None, "too large"),
    ("422", openai.BadRequestError, 400, None, "messages[0].content", "Input should be a valid string"),
    ("secret-error", openai.BadRequestError, 400, None, "messages", "Invalid value for 'messages'"),
]
OTHER_FAULTS = [
    (model, openai.InternalServerError, 502, "upstream_error", None, None)
    for model in (
        "401", "403", "404-model", "500", "503", "529", "html-502", "empty-200", "json-garbage", "error-in-200",
        "stream-error-first", "reset-before",
        # Identity was asked for: refused, rather than handed on garbled.
        "gzip",
    )
] + [
    ("429", openai.RateLimitError, 429, "rate_limit_exceeded", None, None),
    ("stall-headers", openai.InternalServerError, 504, "timeout", None, None),
    ("stall-first", openai.InternalServerError, 504, "timeout", None, None),
]


def fails(call, kind, status, code, param, words):
    with raises(kind) as caught:
        call()
    error = caught[0]
    equal((error.status_code, error.code, error.param), (status, code, param), "status, code, param")
    check(error.response.headers.get("x-request-id"), "x-request-id")
    no_secrets(str(error) + error.response.text + str(error.response.headers))
    check(words is None or words in error.message, f"`{words}` is gone from: {error.message}")
    return error


for model, *wanted in REQUEST_FAULTS + OTHER_FAULTS:
    case(f"{model} as JSON: {wanted[1]} {wanted[2]}", model, *wanted)(lambda model, *wanted: fails(lambda: ask(model), *wanted))
    case(f"{model} before a stream: {wanted[1]} {wanted[2]}", model, *wanted)(lambda model, *wanted: fails(lambda: stream(model), *wanted))

for model in ("reset-mid", "eof-no-terminal", "giant-json"):

    @case(f"{model} as JSON: 502 upstream_error", model)
    def _(model):
        fails(lambda: ask(model), openai.InternalServerError, 502, "upstream_error", None, None)


@case("stall-mid as JSON: 504 timeout")
def _():
    fails(lambda: ask("stall-mid"), openai.InternalServerError, 504, "timeout", None, None)


@case("a throttled pool says when to come back")
def _():
    error = fails(lambda: sdk().chat.completions.create(model="node-stream/429", messages=HELLO), openai.RateLimitError, 429, "rate_limit_exceeded", None, None)
    wait = error.response.headers.get("retry-after")
    check(wait and 1 <= int(wait) <= 7, f"retry-after is {wait}")


@case("a provider without quota is the operator's matter, not the client's")
def _():
    fails(lambda: ask("429-quota"), openai.InternalServerError, 502, "upstream_error", None, None)


@case("a provider that fails once is asked again")
def _():
    equal(ask("flaky").choices[0].message.content, TEXT)
    equal(text_of(stream("flaky")), TEXT)


# Streams that break


def breaks(model, code):
    chunks = []
    with raises(openai.APIError) as caught:
        for chunk in client.chat.completions.create(model=f"py-stream/{model}", messages=HELLO, stream=True):
            chunks.append(chunk)
    equal(text_of(chunks), "Grüße aus", "text before the break")
    equal(caught[0].code, code, "code")
    no_secrets(str(caught[0].body) + str(caught[0]))


for model, code in (("stream-error-mid", "upstream_error"), ("eof-no-terminal", "upstream_error"), ("reset-mid", "upstream_error"), ("stall-mid", "timeout")):
    case(f"{model}: the text so far, then an error", model, code)(breaks)


@case("a broken stream has no [DONE] that would call it whole")
def _():
    data = events(post(chat("py-stream/eof-no-terminal", stream=True)).text)
    check("error" in loads(data[-1]) or "error" in loads(data[-2]), f"the error event is missing: {data[-1][:200]}")
    check("[DONE]" not in data, "[DONE] after an error")


@case("a frame beyond all bounds: 502 before anything is sent")
def _():
    fails(lambda: stream("giant-frame"), openai.InternalServerError, 502, "upstream_error", None, None)


# Keys and scope


@case("a wrong, an unknown and a missing key: 401, one body")
def _():
    with raises(openai.AuthenticationError) as caught:
        sdk("unified-" + "a" * 43).chat.completions.create(model="py/text", messages=HELLO)
    equal((caught[0].code, caught[0].type), ("invalid_api_key", "authentication_error"))
    bodies = {post(chat("py/text"), key=key).text for key in ("unified-" + "a" * 43, "sk-something")}
    equal(len(bodies), 1, "bodies")
    error_of(post(chat("py/text"), key=None), 401, "invalid_api_key")


@case("a disabled key and a deleted key look like an unknown one")
def _():
    key = issue_key()
    equal(post(chat("py/text"), key=key["key"]).status_code, 200)
    admin("PATCH", f"/keys/{key['id']}", {"enabled": False})
    disabled = post(chat("py/text"), key=key["key"])
    admin("DELETE", f"/keys/{key['id']}")
    deleted = post(chat("py/text"), key=key["key"])
    unknown = post(chat("py/text"), key="unified-" + "a" * 43)
    equal([(r.status_code, r.text) for r in (disabled, deleted)], [(401, unknown.text)] * 2)


@case("a key calls what its scope holds and nothing else")
def _():
    key = issue_key(allowedModels=["py/text"])["key"]
    equal(sdk(key).chat.completions.create(model="py/text", messages=HELLO).choices[0].message.content, TEXT)
    with raises(openai.PermissionDeniedError) as caught:
        sdk(key).chat.completions.create(model="py/tools", messages=HELLO)
    equal(caught[0].code, "model_not_allowed")


@case("the key in x-api-key or api-key")
def _():
    for header in ("x_api_key", "api_key"):
        equal(post(chat("py/text"), key=None, **{header: KEY}).status_code, 200, header)


@case("a foreign credential beside ours is ignored, two of ours that differ are refused")
def _():
    equal(post(chat("py/text"), x_api_key="sk-ant-of-another-service").status_code, 200)
    error_of(post(chat("py/text"), x_api_key=MASTER_KEY), 400, None)


@case("a key in the query is refused")
def _():
    for query in (f"?api_key={KEY}", f"?key={KEY}", f"?api-key={KEY}", f"?access_token={KEY}"):
        for key in (None, KEY):
            reply = post(chat("py/text"), path=f"/v1/chat/completions{query}", key=key)
            equal(reply.status_code, 400, f"status with {query.split('=')[0]}")
            check(KEY not in reply.text, "the key is repeated")


@case("the master key calls")
def _():
    equal(sdk(MASTER_KEY).chat.completions.create(model="py/text", messages=HELLO).choices[0].message.content, TEXT)


# Requests that are wrong


@case("an unknown model: 404, before any provider is asked")
def _():
    with raises(openai.NotFoundError) as caught:
        ask("nothing")
    equal(caught[0].code, "model_not_found")


@case("unknown path, wrong method, wrong content type")
def _():
    error_of(post({}, path="/v1/nothing"), 404, "not_found")
    error_of(post(None, method="GET"), 405, "method_not_allowed")
    error_of(post("model=x", content_type="application/x-www-form-urlencoded"), 415, "unsupported_media_type")
    error_of(post("{}", content_encoding="deflate-raw"), 415, "unsupported_media_type")


@case("broken JSON says where")
def _():
    error = error_of(post('{"model": "py/text",\n "messages": ['), 400, "invalid_json")
    check("line 2" in error["message"], error["message"])


@case("what is missing or of the wrong kind is named")
def _():
    for body, param in (
        ({"messages": HELLO}, "model"),
        ({"model": "py/text"}, "messages"),
        ({"model": 7, "messages": HELLO}, "model"),
        ({"model": "py/text", "messages": "Hello"}, "messages"),
        ({"model": "py/text", "messages": HELLO, "stream": "yes"}, "stream"),
    ):
        error_of(post(body), 400, None, param)


@case("a model that is named twice is refused, however it is spelt")
def _():
    for second in ('"model": "py/tools"', '"Model": "py/tools"', '"mod\\u0065l": "py/tools"'):
        reply = post('{"model": "py/text", "messages": [], ' + second + "}")
        equal(reply.status_code, 400, f"status with {second}")


@case("x-request-id is echoed, or made")
def _():
    equal(post(chat("py/text"), x_request_id="mine-1").headers["x-request-id"], "mine-1")
    equal(post(chat("py/nothing"), x_request_id="mine-2").headers["x-request-id"], "mine-2")
    made = {post(chat("py/text")).headers["x-request-id"] for _ in range(2)}
    equal(len(made), 2, "made ids")


@case("a compressed request is read")
def _():
    import gzip

    body = gzip.compress(httpx.Request("POST", "http://x", json=chat("py/text")).content)
    equal(post(body, content_encoding="gzip").json()["choices"][0]["message"]["content"], TEXT)


# Discovery


@case("models are listed, with slashes in their names, without secrets")
def _():
    ids = [model.id for model in client.models.list()]
    check({"py/text", "node/tools"} <= set(ids), f"{len(ids)} models")
    equal(len(ids), len(set(ids)), "ids are unique")
    no_secrets(httpx.get(f"{GATEWAY}/v1/models", timeout=30).text)


@case("one model, its name encoded or not")
def _():
    model = client.models.retrieve("py/text")
    equal((model.id, model.object), ("py/text", "model"))
    for path in ("/v1/models/py/text", "/v1/models/py%2Ftext"):
        equal(post(None, path=path, method="GET").json()["id"], "py/text", path)
    error_of(post(None, path="/v1/models/py/none", method="GET"), 404, "model_not_found", "model")


@case("a scoped key sees its models only")
def _():
    key = issue_key(allowedModels=["py/text"])["key"]
    equal([model.id for model in sdk(key).models.list()], ["py/text"])


@case("probes answer without a key")
def _():
    for path in ("/health/live", "/health/ready"):
        reply = post(None, path=path, method="GET", key=None)
        equal(reply.status_code, 200, path)
        check(reply.headers.get("x-request-id"), "x-request-id")


sys.exit(run("gateway, python SDK"))
