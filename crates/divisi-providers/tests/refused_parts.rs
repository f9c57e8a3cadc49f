//! Requests that a server refuses for one part are sent again without it, over real HTTP.

#![allow(clippy::unwrap_used)]

use divisi_core::{Effort, FailureClass};
use divisi_mock::{Config, Mock, Refusal};
use divisi_providers::{
    Anthropic, Endpoint, OpenAiChat, OpenAiResponses, Part, Provider, ProviderError, Reply,
    Request, SystemBlock, ToolDefinition,
};
use serde_json::json;
use std::sync::Arc;

/// A request that has every part there is.
fn request(model: &str) -> Request {
    let mut request = Request::new(model, "Study the crate.", 16_000);
    request.system = vec![SystemBlock {
        text: "You audit code.".into(),
        cache: true,
    }];
    request.effort = Some(Effort::Low);
    request.schema = Some(Arc::new(
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}),
    ));
    request.tools = vec![ToolDefinition {
        name: "read_file".into(),
        description: "Reads a file.".into(),
        input_schema: json!({"type": "object", "properties": {"path": {"type": "string"}}}),
    }]
    .into();
    request
}

fn providers(mock: &Mock) -> [Box<dyn Provider>; 3] {
    let endpoint = || Endpoint::new("lab", format!("{}/v1", mock.url()));
    [
        Box::new(Anthropic::new(endpoint()).unwrap()),
        Box::new(OpenAiChat::new(endpoint()).unwrap()),
        Box::new(OpenAiResponses::new(endpoint()).unwrap()),
    ]
}

async fn send(provider: &dyn Provider, request: &Request) -> Result<Reply, ProviderError> {
    provider.send(request, &|_| {}).await
}

#[tokio::test]
async fn what_a_server_does_not_take_is_left_out_from_then_on() {
    let all = [0, 1, 2];
    for (refusal, wires) in [
        (Refusal::Schema, &all[..]),
        (Refusal::SchemaWithTools, &all),
        (Refusal::Tools, &all),
        (Refusal::LongReply, &all),
        (Refusal::LargeGrammar, &[0]),
        (Refusal::OutputConfig, &[0]),
        (Refusal::StreamOptions, &[1]),
        (Refusal::MaxTokens, &[1]),
        (Refusal::SystemRole, &[1]),
    ] {
        for wire in wires {
            let mock = Mock::start(Config {
                refuses: vec![refusal],
                ..Config::default()
            })
            .await;
            let provider = &*providers(&mock)[*wire];
            let asked = request("some-model");
            let refused = send(provider, &asked).await.unwrap_err();
            assert_eq!(
                (refused.class, refused.maybe_billed),
                (FailureClass::BadRequest, false),
                "{refusal:?} {wire}"
            );
            let again = refused
                .again
                .unwrap_or_else(|| panic!("{refusal:?} {wire}: {}", refused.message));
            assert!(again.notice.is_some());
            for _ in 0..2 {
                send(provider, &asked).await.unwrap();
            }
            assert_eq!(mock.stats().statuses[&200], 2, "{refusal:?} {wire}");
            // Another model may take it.
            assert!(
                send(provider, &request("other-model"))
                    .await
                    .unwrap_err()
                    .again
                    .is_some()
            );
        }
    }
}

#[tokio::test]
async fn parts_that_are_not_taken_are_found_out_one_by_one() {
    let refuses = vec![
        Refusal::StreamOptions,
        Refusal::MaxTokens,
        Refusal::Tools,
        Refusal::Schema,
        Refusal::SystemRole,
        Refusal::LongReply,
    ];
    let refusals = refuses.len();
    let mock = Mock::start(Config {
        refuses,
        ..Config::default()
    })
    .await;
    let [_, chat, _] = providers(&mock);
    let asked = request("some-model");
    let mut tries = 0;
    while let Err(error) = send(&*chat, &asked).await {
        assert!(error.again.is_some(), "{}", error.message);
        tries += 1;
    }
    assert_eq!(tries, refusals);
}

#[tokio::test]
async fn what_the_settings_say_is_never_sent() {
    let refuses = vec![Refusal::StreamOptions, Refusal::Tools, Refusal::MaxTokens];
    let mock = Mock::start(Config {
        refuses,
        ..Config::default()
    })
    .await;
    let mut endpoint = Endpoint::new("lab", format!("{}/v1", mock.url()));
    endpoint.dialect = serde_json::from_value(
        json!({"omit": ["stream_options", "tools"], "max_tokens": "max_completion_tokens"}),
    )
    .unwrap();
    assert!(endpoint.dialect.omit.contains(&Part::Tools));
    send(&OpenAiChat::new(endpoint).unwrap(), &request("some-model"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_refusal_of_nothing_that_was_sent_stands() {
    let mock = Mock::start(Config {
        refuses: vec![Refusal::StreamOptions],
        ..Config::default()
    })
    .await;
    let plain = Request::new("some-model", "hello", 100);
    let [_, chat, _] = providers(&mock);
    assert!(send(&*chat, &plain).await.unwrap_err().again.is_some());
    send(&*chat, &plain).await.unwrap();
    let blanks = Mock::start(Config {
        refuses: vec![Refusal::BlankText],
        ..Config::default()
    })
    .await;
    let [anthropic, ..] = providers(&blanks);
    let mut said = request("some-model");
    said.system.push(SystemBlock {
        text: " \n".into(),
        cache: false,
    });
    send(&*anthropic, &said).await.unwrap();
}
