//! The bytes of a log as they come, and what is known to be missing of them.

use std::io::{self, Cursor};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures::stream::poll_fn;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;
use tokio_util::io::StreamReader;

use crate::lock::lock;

/// How many chunks wait to be read. A source that is faster than its reader waits.
const WAITING: usize = 1;

/// The bytes of a log. Its source ends when this is dropped.
pub struct Stream {
    bytes: Pin<Box<dyn AsyncRead + Send>>,
    losses: Losses,
}

/// What gives a [`Stream`] its bytes.
pub(super) type Sender = mpsc::Sender<io::Result<Vec<u8>>>;

impl Stream {
    /// A stream of what something else gives, of which nothing is ever known to be missing.
    pub(super) fn of(bytes: impl AsyncRead + Send + 'static) -> Self {
        Stream { bytes: Box::pin(bytes), losses: Losses::default() }
    }

    /// A stream of what a sender gives.
    pub(super) fn fed() -> (Sender, Self) {
        let (sender, mut chunks) = mpsc::channel::<io::Result<Vec<u8>>>(WAITING);
        let chunks = poll_fn(move |context| chunks.poll_recv(context));
        let chunks = futures::StreamExt::map(chunks, |chunk| chunk.map(Cursor::new));
        (sender, Stream::of(StreamReader::new(chunks)))
    }

    /// What is known to be missing of it, now and later.
    pub fn losses(&self) -> Losses {
        self.losses.clone()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.bytes.as_mut().poll_read(context, buffer)
    }
}

/// Why lines may be missing of a log although its source can be read: nothing that is not in it is proved to be absent.
#[derive(Debug, Clone, Default)]
pub struct Losses(Arc<Mutex<Option<String>>>);

impl Losses {
    /// The first reason; `None` while nothing is known to be missing.
    pub fn first(&self) -> Option<String> {
        lock(&self.0).clone()
    }

    /// Notes a reason.
    pub(in crate::audit) fn tell(&self, why: String) {
        lock(&self.0).get_or_insert(why);
    }
}
