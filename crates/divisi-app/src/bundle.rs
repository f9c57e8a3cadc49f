//! A run as one file: its journal and its long texts, as lines of JSON.
//!
//! `docs/export.md` describes the format. A file may come from anyone, so it is checked: sizes and
//! numbers are limited, every text must have its digest, the events must be ones that can follow
//! each other, and the last line has the digest of all others. What decides over this machine and
//! its user's money is not taken over: folders, the file of the flow, permissions, recordings, and
//! the options of its command line.

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

/// Most events: a run of the greatest number of tasks has about five for each.
const EVENTS_MAX: u64 = 10_000_000;

/// Longest name of a flow or a run, and longest tag: lists show them.
const NAME_BYTES_MAX: usize = 1_000;

/// Most tags of a run.
const TAGS_MAX: usize = 100;

/// The limits of a file that is read.
#[derive(Clone, Copy)]
struct Limits {
    bytes_max: u64,
    line_bytes_max: u64,
    events_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes_max: BYTES_MAX,
            line_bytes_max: LINE_BYTES_MAX,
            events_max: EVENTS_MAX,
        }
    }
}

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
    read_within(Limits::default(), lines)
}

fn read_within(limits: Limits, lines: &mut dyn BufRead) -> Result<Bundle, BadBundle> {
    let mut reader = Reader::new(lines, limits);
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
                if bundle.events.len() as u64 >= limits.events_max {
                    return Err(bad(line, "it has too many events"));
                }
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
                let is_short = match &*event {
                    Event::RunStarted(started) => {
                        has_short_names(&started.name, &started.flow.label)
                    }
                    Event::RunResumed(resumed) => has_short_names("", &resumed.flow.label),
                    _ => true,
                };
                if !is_short {
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
fn has_short_names(flow: &str, RunLabel { name, tags, about }: &RunLabel) -> bool {
    let mut names = tags.iter().chain(name).chain(about).map(|name| name.len());
    names.all(|bytes| bytes <= NAME_BYTES_MAX)
        && flow.len() <= NAME_BYTES_MAX
        && tags.len() <= TAGS_MAX
}

/// Reads lines within the limits, and keeps the digest of their bytes.
struct Reader<'a> {
    lines: &'a mut dyn BufRead,
    limits: Limits,
    hash: blake3::Hasher,
    /// Lines read.
    count: u64,
    bytes: u64,
}

impl<'a> Reader<'a> {
    fn new(lines: &'a mut dyn BufRead, limits: Limits) -> Self {
        Self {
            lines,
            limits,
            hash: blake3::Hasher::new(),
            count: 0,
            bytes: 0,
        }
    }

    fn digest(&self) -> Digest {
        self.hash.finalize().into()
    }

    fn next(&mut self) -> Result<Option<Line>, BadBundle> {
        let line = self.count + 1;
        let mut text = vec![];
        let rest = self.limits.bytes_max.saturating_sub(self.bytes);
        let most = self.limits.line_bytes_max.min(rest);
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
        let mut named = BTreeSet::new();
        for recorded in &self.events {
            run.apply(recorded.at, &recorded.event)
                .map_err(Problem::failed)?;
            named.extend(digests(&recorded.event)?);
        }
        // A text goes with the last run that names it, so others would stay for ever.
        self.texts.retain(|digest, _| named.contains(digest));
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

/// Replaces what decides over this machine and its user's money by what holds here.
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
    kept.is_imported = true;
    // Models of single tasks, which may be dearer than those of the flow.
    kept.replaced = BTreeMap::new();
    // All others come from the settings of this user, or are given with the resume.
    kept.request = RunRequest {
        workspace: Some(PathBuf::from(place.name())),
        allow: Some(vec![]),
        // Otherwise a demo would go on as a run that costs money.
        demo: kept.request.demo,
        ..RunRequest::default()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Dollars, Grant};
    use divisi_core::event::{Caps, RunResumed, RunStarted};
    use divisi_engine::store::MemoryStore;

    const FOLDER: &str = "/somewhere/else";

    fn flow(request: &RunRequest, label: RunLabel) -> FlowSource {
        let key = divisi_core::Key(Digest::of(b"a task"));
        let kept = Kept {
            request: request.clone(),
            replaced: [(key, "fable".into())].into(),
            ..Kept::default()
        };
        FlowSource {
            path: Some("/somewhere/else/flow.js".into()),
            source: Content::Inline("return 1".into()),
            args: None,
            folder: Some(FOLDER.into()),
            label,
            options: Some(Content::Inline(
                serde_json::to_string(&kept).unwrap().into(),
            )),
        }
    }

    fn started(flow: FlowSource) -> Event {
        Event::RunStarted(Box::new(RunStarted {
            format: EVENTS_FORMAT,
            name: "flow".into(),
            flow,
            limits: divisi_core::Limits::default(),
            caps: Caps::default(),
        }))
    }

    fn resumed(flow: FlowSource) -> Event {
        Event::RunResumed(Box::new(RunResumed {
            flow,
            limits: divisi_core::Limits::default(),
            caps: Caps::default(),
            reopen_failed: false,
            reopen: vec![],
        }))
    }

    /// A file with these texts and events.
    fn file(texts: &[&str], events: &[Event]) -> String {
        let mut lines = Lines::default();
        lines
            .push(&Line::Run {
                format: FORMAT,
                events_format: EVENTS_FORMAT,
                run: RunId::new("k3f9").unwrap(),
                updated_at: Timestamp(5),
            })
            .unwrap();
        for text in texts {
            lines
                .push(&Line::Text {
                    digest: Digest::of(text.as_bytes()),
                    text: (*text).into(),
                })
                .unwrap();
        }
        for event in events {
            lines
                .push(&Line::Event {
                    at: Timestamp(5),
                    event: Box::new(event.clone()),
                })
                .unwrap();
        }
        let end = Line::End {
            lines: lines.count,
            digest: Digest::of(lines.text.as_bytes()),
        };
        lines.push(&end).unwrap();
        lines.text
    }

    fn refusal(limits: Limits, file: &str) -> String {
        match read_within(limits, &mut file.as_bytes()) {
            Ok(bundle) => format!("accepted with {} events", bundle.events.len()),
            Err(error) => error.to_string(),
        }
    }

    #[tokio::test]
    async fn of_the_options_in_a_file_only_that_it_is_a_demo_is_taken_over() {
        let request = RunRequest {
            model: Some("opus".into()),
            provider: Some("theirs".into()),
            executor: Some("claude".into()),
            demo: true,
            max_cost: Some(Dollars(divisi_core::PicoUsd(u64::MAX))),
            token_budget: Some(u64::MAX),
            jobs: Some(1_000),
            retries: Some(1_000),
            keep_going: Some(true),
            hedge: Some(true),
            allow: Some(vec![Grant::Write]),
            workspace: Some(FOLDER.into()),
            replay: Some("/somewhere/else/replies".into()),
            ..RunRequest::default()
        };
        let events = [
            started(flow(&request, RunLabel::default())),
            resumed(flow(&request, RunLabel::default())),
        ];
        let bundle = read(&mut file(&[], &events).as_bytes()).unwrap();
        let store = MemoryStore::new();
        let folder = tempfile::tempdir().unwrap();
        let place = Place::of(folder.path());
        let id = bundle.import(&store, &place).await.unwrap();
        let recorded = store.events(&id, Position::default()).await.unwrap();
        let expected = RunRequest {
            demo: true,
            allow: Some(vec![]),
            workspace: Some(place.name().into()),
            ..RunRequest::default()
        };
        for recorded in &recorded {
            let flow = match &recorded.event {
                Event::RunStarted(started) => &started.flow,
                Event::RunResumed(resumed) => &resumed.flow,
                other => panic!("{other:?}"),
            };
            let Some(Content::Inline(options)) = &flow.options else {
                panic!("{flow:?}")
            };
            let kept: Kept = serde_json::from_str(options).unwrap();
            assert_eq!(kept.request, expected);
            assert!(kept.replaced.is_empty());
            assert!(kept.is_imported, "a cap in the journal is theirs, too");
            assert_eq!(flow.path, None);
        }
        assert_eq!(recorded.len(), 2);
    }

    #[tokio::test]
    async fn only_texts_that_an_event_names_are_stored() {
        let [named, other] = ["n", "o"].map(|text| text.repeat(1_000));
        let mut source = flow(&RunRequest::default(), RunLabel::default());
        source.source = Content::of(named.as_str().into()).0;
        let file = file(&[&named, &other], &[started(source)]);
        let bundle = read(&mut file.as_bytes()).unwrap();
        let store = MemoryStore::new();
        let place = Place::of(&std::env::temp_dir());
        bundle.import(&store, &place).await.unwrap();
        let has = async |text: &str| {
            let blob = store.blob(Digest::of(text.as_bytes())).await;
            blob.unwrap().is_some()
        };
        assert!(has(&named).await);
        assert!(!has(&other).await);
    }

    #[test]
    fn sizes_and_numbers_have_limits() {
        let event = started(flow(&RunRequest::default(), RunLabel::default()));
        let file = file(&["text"], &[event]);
        let (all, longest) = (file.len() as u64, file.lines().map(str::len).max().unwrap());
        let fits = Limits {
            bytes_max: all,
            line_bytes_max: longest as u64 + 1,
            events_max: 1,
        };
        assert_eq!(refusal(fits, &file), "accepted with 1 events");
        for (limits, expected) in [
            (
                Limits {
                    bytes_max: all - 1,
                    ..fits
                },
                "line 4 is longer",
            ),
            (
                Limits {
                    line_bytes_max: longest as u64,
                    ..fits
                },
                "line 3 is longer",
            ),
            (
                Limits {
                    events_max: 0,
                    ..fits
                },
                "line 3: it has too many events",
            ),
        ] {
            let said = refusal(limits, &file);
            assert!(said.starts_with(expected), "{said}");
        }
    }

    #[test]
    fn names_that_lists_show_have_limits() {
        let name = |bytes: usize| Some("x".repeat(bytes).into());
        let label = |name| RunLabel {
            name,
            ..RunLabel::default()
        };
        let of = |label: RunLabel| flow(&RunRequest::default(), label);
        let said = |first: RunLabel, second: RunLabel| {
            let events = [started(of(first)), resumed(of(second))];
            refusal(Limits::default(), &file(&[], &events))
        };
        let (short, long) = (label(name(NAME_BYTES_MAX)), label(name(NAME_BYTES_MAX + 1)));
        let many = RunLabel {
            tags: vec!["x".into(); TAGS_MAX + 1],
            ..RunLabel::default()
        };
        assert_eq!(said(short.clone(), short.clone()), "accepted with 2 events");
        for label in [long, many] {
            assert_eq!(
                said(label.clone(), short.clone()),
                "line 2: a name in it is too long"
            );
            assert_eq!(
                said(short.clone(), label),
                "line 3: a name in it is too long"
            );
        }
    }
}
