//! The work of tasks in worktrees: listed, looked at, merged, removed.

use crate::home::{Home, Said};
use crate::stopping::wait_until;
use crate::terminal::Screen;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The identity of the user, and a filter of theirs, as Git LFS has one.
const SETTINGS: &str = "\
[user]
  name = U
  email = u@example.org
[maintenance]
  auto = false
[protocol \"file\"]
  allow = always
[filter \"upper\"]
  clean = tr A-Z a-z
  smudge = tr a-z A-Z
  required = true
";

/// A home with a git repository in one of its folders.
pub(crate) struct Place {
    pub(crate) home: Home,
    pub(crate) root: PathBuf,
}

impl Place {
    /// A repository with one commit of `a.txt` and `b.txt`.
    pub(crate) fn new(folder: &str) -> Self {
        let home = Home::new();
        home.write("../.gitconfig", SETTINGS);
        let root = home.folder().join(folder);
        fs::create_dir_all(&root).unwrap();
        let place = Self { home, root };
        place.git(&["init", "--quiet", "--initial-branch=main"]);
        place.write("a.txt", "one\ntwo\n");
        place.write("b.txt", "b\n");
        place.git(&["add", "."]);
        place.git(&["commit", "--quiet", "-m", "first"]);
        place
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.root.join(file), text).unwrap();
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.root.join(file)).unwrap()
    }

    fn git_said(&self, args: &[&str]) -> std::process::Output {
        Command::new("git")
            .args(args)
            .current_dir(&self.root)
            .env("HOME", self.home.folder().join(".."))
            .output()
            .unwrap()
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        let output = self.git_said(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    fn ends(&self, code: i32, args: &[&str]) -> Said {
        self.home.ends_in(&self.root, code, args)
    }

    fn json(&self, code: i32, args: &[&str]) -> Value {
        serde_json::from_str(&self.ends(code, &[args, &["--json"]].concat()).stdout).unwrap()
    }

    /// Runs a flow with one agent for each label, which runs the command in a worktree of its own.
    /// Returns the id of the run.
    pub(crate) fn run(&self, agents: &[(&str, &str)]) -> String {
        let path = self.home.folder().join("../flow.js");
        fs::write(&path, flow(agents)).unwrap();
        let path = path.display().to_string();
        self.ends(0, &["run", &path, "--demo", "-q", "--allow", "run"]);
        self.json(0, &["runs"])[0]["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    fn subjects(&self) -> Vec<String> {
        let said = self.git(&["log", "--first-parent", "--format=%s"]);
        said.lines().map(str::to_owned).collect()
    }

    /// What a command says on stderr, without the id and names of commits.
    fn said(&self, code: i32, run: &str, args: &[&str]) -> String {
        let mut said = self.ends(code, args).stderr.replace(run, "RUN");
        for commit in self.git(&["rev-list", "--all"]).lines() {
            said = said
                .replace(commit, "COMMIT")
                .replace(&commit[..10], "COMMIT");
        }
        said
    }
}

fn flow(agents: &[(&str, &str)]) -> String {
    let agent = |(label, command): &(&str, &str)| {
        let options = json!({ "executor": "shell", "isolation": "worktree", "label": label });
        format!("() => agent({}, {options})", json!(command))
    };
    let agents: Vec<String> = agents.iter().map(agent).collect();
    format!(
        "export const meta = {{ name: 'mend', description: 'd' }};\nawait parallel([{}]);\n",
        agents.join(",\n")
    )
}

const TWO: [(&str, &str); 3] = [
    ("alpha", "sed -i s/one/ONE/ a.txt && echo new > new.txt"),
    ("beta", "sed -i s/one/uno/ a.txt"),
    (
        "gamma",
        "echo c >> b.txt && git commit --quiet -a -m mine && echo d >> b.txt",
    ),
];

#[test]
fn a_merge_stops_at_a_conflict_and_goes_on_when_it_is_settled() {
    let place = Place::new(".");
    let run = place.run(&TWO);
    let before = place.head();
    insta::assert_snapshot!(place.said(1, &run, &["merge"]), @r"
    t0 `alpha` is merged
    error: t1 `beta` is in conflict with branch `main` in `a.txt`
      hint: edit and `git add a.txt`, then `divisi merge RUN` goes on
      hint: without this task: `git merge --abort`, then `divisi merge RUN` with the tasks that you want
      hint: `divisi merge RUN --abort` takes the branch back to where it was
    ");
    assert_eq!(place.read("new.txt"), "new\n");
    // The same again, in JSON too.
    let again = place.json(1, &["merge"]);
    assert_eq!(
        (&again["status"], &again["before"]),
        (&json!("conflict"), &json!(before))
    );
    assert_eq!(again["tasks"][1]["conflicts"], json!(["a.txt"]));
    place.write("a.txt", "ONE uno\ntwo\n");
    place.git(&["add", "a.txt"]);
    // Added, and then changed again.
    place.write("a.txt", "ONE, uno\ntwo\n");
    let unstaged = place.said(1, &run, &["merge"]);
    assert!(
        unstaged.contains("not all of it would be committed: `a.txt`"),
        "{unstaged}"
    );
    place.git(&["add", "a.txt"]);
    let check = ["merge", "--check", "grep -q ONE a.txt && echo checked"];
    insta::assert_snapshot!(place.said(0, &run, &check), @r"
    check: grep -q ONE a.txt && echo checked
    checked
    t0 `alpha` is merged already
    t1 `beta` is merged already
    t2 `gamma` is merged
    check: grep -q ONE a.txt && echo checked
    checked
    all is merged into `main`; `git reset --keep COMMIT` would undo it, `divisi worktrees --remove RUN` removes the worktrees
    ");
    assert_eq!(
        place.subjects(),
        [3, 2, 1]
            .map(|n| {
                let label = ["alpha", "beta", "gamma"][n - 1];
                format!("Merge {label} (task t{} of divisi run {run})", n - 1)
            })
            .into_iter()
            .chain(["first".to_owned()])
            .collect::<Vec<_>>()
    );
    assert_eq!(
        (place.read("a.txt"), place.read("b.txt")),
        ("ONE, uno\ntwo\n".into(), "b\nc\nd\n".into())
    );
    assert_eq!(
        place.git(&["log", "-1", "--format=%an %ae %cn"]),
        "U u@example.org U\n"
    );
    assert_eq!(place.git(&["status", "--porcelain"]), "");
    assert!(
        place
            .said(0, &run, &["merge"])
            .ends_with("nothing to merge")
    );
    let listed = place.json(0, &["worktrees"]);
    let merged = listed.as_array().unwrap().iter().map(|it| &it["merged"]);
    assert_eq!(merged.collect::<Vec<_>>(), [true, true, true]);
    assert_eq!(
        place.said(0, &run, &["worktrees", "--remove", "last"]),
        "removed 3 worktrees"
    );
    assert_eq!(place.ends(0, &["worktrees"]).stdout, "no worktrees");
    assert_eq!(place.json(0, &["worktrees", "last"])[0]["state"], "gone");
    assert_eq!(place.git(&["worktree", "list"]).lines().count(), 1);
}

#[test]
fn an_abort_goes_back_and_leaves_commits_of_the_user_alone() {
    let place = Place::new(".");
    let run = place.run(&TWO);
    let before = place.head();
    place.ends(1, &["merge", "--abort"]);
    place.ends(1, &["merge"]);
    let undone = place.json(0, &["merge", "--abort"]);
    assert_eq!((&undone["head"], place.head()), (&json!(before), before));
    assert_eq!(place.git(&["status", "--porcelain"]), "");
    assert!(!place.root.join("new.txt").exists());

    // A task that is left out, and a failed check.
    let check = [
        "merge",
        "last",
        "alpha",
        "t2",
        "--check",
        "! grep -q d b.txt",
    ];
    let failed = place.said(1, &run, &check);
    assert!(
        failed.contains("the check has failed (exit status: 1)"),
        "{failed}"
    );
    assert_eq!(place.subjects().len(), 3);
    let again = place
        .ends(1, &["merge", "--check", "! grep -q d b.txt"])
        .stderr;
    assert!(!again.contains("is merged"), "it checks first: {again}");
    place.write("b.txt", "b\nc\n");
    place.git(&["commit", "--quiet", "-a", "-m", "mended"]);
    let refused = place.said(1, &run, &["merge", "--abort"]);
    insta::assert_snapshot!(refused, @r"
    error: `main` has commits that are not of this merge, such as COMMIT
      hint: `git reset --keep COMMIT` takes the branch back all the same, without these commits
    ");
    assert_eq!(place.subjects()[0], "mended");
    // It remembers the tasks, and beta is not among them.
    let done = place.json(0, &["merge", "--check", "! grep -q d b.txt"]);
    assert_eq!(
        (&done["status"], done["tasks"].as_array().unwrap().len()),
        (&json!("merged"), 2)
    );
    let kept = place.said(0, &run, &["worktrees", "--remove", "last"]);
    assert!(
        kept.contains("1 worktree stays, with work that is not merged (t1 beta)"),
        "{kept}"
    );
    place.ends(2, &["worktrees", "--remove", "last", "beta"]);
    place.ends(0, &["worktrees", "--remove", "last", "beta", "--force"]);
    assert_eq!(place.ends(0, &["worktrees"]).stdout, "no worktrees");
}

#[test]
fn nothing_is_merged_where_it_could_harm() {
    let mut told = String::new();
    let mut refuses = |what: &str, change: &dyn Fn(&Place)| {
        let place = Place::new(".");
        let run = place.run(&TWO[..1]);
        change(&place);
        let state = |place: &Place| {
            let files = place.git_said(&["status", "--porcelain", "--ignored"]);
            (
                files.stdout,
                place.git_said(&["rev-parse", "HEAD"]).stdout,
                place.read("a.txt"),
            )
        };
        let before = state(&place);
        let said = place.said(1, &run, &["merge"]);
        told += &format!("{what}:\n{said}\n");
        assert!(state(&place) == before, "{what}");
    };
    refuses("changes", &|place| place.write("a.txt", "mine\n"));
    refuses("staged changes", &|place| {
        place.write("a.txt", "mine\n");
        place.git(&["add", "a.txt"]);
        place.write("a.txt", "one\ntwo\n");
    });
    refuses("no commit", &|place| {
        place.git(&["checkout", "--quiet", "--orphan", "empty"]);
    });
    refuses("no branch", &|place| {
        place.git(&["checkout", "--quiet", "--detach"]);
    });
    refuses("bare", &|place| {
        place.git(&["config", "core.bare", "true"]);
    });
    refuses("core.worktree", &|place| {
        let far = place.root.join("../far");
        fs::create_dir(&far).unwrap();
        place.git(&["config", "core.worktree", &far.display().to_string()]);
    });
    refuses("a merge", &|place| {
        place.git(&["branch", "other"]);
        place.git(&["commit", "--quiet", "--allow-empty", "-m", "second"]);
        place.git(&["switch", "--quiet", "other"]);
        place.git(&["commit", "--quiet", "--allow-empty", "-m", "third"]);
        place.git(&["merge", "--quiet", "--no-commit", "--no-ff", "main"]);
    });
    refuses("a rebase", &|place| {
        place.git(&["commit", "--quiet", "--allow-empty", "-m", "second"]);
        place.git(&[
            "-c",
            "sequence.editor=sed -i 1ibreak",
            "rebase",
            "--quiet",
            "-i",
            "HEAD~1",
        ]);
        // A rebase has no branch checked out.
        let head = place.head();
        place.git(&["update-ref", "refs/heads/side", &head]);
        place.git(&["symbolic-ref", "HEAD", "refs/heads/side"]);
    });
    refuses("another git", &|place| {
        fs::write(place.root.join(".git/index.lock"), "").unwrap();
    });
    refuses("another history", &|place| {
        place.git(&["switch", "--quiet", "--orphan", "other"]);
        place.write("a.txt", "other\n");
        place.git(&["add", "a.txt"]);
        place.git(&["commit", "--quiet", "-m", "other"]);
    });
    refuses("a filter of the repository", &|place| {
        place.git(&["config", "filter.evil.clean", "touch RAN"]);
    });
    refuses("a file in the way", &|place| {
        place.write("new.txt", "mine\n");
    });
    insta::assert_snapshot!("what_refuses_a_merge", told);
}

#[test]
fn one_merge_at_a_time_and_on_its_branch() {
    let place = Place::new(".");
    let first = place.run(&TWO);
    let second = place.run(&TWO[2..]);
    place.ends(1, &["merge", &first]);
    let other = place.said(1, &first, &["merge", &second]);
    assert!(
        other.contains("a merge of run RUN is under way in"),
        "{other}"
    );
    assert!(
        other.contains("`divisi merge RUN --abort` undoes it"),
        "{other}"
    );
    place.git(&["merge", "--abort"]);
    place.git(&["switch", "--quiet", "-c", "side"]);
    let elsewhere = place.said(1, &first, &["merge", &first]);
    assert!(
        elsewhere.contains("begun on branch `main`, and `side` is checked out"),
        "{elsewhere}"
    );
    assert!(elsewhere.contains("hint: `git switch main`"), "{elsewhere}");
    // Without the task in conflict.
    place.git(&["switch", "--quiet", "main"]);
    place.ends(0, &["merge", &first, "alpha", "gamma"]);
    assert_eq!(place.subjects().len(), 3);
}

/// Merges one change of `a.txt` and a new file.
fn merges(place: &Place) {
    let run = place.run(&TWO[..1]);
    let said = place.said(0, &run, &["merge"]);
    assert!(said.contains("all is merged"), "{said}");
    assert_eq!(place.read("new.txt").to_lowercase(), "new\n");
    assert_eq!(place.git(&["status", "--porcelain"]), "");
    place.ends(0, &["worktrees", "--remove", "last"]);
}

#[test]
fn unusual_repositories_are_merged_into_like_any_other() {
    let odd = Place::new("wörk dir 'x'");
    merges(&odd);

    let hooked = Place::new(".");
    for hook in [
        "pre-merge-commit",
        "commit-msg",
        "post-merge",
        "post-checkout",
        "pre-commit",
    ] {
        let path = hooked.root.join(".git/hooks").join(hook);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "#!/bin/sh\ntouch \"$HOME/RAN\"\nexit 1\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    merges(&hooked);
    assert!(!hooked.home.folder().join("../RAN").exists(), "a hook ran");

    let mut linked = Place::new("main");
    linked.git(&["worktree", "add", "--quiet", "-b", "side", "../linked"]);
    linked.root = linked.home.folder().join("linked");
    merges(&linked);
    assert_eq!(linked.subjects().len(), 2);
    assert_eq!(linked.git(&["log", "--format=%s", "main"]), "first\n");

    let set = Place::new(".");
    set.git(&["config", "core.worktree", &set.root.display().to_string()]);
    merges(&set);

    let mut inner = Place::new("super");
    inner.git(&["clone", "--quiet", ".", "../inner"]);
    inner.git(&["submodule", "--quiet", "add", "../inner", "mod"]);
    inner.git(&["commit", "--quiet", "-m", "with a submodule"]);
    // What is dirty within a submodule is no change of the repository.
    inner.write("mod/b.txt", "mine\n");
    let run = inner.run(&TWO[..1]);
    assert!(inner.said(0, &run, &["merge"]).contains("all is merged"));
    assert_eq!(inner.read("mod/b.txt"), "mine\n");
    inner.root = inner.root.join("mod");
    inner.git(&["checkout", "--quiet", "b.txt"]);
    inner.git(&["switch", "--quiet", "-C", "main"]);
    merges(&inner);

    let filtered = Place::new(".");
    filtered.write(".gitattributes", "*.txt filter=upper\n");
    filtered.git(&["add", "."]);
    filtered.git(&["commit", "--quiet", "-m", "filtered"]);
    fs::remove_file(filtered.root.join("a.txt")).unwrap();
    filtered.git(&["checkout", "--quiet", "a.txt"]);
    let run = filtered.run(&[("alpha", "sed -i s/ONE/UNO/ a.txt && echo NEW > new.txt")]);
    assert!(filtered.said(0, &run, &["merge"]).contains("all is merged"));
    assert_eq!(filtered.read("a.txt"), "UNO\nTWO\n");
    assert_eq!(filtered.git(&["show", "HEAD:a.txt"]), "uno\ntwo\n");
    assert_eq!(filtered.git(&["status", "--porcelain"]), "");

    // Its own filters run once they are permitted.
    let own = Place::new(".");
    own.git(&["config", "filter.own.clean", "cat"]);
    let run = own.run(&TWO[..1]);
    own.ends(1, &["merge"]);
    assert!(
        own.said(0, &run, &["merge", "--filters"])
            .contains("all is merged")
    );
}

#[test]
fn a_kill_amid_a_merge_loses_nothing() {
    let place = Place::new(".");
    // A merge driver of the user's, which is slow.
    let driver =
        "touch \\\"$HOME/begun\\\"; until [ -e \\\"$HOME/go\\\" ]; do sleep 0.05; done; cp %B %A";
    place.home.write(
        "../.gitconfig",
        &format!("{SETTINGS}[merge \"slow\"]\n  driver = \"{driver}\"\n"),
    );
    place.write(".gitattributes", "a.txt merge=slow\n");
    place.git(&["add", "."]);
    place.git(&["commit", "--quiet", "-m", "slow"]);
    let run = place.run(&TWO);
    place.write("a.txt", "one\ntwo\nmine\n");
    place.git(&["commit", "--quiet", "-a", "-m", "mine"]);
    let before = place.head();
    let mut merge = place.home.divisi(&["merge"]);
    merge
        .current_dir(&place.root)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut merge = merge.spawn().unwrap();
    let at = |file: &str| place.home.folder().join("..").join(file);
    wait_until(|| at("begun").exists());
    merge.kill().unwrap();
    merge.wait().unwrap();
    let busy = place.said(1, &run, &["merge"]);
    assert!(
        busy.contains("another git works on the repository, or was killed"),
        "{busy}"
    );
    fs::write(at("go"), "").unwrap();
    // Git comes to its end by itself.
    wait_until(|| place.head() != before && !place.root.join(".git/index.lock").exists());
    assert_eq!(place.git(&["status", "--porcelain"]), "");
    let said = place.said(0, &run, &["merge"]);
    assert!(
        said.starts_with("t0 `alpha` is merged already\nt1 `beta` is merged\n"),
        "{said}"
    );
    assert_eq!(place.subjects().len(), 6);
    assert!(!place.root.join(".git/divisi-merge.json").exists());

    // A git that was killed leaves its lock, which is named with what to do.
    let second = place.run(&TWO[2..]);
    fs::write(place.root.join(".git/index.lock"), "").unwrap();
    let locked = place.said(1, &second, &["merge"]);
    assert!(
        locked.contains("hint: wait for it; if none is at work: `rm "),
        "{locked}"
    );
    fs::remove_file(place.root.join(".git/index.lock")).unwrap();
    place.ends(0, &["merge"]);
}

#[test]
fn a_worktree_of_a_killed_run_is_found_and_not_merged() {
    let place = Place::new(".");
    let held = "echo half > half.txt; touch \"$HOME/begun\"; until [ -e \"$HOME/go\" ]; do sleep 0.05; done";
    fs::write(
        place.home.folder().join("../flow.js"),
        flow(&[("held", held)]),
    )
    .unwrap();
    let mut run = place
        .home
        .divisi(&["run", "../flow.js", "--demo", "-q", "--allow", "run"]);
    run.stdout(Stdio::null()).stderr(Stdio::null());
    let mut run = run.spawn().unwrap();
    let at = |file: &str| place.home.folder().join("..").join(file);
    wait_until(|| at("begun").exists());
    let listed = place.json(0, &["worktrees"]);
    assert_eq!(
        (&listed[0]["state"], &listed[0]["task"]),
        (&json!("in_use"), &json!("t0"))
    );
    let refused = place.ends(1, &["merge", "last"]).stderr;
    assert!(refused.contains("is being driven by process"), "{refused}");
    run.kill().unwrap();
    run.wait().unwrap();
    let listed = place.json(0, &["worktrees"]);
    assert_eq!(
        (&listed[0]["state"], &listed[0]["files"]),
        (&json!("left"), &json!(1))
    );
    let shown = place.ends(0, &["worktrees"]).stdout;
    assert!(
        shown.contains("left after a kill") && shown.contains("t0 held"),
        "{shown}"
    );
    fs::write(at("go"), "").unwrap();
    place.ends(0, &["resume", "-q"]);
    let listed = place.json(0, &["worktrees"]);
    let states = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (&it["state"], &it["result"]));
    assert_eq!(
        states.collect::<Vec<_>>(),
        [
            (&json!("left"), &json!(false)),
            (&json!("kept"), &json!(true))
        ]
    );
    place.ends(0, &["merge"]);
    assert_eq!(place.subjects().len(), 2);

    // Half made: git knows nothing of it.
    let id = listed[0]["run"].as_str().unwrap();
    let half = place.root.join(format!(".divisi/worktrees/{id}-t0-7"));
    fs::create_dir(&half).unwrap();
    assert_eq!(place.json(0, &["worktrees"])[2]["state"], "left");
    let kept = place.ends(0, &["worktrees", "--remove", "last"]).stderr;
    assert!(kept.contains("2 worktrees stay"), "{kept}");
    place.ends(0, &["worktrees", "--remove", "last", "--force"]);
    assert!(!half.exists());
    assert_eq!(place.ends(0, &["worktrees"]).stdout, "no worktrees");
}

#[test]
fn removed_runs_leave_their_worktrees_unless_told_otherwise() {
    let place = Place::new(".");
    let first = place.run(&TWO);
    let said = place.ends(0, &["rm", "last"]).stderr;
    assert!(
        said.contains("note: 3 worktrees stay, with work that may not be merged"),
        "{said}"
    );
    let shown = place.ends(0, &["worktrees"]).stdout;
    assert_eq!(shown.matches("of a removed run").count(), 3, "{shown}");
    let kept = place.ends(2, &["worktrees", "--remove", &first]).stderr;
    assert!(
        kept.contains("nothing was removed: 3 worktrees stay"),
        "{kept}"
    );
    place.ends(0, &["worktrees", "--remove", &first, "--force"]);

    place.run(&TWO[..2]);
    let shown = place.ends(0, &["gc", "--keep", "0"]).stdout;
    assert!(
        shown.contains("they have left 2 worktrees, which stay unless `--worktrees` is given"),
        "{shown}"
    );
    let report = place.json(0, &["gc", "--keep", "0", "--yes", "--worktrees"]);
    assert_eq!(report["worktrees"], json!({ "stay": 0, "removed": 2 }));
    assert_eq!(place.ends(0, &["worktrees"]).stdout, "no worktrees");
    assert_eq!(place.git(&["worktree", "list"]).lines().count(), 1);

    place.run(&TWO[..2]);
    let removed = place.json(0, &["rm", "last", "--worktrees"]);
    assert_eq!(removed["worktrees"], json!({ "stay": 0, "removed": 2 }));
}

#[test]
fn changes_are_a_patch_in_a_pipe_and_harmless_on_a_terminal() {
    let place = Place::new(".");
    place.run(&[(
        "alpha",
        "printf '\\033]0;gone\\007x\\n' > 'new ü.txt' && sed -i s/one/ONE/ a.txt",
    )]);
    let changes = place.json(0, &["changes"]);
    assert_eq!(
        changes["worktrees"][0]["changes"],
        json!([{ "path": "a.txt", "added": 1, "removed": 1 }, { "path": "new ü.txt", "added": 1, "removed": 0 }])
    );
    let patch = place.ends(0, &["changes", "last", "alpha"]).stdout + "\n";
    fs::write(place.home.folder().join("../p"), &patch).unwrap();
    place.git(&["apply", "../p"]);
    assert_eq!(place.read("a.txt"), "ONE\ntwo\n");
    // The index of the worktree is as the agent has left it.
    let path = changes["worktrees"][0]["worktree"]["path"]
        .as_str()
        .unwrap()
        .replace('~', "");
    let path = Path::new(&path)
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let path = place
        .root
        .join(".divisi/worktrees")
        .join(path)
        .display()
        .to_string();
    let status = place.git(&[
        "-c",
        "core.quotePath=false",
        "-C",
        &path,
        "status",
        "--porcelain",
    ]);
    assert_eq!(status, " M a.txt\n?? \"new ü.txt\"\n");

    let mut command = place.home.divisi(&["changes", "last", "--patch"]);
    command.env("PAGER", "cat").env("TERM", "xterm");
    let mut screen = Screen::of(command);
    assert_eq!(screen.ends(), Some(0));
    let shown = screen.contents();
    assert!(shown.contains("+\\u{1b}]0;gone\\u{7}x"), "{shown}");
    assert!(shown.contains("-one") && shown.contains("+ONE"), "{shown}");
}
