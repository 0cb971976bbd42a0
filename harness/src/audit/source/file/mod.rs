//! A file that an API server writes, from its end on, through every rotation (docs/decisions/0024-log-sources.md says
//! why it is our own code).

mod follower;
mod rotated;

use std::io;
use std::path::Path;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use self::follower::Follower;
use super::stream::Sender;
use super::{SourceError, Stream};
use crate::poll;

/// Follows a file from its end on.
pub(super) async fn open(path: &Path) -> Result<Stream, SourceError> {
    let (sender, stream) = Stream::fed();
    let (path, losses) = (path.to_owned(), stream.losses());
    let file = path.clone();
    let opened = spawn_blocking(move || Follower::open(&file, losses)).await;
    let wrong = |source| SourceError::File { path, source };
    let follower = opened.unwrap_or_else(|panicked| Err(io::Error::other(panicked).into()));
    let follower = follower.map_err(wrong)?;
    tokio::spawn(async move {
        tokio::select! {
            () = follow(follower, &sender) => {}
            () = sender.closed() => {}
        }
    });
    Ok(stream)
}

/// Looks again and again. No event of the system tells of every way in which a log can grow or be replaced: not on a
/// network's file system, and not below a mount.
async fn follow(mut follower: Follower, sender: &Sender) {
    loop {
        let looking = spawn_blocking(move || {
            let found = follower.look();
            (follower, found)
        });
        let found = match looking.await {
            Ok((back, found)) => {
                follower = back;
                found
            }
            Err(panicked) => {
                // The reader may have gone meanwhile.
                let _ = sender.send(Err(io::Error::other(panicked))).await;
                return;
            }
        };
        let is_idle = found.as_ref().is_ok_and(Vec::is_empty);
        let is_over = found.is_err();
        if is_idle {
            sleep(poll::PAUSE).await;
        } else if sender.send(found).await.is_err() || is_over {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
