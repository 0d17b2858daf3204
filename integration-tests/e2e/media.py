"""Sound and images through the gateway with the openai library: uploads, streams, speech as it comes."""

import base64
import io
import os
import struct
import sys

import openai

from harness import GATEWAY, PROVIDER_KEY, STUB, admin, case, check, equal, raises, run, stub_requests

KEY = os.environ["KEY"]
oai = openai.OpenAI(base_url=f"{GATEWAY}/v1", api_key=KEY, max_retries=0, timeout=60)
ROWS = [
    ("listen/openai", "openai", "gpt-transcribe", f"{STUB}/v1"),
    ("listen/whisper", "azureopenai", "whisper-1", f"{STUB}/v1"),
    ("listen/groq", "groq", "whisper-large-v3", f"{STUB}/v1"),
    ("listen/mistral", "mistral", "voxtral-mini-latest", f"{STUB}/v1"),
    ("listen/gemini", "googleaistudio", "gemini-3.5-transcribe", STUB),
    ("speak/openai", "azureopenai", "gpt-4o-mini-tts", f"{STUB}/v1"),
    ("speak/mistral", "mistral", "voxtral-mini-tts-latest", f"{STUB}/v1"),
    ("speak/gemini", "googleaistudio", "gemini-3.8-flash-tts", STUB),
    ("speak/flood", "openaicompatible", "stub-speak-flood", f"{STUB}/v1"),
    ("draw/openai", "openai", "gpt-image-2", f"{STUB}/v1"),
    ("draw/xai", "xai", "grok-imagine-image", f"{STUB}/v1"),
    ("draw/gemini", "googleaistudio", "gemini-3.1-flash-image", STUB),
    ("draw/openrouter", "openrouter", "google/gemini-3.1-flash-image", f"{STUB}/v1"),
    ("draw/plain", "openaicompatible", "stub-draw", f"{STUB}/v1"),
]


def of(kind: str) -> list[str]:
    return [public for public, *_ in ROWS if public.startswith(kind) and not public.endswith("flood")]


for public, provider, upstream, base in ROWS:
    credentials = {"apiKey": PROVIDER_KEY, "baseUrl": base}
    body = {"publicModel": public, "provider": provider, "upstreamModel": upstream, "credentials": credentials}
    admin("POST", "/deployments", body, expect=201)

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def wav(seconds: float) -> bytes:
    samples = b"\0\0" * int(8_000 * seconds)
    head = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8_000, 16_000, 2, 16) + b"data" + struct.pack("<I", len(samples))
    return b"RIFF" + struct.pack("<I", 4 + len(head) + len(samples)) + b"WAVE" + head + samples


def sound(name: str = "talk.wav", seconds: float = 1.5) -> tuple[str, bytes]:
    return name, wav(seconds)


@case("transcriptions: json over every wire")
def _():
    for model in of("listen/"):
        reply = oai.audio.transcriptions.create(model=model, file=sound())
        check(reply.text, model)
        check(reply.usage is not None, f"{model}: no usage")


@case("transcriptions: lists, prompt and temperature arrive as they were sent")
def _():
    reply = oai.audio.transcriptions.create(
        model="listen/openai", file=sound("Grüße.wav"), prompt="Zürich", temperature=0.5, language="de",
        keywords=["Zürich", "Bern"], include=["logprobs"], chunking_strategy="auto",
    )
    for part in ("prompt=Zürich", "temperature=0.5", "keywords[]=Zürich; keywords[]=Bern", "include[]=logprobs", "file(Grüße.wav,audio/wav,"):
        check(part in reply.text, f"{part} is not in {reply.text}")


@case("transcriptions: text, srt and vtt, made here where the provider has none")
def _():
    for model in ("listen/whisper", "listen/groq", "listen/mistral"):
        text = oai.audio.transcriptions.create(model=model, file=sound(), response_format="text")
        check(text.endswith("\n"), f"{model}: {text!r}")
        srt = oai.audio.transcriptions.create(model=model, file=sound(), response_format="srt")
        check(srt.startswith("1\n00:00:00,000 --> 00:00:0"), f"{model}: {srt!r}")
        vtt = oai.audio.transcriptions.create(model=model, file=sound(), response_format="vtt")
        check(vtt.startswith("WEBVTT\n\n00:00:00.000 --> "), f"{model}: {vtt!r}")


@case("transcriptions: verbose_json and diarized_json have segments")
def _():
    for model in ("listen/whisper", "listen/groq", "listen/mistral"):
        reply = oai.audio.transcriptions.create(
            model=model, file=sound(), response_format="verbose_json", timestamp_granularities=["segment"]
        )
        check(reply.segments and reply.segments[-1].end > 1, f"{model}: {reply}")
    reply = oai.audio.transcriptions.create(model="listen/mistral", file=sound(), response_format="diarized_json")
    equal([segment.speaker for segment in reply.segments], ["speaker_1", "speaker_2"])
    with raises(openai.BadRequestError) as caught:
        oai.audio.transcriptions.create(model="listen/gemini", file=sound(), response_format="srt")
    equal((caught[0].code, caught[0].param), ("unsupported_parameter", "response_format"))


@case("transcriptions: streams over every wire")
def _():
    for model in of("listen/"):
        events = list(oai.audio.transcriptions.create(model=model, file=sound(), stream=True))
        equal(events[0].type, "transcript.text.delta", model)
        equal(events[-1].type, "transcript.text.done", model)
        check(events[-1].text, model)


@case("translations")
def _():
    reply = oai.audio.translations.create(model="listen/whisper", file=sound())
    check(reply.text, "no text")
    check(stub_requests()[-1]["path"].endswith("/v1/audio/translations"), "another endpoint was called")


@case("speech: whole, as it comes, and into a file")
def _():
    for model in of("speak/"):
        with oai.audio.speech.with_streaming_response.create(
            model=model, input="Grüße", voice="alloy", response_format="wav"
        ) as reply:
            pieces = list(reply.iter_bytes())
        check(sum(map(len, pieces)) > 10, model)
    reply = oai.audio.speech.create(model="speak/openai", input="Grüße", voice="coral", instructions="slowly")
    equal(reply.read(), "ID3:mp3:coral:Grüße".encode())
    with raises(openai.BadRequestError) as caught:
        oai.audio.speech.create(model="speak/openai", input="x", voice="nobody")
    equal((caught[0].code, caught[0].param), ("unsupported_parameter", "voice"))


@case("speech: a client that leaves early ends it")
def _():
    with oai.audio.speech.with_streaming_response.create(model="speak/flood", input="x", voice="v") as reply:
        first = next(reply.iter_bytes(65_536))
        check(len(first) > 0, "nothing came")


@case("images: generations over every wire")
def _():
    for model in of("draw/"):
        reply = oai.images.generate(model=model, prompt="a cat", size="auto")
        equal(base64.b64decode(reply.data[0].b64_json), PIXEL, model)
    reply = oai.images.generate(model="draw/openai", prompt="a cat", n=2, quality="low", response_format="b64_json")
    equal((len(reply.data), reply.usage.output_tokens), (2, 1_056))
    for field, value in (("quality", "ultra"), ("output_format", "bmp")):
        with raises(openai.BadRequestError) as caught:
            oai.images.generate(model="draw/openai", prompt="x", **{field: value})
        equal((caught[0].code, caught[0].param), ("unsupported_parameter", field))


@case("images: edits with several pictures over every wire, and with a mask")
def _():
    for model in of("draw/"):
        reply = oai.images.edit(
            model=model, prompt="a dog", image=[("one.png", PIXEL), ("two.png", io.BytesIO(PIXEL))]
        )
        equal(base64.b64decode(reply.data[0].b64_json), PIXEL, model)
    reply = oai.images.edit(model="draw/openai", prompt="a dog", image=("one.png", PIXEL), mask=("mask.png", PIXEL))
    check(reply.data[0].b64_json, "no picture")
    with raises(openai.BadRequestError) as caught:
        oai.images.edit(model="draw/gemini", prompt="x", image=("one.png", PIXEL), mask=("mask.png", PIXEL))
    equal((caught[0].code, caught[0].param), ("unsupported_parameter", "mask"))


@case("images: partial images, and whole ones told as a stream")
def _():
    events = list(oai.images.generate(model="draw/openai", prompt="a cat", stream=True, partial_images=2))
    equal([event.type for event in events], ["image_generation.partial_image"] * 2 + ["image_generation.completed"])
    equal(events[-1].usage.output_tokens, 1_056)
    for model in of("draw/"):
        *_, last = oai.images.generate(model=model, prompt="a cat", stream=True)
        equal((last.type, base64.b64decode(last.b64_json)), ("image_generation.completed", PIXEL), model)
        *_, last = oai.images.edit(model=model, prompt="a cat", image=("one.png", PIXEL), stream=True)
        equal((last.type, base64.b64decode(last.b64_json)), ("image_edit.completed", PIXEL), model)


@case("uploads that are none are refused by their field")
def _():
    for name, content in (("talk.wav", b""), ("talk.wav", b"<html>"), ("../../etc/passwd", b"root:x:0:0")):
        with raises(openai.BadRequestError) as caught:
            oai.audio.transcriptions.create(model="listen/openai", file=(name, content))
        equal(caught[0].param, "file", name)
    with raises(openai.APIStatusError) as caught:
        oai.audio.transcriptions.create(model="listen/openai", file=("talk.wav", wav(2_000)))
    equal(caught[0].status_code, 413)


if __name__ == "__main__":
    sys.exit(run("media"))
