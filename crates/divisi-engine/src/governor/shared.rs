//! The file by which the processes of a machine share one vendor's limits.
//!
//! It holds a [`Pace`]. A process takes the lock, reads the state, decides, and writes the new
//! state. So together the processes stay within the limit, and a limit reported to one of them
//! applies to the next. The content is never precious: a file that is broken, missing or from
//! another boot is made anew, and a process that cannot use it paces alone.
//!
//! A process that dies leaves nothing locked: the system releases its lock, and buckets refill by
//! themselves.
//!
//! Its use blocks, on the disk and for up to [`LOCK_WAIT_MAX`], so it happens only on the thread in
//! `gate/steps.rs`.

use crate::private;
use divisi_core::Digest;
use divisi_core::governor::Pace;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// Longest wait for the lock. Other processes hold it for some microseconds, unless they are
/// stopped in the middle; then pacing one request alone is better than blocking.
const LOCK_WAIT_MAX: Duration = Duration::from_millis(50);

/// Time between two tries for the lock.
const LOCK_LOOK: Duration = Duration::from_micros(50);

/// Time without further tries after a wait in vain: the holder may be stopped for hours, and each
/// wait delays all requests.
const ALONE_FOR: Duration = Duration::from_secs(1);

/// Largest difference between two computed boot times of the same boot, because wall clocks are
/// corrected now and then. State of another boot is useless, because its clock was another one.
const BOOT_ERROR_MILLIS: u64 = 60_000;

/// Most files of a folder before unused ones are removed. One has some hundred bytes, and there is
/// one for each key and model family.
const FILES_MAX: usize = 256;

/// Age at which an unused file may be removed.
const UNUSED: Duration = Duration::from_hours(24);

/// Where the processes of a machine share the limits of one credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedLimits {
    folder: PathBuf,
    account: Digest,
}

/// The file of one credential and model family.
#[derive(Debug)]
pub(super) struct SharedPace {
    path: PathBuf,
    /// `None` once it has turned out to be unusable.
    file: Option<File>,
    /// Until when its lock is not tried.
    alone_until: Option<Instant>,
}

/// The lock, held for one step, with the state found in the file.
pub(super) struct Turn {
    found: Option<Pace>,
}

#[derive(Serialize, Deserialize)]
struct Kept<P> {
    /// The computed boot time of the machine.
    booted_at: u64,
    pace: P,
}

impl SharedLimits {
    /// Files in `folder` for the credential with the fingerprint `account`.
    pub fn new(folder: impl Into<PathBuf>, account: Digest) -> Self {
        Self {
            folder: folder.into(),
            account,
        }
    }

    /// The file of a model family.
    pub(super) fn file_of(&self, family: &str) -> PathBuf {
        let name = Digest::of(format!("{} {family}", self.account).as_bytes()).to_string();
        self.folder.join(format!("{}.json", &name[..32]))
    }
}

impl Turn {
    /// The state found in the file; `None` if there is none, or none of use.
    pub(super) fn found(&self) -> Option<&Pace> {
        self.found.as_ref()
    }
}

impl SharedPace {
    pub(super) fn open(path: PathBuf) -> Self {
        let mut shared = Self {
            path,
            file: None,
            alone_until: None,
        };
        match opened(&shared.path) {
            Ok(file) => shared.file = Some(file),
            Err(error) => shared.give_up(&error),
        }
        shared
    }

    /// Begins a shared step: takes the lock and reads the state. `None` if that fails; then the
    /// step is performed alone.
    pub(super) fn begin(&mut self) -> Option<Turn> {
        if !self.is_ours() {
            return None;
        }
        match read(self.file.as_mut()?) {
            Ok(found) => Some(Turn { found }),
            Err(error) => {
                self.give_up(&error);
                None
            }
        }
    }

    /// Ends a step: writes the new state, if it has changed.
    pub(super) fn end(&mut self, turn: Turn, left: &Pace) {
        let Some(file) = self.file.as_mut() else {
            return;
        };
        let written = match turn.found.as_ref().unwrap_or(&Pace::default()) == left {
            true => Ok(()),
            false => write(file, left),
        };
        if let Err(error) = written.and_then(|()| file.unlock()) {
            self.give_up(&error);
        }
    }

    /// Whether this process holds the lock now.
    fn is_ours(&mut self) -> bool {
        if self.alone_until.is_some_and(|until| Instant::now() < until) {
            return false;
        }
        match self.file.as_ref().map(locked) {
            None => false,
            Some(Ok(is_ours)) => {
                self.alone_until = (!is_ours).then(|| Instant::now() + ALONE_FOR);
                is_ours
            }
            Some(Err(error)) => {
                self.give_up(&error);
                false
            }
        }
    }

    fn give_up(&mut self, error: &io::Error) {
        self.file = None;
        let path = self.path.display();
        tracing::warn!(%path, %error, "cannot share rate limits with other processes: each keeps to them alone");
    }
}

/// Milliseconds on a clock that all processes of the machine share, and that advances while it
/// sleeps.
pub(super) fn machine_millis() -> u64 {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: ClockId = ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const CLOCK: ClockId = ClockId::Monotonic;
    let now = clock_gettime(CLOCK);
    now.tv_sec as u64 * 1_000 + now.tv_nsec as u64 / 1_000_000
}

fn booted_at() -> u64 {
    let wall = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    (wall.as_millis() as u64).saturating_sub(machine_millis())
}

fn opened(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        // The usage of a key is private to its user.
        private::folder(folder)?;
        if !path.exists() {
            tidy(folder);
        }
    }
    private::narrow(path)?;
    private::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

/// Removes unused files if there are many.
fn tidy(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    if files.len() < FILES_MAX {
        return;
    }
    let is_unused = |path: &&PathBuf| {
        let changed = path.metadata().and_then(|metadata| metadata.modified());
        path.extension().is_some_and(|ending| ending == "json")
            && changed.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > UNUSED))
    };
    for path in files.iter().filter(is_unused) {
        // A file that cannot be removed does no harm.
        let _ = std::fs::remove_file(path);
    }
}

/// Whether `file` could be locked within a short wait. Fails where there are no locks.
fn locked(file: &File) -> io::Result<bool> {
    let looks = LOCK_WAIT_MAX.as_micros() / LOCK_LOOK.as_micros();
    for _ in 0..looks {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_LOOK),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(false)
}

/// The state in the file; `None` if there is none, or none of use.
fn read(file: &mut File) -> io::Result<Option<Pace>> {
    let mut text = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut text)?;
    let kept = serde_json::from_slice(&text).ok();
    let of_this_boot = |kept: &Kept<Pace>| kept.booted_at.abs_diff(booted_at()) < BOOT_ERROR_MILLIS;
    Ok(kept.filter(of_this_boot).map(|kept| kept.pace))
}

fn write(file: &mut File, pace: &Pace) -> io::Result<()> {
    let text = serde_json::to_vec(&Kept {
        booted_at: booted_at(),
        pace,
    })?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&text)?;
    // Cut last: after a crash in between the text cannot be parsed, and counts as no state.
    file.set_len(text.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use divisi_core::Timestamp;
    use divisi_core::governor::{Decision, Estimate, Governor, RateSettings};
    use std::fs::OpenOptions;
    use std::os::unix::fs::OpenOptionsExt;
    use std::os::unix::fs::PermissionsExt;

    fn governor() -> Governor {
        let settings = RateSettings {
            requests_per_minute: Some(60),
            burst: Some(2),
            ..RateSettings::default()
        };
        Governor::new(&settings)
    }

    fn of(limits: &SharedLimits, family: &str) -> SharedPace {
        SharedPace::open(limits.file_of(family))
    }

    fn ask(shared: &mut SharedPace, governor: &mut Governor) -> bool {
        matches!(ask_at(machine_millis(), shared, governor), Decision::Go(_))
    }

    fn ask_at(now: u64, shared: &mut SharedPace, governor: &mut Governor) -> Decision {
        let turn = shared.begin();
        turn.as_ref()
            .and_then(Turn::found)
            .cloned()
            .into_iter()
            .for_each(|found| governor.adopt(found));
        let decision = governor.ask(Timestamp(now), Estimate::default());
        turn.into_iter()
            .for_each(|turn| shared.end(turn, governor.share()));
        decision
    }

    #[test]
    fn two_handles_share_and_two_families_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let limits = SharedLimits::new(folder.path().join("limits"), Digest::of(b"account"));
        let [mut one, mut two, mut other] =
            ["opus", "opus", "haiku"].map(|family| of(&limits, family));
        let [mut a, mut b, mut c] = [governor(), governor(), governor()];
        assert!(ask(&mut one, &mut a) && ask(&mut two, &mut b));
        assert!(!ask(&mut one, &mut a) && !ask(&mut two, &mut b));
        assert!(ask(&mut other, &mut c));
    }

    #[test]
    fn what_is_broken_or_of_another_boot_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let limits = SharedLimits::new(folder.path(), Digest::of(b"account"));
        let mut shared = of(&limits, "opus");
        assert!(ask(&mut shared, &mut governor()) && ask(&mut shared, &mut governor()));
        assert!(!ask(&mut shared, &mut governor()));
        let path = shared.path.clone();
        let kept = std::fs::read_to_string(&path).unwrap();
        let booted_before = kept.replace(&format!("{}", booted_at() / 100_000), "17000000");
        assert_ne!(kept, booted_before);
        for text in [&kept[..kept.len() / 2], "", &booted_before] {
            std::fs::write(&path, text).unwrap();
            assert!(ask(&mut shared, &mut governor()), "{text}");
        }
        std::fs::write(&path, &kept).unwrap();
        assert!(!ask(&mut shared, &mut governor()));
    }

    #[test]
    fn whoever_cannot_write_goes_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("limits"),
            "a file where a folder should be",
        )
        .unwrap();
        let limits = SharedLimits::new(folder.path().join("limits"), Digest::of(b"account"));
        let (mut shared, mut governor) = (of(&limits, "opus"), governor());
        assert!(shared.file.is_none());
        assert!(ask(&mut shared, &mut governor) && ask(&mut shared, &mut governor));
        assert!(!ask(&mut shared, &mut governor));
    }

    #[test]
    fn a_lock_that_is_not_given_back_is_left_alone_for_a_second() {
        let folder = tempfile::tempdir().unwrap();
        let limits = SharedLimits::new(folder.path(), Digest::of(b"account"));
        let (mut shared, mut stopped) = (of(&limits, "opus"), of(&limits, "opus"));
        stopped.file.as_ref().unwrap().lock().unwrap();
        let [mut alone, mut other] = [governor(), governor()];
        assert!(ask(&mut shared, &mut alone));
        stopped.file.as_ref().unwrap().unlock().unwrap();
        assert!(ask(&mut stopped, &mut other) && ask(&mut stopped, &mut other));
        // The lock has not been tried again yet, so this process does not know of the others'
        // requests.
        assert!(ask(&mut shared, &mut alone));
        shared.alone_until = None;
        assert!(!ask(&mut shared, &mut alone));
        let mut third = governor();
        let decision = ask_at(
            machine_millis() + 2_500,
            &mut of(&limits, "opus"),
            &mut third,
        );
        // Requests sent meanwhile are counted afterwards: two exceeded the limit.
        assert!(matches!(decision, Decision::Wait(_)), "{decision:?}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn whoever_has_no_locks_says_so_and_goes_alone() {
        /// A handle without read or write access.
        const O_PATH: i32 = 0o10_000_000;
        let folder = tempfile::tempdir().unwrap();
        let limits = SharedLimits::new(folder.path(), Digest::of(b"account"));
        let (mut shared, mut governor) = (of(&limits, "opus"), governor());
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(O_PATH)
            .open(&shared.path)
            .unwrap();
        shared.file = Some(file);
        assert!(ask(&mut shared, &mut governor));
        assert!(shared.file.is_none());
    }

    #[test]
    fn nobody_else_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let limits = SharedLimits::new(folder.path().join("limits"), Digest::of(b"account"));
        let shared = of(&limits, "opus");
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode(&folder.path().join("limits")), mode(&shared.path)),
            (0o700, 0o600)
        );
    }

    #[test]
    fn a_folder_of_many_files_is_tidied() {
        let folder = tempfile::tempdir().unwrap();
        let long_ago = SystemTime::now() - 2 * UNUSED;
        for number in 0..FILES_MAX {
            let file = File::create(folder.path().join(format!("{number}.json"))).unwrap();
            if number > 0 {
                file.set_modified(long_ago).unwrap();
            }
        }
        of(
            &SharedLimits::new(folder.path(), Digest::of(b"account")),
            "opus",
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
