//! Cuts the body of a reply into events, whatever it calls itself.
//!
//! Read are server-sent events with any line ends, JSON one value a line, and one
//! JSON document, in all mixtures: proxies add errors of their own to streams of
//! others. More than the standard of server-sent events allows is needed, so no
//! library for that does: an event counts without the blank line after it, text
//! that is no UTF-8 costs its letters and not the reply, and a server that keeps
//! the connection open is not waited for.

use memchr::memchr2;
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::collections::VecDeque;

/// Longest line that is looked at before its end has come. Looking costs as much
/// each time as the line is long; the events that end a reply are short.
const UNENDED_BYTES_MAX: usize = 64 << 10;

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// One event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// What it is called; empty for most.
    pub(crate) name: String,
    pub(crate) data: String,
}

/// Cuts bytes into events.
#[derive(Default)]
pub(crate) struct Frames {
    events: VecDeque<Event>,
    /// How much of a byte order mark has been passed over.
    bom: usize,
    /// The line that has not ended.
    line: Vec<u8>,
    /// Whether the last line ended with a carriage return, so that a line feed belongs to it.
    after_return: bool,
    name: String,
    data: Option<String>,
    /// A JSON value that stands for itself.
    json: Option<Json>,
}

/// A JSON value as far as it has arrived.
#[derive(Default)]
struct Json {
    bytes: Vec<u8>,
    depth: usize,
    in_text: bool,
    after_escape: bool,
}

impl Frames {
    /// Takes in what has arrived.
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

    /// The next event.
    pub(crate) fn next(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Takes in a value, a line or a part of it, and returns what is left.
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

    /// Takes in a line.
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
                if self.data.is_some() {
                    self.dispatch();
                }
                value.trim().clone_into(&mut self.name);
            }
            // Comments, ids, and whatever is new.
            _ => {}
        }
    }

    fn add(&mut self, value: &str) {
        match &mut self.data {
            // Somebody left out the blank line between two events.
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

    /// Ends the event that has been begun.
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

    /// Takes what is whole though its end has not come: nothing more may follow.
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
    /// Takes in bytes up to the end of the value, and returns how many.
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

/// Bytes as text. The check is many times as fast as the repair, which is hardly ever needed.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

/// Whether `data` is the mark that nothing follows.
pub(crate) fn is_done(data: &str) -> bool {
    data.trim().eq_ignore_ascii_case("[DONE]")
}

/// A value without labels that a proxy has put before it once more.
fn unlabelled(mut value: &str) -> &str {
    while let Some(rest) = value.strip_prefix("data:") {
        value = rest.trim_start();
    }
    value
}

/// Whether `data`, of one line, is an event by itself.
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

    /// The events of a body that arrives in `pieces`, `name=data` each.
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

    /// The same wherever the network cuts it.
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
