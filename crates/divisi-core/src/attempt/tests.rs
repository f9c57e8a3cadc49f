//! Attempts by hand, and any attempt.

use super::*;
use crate::PicoUsd;
use proptest::prelude::*;

const BOUND: TurnBound = TurnBound {
    prompt: PicoUsd(10),
    reply_token: PicoUsd(1),
    reply_tokens_max: 100,
    reply_tokens_min: 10,
};

fn spec() -> Spec {
    Spec {
        work: Work::Conversation,
        turns_max: 3,
        checks: vec![],
        rung: 0,
        can_climb: false,
        timeout: Millis(60_000),
        idle_timeout: Millis(10_000),
        hedges: false,
        room: None,
        kept: vec![],
    }
}

fn digest(n: u64) -> Digest {
    Digest::of(&n.to_le_bytes())
}

/// An attempt and its outputs.
struct Rig {
    attempt: Attempt,
    now: u64,
    built: u64,
}

impl Rig {
    fn new(spec: Spec) -> Self {
        let mut rig = Self {
            attempt: Attempt::new(spec),
            now: 0,
            built: 0,
        };
        rig.tell(Input::Begin);
        assert_eq!(rig.attempt.poll(), Some(Output::Open));
        rig.tell(Input::Opened { ok: true });
        rig
    }

    fn tell(&mut self, input: Input) {
        self.attempt.handle(Timestamp(self.now), input);
    }

    /// Performs what has an answer at once; returns the rest.
    fn outputs(&mut self) -> Vec<Output> {
        let mut left = vec![];
        while let Some(output) = self.attempt.poll() {
            match output {
                Output::Build(_) => {
                    let request = digest(self.built);
                    self.built += 1;
                    self.tell(Input::Built {
                        request,
                        bound: BOUND,
                    });
                }
                Output::AskPrefix { .. } => self.tell(Input::PrefixReady),
                Output::Order(_) => self.tell(Input::Granted { room: None }),
                Output::Say(_) => {}
                other => left.push(other),
            }
        }
        left
    }

    fn after(&mut self, input: Input) -> Vec<Output> {
        self.tell(input);
        self.outputs()
    }

    fn at(&mut self, now: u64, patience: Option<u64>) -> Vec<Output> {
        self.now = now;
        self.after(Input::Tick {
            signs: Signs::default(),
            patience: patience.map(Millis),
        })
    }

    /// Sends the request that waits for its permit.
    fn sends(&mut self) {
        assert_eq!(self.outputs(), [Output::AwaitPermit(Slot::First)]);
        assert_eq!(
            self.after(Input::Permit(Slot::First)),
            [Output::Send(Slot::First, None)]
        );
    }

    fn replies(&mut self, reading: Reading) -> Vec<Output> {
        self.after(Input::Replied {
            slot: Slot::First,
            reading,
        })
    }

    fn recorded(&mut self) -> Vec<Output> {
        self.tell(Input::HandedOver);
        self.after(Input::Recorded)
    }
}

fn ends(end: End, unrecorded: bool, unanswered: bool) -> Vec<Output> {
    vec![Output::End(Ended {
        end,
        unrecorded,
        unanswered,
    })]
}

#[test]
fn the_wait_for_a_prefix_grows_with_the_prompt() {
    assert_eq!(hold_max(0), Millis::from_secs(5));
    assert_eq!(hold_max(500_000), Millis(12_500));
    assert_eq!(hold_max(u64::MAX), Millis::from_secs(20));
}

#[test]
fn an_answer_ends_with_its_reply() {
    let mut rig = Rig::new(spec());
    rig.sends();
    assert_eq!(rig.replies(Reading::Answers), ends(End::Done, true, false));
}

#[test]
fn tools_are_used_once_their_calls_are_durable() {
    let mut rig = Rig::new(spec());
    rig.sends();
    assert_eq!(rig.replies(Reading::Calls), [Output::Record]);
    assert!(rig.attempt.owed().first, "until it is handed over");
    rig.tell(Input::HandedOver);
    assert!(!rig.attempt.owed().first);
    assert_eq!(
        rig.after(Input::Recorded),
        [Output::UseTools {
            kept: None,
            may_run: true
        }]
    );
    rig.tell(Input::ToolsDone);
    rig.sends();
}

#[test]
fn a_recorded_reply_is_not_asked_for_and_its_tools_not_used_again() {
    let kept = |n, has_results, deaths| Known {
        request: digest(n),
        has_results,
        deaths,
    };
    let mut rig = Rig::new(Spec {
        kept: vec![kept(1, false, 2), kept(0, true, 0)],
        ..spec()
    });
    assert_eq!(rig.outputs(), [Output::Reuse(1)]);
    let used = |kept, may_run| [Output::UseTools { kept, may_run }];
    assert_eq!(
        rig.after(Input::Reused(Some(Reading::Calls))),
        used(Some(1), true)
    );
    assert_eq!(rig.after(Input::ToolsDone), [Output::Reuse(0)]);
    assert_eq!(
        rig.after(Input::Reused(Some(Reading::Calls))),
        used(None, false),
        "two deaths are enough"
    );
    rig.tell(Input::ToolsDone);
    rig.sends();
}

#[test]
fn a_conversation_has_an_end() {
    let mut turns = Rig::new(spec());
    for _ in 0..3 {
        turns.sends();
        turns.replies(Reading::Pauses);
        turns.tell(Input::HandedOver);
        turns.tell(Input::Recorded);
    }
    assert_eq!(turns.outputs(), ends(End::Turns, false, false));
    for (reading, times, end) in [
        (Reading::Misses, 5, End::Schema),
        (Reading::Empty, 2, End::Empty),
        (Reading::NoCall, 2, End::NoCall),
    ] {
        let mut rig = Rig::new(Spec {
            turns_max: 9,
            ..spec()
        });
        for _ in 1..times {
            rig.sends();
            assert_eq!(rig.replies(reading), [Output::Record]);
            rig.tell(Input::HandedOver);
            rig.tell(Input::Recorded);
        }
        rig.sends();
        assert_eq!(rig.replies(reading), ends(end, true, false));
    }
}

#[test]
fn an_answer_cut_for_want_of_money_says_what_it_takes() {
    let mut rig = Rig::new(Spec {
        room: Some(20),
        ..spec()
    });
    rig.outputs();
    assert_eq!(
        rig.after(Input::Permit(Slot::First)),
        [Output::Send(Slot::First, Some(20))]
    );
    let cut = End::Cut(Purpose::Turn, BOUND.widened(20));
    assert_eq!(rig.replies(Reading::Truncated), ends(cut, true, false));
    let mut rig = Rig::new(spec());
    rig.sends();
    assert_eq!(
        rig.replies(Reading::Truncated),
        ends(End::Truncated, true, false)
    );
}

#[test]
fn a_judge_is_asked_where_it_decides() {
    use CheckKind::{Fact, Opinion};
    let asked = |checks: &[CheckKind], rung: usize, rungs: usize| {
        let mut rig = Rig::new(Spec {
            checks: checks.into(),
            rung,
            can_climb: rung + 1 < rungs,
            ..spec()
        });
        rig.sends();
        rig.replies(Reading::Answers);
        rig.tell(Input::HandedOver);
        rig.tell(Input::Recorded);
        let mut outputs = rig.outputs();
        while let [Output::Check(_)] = outputs[..] {
            outputs = rig.after(Input::Checked(Some(true)));
        }
        outputs == [Output::AwaitPermit(Slot::First)]
    };
    assert!(asked(&[Opinion], 0, 2));
    assert!(asked(&[Opinion], 0, 1), "no weaker model has been tried");
    assert!(!asked(&[Opinion], 1, 2), "it would be taken all the same");
    assert!(asked(&[Fact, Opinion], 1, 2));
    assert!(!asked(&[Fact], 0, 2));
}

#[test]
fn a_judge_without_a_verdict_refuses() {
    let mut rig = Rig::new(Spec {
        checks: vec![CheckKind::Opinion],
        ..spec()
    });
    rig.sends();
    rig.replies(Reading::Answers);
    rig.tell(Input::HandedOver);
    rig.tell(Input::Recorded);
    for _ in 0..3 {
        rig.sends();
        assert_eq!(rig.replies(Reading::NoVerdict), [Output::Record]);
        rig.tell(Input::HandedOver);
        rig.tell(Input::Recorded);
    }
    assert_eq!(rig.outputs(), ends(End::NoVerdict(0), false, false));
}

#[test]
fn a_program_is_checked_like_a_model() {
    let mut rig = Rig::new(Spec {
        work: Work::Program,
        checks: vec![CheckKind::Fact],
        ..spec()
    });
    assert_eq!(rig.outputs(), [Output::Work]);
    assert_eq!(rig.after(Input::Worked { ok: true }), [Output::Check(0)]);
    assert_eq!(
        rig.after(Input::Checked(Some(false))),
        ends(End::Refused, false, false)
    );
}

#[test]
fn what_waits_when_the_run_parks_stays_and_what_is_out_is_waited_for() {
    let mut waits = Rig::new(spec());
    assert_eq!(waits.outputs(), [Output::AwaitPermit(Slot::First)]);
    let withdrawn = [
        vec![Output::Withdraw(Slot::First)],
        ends(End::Stopped, false, false),
    ]
    .concat();
    assert_eq!(waits.after(Input::Park), withdrawn);
    let mut out = Rig::new(spec());
    out.sends();
    assert_eq!(out.after(Input::Park), []);
    assert_eq!(out.replies(Reading::Answers), ends(End::Done, true, false));
}

#[test]
fn only_what_has_left_is_owed() {
    let mut rig = Rig::new(spec());
    assert_eq!(rig.outputs(), [Output::AwaitPermit(Slot::First)]);
    let mut withdrawn = rig.attempt.clone();
    assert_eq!(withdrawn.withdraw(), Owed::default());
    withdrawn.handle(Timestamp(1), Input::Permit(Slot::First));
    assert_eq!(withdrawn.poll(), None, "it has ended");
    rig.tell(Input::Permit(Slot::First));
    assert_eq!(
        rig.attempt.withdraw(),
        Owed {
            first: true,
            second: false
        }
    );
    assert_eq!(rig.outputs(), [Output::Send(Slot::First, None)]);
    let failed = Input::Failed {
        slot: Slot::First,
        maybe_billed: true,
        again: false,
    };
    assert_eq!(
        rig.after(failed),
        ends(End::NoReply(Slot::First), false, true)
    );
}

#[test]
fn what_can_be_put_in_another_way_leaves_with_a_permit_of_its_own() {
    let mut rig = Rig::new(spec());
    rig.sends();
    let again = Input::Failed {
        slot: Slot::First,
        maybe_billed: false,
        again: true,
    };
    rig.tell(again);
    assert!(!rig.attempt.owed().first);
    rig.sends();
}

#[test]
fn time_is_up_without_the_time_that_was_waited() {
    let mut rig = Rig::new(spec());
    rig.outputs();
    assert_eq!(
        rig.attempt.timeout(),
        None,
        "limits may let it wait for hours"
    );
    rig.now = 100_000;
    assert_eq!(
        rig.after(Input::Permit(Slot::First)),
        [Output::Send(Slot::First, None)]
    );
    assert_eq!(rig.attempt.timeout(), Some(Timestamp(110_000)));
    assert_eq!(rig.at(109_999, None), []);
    assert_eq!(rig.at(110_000, None), ends(End::Stalled, false, true));
    let mut tools = Rig::new(spec());
    tools.sends();
    tools.replies(Reading::Calls);
    tools.recorded();
    assert_eq!(tools.at(60_000, None), ends(End::Timeout, false, false));
}

/// An attempt whose request is in flight, with a hedge sent after three seconds.
fn hedged() -> Rig {
    let mut rig = Rig::new(Spec {
        hedges: true,
        ..spec()
    });
    rig.sends();
    assert_eq!(rig.at(0, None), []);
    assert_eq!(rig.at(250, Some(3_000)), []);
    assert_eq!(rig.at(3_000, Some(3_000)), [Output::Hedge]);
    rig
}

#[test]
fn of_two_requests_the_first_good_answer_wins() {
    let mut rig = hedged();
    assert_eq!(
        rig.after(Input::HedgeGranted),
        [Output::AwaitPermit(Slot::Second)]
    );
    let mut early = rig.attempt.clone();
    early.handle(
        Timestamp(3_001),
        Input::Replied {
            slot: Slot::First,
            reading: Reading::Answers,
        },
    );
    assert_eq!(early.poll(), Some(Output::Withdraw(Slot::Second)));
    assert_eq!(early.poll(), Some(Output::HedgeEnded { billed: false }));

    assert_eq!(
        rig.after(Input::Permit(Slot::Second)),
        [Output::Send(Slot::Second, None)]
    );
    let mut second = rig.attempt.clone();
    second.handle(
        Timestamp(4_000),
        Input::Replied {
            slot: Slot::Second,
            reading: Reading::Answers,
        },
    );
    assert_eq!(second.poll(), Some(Output::Abandon(Slot::First)));
    assert_eq!(second.poll(), Some(Output::HedgeEnded { billed: true }));

    let failed = |slot, maybe_billed| Input::Failed {
        slot,
        maybe_billed,
        again: false,
    };
    assert_eq!(
        rig.after(failed(Slot::First, false)),
        [],
        "the second may still answer"
    );
    let both = [
        vec![Output::HedgeEnded { billed: true }],
        ends(End::NoReply(Slot::First), false, false),
    ];
    assert_eq!(rig.after(failed(Slot::Second, true)), both.concat());
}

#[test]
fn a_second_request_that_is_denied_is_not_sent() {
    let mut rig = hedged();
    assert_eq!(rig.after(Input::HedgeDenied), []);
    assert_eq!(rig.at(9_000, Some(3_000)), [], "there is no third one");
    assert_eq!(rig.replies(Reading::Answers), ends(End::Done, true, false));
}

#[test]
fn a_prefix_is_waited_for_while_the_request_that_writes_it_is_under_way() {
    let mut rig = Rig::new(spec());
    let prefix = |rig: &mut Rig, now: u64, has_left: bool| {
        rig.now = now;
        rig.tell(Input::Tick {
            signs: Signs::default(),
            patience: None,
        });
        let mut asked = None;
        while let Some(output) = rig.attempt.poll() {
            match output {
                Output::Build(_) => rig.tell(Input::Built {
                    request: digest(0),
                    bound: BOUND,
                }),
                Output::AskPrefix { patient } => asked = Some(patient),
                other => panic!("{other:?}"),
            }
        }
        if asked == Some(true) {
            rig.tell(Input::PrefixHeld {
                has_left,
                most: HOLD_MAX,
            });
        }
        asked
    };
    assert_eq!(prefix(&mut rig, 0, false), Some(true));
    assert_eq!(prefix(&mut rig, 500, false), None);
    for second in 1..60 {
        assert_eq!(
            prefix(&mut rig, second * 1_000, second >= 10),
            Some(true).filter(|_| second < 30).or(Some(false))
        );
        if second == 30 {
            break;
        }
    }
    assert_eq!(
        rig.after(Input::PrefixReady),
        [Output::AwaitPermit(Slot::First)]
    );
    assert_eq!(rig.attempt.waited(Timestamp(31_000)), Millis(31_000));
}

/// What may happen at any moment, whether it fits or not.
fn any_input() -> impl Strategy<Value = Input> {
    let slot = || prop_oneof![Just(Slot::First), Just(Slot::Second)];
    let reading = || {
        prop::sample::select(vec![
            Reading::Calls,
            Reading::Pauses,
            Reading::Answers,
            Reading::Misses,
            Reading::Empty,
            Reading::NoCall,
            Reading::Truncated,
            Reading::Passes,
            Reading::Refuses,
            Reading::NoVerdict,
        ])
    };
    prop_oneof![
        3 => (0..4_u64).prop_map(|n| Input::Built { request: digest(n), bound: BOUND }),
        1 => prop::option::of(reading()).prop_map(Input::Reused),
        3 => prop::option::of(Just(20)).prop_map(|room| Input::Granted { room }),
        1 => Just(Input::Denied),
        3 => Just(Input::PrefixReady),
        1 => any::<bool>().prop_map(|has_left| Input::PrefixHeld { has_left, most: HOLD_MAX }),
        1 => Just(Input::PrefixNews),
        4 => slot().prop_map(Input::Permit),
        1 => slot().prop_map(Input::Closed),
        4 => (slot(), reading()).prop_map(|(slot, reading)| Input::Replied { slot, reading }),
        2 => (slot(), any::<bool>(), any::<bool>())
            .prop_map(|(slot, maybe_billed, again)| Input::Failed { slot, maybe_billed, again }),
        2 => Just(Input::HedgeGranted),
        1 => Just(Input::HedgeDenied),
        3 => Just(Input::HandedOver),
        3 => Just(Input::Recorded),
        2 => Just(Input::ToolsDone),
        2 => prop::option::of(any::<bool>()).prop_map(Input::Checked),
        1 => any::<bool>().prop_map(|ok| Input::Worked { ok }),
        1 => Just(Input::Park),
        4 => prop::option::of(0..400_u64).prop_map(|patience| Input::Tick {
            signs: Signs::default(),
            patience: patience.map(Millis),
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// For any inputs in any order: each request that leaves was ordered and has its own permit, at
    /// most two are in flight per order, a hedge is accounted for once, nothing leaves once the run
    /// parks, and the end is the last output.
    #[test]
    fn nothing_leaves_unordered_and_each_end_is_told_once(
        inputs in prop::collection::vec((any_input(), 0..500_u64), 0..80),
        kept in prop::collection::vec((0..4_u64, any::<bool>(), 0..3_u32), 0..3),
        program in any::<bool>(),
        checks in prop::collection::vec(prop_oneof![Just(CheckKind::Fact), Just(CheckKind::Opinion)], 0..3),
        can_climb in any::<bool>(),
    ) {
        let kept = kept.into_iter().map(|(n, has_results, deaths)| Known { request: digest(n), has_results, deaths });
        let work = if program { Work::Program } else { Work::Conversation };
        let mut attempt = Attempt::new(Spec { work, checks, can_climb, hedges: true, kept: kept.collect(), ..spec() });
        let (mut orders, mut seconds, mut hedges, mut hedges_over) = (u32::from(!program), 0_u32, 0_u32, 0_u32);
        let (mut permits, mut parked, mut ended, mut now) = ([0_i32; 2], false, false, 0);
        let place = |slot: Slot| usize::from(slot == Slot::Second);
        attempt.handle(Timestamp(0), Input::Begin);
        attempt.handle(Timestamp(0), Input::Opened { ok: true });
        for (input, later) in inputs {
            now += later;
            match &input {
                Input::Permit(slot) => permits[place(*slot)] += 1,
                Input::Park => parked = true,
                _ => {}
            }
            attempt.handle(Timestamp(now), input);
            while let Some(output) = attempt.poll() {
                prop_assert!(!ended, "{output:?} after the end");
                match output {
                    Output::Order(_) => orders += 1,
                    Output::Hedge => hedges += 1,
                    Output::HedgeEnded { .. } => {
                        hedges_over += 1;
                        prop_assert!(hedges_over <= hedges);
                    }
                    Output::Send(slot, _) => {
                        prop_assert!(!parked && orders > 0);
                        permits[place(slot)] -= 1;
                        prop_assert!(permits[place(slot)] >= 0);
                        seconds += u32::from(slot == Slot::Second);
                        prop_assert!(seconds <= hedges && (slot == Slot::First || hedges > hedges_over));
                    }
                    Output::End(end) => {
                        ended = true;
                        prop_assert!(!(end.unrecorded && end.unanswered));
                    }
                    _ => {}
                }
            }
            if ended {
                prop_assert_eq!(attempt.timeout(), None);
                prop_assert!(attempt.poll().is_none());
            }
        }
    }
}
