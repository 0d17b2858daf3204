"""Embeddings, rerankings, moderations and the lists of models through the gateway, with the libraries that people use."""

import os
import sys
from typing import get_type_hints

import anthropic
import cohere
import openai
from langchain_openai import OpenAIEmbeddings
from llama_index.embeddings.openai import OpenAIEmbedding
from openai.types import EmbeddingCreateParams, ModerationCreateParams

from harness import GATEWAY, PROVIDER_KEY, STUB, admin, case, equal, raises, run, stub_requests

KEY = os.environ["KEY"]
oai = openai.OpenAI(base_url=f"{GATEWAY}/v1", api_key=KEY, max_retries=0, timeout=30)
ant = anthropic.Anthropic(base_url=GATEWAY, api_key=KEY, max_retries=0, timeout=30)
coh = cohere.ClientV2(api_key=KEY, base_url=GATEWAY, timeout=30)
ROWS = [
    ("openai", "text-embedding-3-small", f"{STUB}/v1"),
    ("cohere", "embed-v4.0", f"{STUB}/v1"),
    ("googleaistudio", "gemini-embedding-001", STUB),
    ("mistral", "mistral-embed", f"{STUB}/v1"),
    ("voyage", "voyage-3.5", f"{STUB}/v1"),
    ("ollama", "nomic-embed-text", f"{STUB}/v1"),
]
VECTORS = [f"vectors/{provider}" for provider, _, _ in ROWS]


def register(public: str, provider: str, upstream: str, base: str) -> None:
    credentials = {"apiKey": PROVIDER_KEY, "baseUrl": base}
    body = {"publicModel": public, "provider": provider, "upstreamModel": upstream, "credentials": credentials}
    admin("POST", "/deployments", body, expect=201)


for provider, upstream, base in ROWS:
    register(f"vectors/{provider}", provider, upstream, base)
register("ranks/cohere", "cohere", "rerank-v3.5", f"{STUB}/v1")
register("ranks/voyage", "voyage", "stub-rank-data", f"{STUB}/v1")
register("omni-moderation-latest", "openai", "omni-moderation-latest", f"{STUB}/v1")
register("judges/mistral", "mistral", "mistral-moderation-2603", f"{STUB}/v1")

FOUR = [4.0, 0.5, -0.25]
TEXTS = ["four", "seventeen letters"]
BOTH = [FOUR, [17.0, 0.5, -0.25]]


@case("openai: vectors over every wire; the library asks for base64 by itself")
def _():
    for model in VECTORS:
        reply = oai.embeddings.create(model=model, input=TEXTS)
        equal([item.embedding for item in reply.data], BOTH, model)
        equal((reply.model, [item.index for item in reply.data]), (model, [0, 1]), model)
        assert reply.usage.prompt_tokens > 0, model
        numbers = oai.embeddings.create(model=model, input="four", encoding_format="float")
        equal(numbers.data[0].embedding, FOUR, model)


@case("openai: tokens, dimensions and user")
def _():
    reply = oai.embeddings.create(model="vectors/openai", input=[[1, 2, 3, 4], [5]], dimensions=256, user="u")
    equal([item.embedding[0] for item in reply.data], [4.0, 1.0])
    with raises(openai.BadRequestError) as caught:
        oai.embeddings.create(model="vectors/openai", input="x", dimensions=9_999)
    equal((caught[0].code, caught[0].param), ("unsupported_parameter", "dimensions"))
    raw = oai.embeddings.with_raw_response.create(model="vectors/cohere", input="four", user="u")
    equal(raw.headers.get("x-unified-dropped"), "user")


@case("openai: a batch above the provider's bound")
def _():
    reply = oai.embeddings.create(model="vectors/cohere", input=["x" * length for length in range(1, 201)])
    equal([item.embedding[0] for item in reply.data], [float(length) for length in range(1, 201)])


@case("openai: the fields of the requests are those that we know")
def _():
    equal(set(get_type_hints(EmbeddingCreateParams)), {"model", "input", "encoding_format", "dimensions", "user"})
    equal(set(get_type_hints(ModerationCreateParams)), {"model", "input"})


@case("openai: moderations, with and without a model")
def _():
    reply = oai.moderations.create(input=["fine", "harm"])
    equal([result.flagged for result in reply.results], [False, True])
    equal(oai.moderations.create(model="judges/mistral", input="harm").results[0].flagged, True)
    parts = [{"type": "text", "text": "harm"}, {"type": "image_url", "image_url": {"url": "https://images.example.com/a.png"}}]
    equal(len(oai.moderations.create(input=parts).results), 1)


@case("langchain: embeddings")
def _():
    for model in VECTORS:
        made = OpenAIEmbeddings(model=model, base_url=f"{GATEWAY}/v1", api_key=KEY, check_embedding_ctx_length=False)
        equal(made.embed_documents(TEXTS), BOTH, model)
        equal(made.embed_query("four"), FOUR, model)


@case("llamaindex: embeddings")
def _():
    for model in VECTORS:
        made = OpenAIEmbedding(model_name=model, api_base=f"{GATEWAY}/v1", api_key=KEY, max_retries=0)
        equal(made.get_text_embedding_batch(TEXTS), BOTH, model)
        equal(made.get_query_embedding("four"), FOUR, model)


@case("cohere: rerank with its own library")
def _():
    for model in ("ranks/cohere", "ranks/voyage"):
        reply = coh.rerank(model=model, query="which is longest?", documents=["a", "the longest", "middle"], top_n=2)
        equal([result.index for result in reply.results], [1, 2], model)
        assert reply.results[0].relevance_score > reply.results[1].relevance_score
    equal(coh.rerank(model="ranks/cohere", query="q", documents=["a"]).meta.billed_units.search_units, 1.0)
    equal(stub_requests()[-1]["path"], "/v2/rerank")


@case("anthropic: the list of models, page by page, and one of them")
def _():
    ids = [model.id for model in ant.models.list(limit=7)]
    equal(sorted(ids), sorted(model.id for model in oai.models.list()))
    one = ant.models.retrieve("vectors/openai")
    equal((one.type, one.id, one.display_name), ("model", "vectors/openai", "vectors/openai"))
    with raises(anthropic.NotFoundError):
        ant.models.retrieve("nothing")


if __name__ == "__main__":
    sys.exit(run("vectors"))
