//! The environment of the process, read once.

use super::layer::{Leaf, Origin};
use super::shorthand::{Form, SHORTHANDS};
use super::{SettingsError, layer};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

/// Prefix of divisi's variables.
const PREFIX: &str = "DIVISI_";

/// The variable that selects log lines; not a setting.
pub const LOG: &str = "DIVISI_LOG";

/// The environment variables. An empty one counts as not set.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    /// Variables whose value is not UTF-8.
    garbled: Vec<String>,
}

impl fmt::Debug for Environment {
    /// Shows names only, because values may be keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

impl Environment {
    /// The variables of this process.
    pub fn of_process() -> Self {
        Self::of(std::env::vars_os())
    }

    fn of(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let mut environment = Self::default();
        for (name, value) in variables {
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => _ = environment.variables.insert(name, value),
                (Ok(name), Err(_)) => environment.garbled.push(name),
                // Names that are not UTF-8 are never looked up.
                (Err(_), _) => {}
            }
        }
        environment
    }

    /// The value of a variable, if set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// The settings in the environment.
    pub(super) fn leaves(&self) -> Result<Vec<Leaf>, SettingsError> {
        let is_garbled = |name: &str| self.garbled.iter().any(|garbled| garbled == name);
        if let Some((_, name, _)) = variables().find(|(_, name, _)| is_garbled(name)) {
            let message = "its value is not UTF-8".to_owned();
            return Err(SettingsError::Variable {
                name,
                message,
                hint: None,
            });
        }
        let set = variables()
            .filter_map(|(path, name, form)| Some((path, name, form.read(self.get(name)?))));
        set.map(|(path, name, value)| {
            let leaf = Leaf::new(path, value, Origin::Variable(name));
            layer::check(&leaf).map_err(|(message, hint)| SettingsError::Variable {
                name,
                message,
                hint,
            })?;
            Ok(leaf)
        })
        .collect()
    }

    /// Variables with divisi's prefix that are unknown.
    pub fn unknown(&self) -> impl Iterator<Item = &str> {
        let known = |name: &str| name == LOG || variables().any(|(_, known, _)| known == name);
        self.variables
            .keys()
            .map(String::as_str)
            .filter(move |name| name.starts_with(PREFIX) && !known(name))
    }
}

/// The settings that have a variable.
fn variables() -> impl Iterator<Item = (&'static [&'static str], &'static str, Form)> {
    SHORTHANDS.iter().filter_map(|known| {
        let (name, form) = known.variable?;
        Some((known.path, name, form))
    })
}

/// For callers that do not use the variables of the process.
impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        Self::of(
            variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into())),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    #[test]
    fn a_setting_that_is_not_utf8_is_refused_and_other_variables_are_not() {
        let garbled = |name: &str| {
            Environment::of([(name.into(), OsString::from_vec(vec![0xe9]))].into_iter())
        };
        let said = garbled("DIVISI_STORE").leaves().unwrap_err().to_string();
        insta::assert_snapshot!(said, @"the environment variable DIVISI_STORE: its value is not UTF-8");
        assert!(garbled("OTHER").leaves().unwrap().is_empty());
    }
}
