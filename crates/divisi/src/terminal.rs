//! Notes and questions on the terminal, among them whether to trust a project's settings.

use crate::display::{Line, Look, Tone, look};
use crate::output;
use crate::text;
use anyhow::Context as _;
use divisi_app::settings::{Claim, Project, Standing};
use divisi_app::{Listener, Problem, TrustAnswer};

/// Columns of one setting of a file; the rest is cut.
const WHOLE_COLUMNS_MAX: usize = 2_000;

/// The terminal, as the application uses it.
pub(crate) struct Terminal {
    /// Whether notes are printed.
    pub(crate) notes: bool,
    /// Whether questions are asked.
    pub(crate) asks: bool,
}

impl Listener for Terminal {
    fn note(&self, note: &str) {
        if self.notes {
            output::say(&text::flat(&format!("note: {note}")));
        }
    }

    fn ask_for_trust(&self, project: &Project) -> Result<TrustAnswer, Problem> {
        if !self.asks || !output::can_ask() {
            return Ok(TrustAnswer::No);
        }
        let state = match project.standing {
            Standing::Changed => "has changed since you trusted it. It says:",
            Standing::Unknown | Standing::Trusted => "is not trusted yet. It says:",
        };
        let mut lines = vec![
            Line::of(Tone::Strong, project.path.display().to_string()).plain(format!(" {state}")),
        ];
        lines.extend(claims(project));
        output::say(look::page(&lines, &Look::of_stderr(false)).trim_end());
        let question =
            "trust it until it changes (yes), run without these settings (without), or stop (no)?";
        let answers = [
            ("yes", TrustAnswer::Yes),
            ("without", TrustAnswer::Without),
            ("no", TrustAnswer::No),
        ];
        let answer = output::ask(question, &answers).context("cannot read the answer")?;
        Ok(answer.unwrap_or(TrustAnswer::No))
    }
}

/// What a settings file would decide: each setting as written, and its effect.
pub(crate) fn claims(project: &Project) -> Vec<Line> {
    let lines = |claim: &Claim| {
        let whole = text::cut(
            &text::flat(&claim.whole),
            WHOLE_COLUMNS_MAX,
            " … and more: read the file",
        );
        [
            Line::new().plain(format!("  {whole}")),
            Line::of(Tone::Warn, format!("    {}", claim.would)),
        ]
    };
    let shown = project.claims.iter().take(Project::CLAIMS_SHOWN_MAX);
    let mut lines: Vec<Line> = shown.flat_map(lines).collect();
    lines.extend(
        project
            .more()
            .map(|more| Line::of(Tone::Warn, format!("  {more}"))),
    );
    lines
}
