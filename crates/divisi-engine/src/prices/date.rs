//! Days, as price lists write them.

use divisi_core::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// The beginning in UTC of a day such as `2026-10-07`; `None` if the text is no day, or before
/// 1970.
pub(super) fn midnight(day: &str) -> Option<Timestamp> {
    let day: Date = day.parse().ok()?;
    let millis = day
        .to_zoned(TimeZone::UTC)
        .ok()?
        .timestamp()
        .as_millisecond();
    u64::try_from(millis).ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_begin_at_midnight_in_utc() {
        assert_eq!(midnight("1970-01-02"), Some(Timestamp(86_400_000)));
        assert_eq!(midnight("2026-10-07"), Some(Timestamp(1_791_331_200_000)));
        assert_eq!(midnight("2026-13-07"), None);
        assert_eq!(midnight("soon"), None);
    }
}
