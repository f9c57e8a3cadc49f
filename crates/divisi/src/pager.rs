//! Long pages on a terminal, as git shows them: in the user's pager.

use crate::display::{Line, Look, look};
use crate::{output, text};
use divisi_providers::redact;
use std::io::{self, IsTerminal, Write};
use std::process::{Command, Stdio};

/// Shows lines on a terminal in the pager (`GIT_PAGER`, `PAGER`, or `less`); elsewhere prints them.
pub(crate) fn show(lines: &[Line]) -> io::Result<()> {
    let page = look::page(lines, &Look::of_stdout(false));
    let is_long = || lines.len() >= usize::from(console::Term::stdout().size().0);
    if io::stdout().is_terminal() && is_long() && paged(&page)? {
        return Ok(());
    }
    output::print(page.trim_end())
}

/// Whether a pager has shown it. Settings of a repository name none: they are not the user's.
fn paged(page: &str) -> io::Result<bool> {
    let named = ["GIT_PAGER", "PAGER"]
        .into_iter()
        .find_map(std::env::var_os);
    let pager = named.unwrap_or_else(|| "less".into());
    if pager.is_empty() || pager == "cat" {
        return Ok(false);
    }
    let mut command = Command::new("sh");
    command.arg("-c").arg(&pager).stdin(Stdio::piped());
    if std::env::var_os("LESS").is_none() {
        // As git does: ends at once if the page fits, keeps colours, leaves the page on the screen.
        command.env("LESS", "FRX");
    }
    let Ok(mut child) = command.spawn() else {
        return Ok(false);
    };
    let safe = text::printed(&redact(page)).into_owned();
    // The user may leave the pager before its end.
    let written = child
        .stdin
        .take()
        .map(|mut to| to.write_all(safe.as_bytes()));
    match written {
        Some(Err(error)) if !output::is_gone(&error) => return Err(error),
        _ => {}
    }
    // The shell says so if there is no such pager.
    Ok(child.wait()?.code() != Some(127))
}
