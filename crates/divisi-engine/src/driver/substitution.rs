//! Detects replies by another model than the one asked.

use divisi_core::price::is_same_model;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The substitutions logged in this execution.
#[derive(Default)]
pub(super) struct Substitutions {
    told: BTreeSet<(Arc<str>, Arc<str>)>,
}

impl Substitutions {
    /// The log line for a reply, once for each pair of models. `asked` is the model of the reply's
    /// attempt, not of its task: on a ladder the rungs must not be confused.
    pub(super) fn notice(&mut self, asked: &Arc<str>, answered: &Arc<str>) -> Option<Arc<str>> {
        if is_same_model(asked, answered) || !self.told.insert((asked.clone(), answered.clone())) {
            return None;
        }
        Some(format!("warning: {asked} was asked, but {answered} answered").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pair_of_models_is_told_once() {
        let mut substitutions = Substitutions::default();
        let mut notice = |asked: &str, answered: &str| {
            let line = substitutions.notice(&asked.into(), &answered.into());
            line.map(|line| line.to_string())
        };
        assert_eq!(notice("haiku-5", "haiku-5-20261007"), None);
        assert_eq!(
            notice("haiku-5", "opus-5").as_deref(),
            Some("warning: haiku-5 was asked, but opus-5 answered")
        );
        assert_eq!(notice("haiku-5", "opus-5"), None);
        assert!(notice("sonnet-5", "opus-5").is_some());
    }
}
