"""PDFs for a model of text: files of real producers, sent with the official libraries."""

import base64
import io
import json
import os
import sys

import anthropic
import openai
from fpdf import FPDF
from pypdf import PdfReader, PdfWriter

from harness import GATEWAY, PROVIDER_KEY, STUB, admin, case, check, equal, raises, run, stub_requests

KEY = os.environ["KEY"]
oai = openai.OpenAI(base_url=f"{GATEWAY}/v1", api_key=KEY, max_retries=0, timeout=60)
ant = anthropic.Anthropic(base_url=GATEWAY, api_key=KEY, max_retries=0, timeout=60)
SENTENCE = "The café's budget is €4,200 – “final”."

admin(
    "POST",
    "/deployments",
    {
        "publicModel": "reads/text",
        "provider": "openaicompatible",
        "upstreamModel": "stub-text",
        "credentials": {"apiKey": PROVIDER_KEY, "baseUrl": f"{STUB}/v1"},
    },
    expect=201,
)


def written(pages: int = 2, font: str | None = None) -> bytes:
    pdf = FPDF()
    if font:
        pdf.add_font("own", fname=font)
    for page in range(pages):
        pdf.add_page()
        pdf.set_font("own" if font else "times", size=12)
        text = SENTENCE if font else "The budget is 4,200 euros."
        pdf.multi_cell(0, 8, f"Page {page + 1}. {text}")
    return bytes(pdf.output())


def drawn() -> bytes:
    pdf = FPDF()
    pdf.add_page()
    pdf.rect(10, 10, 80, 80, style="F")
    return bytes(pdf.output())


def locked(document: bytes, password: str) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(document)))
    writer.encrypt(user_password=password, owner_password="owner", algorithm="AES-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def encoded(document: bytes) -> str:
    return base64.b64encode(document).decode()


def ask(document: bytes, model: str = "reads/text"):
    file = {"filename": "report.pdf", "file_data": f"data:application/pdf;base64,{encoded(document)}"}
    content = [{"type": "text", "text": "Sum up."}, {"type": "file", "file": file}]
    return oai.chat.completions.create(model=model, messages=[{"role": "user", "content": content}])


def text_sent() -> str:
    sent = json.loads(stub_requests(forget=True)[-1]["body"])
    return "\n".join(part["text"] for part in sent["messages"][-1]["content"])


FONTS = ["/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", "/usr/share/fonts/truetype/dejavu/DejaVuSerif.ttf"]


@case("the text of its pages reaches the model in all three contracts")
def _():
    document = written()
    data = encoded(document)
    ask(document)
    check("Page 1. The budget is 4,200 euros." in text_sent(), "chat")
    oai.responses.create(
        model="reads/text",
        input=[
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Sum up."},
                    {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{data}"},
                ],
            }
        ],
    )
    check("Page 2. The budget is 4,200 euros." in text_sent(), "responses")
    source = {"type": "base64", "media_type": "application/pdf", "data": data}
    content = [{"type": "document", "source": source}, {"type": "text", "text": "Sum up."}]
    ant.messages.create(model="reads/text", max_tokens=9, messages=[{"role": "user", "content": content}])
    check("Page 2. The budget is 4,200 euros." in text_sent(), "messages")


@case("fonts of its own keep their letters, where this machine has one")
def _():
    font = next((font for font in FONTS if os.path.exists(font)), None)
    if font is None:
        return
    ask(written(1, font))
    check(SENTENCE in text_sent(), "letters")


@case("encrypted without a password is read, with one it is refused")
def _():
    ask(locked(written(), ""))
    check("Page 1. The budget is 4,200 euros." in text_sent(), "opens without")
    with raises(openai.BadRequestError) as caught:
        ask(locked(written(), "secret"))
    equal((caught[0].code, caught[0].param), ("file_parser_failed", "messages[0].content[1]"))


@case("a scan, too many pages and a broken file are told apart")
def _():
    for document, code in ((drawn(), "file_parser_no_text"), (written(201), "file_too_large"), (b"%PDF-1.7", "file_parser_failed")):
        with raises(openai.BadRequestError) as caught:
            ask(document)
        equal((caught[0].code, caught[0].param), (code, "messages[0].content[1]"))


@case("what is lost is named")
def _():
    raw = oai.chat.completions.with_raw_response.create(
        model="reads/text",
        messages=[{"role": "user", "content": [{"type": "file", "file": {"file_data": f"data:application/pdf;base64,{encoded(written())}"}}]}],
    )
    equal(raw.headers.get("x-unified-dropped"), "file")


if __name__ == "__main__":
    sys.exit(run("documents"))
