"""Every field of a request that the official SDKs' types declare, with a request that has it and the same without it.

    request_fields.py FOLDER          writes FOLDER/<contract>.jsonl, a line per field: {"path", "with", "without"}
    request_fields.py --check FOLDER  fails when the installed SDKs declare a field that is in no line

A path names members from the outside in. An element or object that its `type` (or `role`) tells apart from others is
`name[word]`. Free-form objects (schemas, metadata) and what lies deeper than MOST_DEPTH names are one field with what is
above. Where a field cannot be left out, `without` has another value of it.
"""

import json
import sys
import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from typing_extensions import NotRequired, Required, is_typeddict

MOST_DEPTH = 4

# Strings that mean something. What is not here is "x", another value of it "y".
TEXTS = {
    "arguments": ('{"a":1}', '{"a":2}'),
    "created_at": ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
    "data": ("aGVsbG8=", "d29ybGQ="),
    "encrypted_content": ("gAAAAAx", "gAAAAAy"),
    "file_data": ("data:application/pdf;base64,aGVsbG8=", "data:application/pdf;base64,d29ybGQ="),
    "file_url": ("https://files.example.com/a.pdf", "https://files.example.com/b.pdf"),
    "image_url": ("https://images.example.com/a.png", "https://images.example.com/b.png"),
    "model": ("pub", "other"),
    "server_url": ("https://mcp.example.com", "https://mcp.example.org"),
    "url": ("https://images.example.com/a.png", "https://images.example.com/b.png"),
    "input_schema": ({"type": "object", "title": "x"}, {"type": "object", "title": "y"}),
    "parallel_tool_calls": (False, True),
    "parameters": ({"type": "object", "title": "x"}, {"type": "object", "title": "y"}),
    "schema": ({"type": "object", "title": "x"}, {"type": "object", "title": "y"}),
}
# Words that mean what leaving the field out means.
DEFAULTS = {"auto", "default", "disabled", "text", "medium", "direct", "in_progress", "inherit"}
# Members of which one is enough.
ALTERNATIVES = [{"file_data", "file_url", "file_id", "image_url"}]
# What the types do not demand, but the API does.
DEMANDED = {
    "FileFile": {"file_data": "data:application/pdf;base64,aGVsbG8=", "filename": "a.pdf"},
    "File": {"file": {"file_data": "data:application/pdf;base64,aGVsbG8="}},
    "ResponseInputFileParam": {"file_url": "https://files.example.com/a.pdf"},
    "ResponseInputFileContentParam": {"file_url": "https://files.example.com/a.pdf"},
    "ResponseInputImageParam": {"image_url": "https://images.example.com/a.png"},
    "ResponseInputImageContentParam": {"image_url": "https://images.example.com/a.png"},
    "FunctionCallOutput": {"call_id": "x"},
    "ResponseFunctionToolCallParam": {"call_id": "x"},
}
# Numbers within their ranges.
NUMBERS = {"max_tokens": (2048, 4096), "budget_tokens": (1024, 1500), "n": (2, 3), "top_logprobs": (2, 3), "temperature": (0.5, 0.25)}
# What a field needs beside it.
BESIDE = {
    "top_logprobs": {"chat": {"logprobs": True}},
    "audio": {"chat": {"modalities": ["text", "audio"]}},
    "stream_options": {"chat": {"stream": True}, "responses": {"stream": True}},
    "parallel_tool_calls": {
        "chat": {"tools": [{"type": "function", "function": {"name": "f"}}]},
        "responses": {"tools": [{"type": "function", "name": "f", "parameters": None, "strict": None}]},
    },
    "tool_choice": {
        "chat": {"tools": [{"type": "function", "function": {"name": "x"}}, {"type": "custom", "custom": {"name": "c"}}]},
        "responses": {"tools": [{"type": "function", "name": "x", "parameters": None, "strict": None}]},
        "messages": {"tools": [{"name": "x", "input_schema": {"type": "object"}}]},
    },
    "function_call": {"chat": {"functions": [{"name": "x", "parameters": {"type": "object"}}]}},
}
BASES = {
    "chat": {"model": "pub", "messages": [{"role": "user", "content": "hi"}]},
    "responses": {"model": "pub", "input": "hi"},
    "messages": {"model": "pub", "max_tokens": 2048, "messages": [{"role": "user", "content": "hi"}]},
}


def bare(kind: Any) -> Any:
    while get_origin(kind) in (Required, NotRequired, Annotated):
        kind = get_args(kind)[0]
    return kind


def variants(kind: Any) -> list:
    kind = bare(kind)
    if get_origin(kind) in (Union, types.UnionType):
        return [inner for part in get_args(kind) for inner in variants(part)]
    return [kind]


def element(kind: Any) -> Any | None:
    origin = get_origin(kind)
    if isinstance(origin, type) and origin is not dict and hasattr(origin, "__iter__") and get_args(kind):
        return get_args(kind)[0]
    return None


def hints(kind: Any) -> dict:
    return get_type_hints(kind, include_extras=True)


def tag(kind: Any) -> tuple[str, str] | None:
    """The member that tells a shape apart from others, and its only value."""
    for name in ("type", "role"):
        literal = bare(hints(kind).get(name))
        if get_origin(literal) is Literal and len(get_args(literal)) == 1:
            return name, get_args(literal)[0]
    return None


def required(kind: Any) -> set:
    """Not `__required_keys__`, which does not see through annotations that are text."""
    origins = {name: get_origin(hint) for name, hint in hints(kind).items()}
    return {name for name, origin in origins.items() if origin is Required or (kind.__total__ and origin is not NotRequired)}


def minimal(kind: Any, above: tuple = ()) -> dict:
    """A shape with what it must have; of lists one element."""
    must = {name: value(hint, name, 0, above) for name, hint in hints(kind).items() if name in required(kind)}
    return {**must, **DEMANDED.get(kind.__name__, {})}


def something(kind: Any, above: tuple) -> dict:
    """The same, with a member that may be left out when that would be nothing at all."""
    if shape := minimal(kind, above):
        return shape
    name, hint = next(iter(hints(kind).items()))
    return {name: value(hint, name, 0, above)}


def value(kind: Any, name: str, choice: int, above: tuple = ()) -> Any:
    """A value of a type; `choice` 1 is another one, where there is one."""
    known = NUMBERS.get(name) or TEXTS.get(name)
    options = [option for option in variants(kind) if option is not type(None)]
    if not options:
        return None
    first = options[0]
    if known and any(type(known[0]) in (option, get_origin(option)) or option in (object, Any) for option in options):
        return known[choice]
    literals = [word for option in options if get_origin(option) is Literal for word in get_args(option)]
    if literals:
        literals.sort(key=lambda word: word in DEFAULTS)
        return literals[min(choice, len(literals) - 1)]
    if bool in options:
        return choice == 0
    if int in options:
        return 7 + choice
    if float in options:
        return 0.5 - 0.25 * choice
    if str in options:
        return (TEXTS.get(name) or ("x", "y"))[choice]
    for option in options:
        if is_typeddict(option) and option not in above:
            return something(option, (*above, option))
    for option in options:
        if (inner := element(option)) is not None:
            if name == "tools" and get_origin(inner) is dict:
                # A choice among tools that a request of ours has.
                return [{"type": "function", "name": "x", "function": {"name": "x"}}]
            return [value(inner, name, choice, above)]
    if get_origin(first) is dict or first is dict:
        inner = get_args(first)[1] if get_args(first) else object
        return {"a": value(inner, "", choice, above)}
    return {"a": choice + 1}


def walk(contract: str, kind: Any, path: str, put, above: tuple, out: dict) -> None:
    """Adds the fields of `kind`; `put` makes a whole request of a value at `path`."""
    depth = path.count(".") + 1 if path else 0
    for name, hint in hints(kind).items():
        mark = tag(kind)
        if mark and name == mark[0]:
            continue
        place = f"{path}.{name}" if path else name
        shell = minimal(kind, above)
        # Of several places where something may be, one.
        others = next((group - {name} for group in ALTERNATIVES if name in group), set())
        mine = {key: inner for key, inner in shell.items() if key not in others or key in required(kind)}
        own = lambda inner, name=name, mine=mine, put=put: put({**mine, name: inner})
        rest = {key: inner for key, inner in shell.items() if key != name}
        other = value(hint, name, 1, above) if name in required(kind) else None
        with_, without = own(value(hint, name, 0, above)), put(rest) if other is None else own(other)
        shapes, lists = [], []
        for option in variants(hint):
            if is_typeddict(option):
                shapes.append((option, own))
            elif (inner := element(option)) is not None:
                lists += [(shape, lambda v, own=own: own([v])) for shape in variants(inner) if is_typeddict(shape)]
        if with_ != without:
            out[place] = (with_, without)
        if depth + 1 >= MOST_DEPTH:
            continue
        for shape, inner_put in shapes + lists:
            if shape in above:
                continue
            mark = tag(shape)
            inner = f"{place}[{mark[1]}]" if mark else place
            if mark:
                with_ = inner_put(minimal(shape, (*above, shape)))
                lacking = without if name in required(kind) else put(rest)
                if with_ != lacking:
                    out[inner] = (with_, lacking)
            walk(contract, shape, inner, inner_put, (*above, shape), out)


def request(contract: str):
    base = BASES[contract]

    def put(fields: dict) -> dict:
        whole = {**base, **fields}
        for name in ("messages", "input"):
            if name in fields and isinstance(fields[name], list):
                whole[name] = [{"role": "user", "content": "hi"}, *fields[name]]
        for name, beside in BESIDE.items():
            if name in fields:
                whole = {**beside.get(contract, {}), **whole}
        return whole

    return put


def collect(contract: str, base: Any) -> dict:
    out: dict = {"stream": ({**BASES[contract], "stream": True}, BASES[contract])}
    root = request(contract)
    for name, hint in hints(base).items():
        own = lambda inner, name=name: root({name: inner})
        other = value(hint, name, 1) if name in required(base) else None
        with_ = own(value(hint, name, 0))
        shared = {key: inner for key, inner in with_.items() if key != name} | ({name: BASES[contract][name]} if name in BASES[contract] else {})
        without = own(other) if other is not None else shared
        if with_ != without:
            out[name] = (with_, without)
        for option in variants(hint):
            shapes = [option] if is_typeddict(option) else []
            inner = element(option)
            listed = [shape for shape in variants(inner) if is_typeddict(shape)] if inner is not None else []
            for shape in shapes + listed:
                inner_put = (lambda v, own=own: own([v])) if shape in listed else own
                mark = tag(shape)
                place = f"{name}[{mark[1]}]" if mark else name
                if mark:
                    out[place] = (inner_put(minimal(shape, (shape,))), shared)
                walk(contract, shape, place, inner_put, (shape,), out)
    return out


def fields() -> dict[str, dict]:
    from anthropic.types.message_create_params import MessageCreateParamsBase
    from openai.types.chat.completion_create_params import CompletionCreateParamsBase
    from openai.types.responses.response_create_params import ResponseCreateParamsBase

    bases = {"chat": CompletionCreateParamsBase, "responses": ResponseCreateParamsBase, "messages": MessageCreateParamsBase}
    return {contract: collect(contract, base) for contract, base in bases.items()}


def main() -> int:
    check, folder = sys.argv[1] == "--check", Path(sys.argv[-1])
    missing = 0
    for contract, found in fields().items():
        path = folder / f"{contract}.jsonl"
        lines = {
            place: json.dumps({"path": place, "with": with_, "without": without}, separators=(",", ":"))
            for place, (with_, without) in sorted(found.items())
        }
        if check:
            known = {json.loads(line)["path"] for line in path.read_text().splitlines()}
            for place in sorted(set(lines) - known):
                sys.stdout.write(f"{contract}: the SDK has a field that the table does not know: {place}\n")
                missing += 1
            sys.stdout.write(f"{contract}: {len(lines)} fields declared, {len(known)} known\n")
        else:
            path.write_text("".join(f"{line}\n" for line in lines.values()))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
