//! Settings with a flag or an environment variable.
//!
//! Flags are short words for the command line, and a variable is named like its flag; the settings
//! themselves have one order of words, in which bounds come last.

use super::layer::{Leaf, Origin};
use toml::Value;

/// A setting with a flag or a variable.
pub(super) struct Shorthand {
    /// The path of the setting's name.
    pub(super) path: &'static [&'static str],
    pub(super) flag: Option<&'static str>,
    pub(super) variable: Option<(&'static str, Form)>,
}

/// How the value of a variable is parsed.
#[derive(Clone, Copy)]
pub(super) enum Form {
    Text,
    /// Words separated by commas.
    Words,
    /// A number, or `true` or `false`.
    Plain,
}

/// All of them.
pub(super) const SHORTHANDS: [Shorthand; 14] = [
    both(&["model"], "--model", "DIVISI_MODEL", Form::Text),
    both(&["provider"], "--provider", "DIVISI_PROVIDER", Form::Text),
    both(&["executor"], "--executor", "DIVISI_EXECUTOR", Form::Text),
    both(&["cost_max"], "--max-cost", "DIVISI_MAX_COST", Form::Text),
    both(&["allow"], "--allow", "DIVISI_ALLOW", Form::Words),
    both(&["store"], "--store", "DIVISI_STORE", Form::Text),
    variable(&["local"], "DIVISI_LOCAL", Form::Plain),
    variable(&["estimate"], "DIVISI_ESTIMATE", Form::Plain),
    both(&["timeout"], "--timeout", "DIVISI_TIMEOUT", Form::Text),
    flag(&["hedge"], "--hedge"),
    both(
        &["limits", "in_flight_max"],
        "--jobs",
        "DIVISI_JOBS",
        Form::Plain,
    ),
    flag(&["limits", "hopeless_after"], "--keep-going"),
    both(
        &["retry", "retries_max"],
        "--retries",
        "DIVISI_RETRIES",
        Form::Plain,
    ),
    flag(&["retry", "overload_wait_max"], "--overload-wait"),
];

const fn both(
    path: &'static [&'static str],
    flag: &'static str,
    variable: &'static str,
    form: Form,
) -> Shorthand {
    Shorthand {
        path,
        flag: Some(flag),
        variable: Some((variable, form)),
    }
}

const fn flag(path: &'static [&'static str], flag: &'static str) -> Shorthand {
    Shorthand {
        path,
        flag: Some(flag),
        variable: None,
    }
}

const fn variable(path: &'static [&'static str], variable: &'static str, form: Form) -> Shorthand {
    Shorthand {
        path,
        flag: None,
        variable: Some((variable, form)),
    }
}

impl Leaf {
    /// The setting of `flag` with this value; `None` if the flag sets none.
    pub fn of_flag(flag: &str, value: impl Into<Value>) -> Option<Self> {
        let of = |known: &Shorthand| Some((known.path, known.flag.filter(|name| *name == flag)?));
        let (path, name) = SHORTHANDS.iter().find_map(of)?;
        Some(Self::new(path, value, Origin::Flag(name)))
    }
}

impl Form {
    pub(super) fn read(self, text: &str) -> Value {
        match self {
            Self::Text => text.into(),
            Self::Words => {
                let words = text
                    .split(',')
                    .map(str::trim)
                    .filter(|word| !word.is_empty());
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
