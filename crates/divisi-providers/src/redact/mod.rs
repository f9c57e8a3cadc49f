//! Redaction of secrets known to this process, in everything it writes or sends.
//!
//! Values are searched for, not places: a key may come back in the output of a program, in a file,
//! in a vendor's text, in base64. So the values are registered once for the process, and all texts
//! are searched for them: prompts, replies, results of tools and programs, the journal, the
//! terminal, the log. Known are:
//!
//! - the values of variables that hold a secret, by their name or by their form;
//! - the keys of providers, whatever the variable's name, and passwords and keys in their addresses
//!   ([`add_variable`], [`add_address`], [`add_secret`]).
//!
//! A text is redacted where it enters, before it is cut, hashed or used. So hashes are those of the
//! recorded texts, a resume finds paid results, and a changed key makes no difference.
//!
//! Left out on purpose: deliberately disguised secrets, such as an encrypted or compressed key,
//! base32, base64 three times, a spelt-out key, or a part of a key. Programs do not get the keys in
//! the first place.

mod encodings;
mod escapes;
mod look;
mod redactor;
mod search;
mod texts;
mod variables;

pub use redactor::{Cut, MARK, Redactor};

use look::Certainty;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock};

/// The secrets known to the process now.
pub struct Known {
    redactor: Redactor,
    variables: BTreeSet<OsString>,
}

impl Known {
    /// The variables of this process that are withheld from programs.
    pub fn variables(&self) -> impl Iterator<Item = &OsStr> {
        self.variables.iter().map(OsString::as_os_str)
    }
}

impl Deref for Known {
    type Target = Redactor;
    fn deref(&self) -> &Redactor {
        &self.redactor
    }
}

/// The registered secrets, with the redactor built from them on demand.
#[derive(Default)]
struct Register {
    values: BTreeSet<String>,
    /// Variables that hold a key, whatever their name.
    named: BTreeSet<String>,
    known: Option<Arc<Known>>,
}

static REGISTER: RwLock<Register> = RwLock::new(Register {
    values: BTreeSet::new(),
    named: BTreeSet::new(),
    known: None,
});

/// The secrets known to the process now.
pub fn known() -> Arc<Known> {
    // A poisoned lock is safe to use: every change is a single step.
    if let Some(known) = &REGISTER
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .known
    {
        return known.clone();
    }
    let mut register = REGISTER.write().unwrap_or_else(PoisonError::into_inner);
    let known = register.known.take().unwrap_or_else(|| {
        let environment: Vec<_> = std::env::vars_os().collect();
        Arc::new(of(&register.values, &register.named, &environment))
    });
    register.known = Some(known.clone());
    known
}

/// Redacts `text`.
pub fn redact(text: &str) -> Cow<'_, str> {
    known().text(text)
}

/// Registers a key in use.
pub fn add_secret(value: &str) {
    add(look::parts(value, Certainty::Sure), None);
}

/// Registers the value of this variable as a key, whatever its name.
pub fn add_variable(name: &str) {
    add(vec![], Some(name));
}

/// Registers the secrets in an address: a password, a token in place of a user, and parameters with
/// a key.
pub fn add_address(url: &str) {
    add(look::in_address(url, Certainty::Sure), None);
}

/// Registers the secrets in a setting or header with this name.
pub fn add_setting(name: &str, value: &str) {
    add(look::in_named(name, value), None);
}

fn add(values: Vec<String>, name: Option<&str>) {
    let mut register = REGISTER.write().unwrap_or_else(PoisonError::into_inner);
    let mut is_news = false;
    for value in values {
        is_news |= register.values.insert(value);
    }
    if let Some(name) = name {
        is_news |= register.named.insert(name.to_owned());
    }
    if is_news {
        register.known = None;
    }
}

/// Builds the known secrets from `values`, the variables `named` as keys, and the environment.
fn of(
    values: &BTreeSet<String>,
    named: &BTreeSet<String>,
    environment: &[(OsString, OsString)],
) -> Known {
    let mut values = values.clone();
    let mut variables = BTreeSet::new();
    for (name, value) in environment {
        let (text, value) = (name.to_string_lossy(), value.to_string_lossy());
        let is_named = named.contains(&*text);
        let found = match is_named {
            true => look::parts(&value, Certainty::Sure),
            false => look::in_named(&text, &value),
        };
        if is_named || !found.is_empty() || variables::is_secret(&text) {
            variables.insert(name.clone());
        }
        values.extend(found);
    }
    let redactor = Redactor::new(values.iter().map(String::as_str));
    let copies = environment
        .iter()
        .filter(|(_, value)| redactor.finds(&value.to_string_lossy()));
    variables.extend(copies.map(|(name, _)| name.clone()));
    variables.retain(|name| !variables::is_needed(&name.to_string_lossy()));
    Known {
        redactor,
        variables,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    fn known_of(named: &[&str], environment: &[(&str, &str)]) -> Known {
        let named = named.iter().map(|name| (*name).to_owned()).collect();
        let environment: Vec<_> = environment
            .iter()
            .map(|(n, v)| ((*n).into(), (*v).into()))
            .collect();
        of(&BTreeSet::new(), &named, &environment)
    }

    fn withheld(named: &[&str], environment: &[(&str, &str)]) -> Vec<String> {
        let known = known_of(named, environment);
        known
            .variables()
            .map(|name| name.to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn a_variable_that_a_provider_names_is_withheld_whatever_it_is_called() {
        let environment = [
            ("CORP_LLM", "corp-0123456789"),
            ("COPY", "Bearer corp-0123456789"),
            ("LANG", "C.UTF-8"),
        ];
        assert_eq!(withheld(&[], &environment), [""; 0]);
        assert_eq!(withheld(&["CORP_LLM"], &environment), ["COPY", "CORP_LLM"]);
        let known = known_of(&["CORP_LLM"], &environment);
        assert_eq!(known.text("it is corp-0123456789"), "it is ***");
    }

    #[test]
    fn what_programs_cannot_do_without_is_never_withheld() {
        let environment = [("PATH", "/usr/bin:/opt/abc123def456"), ("HOME", "/home/me")];
        assert_eq!(withheld(&["PATH", "HOME"], &environment), [""; 0]);
    }

    #[test]
    fn copies_in_other_encodings_are_withheld_too() {
        let environment = [
            ("A_KEY", "abcdef0123456789"),
            ("AUTHLINE", "eDphYmNkZWYwMTIzNDU2Nzg5"),
        ];
        assert_eq!(withheld(&[], &environment), ["AUTHLINE", "A_KEY"]);
    }

    #[test]
    fn what_is_no_text_is_no_reason_to_panic() {
        let odd = OsString::from_vec(b"caf\xe9-0123456789".to_vec());
        let environment = [
            (OsString::from("MAIN_KEY"), odd),
            (OsString::from_vec(vec![0xff]), "x".into()),
        ];
        let known = of(&BTreeSet::new(), &BTreeSet::new(), &environment);
        assert_eq!(known.text("it is caf\u{fffd}-0123456789"), "it is ***");
    }

    #[test]
    fn what_is_added_is_known_from_then_on() {
        assert_eq!(redact("added-4711-secret"), "added-4711-secret");
        add_secret("added-4711-secret");
        assert_eq!(redact("it is added-4711-secret"), "it is ***");
        add_address("https://me:hidden-4712@example.com/v1?api_key=param-4713x&page=2");
        assert_eq!(
            redact("hidden-4712 param-4713x page=2 me"),
            "*** *** page=2 me"
        );
    }
}
