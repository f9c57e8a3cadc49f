//! Layers of settings: the nearer one wins, leaf by leaf, and the origin of each value is kept.

use super::{Settings, complaint};
use divisi_providers::redact;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use toml::{Table, Value};

/// Tables whose entries are not merged: half of a provider from one file and half from another
/// could send a key to a wrong address, and half a price is useless.
const WHOLE: [&str; 4] = ["providers", "prices", "executors", "mcp"];

/// One value, with its path.
#[derive(Clone)]
pub struct Leaf {
    /// The path of its name.
    pub path: Vec<String>,
    /// The value.
    pub value: Value,
    /// Its origin.
    pub origin: Origin,
}

/// The origin of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The built-in default.
    Default,
    /// A file of settings.
    File(PathBuf),
    /// A variable of the environment.
    Variable(&'static str),
    /// The flag of this invocation.
    Flag(&'static str),
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} = {} ({})",
            self.name(),
            redact(&self.value.to_string()),
            self.origin
        )
    }
}

impl Leaf {
    /// A value at `path`.
    pub fn new(path: &[&str], value: impl Into<Value>, origin: Origin) -> Self {
        Self {
            path: path.iter().map(|&name| name.to_owned()).collect(),
            value: value.into(),
            origin,
        }
    }

    /// Its name, with dots.
    pub fn name(&self) -> String {
        self.path.join(".")
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => path.display().fmt(f),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// The leaves of a table.
pub(super) fn leaves(table: Table, origin: &Origin) -> Vec<Leaf> {
    let mut found = vec![];
    walk(table, &mut vec![], origin, &mut found);
    found
}

/// Renamed settings: the old name, which is still accepted, and the new one.
const RENAMED: [(&[&str], &str); 4] = [
    (&["max_cost"], "cost_max"),
    (&["max_turns"], "turns_max"),
    (&["max_reply_tokens"], "reply_tokens_max"),
    (&["budget", "task"], "task_cost_max"),
];

fn walk(table: Table, path: &mut Vec<String>, origin: &Origin, found: &mut Vec<Leaf>) {
    for (name, value) in table {
        let whole = path
            .first()
            .is_some_and(|first| WHOLE.contains(&first.as_str()));
        path.push(name);
        if let Some((_, new)) = RENAMED.iter().find(|(old, _)| path == old) {
            path.pop();
            path.push((*new).to_owned());
        }
        match value {
            Value::Table(inner) if !whole => walk(inner, path, origin, found),
            value => found.push(Leaf {
                path: path.clone(),
                value,
                origin: origin.clone(),
            }),
        }
        path.pop();
    }
}

/// The effective values, sorted by name: later layers win.
pub(super) fn merge(layers: impl IntoIterator<Item = Vec<Leaf>>) -> Vec<Leaf> {
    let mut merged = BTreeMap::new();
    for leaf in layers.into_iter().flatten() {
        merged.insert(leaf.path.clone(), leaf);
    }
    merged.into_values().collect()
}

/// The settings with these values.
pub(super) fn settings(leaves: &[Leaf]) -> Result<Settings, toml::de::Error> {
    let mut root = Table::new();
    for leaf in leaves {
        put(&mut root, &leaf.path, leaf.value.clone());
    }
    Settings::deserialize(root)
}

fn put(table: &mut Table, path: &[String], value: Value) {
    match path {
        [] => {}
        [name] => _ = table.insert(name.clone(), value),
        [name, rest @ ..] => {
            let inner = table
                .entry(name.clone())
                .or_insert_with(|| Table::new().into());
            if let Value::Table(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

/// Checks that a value is allowed for its setting; returns the reason otherwise, with advice.
pub(super) fn check(leaf: &Leaf) -> Result<(), (String, Option<String>)> {
    settings(std::slice::from_ref(leaf))
        .map(drop)
        .map_err(|error| complaint::told(error.message()))
}
