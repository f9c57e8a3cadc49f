//! What follows on a ladder once a check has decided.

use crate::check::CheckKind;

/// What is done with a result that a check has looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Climb {
    /// The check is satisfied: this is the result.
    Accept,
    /// It is not, but there is no stronger model and the flow takes what there is.
    Keep,
    /// The task starts again on the rung at this place.
    Next(usize),
    /// It is not, and there is no stronger model: the task fails.
    Fail,
}

/// Says what follows the check of a result from the rung at place `rung` of a
/// ladder that has `rungs` of them.
///
/// `last_is_kept` says what becomes of a result that the last rung made and the
/// check refused. Where the check is an opinion (a judge), the strongest model's
/// result is worth more than none; where it is a fact (a schema, a command), not.
pub fn climb(rung: usize, rungs: usize, accepted: bool, last_is_kept: bool) -> Climb {
    match (accepted, rung + 1 < rungs) {
        (true, _) => Climb::Accept,
        (false, true) => Climb::Next(rung + 1),
        (false, false) if last_is_kept => Climb::Keep,
        (false, false) => Climb::Fail,
    }
}

/// Whether a ladder of so many rungs keeps what its last rung made and these
/// checks refused: where all of them are opinions, and a weaker model has been
/// tried before.
pub fn last_is_kept(checks: impl IntoIterator<Item = CheckKind>, rungs: usize) -> bool {
    rungs > 1 && checks.into_iter().all(|check| check == CheckKind::Opinion)
}

/// Whether the result of a rung needs to be checked at all: not where it is
/// taken whatever the check says.
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
