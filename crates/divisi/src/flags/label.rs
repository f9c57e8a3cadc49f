//! Flags by which a new run is found again.

use clap::Args;
use divisi_core::event::RunLabel;

/// Characters of a name: a column of the list of runs.
const NAME_CHARS_MAX: usize = 60;

/// Characters of a tag.
const TAG_CHARS_MAX: usize = 40;

/// Flags by which a new run is found again.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Finding it again")]
pub(crate) struct LabelFlags {
    /// A name for the run, by which other commands find it
    #[arg(long, value_name = "NAME", value_parser = name)]
    name: Option<String>,
    /// A tag for the run, by which `divisi runs` selects it; may be repeated
    #[arg(long = "tag", value_name = "TAG", value_parser = tag)]
    tags: Vec<String>,
}

impl From<LabelFlags> for RunLabel {
    fn from(LabelFlags { name, mut tags }: LabelFlags) -> Self {
        tags.sort();
        tags.dedup();
        Self {
            name: name.map(Into::into),
            tags: tags.into_iter().map(Into::into).collect(),
            about: None,
        }
    }
}

fn name(text: &str) -> Result<String, String> {
    match text {
        "last" => Err("`last` always means the last run".to_owned()),
        _ => word(text, NAME_CHARS_MAX),
    }
}

fn tag(text: &str) -> Result<String, String> {
    word(text, TAG_CHARS_MAX)
}

/// A text of one line that can be typed as an argument.
fn word(text: &str, chars_max: usize) -> Result<String, String> {
    let text = text.trim();
    match () {
        () if text.is_empty() => Err("it is empty".to_owned()),
        () if text.starts_with('-') => Err("it looks like a flag".to_owned()),
        () if text.chars().any(char::is_control) => Err("it must be one line".to_owned()),
        () if text.chars().count() > chars_max => {
            Err(format!("it has more than {chars_max} characters"))
        }
        () => Ok(text.to_owned()),
    }
}
