//! Numbers for the user.

use divisi_core::budget::Spent;
use divisi_core::{Millis, PicoUsd, Timestamp};

/// A count with separated thousands: `10,000`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// An amount spent: the cost of replies, and separately what is not confirmed.
pub(crate) fn spent(spent: Spent) -> String {
    let Spent {
        billed,
        unconfirmed,
        over,
        estimated,
    } = spent;
    let mut told = billed.to_string();
    if unconfirmed > PicoUsd::ZERO {
        told += &format!(" + at most {unconfirmed} unconfirmed");
    }
    if over > PicoUsd::ZERO {
        told += &format!(" + {over} above what was set aside");
    }
    if estimated > PicoUsd::ZERO {
        told += &format!(", of which {estimated} is estimated");
    }
    told
}

/// An amount that may be an estimate.
pub(crate) fn maybe_estimated(amount: PicoUsd, is_estimated: bool) -> String {
    match is_estimated && amount > PicoUsd::ZERO {
        true => format!("~{amount}"),
        false => amount.to_string(),
    }
}

/// The same in few words, for a column.
pub(crate) fn spent_short(spent: Spent) -> String {
    let Spent {
        billed,
        unconfirmed,
        over,
        estimated,
    } = spent;
    let mut told = maybe_estimated(billed, estimated > PicoUsd::ZERO);
    if unconfirmed > PicoUsd::ZERO {
        told += &format!(" + at most {unconfirmed}");
    }
    if over > PicoUsd::ZERO {
        told += &format!(" + {over} over");
    }
    told
}

/// A count with the word for what is counted: `1 task`, `2 tasks`.
pub(crate) fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// Tokens, to two or three digits: `950`, `1.2 k`, `41 k`, `1.2 M`.
pub(crate) fn tokens(n: u64) -> String {
    if n < 1_000 {
        return n.to_string();
    }
    let units = [(1_000, "k"), (1_000_000, "M"), (1_000_000_000, "G")];
    // After rounding, `1000 k` must become `1.0 M`.
    let fits = |&(unit, _): &(u64, &str)| n < unit * 1_000 - unit / 2;
    let (unit, sign) = units.into_iter().find(fits).unwrap_or(units[2]);
    let tenths = n.saturating_mul(10).saturating_add(unit / 2) / unit;
    match tenths {
        0..100 => format!("{}.{} {sign}", tenths / 10, tenths % 10),
        _ => format!("{} {sign}", n.saturating_add(unit / 2) / unit),
    }
}

/// Bytes, in powers of ten: `950 B`, `1.2 MB`.
pub(crate) fn bytes(n: u64) -> String {
    match n {
        0..1_000 => format!("{n} B"),
        _ => format!("{}B", tokens(n)),
    }
}

/// A running clock: `0:41`, `1:02:03`.
pub(crate) fn clock(span: Millis) -> String {
    let secs = span.0 / 1_000;
    let (hours, minutes, secs) = (secs / 3_600, secs / 60 % 60, secs % 60);
    match hours {
        0 => format!("{minutes}:{secs:02}"),
        _ => format!("{hours}:{minutes:02}:{secs:02}"),
    }
}

/// How long something took: `85 ms`, `4.2 s`, `0:41`.
pub(crate) fn took(span: Millis) -> String {
    match span.0 {
        ms @ 0..1_000 => format!("{ms} ms"),
        ms @ 1_000..10_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => clock(span),
    }
}

/// How long a run was at work, and separately how long it was parked: `took 0:41 (rested 2:00:07)`.
pub(crate) fn took_and_rested(worked: Millis, rested: Millis) -> String {
    match rested.0 {
        // Events of one decision may be a few milliseconds apart; that is no rest.
        0..1_000 => format!("took {}", took(worked)),
        _ => format!("took {} (rested {})", took(worked), took(rested)),
    }
}

/// How long a wait still lasts, rounded up: `12 s`, `2 min`.
pub(crate) fn rest(span: Millis) -> String {
    match span.0.div_ceil(1_000) {
        secs @ 0..=120 => format!("{secs} s"),
        secs @ 121..=7_200 => format!("{} min", secs.div_ceil(60)),
        secs => format!("{} h", secs.div_ceil(3_600)),
    }
}

/// How long something will still take, as exact as a guess should look: `5 s`, `40 s`, `3 min`.
pub(crate) fn roughly(span: Millis) -> String {
    let step = match span.0.div_ceil(1_000) {
        0..=20 => 5_000,
        21..=120 => 10_000,
        _ => 1,
    };
    rest(Millis(span.0.max(1).next_multiple_of(step)))
}

/// A moment in the future: `14:05:10 UTC`, with its date if it is more than a day away.
pub(crate) fn moment(now: Timestamp, then: Timestamp) -> String {
    let at = i64::try_from(then.0)
        .ok()
        .and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    let form = if then.since(now) < Millis::from_secs(86_400) {
        "%H:%M:%S UTC"
    } else {
        "%F %H:%M UTC"
    };
    at.map_or_else(
        || "the end of time".to_owned(),
        |at| at.strftime(form).to_string(),
    )
}

/// How long ago a moment was: `just now`, `3 min ago`.
pub(crate) fn ago(now: Timestamp, then: Timestamp) -> String {
    match now.since(then).0 / 1_000 {
        0..10 => "just now".to_owned(),
        secs @ 10..60 => format!("{secs} s ago"),
        secs @ 60..3_600 => format!("{} min ago", secs / 60),
        secs @ 3_600..86_400 => format!("{} h ago", secs / 3_600),
        secs => format!("{} ago", counted(secs / 86_400, "day", "days")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_sure_is_told_apart() {
        let of = |billed: u64, unconfirmed: u64, over: u64| Spent {
            billed: PicoUsd(billed * 10_000_000_000),
            unconfirmed: PicoUsd(unconfirmed * 10_000_000_000),
            over: PicoUsd(over * 10_000_000_000),
            ..Spent::default()
        };
        let guessed = Spent {
            estimated: PicoUsd(10_000_000_000),
            ..of(2, 0, 0)
        };
        assert_eq!(spent(guessed), "$0.0200, of which $0.0100 is estimated");
        assert_eq!(spent_short(guessed), "~$0.0200");
        assert_eq!(spent(of(2, 0, 0)), "$0.0200");
        assert_eq!(spent(of(2, 59, 0)), "$0.0200 + at most $0.5900 unconfirmed");
        assert_eq!(
            spent(of(2, 0, 400)),
            "$0.0200 + $4.00 above what was set aside"
        );
        assert_eq!(spent_short(of(0, 59, 0)), "$0.0000 + at most $0.5900");
        assert_eq!(
            spent_short(of(2, 1, 3)),
            "$0.0200 + at most $0.0100 + $0.0300 over"
        );
    }

    #[test]
    fn counts_and_tokens() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(count),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(counted(1, "task", "tasks"), "1 task");
        assert_eq!(counted(10_000, "task", "tasks"), "10,000 tasks");
        assert_eq!(
            [
                0,
                999,
                1_000,
                1_240,
                9_960,
                41_499,
                999_499,
                999_500,
                1_200_000,
                2_500_000_000
            ]
            .map(tokens),
            [
                "0", "999", "1.0 k", "1.2 k", "10 k", "41 k", "999 k", "1.0 M", "1.2 M", "2.5 G"
            ]
        );
        assert_eq!(tokens(u64::MAX / 16), "1152921505 G");
        assert_eq!(tokens(u64::MAX), "18446744073 G");
    }

    #[test]
    fn spans_and_moments() {
        assert_eq!(
            [0, 41_000, 3_723_000].map(|ms| clock(Millis(ms))),
            ["0:00", "0:41", "1:02:03"]
        );
        assert_eq!(
            [85, 4_270, 41_000].map(|ms| took(Millis(ms))),
            ["85 ms", "4.2 s", "0:41"]
        );
        let both = |worked, rested| took_and_rested(Millis(worked), Millis(rested));
        assert_eq!(both(41_000, 0), "took 0:41");
        assert_eq!(both(41_000, 7_207_000), "took 0:41 (rested 2:00:07)");
        assert_eq!(
            [1, 11_001, 121_000, 7_201_000].map(|ms| rest(Millis(ms))),
            ["1 s", "12 s", "3 min", "3 h"]
        );
        assert_eq!(
            [0, 11_001, 42_000, 121_000].map(|ms| roughly(Millis(ms))),
            ["5 s", "15 s", "50 s", "3 min"]
        );
        let ago = |secs: u64| super::ago(Timestamp(secs * 1_000), Timestamp(0));
        assert_eq!(
            [3, 40, 190, 7_300, 86_400].map(ago),
            ["just now", "40 s ago", "3 min ago", "2 h ago", "1 day ago"]
        );
    }
}
