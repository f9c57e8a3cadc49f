//! Rewrites serde's errors for users.

pub(crate) use divisi_core::nearest::nearest;

/// An unknown name in serde's error: "unknown field `modl`, expected one of `model`, `provider`".
pub(crate) struct Unknown<'a> {
    /// The name.
    pub(crate) name: &'a str,
    /// The known names.
    pub(crate) known: Vec<&'a str>,
}

impl<'a> Unknown<'a> {
    /// `None` for other errors.
    pub(crate) fn parse(message: &'a str) -> Option<Self> {
        Self::after("unknown field ", message)
    }

    /// The same for an unknown enum value.
    fn parse_value(message: &'a str) -> Option<Self> {
        Self::after("unknown variant ", message)
    }

    fn after(beginning: &str, message: &'a str) -> Option<Self> {
        let message = message.strip_prefix(beginning)?;
        let mut names = message.split('`').skip(1).step_by(2);
        Some(Self {
            name: names.next()?,
            known: names.collect(),
        })
    }

    /// Advice.
    pub(crate) fn hint(&self) -> String {
        match nearest(self.name, self.known.iter().copied()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("there are {}", self.known.join(", ")),
        }
    }
}

/// Rewrites an error of serde, with advice. `thing` is the word for fields in this place.
pub(crate) fn told(complaint: &str, thing: &str) -> (String, Option<String>) {
    if let Some(unknown) = Unknown::parse(complaint) {
        return (
            format!("there is no {thing} `{}`", unknown.name),
            Some(unknown.hint()),
        );
    }
    match Unknown::parse_value(complaint) {
        Some(unknown) => {
            let near = nearest(unknown.name, unknown.known.iter().copied());
            let said = match &unknown.known[..] {
                [one, other] => format!("`{}` is neither `{one}` nor `{other}`", unknown.name),
                known => format!("`{}` is none of `{}`", unknown.name, known.join("`, `")),
            };
            (said, near.map(|near| format!("did you mean `{near}`?")))
        }
        None => (complaint.to_owned(), None),
    }
}
