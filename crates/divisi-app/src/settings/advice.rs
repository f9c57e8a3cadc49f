//! Messages about a project's file that needs trust.

use super::{Claim, Project, Standing, TrustedFiles, Untrusted};
use anyhow::Context as _;

impl Project {
    /// Most settings shown; a file with more should be read.
    pub const CLAIMS_SHOWN_MAX: usize = 20;

    /// Trusts the file in the form in which it was read.
    pub fn trust(&self) -> anyhow::Result<()> {
        let trusted =
            TrustedFiles::of_user().context("there is no home folder to remember it in")?;
        let failed = || format!("cannot trust {}", self.path.display());
        trusted.add(&self.path, self.digest).with_context(failed)
    }

    /// The settings that need trust, and how to give it or to continue without.
    pub fn hints(&self) -> Vec<String> {
        let changed = (self.standing == Standing::Changed)
            .then(|| "it has changed since you trusted it".into());
        let wants = self.claims.iter().take(Self::CLAIMS_SHOWN_MAX);
        let wants = wants
            .map(|claim| format!("`{}` {}", claim.name(), claim.would))
            .chain(self.more());
        let then = [
            format!("if that is what you want: {}", self.trust_command()),
            "or add `--untrusted` to run without these settings".to_owned(),
        ];
        changed.into_iter().chain(wants).chain(then).collect()
    }

    /// A remark about settings that are not shown.
    pub fn more(&self) -> Option<String> {
        let more = self.claims.len().saturating_sub(Self::CLAIMS_SHOWN_MAX);
        (more > 0).then(|| format!("and {more} more settings: read the file"))
    }

    /// The command that trusts the file, for any working folder.
    pub fn trust_command(&self) -> String {
        format!(
            "divisi trust {}",
            quoted(&self.folder().display().to_string())
        )
    }

    /// A phrase about settings that are ignored for lack of trust, or will be asked about; `None`
    /// if there are none.
    pub fn note(&self, untrusted: Untrusted) -> Option<String> {
        if self.untrusted().is_empty() {
            return None;
        }
        let path = self.path.display();
        let asked: Vec<String> = self
            .untrusted()
            .iter()
            .filter(|claim| claim.asks())
            .map(Claim::name)
            .collect();
        Some(match untrusted {
            Untrusted::LookedAt if !asked.is_empty() => {
                format!(
                    "{path} is not trusted yet: a run asks about {} first",
                    asked.join(", ")
                )
            }
            Untrusted::LookedAt | Untrusted::LeftOut | Untrusted::Refused => {
                let names: Vec<String> = self.untrusted().iter().map(Claim::name).collect();
                format!(
                    "{path} is not trusted, so this of it does not count: {}",
                    names.join(", ")
                )
            }
        })
    }
}

/// The word, quoted for a shell.
fn quoted(word: &str) -> String {
    let is_plain =
        |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '+' | '~' | '@' | ',');
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_folder_is_one_word_to_the_shell() {
        assert_eq!(quoted("/home/me/a-b_1.x"), "/home/me/a-b_1.x");
        assert_eq!(quoted("/tmp/a b"), "'/tmp/a b'");
        assert_eq!(quoted("it's $(x)"), r"'it'\''s $(x)'");
    }
}
