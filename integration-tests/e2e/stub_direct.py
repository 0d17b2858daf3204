"""The stub is true: the official SDK reads its answers into its own types, without a gateway in between."""

import sys

import openai
from pydantic import BaseModel

from harness import HELLO, STUB, TEXT, case, check, equal, raises, run, text_of

client = openai.OpenAI(base_url=f"{STUB}/v1", api_key="sk-direct", max_retries=0, timeout=20)
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("get_weather", "get_time")
]
ARGUMENTS = ['{"city":"Zürich","unit":"celsius"}', '{"zone": "Europe/Zurich",  "at": 1.50}']


def stream(model, **more):
    return list(client.chat.completions.create(model=model, messages=HELLO, stream=True, **more))


@case("text as JSON, with usage details and unknown fields")
def _():
    reply = client.chat.completions.create(model="stub-text", messages=HELLO)
    equal(reply.choices[0].message.content, TEXT)
    equal((reply.usage.total_tokens, reply.usage.prompt_tokens_details.cached_tokens), (32, 4))
    equal(reply.model_extra["x_stub"], {"region": "eu-test", "attempt": 1})
    equal(reply.choices[0].message.model_extra["x_note"], "kept")


@case("text as a stream, usage only when asked for")
def _():
    chunks = stream("stub-text")
    equal(text_of(chunks), TEXT)
    check(all("usage" not in chunk.model_fields_set for chunk in chunks), "no usage unless asked for")
    chunks = stream("stub-text", stream_options={"include_usage": True})
    equal([chunk.usage.total_tokens for chunk in chunks if chunk.usage], [32])
    equal(chunks[-1].choices, [])


@case("parallel tool calls, JSON and stream")
def _():
    calls = client.chat.completions.create(model="stub-tools", messages=HELLO, tools=TOOLS).choices[0].message.tool_calls
    equal([call.function.arguments for call in calls], ARGUMENTS)
    with client.chat.completions.stream(model="stub-tools", messages=HELLO, tools=TOOLS) as helper:
        calls = helper.get_final_completion().choices[0].message.tool_calls
    equal([(call.id, call.function.arguments) for call in calls], [("call_stubWeather01", ARGUMENTS[0]), ("call_stubClock02", ARGUMENTS[1])])


@case("structured output")
def _():
    class Place(BaseModel):
        city: str
        people: int
        tags: list[str]

    reply = client.chat.completions.parse(model="stub-structured", messages=HELLO, response_format=Place)
    equal(reply.choices[0].message.parsed, Place(city="Köln", people=7, tags=["Köln"]))


@case("log probabilities, JSON and stream")
def _():
    reply = client.chat.completions.create(model="stub-logprobs", messages=HELLO, logprobs=True)
    equal([entry.token for entry in reply.choices[0].logprobs.content], ["Yes", " é", "!"])
    chunks = stream("stub-logprobs", logprobs=True)
    equal([e.logprob for c in chunks if c.choices and c.choices[0].logprobs for e in c.choices[0].logprobs.content], [-0.0123, -0.25, -0.5])


@case("reasoning, two choices, refusal, filter")
def _():
    equal("".join(c.choices[0].delta.model_extra.get("reasoning_content", "") for c in stream("stub-reasoning")), "Six times seven: forty-two.")
    chunks = stream("stub-n2", n=2)
    equal((text_of(chunks, 0), text_of(chunks, 1)), ("Heads it is.", "Tails, for once."))
    equal("".join(c.choices[0].delta.refusal or "" for c in stream("stub-refusal")), "I cannot help with that.")
    equal(stream("stub-filter")[-1].choices[0].finish_reason, "content_filter")


@case("unusual wrapping reads the same")
def _():
    for model in ("stub-pings", "stub-crlf", "stub-split", "stub-gzip", "stub-finish-no-done"):
        equal(text_of(stream(model)), TEXT, model)


@case("errors are the SDK's exceptions")
def _():
    for model, kind, code in (
        ("stub-400", openai.BadRequestError, "decimal_above_max_value"),
        ("stub-401", openai.AuthenticationError, "invalid_api_key"),
        ("stub-403", openai.PermissionDeniedError, "model_access_denied"),
        ("stub-404-model", openai.NotFoundError, "model_not_found"),
        ("stub-422", openai.UnprocessableEntityError, None),
        ("stub-429", openai.RateLimitError, "rate_limit_exceeded"),
        ("stub-503", openai.InternalServerError, None),
    ):
        with raises(kind) as caught:
            client.chat.completions.create(model=model, messages=HELLO)
        equal(caught[0].code, code, model)
    with raises(openai.APIError):
        stream("stub-stream-error-mid")


@case("models")
def _():
    check("stub-text" in [model.id for model in client.models.list()], "stub-text is listed")


sys.exit(run("stub, python SDK"))
