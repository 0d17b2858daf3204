//! A connection whose peer must keep taking what is written.

use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_io_timeout::TimeoutStream;

/// A connection that breaks when nothing of what is written is taken for `write_timeout`. Boxed, for it holds timers.
pub fn bounded<S: AsyncRead + AsyncWrite>(stream: S, write_timeout: Duration) -> Pin<Box<TimeoutStream<S>>> {
    let mut bounded = TimeoutStream::new(stream);
    bounded.set_write_timeout(Some(write_timeout));
    Box::pin(bounded)
}
