"""LangChain's chat models for OpenAI and Anthropic through the gateway, over every wire, on the deployments of contracts.py."""

import os
import sys

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI

from harness import GATEWAY, case, check, equal, run

KEY = os.environ["KEY"]
WIRES = ["anthropic_messages", "openai_responses", "gemini"]
SAID = 'Grüße "x" 🌍'
STREAMED = 'Grüße, "world" \\ 🌍\n'
TOOLS = [
    {"type": "function", "function": {"name": name, "description": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("f", "g", "get_weather", "get_time")
]


def openai(model: str, **more) -> ChatOpenAI:
    return ChatOpenAI(model=model, base_url=f"{GATEWAY}/v1", api_key=KEY, max_retries=0, stream_usage=True, **more)


MODELS = {
    "chat": openai,
    "responses": lambda model: openai(model, use_responses_api=True),
    "messages": lambda model: ChatAnthropic(model=model, base_url=GATEWAY, api_key=KEY, max_retries=0, max_tokens=100),
}


def each_contract(name: str):
    def register(function):
        for contract, make in MODELS.items():
            case(f"{contract}: {name}", make)(function)
        return function

    return register


@each_contract("text over every wire, whole and streamed")
def _(make):
    for wire in WIRES:
        whole = make(f"{wire}/text").invoke("Hello")
        equal(whole.text, SAID, wire)
        check(whole.usage_metadata["input_tokens"] > 0 and whole.usage_metadata["output_tokens"] > 0, f"{wire}: tokens")
        pieces = list(make(f"{wire}/text").stream("Hello"))
        equal("".join(piece.text for piece in pieces), STREAMED, wire)
        check(any(piece.usage_metadata for piece in pieces), f"{wire}: tokens of a stream")


@each_contract("parallel calls, and a loop that goes on from them")
def _(make):
    for model, names in {
        "anthropic_messages/thinking_and_tools": ["f", "g"],
        "openai_responses/reasoning_and_tools": ["f", "g"],
        "gemini/parallel_tools": ["get_weather", "get_time"],
    }.items():
        bound = make(model).bind_tools(TOOLS)
        conversation = [HumanMessage("Hello")]
        for _ in range(2):
            answer = bound.invoke(conversation)
            equal([call["name"] for call in answer.tool_calls], names, model)
            check(all(call["id"] for call in answer.tool_calls), f"{model}: ids")
            results = [ToolMessage(f"result of {call['name']}", tool_call_id=call["id"]) for call in answer.tool_calls]
            conversation += [answer, *results]


if __name__ == "__main__":
    sys.exit(run("LangChain"))
