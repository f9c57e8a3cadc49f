//! What remains when a process is gone: the journal, the vendor, the flow's file, and the user who
//! resumes the run.

use crate::Tally;
use crate::ask::{Ask, PHASES};
use crate::chance::Chance;
use crate::flow::Flow;
use crate::scenario::Scenario;
use crate::story::Story;
use crate::vendor::Vendor;
use crate::watch::ensure;
use divisi_core::event::{Caps, Recorded};
use divisi_core::{Limits, PicoUsd, Run, TaskId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// A run and its surroundings.
pub(crate) struct World {
    pub(crate) scenario: Scenario,
    pub(crate) story: Story,
    pub(crate) now: Timestamp,
    pub(crate) journal: Vec<Recorded>,
    /// Number of journal entries that were written and read again, as on a disk.
    on_disk: usize,
    pub(crate) vendor: Vendor,
    pub(crate) tally: Tally,
    pub(crate) flow: Flow,
    pub(crate) limits: Limits,
    pub(crate) caps: Caps,
    /// Caps that the flow gives its phases.
    pub(crate) flow_caps: BTreeMap<&'static str, PicoUsd>,
    pub(crate) people: Chance,
    pub(crate) editor: Chance,
    pub(crate) death: Chance,
    /// The calls that were answered in the last execution, in order.
    pub(crate) answered: Vec<usize>,
    /// Tasks of the last execution, if the next must request them again.
    pub(crate) expected: Option<BTreeSet<TaskId>>,
    /// Whether every execution so far had the same flow in the same order.
    pub(crate) unchanged: bool,
}

impl World {
    pub(crate) fn new(scenario: Scenario, story: Story) -> Self {
        let mut people = Chance::of(scenario.seed, "people");
        let in_flight_max = if people.percent(30) {
            64
        } else {
            people.within(0..5) as u32
        };
        let tasks_max = if scenario.cramped {
            4
        } else {
            Limits::default().tasks_max
        };
        let cap = PicoUsd(people.within(10..200) * u64::from(scenario.tasks));
        let mut of_phases = |percent| {
            let capped = PHASES
                .into_iter()
                .filter(|_| people.percent(percent))
                .collect::<Vec<_>>();
            let cap = |phase| {
                (
                    phase,
                    PicoUsd(people.within(5..100) * u64::from(scenario.tasks)),
                )
            };
            let caps: BTreeMap<_, _> = capped.into_iter().map(cap).collect();
            if scenario.phases {
                caps
            } else {
                BTreeMap::new()
            }
        };
        let (settings, flow_caps) = (of_phases(30), of_phases(20));
        let caps = Caps {
            run: scenario.capped.then_some(cap),
            phases: settings
                .into_iter()
                .map(|(phase, cap)| (phase.into(), cap))
                .collect(),
            warn_percent: scenario.warned.then(|| people.within(0..110) as u8),
        };
        let mut flow = Flow::new(&mut Chance::of(scenario.seed, "flow"), scenario.tasks);
        flow.each(Ask::may_be_outside);
        flow.each(|ask| scenario.strip(ask));
        if scenario.timers {
            flow.add_timers(&mut Chance::of(scenario.seed, "timers"));
        }
        Self {
            flow,
            vendor: Vendor::new(scenario),
            limits: Limits {
                in_flight_max,
                programs_max: Chance::of(scenario.seed, "programs").within(0..4) as u32,
                tasks_max,
                logs_max: 20,
                hopeless_after: Chance::of(scenario.seed, "circuit").within(0..6) as u32,
                ..Limits::default()
            },
            caps,
            flow_caps,
            editor: Chance::of(scenario.seed, "editor"),
            death: Chance::of(scenario.seed, "death"),
            people,
            now: Timestamp(0),
            journal: vec![],
            on_disk: 0,
            tally: Tally::default(),
            answered: vec![],
            expected: None,
            unchanged: true,
            scenario,
            story,
        }
    }

    /// The run rebuilt from the journal, read as from a disk.
    pub(crate) fn reload(&mut self) -> Result<Run, String> {
        for recorded in &mut self.journal[self.on_disk..] {
            let written = serde_json::to_vec(recorded).map_err(|error| error.to_string())?;
            let read: Recorded =
                serde_json::from_slice(&written).map_err(|error| error.to_string())?;
            ensure!(read == *recorded, "{recorded:?} is read as {read:?}");
            *recorded = read;
        }
        self.on_disk = self.journal.len();
        let mut run = Run::new();
        for Recorded { at, event, .. } in &self.journal {
            run.apply(*at, event)
                .map_err(|illegal| illegal.to_string())?;
        }
        Ok(run)
    }
}
