//! Agents that race: only the first of several is awaited, as in `Promise.race([agent(a), sleep(b)])`.
//!
//! The flow can end before the others, and that is meant. A dry run shows only that a task is not
//! awaited, so races are found in the text of the script.

use std::ops::RangeInclusive;

/// The functions that wait for the first of several promises.
const FUNCTIONS: [&str; 2] = ["Promise.race(", "Promise.any("];

/// The lines of a script on which agents are requested that race.
#[derive(Debug, Default)]
pub(super) struct Races(Vec<RangeInclusive<u32>>);

impl Races {
    /// The races in a script: lines within their brackets, and lines that set a variable named
    /// there.
    pub(super) fn of(source: &str) -> Self {
        let mut lines = vec![];
        for function in FUNCTIONS {
            for (start, _) in source.match_indices(function) {
                let within = within(&source[start + function.len()..]);
                let first = line_at(source, start);
                lines.push(first..=first + breaks(within));
                let names: Vec<&str> = within
                    .split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
                    .filter(|name| !name.is_empty())
                    .collect();
                let sets = |line: &str| {
                    let set = line.split_once('=').map(|(left, _)| left.trim_end());
                    let name = set.and_then(|left| left.rsplit([' ', '\t']).next());
                    name.is_some_and(|name| names.contains(&name))
                };
                let setting = source.lines().zip(1..).filter(|(line, _)| sets(line));
                lines.extend(setting.map(|(_, line)| line..=line));
            }
        }
        Self(lines)
    }

    /// Whether agents requested on this line race.
    pub(super) fn have(&self, line: u32) -> bool {
        self.0.iter().any(|lines| lines.contains(&line))
    }
}

/// The text up to the bracket that closes the one before it.
fn within(text: &str) -> &str {
    let mut depth = 1;
    for (place, sign) in text.char_indices() {
        match sign {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[..place];
        }
    }
    text
}

fn line_at(source: &str, place: usize) -> u32 {
    1 + breaks(&source[..place])
}

fn breaks(text: &str) -> u32 {
    text.matches('\n').count() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_race_has_the_agents_in_it_and_those_it_names() {
        let races = Races::of(
            "const slow = agent('slow')\n\
             const other = agent('other')\n\
             const first = await Promise.race([\n\
             slow,\n\
             agent('quick').then((r) => r),\n\
             ])\n\
             agent('beside')\n",
        );
        let lines: Vec<u32> = (1..=7).filter(|line| races.have(*line)).collect();
        assert_eq!(lines, [1, 3, 4, 5, 6]);
        assert!(!Races::of("await Promise.all([agent('a')])").have(1));
    }
}
