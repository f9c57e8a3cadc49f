//! The program: its help, its one line of output, its options.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_divisi-mock"))
}

#[tokio::test]
async fn it_prints_its_address_and_follows_its_options() {
    let mut child = program()
        .args(["--fault", "overloaded=1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let url = line.trim_end().strip_prefix("listening on ").unwrap();
    let body = serde_json::json!({"model": "m", "input": "hello"});
    divisi_mock::choose_encryption();
    let answer = reqwest::Client::new()
        .post(format!("{url}/v1/responses"))
        .json(&body)
        .send()
        .await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(answer.unwrap().status(), 503);
}

#[test]
fn a_fault_nobody_knows_is_a_mistake() {
    let output = program().args(["--fault", "nonsense=1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("not the name of a fault")
    );
}
