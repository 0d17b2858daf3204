#!/usr/bin/env bash
# The gateway as its users meet it: official SDKs, gRPC by reflection, documented commands; providers played by the stub.
# Prints a line per case and closes with "N passed, N failed". `make e2e` calls it.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work="$root/target/e2e"
venv="$work/venv"
node="$work/node"
results="$work/results.txt"
data=$(mktemp -d)
pids=()
mkdir -p "$work" "$node"
rm -f "$results"

# On every way out: stop what was started, forget its data, say how it went.
finish() {
    local status=$? passed=0 failed=0
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$data"
    if [ -f "$results" ]; then
        passed=$(grep -c '^ok ' "$results" || true)
        failed=$(grep -c '^FAIL ' "$results" || true)
    fi
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ] || exit 1
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

# changed STAMP: whether the files that the stamp speaks of are others now, or there is no stamp.
changed() { ! sha256sum --check --status "$1" 2>/dev/null; }

prepare() {
    if changed "$venv/stamp"; then
        python3 -m venv --clear "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
        sha256sum "$here/requirements.txt" >"$venv/stamp"
    fi
    cp "$here"/node/* "$node/"
    if changed "$node/node_modules/stamp"; then
        (cd "$node" && npm ci --no-audit --no-fund --silent)
        sha256sum "$here"/node/package*.json >"$node/node_modules/stamp"
    fi
    (cd "$root" && cargo build --quiet --bin unified-gateway --example stub-provider)
}

free_port() {
    "$venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Until the URL answers 200, or the process has ended.
wait_for() {
    local url=$1 pid=$2 log=$3
    for _ in $(seq 300); do
        curl --silent --fail --output /dev/null "$url" && return
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    echo "FAIL start: $url does not answer; the end of $log:" | tee -a "$results"
    tail -n 40 "$log"
    exit 1
}

start_stub() {
    local port
    port=$(free_port)
    "$root/target/debug/examples/stub-provider" --port "$port" >"$work/stub.log" 2>&1 &
    pids+=($!)
    export STUB="http://127.0.0.1:$port"
    wait_for "$STUB/v1/models" $! "$work/stub.log"
}

# start_gateway NAME: a fresh one; sets GATEWAY and GRPC.
start_gateway() {
    local port grpc_port
    port=$(free_port)
    grpc_port=$(free_port)
    export MASTER_KEY="e2e-master-key-of-more-than-32-characters"
    mkdir -p "$data/$1"
    # In a folder and an environment of its own, so that no setting of the developer is read.
    (cd "$data/$1" && exec env -i PATH="$PATH" HOME="$HOME" MASTER_KEY="$MASTER_KEY" HOST=127.0.0.1 PORT="$port" GRPC_PORT="$grpc_port" DATA_DIR="$data/$1" \
        "$root/target/debug/unified-gateway" >"$work/gateway-$1.log" 2>&1) &
    pids+=($!)
    export GATEWAY="http://127.0.0.1:$port" GRPC="127.0.0.1:$grpc_port"
    wait_for "$GATEWAY/health/ready" $! "$work/gateway-$1.log"
}

# suite COMMAND...: its results are counted; one that ends badly without a failed case is a failure itself.
suite() {
    local before status=0
    touch "$results"
    before=$(grep -c '^FAIL ' "$results" || true)
    "$@" 2>&1 | tee -a "$results" || status=$?
    if [ "$status" -ne 0 ] && [ "$(grep -c '^FAIL ' "$results" || true)" -eq "$before" ]; then
        echo "FAIL $*: ended with status $status" | tee -a "$results"
    fi
}

python() { PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" "$@"; }

# A line for every provider key, header or name that reached a log.
logs_hold_no_secrets() {
    for secret in sk-stub-secret-key-0001 "$MASTER_KEY" "$KEY"; do
        if grep -qF -- "$secret" "$work"/gateway-*.log; then
            echo "FAIL logs: a secret (${secret:0:8}…) is in a log"
            return 1
        fi
    done
    echo "ok logs: no provider key, master key or virtual key in any log"
}

# A field that an SDK of today declares and no row of the fidelity table speaks for fails.
fields_are_known() {
    if python request_fields.py --check "$root/integration-tests/fixtures/fields"; then
        echo "ok fidelity: every field of the official request types is in the table"
    else
        echo "FAIL fidelity: the official request types have fields that the table does not know"
        return 1
    fi
}

prepare
cd "$here"
suite fields_are_known
start_stub
suite python stub_direct.py
suite node "$node/stub_direct.mjs"

start_gateway main
# shellcheck disable=SC2046 -- one word per model
KEY=$(python setup.py $("$root/target/debug/examples/stub-provider" --list))
export KEY
suite python chat.py
suite node "$node/chat.mjs"
suite python contracts.py
suite node "$node/contracts.mjs"
suite python langchain.py
suite python vectors.py
suite node "$node/vectors.mjs"
suite python media.py
suite python documents.py
suite node "$node/media.mjs"
suite python admin_grpc.py
suite python metrics.py

start_gateway described
suite python openapi.py

start_gateway reference
suite python quickstart.py "$here/quickstart_reference.sh"
if [ -f "$root/README.md" ]; then
    start_gateway readme
    suite python quickstart.py "$root/README.md"
else
    echo "FAIL quickstart, README.md: there is no README.md" | tee -a "$results"
fi
suite logs_hold_no_secrets
