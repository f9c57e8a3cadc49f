//! Decides what follows a check on a ladder of models.

use crate::check::CheckKind;

/// What happens to a checked result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Climb {
    /// The check passed: this is the result.
    Accept,
    /// The check refused it, but it is the best there is and is taken.
    Keep,
    /// The task starts again on the rung at this place.
    Next(usize),
    /// The check refused it and there is no stronger model: the task fails.
    Fail,
}

/// Decides what follows the check of a result from rung `rung` of a ladder with `rungs` rungs.
///
/// `last_is_kept` says whether a result of the last rung is kept although the check refused it: if
/// the check is an opinion (a judge), that result is better than none; if it is a fact (a schema, a
/// command), it is not.
pub fn climb(rung: usize, rungs: usize, accepted: bool, last_is_kept: bool) -> Climb {
    match (accepted, rung + 1 < rungs) {
        (true, _) => Climb::Accept,
        (false, true) => Climb::Next(rung + 1),
        (false, false) if last_is_kept => Climb::Keep,
        (false, false) => Climb::Fail,
    }
}

/// Whether a ladder keeps the refused result of its last rung: only if all checks are opinions and
/// a weaker model was tried before.
pub fn last_is_kept(checks: impl IntoIterator<Item = CheckKind>, rungs: usize) -> bool {
    rungs > 1 && checks.into_iter().all(|check| check == CheckKind::Opinion)
}

/// Whether the result of a rung needs a check at all: not where it is taken in any case.
pub fn needs_check(rung: usize, rungs: usize, last_is_kept: bool) -> bool {
    rung + 1 < rungs || !last_is_kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn climbs_on_evidence_and_stops_at_the_top() {
        assert_eq!(climb(0, 2, true, false), Climb::Accept);
        assert_eq!(climb(0, 2, false, true), Climb::Next(1));
        assert_eq!(climb(1, 2, true, false), Climb::Accept);
        assert_eq!(climb(1, 2, false, true), Climb::Keep);
        assert_eq!(climb(1, 2, false, false), Climb::Fail);
        assert_eq!(
            climb(0, 1, false, false),
            Climb::Fail,
            "one rung is a ladder too"
        );
    }
}
