//! What serde complains about, in our words.

pub(crate) use divisi_core::nearest::nearest;

/// A name that is not known, as serde complains about it: "unknown field
/// `modl`, expected one of `model`, `provider`".
pub(crate) struct Unknown<'a> {
    /// The name.
    pub(crate) name: &'a str,
    /// Those there are.
    pub(crate) known: Vec<&'a str>,
}

impl<'a> Unknown<'a> {
    /// `None` where the complaint is another one.
    pub(crate) fn parse(message: &'a str) -> Option<Self> {
        Self::after("unknown field ", message)
    }

    /// The same of a value that is none of those it may be.
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

    /// What is to be written instead.
    pub(crate) fn hint(&self) -> String {
        match nearest(self.name, self.known.iter().copied()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("there are {}", self.known.join(", ")),
        }
    }
}

/// A complaint of serde in our words, and what to write instead. `thing` is what
/// fields are called where they stand.
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
