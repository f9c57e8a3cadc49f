//! Ctrl-C and SIGTERM.

use crate::home::Home;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

/// A task that goes on until there is a file `go`, one beside it, one after both.
const SLOW: &str = "\
export const meta = { name: 'slow', description: 'One task that is held, and two that are not' };
const held = shell('until [ -e go ]; do sleep 0.05; done', { label: 'held' });
await agent('Say something', { label: 'one', tools: [] });
await held;
await agent('Say the end', { label: 'end', tools: [] });
return 'done';
";

/// A run of which one task is done, and one is held.
struct UnderWay {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
}

impl UnderWay {
    fn new(home: &Home) -> Self {
        let args = ["run", "slow.js", "--demo", "--allow", "run"];
        let mut child = home.divisi(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut run = Self { child, stderr };
        run.wait_for("✓ one");
        run
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Reads on until something is said.
    fn wait_for(&mut self, part: &str) {
        let mut line = String::new();
        while !line.contains(part) {
            line.clear();
            assert!(self.stderr.read_line(&mut line).unwrap() > 0, "it never said {part}");
        }
    }

    fn code(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

#[test]
fn once_parks_the_run_and_it_can_be_resumed() {
    for signal in [Signal::INT, Signal::TERM] {
        let home = Home::with("slow.js", SLOW);
        let mut run = UnderWay::new(&home);
        run.signal(signal);
        run.wait_for("parking: waiting for 1 request to finish; Ctrl-C again to stop now");
        home.write("go", "");
        run.wait_for(&format!("divisi resume {}", home.last()));
        assert_eq!(run.code(), Some(4));
        let said = home.ends(0, &["resume", "last"]);
        assert_eq!(said.stdout, "done");
        assert!(said.stderr.contains("2 reused, 1 to run"), "{}", said.stderr);
    }
}

#[test]
fn twice_ends_the_run_at_once() {
    let home = Home::with("slow.js", SLOW);
    let mut run = UnderWay::new(&home);
    run.signal(Signal::INT);
    run.wait_for("parking: ");
    run.signal(Signal::INT);
    run.wait_for("stopping: what is under way is lost");
    assert_eq!(run.code(), Some(130));
    home.write("go", "");
    assert_eq!(home.ends(0, &["resume", "last"]).stdout, "done");
}
