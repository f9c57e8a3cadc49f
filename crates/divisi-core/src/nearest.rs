//! Finds the known name that a mistyped one probably means.

/// Least likeness, from 0 to 1, at which one name counts as a misspelling of another. A common
/// beginning adds to the likeness, because most misspellings are at the end.
const LIKENESS_MIN: f64 = 0.75;

/// Likeness of two names from 0 to 1, regardless of case; `None` below the limit.
pub fn likeness(meant: &str, name: &str) -> Option<f64> {
    let likeness = strsim::jaro_winkler(&meant.to_lowercase(), &name.to_lowercase());
    (likeness >= LIKENESS_MIN).then_some(likeness)
}

/// The known names that `name` may mean, most alike first; equal ones keep their order.
pub fn alike<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut alike: Vec<(f64, &str)> = known
        .into_iter()
        .filter_map(|known| Some((likeness(known, name)?, known)))
        .collect();
    alike.sort_by(|a, b| b.0.total_cmp(&a.0));
    alike.into_iter().map(|(_, known)| known).collect()
}

/// The known name most like `name`, if any is alike.
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
