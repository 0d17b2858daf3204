"""Administration over gRPC with nothing but the address: every message type comes from server reflection."""

import sys
from typing import Any, Iterator

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from google.rpc import error_details_pb2, status_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from harness import GRPC, HELLO, MASTER_KEY, PROVIDER_KEY, STUB, TEXT, case, check, equal, raises, run

import httpx
from harness import GATEWAY

PACKAGE = "unifiedgateway.admin.v1"
channel = grpc.insecure_channel(GRPC)
database = ProtoReflectionDescriptorDatabase(channel)
pool = descriptor_pool.DescriptorPool(database)


def method(name: str) -> Any:
    """The descriptor of `Service.Method` of our package, or of a full name."""
    full = name if name.count(".") > 1 else f"{PACKAGE}.{name}"
    service, _, call = full.rpartition(".")
    return pool.FindServiceByName(service).FindMethodByName(call)


def invoke(name: str, request: dict[str, Any] | None = None, key: str | None = MASTER_KEY, timeout: float = 20) -> Any:
    """Calls with proto JSON in and out; a server stream is handed out as an iterator of messages."""
    found = method(name)
    message = json_format.ParseDict(request or {}, message_factory.GetMessageClass(found.input_type)())
    answer = message_factory.GetMessageClass(found.output_type)
    open_call = channel.unary_stream if found.server_streaming else channel.unary_unary
    call = open_call(
        f"/{found.containing_service.full_name}/{found.name}",
        request_serializer=lambda value: value.SerializeToString(),
        response_deserializer=answer.FromString,
    )
    metadata = [("authorization", f"Bearer {key}")] if key else []
    reply = call(message, metadata=metadata, timeout=timeout)
    if found.server_streaming:
        return reply
    return json_format.MessageToDict(reply)


def refused(code: grpc.StatusCode, name: str, request: dict[str, Any] | None = None, key: str | None = MASTER_KEY) -> Any:
    """The call must end with this status; answers its google.rpc.Status."""
    with raises(grpc._channel._InactiveRpcError) as caught:
        invoke(name, request, key)
    equal(caught[0].code(), code, f"status ({caught[0].details()})")
    status = status_pb2.Status()
    for entry in caught[0].trailing_metadata() or ():
        if entry.key == "grpc-status-details-bin":
            status.ParseFromString(entry.value)
    return status


def details(status: Any, kind: type) -> list[Any]:
    found = []
    for entry in status.details:
        value = kind()
        if entry.Unpack(value):
            found.append(value)
    return found


def deployment(name: str, **more: Any) -> dict[str, Any]:
    return {
        "publicModel": name,
        "provider": "openaicompatible",
        "upstreamModel": "stub-text",
        "credentials": {"apiKey": PROVIDER_KEY, "baseUrl": f"{STUB}/v1"},
        **more,
    }


def ask(key: str, model: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(f"{GATEWAY}/v1/chat/completions", json={"model": model, "messages": HELLO}, headers=headers, timeout=30)


@case("reflection lists the services, without credentials")
def _():
    services = set(database.get_services())
    wanted = {f"{PACKAGE}.{name}Service" for name in ("Deployment", "VirtualKey", "Routing", "Catalog", "System")}
    check(wanted <= services, f"missing: {wanted - services}")


@case("health says serving, without credentials")
def _():
    equal(invoke("grpc.health.v1.Health.Check", key=None), {"status": "SERVING"})


@case("no call without the master key")
def _():
    for call in ("DeploymentService.ListDeployments", "VirtualKeyService.CreateVirtualKey", "SystemService.GetInfo"):
        refused(grpc.StatusCode.UNAUTHENTICATED, call, key=None)
        refused(grpc.StatusCode.UNAUTHENTICATED, call, key="wrong")
    key = invoke("VirtualKeyService.CreateVirtualKey", {"virtualKey": {"name": "not an operator"}})["key"]
    refused(grpc.StatusCode.PERMISSION_DENIED, "SystemService.GetInfo", key=key)


@case("a deployment takes traffic when the call returns")
def _():
    made = invoke("DeploymentService.CreateDeployment", {"deployment": deployment("grpc/made", label="first")})
    key = invoke("VirtualKeyService.CreateVirtualKey", {"virtualKey": {"name": "grpc", "allowedModels": ["grpc/made"]}})
    reply = ask(key["key"], "grpc/made")
    equal(reply.json()["choices"][0]["message"]["content"], TEXT)
    check(PROVIDER_KEY not in str(made) and "credentials" not in made, "credentials are answered")
    equal(sorted(made["credentialFields"]), ["apiKey", "baseUrl"])
    invoke("DeploymentService.DeleteDeployment", {"id": made["id"]})
    equal(ask(key["key"], "grpc/made").status_code, 404)
    refused(grpc.StatusCode.NOT_FOUND, "DeploymentService.GetDeployment", {"id": made["id"]})


@case("an update changes what its mask names and nothing else")
def _():
    made = invoke("DeploymentService.CreateDeployment", {"deployment": deployment("grpc/masked", label="old", weight=5, metadata={"a": 1})})
    update = {"deployment": {"id": made["id"], "weight": 7, "metadata": {"b": 2}}, "updateMask": "label,weight"}
    changed = invoke("DeploymentService.UpdateDeployment", update)
    equal((changed.get("label"), changed["weight"], changed["metadata"]), (None, 7, {"a": 1}))
    equal(invoke("DeploymentService.GetDeployment", {"id": made["id"]}), changed)
    check(changed["etag"] != made["etag"], "the etag changes")


@case("a stale etag is ABORTED and changes nothing")
def _():
    made = invoke("DeploymentService.CreateDeployment", {"deployment": deployment("grpc/stale")})
    update = {"deployment": {"id": made["id"], "etag": made["etag"], "weight": 2}, "updateMask": "weight"}
    current = invoke("DeploymentService.UpdateDeployment", update)
    update["deployment"]["weight"] = 3
    refused(grpc.StatusCode.ABORTED, "DeploymentService.UpdateDeployment", update)
    refused(grpc.StatusCode.ABORTED, "DeploymentService.DeleteDeployment", {"id": made["id"], "etag": made["etag"]})
    equal(invoke("DeploymentService.GetDeployment", {"id": made["id"]}), current)


@case("what is wrong is named, field by field")
def _():
    wrong = deployment("grpc/wrong", provider="nobody", weight=5000)
    status = refused(grpc.StatusCode.INVALID_ARGUMENT, "DeploymentService.CreateDeployment", {"deployment": wrong})
    fields = {v.field for d in details(status, error_details_pb2.BadRequest) for v in d.field_violations}
    check(fields & {"provider", "deployment.provider"}, f"violations: {fields}")
    infos = details(status, error_details_pb2.ErrorInfo)
    check(infos and infos[0].reason and infos[0].domain, "ErrorInfo with reason and domain")


@case("validate_only checks and saves nothing")
def _():
    before = invoke("DeploymentService.ListDeployments", {"pageSize": 1}).get("totalSize", 0)
    invoke("DeploymentService.CreateDeployment", {"deployment": deployment("grpc/dry"), "validateOnly": True})
    wrong = {"deployment": deployment("grpc/dry", weight=5000), "validateOnly": True}
    refused(grpc.StatusCode.INVALID_ARGUMENT, "DeploymentService.CreateDeployment", wrong)
    equal(invoke("DeploymentService.ListDeployments", {"pageSize": 1}).get("totalSize", 0), before)


@case("the same request_id twice is one resource")
def _():
    request = {"deployment": deployment("grpc/twice"), "requestId": "e2e-twice"}
    first = invoke("DeploymentService.CreateDeployment", request)
    equal(invoke("DeploymentService.CreateDeployment", request)["id"], first["id"])
    request = {"virtualKey": {"name": "twice"}, "requestId": "e2e-key-twice"}
    first = invoke("VirtualKeyService.CreateVirtualKey", request)
    second = invoke("VirtualKeyService.CreateVirtualKey", request)
    equal((second["virtualKey"]["id"], second.get("key"), second["replayed"]), (first["virtualKey"]["id"], None, True))


@case("pages hold every deployment once")
def _():
    ids, token = [], ""
    while True:
        page = invoke("DeploymentService.ListDeployments", {"pageSize": 50, "pageToken": token})
        ids += [entry["id"] for entry in page.get("deployments", [])]
        token = page.get("nextPageToken", "")
        if not token:
            break
    equal((len(ids), len(set(ids))), (page["totalSize"], page["totalSize"]))
    check(len(ids) > 100, f"{len(ids)} deployments")


@case("a key can be scoped, rotated with grace, disabled")
def _():
    made = invoke("VirtualKeyService.CreateVirtualKey", {"virtualKey": {"name": "life", "allowedModels": ["py/text"]}})
    old, key = made["key"], made["virtualKey"]
    check(old.startswith(key["keyPrefix"]) and old.startswith("unified-"), "prefix")
    new = invoke("VirtualKeyService.RotateVirtualKey", {"id": key["id"], "gracePeriod": "60s"})["key"]
    equal([ask(secret, "py/text").status_code for secret in (old, new)], [200, 200])
    invoke("VirtualKeyService.RotateVirtualKey", {"id": key["id"]})
    update = {"virtualKey": {"id": key["id"], "enabled": False}, "updateMask": "enabled"}
    equal(invoke("VirtualKeyService.UpdateVirtualKey", update)["enabled"], False)
    equal([ask(secret, "py/text").status_code for secret in (old, new)], [401, 401])


@case("WatchSnapshot tells of the revision that a write made")
def _():
    watch: Iterator[Any] = invoke("SystemService.WatchSnapshot")
    first = next(watch)
    made = invoke("DeploymentService.CreateDeployment", {"deployment": deployment("grpc/watched")})
    second = next(watch)
    check(second.revision > first.revision, f"{first.revision} then {second.revision}")
    equal(second.deployments, first.deployments + 1)
    info = invoke("SystemService.GetInfo")
    check(int(info["snapshot"]["revision"]) >= second.revision, "GetInfo is not behind")
    invoke("DeploymentService.DeleteDeployment", {"id": made["id"]})
    check(next(watch).revision > second.revision, "a deletion is told too")
    watch.cancel()


@case("settings and fallbacks are written and read back")
def _():
    settings = invoke("RoutingService.GetSettings")
    policy = {**settings["executionPolicies"]["text.generate"], "idleMs": 3210}
    update = {"settings": {"executionPolicies": {"text.generate": policy}, "etag": settings["etag"]}, "updateMask": "executionPolicies"}
    changed = invoke("RoutingService.UpdateSettings", update)
    wanted = {**settings["executionPolicies"], "text.generate": policy}
    equal((changed["executionPolicies"], changed["routingStrategy"]), (wanted, settings["routingStrategy"]))
    equal(invoke("RoutingService.GetSettings"), changed)
    refused(grpc.StatusCode.ABORTED, "RoutingService.UpdateSettings", update)
    chain = {"primaryModel": "py/text", "reason": "FALLBACK_REASON_GENERAL", "fallbackModels": ["node/text"]}
    invoke("RoutingService.SetFallback", {"fallback": chain})
    listed = invoke("RoutingService.ListFallbacks", {"primaryModel": "py/text"})["fallbacks"]
    equal([entry["fallbackModels"] for entry in listed], [["node/text"]])
    invoke("RoutingService.DeleteFallback", {"primaryModel": "py/text", "reason": "FALLBACK_REASON_GENERAL"})
    equal(invoke("RoutingService.ListFallbacks", {"primaryModel": "py/text"}).get("fallbacks", []), [])


@case("settings can be sent back as they were read")
def _():
    settings = invoke("RoutingService.GetSettings")
    update = {"settings": settings, "updateMask": "routingStrategy,executionPolicies,retryAfterSeconds,unsupportedParameterStrategy"}
    sent_back = invoke("RoutingService.UpdateSettings", update)
    equal({**sent_back, "etag": "", "updateTime": ""}, {**settings, "etag": "", "updateTime": ""})


@case("the catalog knows presets and models")
def _():
    presets = {preset["name"] for preset in invoke("CatalogService.ListProviders")["providers"]}
    check({"openai", "openaicompatible", "echo"} <= presets, f"presets: {sorted(presets)}")
    check(invoke("CatalogService.ListModels", {"pageSize": 5})["models"], "models")


@case("a deployment is tested with one real call, stored or not")
def _():
    made = invoke("DeploymentService.CreateDeployment", {"deployment": deployment("grpc/tested", enabled=False)})
    tested = invoke("DeploymentService.TestDeployment", {"id": made["id"]})
    equal((tested["ok"], tested["status"], tested["transport"]), (True, 200, "chat_completions"))
    broken = deployment("grpc/tested", upstreamModel="stub-401")
    tested = invoke("DeploymentService.TestDeployment", {"deployment": broken})
    equal((tested.get("ok"), tested["status"], tested["failure"]), (None, 401, "configuration"))
    check(PROVIDER_KEY not in str(tested), "the key is answered")
    refused(grpc.StatusCode.INVALID_ARGUMENT, "DeploymentService.TestDeployment", {})
    invoke("DeploymentService.DeleteDeployment", {"id": made["id"]})


@case("the replica lists itself with the revision in force")
def _():
    listed = invoke("SystemService.ListReplicas")
    equal((len(listed["replicas"]), listed["serving"], listed["replicas"][0]["self"]), (1, 1, True))
    invoke("VirtualKeyService.CreateVirtualKey", {"virtualKey": {"name": "one more"}})
    reach = invoke("SystemService.WaitForRevision", {"replicas": 1, "timeout": "5s"})
    equal((reach["reached"], reach["inForce"]), (True, 1))
    refused(grpc.StatusCode.INVALID_ARGUMENT, "SystemService.WaitForRevision", {"timeout": "61s"})


@case("the configuration is exported, compared and applied as a document")
def _():
    made = invoke("DeploymentService.CreateDeployment", {"deployment": deployment("grpc/declared", label="declared")})
    exported = invoke("SystemService.ExportConfig", {"includeKeys": True})
    check(PROVIDER_KEY not in str(exported), "credentials are exported")
    same = invoke("SystemService.ApplyConfig", {"document": exported["document"], "includeKeys": True})
    equal((same.get("differences"), same["revision"]), (None, exported["revision"]))
    document = {"deployments": [entry for entry in exported["document"]["deployments"] if entry["id"] == made["id"]]}
    document["deployments"][0]["weight"] = 9
    dry = invoke("SystemService.ApplyConfig", {"document": document, "validateOnly": True})
    equal([(d["action"], d["fields"][0]["field"]) for d in dry["differences"]], [("ACTION_UPDATE", "weight")])
    invoke("SystemService.ApplyConfig", {"document": document, "revision": dry["revision"]})
    equal(invoke("DeploymentService.GetDeployment", {"id": made["id"]})["weight"], 9)
    refused(grpc.StatusCode.ABORTED, "SystemService.ApplyConfig", {"document": document, "revision": dry["revision"]})
    refused(grpc.StatusCode.INVALID_ARGUMENT, "SystemService.ApplyConfig", {"document": document, "prune": True})
    document["deployments"][0]["weight"] = 9000
    status = refused(grpc.StatusCode.INVALID_ARGUMENT, "SystemService.ApplyConfig", {"document": document})
    fields = [v.field for d in details(status, error_details_pb2.BadRequest) for v in d.field_violations]
    equal(fields, ["deployments[0].weight"])
    invoke("DeploymentService.DeleteDeployment", {"id": made["id"]})


sys.exit(run("gRPC by reflection"))
