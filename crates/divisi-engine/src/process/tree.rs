//! A program and everything it started, to be stopped together.
//!
//! A process group is not enough: agent programs run each shell in a session of its own, and a
//! daemon leaves its parent. On Linux three signs, read from `/proc`, show that a process belongs
//! to the tree: the process group, the parents, and an environment variable inherited by children.
//! A daemon that drops all three at once is still below a [supervisor](super::supervisor), if there
//! is one. On other systems only the group is used.

use rustix::process::{Pid, Signal, kill_process_group};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The variable that marks every process of a tree.
pub(super) const MARK_VARIABLE: &str = "DIVISI_PROCESS_TREE";

/// The value of [`MARK_VARIABLE`] for one tree, unique on this machine.
pub(super) struct Mark(String);

impl Mark {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let nanos = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_nanos());
        Self(format!("{}-{nanos}-{count}", std::process::id()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A running program and its descendants. Dropping it kills them.
pub(super) struct Tree {
    /// `None` once everything has ended.
    members: Option<Members>,
}

struct Members {
    /// The program, which leads a process group of its own.
    leader: Pid,
    are_gone: bool,
    #[cfg(target_os = "linux")]
    known: linux::Known,
}

impl Tree {
    /// The tree of the program with this id; empty if it has already ended.
    pub(super) fn new(leader: Option<u32>, mark: Mark) -> Self {
        let leader = leader
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        #[cfg(not(target_os = "linux"))]
        let _ = mark;
        Self {
            members: leader.map(|leader| Members {
                leader,
                are_gone: false,
                #[cfg(target_os = "linux")]
                known: linux::Known::new(leader, mark),
            }),
        }
    }

    /// Sends SIGTERM to the program's group. Records the members of the tree first, while their
    /// parents still exist.
    pub(super) fn terminate(&mut self) {
        let Some(members) = &mut self.members else {
            return;
        };
        #[cfg(target_os = "linux")]
        members.known.look();
        let _ = kill_process_group(members.leader, Signal::TERM);
    }

    /// Nothing of it is running any more.
    pub(super) fn is_over(&mut self) {
        if let Some(members) = &mut self.members {
            members.are_gone = true;
        }
    }

    /// Kills the remaining processes, on a blocking thread because it reads `/proc`.
    ///
    /// This happens even if the future is dropped.
    pub(super) async fn kill(&mut self) {
        if let Some(members) = self.members.take() {
            let _ = tokio::task::spawn_blocking(move || drop(members)).await;
        }
    }
}

/// In `Drop`, because a blocking task that never runs is only dropped.
impl Drop for Members {
    fn drop(&mut self) {
        if self.are_gone {
            return;
        }
        #[cfg(target_os = "linux")]
        {
            self.known.look();
            // As long as the supervisor runs, orphans cannot escape it.
            self.known.kill_all_but_leader();
        }
        // Killing the group is one system call, which no member can outrun by forking.
        let _ = kill_process_group(self.leader, Signal::KILL);
        #[cfg(target_os = "linux")]
        self.known.kill();
    }
}

#[cfg(target_os = "linux")]
pub(super) mod linux {
    use super::{MARK_VARIABLE, Mark};
    use rustix::process::{Pid, Signal, kill_process};
    use std::collections::{BTreeMap, BTreeSet};

    /// Most rounds of looking for processes started during the killing. A tree that still grows is
    /// a fork bomb, which is a matter for the system's limits.
    const ROUNDS_MAX: usize = 20;

    /// The members of a tree seen so far.
    pub(super) struct Known {
        leader: i32,
        /// `NAME=value`, as in an environment.
        mark: Vec<u8>,
        /// Start time of each member, because process ids are reused.
        started: BTreeMap<i32, u64>,
    }

    /// The used part of `/proc/<id>/stat`.
    #[derive(Clone, Copy)]
    struct Stat {
        parent: i32,
        group: i32,
        started: u64,
    }

    impl Known {
        pub(super) fn new(leader: Pid, mark: Mark) -> Self {
            let leader = leader.as_raw_nonzero().get();
            let mut known = Self {
                leader,
                mark: format!("{MARK_VARIABLE}={}", mark.as_str()).into_bytes(),
                started: BTreeMap::new(),
            };
            known
                .started
                .extend(stat(leader).map(|stat| (leader, stat.started)));
            known
        }

        /// Adds the present members; returns whether there were new ones.
        pub(super) fn look(&mut self) -> bool {
            let running = running();
            let before = self.started.len();
            // Older processes cannot be descendants; skipping them also saves most reads of
            // environments.
            let oldest = self.started.get(&self.leader).copied().unwrap_or(0);
            for (&id, stat) in running.iter().filter(|(_, stat)| stat.started >= oldest) {
                if stat.group == self.leader || self.is_marked(id) {
                    self.started.insert(id, stat.started);
                }
            }
            let mut grown = true;
            while grown {
                let children: Vec<_> = running
                    .iter()
                    .filter(|(id, stat)| {
                        !self.started.contains_key(id) && self.is_alive(stat.parent, &running)
                    })
                    .map(|(&id, stat)| (id, stat.started))
                    .collect();
                grown = !children.is_empty();
                self.started.extend(children);
            }
            self.started.len() > before
        }

        pub(super) fn kill_all_but_leader(&mut self) {
            self.kill_where(|known, id| id != known.leader);
        }

        pub(super) fn kill(&mut self) {
            self.kill_where(|_, _| true);
        }

        fn kill_where(&mut self, is_meant: impl Fn(&Self, i32) -> bool) {
            let mut killed = BTreeSet::new();
            for _ in 0..ROUNDS_MAX {
                for (&id, &started) in self.started.iter().filter(|(id, _)| is_meant(self, **id)) {
                    // A process with the same id but another start time is a stranger, to which the
                    // id was given again.
                    let same = stat(id).is_some_and(|stat| stat.started == started);
                    if let Some(pid) = Pid::from_raw(id).filter(|_| same && killed.insert(id)) {
                        let _ = kill_process(pid, Signal::KILL);
                    }
                }
                if !self.look() {
                    break;
                }
            }
        }

        fn is_alive(&self, id: i32, running: &BTreeMap<i32, Stat>) -> bool {
            self.started
                .get(&id)
                .is_some_and(|&s| running.get(&id).is_some_and(|stat| stat.started == s))
        }

        fn is_marked(&self, id: i32) -> bool {
            // Unreadable for processes of other users, which do not belong to the tree.
            std::fs::read(format!("/proc/{id}/environ")).is_ok_and(|environ| {
                environ
                    .split(|&byte| byte == 0)
                    .any(|entry| entry == self.mark)
            })
        }
    }

    /// All processes below one that is not killed itself.
    pub(in crate::process) struct Descendants {
        of: i32,
    }

    impl Descendants {
        pub(in crate::process) fn of(process: Pid) -> Self {
            Self {
                of: process.as_raw_nonzero().get(),
            }
        }

        /// Kills them and those they start meanwhile. Below a subreaper none can escape.
        pub(in crate::process) fn kill(&self) {
            for _ in 0..ROUNDS_MAX {
                let all = self.all();
                if all.is_empty() {
                    break;
                }
                for pid in all.into_iter().filter_map(Pid::from_raw) {
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
        }

        fn all(&self) -> BTreeSet<i32> {
            let running = running();
            let mut found = BTreeSet::from([self.of]);
            loop {
                let below = |(id, stat): (&i32, &Stat)| found.contains(&stat.parent).then_some(*id);
                let new: Vec<_> = running
                    .iter()
                    .filter_map(below)
                    .filter(|id| !found.contains(id))
                    .collect();
                if new.is_empty() {
                    found.remove(&self.of);
                    return found;
                }
                found.extend(new);
            }
        }
    }

    fn running() -> BTreeMap<i32, Stat> {
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        ids.filter_map(|id| Some((id, stat(id)?))).collect()
    }

    /// Reads the state of a process; `None` if it has ended, even if it has not been waited for.
    fn stat(id: i32) -> Option<Stat> {
        let line = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name may contain parentheses, so the fields are counted from the last one.
        let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
        let &[state, parent, group, ..] = fields.as_slice() else {
            return None;
        };
        if matches!(state, "Z" | "X") {
            return None;
        }
        let started = fields.get(19)?.parse().ok()?;
        Some(Stat {
            parent: parent.parse().ok()?,
            group: group.parse().ok()?,
            started,
        })
    }
}
