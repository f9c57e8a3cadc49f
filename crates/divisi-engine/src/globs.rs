//! Globs that others write: models, settings, files of a repository.
//!
//! What compiles a glob calls itself for every brace, so a text of some
//! kilobytes can exhaust the stack, which ends the process. Every glob is bounded
//! here before it is compiled.

use globset::{GlobBuilder, GlobMatcher};

/// Longest glob in bytes. The longest path has four times as many, and people
/// write globs of some dozen.
const BYTES_MAX: usize = 1024;

/// Braces that may be open at once. Two or three are the most that people write.
const DEPTH_MAX: usize = 32;

/// Compiles `glob`, in which `*` stops at a slash if `by_folder` says so.
///
/// The error is a lower-case phrase that follows "the glob".
pub fn compile(glob: &str, by_folder: bool) -> Result<GlobMatcher, String> {
    bounded(glob)?;
    match GlobBuilder::new(glob).literal_separator(by_folder).build() {
        Ok(glob) => Ok(glob.compile_matcher()),
        Err(error) => Err(format!("is not valid: {}", error.kind())),
    }
}

/// Whether `glob` may be handed to a compiler; the error is as in [`compile`].
pub(crate) fn bounded(glob: &str) -> Result<(), String> {
    if glob.len() > BYTES_MAX {
        return Err(format!("is longer than {BYTES_MAX} bytes"));
    }
    // A brace that is escaped or in a class counts too: that is on the safe side.
    let mut depth = 0_usize;
    for byte in glob.bytes() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(format!("has more than {DEPTH_MAX} braces in each other"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_that_would_exhaust_the_stack_is_not_compiled() {
        let nested = |depth| format!("{}a{}", "{".repeat(depth), "}".repeat(depth));
        assert!(compile(&nested(DEPTH_MAX), true).unwrap().is_match("a"));
        assert_eq!(
            compile(&nested(DEPTH_MAX + 1), true).unwrap_err(),
            "has more than 32 braces in each other"
        );
        assert_eq!(
            compile(&nested(20_000), true).unwrap_err(),
            "is longer than 1024 bytes"
        );
        assert_eq!(
            compile(&"{".repeat(500), true).unwrap_err(),
            "has more than 32 braces in each other"
        );
        assert!(
            compile("a{", true)
                .unwrap_err()
                .starts_with("is not valid: ")
        );
    }

    #[test]
    fn a_star_stops_at_a_slash_where_folders_count() {
        assert!(!compile("a*", true).unwrap().is_match("a/b"));
        assert!(compile("a*", false).unwrap().is_match("a/b"));
    }
}
