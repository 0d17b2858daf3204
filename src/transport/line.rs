//! Connections to providers, counted while they are being made, while calls use them, and while they wait for one.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use http::Extensions;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{CaptureConnection, Connected, Connection};

/// Connections that were made, that failed, and that are open.
#[derive(Debug, Default)]
pub struct Connects {
    made: AtomicU64,
    failed: AtomicU64,
    connecting: AtomicU64,
    open: AtomicU64,
    in_use: AtomicU64,
}

impl Connects {
    /// Connections that were made.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// Connections that could not be made, or not in time.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Connections that are being made.
    #[must_use]
    pub fn connecting(&self) -> u64 {
        self.connecting.load(Ordering::Relaxed)
    }

    /// Connections that at least one call uses.
    #[must_use]
    pub fn in_use(&self) -> u64 {
        self.in_use.load(Ordering::Relaxed)
    }

    /// Open connections that wait for a call.
    #[must_use]
    pub fn idle(&self) -> u64 {
        // A call may end a moment after its connection.
        self.open.load(Ordering::Relaxed).saturating_sub(self.in_use())
    }

    /// Counts a connection while it is being made, and what becomes of it.
    pub(super) async fn count<T, E>(&self, connecting: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let _under_way = Counted::one(&self.connecting);
        let connected = connecting.await;
        let counter = if connected.is_ok() { &self.made } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        connected
    }
}

/// Counted as long as it is there.
struct Counted<'a>(&'a AtomicU64);

impl<'a> Counted<'a> {
    fn one(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Calls that use a connection.
#[derive(Debug)]
struct Calls {
    under_way: AtomicU64,
    connects: Arc<Connects>,
}

/// What a connection tells the calls on it.
#[derive(Debug, Clone)]
struct OfLine(Arc<Calls>);

/// A connection, counted while it is open.
#[derive(Debug)]
pub(super) struct Line<T> {
    io: T,
    calls: Arc<Calls>,
}

impl<T> Line<T> {
    pub(super) fn open(io: T, connects: Arc<Connects>) -> Self {
        connects.open.fetch_add(1, Ordering::Relaxed);
        Self { io, calls: Arc::new(Calls { under_way: AtomicU64::new(0), connects }) }
    }
}

impl<T> Drop for Line<T> {
    fn drop(&mut self) {
        self.calls.connects.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<T: Connection> Connection for Line<T> {
    fn connected(&self) -> Connected {
        self.io.connected().extra(OfLine(Arc::clone(&self.calls)))
    }
}

impl<T: Read + Unpin> Read for Line<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<T: Write + Unpin> Write for Line<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }
}

/// A call that uses a connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Call(Arc<Calls>);

impl Call {
    fn begin(calls: Arc<Calls>) -> Self {
        if calls.under_way.fetch_add(1, Ordering::Relaxed) == 0 {
            calls.connects.in_use.fetch_add(1, Ordering::Relaxed);
        }
        Self(calls)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.0.under_way.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.connects.in_use.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Waits for an answer, and counts the call from the moment at which it has its connection.
pub(super) async fn counted<T>(mut line: CaptureConnection, answer: impl Future<Output = T>) -> (T, Option<Call>) {
    let begins = async {
        let mut told = Extensions::new();
        if let Some(connected) = line.wait_for_connection_metadata().await.as_ref() {
            connected.get_extras(&mut told);
        }
        told.remove::<OfLine>().map(|OfLine(calls)| Call::begin(calls))
    };
    let (mut begins, mut answer) = (pin!(begins), pin!(answer));
    tokio::select! {
        biased;
        call = &mut begins => (answer.await, call),
        answered = &mut answer => (answered, None),
    }
}
