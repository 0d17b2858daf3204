#!/usr/bin/env bash
# Walks the checklist of docs/production.md against two replicas that it starts itself, around a PostgreSQL and a Redis of
# its own. A line per item; the exit code says whether all of them hold. `make checklist` calls it.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "${UNIFIED_TEST_DATABASE_URL-}" ]; then
    cargo build --quiet --bin unified-gateway
    exec integration-tests/services.sh --production "$0"
fi

program=$PWD/target/debug/unified-gateway
work=$(mktemp -d)
pids=()
failed=0
finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

item() {
    local name=$1
    shift
    if "$@" >"$work/said" 2>&1; then
        echo "ok      $name"
    else
        echo "FAILED  $name"
        sed 's/^/        /' "$work/said" | tail -5
        failed=$((failed + 1))
    fi
}

old=$(openssl rand -hex 32)
new=$(openssl rand -hex 32)
export MASTER_KEY=mk-$(openssl rand -hex 24) GATEWAY_ENV=production HOST=127.0.0.1 LOG_LEVEL=warn DRAIN_DELAY_MS=200
export DATABASE_URL=$UNIFIED_TEST_DATABASE_URL REDIS_URL=$UNIFIED_TEST_REDIS_URL
export ENCRYPTION_KEYRING="{\"old\":\"$old\",\"new\":\"$new\"}" ACTIVE_ENCRYPTION_KEY_ID=old
cd "$work"

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
begin() {
    PORT=$1 GRPC_PORT=$(free_port) "$program" >"$work/$1.out" 2>"$work/$1.log" &
    pids+=($!)
}
get() { curl --silent --show-error --fail --max-time 20 -H "authorization: Bearer $MASTER_KEY" "$@"; }
send() { get -H 'content-type: application/json' "$@"; }
field() { python3 -c 'import json, sys; value = json.load(sys.stdin)
for name in sys.argv[1].split("."): value = value[int(name)] if isinstance(value, list) else value[name]
print(value)' "$1"; }
status() {
    curl --silent --output /dev/null --write-out '%{http_code}' -H "authorization: Bearer $2" -H 'content-type: application/json' \
        -d '{"model":"echo","messages":[{"role":"user","content":"hi"}]}' "$1/v1/chat/completions"
}
until_status() {
    for _ in $(seq 200); do
        [ "$(status "$1" "$2")" = "$3" ] && return
        sleep 0.02
    done
    return 1
}
until_ready() {
    for _ in $(seq 500); do
        curl --silent --fail --output /dev/null "$1/health/ready" && return
        sleep 0.02
    done
    return 1
}

refuses_weak_secrets() { ! MASTER_KEY=short "$program" 2>"$work/refusal" && grep -q 'MASTER_KEY' "$work/refusal"; }
refuses_sample_secrets() { ! MASTER_KEY=replace-with-a-long-random-secret-of-your-own "$program" 2>/dev/null; }
needs_shared_secrets() {
    ! env -u ENCRYPTION_KEYRING -u ACTIVE_ENCRYPTION_KEY_ID "$program" 2>"$work/refusal" &&
        grep -q 'CREDENTIALS_ENCRYPTION_KEY' "$work/refusal"
}
item "weak secrets are refused in production" refuses_weak_secrets
item "sample secrets are refused in production" refuses_sample_secrets
item "replicas need the secrets that they share" needs_shared_secrets
item "the schema is brought up to date beforehand" "$program" migrate
export AUTO_MIGRATE=false

a_port=$(free_port) b_port=$(free_port)
a=http://127.0.0.1:$a_port b=http://127.0.0.1:$b_port
begin "$a_port"
begin "$b_port"
item "replica A is ready" until_ready "$a"
item "replica B is ready" until_ready "$b"
both_up() { curl --silent "$1/health/ready" | grep -q '"postgres":"up","redis":"up"'; }
sleep 1
item "PostgreSQL and Redis are up" both_up "$a"

deploy() {
    send "$a/admin/deployments" -d '{"publicModel":"echo","provider":"echo","upstreamModel":"echo"}' &&
        send "$a/admin/deployments" -d '{"publicModel":"kept","provider":"openai","upstreamModel":"gpt-4o","enabled":false,"credentials":{"apiKey":"sk-checklist-secret"}}'
}
item "deployments are created on A" deploy
key_json=$(send "$a/admin/keys" -d '{"name":"checklist"}')
key=$(echo "$key_json" | field data.key)
id=$(echo "$key_json" | field data.id)
item "a new key works on A at once" test "$(status "$a" "$key")" = 200
item "and on B" until_status "$b" "$key" 200
in_force() { [ "$(get "$a/admin/replicas/wait?replicas=2" | field data.reached)" = True ]; }
item "the newest revision is in force on 2 of 2 replicas" in_force
send -X PATCH "$b/admin/keys/$id" -d '{"enabled":false}' >/dev/null
item "a key disabled on B stops on A" until_status "$a" "$key" 401
send -X PATCH "$b/admin/keys/$id" -d '{"enabled":true}' >/dev/null
item "and works again" until_status "$a" "$key" 200

sealed_with() { [ "$(psql "$DATABASE_URL" -XAtc "SELECT count(*) FROM deployments WHERE substr(credentials, 3, 3) <> '$1'")" = 0 ]; }
rotate() { ACTIVE_ENCRYPTION_KEY_ID=new "$program" rotate-encryption && sealed_with new; }
item "credentials are sealed with the old key" sealed_with old
item "rotate-encryption moves them to the new one, online" rotate
item "traffic flowed meanwhile" test "$(status "$b" "$key")" = 200
no_secret() { ! psql "$DATABASE_URL" -XAtc "SELECT * FROM deployments; SELECT * FROM admin_audit" | grep -q 'sk-checklist-secret\|'"$key"; }
item "no secret is readable in the database" no_secret
unchanged() { get "$a/admin/config" | python3 -c 'import json, sys; json.dump(json.load(sys.stdin)["data"], sys.stdout)' >"$work/config.json" &&
    [ "$(send -X PUT "$b/admin/config" -d @"$work/config.json" | field data.differences)" = '[]' ]; }
item "the exported configuration applied again changes nothing" unchanged
audited() { psql "$DATABASE_URL" -XAtc "SELECT source FROM admin_audit WHERE action = 'deployment.create'" | grep -q 127.0.0.1; }
item "the audit trail says who changed what from where" audited

drains() {
    kill -TERM "${pids[0]}"
    sleep 0.1
    [ "$(curl --silent --output /dev/null --write-out '%{http_code}' "$a/health/ready")" = 503 ] && wait "${pids[0]}"
}
item "A says that it is not ready any more, drains, and ends with 0" drains
item "B serves on" test "$(status "$b" "$key")" = 200
alone() { [ "$(get "$b/admin/replicas" | field data.serving)" = 1 ]; }
item "and is the one replica left" alone
no_secret_in_logs() { ! grep -rq "sk-checklist-secret\|$key\|$MASTER_KEY\|$old\|$new" "$work"/*.log "$work"/*.out; }
item "no secret is in the logs" no_secret_in_logs

[ "$failed" -eq 0 ] && echo "every item holds" || { echo "$failed items do not hold"; exit 1; }
