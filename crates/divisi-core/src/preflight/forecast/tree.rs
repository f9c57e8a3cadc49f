//! What tasks have in common, from all of them down to those of one label.
//!
//! Each knot of the tree stands for a group of tasks and differs from the knot above it by
//! an amount that nobody knows before, but of which it is known how large it usually is.
//! Values are seen at the leaves. From there each knot is told what its own tasks show and
//! how surely, and from the root each is told what the others make likely: with normal
//! amounts that is the exact posterior, in two passes. A group with little to show stays
//! near the one above it; one that nobody has seen is that one, less surely.

use std::collections::BTreeMap;
use std::sync::Arc;

/// From one knot to the next one below it.
pub(super) type Step = (Level, Arc<str>);

/// What a group of tasks has in common, the largest groups first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// What carries them out, with tools or without.
    Executor,
    /// The sort of work.
    Kind,
    /// Models of one name, whatever their version.
    Family,
    Flow,
    Phase,
    Label,
}

impl Level {
    /// How far a group usually is from the one above it, in logarithms of cost: two of
    /// three by less.
    ///
    /// Judgements, of the same sort as the figures of kinds: together they say that nine of
    /// ten priors are off by less than three times.
    const fn deviation(self) -> f64 {
        match self {
            Self::Executor | Self::Kind => 0.3,
            Self::Flow => 0.35,
            Self::Phase => 0.25,
            Self::Family | Self::Label => 0.2,
        }
    }

    /// The same as a variance.
    pub(super) const fn variance(self) -> f64 {
        self.deviation() * self.deviation()
    }
}

/// Degrees of freedom of what is usual: a group that is far away is believed to be far
/// away, and not to be many times improbable.
const FREEDOM: f64 = 4.0;

/// Passes in which that is found out; the third changes figures by some percent.
const PASSES: usize = 4;

/// A group of tasks.
#[derive(Clone, Debug)]
pub(super) struct Knot {
    above: Option<usize>,
    /// Variance of its difference from the knot above.
    between: f64,
    /// Values at this knot: how many, and their mean.
    count: f64,
    mean: f64,
    /// Variance of one of them.
    noise: f64,
    /// What its own tasks show, and how surely.
    told: Gauss,
    /// What is known of it when all has been seen.
    pub(super) known: Gauss,
    /// Given the knot above, it is that one by this share...
    pub(super) follows: f64,
    /// ...and else unsure by this deviation.
    pub(super) own: f64,
}

/// A normal distribution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gauss {
    pub(super) mean: f64,
    pub(super) variance: f64,
}

impl Gauss {
    const NOTHING: Self = Self {
        mean: 0.0,
        variance: f64::INFINITY,
    };
}

/// Groups of tasks, each below a larger one.
#[derive(Debug, Default)]
pub(super) struct Tree {
    knots: Vec<Knot>,
    below: BTreeMap<(Option<usize>, Step), usize>,
}

/// A path as far as the tree knows it, and the levels beyond.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// The last knot that is known.
    pub(super) last: Option<usize>,
    /// How many steps of the path lead there.
    pub(super) steps: usize,
}

impl Tree {
    /// The knot at the end of a path, made where it is not there yet.
    pub(super) fn make(&mut self, path: &[Step]) -> usize {
        let mut above = None;
        for step in path {
            let next = self.knots.len();
            let knot = *self.below.entry((above, step.clone())).or_insert(next);
            if knot == next {
                self.knots.push(Knot {
                    above,
                    between: step.0.variance(),
                    count: 0.0,
                    mean: 0.0,
                    noise: 1.0,
                    told: Gauss::NOTHING,
                    known: Gauss::NOTHING,
                    follows: 1.0,
                    own: step.0.deviation(),
                });
            }
            above = Some(knot);
        }
        above.unwrap_or_default()
    }

    /// Follows a path as far as it is known.
    pub(super) fn find(&self, path: &[Step]) -> Found {
        let mut found = Found {
            last: None,
            steps: 0,
        };
        for step in path {
            let Some(knot) = self.below.get(&(found.last, step.clone())) else {
                break;
            };
            (found.last, found.steps) = (Some(*knot), found.steps + 1);
        }
        found
    }

    pub(super) fn knot(&self, place: usize) -> &Knot {
        &self.knots[place]
    }

    /// The knot above.
    pub(super) fn above(&self, place: usize) -> Option<usize> {
        self.knots[place].above
    }

    /// Adds what was seen at a knot: values with this mean that vary by `noise`.
    pub(super) fn see(&mut self, place: usize, count: f64, mean: f64, noise: f64) {
        let knot = &mut self.knots[place];
        (knot.count, knot.mean, knot.noise) = (count, mean, noise);
    }

    /// Says how far a knot is from the one above it, where more is known than is usual.
    pub(super) fn vary(&mut self, place: usize, between: f64) {
        self.knots[place].between = between;
    }

    /// Finds out what is known of each knot, with all values in place.
    pub(super) fn learn(&mut self) {
        let usual: Vec<f64> = self.knots.iter().map(|knot| knot.between).collect();
        for _ in 0..PASSES {
            self.upwards();
            self.downwards();
            for (place, usual) in usual.iter().enumerate() {
                let above = self.knots[place]
                    .above
                    .map_or(0.0, |above| self.knots[above].known.mean);
                let knot = &self.knots[place];
                let off = knot.known.mean - above;
                let far = off * off + knot.own * knot.own;
                self.knots[place].between = usual * (FREEDOM + far / usual) / (FREEDOM + 1.0);
            }
        }
        self.upwards();
        self.downwards();
    }

    /// A knot is made after the one above it, so backwards is upwards.
    fn upwards(&mut self) {
        // Sums of precisions, and of means by precision.
        let mut sums = vec![(0.0, 0.0); self.knots.len()];
        for place in (0..self.knots.len()).rev() {
            let knot = &mut self.knots[place];
            let (mut precision, mut weighed) = sums[place];
            if knot.count > 0.0 {
                precision += knot.count / knot.noise;
                weighed += knot.mean * knot.count / knot.noise;
            }
            knot.told = match precision > 0.0 {
                true => Gauss {
                    mean: weighed / precision,
                    variance: 1.0 / precision,
                },
                false => Gauss::NOTHING,
            };
            if let (Some(above), true) = (knot.above, precision > 0.0) {
                let surely = 1.0 / (knot.told.variance + knot.between);
                sums[above].0 += surely;
                sums[above].1 += knot.told.mean * surely;
            }
        }
    }

    fn downwards(&mut self) {
        for place in 0..self.knots.len() {
            let above = match self.knots[place].above {
                Some(above) => self.knots[above].known,
                None => Gauss {
                    mean: 0.0,
                    variance: 0.0,
                },
            };
            let knot = &mut self.knots[place];
            let Gauss { mean, variance } = knot.told;
            // Nothing told is infinitely unsure.
            let follows = match variance.is_finite() {
                true => variance / (variance + knot.between),
                false => 1.0,
            };
            let own = knot.between * follows;
            knot.follows = follows;
            knot.own = own.sqrt();
            knot.known = Gauss {
                mean: follows * above.mean + (1.0 - follows) * mean,
                variance: follows * follows * above.variance + own,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(names: &[&str]) -> Vec<Step> {
        let levels = [Level::Executor, Level::Kind, Level::Family, Level::Flow];
        levels
            .into_iter()
            .zip(names)
            .map(|(level, name)| (level, Arc::from(*name)))
            .collect()
    }

    /// A tree with values at some paths: how many, and their mean.
    fn tree(seen: &[(&[&str], f64, f64)]) -> Tree {
        let mut tree = Tree::default();
        for (names, count, mean) in seen {
            let knot = tree.make(&path(names));
            tree.see(knot, *count, *mean, 0.5);
        }
        tree.learn();
        tree
    }

    fn known(tree: &Tree, names: &[&str]) -> Gauss {
        tree.knot(tree.find(&path(names)).last.unwrap()).known
    }

    #[test]
    fn what_was_seen_often_moves_a_group_further_than_what_was_seen_once() {
        let once = known(
            &tree(&[(&["api", "bug", "m", "f"], 1.0, 1.0)]),
            &["api", "bug", "m", "f"],
        );
        let often = known(
            &tree(&[(&["api", "bug", "m", "f"], 100.0, 1.0)]),
            &["api", "bug", "m", "f"],
        );
        assert!((0.3..0.7).contains(&once.mean), "{}", once.mean);
        assert!((0.95..1.0).contains(&often.mean), "{}", often.mean);
        assert!(often.variance < 0.01 && once.variance > 0.1);
    }

    #[test]
    fn a_group_speaks_for_those_beside_it_less_than_for_itself() {
        let tree = tree(&[(&["api", "bug", "m", "f"], 50.0, 1.0)]);
        let at = |names: &[&str]| known(&tree, names).mean;
        let (own, kind, all) = (
            at(&["api", "bug", "m", "f"]),
            at(&["api", "bug"]),
            at(&["api"]),
        );
        assert!(own > kind && kind > all && all > 0.1, "{own} {kind} {all}");
        assert!(all < 0.4, "one flow says little of all: {all}");
    }

    #[test]
    fn a_group_that_is_far_away_is_believed() {
        let far = known(
            &tree(&[(&["api", "bug", "m", "f"], 8.0, -7.0)]),
            &["api", "bug", "m", "f"],
        );
        assert!(far.mean < -6.7, "{}", far.mean);
    }

    #[test]
    fn a_path_is_known_as_far_as_it_was_seen() {
        let tree = tree(&[(&["api", "bug", "m", "f"], 1.0, 1.0)]);
        assert_eq!(tree.find(&path(&["api", "bug", "other"])).steps, 2);
        assert_eq!(tree.find(&path(&["command"])).steps, 0);
    }
}
