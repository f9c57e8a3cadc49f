//! When tasks start and end under limits: the order a run would follow.

use super::Bounds;
use crate::Millis;
use crate::plan::{Startable, priorities};
use crate::preflight::{Graph, Node};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The dependencies of a graph, prepared for repeated scheduling.
pub(in crate::preflight) struct Schedule {
    /// For each task, the tasks that wait for it.
    followers: Vec<Vec<usize>>,
    /// For each task, the number of tasks it waits for.
    waits: Vec<usize>,
    /// Priority among tasks that may start: largest first.
    priority: Vec<u32>,
    /// For each task, whether it is a program.
    is_program: Vec<bool>,
    in_flight_max: usize,
    programs_max: usize,
    requests_per_second: Option<f64>,
    tokens_per_second: Option<f64>,
}

/// The demand of one task in one draw.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::preflight) struct Demand {
    pub(super) seconds: f64,
    pub(super) requests: f64,
    pub(super) tokens: f64,
}

impl Demand {
    /// A task of this duration that uses up no rate limit.
    pub(in crate::preflight) fn of(took: Millis) -> Self {
        Self {
            seconds: took.0 as f64 / 1_000.0,
            ..Self::default()
        }
    }

    /// Adds the demand of the same task on another model.
    pub(super) fn add(&mut self, more: Self) {
        self.seconds += more.seconds;
        self.requests += more.requests;
        self.tokens += more.tokens;
    }
}

/// Seconds with a total order, for the heap.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Moment(f64);

impl Eq for Moment {}

impl PartialOrd for Moment {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Moment {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Schedule {
    /// Prepares a graph.
    pub(super) fn of(graph: &Graph, bounds: &Bounds) -> Self {
        Self::new(graph, |task| &graph.tasks[task].waits, bounds)
    }

    /// Prepares a graph with other dependencies: `waits` gives the indices of the tasks that a task
    /// waits for, all smaller than its own.
    pub(in crate::preflight) fn new<'w>(
        graph: &Graph,
        waits: impl Fn(usize) -> &'w [usize],
        bounds: &Bounds,
    ) -> Self {
        let count = graph.tasks.len();
        let mut followers = vec![Vec::new(); count];
        for task in 0..count {
            for &before in waits(task) {
                followers[before].push(task);
            }
        }
        Self {
            waits: (0..count).map(|task| waits(task).len()).collect(),
            followers,
            priority: priorities(count, &waits),
            is_program: graph.tasks.iter().map(Node::is_program).collect(),
            in_flight_max: bounds.in_flight_max.max(1) as usize,
            programs_max: bounds.programs_max.max(1) as usize,
            requests_per_second: bounds
                .requests_per_minute
                .map(|n| f64::from(n.max(1)) / 60.0),
            tokens_per_second: bounds.tokens_per_minute.map(|n| n.max(1) as f64 / 60.0),
        }
    }

    /// Number of tasks at each depth of dependencies, from 0.
    pub(super) fn waves(&self) -> Vec<usize> {
        let mut wave = vec![0; self.waits.len()];
        let mut waves = vec![];
        for task in 0..wave.len() {
            waves.resize(waves.len().max(wave[task] + 1), 0);
            waves[wave[task]] += 1;
            for &next in &self.followers[task] {
                wave[next] = wave[next].max(wave[task] + 1);
            }
        }
        waves
    }

    /// The longest chain of dependent tasks, given the usual duration of each task in seconds.
    pub(super) fn critical_path(&self, typical: &[f64]) -> Vec<usize> {
        let count = self.waits.len();
        // Followers come later in the order, so the backward pass has seen them already.
        let mut chain = vec![0.0; count];
        for i in (0..count).rev() {
            let behind = self.followers[i]
                .iter()
                .map(|&next| chain[next])
                .fold(0.0, f64::max);
            chain[i] = typical[i] + behind;
        }
        let longer = |a: &usize, b: &usize| chain[*b].total_cmp(&chain[*a]).then(a.cmp(b));
        let longest = |tasks: &mut dyn Iterator<Item = usize>| tasks.min_by(longer);
        let mut critical_path = Vec::new();
        let mut next = longest(&mut (0..count).filter(|&task| self.waits[task] == 0));
        while let Some(task) = next {
            critical_path.push(task);
            next = longest(&mut self.followers[task].iter().copied());
        }
        critical_path
    }

    /// Seconds until the last task ends, with these demands.
    ///
    /// A task starts when it may and a slot is free, in the order of a run. A program also needs
    /// one of the slots of programs; while all of those are taken, the tasks behind it start. A
    /// rate limit is modelled as a pipe: a task ends no earlier than its requests and tokens have
    /// passed it.
    pub(in crate::preflight) fn makespan(&self, demands: &[Demand]) -> f64 {
        let mut waits = self.waits.clone();
        let mut startable = Startable::default();
        let ready = |startable: &mut Startable<usize>, task: usize| {
            startable.push(task, self.priority[task], self.is_program[task]);
        };
        (0..waits.len())
            .filter(|&task| waits[task] == 0)
            .for_each(|task| ready(&mut startable, task));
        let mut running: BinaryHeap<Reverse<(Moment, usize)>> = BinaryHeap::new();
        let mut programs = 0;
        let (mut now, mut requests_through, mut tokens_through) = (0.0f64, 0.0f64, 0.0f64);
        loop {
            while running.len() < self.in_flight_max
                && let Some(task) = startable.pop(programs < self.programs_max)
            {
                programs += usize::from(self.is_program[task]);
                let demand = demands[task];
                let mut end = now + demand.seconds;
                if let Some(rate) = self.requests_per_second {
                    requests_through = requests_through.max(now) + demand.requests / rate;
                    end = end.max(requests_through);
                }
                if let Some(rate) = self.tokens_per_second {
                    tokens_through = tokens_through.max(now) + demand.tokens / rate;
                    end = end.max(tokens_through);
                }
                running.push(Reverse((Moment(end), task)));
            }
            let Some(Reverse((end, task))) = running.pop() else {
                return now;
            };
            now = end.0;
            programs -= usize::from(self.is_program[task]);
            for &next in &self.followers[task] {
                waits[next] -= 1;
                if waits[next] == 0 {
                    ready(&mut startable, next);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::forecast::sample;

    fn makespan(graph: &Graph, seconds: &[f64], bounds: &Bounds) -> f64 {
        let demands: Vec<Demand> = seconds
            .iter()
            .map(|&seconds| Demand {
                seconds,
                requests: 1.0,
                tokens: 1_000.0,
            })
            .collect();
        Schedule::of(graph, bounds).makespan(&demands)
    }

    fn at_once(in_flight_max: u32) -> Bounds {
        Bounds {
            in_flight_max,
            ..Bounds::default()
        }
    }

    #[test]
    fn what_waits_for_nothing_runs_at_once_as_far_as_it_may() {
        let four = sample::graph(&[&[], &[], &[], &[]]);
        assert_eq!(makespan(&four, &[1.0, 2.0, 3.0, 4.0], &at_once(4)), 4.0);
        assert_eq!(
            makespan(&four, &[1.0, 2.0, 3.0, 4.0], &at_once(2)),
            6.0,
            "1+3 and 2+4: by chains, then as asked for"
        );
        assert_eq!(makespan(&four, &[1.0, 2.0, 3.0, 4.0], &at_once(1)), 10.0);
    }

    /// The graph with these tasks executed by programs.
    fn with_programs(mut graph: Graph, are_programs: impl Fn(usize) -> bool) -> Graph {
        for (task, node) in graph.tasks.iter_mut().enumerate() {
            node.assigned.as_mut().unwrap().is_program = are_programs(task);
        }
        graph
    }

    #[test]
    fn programs_have_slots_of_their_own() {
        let wide = || sample::graph(&[&[] as &[usize]; 130]);
        let fan_out = |are_programs: fn(usize) -> bool| {
            let graph = with_programs(wide(), are_programs);
            makespan(&graph, &[1.0; 130], &Bounds::default())
        };
        assert_eq!(fan_out(|_| false), 1.0, "requests all at once");
        assert_eq!(fan_out(|_| true), 3.0, "64, 64 and 2");
        assert_eq!(fan_out(|task| task % 2 == 0), 2.0, "64 of 65, and the last");
        let programs = with_programs(wide(), |_| true);
        assert_eq!(
            makespan(&programs, &[1.0; 130], &at_once(50)),
            3.0,
            "no more of them than of all tasks"
        );
    }

    #[test]
    fn a_program_without_a_slot_is_passed_by() {
        let bounds = Bounds {
            programs_max: 1,
            ..at_once(2)
        };
        let mixed = with_programs(sample::graph(&[&[], &[], &[], &[]]), |task| task < 2);
        assert_eq!(
            makespan(&mixed, &[2.0, 2.0, 1.0, 1.0], &bounds),
            4.0,
            "the requests beside the first program, then the second"
        );
        assert_eq!(
            makespan(&mixed, &[1.0, 1.0, 2.0, 2.0], &bounds),
            4.0,
            "the second program before the last request: it stands first, and its slot is free"
        );
        let none = Bounds {
            programs_max: 0,
            ..at_once(2)
        };
        assert_eq!(
            makespan(&mixed, &[1.0; 4], &none),
            2.0,
            "there is always one"
        );
    }

    #[test]
    fn a_chain_takes_the_sum_and_is_the_critical_path() {
        let graph = sample::graph(&[&[], &[], &[1], &[0, 2]]);
        let seconds = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(makespan(&graph, &seconds, &at_once(64)), 9.0);
        let schedule = Schedule::of(&graph, &at_once(64));
        assert_eq!(schedule.critical_path(&seconds), [1, 2, 3]);
        assert_eq!(schedule.waves(), [2, 1, 1]);
    }

    #[test]
    fn a_rate_limit_is_a_pipe() {
        let four = sample::graph(&[&[], &[], &[], &[]]);
        let bounds = Bounds {
            requests_per_minute: Some(30),
            ..Bounds::default()
        };
        assert_eq!(
            makespan(&four, &[1.0; 4], &bounds),
            8.0,
            "one request every two seconds"
        );
        let bounds = Bounds {
            tokens_per_minute: Some(60_000),
            ..Bounds::default()
        };
        assert_eq!(
            makespan(&four, &[0.5; 4], &bounds),
            4.0,
            "a thousand tokens a second"
        );
    }

    #[test]
    fn nothing_takes_no_time() {
        assert_eq!(makespan(&Graph::default(), &[], &at_once(1)), 0.0);
    }
}
