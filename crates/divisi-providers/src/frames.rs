//! Splits the body of a reply into events, whatever its content type.
//!
//! Accepts server-sent events with any line ends, one JSON value per line, a single JSON document,
//! and mixtures, because proxies add errors of their own to streams. This is more than the standard
//! of server-sent events allows, so no library for it is used: an event counts without the blank
//! line after it, invalid UTF-8 loses only its characters, and the end of the connection is not
//! awaited.

use memchr::memchr2;
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::collections::VecDeque;

/// Longest incomplete line that is parsed ahead. Each try costs time proportional to its length,
/// and the events that end a reply are short.
const UNENDED_BYTES_MAX: usize = 64 << 10;

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// One event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its name; usually empty.
    pub(crate) name: String,
    pub(crate) data: String,
}

/// Splits bytes into events.
#[derive(Default)]
pub(crate) struct Frames {
    events: VecDeque<Event>,
    /// Number of bytes of the byte order mark that were skipped.
    bom: usize,
    /// The incomplete line.
    line: Vec<u8>,
    /// Whether the last line ended with a carriage return, so that a following line feed belongs to
    /// it.
    after_return: bool,
    name: String,
    data: Option<String>,
    /// A JSON value outside of server-sent events.
    json: Option<Json>,
}

/// A JSON value received so far.
#[derive(Default)]
struct Json {
    bytes: Vec<u8>,
    depth: usize,
    in_text: bool,
    after_escape: bool,
}

impl Frames {
    /// Adds received bytes.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        while self.bom < BOM.len() {
            match bytes.split_first() {
                Some((byte, rest)) if *byte == BOM[self.bom] => {
                    self.bom += 1;
                    bytes = rest;
                }
                Some(_) => self.bom = BOM.len(),
                None => return,
            }
        }
        while !bytes.is_empty() {
            bytes = self.step(bytes);
        }
        self.look_ahead();
    }

    /// The body has ended.
    pub(crate) fn end(&mut self) {
        if let Some(json) = self.json.take() {
            self.emit(&json.bytes);
        }
        let line = std::mem::take(&mut self.line);
        self.field(&text(&line));
        self.dispatch();
    }

    /// Returns the next event.
    pub(crate) fn next(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Consumes a value, a line or a part of it, and returns the rest.
    fn step<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        if let Some(json) = &mut self.json {
            let taken = json.push(bytes);
            if json.is_whole()
                && let Some(json) = self.json.take()
            {
                self.emit(&json.bytes);
            }
            return &bytes[taken..];
        }
        if std::mem::take(&mut self.after_return)
            && let Some(rest) = bytes.strip_prefix(b"\n")
        {
            return rest;
        }
        // No field of an event begins with a bracket, so this is a value without `data:`.
        if self.line.is_empty() && matches!(bytes[0], b'{' | b'[') {
            self.dispatch();
            self.json = Some(Json::default());
            return bytes;
        }
        let Some(end) = memchr2(b'\n', b'\r', bytes) else {
            self.line.extend_from_slice(bytes);
            return &[];
        };
        self.after_return = bytes[end] == b'\r';
        if self.line.is_empty() {
            self.field(&text(&bytes[..end]));
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(&bytes[..end]);
            self.field(&text(&line));
            line.clear();
            self.line = line;
        }
        &bytes[end + 1..]
    }

    /// Handles a line.
    fn field(&mut self, line: &str) {
        let line = line.trim_start();
        if line.is_empty() {
            return self.dispatch();
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name.trim_end() {
            "data" => self.add(unlabelled(value)),
            "event" => {
                // The blank line before this event is missing.
                if self.data.is_some() {
                    self.dispatch();
                }
                value.trim().clone_into(&mut self.name);
            }
            // Comments, ids and unknown fields are ignored.
            _ => {}
        }
    }

    fn add(&mut self, value: &str) {
        match &mut self.data {
            // The blank line between two events is missing.
            Some(data) if stands_alone(data) => {
                self.dispatch();
                self.data = Some(value.to_owned());
            }
            Some(data) => {
                data.push('\n');
                data.push_str(value);
            }
            None => self.data = Some(value.to_owned()),
        }
    }

    /// Ends the present event.
    fn dispatch(&mut self) {
        if let Some(data) = self.data.take() {
            self.events.push_back(Event {
                name: std::mem::take(&mut self.name),
                data,
            });
        }
    }

    fn emit(&mut self, json: &[u8]) {
        let data = text(json).into_owned();
        self.events.push_back(Event {
            name: String::new(),
            data,
        });
    }

    /// Accepts a complete event before its end mark, because no more bytes may follow.
    fn look_ahead(&mut self) {
        if self.line.len() <= UNENDED_BYTES_MAX
            && matches!(self.line.last(), Some(b'}' | b']'))
            && self.line.starts_with(b"data:")
            && self.data.is_none()
        {
            let line = text(&self.line).into_owned();
            let value = unlabelled(line["data:".len()..].trim_start());
            if stands_alone(value) {
                self.line.clear();
                self.data = Some(value.to_owned());
            }
        }
        if self.data.as_deref().is_some_and(stands_alone) {
            self.dispatch();
        }
    }
}

impl Json {
    /// Adds bytes up to the end of the value, and returns their number.
    fn push(&mut self, bytes: &[u8]) -> usize {
        let mut taken = bytes.len();
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                _ if self.after_escape => self.after_escape = false,
                b'\\' if self.in_text => self.after_escape = true,
                b'"' => self.in_text = !self.in_text,
                b'{' | b'[' if !self.in_text => self.depth += 1,
                b'}' | b']' if !self.in_text => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            if self.depth == 0 {
                taken = at + 1;
                break;
            }
        }
        self.bytes.extend_from_slice(&bytes[..taken]);
        taken
    }

    fn is_whole(&self) -> bool {
        self.depth == 0
    }
}

/// Decodes bytes. Checking is many times as fast as the repair, which is rarely needed.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

/// Whether `data` is the end mark.
pub(crate) fn is_done(data: &str) -> bool {
    data.trim().eq_ignore_ascii_case("[DONE]")
}

/// A value without repeated `data:` labels of a proxy.
fn unlabelled(mut value: &str) -> &str {
    while let Some(rest) = value.strip_prefix("data:") {
        value = rest.trim_start();
    }
    value
}

/// Whether `data`, a single line, is a complete event.
fn stands_alone(data: &str) -> bool {
    if data.contains('\n') {
        return false;
    }
    let data = data.trim();
    is_done(data)
        || (data.len() <= UNENDED_BYTES_MAX
            && data.starts_with(['{', '['])
            && data.ends_with(['}', ']'])
            && serde_json::from_str::<IgnoredAny>(data).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events of a body in `pieces`, each as `name=data`.
    fn events<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, ends: bool) -> Vec<String> {
        let mut frames = Frames::default();
        pieces.into_iter().for_each(|piece| frames.push(piece));
        if ends {
            frames.end();
        }
        let next = || {
            frames
                .next()
                .map(|event| format!("{}={}", event.name, event.data))
        };
        std::iter::from_fn(next).collect()
    }

    /// The same for every way to split the body.
    fn cut_anywhere(body: &[u8]) -> Vec<String> {
        let whole = events([body], true);
        for cut in 1..body.len() {
            let (left, right) = body.split_at(cut);
            assert_eq!(events([left, right], true), whole, "cut at {cut}");
        }
        assert_eq!(events(body.chunks(1), true), whole, "byte by byte");
        whole
    }

    #[test]
    fn every_line_end_is_one() {
        for end in ["\n", "\r\n", "\r"] {
            let body = [
                "\u{feff}: hello",
                "",
                "event: a",
                "data: {\"x\":",
                "data:1}",
                "",
                "",
                "data: [DONE]",
                "",
            ];
            assert_eq!(
                cut_anywhere(body.join(end).as_bytes()),
                ["a={\"x\":\n1}", "=[DONE]"],
                "{end:?}"
            );
        }
    }

    #[test]
    fn what_servers_leave_out_or_add_does_not_matter() {
        assert_eq!(
            cut_anywhere(b"data: {\"a\":1}\ndata: {\"b\":2}\ndata: [DONE]\n"),
            ["={\"a\":1}", "={\"b\":2}", "=[DONE]"]
        );
        assert_eq!(
            cut_anywhere(b"event: a\ndata: {}\nevent: b\ndata: {}"),
            ["a={}", "b={}"]
        );
        assert_eq!(cut_anywhere(b"data: data: {\"a\":1}\n\n"), ["={\"a\":1}"]);
        assert_eq!(
            cut_anywhere(b"{\"a\":\"]}\\\"\"}\n{\"b\":[2]}\n"),
            ["={\"a\":\"]}\\\"\"}", "={\"b\":[2]}"]
        );
        assert_eq!(
            cut_anywhere(b"data: {}\n\n{\"error\":\n  {}}"),
            ["={}", "={\"error\":\n  {}}"]
        );
        assert_eq!(
            cut_anywhere(b": only\n\nretry: 5\nid: 7\n\nnonsense\n"),
            [""; 0]
        );
        assert_eq!(
            cut_anywhere(b"data: {\"a\":\"\xff\xc3\"}\n\n"),
            ["={\"a\":\"\u{fffd}\u{fffd}\"}"]
        );
        assert_eq!(
            cut_anywhere("data: {\"a\":\"é𝄞\"}\n\n".as_bytes()),
            ["={\"a\":\"é𝄞\"}"]
        );
    }

    #[test]
    fn what_is_whole_is_not_waited_for() {
        for open in [
            "data: [DONE]",
            "data: [DONE]\n",
            "data: {\"a\":[]}",
            "{\"a\":\n[1]}",
        ] {
            assert_eq!(events([open.as_bytes()], false).len(), 1, "{open}");
        }
        assert_eq!(events([&b"data: {\"a\""[..]], false).len(), 0);
    }
}
