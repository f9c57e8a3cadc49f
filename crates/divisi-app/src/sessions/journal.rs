//! A session as the journal of a run.

use super::{Agent, AgentReply, Session, Table};
use crate::Problem;
use crate::place::Place;
use divisi_core::content::Blob;
use divisi_core::event::{
    Awaited, Caps, Edges, FORMAT, FlowSource, RunLabel, RunStarted, RunStatus, TaskFacts,
    TaskSubmitted, Times, Turn,
};
use divisi_core::reads::Reads;
use divisi_core::{
    AttemptId, Content, Digest, Event, Failure, FailureClass, Key, Limits, Millis, Outcome,
    PicoUsd, Position, Recorded, Run, RunId, Task, TaskId, Timestamp,
};
use divisi_engine::choose::choose;
use divisi_engine::store::{Batch, RunSummary, Store};
use divisi_providers::{Block, Reply, redact};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The tag of runs that were not driven by divisi.
const TAG: &str = "imported";

/// What came of a session.
pub(super) enum Added {
    /// It is a new run, or replaces its run because it has gone on.
    New,
    /// Its run is there already.
    Known,
    /// It is not added, for this reason.
    Not(String),
}

/// Adds the run of a session, or replaces it if the session has gone on.
pub(super) async fn add(
    session: &Session,
    id: &RunId,
    table: &Table<'_>,
    store: &dyn Store,
    place: &Place,
) -> Result<Added, Problem> {
    let ended = session.ended();
    let known = store.run(id).await?;
    if let Some(known) = &known {
        let is_ours = known.tags.iter().any(|tag| &**tag == TAG);
        if !is_ours || known.flow != session.program.as_str() {
            return Ok(Added::Not(format!("another run has its id, {id}")));
        }
        let agents = known.ok + known.failed + known.skipped + known.open;
        if known.updated_at == ended && agents as usize == session.agents.len() {
            return Ok(Added::Known);
        }
    }
    let mut journal = Journal::of(session, table, place);
    journal.write()?;
    let mut run = Run::new();
    for recorded in &journal.events {
        if let Err(error) = run.apply(recorded.at, &recorded.event) {
            return Ok(Added::Not(format!("it makes no run: {error}")));
        }
    }
    // Nothing may read it while it is replaced.
    let _lease = store.leases().take(id).await?;
    if known.is_some() {
        store.remove(std::slice::from_ref(id)).await?;
    }
    let batch = Batch {
        run: id.clone(),
        position: Position::default(),
        events: journal.events,
        blobs: journal.blobs,
        summary: RunSummary::of(id, &run, ended),
        receipts: vec![],
    };
    store.append(Arc::new(batch)).await?;
    Ok(Added::New)
}

impl Session {
    /// When its last agent was at work.
    pub(super) fn ended(&self) -> Timestamp {
        let ends = self.agents.iter().map(|agent| agent.ended);
        ends.max().unwrap_or_default()
    }

    /// For each agent, the one whose result came back before it was started, the latest of those
    /// that the same agent had started; `None` if it waited for none.
    pub(super) fn waits(&self) -> Vec<Option<usize>> {
        let asked = |agent: &Agent| {
            let (by, call) = agent.started_by.as_ref()?;
            let replies = &self.agents.get(*by)?.replies;
            let calls = |reply: &&AgentReply| {
                let is_call =
                    |block: &Block| matches!(block, Block::ToolUse { id, .. } if id == call);
                reply.reply.blocks.iter().any(is_call)
            };
            Some((*by, replies.iter().find(calls)?.at))
        };
        let all: Vec<_> = self.agents.iter().map(asked).collect();
        let before = |place: usize| {
            let (by, at) = all[place]?;
            let siblings = (0..place).filter(|other| all[*other].is_some_and(|(of, _)| of == by));
            siblings
                .filter(|other| self.agents[*other].ended <= at)
                .max_by_key(|other| self.agents[*other].ended)
        };
        (0..self.agents.len()).map(before).collect()
    }

    /// For each agent, the earlier ones whose results its prompt contains.
    pub(super) fn reads(&self) -> Vec<Vec<TaskId>> {
        let mut order: Vec<(Timestamp, bool, usize)> = vec![];
        for (place, agent) in self.agents.iter().enumerate().skip(1) {
            order.push((agent.began, true, place));
            order.push((agent.ended, false, place));
        }
        // Of equal times, an end first.
        order.sort_unstable();
        let (mut results, mut reads) = (Reads::default(), vec![vec![]; self.agents.len()]);
        for (_, begins, place) in order {
            let agent = &self.agents[place];
            match begins {
                true => reads[place] = results.of([agent.prompt.as_str()]),
                false => results.given(task(place), &json(&agent.result())),
            }
        }
        for (place, read) in reads.iter_mut().enumerate() {
            read.retain(|other| other.index() < place);
        }
        reads
    }
}

fn task(place: usize) -> TaskId {
    TaskId(u32::try_from(place).unwrap_or(u32::MAX))
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

struct Journal<'a> {
    session: &'a Session,
    table: &'a Table<'a>,
    place: &'a Place,
    waits: Vec<Option<usize>>,
    reads: Vec<Vec<TaskId>>,
    keys: BTreeMap<Key, u32>,
    blobs: Vec<Blob>,
    /// By time, agent and order.
    moments: Vec<(Timestamp, usize, Event)>,
    events: Vec<Recorded>,
}

impl<'a> Journal<'a> {
    fn of(session: &'a Session, table: &'a Table<'a>, place: &'a Place) -> Self {
        Self {
            session,
            table,
            place,
            waits: session.waits(),
            reads: session.reads(),
            keys: BTreeMap::new(),
            blobs: vec![],
            moments: vec![],
            events: vec![],
        }
    }

    fn write(&mut self) -> Result<(), Problem> {
        let session = self.session;
        for (place, agent) in session.agents.iter().enumerate() {
            self.agent(place, agent)?;
        }
        let mut moments = std::mem::take(&mut self.moments);
        moments.sort_by_key(|(at, place, _)| (*at, *place));
        let began = session.agents[0].began;
        self.event(began, self.started());
        for (at, _, event) in moments {
            self.event(at, event);
        }
        let (ended, result) = (session.ended(), session.agents[0].result());
        let failed = session.agents.iter().any(|agent| agent.failure.is_some());
        let result = Ok(self.content(json(&result)));
        self.event(ended, Event::FlowEnded { result });
        let status = match failed {
            true => RunStatus::Partial,
            false => RunStatus::Ok,
        };
        self.event(ended, Event::RunEnded { status });
        Ok(())
    }

    fn event(&mut self, at: Timestamp, event: Event) {
        self.events.push(Recorded {
            position: Position(self.events.len() as u64),
            at,
            event,
        });
    }

    /// The text without secrets, which is stored beside the events if it is long.
    fn content(&mut self, text: String) -> Content {
        let (content, blob) = Content::of(redact(&text).into_owned().into());
        self.blobs.extend(blob);
        content
    }

    fn started(&self) -> Event {
        let own = &self.session.agents[0];
        let folder = self.session.folder.clone();
        Event::RunStarted(Box::new(RunStarted {
            format: FORMAT,
            name: self.session.program.as_str().into(),
            flow: FlowSource {
                label: RunLabel {
                    name: None,
                    tags: vec![TAG.into()],
                    about: Some(redact(&own.label).into_owned().into()),
                },
                path: None,
                // There is no flow to go on with.
                source: Content::Inline("".into()),
                args: None,
                folder: Some(folder.unwrap_or_else(|| self.place.name()).into()),
                options: None,
            },
            limits: Limits::default(),
            caps: Caps::default(),
        }))
    }

    fn agent(&mut self, place: usize, agent: &Agent) -> Result<(), Problem> {
        let attempt = AttemptId {
            task: task(place),
            number: 1,
        };
        let submitted = self.submitted(place, agent)?;
        // Times of an agent never go back, whatever its lines say.
        let mut now = agent.began;
        self.moments.push((now, place, submitted));
        let costs: Vec<PicoUsd> = agent
            .replies
            .iter()
            .map(|reply| self.table.cost(self.session.program, reply))
            .collect();
        let scheduled = Event::AttemptScheduled {
            attempt,
            model: agent.model(),
            reserved: costs.first().copied().unwrap_or_default(),
            reply_tokens: None,
        };
        self.moments.push((now, place, scheduled));
        for (number, reply) in agent.replies.iter().enumerate() {
            if number > 0 {
                let next = Event::TurnScheduled {
                    attempt,
                    tool_results: None,
                    reserved: costs[number],
                    reply_tokens: None,
                    tools: vec![],
                };
                self.moments.push((now, place, next));
            }
            let took = Millis(reply.at.0.saturating_sub(now.0));
            let sent = Millis(now.0.saturating_sub(agent.began.0));
            now = now.max(reply.at);
            let turn = self.turn(&reply.reply, costs[number], took, sent)?;
            let turn = Box::new(turn);
            self.moments
                .push((now, place, Event::TurnEnded { attempt, turn }));
        }
        now = now.max(agent.ended);
        let failure = agent.failure.as_ref().map(|said| {
            let said = redact(said).into_owned();
            Failure::new(FailureClass::Program, said)
        });
        let outcome = match &failure {
            None => Outcome::Ok {
                value: self.content(json(&agent.result())),
            },
            Some(failure) => Outcome::Failed(failure.clone()),
        };
        let ended = Event::attempt_ended(attempt, failure, PicoUsd::ZERO, PicoUsd::ZERO);
        self.moments.push((now, place, ended));
        let task = attempt.task;
        self.moments
            .push((now, place, Event::TaskEnded { task, outcome }));
        Ok(())
    }

    fn submitted(&mut self, place: usize, agent: &Agent) -> Result<Event, Problem> {
        let model = agent.model();
        let mut spec = Task::new(redact(&agent.prompt).into_owned());
        spec.label = Some(redact(&agent.label).into_owned().into());
        spec.agent_type = agent.kind.as_deref().map(Into::into);
        let kind = choose(self.table.kinds, &spec, None, self.session.program.vendor());
        let key =
            Digest::of(format!("{} {}", agent.prompt, model.as_deref().unwrap_or("")).as_bytes());
        let edges = Edges {
            given: self.given(place),
            waits: self.waits[place].map(|other| Awaited::Task(task(other))),
            reads: self.reads[place].clone(),
            ..Edges::default()
        };
        let facts = TaskFacts {
            label: spec.label.clone().unwrap_or_default(),
            // What goes on for hours with a person is no task to learn from.
            executor: match agent.prompts {
                1 => self.session.program.as_str().into(),
                _ => format!("{} session", self.session.program.as_str()).into(),
            },
            is_program: true,
            kind: kind.ok().map(|choice| choice.kind),
            models: model.into_iter().collect(),
            unbounded: true,
            ..TaskFacts::default()
        };
        let occurrence = self.keys.entry(Key(key)).or_default();
        let submitted = TaskSubmitted {
            task: task(place),
            key: Key(key),
            occurrence: std::mem::replace(occurrence, *occurrence + 1),
            facts: facts.into(),
            spec: Content::Inline("".into()),
            edges,
        };
        let text = serde_json::to_string(&spec).map_err(Problem::failed)?;
        Ok(Event::TaskSubmitted(Box::new(TaskSubmitted {
            spec: self.content(text),
            ..submitted
        })))
    }

    /// Number of agents that had ended when this one began.
    fn given(&self, place: usize) -> u32 {
        let began = self.session.agents[place].began;
        let ended = |agent: &&Agent| agent.ended < began;
        self.session.agents.iter().filter(ended).count() as u32
    }

    fn turn(
        &mut self,
        reply: &Reply,
        cost: PicoUsd,
        took: Millis,
        sent: Millis,
    ) -> Result<Turn, Problem> {
        let text = serde_json::to_string(reply).map_err(Problem::failed)?;
        Ok(Turn {
            request: Digest::of(text.as_bytes()),
            reply: self.content(text),
            model: reply.model.as_str().into(),
            usage: reply.usage,
            cost,
            judges: false,
            estimated: false,
            took,
            times: Times {
                sent,
                ..Times::default()
            },
        })
    }
}

impl Table<'_> {
    /// The cost of a reply by the list; nothing, if its model has no price there.
    pub(super) fn cost(&self, program: super::Program, reply: &AgentReply) -> PicoUsd {
        self.price(program, &reply.reply.model, reply.at)
            .map_or(PicoUsd::ZERO, |price| {
                price.billed(&reply.reply.usage, reply.reply.billing)
            })
    }

    pub(super) fn price(
        &self,
        program: super::Program,
        model: &str,
        at: Timestamp,
    ) -> Option<divisi_core::ModelPrice> {
        self.catalogue.price(program.vendor(), model, at)
    }
}
