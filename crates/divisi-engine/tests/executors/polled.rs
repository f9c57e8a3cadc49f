//! Executors that suspend an attempt on a ticket and are polled for its result.

use super::*;
use divisi_engine::core::price::{Billing, Service};
use divisi_engine::core::{Event, Position};
use divisi_engine::executor::{Polled, Ticket};
use divisi_providers::{Provider, ProviderError, Reply, Request};

/// The time between two polls.
const EVERY: Millis = Millis(60_000);

/// What the other side says at each poll in turn; the last answer is repeated.
#[derive(Clone)]
struct Remote {
    cost: Cost,
    says: fn(u32) -> Polled,
    submitted: Arc<Mutex<u32>>,
    polls: Arc<Mutex<Vec<Value>>>,
}

impl Remote {
    fn new(says: fn(u32) -> Polled) -> Self {
        Self {
            cost: Cost::Free,
            says,
            submitted: Arc::default(),
            polls: Arc::default(),
        }
    }

    fn submitted(&self) -> u32 {
        *self.submitted.lock().unwrap()
    }

    fn polls(&self) -> usize {
        self.polls.lock().unwrap().len()
    }
}

#[async_trait]
impl Executor for Remote {
    fn spec(&self) -> ExecutorSpec {
        ExecutorSpec::new("remote 1").cost(self.cost).polls(EVERY)
    }

    async fn run(&self, _: &Context) -> Ending {
        *self.submitted.lock().unwrap() += 1;
        let ticket = json!({ "ticket": self.submitted() });
        Ending::waits("batch").handle(&ticket).reserved(cents(40))
    }

    async fn poll(&self, ticket: &Ticket) -> Polled {
        let before = self.polls() as u32;
        self.polls
            .lock()
            .unwrap()
            .push(ticket.handle().unwrap_or_default());
        (self.says)(before)
    }
}

/// A result at the third poll, which is asked for after ten minutes.
fn third(before: u32) -> Polled {
    match before {
        0 => Polled::waits(),
        1 => Polled::waits_for(Millis(600_000)),
        _ => Polled::ended(Ok("done".into())),
    }
}

fn at_once(_: u32) -> Polled {
    Polled::ended(Ok("done".into()))
}

#[tokio::test(start_paused = true)]
async fn it_is_polled_until_there_is_a_result_and_the_run_does_not_park() {
    let remote = Remote::new(third);
    let mut setup = setup(remote.clone());
    setup.limits.in_flight_max = 1;
    setup
        .executors
        .add("other", Fake::new(free(), Does::Echoes))
        .unwrap();
    let flow = "const beside = agent('beside', { executor: 'other' });
        return [await agent('work', { executor: 'fake' }), await beside]";
    let begun = tokio::time::Instant::now();
    let run = engine()
        .start(Flow::script("test", flow), setup, RunOptions::default())
        .await
        .unwrap();
    let finished = run.finished().await.unwrap();
    let result = finished.result.unwrap().unwrap();
    assert_eq!(&*result, r#"["done","- beside"]"#);
    // Two usual pauses, and the one that it named.
    assert!(begun.elapsed() >= Duration::from_secs(600 + 2 * 60));
    assert_eq!(
        *remote.polls.lock().unwrap(),
        vec![json!({ "ticket": 1 }); 3]
    );
    let task = finished.run.task(TaskId(1)).unwrap();
    assert_eq!((task.attempts(), remote.submitted()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_it_costs_is_taken_from_what_the_wait_reserves() {
    let spent = |says| Remote {
        cost: Cost::UpTo(cents(50)),
        ..Remote::new(says)
    };
    let reports = |_| Polled::ended(Ok("done".into())).spent(Usage::default(), cents(30));
    let (_, ended) = run(setup(spent(reports)), task(), Some(100)).await;
    assert_eq!(money(&ended.run), (cents(30), cents(0), cents(0)));
    let (_, ended) = run(setup(spent(at_once)), task(), Some(100)).await;
    assert_eq!(
        money(&ended.run),
        (cents(0), cents(40), cents(0)),
        "it has not said what it cost"
    );
}

#[tokio::test(start_paused = true)]
async fn a_result_that_does_not_fit_fails_and_so_does_a_poll_that_panics() {
    let with_schema = Task {
        schema: Some(json!({ "type": "number" }).into()),
        retries: Some(0),
        ..task()
    };
    let (report, _) = run(setup(Remote::new(at_once)), with_schema, None).await;
    assert_eq!(report.value().unwrap_err().class, FailureClass::Schema);
    let panics = |_| panic!("the poll is broken");
    let once = Task {
        retries: Some(0),
        ..task()
    };
    let costly = Remote {
        cost: Cost::UpTo(cents(50)),
        ..Remote::new(panics)
    };
    let (report, ended) = run(setup(costly), once, Some(100)).await;
    assert_eq!(report.value().unwrap_err().class, FailureClass::Program);
    assert_eq!(
        money(&ended.run),
        (cents(0), cents(40), cents(0)),
        "the work may go on elsewhere"
    );
}

#[tokio::test(start_paused = true)]
async fn a_rehearsal_polls_nothing() {
    let (engine, remote) = (engine(), Remote::new(|_| Polled::waits()));
    let with_steps = || {
        let mut setup = setup(remote.clone());
        let steps = Fake::new(free(), Does::Echoes);
        setup.executors.add("other", steps).unwrap();
        setup
    };
    let flow = || {
        let text = "const work = agent('work', { executor: 'fake' });
            for (let i = 0; i < 20; i++) await agent(`step ${i}`, { executor: 'other' });
            return await work";
        Flow::script("test", text)
    };
    let start = engine.start(flow(), with_steps(), RunOptions::default());
    let run = start.await.unwrap();
    let id = run.id().clone();
    let last_step = TaskId(20);
    let is_over = async || {
        let run = engine.load(&id).await;
        let last = run.as_ref().ok().and_then(|run| run.task(last_step));
        last.is_some_and(|task| task.outcome().is_some())
    };
    while !is_over().await {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    run.kill();
    while engine.is_driven(&id).await.unwrap() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let before = remote.polls();
    let rehearsed = engine.rehearse(&id, flow(), with_steps(), RunOptions::default());
    let rehearsed = rehearsed.await.unwrap();
    assert_eq!(rehearsed.to_run().count(), 0);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(remote.polls(), before);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_retried_by_a_new_attempt() {
    let fails_once = |before| match before {
        0 => Polled::ended(Err(Failure::new(FailureClass::Server, "it fell over"))),
        _ => Polled::ended(Ok("done".into())),
    };
    let remote = Remote::new(fails_once);
    let (report, _) = run(setup(remote.clone()), task(), None).await;
    assert_eq!(
        (report.text().unwrap().as_str(), report.attempts),
        ("done", 2)
    );
    let tickets = remote.polls.lock().unwrap().clone();
    assert_eq!(tickets, [json!({ "ticket": 1 }), json!({ "ticket": 2 })]);
}

#[tokio::test(start_paused = true)]
async fn a_task_with_checks_is_refused() {
    let checked = Task {
        check: vec![Check::Command("true".into())],
        ..task()
    };
    let (report, _) = run(setup(Remote::new(at_once)), checked, None).await;
    let failure = report.value().unwrap_err();
    assert_eq!(failure.class, FailureClass::BadRequest);
    assert_eq!(
        failure.message,
        "results that are polled of `fake` are not checked; a `schema` is held to"
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_parked_or_killed_is_polled_again_for_the_same_ticket() {
    for is_killed in [true, false] {
        let (engine, remote) = (engine(), Remote::new(|_| Polled::waits()));
        let flow = || Flow::script("test", "return await agent('work', { executor: 'fake' })");
        let start = engine.start(flow(), setup(remote.clone()), RunOptions::default());
        let run = start.await.unwrap();
        let id = run.id().clone();
        while remote.polls() < 2 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        if is_killed {
            run.kill();
        } else {
            run.control().park();
        }
        while engine.is_driven(&id).await.unwrap() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let polls = remote.polls();
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(remote.polls(), polls, "nothing drives the run");

        let ends = Remote {
            says: at_once,
            ..remote.clone()
        };
        let resume = engine.resume(&id, flow(), setup(ends), RunOptions::default());
        let result = resume.await.unwrap().finished().await.unwrap().result;
        assert_eq!(&*result.unwrap().unwrap(), r#""done""#);
        assert_eq!(remote.polls(), polls + 1);
        assert_eq!(remote.submitted(), 1, "and not submitted again");
        let tickets = remote.polls.lock().unwrap();
        assert!(
            tickets
                .iter()
                .all(|ticket| *ticket == json!({ "ticket": 1 }))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_also_waits_for_a_person_parks_once_that_is_all() {
    let flow = "return await Promise.all([
        agent('work', { executor: 'fake' }), agent('may I?', { executor: 'person' })])";
    let (engine, remote) = (engine(), Remote::new(third));
    let options = RunOptions::default();
    let start = engine.start(Flow::script("test", flow), setup(remote.clone()), options);
    let run = start.await.unwrap().finished().await.unwrap().run;
    assert_eq!(remote.polls(), 3);
    let rests = Stage::Parked(ParkReason::Suspended { tasks: 1 });
    assert_eq!(*run.stage(), rests);
}

/// Asks nothing itself: its model and price are what matters here.
struct Priced;

#[async_trait]
impl Provider for Priced {
    fn name(&self) -> &str {
        "priced"
    }

    async fn send(
        &self,
        request: &Request,
        _: &(dyn Fn(divisi_providers::Progress) + Send + Sync),
    ) -> Result<Reply, ProviderError> {
        Ok(Reply::new(&*request.model, "done"))
    }

    async fn models(&self) -> Result<Vec<String>, ProviderError> {
        Ok(vec![])
    }
}

/// Sends requests by another service of the vendor, such as a batch at half the price.
struct Lane(Service);

#[async_trait]
impl Executor for Lane {
    fn spec(&self) -> ExecutorSpec {
        ExecutorSpec::new("lane 1")
            .models(ModelUse::Asks)
            .cost(Cost::OneRequest)
            .polls(EVERY)
    }

    async fn run(&self, context: &Context) -> Ending {
        let request = context.request().unwrap();
        Ending::waits("batch")
            .handle(&json!({ "model": &*request.model }))
            .reserved(PicoUsd::MAX)
    }

    async fn poll(&self, ticket: &Ticket) -> Polled {
        let model = ticket.asked_model().unwrap();
        assert_eq!(ticket.handle(), Some(json!({ "model": &*model.id })));
        let usage = Usage {
            input: 1_000,
            output: 100,
            ..Usage::default()
        };
        let billing = Billing {
            service: self.0,
            ..Billing::default()
        };
        let cost = model.price.as_ref().unwrap().billed(&usage, billing);
        Polled::ended(Ok("done".into())).spent(usage, cost)
    }
}

#[tokio::test(start_paused = true)]
async fn one_request_is_reserved_as_an_agents_and_costs_what_the_lane_says() {
    let reserved_and_spent = async |task: Task, service| {
        let models = [("sonnet", "claude-haiku-5-5")];
        let models = Models::one(Arc::new(Priced), &models, &["claude-*"]);
        let mut setup = Setup::new(models, std::env::temp_dir());
        setup.executors.add("lane", Lane(service)).unwrap();
        let engine = engine();
        let job = engine
            .open("lane", setup, capped(Some(1_000)))
            .await
            .unwrap();
        let id = job.handle().id().clone();
        assert_eq!(job.run(task).await.text().unwrap(), "done");
        let run = job.finish(Value::Null).await.unwrap().run;
        let events = engine
            .store()
            .events(&id, Position::default())
            .await
            .unwrap();
        let reserved = events.iter().find_map(|recorded| match &recorded.event {
            Event::AttemptScheduled { reserved, .. } => Some(*reserved),
            _ => None,
        });
        (reserved.unwrap(), run.budget().spent().total())
    };
    let agent = Task {
        tools: Some(vec![]),
        ..task()
    };
    let by_lane = agent.clone().executor("lane");
    let agent = Task {
        executor: None,
        ..agent
    };
    let (as_agent, _) = reserved_and_spent(agent, Service::Standard).await;
    let (reserved, spent) = reserved_and_spent(by_lane.clone(), Service::Standard).await;
    assert_eq!(reserved, as_agent);
    let (reserved, half) = reserved_and_spent(by_lane, Service::Batch).await;
    assert_eq!(
        reserved, as_agent,
        "no less, because the price may not be granted"
    );
    assert_eq!(half.0 * 2, spent.0);
}
