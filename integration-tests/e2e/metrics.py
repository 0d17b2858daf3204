"""The figures in both formats, as the official parsers of Prometheus read them."""

import math
import os
import sys
from typing import Any, Iterable

import httpx
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_prometheus

from harness import GATEWAY, MASTER_KEY, case, check, equal, run

# What a server of Prometheus sends.
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
FORMATS = {
    "text 0.0.4": ("text/plain", "text/plain; version=0.0.4; charset=utf-8", read_prometheus),
    "OpenMetrics 1.0.0": (PROMETHEUS, "application/openmetrics-text; version=1.0.0; charset=utf-8", read_openmetrics),
}


def scrape(format: str) -> list[Any]:
    accept, content_type, read = FORMATS[format]
    headers = {"authorization": f"Bearer {MASTER_KEY}", "accept": accept}
    answer = httpx.get(f"{GATEWAY}/metrics", headers=headers, timeout=30)
    equal((answer.status_code, answer.headers["content-type"]), (200, content_type), "answer")
    return list(read(answer.text))


def series(families: Iterable[Any]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for family in families:
        for sample in family.samples:
            # The formats write bounds of buckets each in its own way.
            labels = {name: str(float(value)) if name == "le" else value for name, value in sample.labels.items()}
            place = (sample.name, tuple(sorted(labels.items())))
            check(place not in found, f"{place} comes twice")
            found[place] = sample.value
    return found


@case("text 0.0.4 parses, and every family has its type", "text 0.0.4")
@case("OpenMetrics 1.0.0 parses, and every family has its type", "OpenMetrics 1.0.0")
def parses(format: str) -> None:
    families = scrape(format)
    names = [family.name for family in families]
    equal(len(names), len(set(names)), "names of families")
    check(len(names) > 40, f"{len(names)} families")
    equal([family.name for family in families if family.type not in ("counter", "gauge", "histogram")], [], "types")
    equal([family.name for family in families if not family.documentation], [], "without help")
    values = series(families)
    check(any(name == "unified_gateway_requests_total" for name, _ in values), "requests were counted")
    negative = [place for place, value in values.items() if math.isnan(value) or value < 0]
    equal(negative, [], "values below zero")


@case("both formats say the same by the same names and labels")
def agree() -> None:
    both = [series(scrape(format)) for format in FORMATS]
    equal(sorted(set(both[0]) ^ set(both[1])), [], "series of one format alone")
    still = {name: value for name, value in both[0].items() if name[0].startswith("unified_gateway_requests_total")}
    equal({name: both[1][name] for name in still}, still, "requests")


if __name__ == "__main__":
    hello = {"model": "py/text", "messages": [{"role": "user", "content": "Hello"}]}
    httpx.post(f"{GATEWAY}/v1/chat/completions", headers={"authorization": f"Bearer {os.environ['KEY']}"}, json=hello, timeout=30)
    sys.exit(run("metrics"))
