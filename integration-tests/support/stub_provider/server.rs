//! Sockets, and the record of what arrived.

use super::behaviour;
use super::chat::{self, Call};
use super::fixtures;
use super::media;
use super::script::{Behaviour, Player, Script, Witness};
use super::vectors;
use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

const MAX_BODY_BYTES: usize = 256 << 20;

/// One request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    /// Lower-case names, in order.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    /// The `model` of the body or, for Gemini, of the path; empty when there is none.
    pub(crate) model: String,
    /// The caller went away before its answer was complete.
    pub(crate) hung_up: bool,
}

impl Received {
    /// The first header of this (lower-case) name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null when it is none.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(super) fn describe(&self) -> serde_json::Value {
        json!({
            "method": self.method,
            "path": self.path,
            "headers": self.headers,
            "body": String::from_utf8_lossy(&self.body),
            "hung_up": self.hung_up,
        })
    }
}

/// A running stub. Dropping it closes its sockets.
#[derive(Debug)]
pub(crate) struct StubProvider {
    address: SocketAddr,
    log: Arc<Log>,
    _tasks: JoinSet<()>,
}

impl StubProvider {
    /// Starts on this address.
    pub(crate) async fn listen(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let log = Arc::new(Log::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&log)));
        Ok(Self { address, log, _tasks: tasks })
    }

    /// `http://127.0.0.1:PORT/v1`.
    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything that has arrived, oldest first.
    pub(crate) fn requests(&self) -> Vec<Received> {
        self.log.all()
    }

    /// Everything that has arrived, which is then forgotten.
    pub(crate) fn take_requests(&self) -> Vec<Received> {
        self.log.take()
    }

    /// How often this model has been called.
    pub(crate) fn calls_of(&self, model: &str) -> usize {
        self.requests().iter().filter(|request| request.model == model).count()
    }

    /// How many callers have gone before their answer was complete.
    pub(crate) fn hang_ups(&self) -> usize {
        *self.log.hang_ups.borrow()
    }

    /// Bytes of bodies handed to the sockets so far.
    pub(crate) fn sent_bytes(&self) -> usize {
        self.log.sent_bytes.load(Ordering::Relaxed)
    }

    /// Waits until so many callers have gone early.
    pub(crate) async fn hang_ups_reach(&self, count: usize) {
        let mut hang_ups = self.log.hang_ups.subscribe();
        // The sender lives in `self.log`, so waiting cannot fail.
        let _ = hang_ups.wait_for(|seen| *seen >= count).await;
    }

    /// Waits until so many requests have arrived since the log was last emptied.
    pub(crate) async fn requests_reach(&self, count: usize) {
        let mut arrived = self.log.arrived.subscribe();
        let _ = arrived.wait_for(|seen| *seen >= count).await;
    }
}

#[cfg(test)]
impl StubProvider {
    /// Starts on a free port of the loopback interface.
    ///
    /// # Panics
    /// When the loopback interface cannot be listened on.
    pub(crate) async fn start() -> Self {
        Self::listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("the loopback interface has a free port")
    }
}

#[derive(Debug, Default)]
struct Log {
    entries: Mutex<Vec<(usize, Received)>>,
    /// Calls per model, never reset: `stub-flaky` counts on it.
    serial: Mutex<Vec<String>>,
    arrived: watch::Sender<usize>,
    hang_ups: watch::Sender<usize>,
    sent_bytes: Arc<AtomicUsize>,
}

impl Log {
    /// Keeps a request. Answers its number and which call of its model it is, from 1.
    fn add(&self, request: Received) -> (usize, usize) {
        let mut serial = self.serial.lock().unwrap_or_else(PoisonError::into_inner);
        serial.push(request.model.clone());
        let nth = serial.iter().filter(|model| **model == request.model).count();
        let id = serial.len();
        drop(serial);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push((id, request));
        self.arrived.send_replace(entries.len());
        (id, nth)
    }

    fn hung_up(&self, id: usize) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, request)) = entries.iter_mut().find(|(entry, _)| *entry == id) {
            request.hung_up = true;
        }
        drop(entries);
        self.hang_ups.send_modify(|count| *count += 1);
    }

    fn all(&self) -> Vec<Received> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().map(|(_, request)| request.clone()).collect()
    }

    fn take(&self) -> Vec<Received> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        self.arrived.send_replace(0);
        entries.drain(..).map(|(_, request)| request).collect()
    }
}

async fn accept(listener: TcpListener, log: Arc<Log>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                connections.spawn(serve(stream, Arc::clone(&log)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, log: Arc<Log>) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let reset = Arc::new(AtomicBool::new(false));
    let socket = Socket { stream, reset: Arc::clone(&reset) };
    let service = service_fn(move |request| answer(request, Arc::clone(&log), Arc::clone(&reset)));
    // Broken connections are this server's business: there is nothing to do about them.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
}

async fn answer(
    request: Request<Incoming>,
    log: Arc<Log>,
    reset: Arc<AtomicBool>,
) -> Result<Response<Player>, io::Error> {
    if request.uri().path() == "/__requests" {
        let kept = if request.method() == Method::DELETE { log.take() } else { log.all() };
        let listing: Vec<_> = kept.iter().map(Received::describe).collect();
        let script = Script::json(200, json!({ "requests": listing }).to_string());
        return respond(script, reset, Arc::default(), Witness::new(|| {}));
    }
    let received = receive(request).await?;
    let (id, nth) = log.add(received.clone());
    let sent_bytes = Arc::clone(&log.sent_bytes);
    let mut witness = Witness::new(move || log.hung_up(id));
    let about_media = (received.method == "POST").then(|| media::answer(&received, nth)).flatten();
    let behaviour = match (received.method.as_str(), received.path.split('?').next().unwrap_or_default()) {
        _ if about_media.is_some() => about_media.unwrap_or(Behaviour::Silence),
        ("POST", "/v1/chat/completions") => behaviour::choose(&Call::read(&received, nth)),
        ("POST", "/v1/responses") => Behaviour::Answer(fixtures::answer("openai_responses", &received)),
        ("POST", "/v1/messages") => Behaviour::Answer(fixtures::answer("anthropic_messages", &received)),
        ("POST", _) if fixtures::read_gemini_path(&received.path).is_some() => {
            let (model, is_stream) = fixtures::read_gemini_path(&received.path).unwrap_or_default();
            Behaviour::Answer(fixtures::answer_gemini(model, is_stream))
        }
        ("POST", "/v1/messages/count_tokens") => Behaviour::Answer(fixtures::count(&received)),
        ("GET", "/v1/models") => Behaviour::Answer(chat::models()),
        ("POST", path) => {
            vectors::answer(&received, nth).unwrap_or_else(|| Behaviour::Answer(chat::unknown_url("POST", path)))
        }
        (method, path) => Behaviour::Answer(chat::unknown_url(method, path)),
    };
    match behaviour {
        Behaviour::Answer(script) => respond(script, reset, sent_bytes, witness),
        Behaviour::HangUp => {
            witness.dismiss();
            Err(io::ErrorKind::ConnectionAborted.into())
        }
        Behaviour::Silence => {
            let _until_the_caller_leaves = witness;
            std::future::pending().await
        }
    }
}

async fn receive(request: Request<Incoming>) -> io::Result<Received> {
    let (head, mut incoming) = request.into_parts();
    let mut body = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        if let Ok(data) = frame.map_err(io::Error::other)?.into_data() {
            body.extend_from_slice(&data);
        }
        if body.len() > MAX_BODY_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
    }
    let parsed: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let path = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let body = body.freeze();
    let kind = head.headers.get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let in_path = fixtures::read_gemini_path(&path).map(|(model, _)| model.to_owned());
    let in_path = in_path.or_else(|| media::model_of(kind, &body));
    Ok(Received {
        method: head.method.to_string(),
        path,
        headers: head
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        body,
        model: in_path.unwrap_or_else(|| parsed["model"].as_str().unwrap_or_default().to_owned()),
        hung_up: false,
    })
}

fn respond(
    script: Script,
    reset: Arc<AtomicBool>,
    sent_bytes: Arc<AtomicUsize>,
    witness: Witness,
) -> Result<Response<Player>, io::Error> {
    let Script { status, headers, steps } = script;
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Player::new(VecDeque::from_iter(steps), reset, sent_bytes, witness)).map_err(io::Error::other)
}

/// A TCP stream that can end with a reset instead of a regular close.
#[derive(Debug)]
struct Socket {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Acquire) {
            // With nothing to linger for, the kernel closes by resetting.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.reset.load(Ordering::Acquire) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
