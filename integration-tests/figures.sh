#!/usr/bin/env bash
# Measures what the documentation promises and prints a line per figure. `make figures` calls it.
# PROFILE=dev tries it out on the build for development, whose numbers mean nothing.
set -euo pipefail

cd "$(dirname "$0")/.."
profile=${PROFILE:-release}
cargo build --quiet --profile "$profile" --bin unified-gateway
exec cargo run --quiet --profile "$profile" --example figures -- "$@"
