//! Documents in JSON, cut into their elements while they come. A document may be larger than the memory: one element at
//! a time is kept, however it is laid out. An element is an object that stands alone, in a list, or in the list of an
//! envelope: `{"events": [ELEMENT, ELEMENT], "nextToken": …}`.

use std::io;
use std::ops::Range;

use memchr::memchr3;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::audit::pieces::LONGEST_LINE;

/// How much is read at once.
const PIECE: usize = 64 * 1024;

/// A piece of what came.
pub(in crate::audit) enum Element<'a> {
    /// An object with its end. What is between may still be no JSON.
    Whole(&'a [u8]),
    /// Something else that stands where an element should.
    Foreign(&'a [u8]),
    /// The beginning of an object that is too long or torn off. Nothing where a document ends between its elements.
    Torn(&'a [u8]),
}

/// Elements that are read one by one.
pub(in crate::audit) struct Elements<S> {
    source: S,
    buffer: Vec<u8>,
    /// What of the buffer was read and not looked at.
    rest: Range<usize>,
    is_over: bool,
    cutter: Cutter,
}

impl<S: AsyncRead + Unpin> Elements<S> {
    /// What comes from a source. `list` is the field in which an envelope has its list.
    pub(in crate::audit) fn new(source: S, list: Option<&'static str>) -> Self {
        let cutter = Cutter::new(list);
        Elements { source, buffer: vec![0; PIECE], rest: 0..0, is_over: false, cutter }
    }

    /// Reads the next element; `None` at the end.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub(in crate::audit) async fn next(&mut self) -> io::Result<Option<Element<'_>>> {
        loop {
            while let Some(byte) = self.buffer[self.rest.clone()].first() {
                let (passed, cut) = match self.cutter.text(&self.buffer[self.rest.clone()]) {
                    0 => self.cutter.take(*byte),
                    passed => (passed, None),
                };
                self.rest.start += passed;
                if let Some(cut) = cut {
                    return Ok(Some(self.cutter.element(cut)));
                }
            }
            if self.is_over {
                return Ok(None);
            }
            let read = self.source.read(&mut self.buffer).await?;
            self.rest = 0..read;
            if read == 0 {
                self.is_over = true;
                let cut = self.cutter.end();
                return Ok(cut.map(|cut| self.cutter.element(cut)));
            }
        }
    }
}

/// What was cut off.
#[derive(Clone, Copy)]
enum Cut {
    Whole,
    Foreign,
    Torn,
}

/// Where in a document the next byte stands.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// Before an element or behind it.
    Between,
    /// In an object: an element, or an envelope of which the list did not come yet.
    Object,
    /// In an envelope behind its list.
    Behind,
    /// In what is no object.
    Foreign,
}

/// Follows brackets and strings, and nothing else of JSON.
struct Cutter {
    list: Option<&'static [u8]>,
    piece: Vec<u8>,
    /// Whether the piece was returned, so that the next byte begins a new one.
    is_returned: bool,
    /// Whether the object is too long, so that the rest of it is dropped.
    is_dropped: bool,
    place: Place,
    /// How many brackets of the object are open.
    depth: usize,
    /// How many lists around elements are open.
    lists: usize,
    /// How many were open before the list of an envelope.
    envelope: Option<usize>,
    is_string: bool,
    is_escaped: bool,
    /// Where the last string stands that is not within another bracket of the object: it may be a field's name.
    name: Range<usize>,
    /// The last byte outside of strings that is no space.
    last: u8,
    begins_line: bool,
}

impl Cutter {
    fn new(list: Option<&'static str>) -> Self {
        Cutter {
            list: list.map(str::as_bytes),
            piece: Vec::new(),
            is_returned: false,
            is_dropped: false,
            place: Place::Between,
            depth: 0,
            lists: 0,
            envelope: None,
            is_string: false,
            is_escaped: false,
            name: 0..0,
            last: 0,
            begins_line: true,
        }
    }

    fn element(&self, cut: Cut) -> Element<'_> {
        match cut {
            Cut::Whole => Element::Whole(&self.piece),
            Cut::Foreign => Element::Foreign(&self.piece),
            Cut::Torn => Element::Torn(&self.piece),
        }
    }

    /// Takes the inside of a string at once. Returns how much of it.
    fn text(&mut self, bytes: &[u8]) -> usize {
        let is_inside = matches!(self.place, Place::Object | Place::Behind);
        if !is_inside || !self.is_string || self.is_escaped || self.is_returned {
            return 0;
        }
        let room = LONGEST_LINE - self.piece.len();
        let end = memchr3(b'"', b'\\', b'\n', bytes).unwrap_or(bytes.len()).min(room);
        if self.place == Place::Object && !self.is_dropped {
            self.piece.extend_from_slice(&bytes[..end]);
        }
        self.begins_line &= end == 0;
        end
    }

    /// Takes a byte. Returns how many it took, none where it belongs to what comes next, and what that cut off.
    fn take(&mut self, byte: u8) -> (usize, Option<Cut>) {
        if self.is_returned {
            self.piece.clear();
            self.is_returned = false;
        }
        if self.place == Place::Foreign {
            return self.foreign(byte);
        }
        // No string of JSON has a line break in it.
        if byte == b'\n' && self.is_string {
            self.begins_line = true;
            return (1, self.torn());
        }
        // Only a document begins at the beginning of a line, or what follows in a list without indentation.
        let begins = self.begins_line && matches!(byte, b'{' | b'[');
        if begins && self.is_open() && !self.is_next() {
            return (0, self.torn());
        }
        self.begins_line = byte == b'\n';
        let cut = match self.place {
            Place::Between => self.between(byte),
            Place::Object => self.object(byte),
            Place::Behind => self.behind(byte),
            Place::Foreign => None,
        };
        if !self.is_string && !byte.is_ascii_whitespace() {
            self.last = byte;
        }
        (1, cut)
    }

    fn is_open(&self) -> bool {
        self.place != Place::Between || self.lists > 0
    }

    fn is_next(&self) -> bool {
        self.place == Place::Between && matches!(self.last, b',' | b'[')
    }

    fn between(&mut self, byte: u8) -> Option<Cut> {
        match byte {
            b'{' => {
                self.place = Place::Object;
                self.depth = 1;
                self.name = 0..0;
                return self.keep(byte);
            }
            b'[' => self.lists += 1,
            b']' => {
                self.lists = self.lists.saturating_sub(1);
                if self.envelope == Some(self.lists) {
                    self.place = Place::Behind;
                    self.depth = 1;
                }
            }
            // What is left of a torn document, and the mark that some programs write first.
            b'}' | b',' | b':' | 0xef | 0xbb | 0xbf => {}
            _ if byte.is_ascii_whitespace() => {}
            _ => {
                self.place = Place::Foreign;
                self.is_string = byte == b'"';
                return self.keep(byte);
            }
        }
        None
    }

    fn object(&mut self, byte: u8) -> Option<Cut> {
        let is_name = self.depth == 1;
        let is_list = byte == b'[' && is_name && self.last == b':' && !self.is_string;
        if is_list && self.list.is_some() && self.piece.get(self.name.clone()) == self.list {
            return self.open_envelope();
        }
        let was_string = self.is_string;
        let closed = self.follow(byte);
        if is_name && self.is_string && !was_string {
            self.name.start = self.piece.len() + 1;
        } else if is_name && was_string && !self.is_string {
            self.name.end = self.piece.len();
        }
        let too_long = self.keep(byte);
        if !closed {
            return too_long;
        }
        self.place = Place::Between;
        let is_dropped = std::mem::take(&mut self.is_dropped);
        self.is_returned = true;
        (!is_dropped).then_some(Cut::Whole)
    }

    /// An envelope within the list of another one follows a document that was torn off.
    fn open_envelope(&mut self) -> Option<Cut> {
        let torn = self.envelope.is_some().then(|| self.torn()).flatten();
        self.piece.clear();
        self.envelope = Some(self.lists);
        self.lists += 1;
        self.place = Place::Between;
        torn
    }

    fn behind(&mut self, byte: u8) -> Option<Cut> {
        if self.follow(byte) {
            self.place = Place::Between;
            self.envelope = None;
        }
        None
    }

    /// What is no object ends with its line, or in a list before the next element.
    fn foreign(&mut self, byte: u8) -> (usize, Option<Cut>) {
        let ends_line = byte == b'\n';
        let is_separator = matches!(byte, b',' | b']') && self.lists > 0 && !self.is_string;
        if ends_line || is_separator {
            self.begins_line = ends_line;
            self.is_string = false;
            self.is_escaped = false;
            self.place = Place::Between;
            self.is_returned = true;
            let is_told = std::mem::take(&mut self.is_dropped);
            return (usize::from(ends_line), (!is_told).then_some(Cut::Foreign));
        }
        self.follow_string(byte);
        (1, self.keep(byte))
    }

    /// Follows strings and brackets. Returns whether the last bracket was closed.
    fn follow(&mut self, byte: u8) -> bool {
        if self.follow_string(byte) {
            return false;
        }
        match byte {
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        self.depth == 0
    }

    /// Returns whether the byte is of a string.
    fn follow_string(&mut self, byte: u8) -> bool {
        if !self.is_string {
            self.is_string = byte == b'"';
            return self.is_string;
        }
        if byte == b'"' && !self.is_escaped {
            self.is_string = false;
        }
        self.is_escaped = byte == b'\\' && !self.is_escaped;
        true
    }

    /// Keeps a byte of the piece. A piece that is too long is returned once, and the rest of it dropped.
    fn keep(&mut self, byte: u8) -> Option<Cut> {
        if self.is_dropped {
            return None;
        }
        self.piece.push(byte);
        if self.piece.len() < LONGEST_LINE {
            return None;
        }
        self.is_dropped = true;
        self.is_returned = true;
        Some(Cut::Torn)
    }

    /// Begins anew behind a document that is torn off.
    fn torn(&mut self) -> Option<Cut> {
        let is_told = std::mem::take(&mut self.is_dropped);
        if self.place != Place::Object {
            self.piece.clear();
        }
        self.place = Place::Between;
        self.lists = 0;
        self.envelope = None;
        self.is_string = false;
        self.is_escaped = false;
        self.is_returned = true;
        (!is_told).then_some(Cut::Torn)
    }

    /// What the end of the source cuts off.
    fn end(&mut self) -> Option<Cut> {
        if self.is_returned {
            self.piece.clear();
        }
        match self.place {
            Place::Foreign => (!self.is_dropped).then_some(Cut::Foreign),
            _ if self.is_open() => self.torn(),
            _ => None,
        }
    }
}
