//! The known name that a mistyped one probably stands for.

/// How alike two names must be, from 0 to 1, for one to be a slip of the other. Names that
/// begin alike count as more alike than others: people misspell endings.
const LIKENESS_MIN: f64 = 0.75;

/// How alike two names are, from 0 to 1, whatever case they are in; `None` where neither
/// is a slip of the other.
pub fn likeness(meant: &str, name: &str) -> Option<f64> {
    let likeness = strsim::jaro_winkler(&meant.to_lowercase(), &name.to_lowercase());
    (likeness >= LIKENESS_MIN).then_some(likeness)
}

/// The known names of which `name` may be a slip, most alike first; where two are as much
/// alike, in their order.
pub fn alike<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut alike: Vec<(f64, &str)> = known
        .into_iter()
        .filter_map(|known| Some((likeness(known, name)?, known)))
        .collect();
    alike.sort_by(|a, b| b.0.total_cmp(&a.0));
    alike.into_iter().map(|(_, known)| known).collect()
}

/// The known name that is most like `name`, if it is like it at all.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    alike(name, known).into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_other_words_are_not() {
        let known = [
            "haiku",
            "sonnet",
            "opus",
            "in_flight_max",
            "security-review",
            "Explore",
        ];
        for (slip, meant) in [
            ("haku", "haiku"),
            ("Sonet", "sonnet"),
            ("in_flight_limit", "in_flight_max"),
            ("security", "security-review"),
            ("explore", "Explore"),
        ] {
            assert_eq!(nearest(slip, known), Some(meant), "{slip}");
        }
        for other in ["", "xyz", "gpt-6"] {
            assert_eq!(nearest(other, known), None, "{other}");
        }
    }
}
