"""Runs documented commands as a reader would: in order, copying values from earlier answers into placeholders.

`quickstart.py FILE.sh`: the commands between comment lines that begin with `# Step`.
`quickstart.py FILE.md`: the ```bash and ```python blocks between `<!-- quickstart -->` and `<!-- /quickstart -->`.

What a reader would type differently is replaced: the documented addresses and master key by those of the running
gateway, `unified-...` by the latest key that was issued, `<id>` by the latest id. Provider keys are stored as written;
deployments of real providers are pointed at the stub between two steps. Commands that start a gateway are not run,
since one is running; each is named in the output.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import GATEWAY, GRPC, MASTER_KEY, PROVIDER_KEY, STUB, admin, case, check, run

STARTERS = re.compile(r"^\s*(git|cargo|docker|podman|make|rustup|cd|(\S*/)?unified-gateway)\b")
FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
SECTION = re.compile(r"<!-- quickstart -->(.*?)<!-- /quickstart -->", re.DOTALL)

state = tempfile.mkdtemp(prefix="quickstart-")
seen = {"key": "", "id": ""}


def steps_of(path: Path) -> list[tuple[str, str, str]]:
    """Title, language and text of each step."""
    text = path.read_text()
    if path.suffix == ".sh":
        parts = re.split(r"^# (Step.*)$", text, flags=re.MULTILINE)[1:]
        return [(title, "bash", body) for title, body in zip(parts[::2], parts[1::2])]
    blocks = [block for section in SECTION.findall(text) for block in FENCE.findall(section)]
    known = {"bash": "bash", "sh": "bash", "shell": "bash", "python": "python", "py": "python"}
    return [(f"block {at}: {body.strip().splitlines()[0][:60]}", known[kind], body)
            for at, (kind, body) in enumerate(blocks, 1) if kind in known and body.strip()]


def as_typed(text: str) -> str:
    """The text with what a reader replaces."""
    for host in ("localhost", "127.0.0.1"):
        text = text.replace(f"http://{host}:4000", GATEWAY).replace(f"{host}:4001", GRPC)
    text = re.sub(r"^(\s*export\s+(?:BASE|MASTER_KEY)=).*$", lambda m: f"{m[1]}${m[1].split()[-1][:-1]}", text, flags=re.MULTILINE)
    for placeholder, value in ((r"unified-(\.\.\.|…)", seen["key"]), (r"<(?:deployment-|key-)?id>", seen["id"])):
        if re.search(placeholder, text):
            check(value, f"a placeholder {placeholder} before anything that could fill it")
            text = re.sub(placeholder, lambda _: value, text)
    return text


def without_starters(text: str) -> str:
    """The commands of a block, but for those that fetch, build or start a gateway."""
    kept = []
    for command in re.split(r"(?<!\\)\n(?=\S)", text):
        if STARTERS.match(command):
            print(f"   not run, a gateway is running: {command.strip()}")
        else:
            kept.append(command)
    return "\n".join(kept)


def shell(text: str) -> str:
    """Runs in bash with the environment that earlier blocks left. HTTP errors are errors."""
    shims = Path(state, "bin")
    if not shims.exists():
        shims.mkdir()
        real = subprocess.run(["bash", "-c", "type -P curl"], capture_output=True, text=True, check=True).stdout.strip()
        Path(shims, "curl").write_text(f'#!/bin/sh\nexec {real} --fail-with-body --silent --show-error --max-time 60 "$@"\n')
        Path(shims, "curl").chmod(0o755)
    kept = Path(state, "environment")
    kept.touch()
    script = f"set -aeuo pipefail\n. {kept}\n{text}\nexport -p > {kept}\n"
    environment = {**os.environ, "PATH": f"{shims}:{Path(sys.executable).parent}:{os.environ['PATH']}", "BASE": GATEWAY}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment, timeout=180)
    check(done.returncode == 0, f"exit code {done.returncode}: {done.stdout[-600:]} {done.stderr[-600:]}")
    return done.stdout


def python(text: str) -> str:
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=180)
    check(done.returncode == 0, f"exit code {done.returncode}: {done.stdout[-300:]} {done.stderr[-600:]}")
    return done.stdout


def point_at_the_stub() -> None:
    """Deployments of real providers get the stub's address, as an operator would set a proxy."""
    for row in admin("GET", "/deployments"):
        if row["provider"] != "echo" and "baseUrl" not in row.get("credentialFields", []):
            admin("PATCH", f"/deployments/{row['id']}", {"credentials": {"apiKey": PROVIDER_KEY, "baseUrl": f"{STUB}/v1"}})


def step(language: str, text: str) -> None:
    typed = as_typed(text)
    if language == "bash":
        typed = without_starters(typed)
        output = shell(typed) if re.sub(r"^\s*#.*$", "", typed, flags=re.MULTILINE).strip() else ""
    else:
        output = python(typed)
    check(output.strip() or "curl" not in typed, "no output")
    seen["key"] = (re.findall(r"unified-[A-Za-z0-9_-]{40,}", output) or [seen["key"]])[-1]
    seen["id"] = (re.findall(r'"id":\s*"([0-9a-f-]{36})"', output) or [seen["id"]])[-1]
    point_at_the_stub()


file = Path(sys.argv[1])
found = steps_of(file)
if not found:
    case("has steps")(lambda: check(False, "none found: are the <!-- quickstart --> markers there?"))
for title, language, text in found:
    case(title, language, text)(step)
check(MASTER_KEY, "MASTER_KEY is not set")
sys.exit(run(f"quickstart, {file.name}"))
