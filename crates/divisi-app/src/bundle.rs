//! A run as one file: its journal and its long texts, as lines of JSON.
//!
//! `docs/export.md` describes the format. A file may come from anyone, so nothing of it is believed:
//! sizes are limited, every text must have its digest, the events must be ones that can follow each
//! other, and the last line has the digest of all others. What decides over this machine is not
//! taken over: folders, the file of the flow, permissions, recordings.

use crate::launch::Kept;
use crate::place::Place;
use crate::{Problem, RunRequest};
use divisi_core::content::Blob;
use divisi_core::event::{FORMAT as EVENTS_FORMAT, FlowSource, RunLabel};
use divisi_core::{Content, Digest, Event, Position, Recorded, Run, RunId, Timestamp};
use divisi_engine::store::{Batch, RunSummary, Store};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, Read};
use std::path::PathBuf;
use std::sync::Arc;

/// Version of the lines below.
pub const FORMAT: u32 = 1;

/// Largest file: a run of the greatest number of tasks with long results.
const BYTES_MAX: u64 = 4 << 30;

/// Longest line, with one text or event: a prompt may hold files of 16 MiB, and JSON escapes.
const LINE_BYTES_MAX: u64 = 128 << 20;

/// Longest name of a flow or a run, and longest tag: lists show them.
const NAME_BYTES_MAX: usize = 1_000;

/// Most tags of a run.
const TAGS_MAX: usize = 100;

/// One line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
enum Line {
    /// The first line.
    Run {
        /// Version of the lines.
        format: u32,
        /// Version of the events.
        events_format: u32,
        run: RunId,
        /// When it was last at work.
        updated_at: Timestamp,
    },
    /// A long text. Its digest is the name by which events refer to it.
    Text { digest: Digest, text: Arc<str> },
    /// An event; the number of events before it is its position.
    Event { at: Timestamp, event: Box<Event> },
    /// The last line, with the number of lines before it and the digest of their bytes.
    End { lines: u64, digest: Digest },
}

/// Why a file is refused.
#[derive(Debug, thiserror::Error)]
pub enum BadBundle {
    /// It cannot be read.
    #[error("it cannot be read")]
    Read(#[from] std::io::Error),
    /// A limit is exceeded.
    #[error("line {line} is longer than {LINE_BYTES_MAX} bytes, or the file than {BYTES_MAX}")]
    TooLarge {
        /// Which line.
        line: u64,
    },
    /// A line is not what it has to be.
    #[error("line {line}: {why}")]
    Line {
        /// Which line.
        line: u64,
        /// What is wrong.
        why: String,
    },
    /// It ends before its last line.
    #[error("it ends before its last line: a part of it is missing")]
    Cut,
}

/// A run that was read from a file and found to be sound.
#[derive(Debug)]
pub struct Bundle {
    id: RunId,
    updated_at: Timestamp,
    events: Vec<Recorded>,
    texts: BTreeMap<Digest, Arc<str>>,
}

/// The lines of a run.
pub async fn export(store: &dyn Store, id: &RunId) -> Result<String, Problem> {
    let Some(summary) = store.run(id).await? else {
        return Err(Problem::usage(format!("there is no run {id}")));
    };
    let mut events = vec![];
    let mut position = Position::default();
    loop {
        let page = store.events(id, position).await?;
        if page.is_empty() {
            break;
        }
        position = position.after(page.len());
        events.extend(page);
    }
    let mut lines = Lines::default();
    lines.push(&Line::Run {
        format: FORMAT,
        events_format: EVENTS_FORMAT,
        run: id.clone(),
        updated_at: summary.updated_at,
    })?;
    let mut written = BTreeSet::new();
    for recorded in &events {
        // Texts come before the events that refer to them.
        for digest in digests(&recorded.event)? {
            if !written.insert(digest) {
                continue;
            }
            let missing = || Problem::from(divisi_engine::DriveError::Missing(digest.to_string()));
            let text = store.blob(digest).await?.ok_or_else(missing)?;
            if Digest::of(text.as_bytes()) != digest {
                return Err(Problem::failed(anyhow::anyhow!(
                    "a text of run {id} had a key cut out of it when it was stored, and cannot be exported"
                )));
            }
            lines.push(&Line::Text { digest, text })?;
        }
        lines.push(&Line::Event {
            at: recorded.at,
            event: Box::new(recorded.event.clone()),
        })?;
    }
    let end = Line::End {
        lines: lines.count,
        digest: Digest::of(lines.text.as_bytes()),
    };
    lines.push(&end)?;
    Ok(lines.text)
}

#[derive(Default)]
struct Lines {
    text: String,
    count: u64,
}

impl Lines {
    fn push(&mut self, line: &Line) -> Result<(), Problem> {
        self.text += &serde_json::to_string(line).map_err(Problem::failed)?;
        self.text.push('\n');
        self.count += 1;
        Ok(())
    }
}

/// The digests of the long texts that an event refers to, wherever they are in it.
fn digests(event: &Event) -> Result<BTreeSet<Digest>, Problem> {
    let value = serde_json::to_value(event).map_err(Problem::failed)?;
    let mut found = BTreeSet::new();
    collect(&value, &mut found);
    Ok(found)
}

fn collect(value: &serde_json::Value, found: &mut BTreeSet<Digest>) {
    match value {
        serde_json::Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        serde_json::Value::Object(fields) => {
            let stored = fields.get("stored").filter(|_| fields.len() == 1);
            let content = stored.map(|_| serde_json::from_value::<Content>(value.clone()));
            match content {
                Some(Ok(Content::Stored { digest, .. })) => _ = found.insert(digest),
                _ => fields.values().for_each(|value| collect(value, found)),
            }
        }
        _ => {}
    }
}

/// Reads and checks the lines of a run.
pub fn read(lines: &mut dyn BufRead) -> Result<Bundle, BadBundle> {
    let mut reader = Reader::new(lines);
    let bad = |line: u64, why: &str| BadBundle::Line {
        line,
        why: why.to_owned(),
    };
    let Some(Line::Run {
        format,
        events_format,
        run: id,
        updated_at,
    }) = reader.next()?
    else {
        return Err(bad(1, "this is no run that divisi has exported"));
    };
    if format > FORMAT || events_format > EVENTS_FORMAT {
        let why = "a later divisi has written it; update this one";
        return Err(bad(1, why));
    }
    let mut bundle = Bundle {
        id,
        updated_at,
        events: vec![],
        texts: BTreeMap::new(),
    };
    let mut run = Run::new();
    loop {
        // Of the lines before this one.
        let (before, digest) = (reader.count, reader.digest());
        let line = before + 1;
        match reader.next()?.ok_or(BadBundle::Cut)? {
            Line::Run { .. } => return Err(bad(line, "a second run begins")),
            Line::Text { digest, text } => {
                if Digest::of(text.as_bytes()) != digest {
                    return Err(bad(line, "a text does not have its digest"));
                }
                bundle.texts.insert(digest, text);
            }
            Line::Event { at, event } => {
                run.apply(at, &event)
                    .map_err(|error| bad(line, &error.to_string()))?;
                let named = digests(&event).map_err(|error| bad(line, &error.to_string()))?;
                if let Some(missing) = named
                    .iter()
                    .find(|digest| !bundle.texts.contains_key(digest))
                {
                    let why = format!("its text {} is missing", missing.short());
                    return Err(bad(line, &why));
                }
                if let Event::RunStarted(started) = &*event
                    && !is_short(&started.name, &started.flow.label)
                {
                    return Err(bad(line, "a name in it is too long"));
                }
                bundle.events.push(Recorded {
                    position: Position(bundle.events.len() as u64),
                    at,
                    event: *event,
                });
            }
            Line::End {
                lines,
                digest: expected,
            } => {
                if (lines, expected) != (before, digest) {
                    return Err(bad(line, "the file was changed after it was written"));
                }
                if reader.next()?.is_some() {
                    return Err(bad(line + 1, "there is something after the last line"));
                }
                if bundle.events.is_empty() {
                    return Err(bad(line, "the run has no events"));
                }
                return Ok(bundle);
            }
        }
    }
}

/// Whether lists can show a run of this flow and label.
fn is_short(flow: &str, RunLabel { name, tags, about }: &RunLabel) -> bool {
    let mut names = tags.iter().chain(name).chain(about).map(|name| name.len());
    names.all(|bytes| bytes <= NAME_BYTES_MAX)
        && flow.len() <= NAME_BYTES_MAX
        && tags.len() <= TAGS_MAX
}

/// Reads lines within the limits, and keeps the digest of their bytes.
struct Reader<'a> {
    lines: &'a mut dyn BufRead,
    hash: Digester,
    /// Lines read.
    count: u64,
    bytes: u64,
}

impl<'a> Reader<'a> {
    fn new(lines: &'a mut dyn BufRead) -> Self {
        Self {
            lines,
            hash: Digester::default(),
            count: 0,
            bytes: 0,
        }
    }

    fn digest(&self) -> Digest {
        self.hash.digest()
    }

    fn next(&mut self) -> Result<Option<Line>, BadBundle> {
        let line = self.count + 1;
        let mut text = vec![];
        let most = LINE_BYTES_MAX.min(BYTES_MAX.saturating_sub(self.bytes));
        let read = (&mut self.lines)
            .take(most + 1)
            .read_until(b'\n', &mut text)?;
        if read as u64 > most {
            return Err(BadBundle::TooLarge { line });
        }
        if read == 0 {
            return Ok(None);
        }
        if !text.ends_with(b"\n") {
            return Err(BadBundle::Cut);
        }
        self.hash.update(&text);
        self.count = line;
        self.bytes += read as u64;
        let parsed = serde_json::from_slice(&text);
        parsed.map(Some).map_err(|error| BadBundle::Line {
            line,
            why: error.to_string(),
        })
    }
}

/// The digest of bytes that come in parts.
#[derive(Default)]
struct Digester(blake3::Hasher);

impl Digester {
    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn digest(&self) -> Digest {
        self.0.finalize().into()
    }
}

impl Bundle {
    /// Adds the run to `store`, as one of this place. Fails if it has a run of this id.
    pub async fn import(mut self, store: &dyn Store, place: &Place) -> Result<RunId, Problem> {
        let id = self.id;
        if let Some(known) = store.run(&id).await? {
            return Err(
                Problem::usage(format!("there is a run {id} already ({})", known.flow))
                    .hint(format!("`divisi rm {id}` removes it")),
            );
        }
        // Nothing may drive it before it is complete.
        let _lease = store.leases().take(&id).await?;
        for recorded in &mut self.events {
            match &mut recorded.event {
                Event::RunStarted(started) => settle(&mut started.flow, &mut self.texts, place)?,
                Event::RunResumed(resumed) => settle(&mut resumed.flow, &mut self.texts, place)?,
                _ => {}
            }
        }
        let mut run = Run::new();
        for recorded in &self.events {
            run.apply(recorded.at, &recorded.event)
                .map_err(Problem::failed)?;
        }
        let blobs = self.texts.into_iter();
        let batch = Batch {
            run: id.clone(),
            position: Position::default(),
            events: self.events,
            blobs: blobs.map(|(digest, text)| Blob { digest, text }).collect(),
            summary: RunSummary::of(&id, &run, self.updated_at),
            receipts: vec![],
        };
        store.append(Arc::new(batch)).await?;
        Ok(id)
    }
}

/// Replaces what decides over this machine by what holds here.
fn settle(
    flow: &mut FlowSource,
    texts: &mut BTreeMap<Digest, Arc<str>>,
    place: &Place,
) -> Result<(), Problem> {
    let options = match &flow.options {
        None => None,
        Some(Content::Inline(text)) => Some(text.clone()),
        Some(Content::Stored { digest, .. }) => texts.get(digest).cloned(),
    };
    let kept = options.and_then(|text| serde_json::from_str::<Kept>(&text).ok());
    let mut kept = kept.unwrap_or_default();
    kept.request = RunRequest {
        workspace: Some(PathBuf::from(place.name())),
        allow: Some(vec![]),
        untrusted: None,
        replay: None,
        ..kept.request
    };
    let text = serde_json::to_string(&kept).map_err(Problem::failed)?;
    let (content, blob) = Content::of(text.into());
    texts.extend(blob.map(|Blob { digest, text }| (digest, text)));
    flow.options = Some(content);
    flow.folder = Some(place.name().into());
    // Its path is one of another machine, where another file may be here.
    flow.path = None;
    Ok(())
}
