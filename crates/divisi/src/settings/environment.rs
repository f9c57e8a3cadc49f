//! The environment of the process, read once.

use super::layer::{Leaf, Origin};
use super::{SettingsError, layer};
use std::collections::BTreeMap;
use std::fmt;
use toml::Value;

/// What every variable of ours begins with.
const PREFIX: &str = "DIVISI_";

/// Our variables and the settings they stand for.
const VARIABLES: [(&str, &[&str], Form); 10] = [
    ("DIVISI_MODEL", &["model"], Form::Text),
    ("DIVISI_PROVIDER", &["provider"], Form::Text),
    ("DIVISI_MAX_COST", &["max_cost"], Form::Text),
    ("DIVISI_ALLOW", &["allow"], Form::Words),
    ("DIVISI_STORE", &["store"], Form::Text),
    ("DIVISI_LOCAL", &["local"], Form::Plain),
    ("DIVISI_ESTIMATE", &["estimate"], Form::Plain),
    ("DIVISI_TIMEOUT", &["timeout"], Form::Text),
    ("DIVISI_JOBS", &["limits", "in_flight_max"], Form::Plain),
    ("DIVISI_RETRIES", &["retry", "retries_max"], Form::Plain),
];

/// Which log lines `-v` shows; no setting.
pub(crate) const LOG: &str = "DIVISI_LOG";

/// The variables of the environment. An empty one counts as not set.
#[derive(Clone, Default)]
pub(crate) struct Environment(BTreeMap<String, String>);

impl fmt::Debug for Environment {
    /// Names only: values may be keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// How a variable is read.
#[derive(Clone, Copy)]
enum Form {
    Text,
    /// Words between commas.
    Words,
    /// A number, or `true` or `false`.
    Plain,
}

impl Environment {
    /// The variables of this process, except those that are no text.
    pub(crate) fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(std::env::vars_os().filter_map(text).collect())
    }

    /// The value of a variable that is set.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The settings that stand in it.
    pub(super) fn leaves(&self) -> Result<Vec<Leaf>, SettingsError> {
        let set = VARIABLES
            .iter()
            .filter_map(|(name, path, form)| Some((*name, *path, form.read(self.get(name)?))));
        set.map(|(name, path, value)| {
            let leaf = Leaf::new(path, value, Origin::Variable(name));
            layer::check(&leaf).map_err(|message| SettingsError::Variable { name, message })?;
            Ok(leaf)
        })
        .collect()
    }

    /// Variables that look like ours and are none.
    pub(crate) fn unknown(&self) -> impl Iterator<Item = &str> {
        let known = |name: &str| name == LOG || VARIABLES.iter().any(|(known, ..)| *known == name);
        self.0.keys().map(String::as_str).filter(move |name| name.starts_with(PREFIX) && !known(name))
    }
}

impl Form {
    fn read(self, text: &str) -> Value {
        match self {
            Self::Text => text.into(),
            Self::Words => {
                let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
                Value::Array(words.map(Value::from).collect())
            }
            Self::Plain => match (text.parse::<bool>(), text.parse::<i64>()) {
                (Ok(switch), _) => switch.into(),
                (_, Ok(number)) => number.into(),
                _ => text.into(),
            },
        }
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}
