//! Effects of groups, shrunk by how much speaks for them.

use std::collections::BTreeMap;

/// What belonging to groups adds to a value, and how unsure that is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shift {
    pub(super) mean: f64,
    pub(super) variance: f64,
}

/// What belonging to a group adds to a value.
#[derive(Debug)]
pub(super) struct Effects<K> {
    groups: BTreeMap<K, Shift>,
    /// Variance of the effect of a group that nobody has seen.
    between: f64,
    /// How many free parameters that takes: a group trusted whole takes one.
    pub(super) used: f64,
}

impl<K> Default for Effects<K> {
    fn default() -> Self {
        Self {
            groups: BTreeMap::new(),
            between: 0.0,
            used: 0.0,
        }
    }
}

impl<K: Ord + Clone> Effects<K> {
    /// Estimates the effects from values with their group and the piece of work
    /// they are about; values about one piece of work count as one.
    ///
    /// The variance between groups is the analysis of variance's, and each
    /// group's mean is drawn towards the mean of all by its own share of noise
    /// (James and Stein; empirical Bayes).
    pub(super) fn of(values: impl Iterator<Item = (K, u64, f64)>) -> Self {
        let mut works: BTreeMap<(K, u64), (f64, f64)> = BTreeMap::new();
        for (group, work, value) in values {
            let (sum, count) = works.entry((group, work)).or_default();
            *sum += value;
            *count += 1.0;
        }
        let mut groups: BTreeMap<K, Vec<f64>> = BTreeMap::new();
        for ((group, _), (sum, count)) in works {
            groups.entry(group).or_default().push(sum / count);
        }
        let count: f64 = groups.values().map(|values| values.len() as f64).sum();
        let free = count - groups.len() as f64;
        if groups.len() < 2 || free < 1.0 {
            return Self::default();
        }
        let mean_all = groups.values().flatten().sum::<f64>() / count;
        let squares = |values: &Vec<f64>| {
            values
                .iter()
                .map(|v| (v - mean(values)).powi(2))
                .sum::<f64>()
        };
        let within = groups.values().map(squares).sum::<f64>() / free;
        let apart: f64 = groups
            .values()
            .map(|values| values.len() as f64 * (mean(values) - mean_all).powi(2))
            .sum();
        let sizes: f64 = groups
            .values()
            .map(|values| (values.len() as f64).powi(2))
            .sum();
        let degrees = groups.len() as f64 - 1.0;
        let between = ((apart - degrees * within) / (count - sizes / count)).max(0.0);
        let mut used = 0.0;
        let mut effect = |values: Vec<f64>| {
            let n = values.len() as f64;
            let trust = if between > 0.0 {
                n * between / (n * between + within)
            } else {
                0.0
            };
            used += trust;
            Shift {
                mean: (mean(&values) - mean_all) * trust,
                variance: between * (1.0 - trust),
            }
        };
        let groups = groups
            .into_iter()
            .map(|(key, values)| (key, effect(values)))
            .collect();
        Self {
            groups,
            between,
            used,
        }
    }

    /// The effect of a group.
    pub(super) fn get(&self, group: &K) -> Shift {
        self.groups.get(group).copied().unwrap_or(Shift {
            mean: 0.0,
            variance: self.between,
        })
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Effects of groups given as `(name, values)`.
    fn effects(groups: &[(&'static str, &[f64])]) -> Effects<&'static str> {
        let mut work = 0;
        let values = groups
            .iter()
            .flat_map(|(name, values)| values.iter().map(move |v| (*name, *v)));
        let values: Vec<_> = values
            .map(|(name, value)| {
                work += 1;
                (name, work, value)
            })
            .collect();
        Effects::of(values.into_iter())
    }

    #[test]
    fn many_values_move_an_estimate_further_than_few() {
        let many: Vec<f64> = (0..40).map(|i| 1.0 + f64::from(i % 2)).collect();
        let effects = effects(&[
            ("a", &many),
            ("b", &[1.0, 2.0]),
            ("c", &[-1.5; 3]),
            ("d", &[-1.0, -2.0]),
        ]);
        assert!(effects.get(&"a").mean > 0.0 && effects.get(&"c").mean < 0.0);
        assert!(effects.get(&"a").variance < effects.get(&"b").variance);
        let stranger = effects.get(&"z");
        assert_eq!(stranger.mean, 0.0);
        assert!(
            stranger.variance > effects.get(&"b").variance,
            "less is known of it than of any"
        );
    }

    #[test]
    fn groups_that_differ_by_chance_only_have_no_effect() {
        let effects = effects(&[("a", &[0.0, 1.0, 2.0]), ("b", &[2.0, 0.0, 1.0])]);
        assert_eq!(effects.get(&"a").mean, 0.0);
        assert_eq!(effects.get(&"a").variance, 0.0);
    }

    #[test]
    fn one_group_tells_nothing_of_groups() {
        assert_eq!(effects(&[("a", &[1.0, 5.0])]).get(&"a").mean, 0.0);
    }

    #[test]
    fn two_looks_at_one_piece_of_work_count_once() {
        let once = [("a", 1, 3.0), ("a", 2, 4.0), ("b", 3, 0.0), ("b", 4, 1.0)];
        let twice = once.iter().chain(&once).copied();
        let (one, two) = (Effects::of(once.into_iter()), Effects::of(twice));
        assert_eq!(one.get(&"a").mean, two.get(&"a").mean);
        assert_eq!(one.get(&"a").variance, two.get(&"a").variance);
    }
}
