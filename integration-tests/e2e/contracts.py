"""Responses and Messages through the gateway with the official libraries, over every wire: what a provider meant in one
wire is what an application reads in another."""

import json
import os
import sys

import anthropic
import httpx
import openai
from pydantic import BaseModel

from harness import GATEWAY, MASTER_KEY, PROVIDER_KEY, STUB, TEXT, admin, case, check, equal, run, stub_requests

KEY = os.environ["KEY"]
oai = openai.OpenAI(base_url=f"{GATEWAY}/v1", api_key=KEY, max_retries=0, timeout=30)
ant = anthropic.Anthropic(base_url=GATEWAY, api_key=KEY, max_retries=0, timeout=30)
WIRES = {
    "anthropic_messages": {"provider": "anthropic", "transportOverrides": {}},
    "openai_responses": {"provider": "openai", "transportOverrides": {"text.generate": "responses"}},
    "gemini": {"provider": "googleaistudio", "transportOverrides": {}},
}
ENTRY = {"operations": {"text.generate": {"capabilities": {"tools": True, "vision": True}, "maxOutputTokens": 8000}}}


def register(wire: str, fixture: str) -> str:
    public = f"{wire}/{fixture}"
    body = {
        "publicModel": public, "upstreamModel": fixture, "catalogEntry": ENTRY,
        "credentials": {"apiKey": PROVIDER_KEY, "baseUrl": f"{STUB}/v1"}, **WIRES[wire],
    }
    admin("POST", "/deployments", body, expect=201)
    return public


for wire, fixtures in {
    "anthropic_messages": ["text", "thinking_and_tools", "thinking_and_parallel_tools", "stop_refusal", "redacted_thinking", "bad_error_event"],
    "openai_responses": ["text", "reasoning_and_tools", "reasoning_and_interleaved_tools", "incomplete", "custom_tool", "bad_failed"],
    "gemini": ["text", "parallel_tools", "finish_safety", "grounding", "error_400_tokens", "bad_error_event"],
}.items():
    for fixture in fixtures:
        register(wire, fixture)

def raises(kind, call):
    """The exception of a call that must fail with one of this kind."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"wanted {kind.__name__}, but it succeeded")


SAID = 'Grüße "x" 🌍'
STREAMED = 'Grüße, "world" \\ 🌍\n'
HELLO = [{"role": "user", "content": "Hello"}]


def message(model, **more):
    return ant.messages.create(model=model, max_tokens=100, messages=HELLO, **more)


def events_of(model, **more):
    with ant.messages.stream(model=model, max_tokens=100, messages=HELLO, **more) as stream:
        kinds = [event.type for event in stream]
        return kinds, stream.get_final_message()


@case("messages: a message in its own wire")
def _():
    raw = ant.messages.with_raw_response.create(model="anthropic_messages/text", max_tokens=9, messages=HELLO)
    reply = raw.parse()
    equal((reply.content[0].text, reply.model, reply.stop_reason), (SAID, "anthropic_messages/text", "end_turn"))
    equal((reply.usage.input_tokens, reply.usage.cache_read_input_tokens, reply.usage.output_tokens), (10, 5, 42))
    check(raw.headers.get("request-id"), "request-id")


@case("messages: over Responses and Chat Completions")
def _():
    reply = message("openai_responses/text")
    equal((reply.content[0].text, reply.stop_reason, reply.model), (SAID, "end_turn", "openai_responses/text"))
    equal((reply.usage.input_tokens, reply.usage.cache_read_input_tokens, reply.usage.output_tokens), (15, 16, 12))
    reply = message("py/text")
    equal((reply.content[0].text, reply.stop_reason), (TEXT, "end_turn"))
    equal((reply.usage.input_tokens, reply.usage.cache_read_input_tokens, reply.usage.output_tokens), (15, 4, 13))


@case("messages: streams over every wire")
def _():
    for model, text in (("anthropic_messages/text", STREAMED), ("openai_responses/text", STREAMED), ("py-stream/text", TEXT)):
        kinds, reply = events_of(model)
        equal("".join(block.text for block in reply.content), text, model)
        equal((kinds[0], kinds[-1]), ("message_start", "message_stop"), model)
        check(reply.usage.input_tokens > 0 and reply.usage.output_tokens > 0, f"usage of {model}")


@case("messages: thinking with its signature, and parallel tools, round and round")
def _():
    for model in ("anthropic_messages/thinking_and_tools", "openai_responses/reasoning_and_tools"):
        first = message(model)
        thinking, *_, call, other = first.content
        equal((thinking.type, call.type, other.type, first.stop_reason), ("thinking", "tool_use", "tool_use", "tool_use"), model)
        check(thinking.signature, "a signature")
        results = [{"type": "tool_result", "tool_use_id": made.id, "content": "42"} for made in (call, other)]
        history = [*HELLO, {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]}, {"role": "user", "content": results}]
        raw = ant.messages.with_raw_response.create(model=model, max_tokens=100, messages=history)
        check("reasoning" not in raw.headers.get("x-unified-dropped", ""), "reasoning went back")
        sent = json.loads(stub_requests()[-1]["body"])
        items = sent.get("input") or sent["messages"]
        check("Sig+/=" in json.dumps(items) or "gAAAA" in json.dumps(items), f"state of {model} went back to its maker")
        check("ug1." not in json.dumps(sent), "no tag of ours reaches a provider")


@case("messages: interleaved tool calls of another wire do not overlap")
def _():
    kinds, reply = events_of("openai_responses/reasoning_and_interleaved_tools")
    calls = [(block.name, block.input) for block in reply.content if block.type == "tool_use"]
    equal(calls, [("get_weather", {"city": "Paris", "n": 1.5}), ("get_time", {"zone": "CET"})])
    equal(reply.content[0].thinking.replace("\n", ""), "First thought.Second.")


@case("messages: errors in the shape of Anthropic")
def _():
    error = raises(anthropic.NotFoundError, lambda: message("nothing/here"))
    equal((error.body["type"], error.body["error"]["type"]), ("error", "not_found_error"))
    wrong = anthropic.Anthropic(base_url=GATEWAY, api_key="nope", max_retries=0)
    error = raises(anthropic.AuthenticationError, lambda: wrong.messages.create(model="m", max_tokens=1, messages=HELLO))
    equal(error.body["error"]["type"], "authentication_error")
    error = raises(anthropic.BadRequestError, lambda: message("py/text", extra_body={"messages": [{"role": "tool", "content": ""}]}))
    check("messages[0].role" in error.body["error"]["message"], error.body)
    for model in ("anthropic_messages/bad_error_event", "openai_responses/bad_failed"):
        raises(anthropic.APIStatusError, lambda: events_of(model))


@case("responses: a complete resource over every wire")
def _():
    for model, text, usage in (
        ("openai_responses/text", SAID, (31, 16, 12)), ("anthropic_messages/text", SAID, (22, 5, 42)), ("py/text", TEXT, (19, 4, 13)),
    ):
        reply = oai.responses.create(model=model, input="Hello", instructions="Be brief.", temperature=0.5)
        equal((reply.output_text, reply.model, reply.status, reply.object), (text, model, "completed", "response"))
        equal((reply.usage.input_tokens, reply.usage.input_tokens_details.cached_tokens, reply.usage.output_tokens), usage, model)
        raw = httpx.post(f"{GATEWAY}/v1/responses", json={"model": model, "input": "x"}, headers={"authorization": f"Bearer {KEY}"}).json()
        needed = ["background", "error", "incomplete_details", "instructions", "max_output_tokens", "metadata", "parallel_tool_calls",
                  "previous_response_id", "reasoning", "service_tier", "store", "temperature", "text", "tool_choice", "tools", "top_p", "truncation", "usage", "user"]
        equal([name for name in needed if name not in raw], [], f"missing members of {model}")


@case("responses: streams with numbered events over every wire")
def _():
    for model, text in (("openai_responses/text", STREAMED), ("anthropic_messages/text", STREAMED), ("py-stream/text", TEXT)):
        events = list(oai.responses.create(model=model, input="Hello", stream=True))
        equal([event.sequence_number for event in events], list(range(len(events))), model)
        equal("".join(event.delta for event in events if event.type == "response.output_text.delta"), text, model)
        equal((events[0].type, events[-1].type, events[-1].response.output_text), ("response.created", "response.completed", text), model)


@case("responses: the streaming helper and structured output")
def _():
    class Answer(BaseModel):
        city: str
        population: int

    with oai.responses.stream(model="anthropic_messages/thinking_and_parallel_tools", input="Hello") as stream:
        for _ in stream:
            pass
        reply = stream.get_final_response()
    equal([item.type for item in reply.output], ["reasoning", "message", "function_call", "function_call"])
    equal(reply.output[2].arguments, '{"city": "Paris", "n": 1.50}')
    parsed = oai.chat.completions.parse(model="py/structured", messages=HELLO, response_format=Answer)
    check(isinstance(parsed.choices[0].message.parsed, Answer), "structured")


@case("responses: reasoning goes back to its maker")
def _():
    for model in ("anthropic_messages/thinking_and_tools", "openai_responses/reasoning_and_tools"):
        first = oai.responses.create(model=model, input="Hello", include=["reasoning.encrypted_content"])
        calls = [item for item in first.output if item.type == "function_call"]
        equal(len(calls), 2, model)
        outputs = [{"type": "function_call_output", "call_id": call.call_id, "output": "42"} for call in calls]
        history = [{"role": "user", "content": "Hello"}, *[item.model_dump(exclude_none=True) for item in first.output], *outputs]
        oai.responses.create(model=model, input=history)
        sent = stub_requests()[-1]["body"]
        check("Sig+/=" in sent or "gAAAA" in sent, f"state of {model} went back")
        check("ug1." not in sent, "no tag of ours reaches a provider")


@case("responses: incomplete answers, free-text tools, failures")
def _():
    equal(oai.responses.create(model="openai_responses/incomplete", input="x").incomplete_details.reason, "max_output_tokens")
    call = oai.responses.create(model="openai_responses/custom_tool", input="x").output[0]
    equal((call.type, call.name, call.input), ("custom_tool_call", "apply_patch", '*** Begin\n"q"'))
    for model in ("anthropic_messages/bad_error_event", "openai_responses/bad_failed"):
        last = list(oai.responses.create(model=model, input="x", stream=True))[-1]
        equal((last.type, last.response.status), ("response.failed", "failed"), model)
        check(last.response.error.message, "a message")
    error = raises(openai.BadRequestError, lambda: oai.responses.create(model="py/text", input="x", background=True))
    equal(error.param, "background")


@case("responses: three stored turns, retrieved, listed and deleted")
def _():
    for model in ("echo", "openai_responses/text", "anthropic_messages/text"):
        made = []
        for turn in ("one", "two", "three"):
            more = {"previous_response_id": made[-1].id} if made else {}
            made.append(oai.responses.create(model=model, input=turn, **more))
            equal((made[-1].store, made[-1].previous_response_id), (True, more.get("previous_response_id")), model)
        equal(len({response.id for response in made}), 3, "ids")
        equal(oai.responses.retrieve(made[2].id).model_dump(), made[2].model_dump(), model)
        items = list(oai.responses.input_items.list(made[2].id, order="asc", limit=2))
        said = [made[0].output_text, made[1].output_text]
        equal([item.content[0].text for item in items], ["one", said[0], "two", said[1], "three"], model)
        equal([item.content[0].text for item in oai.responses.input_items.list(made[0].id)], ["one"], model)
        if model != "echo":
            sent = json.loads(stub_requests()[-1]["body"])
            check("previous_response_id" not in sent, "ids of ours stay here")
            check(all(word in json.dumps(sent, ensure_ascii=False) for word in ("one", "two", "three")), "the whole conversation")
        oai.responses.delete(made[0].id)
        raises(openai.NotFoundError, lambda: oai.responses.retrieve(made[0].id))
        oai.responses.create(model=model, input="four", previous_response_id=made[2].id)
        error = raises(openai.BadRequestError, lambda: oai.responses.create(model=model, input="x", previous_response_id=made[0].id))
        equal((error.code, error.param), ("previous_response_not_found", "previous_response_id"))


@case("responses: a stored stream is there when it ends, and goes on")
def _():
    for model in ("openai_responses/reasoning_and_interleaved_tools", "anthropic_messages/thinking_and_parallel_tools"):
        with oai.responses.stream(model=model, input="Hello") as stream:
            for _ in stream:
                pass
            reply = stream.get_final_response()
        equal(oai.responses.retrieve(reply.id).output_text, reply.output_text, model)
        outputs = [{"type": "function_call_output", "call_id": item.call_id, "output": "42"} for item in reply.output if item.type == "function_call"]
        with oai.responses.stream(model=model, input=outputs, previous_response_id=reply.id) as stream:
            equal([event.type for event in stream][-1], "response.completed", model)
        sent = stub_requests()[-1]["body"]
        check("EqQBCg+/==" in sent or "gAAAA" in sent, f"state of {model} went back")
        check("ug1." not in sent, "no tag of ours reaches a provider")


@case("messages: tokens counted by the provider, else estimated")
def _():
    counted = ant.messages.with_raw_response.count_tokens(model="anthropic_messages/text", messages=HELLO, system="Be brief.")
    equal((counted.parse().input_tokens, counted.headers.get("x-unified-estimated")), (1234, None))
    counted = ant.messages.with_raw_response.count_tokens(model="echo", messages=HELLO)
    equal(counted.headers.get("x-unified-estimated"), "true")
    check(0 < counted.parse().input_tokens < 50, "an estimate")
    raises(anthropic.NotFoundError, lambda: ant.messages.count_tokens(model="nothing/here", messages=HELLO))


@case("chat: over Messages and Responses, tools and finish reasons")
def _():
    for model, reason in (("anthropic_messages/thinking_and_tools", "tool_calls"), ("openai_responses/reasoning_and_tools", "tool_calls"),
                          ("anthropic_messages/stop_refusal", "content_filter"), ("openai_responses/incomplete", "length")):
        reply = oai.chat.completions.create(model=model, messages=HELLO)
        equal(reply.choices[0].finish_reason, reason, model)
    call = oai.chat.completions.create(model="anthropic_messages/thinking_and_tools", messages=HELLO).choices[0].message.tool_calls[0]
    check(call.id.startswith("toolu_1__thought__"), "the id carries the state")
    history = [*HELLO, {"role": "assistant", "content": None, "tool_calls": [call.model_dump()]}, {"role": "tool", "tool_call_id": call.id, "content": "42"}]
    oai.chat.completions.create(model="anthropic_messages/thinking_and_tools", messages=history)
    sent = json.loads(stub_requests()[-1]["body"])
    equal(sent["messages"][1]["content"][0]["signature"], "Sig+/=")
    equal(sent["messages"][1]["content"][1]["id"], "toolu_1")


@case("gemini: answers and streams in every contract")
def _():
    reply = message("gemini/text")
    equal((reply.content[0].text, reply.stop_reason), (SAID, "end_turn"))
    equal((reply.usage.input_tokens, reply.usage.cache_read_input_tokens, reply.usage.output_tokens), (10, 30, 16))
    kinds, reply = events_of("gemini/text")
    equal(("".join(block.text for block in reply.content), kinds[-1]), (STREAMED, "message_stop"))
    reply = oai.responses.create(model="gemini/text", input="Hello")
    equal((reply.output_text, reply.usage.output_tokens_details.reasoning_tokens), (SAID, 7))
    events = list(oai.responses.create(model="gemini/text", input="Hello", stream=True))
    equal((events[-1].type, events[-1].response.output_text), ("response.completed", STREAMED))
    reply = oai.chat.completions.create(model="gemini/text", messages=HELLO)
    equal((reply.choices[0].message.content, reply.usage.total_tokens), (SAID, 56))
    chunks = list(oai.chat.completions.create(model="gemini/text", messages=HELLO, stream=True))
    equal("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices), STREAMED)


@case("gemini: a tool loop brings its signature back in every contract")
def _():
    def sent_back():
        body = json.loads(stub_requests()[-1]["body"])
        check("ug1." not in json.dumps(body) and "__thought__" not in json.dumps(body), "no tag of ours reaches a provider")
        return body["contents"][1]["parts"]

    model = "gemini/parallel_tools"
    first = oai.chat.completions.create(model=model, messages=HELLO).choices[0].message
    results = [{"role": "tool", "tool_call_id": call.id, "content": "42"} for call in first.tool_calls]
    oai.chat.completions.create(model=model, messages=[*HELLO, first.model_dump(exclude_none=True), *results])
    expected = sent_back()
    equal([part.get("thoughtSignature") for part in expected], ["SigA+/==", None])
    items = oai.responses.create(model=model, input="Hello").output
    outputs = [{"type": "function_call_output", "call_id": item.call_id, "output": "42"} for item in items if item.type == "function_call"]
    oai.responses.create(model=model, input=[*HELLO, *[item.model_dump(exclude_none=True) for item in items], *outputs])
    equal(sent_back(), expected)
    with ant.messages.stream(model=model, max_tokens=100, messages=HELLO) as stream:
        blocks = stream.get_final_message().content
    results = [{"type": "tool_result", "tool_use_id": block.id, "content": "42"} for block in blocks if block.type == "tool_use"]
    history = [*HELLO, {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in blocks]}, {"role": "user", "content": results}]
    message_with = ant.messages.create(model=model, max_tokens=100, messages=history)
    equal(message_with.stop_reason, "tool_use")
    # The stream was of another fixture, which thinks aloud first.
    equal([part.get("thoughtSignature") for part in sent_back()], [None, "SigA+/==", None])


@case("gemini: filters, citations and errors")
def _():
    equal(oai.chat.completions.create(model="gemini/finish_safety", messages=HELLO).choices[0].finish_reason, "content_filter")
    equal(message("gemini/finish_safety").stop_reason, "refusal")
    cited = oai.chat.completions.create(model="gemini/grounding", messages=HELLO).choices[0].message.annotations
    equal([(one.url_citation.url, one.url_citation.start_index, one.url_citation.end_index) for one in cited],
          [("https://example.org/a", 0, 13), ("https://example.org/b", 14, 19)])
    error = raises(openai.BadRequestError, lambda: oai.chat.completions.create(model="gemini/error_400_tokens", messages=HELLO))
    equal(error.code, "context_length_exceeded")
    raises(anthropic.APIStatusError, lambda: events_of("gemini/bad_error_event"))


@case("what is left out is named, and refused on demand")
def _():
    ask = {"model": "anthropic_messages/text", "messages": HELLO, "seed": 7}
    raw = oai.chat.completions.with_raw_response.create(**ask)
    equal(raw.headers.get("x-unified-dropped"), "seed")
    error = raises(openai.BadRequestError, lambda: oai.chat.completions.create(**ask, extra_headers={"x-unified-strict": "true"}))
    equal(error.param, "seed")
    error = raises(openai.BadRequestError, lambda: oai.chat.completions.create(**{**ask, "n": 2}))
    equal(error.param, "n")


sys.exit(run("contracts"))
