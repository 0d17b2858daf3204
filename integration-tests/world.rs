//! A gateway, its provider and a key, and how the tests of the data plane look at answers.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::ops::Deref;

use bytes::{Bytes, BytesMut};
use eventsource_stream::EventStream;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::support::client::Events;
pub(crate) use crate::support::gateway::{chat as question, chat_stream as streamed};
use crate::support::wait::soon;
use crate::support::{Answer, PROVIDER_KEY, TestGateway};

/// What the stub's plain answer says.
pub(crate) const TEXT: &str = "Grüße aus der Werkstatt:\nZeile zwei – 日本語 und 🦀.";
pub(crate) const CHAT: &str = "/v1/chat/completions";

/// A gateway in front of a stub, and a key for everything.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) gateway: TestGateway,
    pub(crate) key: String,
}

impl Deref for World {
    type Target = TestGateway;

    fn deref(&self) -> &TestGateway {
        &self.gateway
    }
}

impl World {
    /// With a deployment per model of the stub: `stub-text` is publicly called `my/text`.
    pub(crate) async fn of(upstream_models: &[&str]) -> Self {
        let gateway = TestGateway::start().await;
        for upstream in upstream_models {
            gateway.deploy(&upstream.replace("stub-", "my/"), upstream).await;
        }
        let (_, key) = gateway.create_key(&json!({"name": "test"})).await;
        Self { gateway, key }
    }

    /// No second attempts, for tests whose subject they are not.
    pub(crate) async fn once(&self) {
        self.set_policy(&json!({"maxAttempts": 1})).await;
    }

    /// Posts to chat completions with our key.
    pub(crate) async fn open(&self, body: &Value) -> Events {
        self.client.open_chat(&self.key, body).await
    }

    /// The same, to the end of the answer.
    pub(crate) async fn chat(&self, body: &Value) -> Answer {
        self.open(body).await.whole().await
    }

    /// Posts JSON to a path with our key.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_as(path, &self.key, body).await
    }

    /// The same with another key.
    pub(crate) async fn post_as(&self, path: &str, key: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {key}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        self.client.send("POST", path, &headers, body.to_string()).await
    }

    /// A plain question to a model.
    pub(crate) async fn ask(&self, model: &str) -> Answer {
        self.chat(&question(model)).await
    }

    /// The same, streamed.
    pub(crate) async fn stream(&self, model: &str) -> Answer {
        self.chat(&streamed(model)).await
    }

    /// Checks that nothing of the provider's is in an answer.
    pub(crate) fn assert_nothing_leaks(&self, answer: &Answer) {
        let shown = format!("{:?}\n{}", answer.headers, answer.text());
        let address = self.stub.address().to_string();
        for secret in ["stub-", "sk-", "org-Stub", "proj_Stub", "req_Stub", "stub.example", PROVIDER_KEY, &address] {
            assert!(!shown.contains(secret), "`{secret}` leaks in {shown}");
        }
    }
}

impl Answer {
    /// Checks an error in full.
    #[track_caller]
    pub(crate) fn assert_error(&self, status: u16, kind: &str, code: Option<&str>, param: Option<&str>) {
        self.refused((status, kind, code.unwrap_or_default(), param.unwrap_or_default()));
    }

    /// The data of each event, as a standard reader of event streams sees it.
    pub(crate) async fn events(&self) -> Vec<String> {
        events(self.body.clone()).await
    }
}

/// The data of each event of a stream.
pub(crate) async fn events(body: Bytes) -> Vec<String> {
    let pieces = stream::iter([Ok::<_, Infallible>(body)]);
    EventStream::new(pieces).map(|event| event.expect("valid events").data).collect().await
}

/// Sends these bytes as they are on a connection of their own and reads until the peer closes it, at most `portion`
/// bytes at a time into a small buffer of the kernel.
pub(crate) async fn raw(address: SocketAddr, bytes: &[u8], portion: usize) -> Vec<u8> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut read = Vec::new();
    let mut buffer = vec![0; portion];
    loop {
        match soon("more bytes", stream.read(&mut buffer)).await.expect("the peer closes in order") {
            0 => return read,
            count => read.extend_from_slice(&buffer[..count]),
        }
    }
}

/// The body of a chunked HTTP/1.1 answer, taken as it came from the wire.
pub(crate) fn without_chunks(answer: &[u8]) -> Bytes {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let mut rest = &answer[head + 4..];
    let mut body = BytesMut::new();
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n").expect("a chunk size");
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            return body.freeze();
        }
        body.extend_from_slice(&rest[line + 2..line + 2 + size]);
        rest = &rest[line + 2 + size + 2..];
    }
}
