//! The two outputs: results on stdout, messages on stderr.
//!
//! A reader may close its end at any time, as `head` does: that is no failure, the run goes on, and
//! its journal is complete. A reader may also stop reading, as a pager does: then only the end of
//! the process waits for it. Each output has its own thread, which writes what is queued. Results
//! are kept until they are read ([`backlog`]); messages that do not fit are dropped and counted.
//!
//! All output is redacted.

mod backlog;

use crate::text;
use backlog::{Backlog, Overflow};
use divisi_providers::redact;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes per write: few enough that a slow reader's progress is seen.
const CHUNK_BYTES: usize = 16 * 1024;

/// How long to wait for an output that is full and that another process has made non-blocking.
const FULL_REST: Duration = Duration::from_millis(10);

/// How long the end of the process waits for a reader of results that reads nothing: a user may
/// look at the first page that long, but a stuck collector never reads on.
const RESULTS_STALL_MAX: Duration = Duration::from_secs(10 * 60);

/// The same for messages, and for results after a request to stop.
const TALK_STALL_MAX: Duration = Duration::from_secs(1);

static RESULTS: LazyLock<Way> = LazyLock::new(|| Way::open(io::stdout().as_fd(), Overflow::Spill));
static TALK: LazyLock<Way> = LazyLock::new(|| Way::open(io::stderr().as_fd(), Overflow::Drop));

/// Longest answer to a question. A terminal passes on the first 4,095 bytes of a line and drops the
/// rest without a word: a longer one may not be whole.
const ANSWER_BYTES_MAX: usize = 4_094;

/// What is said of a longer one.
pub(crate) const TOO_LONG: &str = "an answer that is typed has at most 4,094 bytes";

/// How often a question is asked at most: after three invalid answers the input is probably no
/// user.
const ASKED_MAX: u32 = 3;

/// Writes a page to stdout, with a line break at its end; nothing for an empty one. Later failures
/// are reported by [`finish`].
pub(crate) fn print(text: &str) -> io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    print_as_it_is(&text::printed(text))
}

/// The same for a result that a program reads.
pub(crate) fn print_as_it_is(text: &str) -> io::Result<()> {
    let mut line = adapted(&redact(text), &io::stdout());
    line.push('\n');
    // On a terminal both outputs share the screen: earlier messages must appear first.
    finish_talk();
    match results().write_all(line.as_bytes()) {
        Err(error) if is_gone(&error) => Ok(()),
        written => written,
    }
}

/// Prints a message on stderr.
pub(crate) fn say(text: &str) {
    let mut line = adapted(&text::printed(&redact(text)), &io::stderr());
    line.push('\n');
    // There is no other place to report that this failed.
    let _ = talk().write_all(line.as_bytes());
}

/// Whether there is a terminal to ask and to answer on.
pub(crate) fn can_ask() -> bool {
    io::stderr().is_terminal() && (io::stdin().is_terminal() || has_keyboard())
}

/// The terminal of the process, for an answer while stdin brings something else, such as a list.
pub(crate) const KEYBOARD: &str = "/dev/tty";

/// Whether stderr is that terminal, and the process is in its foreground: reading from it in the
/// background would stop the process.
fn has_keyboard() -> bool {
    tcgetpgrp(io::stderr()).is_ok_and(|foreground| foreground == getpgrp())
}

/// Asks on the terminal, and again if the reply is none of `answers`: words, accepted in full or by
/// their first letter, with their values. The last one is the default: for an empty line, the end
/// of the input, and [`ASKED_MAX`] invalid replies. `question` comes without the words.
pub(crate) fn ask<T: Copy>(question: &str, answers: &[(&str, T)]) -> io::Result<Option<T>> {
    if !can_ask() {
        return Ok(None);
    }
    let mut put = |text: &str| {
        let _ = write!(talk(), "{text}");
        finish_talk();
    };
    let question = text::line(question);
    match io::stdin().is_terminal() {
        true => answer(&question, answers, &mut io::stdin().lock(), &mut put),
        false => answer(
            &question,
            answers,
            &mut BufReader::new(File::open(KEYBOARD)?),
            &mut put,
        ),
    }
}

fn answer<T: Copy>(
    question: &str,
    answers: &[(&str, T)],
    lines: &mut impl BufRead,
    put: &mut impl FnMut(&str),
) -> io::Result<Option<T>> {
    let words = answers
        .iter()
        .map(|(word, _)| *word)
        .collect::<Vec<_>>()
        .join("/");
    put(&format!("{question} [{words}] "));
    let last = answers.last().map(|(_, meant)| *meant);
    for asked in 1..=ASKED_MAX {
        let mut line = String::new();
        let read = lines
            .by_ref()
            .take(ANSWER_BYTES_MAX as u64)
            .read_line(&mut line)?;
        let said = line.trim().to_lowercase();
        if read == 0 || said.is_empty() {
            break;
        }
        let is_meant = |word: &str| word == said || (said.len() == 1 && word.starts_with(&said));
        if let Some((_, meant)) = answers.iter().find(|(word, _)| is_meant(word)) {
            return Ok(Some(*meant));
        }
        if asked < ASKED_MAX {
            put(&format!("please answer with one of [{words}] "));
        }
    }
    Ok(last)
}

/// Prints on stderr what is followed by a reply on the same line, at once.
pub(crate) fn put(text: &str) {
    // There is no other place to report that this failed.
    let _ = write!(talk(), "{}", text::printed(&redact(text)));
    finish_talk();
}

/// Sends control sequences to the terminal that show nothing in it; nowhere else.
pub(crate) fn ring(sequence: &str) {
    if io::stderr().is_terminal() && !console::is_dumb() {
        // There is no other place to report that this failed.
        let _ = talk().write_all(sequence.as_bytes());
    }
}

/// Reads lines that the user types, while other threads go on.
pub(crate) struct Keyboard(OwnedFd);

/// What the user has typed.
pub(crate) enum Typed {
    /// A line, without its break.
    Line(String),
    /// A line of more than [`ANSWER_BYTES_MAX`]; no part of it is left.
    TooLong,
    /// The end of the input.
    End,
    /// Nothing, and the line is no longer wanted.
    Stopped,
}

impl Keyboard {
    /// How often a reader looks whether its line is still wanted.
    const LOOK_EVERY: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 100_000_000,
    };

    /// Stdin, or the terminal of the process if stdin brings something else.
    pub(crate) fn open() -> io::Result<Self> {
        let stdin = io::stdin();
        Ok(Self(match stdin.is_terminal() {
            true => stdin.as_fd().try_clone_to_owned()?,
            false => File::open(KEYBOARD)?.into(),
        }))
    }

    /// Waits for a line, or until `stop` is set.
    pub(crate) fn line(&mut self, stop: &AtomicBool) -> io::Result<Typed> {
        let (mut line, mut is_whole) = (vec![], true);
        let mut piece = vec![0; ANSWER_BYTES_MAX + 2];
        loop {
            let mut wanted = [PollFd::new(&self.0, PollFlags::IN)];
            let is_typed = match poll(&mut wanted, Some(&Self::LOOK_EVERY)) {
                Ok(ready) => ready > 0,
                Err(Errno::INTR) => false,
                Err(error) => return Err(error.into()),
            };
            // After the wait: what has been typed meanwhile is for the next question.
            if stop.load(Ordering::Relaxed) {
                return Ok(Typed::Stopped);
            }
            if !is_typed {
                continue;
            }
            let read = match rustix::io::read(&self.0, &mut piece) {
                Ok(read) => read,
                // The process was continued in the background, or the terminal has gone.
                Err(Errno::INTR | Errno::AGAIN) => continue,
                Err(error) => return Err(error.into()),
            };
            line.extend_from_slice(&piece[..read]);
            let has_ended = line.pop_if(|byte| *byte == b'\n').is_some();
            if line.len() > ANSWER_BYTES_MAX {
                is_whole = false;
                line.clear();
            }
            return match (read, has_ended) {
                (0, _) if line.is_empty() && is_whole => Ok(Typed::End),
                (1.., false) => continue,
                _ if !is_whole => Ok(Typed::TooLong),
                _ => {
                    let line = String::from_utf8_lossy(&line);
                    Ok(Typed::Line(line.trim_end_matches('\r').to_owned()))
                }
            };
        }
    }
}

/// A writer to stdout. Never waits; fails once a write has failed.
pub(crate) fn results() -> impl Write + Send + 'static {
    &*RESULTS
}

/// The same for stderr.
pub(crate) fn talk() -> impl Write + Send + 'static {
    &*TALK
}

/// Whether everything for stderr is written.
pub(crate) fn is_talk_heard() -> bool {
    TALK.lock().is_done()
}

/// Whether a write failed because the reader is gone: a closed pipe, or a terminal that was hung
/// up.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe || Errno::from_io_error(error) == Some(Errno::IO)
}

/// Waits until everything is written, but not longer than a reader may stall.
///
/// Fails if results are lost. A closed stdout loses nothing.
pub(crate) fn finish(is_stopping: bool) -> io::Result<()> {
    let most = if is_stopping {
        TALK_STALL_MAX
    } else {
        RESULTS_STALL_MAX
    };
    let written = drain_results(most);
    finish_talk();
    written
}

fn drain_results(most: Duration) -> io::Result<()> {
    match RESULTS.drain(most) {
        Err(error) if is_gone(&error) => Ok(()),
        written => written,
    }
}

/// Waits until the results so far are written, as long as they are read.
pub(crate) fn finish_results() -> io::Result<()> {
    drain_results(RESULTS_STALL_MAX)
}

/// Waits until the messages so far are written.
pub(crate) fn finish_talk() {
    // There is no other place to report that this failed.
    let _ = TALK.drain(TALK_STALL_MAX);
}

/// The text for `stream`: with colours, or without.
fn adapted(text: &str, stream: &impl anstream::stream::RawStream) -> String {
    match anstream::AutoStream::choice(stream) {
        anstream::ColorChoice::Never => anstream::adapter::strip_str(text).to_string(),
        _ => text.to_owned(),
    }
}

/// One output.
struct Way(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Notified when there is something to write, and when something was written.
    changed: Condvar,
}

struct State {
    backlog: Backlog,
    /// Whether the thread has taken bytes that are not yet written.
    is_writing: bool,
    /// Number of writes so far: it changes while the reader reads.
    written: u64,
    /// Why nothing more is written.
    failed: Option<io::Error>,
}

impl Way {
    fn open(stream: BorrowedFd<'_>, overflow: Overflow) -> Self {
        let state = State {
            backlog: Backlog::new(overflow),
            is_writing: false,
            written: 0,
            failed: None,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let of_thread = shared.clone();
        let started = stream.try_clone_to_owned().and_then(|stream| {
            let write = move || of_thread.write_all_to(&File::from(stream));
            thread::Builder::new()
                .name("divisi-output".into())
                .spawn(write)
        });
        shared.lock().failed = started.err();
        Self(shared)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }

    /// Waits until all is written. Fails on a failed write, or if nothing is taken for `most`.
    fn drain(&self, most: Duration) -> io::Result<()> {
        let mut state = self.lock();
        let (mut written, mut since) = (state.written, Instant::now());
        while !state.is_done() {
            if state.written != written {
                (written, since) = (state.written, Instant::now());
            }
            let Some(left) = most
                .checked_sub(since.elapsed())
                .filter(|left| !left.is_zero())
            else {
                let message = format!("its reader has read nothing for {most:?}");
                return Err(io::Error::new(io::ErrorKind::TimedOut, message));
            };
            state = self
                .0
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state.check()
    }
}

impl Write for &'static Way {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.lock();
        state.check()?;
        state.backlog.push(bytes)?;
        self.0.changed.notify_all();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lock().check()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The loop of the output's thread.
    fn write_all_to(&self, stream: &File) {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        loop {
            let mut state = self.lock();
            while state.backlog.is_empty() {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            chunk.clear();
            let mut ended = state.backlog.take(&mut chunk, CHUNK_BYTES);
            state.is_writing = true;
            // Unlocked while writing, which takes as long as the reader likes.
            drop(state);
            let mut left = &chunk[..];
            while ended.is_ok() && !left.is_empty() {
                ended = write_some(stream, &mut left);
                let mut state = self.lock();
                state.written += 1;
                self.changed.notify_all();
            }
            let mut state = self.lock();
            state.is_writing = false;
            state.failed = ended.err();
            self.changed.notify_all();
            if state.failed.is_some() {
                state.backlog.clear();
                return;
            }
        }
    }
}

/// Writes as much as the stream takes at once.
fn write_some(mut stream: &File, left: &mut &[u8]) -> io::Result<()> {
    match stream.write(left) {
        Ok(0) => Err(io::ErrorKind::WriteZero.into()),
        Ok(taken) => {
            *left = &left[taken..];
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            thread::sleep(FULL_REST);
            Ok(())
        }
        Err(error) => Err(error),
    }
}

impl State {
    fn is_done(&self) -> bool {
        self.failed.is_some() || (self.backlog.is_empty() && !self.is_writing)
    }

    fn check(&self) -> io::Result<()> {
        match &self.failed {
            None => Ok(()),
            Some(error) => Err(match error.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None => io::Error::new(error.kind(), error.to_string()),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{PipeReader, Read};

    /// An output into a pipe, and the end to read from.
    fn piped(overflow: Overflow) -> (&'static Way, PipeReader) {
        let (reader, writer) = io::pipe().unwrap();
        (
            Box::leak(Box::new(Way::open(writer.as_fd(), overflow))),
            reader,
        )
    }

    /// Lines that exceed the capacity of a pipe by far, for a large `count`.
    fn lines(count: usize) -> String {
        (0..count).map(|line| format!("{line:>99}\n")).collect()
    }

    #[test]
    fn nothing_waits_for_a_reader_of_results_and_it_gets_them_all() {
        let (mut way, mut reader) = piped(Overflow::Spill);
        let text = lines(80_000);
        way.write_all(text.as_bytes()).unwrap();
        assert_eq!(
            way.drain(Duration::ZERO).unwrap_err().kind(),
            io::ErrorKind::TimedOut
        );
        let mut read = vec![0; text.len()];
        reader.read_exact(&mut read).unwrap();
        assert!(read == text.as_bytes());
        way.drain(Duration::from_secs(60)).unwrap();
        way.write_all(b"more").unwrap();
        reader.read_exact(&mut read[..4]).unwrap();
        assert_eq!(&read[..4], b"more");
    }

    #[test]
    fn of_talk_what_does_not_fit_is_counted() {
        let (mut way, mut reader) = piped(Overflow::Drop);
        let text = lines(1);
        let total = 40_000;
        (0..total).for_each(|_| way.write_all(text.as_bytes()).unwrap());
        let mut read = String::new();
        let mut read_some = |until: &dyn Fn(&str) -> bool| {
            let mut bytes = [0; 64 * 1024];
            while !until(&read) {
                let count = reader.read(&mut bytes).unwrap();
                read.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
            }
            read.clone()
        };
        // Stops before all kept output is read, when there is room for more.
        read_some(&|read| read.len() > 1024 * 1024);
        way.write_all(b"last\n").unwrap();
        let read = read_some(&|read| read.ends_with("last\n"));
        let kept = read.lines().filter(|line| line.ends_with(" 0")).count();
        // In several places, if the thread has taken a chunk meanwhile.
        let left_out = read.lines().filter_map(|line| {
            let count = line.strip_prefix("… ")?;
            let count = count.strip_suffix(" lines left out: nothing read them")?;
            count.parse::<usize>().ok()
        });
        let left_out: usize = left_out.sum();
        assert!(
            left_out > 0 && kept + left_out == total,
            "{kept} kept, {left_out} left out"
        );
    }

    #[test]
    fn a_reader_that_goes_is_told_once_it_is_written_to() {
        let (mut way, reader) = piped(Overflow::Spill);
        drop(reader);
        way.write_all(b"a").unwrap();
        assert!(is_gone(&way.drain(Duration::from_secs(60)).unwrap_err()));
        assert!(is_gone(&way.write_all(b"b").unwrap_err()));
    }

    #[test]
    fn a_question_is_put_again_where_the_answer_is_none() {
        let asked = |said: &str| {
            let mut shown = String::new();
            let answers = [("yes", 'y'), ("without", 'w'), ("no", 'n')];
            let meant = answer(
                "trust it?",
                &answers,
                &mut said.as_bytes(),
                &mut |text: &str| shown += text,
            )
            .unwrap();
            (meant.unwrap(), shown.matches('[').count())
        };
        assert_eq!(asked("Yes\n"), ('y', 1));
        assert_eq!(asked("w\n"), ('w', 1));
        assert_eq!(asked("maybe\nwithout\n"), ('w', 2));
        assert_eq!(asked("maybe\nye\nhm\nyes\n"), ('n', 3));
        assert_eq!(
            [asked("\n"), asked(""), asked("maybe\n")],
            [('n', 1), ('n', 1), ('n', 2)]
        );
    }

    #[test]
    fn a_hung_up_terminal_is_a_reader_that_has_gone_and_a_full_disk_is_not() {
        assert!(is_gone(&Errno::IO.into()));
        assert!(!is_gone(&Errno::NOSPC.into()));
    }
}
