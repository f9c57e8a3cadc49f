//! Globs from models, settings, and files of a repository.
//!
//! The glob compiler is recursive for braces, so a text of some kilobytes could exhaust the stack
//! and end the process. Every glob is bounded here before it is compiled.

use globset::{GlobBuilder, GlobMatcher};

/// Longest glob in bytes. The longest path has four times as many, and usual globs have some dozen.
const BYTES_MAX: usize = 1024;

/// Most open braces. Usual globs have at most three.
const DEPTH_MAX: usize = 32;

/// Compiles `glob`; with `by_folder`, `*` does not match a slash.
///
/// The error is a lower-case phrase that follows "the glob".
pub fn compile(glob: &str, by_folder: bool) -> Result<GlobMatcher, String> {
    bounded(glob)?;
    match GlobBuilder::new(glob).literal_separator(by_folder).build() {
        Ok(glob) => Ok(glob.compile_matcher()),
        Err(error) => Err(format!("is not valid: {}", error.kind())),
    }
}

/// Whether `glob` is small enough to compile; the error is as in [`compile`].
pub(crate) fn bounded(glob: &str) -> Result<(), String> {
    if glob.len() > BYTES_MAX {
        return Err(format!("is longer than {BYTES_MAX} bytes"));
    }
    // Escaped braces and those in a class count too, which is on the safe side.
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
