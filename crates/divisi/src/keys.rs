//! Keys that are typed while a run is under way.
//!
//! The terminal then passes on each key at once and prints none; Ctrl-C and Ctrl-Z stay signals. Its
//! former modes are restored on every way out: [`Keys`] is dropped, the process ends by a signal
//! ([`pause`]) or panics ([`restore`]), or it is suspended ([`paused`]). Stdin is not touched unless it is a
//! terminal, nor while the process is in the background.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, read};
use rustix::process::getpgrp;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr,
};
use std::future::pending;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// A key with a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Up,
    Down,
    /// Look into the chosen task.
    Open,
    /// Back to the list.
    Back,
    /// Set another cap.
    Cap,
    /// Of an amount.
    Digit(char),
    /// Take back the last digit; without one, back to the list.
    Erase,
    /// More tasks at a time.
    More,
    /// Fewer tasks at a time.
    Fewer,
    /// As the first Ctrl-C.
    Park,
    /// As Ctrl-C.
    Stop,
    Help,
}

/// Keys not taken yet; further ones are dropped, because what they would do is long outdated.
const KEYS_MAX: usize = 32;

/// How often the thread looks whether it is still wanted and in the foreground.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The same as the system counts.
const POLL_MAX: rustix::time::Timespec = rustix::time::Timespec {
    tv_sec: 0,
    tv_nsec: LOOK_EVERY.subsec_nanos() as i64,
};

/// The modes to restore.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Whether another part of the process uses the terminal, or the process is suspended.
static IS_PAUSED: AtomicBool = AtomicBool::new(false);

/// Receives keys while it exists.
pub(crate) struct Keys {
    typed: Option<mpsc::Receiver<Key>>,
    is_over: Arc<AtomicBool>,
}

impl Keys {
    /// Listens, if there is a live display and stdin is a terminal.
    pub(crate) fn of_display(is_live: bool) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let typed = (is_live && io::stdin().is_terminal()).then(|| {
            let (sends, typed) = mpsc::channel(KEYS_MAX);
            let is_over = is_over.clone();
            let listening = std::thread::Builder::new()
                .name("divisi-keys".into())
                .spawn(move || listen(&sends, &is_over));
            listening.ok().map(|_| typed)
        });
        Self {
            typed: typed.flatten(),
            is_over,
        }
    }

    /// Whether keys are received.
    pub(crate) fn are_heard(&self) -> bool {
        self.typed.is_some()
    }

    /// Waits for the next key.
    pub(crate) async fn next(&mut self) -> Key {
        let typed = match &mut self.typed {
            Some(typed) => typed.recv().await,
            None => None,
        };
        match typed {
            Some(key) => key,
            None => pending().await,
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        restore();
    }
}

/// Restores the modes of the terminal until [`go_on`], for a question or the end of the process.
pub(crate) fn pause() {
    IS_PAUSED.store(true, Ordering::SeqCst);
    restore();
}

/// Receives keys again.
pub(crate) fn go_on() {
    IS_PAUSED.store(false, Ordering::SeqCst);
}

/// Restores the modes of the terminal.
pub(crate) fn restore() {
    // In the background, the attempt would suspend the process.
    if let Some(before) = before().take().filter(|_| is_in_foreground()) {
        // There is no other way to restore them.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    }
}

/// Runs `act` while the terminal has its usual modes and no key is read.
pub(crate) fn paused(act: impl FnOnce()) {
    let was_paused = IS_PAUSED.swap(true, Ordering::SeqCst);
    restore();
    act();
    IS_PAUSED.store(was_paused, Ordering::SeqCst);
}

fn before() -> MutexGuard<'static, Option<Termios>> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_in_foreground() -> bool {
    tcgetpgrp(io::stdin()).is_ok_and(|foreground| foreground == getpgrp())
}

/// The loop of the thread.
fn listen(sends: &mpsc::Sender<Key>, is_over: &AtomicBool) {
    while !sends.is_closed() {
        if is_in_foreground() && !take_over(is_over) {
            return;
        }
        if before().is_none() || !is_in_foreground() {
            // What is typed now is for others.
            std::thread::sleep(LOOK_EVERY);
            continue;
        }
        let stdin = io::stdin();
        match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&POLL_MAX)) {
            Ok(0) | Err(Errno::INTR) => continue,
            Ok(_) => {}
            Err(_) => return,
        }
        // Held meanwhile, so that no key of an answer is taken.
        let before = before();
        if before.is_none() || !is_in_foreground() {
            continue;
        }
        let mut piece = [0; 64];
        match read(&stdin, &mut piece) {
            Err(Errno::INTR | Errno::AGAIN) => {}
            // The terminal is gone.
            Ok(0) | Err(_) => return,
            // Of keys that are typed faster than they are taken, the later ones are dropped.
            Ok(count) => keys(&piece[..count]).for_each(|key| _ = sends.try_send(key)),
        }
    }
}

/// Makes the terminal pass on each key, unless it does. Returns whether keys are still wanted.
fn take_over(is_over: &AtomicBool) -> bool {
    let mut before = before();
    // Under the lock, so that nothing is taken over after the modes were restored for the last time.
    if is_over.load(Ordering::SeqCst) {
        return false;
    }
    if before.is_none()
        && !IS_PAUSED.load(Ordering::SeqCst)
        && let Ok(modes) = tcgetattr(io::stdin())
    {
        let mut raw = modes.clone();
        raw.local_modes
            .remove(LocalModes::ICANON | LocalModes::ECHO);
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        if tcsetattr(io::stdin(), OptionalActions::Now, &raw).is_ok() {
            *before = Some(modes);
        }
    }
    true
}

/// The keys in a piece of what was typed.
fn keys(mut typed: &[u8]) -> impl Iterator<Item = Key> {
    std::iter::from_fn(move || {
        while let Some((&first, rest)) = typed.split_first() {
            typed = rest;
            let key = match first {
                b'\r' | b'\n' => Some(Key::Open),
                b'k' => Some(Key::Up),
                b'j' => Some(Key::Down),
                b'+' | b'=' => Some(Key::More),
                b'-' => Some(Key::Fewer),
                b'c' => Some(Key::Cap),
                b'0'..=b'9' | b'.' => Some(Key::Digit(first.into())),
                b'p' => Some(Key::Park),
                b'q' => Some(Key::Stop),
                b'?' | b'h' => Some(Key::Help),
                0x7f | 0x08 => Some(Key::Erase),
                0x1b => match typed.split_first() {
                    Some((b'[' | b'O', rest)) => {
                        let end = rest.iter().position(|byte| (0x40..=0x7e).contains(byte));
                        let (sequence, after) =
                            rest.split_at(end.map_or(rest.len(), |end| end + 1));
                        typed = after;
                        match sequence {
                            [b'A'] => Some(Key::Up),
                            [b'B'] => Some(Key::Down),
                            _ => None,
                        }
                    }
                    _ => Some(Key::Back),
                },
                _ => None,
            };
            if key.is_some() {
                return key;
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_what_is_typed() {
        let found = |typed: &[u8]| keys(typed).collect::<Vec<_>>();
        assert_eq!(found(b"\x1b[A\x1bOBx\n"), [Key::Up, Key::Down, Key::Open]);
        assert_eq!(found(b"\x1b"), [Key::Back]);
        assert_eq!(found(b"\x1b[1;5Cq"), [Key::Stop]);
        assert_eq!(found(b"\x1b[200"), []);
        assert_eq!(
            found(b"jk?p\x7f"),
            [Key::Down, Key::Up, Key::Help, Key::Park, Key::Erase]
        );
        assert_eq!(found(b"c2."), [Key::Cap, Key::Digit('2'), Key::Digit('.')]);
    }
}
