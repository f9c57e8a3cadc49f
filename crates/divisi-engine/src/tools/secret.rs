//! Protects secrets in files that an agent may write but not see.

use super::file;
use super::path::{Place, Root};
use super::watch::Watch;
use divisi_providers::redact;

/// Refuses to overwrite a file that contains a secret shown to the agent as `***`: the secret would
/// be lost.
pub(super) fn keep(
    root: &Root,
    asked: &str,
    place: &Place,
    content: &str,
    watch: &Watch,
) -> Result<(), String> {
    if !content.contains(redact::MARK) {
        return Ok(());
    }
    let before = file::read(root, asked, place, watch).unwrap_or_default();
    match redact::known().finds(&String::from_utf8_lossy(&before)) {
        true => Err(format!(
            "`{asked}` holds a key, which is shown as `{}`; change the rest with edit_file, so that the key is kept",
            redact::MARK
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use crate::tools::fixture::Fixture;
    use divisi_providers::redact;
    use serde_json::json;

    const KEY: &str = "file-key-0123456789";

    fn fixture() -> Fixture {
        redact::add_secret(KEY);
        Fixture::new().file(".env", &format!("A=1\nMY_KEY={KEY}\nB=2\n"))
    }

    #[tokio::test]
    async fn an_agent_sees_a_file_without_its_key_and_cannot_lose_it() {
        let fixture = fixture();
        let seen = fixture.ok("read_file", json!({"path": ".env"})).await;
        assert_eq!(seen, "1\tA=1\n2\tMY_KEY=***\n3\tB=2");
        let rewrite = json!({"path": ".env", "content": "A=2\nMY_KEY=***\nB=2\n"});
        assert_eq!(
            fixture.error("write_file", rewrite).await,
            "`.env` holds a key, which is shown as `***`; change the rest with edit_file, so that the key is kept"
        );
        fixture
            .ok(
                "edit_file",
                json!({"path": ".env", "old_text": "A=1", "new_text": "A=2"}),
            )
            .await;
        assert_eq!(fixture.read(".env"), format!("A=2\nMY_KEY={KEY}\nB=2\n"));
        fixture
            .ok(
                "write_file",
                json!({"path": "notes.md", "content": "a\n***\nb"}),
            )
            .await;
    }

    #[tokio::test]
    async fn a_search_does_not_spell_a_key_out() {
        let fixture = fixture();
        let search = async |pattern: &str| {
            fixture
                .ok("search_files", json!({"pattern": pattern}))
                .await
        };
        assert_eq!(search("MY_KEY").await, ".env\n2:MY_KEY=***");
        assert_eq!(search("MY_KEY=file-k").await, "no matches");
        assert_eq!(search("0123456789").await, "no matches");
    }

    #[tokio::test]
    async fn long_lines_and_names_are_cut_after_the_key_is() {
        let fixture = fixture()
            .file("long", &format!("{}{KEY}", "x".repeat(1_990)))
            .file(&format!("named-{KEY}"), "content");
        let seen = fixture.ok("read_file", json!({"path": "long"})).await;
        assert!(seen.ends_with("xxx***"), "{seen}");
        assert_eq!(
            fixture.ok("list_files", json!({})).await,
            ".env\nlong\nnamed-***"
        );
        let error = fixture
            .error("read_file", json!({"path": format!("missing-{KEY}")}))
            .await;
        assert!(
            error.contains("missing-***") && !error.contains(KEY),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_command_shows_no_key() {
        let fixture = fixture();
        let line = "cat .env >&2; od -An -v -tx1 .env; base64 -w 9 .env; exit 3";
        let said = fixture.error("run_command", json!({"command": line})).await;
        assert!(said.contains("MY_KEY=***"), "{said}");
        let squeezed: String = said.split_whitespace().collect();
        assert!(!squeezed.contains("66696c652d6b6579"), "{said}");
        assert!(
            !squeezed.contains("ZmlsZS1rZXkt") && !squeezed.contains("aWxlLWtleS0w"),
            "{said}"
        );
    }
}
