//! Places in scripts, read from the engine's stack texts.

/// The frames of `stack` with a position, innermost first.
///
/// A stack text has one line per frame, `    at name (file:line:column)`. Frames of native
/// functions have no position and are left out, as are those of the prelude.
pub(crate) fn frames(stack: &str) -> impl Iterator<Item = RawFrame<'_>> {
    stack
        .lines()
        .filter_map(RawFrame::read)
        .filter(|frame| !frame.file.starts_with(PRELUDE_SCHEME))
}

/// The prefix of the prelude's file names.
pub(crate) const PRELUDE_SCHEME: &str = "divisi:";

/// A frame with a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawFrame<'s> {
    pub(crate) function: Option<&'s str>,
    pub(crate) file: &'s str,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl<'s> RawFrame<'s> {
    fn read(line: &'s str) -> Option<Self> {
        let at = line.trim_start().strip_prefix("at ")?;
        let (function, place) = match at.strip_suffix(')') {
            Some(at) => at.split_once(" (")?,
            None => ("", at),
        };
        let (rest, column) = place.rsplit_once(':')?;
        let (file, line) = rest.rsplit_once(':')?;
        let function =
            Some(function).filter(|name| !matches!(*name, "" | "<anonymous>" | "<eval>"));
        Some(Self {
            function,
            file,
            line: line.parse().ok()?,
            column: column.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_scripts_are_found() {
        let stack = "    at agent (native)\n    at <anonymous> (divisi:flow:3:1)\n    at check (my (old) a:b.js:12:7)\n    at a.js:3:1\n";
        let found: Vec<_> = frames(stack)
            .map(|f| (f.function, f.file, f.line, f.column))
            .collect();
        assert_eq!(
            found,
            [
                (Some("check"), "my (old) a:b.js", 12, 7),
                (None, "a.js", 3, 1)
            ]
        );
    }
}
