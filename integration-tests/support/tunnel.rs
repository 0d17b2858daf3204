//! A way through to a server that can be cut or can go silent, as networks do.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What a tunnel does with what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    /// Everything passes.
    Open,
    /// Connections are accepted and kept; no byte passes.
    Silent,
    /// What is asked passes; no answer comes back.
    Unanswered,
    /// Connections are closed.
    Cut,
}

/// A port that leads to another one.
#[derive(Debug)]
pub(crate) struct Tunnel {
    pub(crate) address: SocketAddr,
    passage: Arc<watch::Sender<Passage>>,
    _accepting: JoinSet<()>,
}

impl Tunnel {
    /// To `target`.
    pub(crate) async fn to(target: SocketAddr, first: Passage) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let passage = Arc::new(watch::channel(first).0);
        let passages = Arc::clone(&passage);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut carrying = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let passage = passages.subscribe();
                if *passage.borrow() != Passage::Cut {
                    carrying.spawn(carry(near, target, passage));
                }
            }
        });
        Self { address, passage, _accepting: accepting }
    }

    /// From now on, for connections that are there as for new ones.
    pub(crate) fn set(&self, passage: Passage) {
        self.passage.send_replace(passage);
    }
}

async fn carry(near: TcpStream, target: SocketAddr, mut passage: watch::Receiver<Passage>) {
    let Ok(far) = TcpStream::connect(target).await else { return };
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let there = pass(near_in, far_out, (passage.clone(), &[Passage::Silent]));
    let back = pass(far_in, near_out, (passage.clone(), &[Passage::Silent, Passage::Unanswered]));
    tokio::select! {
        () = there => {}
        () = back => {}
        _ = passage.wait_for(|passage| *passage == Passage::Cut) => {}
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    (mut passage, held_by): (watch::Receiver<Passage>, &[Passage]),
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        // What arrives in the silence is lost for as long as it lasts.
        if passage.wait_for(|passage| !held_by.contains(passage)).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
