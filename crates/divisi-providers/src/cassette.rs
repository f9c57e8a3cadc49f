//! Replies recorded in a file, to replay the same conversation.
//!
//! Each line has the digest of a request and its reply. Neither requests nor connection data are
//! recorded, and replies are redacted, so the file contains neither prompts nor keys. The n-th of
//! several equal requests gets the n-th reply. Failures are not recorded, because they would be
//! useless in a replay.

use crate::error::ProviderError;
use crate::provider::{Progress, Provider};
use crate::redact;
use crate::reply::Reply;
use crate::request::Request;
use async_trait::async_trait;
use divisi_core::governor::IN_FLIGHT_MAX;
use divisi_core::{Digest, FailureClass};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Name of the provider when replaying without one.
pub const NAME: &str = "cassette";

/// Largest file: the replies of some hundred thousand tasks.
const BYTES_MAX: u64 = 1 << 30;

/// A provider that replays replies from a file, and records missing ones.
pub struct Cassette {
    path: PathBuf,
    inner: Option<Arc<dyn Provider>>,
    tape: Mutex<Tape>,
}

#[derive(Default)]
struct Tape {
    replies: HashMap<Digest, Vec<Reply>>,
    /// Number of replies replayed for each request.
    played: HashMap<Digest, usize>,
    /// Open while recording.
    file: Option<File>,
}

/// One line of the file.
#[derive(Serialize, Deserialize)]
struct Entry<'a> {
    digest: Digest,
    reply: std::borrow::Cow<'a, Reply>,
}

impl Cassette {
    /// Replays the file at `path` and nothing else.
    pub fn replay(path: impl Into<PathBuf>) -> Result<Self, CassetteError> {
        let path = path.into();
        let tape = Tape::read(&path).map_err(|cause| CassetteError {
            path: path.clone(),
            cause,
        })?;
        Ok(Self {
            path,
            inner: None,
            tape: Mutex::new(tape),
        })
    }

    /// Replays the file at `path`, sends all other requests to `inner`, and appends the replies, so
    /// that nothing is paid for twice.
    pub fn record(
        inner: Arc<dyn Provider>,
        path: impl Into<PathBuf>,
    ) -> Result<Self, CassetteError> {
        let path = path.into();
        let tape = Tape::open(&path).map_err(|cause| CassetteError {
            path: path.clone(),
            cause,
        })?;
        Ok(Self {
            path,
            inner: Some(inner),
            tape: Mutex::new(tape),
        })
    }

    fn tape(&self) -> MutexGuard<'_, Tape> {
        // A poisoned lock is safe to use: every change is a single step.
        self.tape.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn missing(&self, request: &Request, digest: Digest) -> ProviderError {
        let number = self.tape().replies.get(&digest).map_or(0, Vec::len) + 1;
        let (request, model, path) = (digest.short(), &request.model, self.path.display());
        let message = format!(
            "reply {number} to request {request} of model {model} is not in the cassette {path}"
        );
        ProviderError::new(FailureClass::Unavailable, message)
            .hint("the flow asks for something else than when it was recorded: record it again")
    }
}

#[async_trait]
impl Provider for Cassette {
    fn name(&self) -> &str {
        self.inner.as_ref().map_or(NAME, |inner| inner.name())
    }

    fn cached_tokens_min(&self) -> Option<u64> {
        self.inner
            .as_ref()
            .and_then(|inner| inner.cached_tokens_min())
    }

    fn in_flight_max(&self) -> u32 {
        self.inner
            .as_ref()
            .map_or(IN_FLIGHT_MAX, |inner| inner.in_flight_max())
    }

    async fn send(
        &self,
        request: &Request,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Reply, ProviderError> {
        let digest = request.digest();
        if let Some(reply) = self.tape().play(digest) {
            progress(Progress::Started(reply.rate));
            progress(Progress::OutputTokens(reply.usage.output));
            return Ok(reply);
        }
        let Some(inner) = &self.inner else {
            return Err(self.missing(request, digest));
        };
        let reply = redact::known().reply(inner.send(request, progress).await?);
        if let Err(error) = self.tape().record(digest, &reply) {
            // The reply is paid for, so it is returned unrecorded rather than lost.
            tracing::warn!(path = %self.path.display(), %error, "a reply could not be recorded");
        }
        Ok(reply)
    }

    async fn models(&self) -> Result<Vec<String>, ProviderError> {
        match &self.inner {
            Some(inner) => inner.models().await,
            None => {
                let mut models: Vec<_> = self
                    .tape()
                    .replies
                    .values()
                    .flatten()
                    .map(|reply| reply.model.clone())
                    .collect();
                models.sort();
                models.dedup();
                Ok(models)
            }
        }
    }

    /// Counts are not recorded, so without a provider there are none.
    async fn count_tokens(&self, request: &Request) -> Result<Option<u64>, ProviderError> {
        match &self.inner {
            Some(inner) => inner.count_tokens(request).await,
            None => Ok(None),
        }
    }
}

impl Tape {
    fn read(path: &Path) -> io::Result<Self> {
        let mut tape = Self::default();
        let text = text(path)?;
        for (number, line) in whole_lines(&text)
            .trim_start_matches('\u{feff}')
            .lines()
            .enumerate()
        {
            let entry: Entry<'_> = serde_json::from_str(line).map_err(|error| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("line {}: {error}", number + 1),
                )
            })?;
            tape.replies
                .entry(entry.digest)
                .or_default()
                .push(entry.reply.into_owned());
        }
        Ok(tape)
    }

    /// Reads the file, which may be missing, and opens it for appending.
    fn open(path: &Path) -> io::Result<Self> {
        if path.symlink_metadata().is_ok() {
            // Checks the kind of file first: replies must not be written to a pipe of that name.
            divisi_files::open(path).map_err(io::Error::other)?;
        }
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)?;
        let text = text(path)?;
        file.set_len(whole_lines(&text).len() as u64)?;
        file.flush()?;
        Ok(Self {
            file: Some(file),
            ..Self::read(path)?
        })
    }

    /// The next reply to the request with this digest.
    fn play(&mut self, digest: Digest) -> Option<Reply> {
        let played = self.played.entry(digest).or_default();
        let reply = self.replies.get(&digest)?.get(*played)?.clone();
        *played += 1;
        Some(reply)
    }

    /// Appends a reply, which counts as replayed. Each line is one write, so that lines of
    /// concurrent requests do not mix.
    fn record(&mut self, digest: Digest, reply: &Reply) -> io::Result<()> {
        let mut line = serde_json::to_vec(&Entry {
            digest,
            reply: std::borrow::Cow::Borrowed(reply),
        })?;
        line.push(b'\n');
        if let Some(file) = &mut self.file {
            file.write_all(&line)?;
            file.flush()?;
        }
        self.replies.entry(digest).or_default().push(reply.clone());
        *self.played.entry(digest).or_default() += 1;
        Ok(())
    }
}

fn text(path: &Path) -> io::Result<String> {
    let bytes = divisi_files::read(path, BYTES_MAX);
    // Without normalising line ends, because the end of the last complete line is a byte offset.
    bytes.and_then(divisi_files::utf8).map_err(io::Error::other)
}

/// The text up to the last line break: a line without one was cut off by a crash.
fn whole_lines(text: &str) -> &str {
    &text[..text.rfind('\n').map_or(0, |end| end + 1)]
}

/// Why a cassette cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the cassette {} cannot be used", path.display())]
pub struct CassetteError {
    path: PathBuf,
    #[source]
    cause: io::Error,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::Scripted;
    use std::fs;

    async fn text(provider: &dyn Provider, prompt: &str) -> Result<String, String> {
        let request = Request::new("haiku", prompt, 100);
        provider
            .send(&request, &|_| {})
            .await
            .map(|reply| reply.text())
            .map_err(|error| error.to_string())
    }

    fn counting() -> Arc<dyn Provider> {
        let rules =
            r#"[{"times": 1, "text": "first"}, {"times": 1, "text": "second"}, {"text": "later"}]"#;
        Arc::new(Scripted::from_rules(rules).unwrap())
    }

    #[tokio::test]
    async fn replays_what_was_recorded_in_the_order_of_equal_requests() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tape.jsonl");
        let recording = Cassette::record(counting(), &path).unwrap();
        assert_eq!(text(&recording, "a secret prompt").await.unwrap(), "first");
        assert_eq!(text(&recording, "a secret prompt").await.unwrap(), "second");
        assert_eq!(text(&recording, "another").await.unwrap(), "later");

        let replay = Cassette::replay(&path).unwrap();
        assert_eq!(text(&replay, "another").await.unwrap(), "later");
        assert_eq!(text(&replay, "a secret prompt").await.unwrap(), "first");
        assert_eq!(text(&replay, "a secret prompt").await.unwrap(), "second");
        assert_eq!(replay.models().await.unwrap(), ["haiku"]);
        assert!(!fs::read_to_string(&path).unwrap().contains("secret"));
    }

    #[tokio::test]
    async fn says_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tape.jsonl");
        text(&Cassette::record(counting(), &path).unwrap(), "known")
            .await
            .unwrap();
        let replay = Cassette::replay(&path).unwrap();
        let shown = |message: String| message.replace(&*folder.path().to_string_lossy(), "");
        insta::assert_snapshot!(shown(text(&replay, "unknown").await.unwrap_err()), @"reply 1 to request ab815a822b83 of model haiku is not in the cassette /tape.jsonl");
        text(&replay, "known").await.unwrap();
        insta::assert_snapshot!(shown(text(&replay, "known").await.unwrap_err()), @"reply 2 to request 0f01bb222158 of model haiku is not in the cassette /tape.jsonl");
    }

    #[tokio::test]
    async fn goes_on_with_a_file_that_a_crash_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tape.jsonl");
        text(&Cassette::record(counting(), &path).unwrap(), "a")
            .await
            .unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"digest\": \"12").unwrap();

        let recording = Cassette::record(Arc::new(Scripted::new()), &path).unwrap();
        assert_eq!(text(&recording, "a").await.unwrap(), "first");
        assert_eq!(text(&recording, "b").await.unwrap(), "[scripted haiku] b");
        let replay = Cassette::replay(&path).unwrap();
        assert_eq!(text(&replay, "b").await.unwrap(), "[scripted haiku] b");
    }

    #[tokio::test]
    async fn goes_on_with_a_file_that_an_editor_has_saved() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tape.jsonl");
        text(&Cassette::record(counting(), &path).unwrap(), "a")
            .await
            .unwrap();
        let saved = format!(
            "\u{feff}{}",
            fs::read_to_string(&path).unwrap().replace('\n', "\r\n")
        );
        fs::write(&path, saved).unwrap();
        text(
            &Cassette::record(Arc::new(Scripted::new()), &path).unwrap(),
            "b",
        )
        .await
        .unwrap();
        let replay = Cassette::replay(&path).unwrap();
        assert_eq!(text(&replay, "a").await.unwrap(), "first");
        assert_eq!(text(&replay, "b").await.unwrap(), "[scripted haiku] b");
    }

    #[test]
    fn is_a_regular_file() {
        let device = std::path::Path::new("/dev/zero");
        assert!(Cassette::replay(device).is_err());
        assert!(Cassette::record(counting(), device).is_err());
    }

    #[test]
    fn names_the_line_that_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tape.jsonl");
        fs::write(&path, "nonsense\n").unwrap();
        let Err(error) = Cassette::replay(&path) else {
            panic!("nonsense was taken for a cassette")
        };
        assert!(error.cause.to_string().starts_with("line 1: "));
    }
}
