# syntax=docker/dockerfile:1
# The gateway in an image of its own: docker build -t unified-gateway .

FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# The dependencies first: they change seldom, and a layer keeps them.
COPY Cargo.toml Cargo.lock build.rs ./
COPY proto proto
RUN mkdir -p src integration-tests \
    && echo 'fn main() {}' | tee src/main.rs integration-tests/stub_provider.rs integration-tests/figures.rs integration-tests/main.rs \
    && touch src/lib.rs \
    && cargo build --locked --profile dist --bin unified-gateway
COPY src src
COPY migrations migrations
RUN touch src/main.rs src/lib.rs && cargo build --locked --profile dist --bin unified-gateway

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && install -d -o 65532 -g 65532 -m 700 /data
COPY --from=build /src/target/dist/unified-gateway /usr/local/bin/unified-gateway
USER 65532:65532
ENV HOST=0.0.0.0 DATA_DIR=/data
VOLUME /data
EXPOSE 4000 4001
# The image has no HTTP client; its shell can ask as well.
HEALTHCHECK --interval=5s --timeout=3s --start-period=5s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/${PORT:-4000} && printf 'GET /health/live HTTP/1.0\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]
ENTRYPOINT ["unified-gateway"]
