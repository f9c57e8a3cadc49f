//! Scripts are single files: imports and exports are refused before the script runs.

use super::tokens::{Token, Tokens};
use crate::error::{ErrorKind, Problem};
use std::ops::Range;

/// Refuses `import` and `require`.
pub(super) fn check_imports(text: &str, tokens: &Tokens) -> Result<(), Problem> {
    let own_require = declares_require(text, &tokens.list);
    each(text, tokens, |token, around| match token.text(text) {
        "import" if around.is_import() => Some(import(around)),
        "require" if around.is_call() && !own_require => {
            Some(Problem::new(ErrorKind::Import, "`require` loads a module").hint(NO_MODULES))
        }
        _ => None,
    })
}

/// Refuses every `export` except that of `meta`.
pub(super) fn check_exports(
    text: &str,
    tokens: &Tokens,
    meta: Option<&Range<usize>>,
) -> Result<(), Problem> {
    each(text, tokens, |token, around| {
        let is_other = token.text(text) == "export" && meta != Some(&token.span);
        (is_other && around.is_export()).then(|| {
            Problem::new(ErrorKind::Import, "only `meta` can be exported")
                .hint("`return` the result; the text of the script is a function's body")
        })
    })
}

/// The first problem that `look` finds, with its line.
fn each(
    text: &str,
    tokens: &Tokens,
    look: impl Fn(&Token, &Around<'_>) -> Option<Problem>,
) -> Result<(), Problem> {
    let found = tokens.list.iter().enumerate().find_map(|(at, token)| {
        let around = Around::of(text, &tokens.list, at);
        Some(look(token, &around)?.line(token.line))
    });
    found.map_or(Ok(()), Err)
}

const NO_MODULES: &str = "a script is one file; let an agent do what the module would have done";

fn import(around: &Around<'_>) -> Problem {
    let what = if around.after == "(" {
        "`import()` loads a module"
    } else {
        "`import` loads a module"
    };
    Problem::new(ErrorKind::Import, what).hint(NO_MODULES)
}

/// Whether the script declares its own function of that name.
fn declares_require(text: &str, tokens: &[Token]) -> bool {
    tokens.windows(2).any(|pair| {
        matches!(pair[0].text(text), "function" | "const" | "let" | "var")
            && pair[1].text(text) == "require"
    })
}

/// The neighbours of a word.
struct Around<'t> {
    before: &'t str,
    after: &'t str,
}

impl<'t> Around<'t> {
    fn of(text: &'t str, tokens: &[Token], at: usize) -> Self {
        let neighbour = |at: Option<usize>| {
            at.and_then(|at| tokens.get(at))
                .map_or("", |t| t.text(text))
        };
        Self {
            before: neighbour(at.checked_sub(1)),
            after: neighbour(at.checked_add(1)),
        }
    }

    fn is_property(&self) -> bool {
        self.before == "." || self.after == ":"
    }

    fn is_import(&self) -> bool {
        !self.is_property() && self.before != "function"
    }

    fn is_call(&self) -> bool {
        !self.is_property() && self.before != "function" && self.after == "("
    }

    /// An export only at the start of a statement; elsewhere it is a key.
    fn is_export(&self) -> bool {
        !self.is_property()
            && matches!(
                self.after,
                "const" | "let" | "var" | "default" | "function" | "async" | "class" | "{" | "*"
            )
    }
}
