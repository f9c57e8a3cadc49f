//! Answers an agent that asks whether it may use a tool: by the permissions of the run, the tools of
//! the task and its patterns.
//!
//! What is allowed is allowed once, so that it asks again. Only what the request itself says counts,
//! never its title, which is made for people.

use crate::executor::Rights;
use crate::tools::Fence;
use agent_client_protocol::v1::schema::{
    PermissionOptionKind, RequestPermissionOutcome, RequestPermissionRequest,
    SelectedPermissionOutcome, ToolCallContent, ToolCallUpdateFields, ToolKind,
};
use serde_json::Value;

/// Deepest object of an input that is read. What lies deeper counts as a path outside.
const DEPTH_MAX: u32 = 16;

/// Why a tool is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The run lacks this permission: the word for `--allow`.
    Needs(&'static str),
    /// For another reason.
    Not(String),
}

/// Whether it may use the tool that the request describes.
pub(super) fn decide(
    asked: &RequestPermissionRequest,
    rights: &Rights,
    fence: &Fence,
) -> Result<(), Refusal> {
    let call = &asked.tool_call.fields;
    let has = |names: &[&str]| rights.tools.iter().any(|tool| names.contains(&&**tool));
    let given = |names: &[&str], is_permitted: bool, word| match (has(names), is_permitted) {
        (true, true) => Ok(()),
        (_, false) => Err(Refusal::Needs(word)),
        (false, true) => Err(Refusal::Not("the task does not have that tool".to_owned())),
    };
    let each = |paths: Vec<String>, may: &dyn Fn(&str) -> Result<(), String>| match paths.is_empty()
    {
        true => Err(Refusal::Not("it does not say which file".to_owned())),
        false => paths
            .iter()
            .try_for_each(|path| match path.starts_with('~') || path.contains(':') {
                // Agents expand the one and read the other as an address.
                true => Err(format!("`{path}` is no path in the folder")),
                false => may(path),
            })
            .map_err(Refusal::Not),
    };
    match call.kind.unwrap_or_default() {
        ToolKind::Read => {
            given(&["read_file"], true, "")?;
            each(paths(call), &|path| fence.may_read(path))
        }
        ToolKind::Search => {
            given(&["search_files", "list_files"], true, "")?;
            let paths = paths(call);
            // Without a path it searches its working folder.
            match paths.is_empty() {
                true => Ok(()),
                false => each(paths, &|path| fence.may_read(path)),
            }
        }
        ToolKind::Edit | ToolKind::Delete | ToolKind::Move => {
            given(
                &["write_file", "edit_file"],
                rights.permissions.write,
                "write",
            )?;
            each(paths(call), &|path| fence.may_write(path))
        }
        ToolKind::Execute => {
            given(&["run_command"], rights.permissions.run, "run")?;
            let command = command(call);
            fence.may_run(command.as_deref()).map_err(Refusal::Not)
        }
        // It touches nothing, so it names nothing that could be touched.
        ToolKind::Think if paths(call).is_empty() && command(call).is_none() => Ok(()),
        // The web, other modes, and what is not known: subagents, MCP servers.
        _ => Err(Refusal::Not("no permission of a run covers it".to_owned())),
    }
}

/// The answer: the narrowest option of that meaning. Without an option that allows it once it is
/// not allowed, because it would not ask again.
pub(super) fn answer(
    asked: &RequestPermissionRequest,
    is_allowed: bool,
) -> RequestPermissionOutcome {
    let kinds = match is_allowed {
        true => [PermissionOptionKind::AllowOnce; 2],
        false => [
            PermissionOptionKind::RejectOnce,
            PermissionOptionKind::RejectAlways,
        ],
    };
    let of = |kind| asked.options.iter().find(|option| option.kind == kind);
    match kinds.into_iter().find_map(of) {
        Some(option) => RequestPermissionOutcome::Selected(SelectedPermissionOutcome::new(
            option.option_id.clone(),
        )),
        None => RequestPermissionOutcome::Cancelled,
    }
}

/// All paths that a call names: where it acts, what it changes, and in the input as the agent wrote
/// it, however deep.
fn paths(call: &ToolCallUpdateFields) -> Vec<String> {
    let locations = call.locations.iter().flatten();
    let diffs = call.content.iter().flatten().filter_map(|part| match part {
        ToolCallContent::Diff(diff) => Some(&diff.path),
        _ => None,
    });
    let mut paths: Vec<String> = locations
        .map(|location| &location.path)
        .chain(diffs)
        .map(|path| path.to_string_lossy().into_owned())
        .collect();
    if let Some(input) = &call.raw_input {
        named(input, false, DEPTH_MAX, &mut paths);
    }
    paths
}

/// Adds the paths in an input: texts below a field that names one, and texts elsewhere that begin
/// like one from outside. `is_path` is set below such a field.
fn named(input: &Value, is_path: bool, depth: u32, paths: &mut Vec<String>) {
    /// Parts of the names of such fields.
    const FIELDS: [&str; 11] = [
        "path",
        "file",
        "dir",
        "folder",
        "target",
        "source",
        "destination",
        "uri",
        "url",
        "root",
        "cwd",
    ];
    /// Fields with texts of files, which may begin in any way.
    const TEXTS: [&str; 8] = [
        "content", "text", "string", "str", "patch", "diff", "command", "cmd",
    ];
    let has = |name: &str, words: &[&str]| {
        let name = name.to_lowercase();
        words.iter().any(|word| name.contains(word))
    };
    match input {
        _ if depth == 0 => paths.push("/".to_owned()),
        Value::String(text) if is_path || is_outside(text) => paths.push(text.clone()),
        Value::Array(items) => {
            for item in items {
                named(item, is_path, depth - 1, paths);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                // Codex has the files of a patch as names.
                if value.is_object() && (name.contains(['/', '.']) || is_outside(name)) {
                    paths.push(name.clone());
                }
                if has(name, &FIELDS) {
                    named(value, true, depth - 1, paths);
                } else if !has(name, &TEXTS) {
                    named(value, false, depth - 1, paths);
                } else if !value.is_string() {
                    named(value, is_path, depth - 1, paths);
                }
            }
        }
        _ => {}
    }
}

/// Whether a text begins like a path that does not lie in the folder, whatever it is relative to.
fn is_outside(text: &str) -> bool {
    ["/", "~", "../", "file:"]
        .iter()
        .any(|start| text.starts_with(start))
}

/// The command of a call: one text, or its words.
fn command(call: &ToolCallUpdateFields) -> Option<String> {
    let input = call.raw_input.as_ref()?;
    match input.get("command").or_else(|| input.get("cmd"))? {
        Value::String(command) => Some(command.clone()),
        Value::Array(words) => {
            let words: Option<Vec<_>> = words.iter().map(Value::as_str).collect();
            Some(words?.join(" "))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::{Permissions, Protected};
    use serde_json::json;

    const ALL: [&str; 6] = [
        "list_files",
        "search_files",
        "read_file",
        "write_file",
        "edit_file",
        "run_command",
    ];

    fn asked(call: Value) -> RequestPermissionRequest {
        let mut call = call;
        call["toolCallId"] = "t".into();
        serde_json::from_value(json!({"sessionId": "s", "toolCall": call, "options": [
            {"optionId": "a", "name": "Always", "kind": "allow_always"},
            {"optionId": "y", "name": "Yes", "kind": "allow_once"},
            {"optionId": "n", "name": "No", "kind": "reject_once"}]}))
        .unwrap()
    }

    /// `ok`, the permission that it needs, or why not.
    fn decided(tools: &[&str], allow: &str, patterns: Option<&[&str]>, call: Value) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("src")).unwrap();
        std::os::unix::fs::symlink("/etc", folder.path().join("link")).unwrap();
        let protected = Protected::default();
        protected.add(folder.path().join("flow.js"));
        let patterns: Option<Vec<String>> =
            patterns.map(|all| all.iter().map(|&p| p.to_owned()).collect());
        let rights = Rights {
            tools: tools.iter().map(|&tool| tool.into()).collect(),
            commands: patterns.clone(),
            forbidden: vec!["git push *".to_owned()],
            permissions: Permissions {
                write: allow.contains("write"),
                run: allow.contains("run"),
            },
            protected: protected.clone(),
        };
        let fence = Fence::new(
            folder.path(),
            &protected,
            patterns.as_deref(),
            &rights.forbidden,
        )
        .unwrap();
        let root = folder.path().canonicalize().unwrap();
        let call = call.to_string().replace("ROOT", root.to_str().unwrap());
        match decide(
            &asked(serde_json::from_str(&call).unwrap()),
            &rights,
            &fence,
        ) {
            Ok(()) => "ok".to_owned(),
            Err(Refusal::Needs(word)) => format!("needs {word}"),
            Err(Refusal::Not(why)) => why,
        }
    }

    fn edit(path: &str) -> Value {
        json!({"kind": "edit", "locations": [{"path": path}],
            "content": [{"type": "diff", "path": path, "newText": "x"}]})
    }

    #[test]
    fn a_write_needs_its_permission_and_stays_in_the_workspace() {
        let said = |allow, call| decided(&ALL, allow, None, call);
        assert_eq!(said("", edit("ROOT/src/a.rs")), "needs write");
        assert_eq!(said("run", edit("src/a.rs")), "needs write");
        for inside in ["ROOT/src/a.rs", "src/a.rs", "ROOT/new/deep.txt"] {
            assert_eq!(said("write", edit(inside)), "ok", "{inside}");
        }
        for outside in ["/tmp/x", "../x", "ROOT/link/passwd", "src/../../x"] {
            let why = said("write", edit(outside));
            assert!(
                why.contains("outside") || why.contains("goes up"),
                "{outside}: {why}"
            );
        }
        for protected in ["flow.js", "ROOT/.git/config", "src/divisi.toml"] {
            let why = said("write", edit(protected));
            assert!(why.contains("is protected"), "{protected}: {why}");
        }
        let two = json!({"kind": "edit", "locations": [{"path": "src/a.rs"}],
            "rawInput": {"file_path": "/etc/passwd"}});
        assert!(said("write", two).contains("outside"), "each path counts");
        let none = json!({"kind": "delete", "title": "rm src/a.rs"});
        assert_eq!(said("write", none), "it does not say which file");
        assert_eq!(
            decided(&["read_file"], "write", None, edit("src/a.rs")),
            "the task does not have that tool"
        );
    }

    #[test]
    fn a_command_needs_its_permission_and_fits_its_pattern() {
        let run = |command: &str| json!({"kind": "execute", "title": "git log", "rawInput": {"command": command}});
        let said = |allow, patterns, call| decided(&ALL, allow, patterns, call);
        assert_eq!(said("write", None, run("ls")), "needs run");
        assert_eq!(said("run", None, run("ls")), "ok");
        let only: Option<&[&str]> = Some(&["git log *"]);
        assert_eq!(said("run", only, run("git log -3")), "ok");
        let words = json!({"kind": "execute", "rawInput": {"command": ["git", "log", "-3"]}});
        assert_eq!(said("run", only, words), "ok");
        for other in ["git push x", "git log; rm x", "bash -c 'git log'"] {
            let why = said("run", only, run(other));
            assert!(why.contains("not allowed"), "{other}: {why}");
        }
        let untold = json!({"kind": "execute", "title": "git log -3"});
        let why = said("run", only, untold);
        assert!(
            why.contains("which command"),
            "a title is no command: {why}"
        );
    }

    #[test]
    fn reading_stays_in_the_workspace_and_what_is_unknown_is_refused() {
        let said = |call| decided(&ALL, "write run", None, call);
        let read = |path: &str| json!({"kind": "read", "locations": [{"path": path}]});
        assert_eq!(said(read("ROOT/src/a.rs")), "ok");
        assert!(said(read("/etc/passwd")).contains("outside"));
        assert_eq!(said(json!({"kind": "search"})), "ok");
        assert_eq!(said(json!({"kind": "think"})), "ok");
        for other in [
            json!({"kind": "fetch"}),
            json!({"kind": "switch_mode"}),
            json!({"title": "mcp"}),
            json!({"kind": "teleport"}),
        ] {
            let why = said(other.clone());
            assert_eq!(why, "no permission of a run covers it", "{other}");
        }
    }

    #[test]
    fn it_is_allowed_once_or_not_at_all() {
        let chosen = |asked: &RequestPermissionRequest, is_allowed| match answer(asked, is_allowed)
        {
            RequestPermissionOutcome::Selected(selected) => selected.option_id.0.to_string(),
            _ => "cancelled".to_owned(),
        };
        let mut asked = asked(json!({}));
        assert_eq!(chosen(&asked, true), "y");
        assert_eq!(chosen(&asked, false), "n");
        asked.options.truncate(1);
        assert_eq!(chosen(&asked, true), "cancelled");
        assert_eq!(chosen(&asked, false), "cancelled");
    }

    #[test]
    fn all_that_an_input_names_counts_wherever_it_stands() {
        let said = |kind: &str, input: Value| {
            decided(
                &ALL,
                "write run",
                None,
                json!({"kind": kind, "rawInput": input}),
            )
        };
        for input in [
            json!({"file_path": "src/a.rs", "edits": [{"path": "../b"}]}),
            json!({"path": "src/a.rs", "changes": {"/etc/passwd": {"add": "x"}}}),
            json!({"path": "src/a.rs", "target_file": "flow.js"}),
            json!({"path": "~/.bashrc"}),
            json!({"uri": "file:///etc/passwd"}),
            json!({"path": "src/a.rs", "more": {"files": ["src/b.rs", "link/x"]}}),
        ] {
            assert_ne!(said("edit", input.clone()), "ok", "{input}");
        }
        let whole =
            json!({"path": "src/a.rs", "content": "/* begins like a path */", "old_string": "~"});
        assert_eq!(said("edit", whole), "ok");
        for input in [
            json!({"paths": ["/etc"]}),
            json!({"directory": "/etc"}),
            json!({"pattern": "/etc/**"}),
        ] {
            assert_ne!(said("search", input.clone()), "ok", "{input}");
        }
        assert_eq!(
            said("search", json!({"pattern": "TODO", "glob": "*.rs"})),
            "ok"
        );
        assert_eq!(said("think", json!({"thought": "hm"})), "ok");
        assert_ne!(said("think", json!({"command": "rm -rf x"})), "ok");
        let deep = (0..100).fold(json!("x"), |inner, _| json!({ "a": inner }));
        assert_ne!(said("search", deep), "ok");
    }
}
