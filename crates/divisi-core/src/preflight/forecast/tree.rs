//! A hierarchical model of tasks: a tree of groups, from all tasks down to those of one label.
//!
//! Each node is a group of tasks. Its mean differs from its parent's by a normal amount with a
//! known prior variance ([`Level::variance`]). Values are observed at the leaves. Two passes give
//! the exact posterior of every node: upwards, each node gets the evidence of its own subtree as a
//! mean with a variance; downwards, this is combined with the posterior of its parent. A group with
//! little evidence stays near its parent; an unseen group has its parent's mean with a larger
//! variance.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A step from a node to one of its children.
pub(super) type Step = (Level, Arc<str>);

/// What a group of tasks has in common, from the largest groups to the smallest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// The executor, with tools or without.
    Executor,
    /// The kind of work.
    Kind,
    /// Models with the same name, whatever their version.
    Family,
    Flow,
    Phase,
    Label,
}

impl Level {
    /// Prior standard deviation of the difference between a group and its parent, as a logarithm of
    /// cost.
    ///
    /// These are judgements, like the priors of kinds. Together they say that the priors of nine of
    /// ten groups are off by a factor of less than three.
    const fn deviation(self) -> f64 {
        match self {
            Self::Executor | Self::Kind => 0.3,
            Self::Flow => 0.35,
            Self::Phase => 0.25,
            Self::Family | Self::Label => 0.2,
        }
    }

    /// The prior variance.
    pub(super) const fn variance(self) -> f64 {
        self.deviation() * self.deviation()
    }
}

/// Degrees of freedom of the prior differences, which have a t distribution: a group far from its
/// parent gets a larger prior variance instead of being pulled back.
const FREEDOM: f64 = 4.0;

/// Iterations that fit these variances; the third one changes figures by some percent.
const PASSES: usize = 4;

/// A group of tasks.
#[derive(Clone, Debug)]
pub(super) struct Node {
    above: Option<usize>,
    /// Variance of its difference from the parent.
    between: f64,
    /// Number and mean of the values observed at this node.
    count: f64,
    mean: f64,
    /// Variance of a single value.
    noise: f64,
    /// Evidence of its own subtree; infinite variance without any.
    told: Gauss,
    /// Its posterior.
    pub(super) known: Gauss,
    /// Given its parent's value, its mean is this share of that value plus a constant…
    pub(super) follows: f64,
    /// …with this standard deviation of its own.
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
    nodes: Vec<Node>,
    below: BTreeMap<(Option<usize>, Step), usize>,
}

/// The known part of a path.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// The last known node.
    pub(super) last: Option<usize>,
    /// Number of steps of the path that lead there.
    pub(super) steps: usize,
}

impl Tree {
    /// The node at the end of a path; missing nodes are created.
    pub(super) fn make(&mut self, path: &[Step]) -> usize {
        let mut above = None;
        for step in path {
            let next = self.nodes.len();
            let node = *self.below.entry((above, step.clone())).or_insert(next);
            if node == next {
                self.nodes.push(Node {
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
            above = Some(node);
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
            let Some(node) = self.below.get(&(found.last, step.clone())) else {
                break;
            };
            (found.last, found.steps) = (Some(*node), found.steps + 1);
        }
        found
    }

    pub(super) fn node(&self, place: usize) -> &Node {
        &self.nodes[place]
    }

    /// The parent.
    pub(super) fn above(&self, place: usize) -> Option<usize> {
        self.nodes[place].above
    }

    /// Records the values observed at a node: their number, their mean and the variance of a single
    /// one.
    pub(super) fn see(&mut self, place: usize, count: f64, mean: f64, noise: f64) {
        let node = &mut self.nodes[place];
        (node.count, node.mean, node.noise) = (count, mean, noise);
    }

    /// Sets the variance of a node's difference from its parent, where observations give a better
    /// one than the level's.
    pub(super) fn vary(&mut self, place: usize, between: f64) {
        self.nodes[place].between = between;
    }

    /// Computes all posteriors. All values must be recorded.
    pub(super) fn learn(&mut self) {
        let usual: Vec<f64> = self.nodes.iter().map(|node| node.between).collect();
        for _ in 0..PASSES {
            self.upwards();
            self.downwards();
            for (place, usual) in usual.iter().enumerate() {
                let above = self.nodes[place]
                    .above
                    .map_or(0.0, |above| self.nodes[above].known.mean);
                let node = &self.nodes[place];
                let off = node.known.mean - above;
                let far = off * off + node.own * node.own;
                self.nodes[place].between = usual * (FREEDOM + far / usual) / (FREEDOM + 1.0);
            }
        }
        self.upwards();
        self.downwards();
    }

    /// Collects the evidence of each subtree. Parents have smaller indices than their children, so
    /// the reverse order is upwards.
    fn upwards(&mut self) {
        // For each node the sum of its children's precisions, and of their means weighted by
        // precision.
        let mut sums = vec![(0.0, 0.0); self.nodes.len()];
        for place in (0..self.nodes.len()).rev() {
            let node = &mut self.nodes[place];
            let (mut precision, mut weighed) = sums[place];
            if node.count > 0.0 {
                precision += node.count / node.noise;
                weighed += node.mean * node.count / node.noise;
            }
            node.told = match precision > 0.0 {
                true => Gauss {
                    mean: weighed / precision,
                    variance: 1.0 / precision,
                },
                false => Gauss::NOTHING,
            };
            if let (Some(above), true) = (node.above, precision > 0.0) {
                let surely = 1.0 / (node.told.variance + node.between);
                sums[above].0 += surely;
                sums[above].1 += node.told.mean * surely;
            }
        }
    }

    fn downwards(&mut self) {
        for place in 0..self.nodes.len() {
            let above = match self.nodes[place].above {
                Some(above) => self.nodes[above].known,
                None => Gauss {
                    mean: 0.0,
                    variance: 0.0,
                },
            };
            let node = &mut self.nodes[place];
            let Gauss { mean, variance } = node.told;
            // Without evidence the variance is infinite, and the node follows its parent.
            let follows = match variance.is_finite() {
                true => variance / (variance + node.between),
                false => 1.0,
            };
            let own = node.between * follows;
            node.follows = follows;
            node.own = own.sqrt();
            node.known = Gauss {
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

    /// A tree with observations at these paths: number and mean.
    fn tree(seen: &[(&[&str], f64, f64)]) -> Tree {
        let mut tree = Tree::default();
        for (names, count, mean) in seen {
            let node = tree.make(&path(names));
            tree.see(node, *count, *mean, 0.5);
        }
        tree.learn();
        tree
    }

    fn known(tree: &Tree, names: &[&str]) -> Gauss {
        tree.node(tree.find(&path(names)).last.unwrap()).known
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
