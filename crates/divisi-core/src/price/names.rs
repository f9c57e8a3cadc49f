//! Compares model names, which vendors write in several ways.

/// Fewest digits at the end of a name that are a date or version of the same model: `-0613`,
/// `-20261007`, `-2026-10-07`, `-001`.
const VERSION_DIGITS_MIN: usize = 3;

/// Whether `answered` names the model `asked`.
///
/// A date, a snapshot number or `latest` at the end is ignored, and so are capitals and dots in
/// place of dashes. An empty name counts as the same model, because it is no evidence of another
/// one.
pub fn is_same_model(asked: &str, answered: &str) -> bool {
    answered.is_empty() || asked == answered || stem(asked) == stem(answered)
}

/// The name without its edition.
fn stem(name: &str) -> String {
    let name = name.trim().to_lowercase().replace('.', "-");
    let name = name.split(['@', ':']).next().unwrap_or_default();
    let name = name.strip_suffix("-latest").unwrap_or(name);
    let end = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
    let version = &name[end.len()..];
    // Parts of one or two digits belong to the name: `-5-5` in `-5-5-20261007`.
    let mut keep = end.len();
    for part in version.split_inclusive('-') {
        let digits = part.trim_end_matches('-');
        if digits.len() >= VERSION_DIGITS_MIN {
            break;
        }
        keep += part.len();
    }
    name[..keep].trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editions_of_a_model_are_the_same_model() {
        for (asked, answered) in [
            ("claude-haiku-5-5", "claude-haiku-5-5"),
            ("claude-haiku-5-5", "claude-haiku-5-5-20261007"),
            ("claude-haiku-5-5-20261007", "claude-haiku-5-5"),
            ("claude-haiku-5.5", "claude-haiku-5-5@20261007"),
            ("gpt-6.1-sol", "gpt-6.1-sol-2026-09-29"),
            ("gpt-4", "gpt-4-0613"),
            (
                "anthropic/claude-haiku-5.5",
                "anthropic/claude-haiku-5.5-20261007",
            ),
            ("claude-sonnet-latest", "claude-sonnet"),
            ("Qwen3", "qwen3:latest"),
            ("gpt-6-luna", ""),
        ] {
            assert!(is_same_model(asked, answered), "{asked} {answered}");
        }
    }

    #[test]
    fn other_models_are_not() {
        for (asked, answered) in [
            ("claude-haiku-5", "claude-haiku-5-5"),
            ("claude-haiku-5", "claude-haiku-5-5-20261007"),
            ("claude-opus-5-5", "claude-sonnet-5-5"),
            ("gpt-6-luna", "gpt-6-luna-pro"),
            ("gpt-6-luna", "not-gpt-6-luna"),
            ("gpt-6.1-sol", "gpt-6-sol"),
            ("o4", "o4-mini-2025-04-16"),
        ] {
            assert!(!is_same_model(asked, answered), "{asked} {answered}");
        }
    }
}
