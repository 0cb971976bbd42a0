//! A log in large pieces, and the lines in it that are looked at. Most lines of a busy cluster's log concern nobody here,
//! and are only counted.

use std::io;

use aho_corasick::{AhoCorasick, MatchKind};
use memchr::{memchr, memrchr};
use tokio::io::{AsyncRead, AsyncReadExt};

/// A line longer than this is no event (the API server cuts them at 1.5 MiB by default where it cuts at all).
pub(super) const LONGEST_LINE: usize = 16 * 1024 * 1024;

/// How much is read at once, as long as every line fits.
const PIECE: usize = 256 * 1024;

/// A piece of a log.
pub(super) enum Piece<'a> {
    /// Whole lines, each with its end.
    Lines(&'a [u8]),
    /// The beginning of a line that is too long, or in which the log ends.
    Torn(&'a [u8]),
}

/// A log that is read piece by piece. It needs as much memory as one piece, or the longest line.
pub(super) struct Pieces<S> {
    source: S,
    buffer: Vec<u8>,
    /// How much of the buffer is filled.
    filled: usize,
    /// How much of what is filled was returned as a piece.
    returned: usize,
    /// Whether what comes is the end of a line that was too long.
    is_passing: bool,
}

impl<S: AsyncRead + Unpin> Pieces<S> {
    /// A log of which nothing was read yet.
    pub(super) fn new(source: S) -> Self {
        Pieces { source, buffer: vec![0; PIECE], filled: 0, returned: 0, is_passing: false }
    }

    /// Reads the next piece; `None` at the end.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub(super) async fn next(&mut self) -> io::Result<Option<Piece<'_>>> {
        self.drop_first(self.returned);
        self.returned = 0;
        // What is left from the last piece is the beginning of one line.
        let mut searched = self.filled;
        loop {
            if self.filled == LONGEST_LINE {
                self.is_passing = true;
                self.returned = self.filled;
                return Ok(Some(Piece::Torn(&self.buffer[..self.filled])));
            }
            if self.filled == self.buffer.len() {
                self.buffer.resize((self.filled * 2).min(LONGEST_LINE), 0);
            }
            let read = self.source.read(&mut self.buffer[self.filled..]).await?;
            if read == 0 {
                self.returned = self.filled;
                // A last line without its end is still being written: it is no event.
                return Ok((self.filled > 0).then_some(Piece::Torn(&self.buffer[..self.filled])));
            }
            self.filled += read;
            if self.is_passing {
                self.pass();
            }
            if let Some(end) = memrchr(b'\n', &self.buffer[searched..self.filled]) {
                self.returned = searched + end + 1;
                return Ok(Some(Piece::Lines(&self.buffer[..self.returned])));
            }
            searched = self.filled;
        }
    }

    /// Drops the end of a line that was too long.
    fn pass(&mut self) {
        let end = memchr(b'\n', &self.buffer[..self.filled]);
        self.is_passing = end.is_none();
        self.drop_first(end.map_or(self.filled, |end| end + 1));
    }

    fn drop_first(&mut self, count: usize) {
        self.buffer.copy_within(count..self.filled, 0);
        self.filled -= count;
    }
}

/// What the lines hold that are looked at.
pub(super) struct Marks(AhoCorasick);

impl Marks {
    /// Lines that hold one of these. An empty text is in no line.
    pub(super) fn of(marks: &[&[u8]]) -> Self {
        let marks = marks.iter().filter(|mark| !mark.is_empty());
        // Only for the leftmost match are many bytes looked at together, which is several times as fast (measured).
        let searcher = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(marks);
        Marks(searcher.expect("a few short texts make a small automaton"))
    }

    /// The lines among whole ones that hold a mark.
    pub(super) fn lines<'p>(&self, lines: &'p [u8]) -> impl Iterator<Item = &'p [u8]> {
        let mut rest = lines;
        std::iter::from_fn(move || {
            let found = self.0.find(rest)?;
            let start = memrchr(b'\n', &rest[..found.start()]).map_or(0, |end| end + 1);
            let end = memchr(b'\n', &rest[found.end()..]);
            let end = end.map_or(rest.len(), |end| found.end() + end + 1);
            let line = &rest[start..end];
            rest = &rest[end..];
            Some(line)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use proptest::prelude::*;
    use tokio::io::ReadBuf;

    use super::*;

    /// Gives as much at a time as it is told.
    struct Drops<'a>(&'a [u8], Vec<usize>);

    impl AsyncRead for Drops<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let most = self.1.pop().unwrap_or(7).min(buffer.remaining()).min(self.0.len());
            let (now, later) = self.0.split_at(most);
            buffer.put_slice(now);
            self.0 = later;
            Poll::Ready(Ok(()))
        }
    }

    /// The marked lines, how many lines there are, and what is torn.
    async fn read(source: impl AsyncRead + Unpin) -> (Vec<Vec<u8>>, usize, usize) {
        let marks = Marks::of(&[b"ab", b"", b"bc"]);
        let mut pieces = Pieces::new(source);
        let (mut found, mut lines, mut torn) = (Vec::new(), 0, 0);
        while let Some(piece) = pieces.next().await.expect("it can be read") {
            match piece {
                Piece::Lines(piece) => {
                    found.extend(marks.lines(piece).map(<[u8]>::to_vec));
                    lines += memchr::memchr_iter(b'\n', piece).count();
                }
                Piece::Torn(_) => torn += 1,
            }
        }
        (found, lines, torn)
    }

    proptest! {
        #[test]
        fn however_a_log_comes_its_lines_are_the_same(
            text in "[abc\n]{0,200}",
            drops in proptest::collection::vec(1_usize..20, 0..50),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let (found, lines, torn) = runtime.block_on(read(Drops(text.as_bytes(), drops)));
            let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
            let marked = whole.split_inclusive('\n').filter(|it| it.contains("ab") || it.contains("bc"));
            let marked: Vec<_> = marked.map(|line| line.as_bytes().to_vec()).collect();
            prop_assert_eq!(found, marked);
            prop_assert_eq!(lines, whole.matches('\n').count());
            prop_assert_eq!(torn, usize::from(whole.len() < text.len()));
        }
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_torn_once_and_the_next_is_whole() {
        let mut text = vec![b'x'; LONGEST_LINE + PIECE];
        text.extend_from_slice(b"ab\nab\n");
        let (found, lines, torn) = read(text.as_slice()).await;
        assert_eq!((found, lines, torn), (vec![b"ab\n".to_vec()], 1, 1));
    }

    #[tokio::test]
    async fn a_line_that_is_longer_than_a_piece_is_whole() {
        let mut text = vec![b'x'; 3 * PIECE];
        text.extend_from_slice(b"ab\n");
        assert_eq!(read(text.as_slice()).await.0, [text]);
    }
}
