"""Registers what the suites call, through the administration API, and prints the virtual key they use.

Each suite has deployments of its own (`py/text`, `py-stream/text`, …): circuits that one suite opens by calling broken
providers are then no other's business.
"""

import sys

from harness import PROVIDER_KEY, STUB, admin, issue_key

# Short enough that stalled providers do not hold up the run, long enough that slow ones are served.
DEADLINES = {"firstOutputMs": 4000, "idleMs": 3000, "commitByMs": 10000, "totalMs": 8000, "maxAttempts": 2}

models = sys.argv[1:]
admin("PUT", "/router-settings", {"executionPolicies": {"text.generate": DEADLINES}})
for suite in ("py", "py-stream", "node", "node-stream"):
    for model in models:
        admin(
            "POST",
            "/deployments",
            {
                "publicModel": f"{suite}/{model.removeprefix('stub-')}",
                "provider": "openaicompatible",
                "upstreamModel": model,
                "credentials": {"apiKey": PROVIDER_KEY, "baseUrl": f"{STUB}/v1"},
            },
            expect=201,
        )
print(issue_key()["key"])
