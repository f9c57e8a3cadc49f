//! Classifies why a reply ended, for all vendors.
//!
//! Only known words count as a proper end. With any other word, or none, the reply counts as cut
//! off.

use crate::reply::Stop;

/// Known words for the end. Compared without case and separators, so that `MAX_TOKENS`,
/// `max_tokens` and `maxTokens` are equal.
const WORDS: [(&str, Stop); 56] = [
    ("done", Stop::EndTurn),
    ("finished", Stop::EndTurn),
    ("stop", Stop::EndTurn),
    ("endturn", Stop::EndTurn),
    ("end", Stop::EndTurn),
    ("eos", Stop::EndTurn),
    ("eostoken", Stop::EndTurn),
    ("complete", Stop::EndTurn),
    ("completed", Stop::EndTurn),
    ("stopsequence", Stop::StopSequence),
    ("stopsequences", Stop::StopSequence),
    ("tooluse", Stop::ToolUse),
    ("tooluses", Stop::ToolUse),
    ("toolcall", Stop::ToolUse),
    ("toolcalls", Stop::ToolUse),
    ("functioncall", Stop::ToolUse),
    ("functioncalls", Stop::ToolUse),
    ("length", Stop::MaxTokens),
    ("maxlength", Stop::MaxTokens),
    ("lengthlimit", Stop::MaxTokens),
    ("modellength", Stop::MaxTokens),
    ("maxtokens", Stop::MaxTokens),
    ("maxoutputtokens", Stop::MaxTokens),
    ("maxcompletiontokens", Stop::MaxTokens),
    ("maxnewtokens", Stop::MaxTokens),
    ("tokenlimit", Stop::MaxTokens),
    ("tokenlimitreached", Stop::MaxTokens),
    ("outputlimit", Stop::MaxTokens),
    ("modelcontextwindowexceeded", Stop::ContextExceeded),
    ("contextwindowexceeded", Stop::ContextExceeded),
    ("contextlengthexceeded", Stop::ContextExceeded),
    ("contextlength", Stop::ContextExceeded),
    ("pauseturn", Stop::PauseTurn),
    ("refusal", Stop::Refusal),
    ("contentfilter", Stop::Refusal),
    ("contentfiltered", Stop::Refusal),
    ("contentpolicyviolation", Stop::Refusal),
    ("contentmoderation", Stop::Refusal),
    ("moderation", Stop::Refusal),
    ("flagged", Stop::Refusal),
    ("blocked", Stop::Refusal),
    ("blocklist", Stop::Refusal),
    ("safety", Stop::Refusal),
    ("imagesafety", Stop::Refusal),
    ("recitation", Stop::Refusal),
    ("language", Stop::Refusal),
    ("prohibitedcontent", Stop::Refusal),
    ("spii", Stop::Refusal),
    ("sensitive", Stop::Refusal),
    ("sensitivecontent", Stop::Refusal),
    ("risk", Stop::Refusal),
    ("riskcontrol", Stop::Refusal),
    ("guardrail", Stop::Refusal),
    ("guardrailintervened", Stop::Refusal),
    ("errortoxic", Stop::Refusal),
    ("policyviolation", Stop::Refusal),
];

/// The end of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// For a known reason.
    Known(Stop),
    /// For an unknown reason, so not properly.
    Broken(String),
}

impl End {
    /// Classifies `reason`; `None` if it is empty.
    pub(crate) fn of(reason: &str) -> Option<Self> {
        let reason = reason.trim();
        if reason.is_empty()
            || reason.eq_ignore_ascii_case("null")
            || reason.eq_ignore_ascii_case("none")
        {
            return None;
        }
        let parts = std::iter::once(reason).chain(reason.split([':', '.', '/']));
        let known = parts.map(bare).find_map(|word| {
            WORDS
                .iter()
                .find(|(known, _)| *known == word)
                .map(|(_, stop)| *stop)
        });
        Some(known.map_or_else(|| Self::Broken(reason.to_owned()), Self::Known))
    }

    /// Combines two reasons of one reply: an improper one is kept.
    pub(crate) fn or_worse(self, later: Self) -> Self {
        if self.is_proper() { later } else { self }
    }

    /// Whether its reason is not understood.
    pub(crate) fn is_broken(&self) -> bool {
        matches!(self, Self::Broken(_))
    }

    fn is_proper(&self) -> bool {
        matches!(
            self,
            Self::Known(Stop::EndTurn | Stop::StopSequence | Stop::ToolUse | Stop::PauseTurn)
        )
    }
}

/// The stop reason of a reply: tool calls override words for a proper end, but not for a cut, a
/// refusal or an unknown reason. `is_marked` says whether the stream's end mark arrived; then a
/// reply with calls needs no word.
pub(crate) fn decided(
    end: Option<End>,
    has_calls: bool,
    is_marked: bool,
) -> Result<Stop, Unfinished> {
    match end {
        Some(End::Known(Stop::EndTurn | Stop::StopSequence)) if has_calls => Ok(Stop::ToolUse),
        Some(End::Known(stop)) => Ok(stop),
        Some(End::Broken(reason)) => Err(Unfinished {
            reason: Some(reason),
        }),
        None if has_calls && is_marked => Ok(Stop::ToolUse),
        None => Err(Unfinished { reason: None }),
    }
}

/// A reply that was cut off.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unfinished {
    /// The vendor's reason.
    pub(crate) reason: Option<String>,
}

/// A word without case, separators and enum name.
fn bare(word: &str) -> String {
    let letters: String = word.chars().filter(char::is_ascii_alphanumeric).collect();
    let letters = letters.to_ascii_lowercase();
    match letters
        .strip_prefix("finishreason")
        .or_else(|| letters.strip_prefix("stopreason"))
    {
        Some(rest) if !rest.is_empty() => rest.to_owned(),
        _ => letters,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_all_vendors_are_understood() {
        let shown = |reasons: &[&str]| {
            let mean = |reason: &&str| match End::of(reason) {
                Some(End::Known(stop)) => format!("{reason} = {stop:?}"),
                Some(End::Broken(word)) => format!("{reason} = broken: {word}"),
                None => format!("{reason} = nothing"),
            };
            reasons.iter().map(mean).collect::<Vec<_>>().join("\n")
        };
        insta::assert_snapshot!(shown(&[
            "stop", "FINISH_REASON_STOP", "FinishReason.MAX_TOKENS", "endTurn", "tool-calls", "model_length",
            "content_filter: PROHIBITED_CONTENT", "guardrail_intervened", "SAFETY", "ERROR_TOXIC",
            "function_call_filter: MALFORMED_FUNCTION_CALL", "insufficient_system_resource", "error", "abort",
            "OTHER", "FINISH_REASON_UNSPECIFIED", "compaction", "", " null ",
        ]), @r"
        stop = EndTurn
        FINISH_REASON_STOP = EndTurn
        FinishReason.MAX_TOKENS = MaxTokens
        endTurn = EndTurn
        tool-calls = ToolUse
        model_length = MaxTokens
        content_filter: PROHIBITED_CONTENT = Refusal
        guardrail_intervened = Refusal
        SAFETY = Refusal
        ERROR_TOXIC = Refusal
        function_call_filter: MALFORMED_FUNCTION_CALL = broken: function_call_filter: MALFORMED_FUNCTION_CALL
        insufficient_system_resource = broken: insufficient_system_resource
        error = broken: error
        abort = broken: abort
        OTHER = broken: OTHER
        FINISH_REASON_UNSPECIFIED = broken: FINISH_REASON_UNSPECIFIED
        compaction = broken: compaction
         = nothing
         null  = nothing
        ");
    }

    #[test]
    fn the_content_decides_over_a_proper_end_only() {
        let ended = |reason: &str, calls| decided(End::of(reason), calls, true).ok();
        assert_eq!(ended("end_turn", true), Some(Stop::ToolUse));
        assert_eq!(ended("", true), Some(Stop::ToolUse));
        assert_eq!(ended("", false), None);
        assert_eq!(ended("max_tokens", true), Some(Stop::MaxTokens));
        assert_eq!(ended("SAFETY", true), Some(Stop::Refusal));
        assert_eq!(ended("error", true), None);
        assert_eq!(decided(None, true, false), Err(Unfinished { reason: None }));
        let twice = |first, then| End::of(first).unwrap().or_worse(End::of(then).unwrap());
        assert_eq!(twice("length", "stop"), End::Known(Stop::MaxTokens));
        assert_eq!(twice("stop", "tool_calls"), End::Known(Stop::ToolUse));
    }
}
