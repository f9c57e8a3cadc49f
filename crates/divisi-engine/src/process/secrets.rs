//! Which variables of the environment hold a secret, as far as names tell.

/// Words that make a variable a secret, as in `ANTHROPIC_API_KEY`.
const WORDS: [&str; 9] =
    ["KEY", "APIKEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "CREDENTIALS"];

pub(super) fn is_secret(variable: &str) -> bool {
    variable.split('_').any(|word| WORDS.iter().any(|secret| word.eq_ignore_ascii_case(secret)))
}

/// `text` without the values of this process's own secrets.
///
/// For what programs print that have these variables: they may show them.
pub(crate) fn redact(text: String) -> String {
    without(text, std::env::vars())
}

fn without(text: String, variables: impl Iterator<Item = (String, String)>) -> String {
    // Shorter values are no keys, and would be found in innocent words.
    const SECRET_BYTES_MIN: usize = 8;
    let secrets = variables.filter(|(name, value)| is_secret(name) && value.len() >= SECRET_BYTES_MIN);
    secrets.fold(text, |text, (_, value)| match text.contains(&value) {
        true => text.replace(&value, "***"),
        false => text,
    })
}

#[cfg(test)]
mod tests {
    use super::{is_secret, without};

    #[test]
    fn values_of_secrets_are_cut_out() {
        let variables = [("MAIN_API_KEY", "sk-very-secret"), ("HOME", "/home/someone"), ("PIN_KEY", "1")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let text = "sk-very-secret in /home/someone, 1 of 1".to_owned();
        assert_eq!(without(text, variables.into_iter()), "*** in /home/someone, 1 of 1");
    }

    #[test]
    fn names_tell_secrets_from_the_rest() {
        for name in ["ANTHROPIC_API_KEY", "AWS_ACCESS_KEY_ID", "GITHUB_TOKEN", "npm_token", "PASSWORD"] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["PATH", "HOME", "KEYBOARD", "SSH_AUTH_SOCK", "TOKENIZERS_PARALLELISM", "CARGO_HOME"] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
