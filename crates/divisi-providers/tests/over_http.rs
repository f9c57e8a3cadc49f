//! The three wire formats against a configured vendor, over real HTTP.

#![allow(clippy::unwrap_used)]

use divisi_core::FailureClass;
use divisi_mock::{
    Breakage, Config, ErrorKind, Limits, Mock, Oddity, Reply as Answer, Rule, ToolCall, When,
};
use divisi_providers::{
    Anthropic, Block, Endpoint, Message, OpenAiChat, OpenAiResponses, Progress, Provider,
    ProviderError, Reply, Request, Role, Secret, Stop, SystemBlock, ToolDefinition,
};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

const KEY: &str = "sk-very-secret-0123456789";

/// The vendors' APIs, each with the name of its provider here.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wire {
    Anthropic,
    Chat,
    Responses,
}

const WIRES: [Wire; 3] = [Wire::Anthropic, Wire::Chat, Wire::Responses];

impl Wire {
    fn provider(self, base_url: &str) -> Box<dyn Provider> {
        let endpoint = Endpoint::new("main", format!("{base_url}/v1"))
            .key(Some(Secret::new(KEY)), "MAIN_API_KEY");
        match self {
            Self::Anthropic => Box::new(Anthropic::new(endpoint).unwrap()),
            Self::Chat => Box::new(OpenAiChat::new(endpoint).unwrap()),
            Self::Responses => Box::new(OpenAiResponses::new(endpoint).unwrap()),
        }
    }
}

fn request() -> Request {
    let mut request = Request::new("claude-haiku-5-5", "Study the crate.", 1_000);
    request.system = vec![SystemBlock {
        text: "You audit code.".into(),
        cache: false,
    }];
    request
}

fn with_tools() -> Request {
    let mut request = request();
    request.tools = vec![ToolDefinition {
        name: "read_file".into(),
        description: "Reads a file.".into(),
        input_schema: json!({"type": "object", "properties": {"path": {"type": "string"}}}),
    }]
    .into();
    request
}

async fn send(wire: Wire, mock: &Mock, request: &Request) -> Result<Reply, ProviderError> {
    wire.provider(&mock.url()).send(request, &|_| {}).await
}

/// What the vendor counts is what it then charges for.
#[tokio::test]
async fn tokens_are_counted_where_the_vendor_does() {
    for wire in WIRES {
        let mock = Mock::start(Config::default()).await;
        for request in [request(), with_tools()] {
            let provider = wire.provider(&mock.url());
            let counted = provider.count_tokens(&request).await.unwrap();
            let charged = provider.send(&request, &|_| {}).await.unwrap().usage.input;
            assert_eq!(
                counted,
                (wire == Wire::Anthropic).then_some(charged),
                "{wire:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_count_can_fail_like_any_request() {
    let mock = Mock::start(Config::default()).await;
    let mut nobody = request();
    nobody.model = "claude-none".into();
    nobody.messages.clear();
    let error = Wire::Anthropic
        .provider(&mock.url())
        .count_tokens(&nobody)
        .await
        .unwrap_err();
    assert_eq!(error.class, FailureClass::BadRequest);
}

#[tokio::test]
async fn a_text_arrives_with_its_progress() {
    for wire in WIRES {
        let long = "All is well. ".repeat(30);
        let mock = Mock::start(
            Config::default().rule(Rule::new(When::any(), Answer::text(long.as_str()))),
        )
        .await;
        let seen = Mutex::new(Vec::new());
        let progress = |sign| seen.lock().unwrap().push(sign);
        let reply = wire
            .provider(&mock.url())
            .send(&request(), &progress)
            .await
            .unwrap();

        assert_eq!(
            (reply.text(), reply.stop),
            (long.clone(), Stop::EndTurn),
            "{wire:?}"
        );
        assert_eq!(reply.model, "claude-haiku-5-5");
        assert!(reply.request_id.is_some());
        assert!(reply.usage.input > 0 && reply.usage.output > 0 && !reply.usage_estimated);
        let seen = seen.into_inner().unwrap();
        let written = seen
            .iter()
            .position(|sign| matches!(sign, Progress::OutputTokens(_)));
        assert!(
            seen.iter()
                .position(|sign| matches!(sign, Progress::Started(_)))
                < written,
            "{seen:?}"
        );
        assert_eq!(
            seen.iter()
                .filter(|sign| matches!(sign, Progress::Started(_)))
                .count(),
            1
        );
        let tokens = seen.iter().filter_map(|sign| match sign {
            Progress::OutputTokens(tokens) => Some(*tokens),
            Progress::Started(_) | Progress::Alive | Progress::Prompt(_) | Progress::Begins(_) => {
                None
            }
        });
        assert_eq!(tokens.max(), Some(long.len().div_ceil(4) as u64));
    }
}

#[tokio::test]
async fn a_conversation_with_tools_goes_on() {
    for wire in WIRES {
        let call = |path: &str| ToolCall {
            name: "read_file".into(),
            input: json!({"path": path}),
        };
        let first = Rule {
            thinking: Some("Two files should do.".into()),
            preface: Some("Let me look.".into()),
            ..Rule::new(
                When::any().tool_result(false),
                Answer::ToolCalls(vec![call("a.rs"), call("b.rs")]),
            )
        };
        let then = Rule::new(
            When::any().tool_result(true),
            Answer::text("read: {tool_result}"),
        );
        let mock = Mock::start(Config::default().rule(first).rule(then)).await;

        let mut request = with_tools();
        let reply = send(wire, &mock, &request).await.unwrap();
        assert_eq!(
            (reply.stop, reply.text().as_str()),
            (Stop::ToolUse, "Let me look."),
            "{wire:?}"
        );
        assert_eq!(paths(&reply), ["a.rs", "b.rs"]);
        request.messages.push(reply.clone().into_message());
        request.messages.push(Message {
            role: Role::User,
            blocks: results(&reply),
        });

        let reply = send(wire, &mock, &request).await.unwrap();
        assert_eq!(reply.stop, Stop::EndTurn);
        assert!(
            reply.text().contains("content of a.rs") && reply.text().contains("content of b.rs"),
            "{reply:?}"
        );
    }
}

fn paths(reply: &Reply) -> Vec<String> {
    let path = |block: &Block| match block {
        Block::ToolUse { input, .. } => input["path"].as_str().map(str::to_owned),
        Block::Text { .. } | Block::ToolResult { .. } | Block::Opaque(_) => None,
    };
    reply.blocks.iter().filter_map(path).collect()
}

fn results(reply: &Reply) -> Vec<Block> {
    let result = |block: &Block| match block {
        Block::ToolUse { id, input, .. } => Some(Block::ToolResult {
            tool_use_id: id.clone(),
            content: format!("content of {}", input["path"].as_str().unwrap_or_default()),
            is_error: false,
            cache: false,
        }),
        Block::Text { .. } | Block::ToolResult { .. } | Block::Opaque(_) => None,
    };
    reply.blocks.iter().filter_map(result).collect()
}

#[tokio::test]
async fn an_answer_fits_its_schema() {
    for wire in WIRES {
        let mock = Mock::start(Config::default()).await;
        let mut request = request();
        let schema = json!({
            "type": "object",
            "properties": {
                "severity": {"enum": ["high", "low"]},
                "title": {"type": "string", "minLength": 3},
                "lines": {"type": "array", "minItems": 2, "items": {"type": "integer", "minimum": 1}}
            },
            "required": ["severity", "title", "lines"]
        });
        request.schema = Some(Arc::new(schema));
        let reply = send(wire, &mock, &request).await.unwrap();
        let value: Value = serde_json::from_str(&reply.text()).unwrap();
        assert_eq!(value["severity"], "high", "{wire:?}");
    }
}

#[tokio::test]
async fn cached_tokens_are_counted_apart() {
    for wire in WIRES {
        let mock = Mock::start(Config::default()).await;
        let mut request = request();
        request.system = vec![SystemBlock {
            text: "shared context ".repeat(2_000).into(),
            cache: true,
        }];
        let first = send(wire, &mock, &request).await.unwrap().usage;
        let second = send(wire, &mock, &request).await.unwrap().usage;
        assert_eq!(first.prompt(), second.prompt(), "{wire:?}");
        assert_eq!(first.cache_read, 0);
        assert!(
            second.cache_read > 0 && second.input < second.cache_read,
            "{wire:?} {second:?}"
        );
        let billed = mock.stats().tokens;
        assert_eq!(first.input + second.input, billed.input, "{wire:?}");
        assert_eq!(
            first.cache_write_5m + second.cache_write_5m,
            billed.cache_write_short + billed.cache_write_implicit,
            "{wire:?}"
        );
    }
}

#[tokio::test]
async fn refusals_and_cuts_are_told_from_answers() {
    for wire in WIRES {
        let refusal = Rule::new(When::prompt("harm"), Answer::Refusal("I cannot.".into()));
        let long = Rule::new(When::any(), Answer::text("word ".repeat(500)));
        let mock = Mock::start(Config::default().rule(refusal).rule(long)).await;
        let stop = async |prompt: &str| {
            let request = Request::new("claude-haiku-5-5", prompt, 50);
            send(wire, &mock, &request).await.unwrap().stop
        };
        assert_eq!(stop("do harm").await, Stop::Refusal, "{wire:?}");
        assert_eq!(stop("write").await, Stop::MaxTokens, "{wire:?}");
    }
}

#[tokio::test]
async fn every_error_is_told_apart() {
    for wire in WIRES {
        for (kind, class) in [
            (ErrorKind::BadRequest, FailureClass::BadRequest),
            (ErrorKind::Authentication, FailureClass::Auth),
            (ErrorKind::Billing, FailureClass::Quota),
            (ErrorKind::Permission, FailureClass::Auth),
            (ErrorKind::NotFound, FailureClass::BadRequest),
            (ErrorKind::TooLarge, FailureClass::TooLong),
            (ErrorKind::Unprocessable, FailureClass::BadRequest),
            (ErrorKind::RateLimit, FailureClass::RateLimited),
            (ErrorKind::SpendLimit, FailureClass::Quota),
            (ErrorKind::Internal, FailureClass::Server),
            (ErrorKind::Timeout, FailureClass::Server),
            (ErrorKind::Overloaded, FailureClass::Overloaded),
        ] {
            let mock = Mock::start(Config::default().rule(Rule::fault(When::any(), kind))).await;
            let error = send(wire, &mock, &request()).await.unwrap_err();
            assert_eq!(error.class, class, "{wire:?} {kind:?} {error}");
            assert!(error.status.is_some() && error.request_id.is_some());
            if kind == ErrorKind::RateLimit {
                assert!(
                    error.retry_after.is_some() && error.rate.requests.remaining == Some(0),
                    "{wire:?} {error:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn broken_replies_may_have_been_billed() {
    for wire in WIRES {
        for (breakage, class) in [
            (Breakage::DropStream, FailureClass::Network),
            (Breakage::EndEarly, FailureClass::Network),
            (Breakage::ErrorMidStream, FailureClass::Overloaded),
            (Breakage::MalformedChunk, FailureClass::Server),
        ] {
            let answer = Answer::text("All is well. ".repeat(30));
            let rule = Rule {
                fault: Some(breakage.into()),
                ..Rule::new(When::any(), answer)
            };
            let mock = Mock::start(Config::default().rule(rule)).await;
            let error = send(wire, &mock, &request()).await.unwrap_err();
            assert_eq!(error.class, class, "{wire:?} {breakage:?} {error}");
            assert!(error.maybe_billed, "{wire:?} {breakage:?}");
        }
    }
}

/// A mock whose first answer, a text or two calls, has an oddity.
async fn odd(oddity: Oddity, answer: Answer) -> Mock {
    let rule = Rule {
        fault: Some(oddity.into()),
        preface: Some("Voilà 𝄞. ".into()),
        ..Rule::new(When::any(), answer)
    };
    Mock::start(Config::default().rule(rule)).await
}

fn two_calls() -> Answer {
    let call = |path: &str| ToolCall {
        name: "read_file".into(),
        input: json!({"path": path}),
    };
    Answer::ToolCalls(vec![call("a.rs"), call("b.rs")])
}

#[tokio::test]
async fn odd_ways_of_saying_it_cost_nothing() {
    for wire in WIRES {
        for oddity in [
            Oddity::CarriageReturns,
            Oddity::ByteOrderMark,
            Oddity::NoBlankLines,
            Oddity::Comments,
            Oddity::JsonLines,
            Oddity::PlainLabel,
            Oddity::NotStreamed,
            Oddity::Compressed,
            Oddity::KeptOpen,
            Oddity::NoEndMark,
            Oddity::UnknownFields,
            Oddity::ZeroUsage,
            Oddity::ProperStopWithCall,
            Oddity::NoIds,
            Oddity::SameIds,
            Oddity::EncodedArguments,
        ] {
            let text = odd(oddity, Answer::text("fine")).await;
            let reply = send(wire, &text, &with_tools()).await;
            let reply = reply.unwrap_or_else(|error| panic!("{wire:?} {oddity:?}: {error}"));
            assert_eq!(
                (reply.text().as_str(), reply.stop),
                ("Voilà 𝄞. fine", Stop::EndTurn),
                "{wire:?} {oddity:?}"
            );
            assert_eq!(
                reply.usage_estimated,
                oddity == Oddity::ZeroUsage,
                "{wire:?} {oddity:?}"
            );
            assert!(
                reply.usage.input > 0 && reply.usage.output > 0,
                "{wire:?} {oddity:?}"
            );

            let calls = odd(oddity, two_calls()).await;
            let reply = send(wire, &calls, &with_tools()).await.unwrap();
            assert_eq!(
                (reply.stop, paths(&reply)),
                (Stop::ToolUse, vec!["a.rs".into(), "b.rs".into()]),
                "{wire:?} {oddity:?}"
            );
            let ids: std::collections::BTreeSet<_> = results(&reply)
                .iter()
                .map(|block| format!("{block:?}"))
                .collect();
            assert_eq!(ids.len(), 2, "{wire:?} {oddity:?}");
        }
    }
}

#[tokio::test]
async fn odd_ends_are_no_success() {
    for wire in WIRES {
        for (oddity, class) in [
            (Oddity::OddStopReason, FailureClass::Server),
            (Oddity::ErrorUnderOk, FailureClass::RateLimited),
        ] {
            let error = send(wire, &odd(oddity, Answer::text("half")).await, &request())
                .await
                .unwrap_err();
            assert_eq!(error.class, class, "{wire:?} {oddity:?}: {error}");
            assert_eq!(
                error.maybe_billed,
                oddity != Oddity::ErrorUnderOk,
                "{wire:?} {oddity:?}"
            );
        }
        assert!(
            send(
                wire,
                &odd(Oddity::NoStopReason, Answer::text("half")).await,
                &request()
            )
            .await
            .is_err()
        );
        let blank = send(
            wire,
            &odd(Oddity::Blank, Answer::text("x")).await,
            &request(),
        )
        .await
        .unwrap();
        assert_eq!(blank.text().trim(), "");
        let empty = send(
            wire,
            &odd(Oddity::Empty, Answer::text("x")).await,
            &request(),
        )
        .await
        .unwrap();
        assert_eq!(
            (empty.blocks.len(), empty.stop),
            (0, Stop::EndTurn),
            "{wire:?}"
        );
    }
}

#[tokio::test]
async fn ids_stay_unique_from_turn_to_turn() {
    for wire in WIRES {
        let mock = odd(Oddity::SameIds, two_calls()).await;
        let mut request = with_tools();
        for _ in 0..2 {
            let reply = send(wire, &mock, &request).await.unwrap();
            request.messages.push(reply.clone().into_message());
            request.messages.push(Message {
                role: Role::User,
                blocks: results(&reply),
            });
        }
        let id = |block: &Block| match block {
            Block::ToolUse { id, .. } => Some(id.clone()),
            Block::Text { .. } | Block::ToolResult { .. } | Block::Opaque(_) => None,
        };
        let ids: Vec<_> = request
            .messages
            .iter()
            .flat_map(|message| &message.blocks)
            .filter_map(id)
            .collect();
        assert_eq!(
            ids,
            ["call_0", "call_0_2", "call_0_3", "call_0_4"],
            "{wire:?}"
        );
    }
}

#[tokio::test]
async fn comments_are_no_growth() {
    let mock = odd(Oddity::CommentsForEver, Answer::text("word ".repeat(100))).await;
    for wire in WIRES {
        let provider = wire.provider(&mock.url());
        let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
        let progress = move |sign| _ = sender.send(sign);
        let request = request();
        let sending = provider.send(&request, &progress);
        let watching = async {
            let mut alive = 0;
            while alive < 5 {
                match seen.recv().await.unwrap() {
                    Progress::Alive => alive += 1,
                    Progress::Started(_)
                    | Progress::Prompt(_)
                    | Progress::Begins(_)
                    | Progress::OutputTokens(_) => {
                        alive = 0;
                    }
                }
            }
        };
        tokio::select! {
            reply = sending => panic!("{wire:?}: {reply:?}"),
            () = watching => {}
        }
    }
}

#[tokio::test]
async fn another_model_than_asked_for_is_named() {
    for wire in WIRES {
        let mock =
            Mock::start(Config::default().rule(Rule::fault(When::any(), Breakage::WrongModel)))
                .await;
        assert_ne!(
            send(wire, &mock, &request()).await.unwrap().model,
            "claude-haiku-5-5",
            "{wire:?}"
        );
    }
}

#[tokio::test]
async fn limits_are_read_from_every_reply() {
    for wire in WIRES {
        let limits = Limits {
            requests_per_second: Some(1.0),
            requests_burst: 5,
            ..Limits::default()
        };
        let mock = Mock::start(Config {
            limits,
            ..Config::default()
        })
        .await;
        let rate = send(wire, &mock, &request()).await.unwrap().rate;
        assert_eq!(
            (rate.requests.limit, rate.requests.remaining),
            (Some(60), Some(4)),
            "{wire:?}"
        );
        assert!(rate.requests.resets_in.is_some());
    }
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_never_shown() {
    for wire in WIRES {
        let mock = Mock::start(Config {
            keys: vec!["another".into()],
            ..Config::default()
        })
        .await;
        let error = send(wire, &mock, &request()).await.unwrap_err();
        assert_eq!(error.class, FailureClass::Auth);
        assert_eq!(
            error.hint.as_deref(),
            Some("check MAIN_API_KEY: the key in it was refused")
        );
        assert!(!format!("{error} {error:?}").contains(KEY));

        let mock = Mock::start(Config {
            keys: vec![KEY.into()],
            ..Config::default()
        })
        .await;
        assert!(send(wire, &mock, &request()).await.is_ok(), "{wire:?}");
    }
}

#[tokio::test]
async fn models_are_listed() {
    for wire in WIRES {
        let models = vec!["claude-haiku-5-5".to_owned(), "gpt-6-luna".to_owned()];
        let mock = Mock::start(Config {
            models: models.clone(),
            ..Config::default()
        })
        .await;
        assert_eq!(
            wire.provider(&mock.url()).models().await.unwrap(),
            models,
            "{wire:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_costs_nothing() {
    // No server listens on a port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for wire in WIRES {
        let error = wire
            .provider(&format!("http://{free}"))
            .send(&request(), &|_| {})
            .await
            .unwrap_err();
        assert_eq!(error.class, FailureClass::Network);
        assert!(!error.maybe_billed);
        let hint = error.hint.unwrap();
        assert!(
            hint.contains(&format!("is a server running at http://{free}")),
            "{hint}"
        );
    }
}
