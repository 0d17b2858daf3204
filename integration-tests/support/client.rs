//! Clients: one that speaks HTTP properly, for JSON and for event streams, and one that writes what it is told.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use eventsource_stream::EventStream;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::wait::soon;

/// An answer that is complete.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Asserts a complete JSON answer and gives it.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!((self.status, self.header("content-type")), (200, Some("application/json")), "{}", self.text());
        assert!(self.header("x-request-id").is_some());
        self.json()
    }

    /// What it says, where it is a chat completion.
    #[track_caller]
    pub(crate) fn content(&self) -> String {
        self.ok()["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
    }

    /// Asserts a refusal in the error envelope (status, `type`, `code`, `param`; empty: null) and gives its message.
    #[track_caller]
    pub(crate) fn refused(&self, expected: (u16, &str, &str, &str)) -> String {
        let json = self.json();
        let text = |field: &str| json["error"][field].as_str().unwrap_or_default();
        assert_eq!((self.status, text("type"), text("code"), text("param")), expected, "{}", self.text());
        assert_eq!(json.as_object().unwrap().len(), 1, "{}", self.text());
        assert_eq!(json["error"].as_object().unwrap().len(), 4, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert!(self.header("x-request-id").is_some_and(|id| !id.is_empty()), "no request id");
        let message = text("message");
        assert!(!message.is_empty(), "{}", self.text());
        message.to_owned()
    }
}

/// A client of one server.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
}

impl Client {
    /// Speaks HTTP/1.1.
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { pool: Pool::builder(TokioExecutor::new()).build_http(), address }
    }

    /// Speaks HTTP/2 from the first byte.
    pub(crate) fn http2(address: SocketAddr) -> Self {
        Self { pool: Pool::builder(TokioExecutor::new()).http2_only(true).build_http(), address }
    }

    /// Sends a request; the answer's body is still to be read.
    pub(crate) async fn open(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Events {
        let uri = format!("http://{}{path}", self.address);
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let response = soon("an answer's head", self.pool.request(request)).await.unwrap();
        Events::new(response)
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        self.open(method, path, headers, body).await.whole().await
    }

    /// Gets a path, with a key or without.
    pub(crate) async fn get(&self, path: &str, key: Option<&str>) -> Answer {
        let bearer = key.map(|key| format!("Bearer {key}"));
        let headers: Vec<_> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
        self.send("GET", path, &headers, Bytes::new()).await
    }

    /// Asks for a chat completion and reads the whole answer.
    pub(crate) async fn chat(&self, key: &str, request: &Value) -> Answer {
        self.open_chat(key, request).await.whole().await
    }

    /// Asks for a streamed chat completion and reads all of it.
    pub(crate) async fn transcript(&self, key: &str, request: &Value) -> Transcript {
        self.open_chat(key, request).await.finish().await
    }

    /// Asks for a chat completion; the answer's body is still to be read.
    pub(crate) async fn open_chat(&self, key: &str, request: &Value) -> Events {
        let bearer = format!("Bearer {key}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        self.open("POST", "/v1/chat/completions", &headers, request.to_string()).await
    }
}

/// An answer under way.
#[derive(Debug)]
pub(crate) struct Events {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    chunks: Vec<Bytes>,
    is_broken: bool,
}

impl Events {
    fn new(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        Self { status: head.status.as_u16(), headers: head.headers, body, chunks: Vec::new(), is_broken: false }
    }

    /// The next piece; `None` at the end, also when that is a broken connection.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        loop {
            match soon("the next piece of an answer", self.body.frame()).await? {
                Err(_) => {
                    self.is_broken = true;
                    return None;
                }
                Ok(frame) => {
                    let Ok(data) = frame.into_data() else { continue };
                    self.chunks.push(data.clone());
                    return Some(data);
                }
            }
        }
    }

    /// Reads until `text` has come.
    pub(crate) async fn until(&mut self, text: &str) {
        while !self.so_far().contains(text) {
            assert!(self.next().await.is_some(), "ended before {text:?}: {}", self.so_far());
        }
    }

    /// What has come so far.
    pub(crate) fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.chunks.concat()).into_owned()
    }

    /// Reads the rest of a body that is not to break.
    pub(crate) async fn whole(mut self) -> Answer {
        while self.next().await.is_some() {}
        assert!(!self.is_broken, "the answer broke off: {}", self.so_far());
        Answer { status: self.status, headers: self.headers, body: self.chunks.concat().into() }
    }

    /// Reads the rest of an event stream.
    pub(crate) async fn finish(mut self) -> Transcript {
        while self.next().await.is_some() {}
        let raw = self.so_far();
        let chunks = stream::iter(self.chunks.into_iter().map(Ok::<_, Infallible>));
        let events: Vec<_> = EventStream::new(chunks).collect().await;
        let data = events.into_iter().map(|event| event.unwrap().data).collect();
        Transcript { status: self.status, headers: self.headers, raw, data, is_broken: self.is_broken }
    }
}

/// An event stream that has ended.
#[derive(Debug)]
pub(crate) struct Transcript {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// All bytes.
    pub(crate) raw: String,
    /// The `data` of each event.
    pub(crate) data: Vec<String>,
    /// The connection broke before the body was complete.
    pub(crate) is_broken: bool,
}

impl Transcript {
    /// The events but for `[DONE]`.
    pub(crate) fn chunks(&self) -> Vec<Value> {
        let events = self.data.iter().filter(|data| *data != "[DONE]");
        events.map(|data| serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"))).collect()
    }

    /// The text of the first choice.
    pub(crate) fn text(&self) -> String {
        let chunks = self.chunks();
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect()
    }

    /// How many keep-alive comments came.
    pub(crate) fn keep_alives(&self) -> usize {
        self.raw.matches(": keep-alive\n\n").count()
    }

    /// Asserts an event stream that ended well: `[DONE]` once, last, and no error.
    #[track_caller]
    pub(crate) fn is_complete(&self) -> &Self {
        self.is_an_event_stream();
        assert_eq!(self.data.iter().filter(|data| *data == "[DONE]").count(), 1, "{}", self.raw);
        assert_eq!(self.data.last().map(String::as_str), Some("[DONE]"), "{}", self.raw);
        assert!(self.chunks().iter().all(|chunk| chunk.get("error").is_none()), "{}", self.raw);
        self
    }

    /// Asserts an event stream that ends with an error event (`type`, `code`) and without `[DONE]`; gives its message.
    #[track_caller]
    pub(crate) fn fails_with(&self, kind: &str, code: &str) -> String {
        self.is_an_event_stream();
        let chunks = self.chunks();
        let (last, others) = chunks.split_last().unwrap();
        assert_eq!((last["error"]["type"].as_str(), last["error"]["code"].as_str()), (Some(kind), Some(code)));
        assert_eq!(last["error"].as_object().unwrap().len(), 4, "{last}");
        assert!(others.iter().all(|chunk| chunk.get("error").is_none()), "{}", self.raw);
        assert!(!self.raw.contains("[DONE]"), "{}", self.raw);
        last["error"]["message"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn is_an_event_stream(&self) {
        let header = |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert_eq!((self.status, header("content-type")), (200, "text/event-stream"), "{}", self.raw);
        assert_eq!((header("cache-control"), header("x-accel-buffering")), ("no-cache", "no"));
        assert!(!header("x-request-id").is_empty());
        assert!(!self.is_broken, "broken: {}", self.raw);
    }
}

/// A TCP connection that writes what it is told.
#[derive(Debug)]
pub(crate) struct RawClient(TcpStream);

impl RawClient {
    /// Connects.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// Writes all of it.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        soon("room to write", self.0.write_all(bytes.as_ref())).await
    }

    /// Everything until the peer closes.
    pub(crate) async fn read_to_end(&mut self) -> std::io::Result<String> {
        let mut all = Vec::new();
        soon("the end of the connection", self.0.read_to_end(&mut all)).await?;
        Ok(String::from_utf8_lossy(&all).into_owned())
    }

    /// Everything until `text` has come.
    pub(crate) async fn read_until(&mut self, text: &str) -> String {
        let mut all = BytesMut::new();
        while !String::from_utf8_lossy(&all).contains(text) {
            let read = soon("more bytes", self.0.read_buf(&mut all)).await.unwrap();
            assert!(read > 0, "closed before {text:?}: {}", String::from_utf8_lossy(&all));
        }
        String::from_utf8_lossy(&all).into_owned()
    }
}
