use super::*;

fn gate(settings: RateSettings) -> Arc<Gate> {
    Gate::new(&settings, None)
}

/// Leave to send a request, which is sent.
async fn enter(gate: &Arc<Gate>, run: RunNumber) -> Result<Permit, Closed> {
    let mut permit = gate.enter(run, 0, Estimate::default(), |_| ()).await?;
    permit.sends();
    Ok(permit)
}

/// Lets spawned tasks run until they wait.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn runs_take_turns_at_a_narrow_gate() {
    let settings = RateSettings {
        requests_per_minute: Some(60),
        burst: Some(1),
        ..RateSettings::default()
    };
    let (gate, order) = (gate(settings), Arc::new(Mutex::new(vec![])));
    let (first, second) = (RunNumber::next(), RunNumber::next());
    let begun = Instant::now();
    drop(enter(&gate, first).await.unwrap());
    let mut tasks = vec![];
    for (run, name) in [(first, "a1"), (first, "a2"), (first, "a3"), (second, "b1")] {
        let (gate, order) = (gate.clone(), order.clone());
        tasks.push(tokio::spawn(async move {
            let permit = enter(&gate, run).await.unwrap();
            order.lock().unwrap().push(name);
            drop(permit);
        }));
        settle().await;
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), ["a1", "b1", "a2", "a3"]);
    // One a second, and the first is taken to be on its way for 125 ms.
    assert_eq!(begun.elapsed().as_millis(), 4_125);
}

#[tokio::test(start_paused = true)]
async fn the_longest_chain_of_a_run_goes_first() {
    let settings = RateSettings {
        requests_per_minute: Some(60),
        burst: Some(1),
        ..RateSettings::default()
    };
    let (gate, run, order) = (
        gate(settings),
        RunNumber::next(),
        Arc::new(Mutex::new(vec![])),
    );
    drop(enter(&gate, run).await.unwrap());
    let waiting = [0, 2, 1, 2]
        .into_iter()
        .enumerate()
        .map(|(place, priority)| {
            let (gate, order) = (gate.clone(), order.clone());
            async move {
                gate.enter(run, priority, Estimate::default(), |_| ())
                    .await
                    .unwrap()
                    .sends();
                order.lock().unwrap().push((priority, place));
            }
        });
    futures::future::join_all(waiting).await;
    assert_eq!(*order.lock().unwrap(), [(2, 1), (2, 3), (1, 2), (0, 0)]);
}

#[tokio::test(start_paused = true)]
async fn one_that_wants_less_and_goes_first_does_not_wait_for_those_it_overtakes() {
    let settings = RateSettings {
        input_tokens_per_minute: Some(60),
        ..RateSettings::default()
    };
    let (gate, run) = (gate(settings), RunNumber::next());
    let tokens = |input| Estimate { input, output: 0 };
    let _all = gate.enter(run, 0, tokens(60), |_| ()).await.unwrap();
    let mut large = Box::pin(gate.enter(run, 0, tokens(50), |_| ()));
    assert!(futures::poll!(&mut large).is_pending());
    tokio::time::advance(Duration::from_secs(10)).await;
    let mut small = Box::pin(gate.enter(run, 1, tokens(5), |_| ()));
    assert!(futures::poll!(&mut small).is_ready());
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_no_longer_takes_nobodys_turn() {
    let settings = RateSettings {
        requests_per_minute: Some(60),
        burst: Some(1),
        ..RateSettings::default()
    };
    let (gate, run) = (gate(settings), RunNumber::next());
    drop(enter(&gate, run).await.unwrap());
    let begun = Instant::now();
    let gone = tokio::spawn({
        let gate = gate.clone();
        async move { enter(&gate, run).await.map(drop) }
    });
    settle().await;
    gone.abort();
    drop(enter(&gate, run).await.unwrap());
    assert_eq!(begun.elapsed().as_millis(), 1_125);
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_with_a_permit_that_was_not_used_gives_it_back() {
    let settings = RateSettings {
        requests_per_minute: Some(60),
        burst: Some(1),
        ..RateSettings::default()
    };
    let (gate, run) = (gate(settings), RunNumber::next());
    drop(enter(&gate, run).await.unwrap());
    let mut gone = Box::pin(enter(&gate, run));
    assert!(futures::poll!(&mut gone).is_pending());
    // It is given its permit, and goes before it looks.
    tokio::time::advance(Duration::from_millis(1_125)).await;
    settle().await;
    assert_eq!(gate.lock().queue.len(), 0);
    drop(gone);
    assert!(futures::poll!(Box::pin(enter(&gate, run))).is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_answers_everybody_who_waits() {
    let settings = RateSettings {
        requests_per_minute: Some(1),
        burst: Some(1),
        ..RateSettings::default()
    };
    let (gate, run) = (gate(settings), RunNumber::next());
    let sent = enter(&gate, run).await.unwrap();
    let waiting = tokio::spawn({
        let gate = gate.clone();
        async move { enter(&gate, run).await.map(drop) }
    });
    settle().await;
    sent.report(&Err(divisi_providers::ProviderError::new(
        FailureClass::Auth,
        "the key is wrong",
    )))
    .await;
    for closed in [
        waiting.await.unwrap().unwrap_err(),
        enter(&gate, run).await.map(drop).unwrap_err(),
    ] {
        assert_eq!(
            (closed.failure.message.as_str(), closed.reopens_in),
            ("the key is wrong", None)
        );
    }
}

#[tokio::test]
async fn nobody_waits_where_nothing_is_limited() {
    let (gate, run) = (gate(RateSettings::default()), RunNumber::next());
    for _ in 0..10_000 {
        let permit = gate
            .enter(run, 0, Estimate::default(), |_| panic!("it waits"))
            .await
            .unwrap();
        drop(permit);
    }
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_opens_again_lets_one_request_find_out() {
    let (gate, run) = (gate(RateSettings::default()), RunNumber::next());
    let closes = |gate: &Arc<Gate>| {
        gate.lock().queue.governor_mut().reopen();
        let ending = |_| Ending::Quota { until: None };
        let id = match gate
            .lock()
            .queue
            .governor_mut()
            .ask(Timestamp(0), Estimate::default())
        {
            Decision::Go(id) => id,
            decision => panic!("{decision:?}"),
        };
        gate.done(id, None, ending, &RateLimits::default(), None);
    };
    closes(&gate);
    assert!(gate.lock().queue.governor().is_shut(gate.now()) && enter(&gate, run).await.is_err());

    gate.reopen();
    let first = enter(&gate, run).await.unwrap();
    let mut second = Box::pin(enter(&gate, run));
    assert!(futures::poll!(&mut second).is_pending());
    first.begun(&RateLimits::default(), IN_FLIGHT_MAX);
    assert!(second.await.is_ok(), "the reply to the first has begun");
    assert!(enter(&gate, run).await.is_ok());
}

#[test]
fn a_gate_outlives_the_runtime_of_its_doorkeeper() {
    let settings = RateSettings {
        requests_per_minute: Some(60_000),
        burst: Some(1),
        ..RateSettings::default()
    };
    let (gate, run) = (gate(settings), RunNumber::next());
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
    };
    runtime().block_on(async {
        drop(enter(&gate, run).await.unwrap());
        assert!(futures::poll!(Box::pin(enter(&gate, run))).is_pending());
    });
    let enters = async {
        timeout(Duration::from_secs(30), enter(&gate, run))
            .await
            .is_ok_and(|permit| permit.is_ok())
    };
    assert!(runtime().block_on(enters));
}

/// A gate that shares its state with other processes, and the file of that state.
fn shared(folder: &std::path::Path, settings: RateSettings) -> (Arc<Gate>, std::fs::File) {
    let path = folder.join("pace.json");
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .unwrap();
    (Gate::new(&settings, Some(path)), file)
}

/// The runtime has one thread: a step that blocked it would end before the first poll does.
#[tokio::test]
async fn while_another_process_has_the_shared_limits_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let settings = RateSettings {
        requests_per_minute: Some(60),
        burst: Some(9),
        ..RateSettings::default()
    };
    let (gate, file) = shared(folder.path(), settings);
    assert!(enter(&gate, RunNumber::next()).await.is_ok());
    // As by a process that was stopped while it held the lock.
    file.lock().unwrap();
    let mut first = Box::pin(enter(&gate, RunNumber::next()));
    assert!(
        futures::poll!(&mut first).is_pending(),
        "only this request waits for the lock"
    );
    assert_eq!(gate.outlook(), Outlook::Full);
    file.unlock().unwrap();
    assert!(first.await.is_ok());
}

#[tokio::test]
async fn shared_steps_are_taken_in_the_order_of_what_happened() {
    let folder = tempfile::tempdir().unwrap();
    let settings = RateSettings {
        requests_per_minute: Some(1),
        burst: Some(1),
        ..RateSettings::default()
    };
    let (gate, _) = shared(folder.path(), settings);
    let run = RunNumber::next();
    for _ in 0..100 {
        let unused = gate
            .enter(run, 0, Estimate::default(), |_| panic!("it waits"))
            .await
            .unwrap();
        // One a minute may leave: the next may at once, because this is withdrawn first.
        drop(unused);
    }
    // A request that is dropped before its permit arrives gives the permit back.
    drop(futures::poll!(Box::pin(enter(&gate, run))));
    assert!(
        timeout(Duration::from_secs(30), enter(&gate, run))
            .await
            .is_ok_and(|permit| permit.is_ok())
    );
}

#[tokio::test]
async fn what_was_refused_is_known_to_others_once_it_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let (gate, _) = shared(folder.path(), RateSettings::default());
    let sent = enter(&gate, RunNumber::next()).await.unwrap();
    let refused = divisi_providers::ProviderError::new(FailureClass::Quota, "nothing is left");
    sent.report(&Err(refused)).await;
    let kept = std::fs::read_to_string(folder.path().join("pace.json")).unwrap();
    let kept: serde_json::Value = serde_json::from_str(&kept).unwrap();
    assert!(!kept["pace"]["closed"].is_null(), "{kept}");
}
