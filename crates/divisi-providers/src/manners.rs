//! The form of requests to the models of one server, as far as known.
//!
//! A part that a server does not accept is detected by a refusal, which costs nothing, and
//! remembered while the process runs: per model, because one address may serve many, or per schema
//! if only that is refused. Omitted parts are only ever added, so a request is refused at most once
//! for each part.

use crate::dialect::{Again, Dialect, MaxTokens, Objection, Part};
use crate::error::ProviderError;
use crate::openai;
use crate::request::{Block, Request};
use divisi_core::Digest;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most refused schemas kept per model. More than are written by hand; if each task makes its own,
/// a forgotten one costs a refused request.
const SCHEMAS_MAX: usize = 1_000;

/// The form of requests to the models of one server.
pub(crate) struct Manners {
    /// Name of the provider.
    name: Arc<str>,
    given: Dialect,
    /// The optional parts of this wire format.
    parts: &'static [Part],
    /// By model.
    learnt: Mutex<BTreeMap<Arc<str>, Lessons>>,
}

#[derive(Default)]
struct Lessons {
    omitted: BTreeSet<Part>,
    reply_tokens_max: Option<u32>,
    /// Further omitted parts, by schema.
    schemas: BTreeMap<Digest, BTreeSet<Part>>,
}

/// The form of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manner {
    omitted: BTreeSet<Part>,
    reply_tokens_max: Option<u32>,
    max_tokens: Option<MaxTokens>,
}

impl Manner {
    #[cfg(test)]
    pub(crate) fn omitting(parts: &[Part]) -> Self {
        Self {
            omitted: parts.iter().copied().collect(),
            ..Self::default()
        }
    }

    pub(crate) fn omits(&self, part: Part) -> bool {
        self.omitted.contains(&part)
    }

    /// Whether the tools of `request` are sent.
    pub(crate) fn sends_tools(&self, request: &Request) -> bool {
        !request.tools.is_empty() && !self.omits(Part::Tools)
    }

    /// Whether the schema of `request` can only be given in words.
    pub(crate) fn omits_schema(&self, request: &Request) -> bool {
        self.omits(Part::Schema) || (self.omits(Part::SchemaWithTools) && self.sends_tools(request))
    }

    /// The longest reply to request, limited by what the model allows.
    pub(crate) fn reply_tokens(&self, wanted: u32) -> u32 {
        self.reply_tokens_max
            .map_or(wanted, |most| most.min(wanted))
    }

    /// The same; `None` if the server does not accept the field.
    pub(crate) fn told_reply_tokens(&self, wanted: u32) -> Option<u32> {
        (!self.omits(Part::MaxOutputTokens)).then(|| self.reply_tokens(wanted))
    }

    /// The name of the field for the longest reply, `usual` by default.
    pub(crate) fn max_tokens(&self, usual: MaxTokens) -> MaxTokens {
        match (
            self.max_tokens.unwrap_or(usual),
            self.omits(Part::MaxTokensName),
        ) {
            (name, false) => name,
            (MaxTokens::MaxTokens, true) => MaxTokens::MaxCompletionTokens,
            (MaxTokens::MaxCompletionTokens, true) => MaxTokens::MaxTokens,
        }
    }
}

impl Manners {
    /// The forms for a server named `name`, whose requests have `parts`.
    pub(crate) fn new(name: Arc<str>, given: Dialect, parts: &'static [Part]) -> Self {
        Self {
            name,
            given,
            parts,
            learnt: Mutex::default(),
        }
    }

    /// The form of `request`, as known now.
    pub(crate) fn of(&self, request: &Request) -> Manner {
        let mut manner = Manner {
            omitted: self.given.omit.clone(),
            max_tokens: self.given.max_tokens,
            reply_tokens_max: None,
        };
        if let Some(lessons) = self.learnt().get(&request.model) {
            manner.omitted.extend(&lessons.omitted);
            manner.reply_tokens_max = lessons.reply_tokens_max;
            let schema = digest(request).and_then(|schema| lessons.schemas.get(&schema));
            manner.omitted.extend(schema.into_iter().flatten());
        }
        manner
    }

    /// Learns from the refusal of `request`, which had this `manner`. If it will now be sent in
    /// another form, the error says that it can be sent again.
    pub(crate) fn adapt(
        &self,
        mut error: ProviderError,
        request: &Request,
        manner: &Manner,
    ) -> ProviderError {
        let Some(objection) = error.objection.clone() else {
            return error;
        };
        if self.of(request) != *manner {
            // Another request has caused the change meanwhile.
            error.again = Some(Again::default());
            return error;
        }
        let parts = self.lesson(&objection, request, manner);
        let reply_tokens_max = objection
            .reply_tokens_max
            .filter(|most| *most < manner.reply_tokens(request.max_tokens));
        if parts.is_empty() && reply_tokens_max.is_none() {
            return error;
        }
        let of_schema = objection.to_this_schema.then(|| digest(request)).flatten();
        self.remember(request, of_schema, &parts, reply_tokens_max);
        error.again = Some(Again {
            notice: Some(self.notice(request, &parts, reply_tokens_max, of_schema.is_some())),
        });
        error
    }

    /// The parts that can still be left out because of `objection`.
    fn lesson(&self, objection: &Objection, request: &Request, manner: &Manner) -> Vec<Part> {
        let can = |part: &Part| {
            self.parts.contains(part) && !manner.omits(*part) && is_sent(*part, request, manner)
        };
        if objection.to_this_schema {
            return [Part::Strict, Part::Schema]
                .into_iter()
                .find(can)
                .into_iter()
                .collect();
        }
        // Without tools in the request, the schema itself is the refused part.
        let meant = |part: &Part| match part {
            Part::SchemaWithTools if !manner.sends_tools(request) => Part::Schema,
            // The other name was refused, too.
            Part::MaxTokensName if manner.omits(Part::MaxTokensName) => Part::MaxOutputTokens,
            part => *part,
        };
        objection.parts.iter().map(meant).filter(can).collect()
    }

    fn remember(
        &self,
        request: &Request,
        schema: Option<Digest>,
        parts: &[Part],
        reply_tokens_max: Option<u32>,
    ) {
        let mut learnt = self.learnt();
        let lessons = learnt.entry(request.model.clone()).or_default();
        lessons.reply_tokens_max = reply_tokens_max.or(lessons.reply_tokens_max);
        match schema {
            Some(schema) => {
                if lessons.schemas.len() == SCHEMAS_MAX && !lessons.schemas.contains_key(&schema) {
                    lessons.schemas.pop_first();
                }
                lessons.schemas.entry(schema).or_default().extend(parts);
            }
            None => lessons.omitted.extend(parts),
        }
    }

    fn notice(
        &self,
        request: &Request,
        parts: &[Part],
        most: Option<u32>,
        of_schema: bool,
    ) -> String {
        let (name, model) = (&self.name, &request.model);
        if let Some(most) = most {
            return format!(
                "{model} at `{name}` writes no more than {most} tokens: replies there are no longer than that; set `reply_tokens_max` to set less aside"
            );
        }
        let (mut what, then): (Vec<_>, Vec<_>) =
            parts.iter().map(|part| part.consequence()).unzip();
        if of_schema && parts == [Part::Schema] {
            what = vec!["this schema"];
        }
        let setting = match parts {
            _ if of_schema => String::new(),
            [Part::MaxTokensName] => {
                format!("; to say so beforehand, set `max_tokens` under [providers.{name}.dialect]")
            }
            parts => {
                let words: Vec<_> = parts
                    .iter()
                    .map(|part| format!("\"{}\"", part.as_str()))
                    .collect();
                format!(
                    "; to say so beforehand, set `omit = [{}]` under [providers.{name}.dialect]",
                    words.join(", ")
                )
            }
        };
        format!(
            "{model} at `{name}` does not take {}: {}{setting}",
            what.join(" and "),
            then.join(", and ")
        )
    }

    fn learnt(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Lessons>> {
        self.learnt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether `request` in this `manner` contains this part.
fn is_sent(part: Part, request: &Request, manner: &Manner) -> bool {
    let has_schema = request.schema.is_some() && !manner.omits_schema(request);
    match part {
        Part::StreamOptions | Part::Include | Part::Store | Part::MaxOutputTokens => true,
        Part::MaxTokensName => !manner.omits(Part::MaxOutputTokens),
        Part::Schema => has_schema,
        Part::Strict => {
            let is_strict = |schema: &Value| openai::enforceable(schema).is_some();
            has_schema && request.schema.as_deref().is_some_and(is_strict)
        }
        Part::SchemaWithTools => has_schema && manner.sends_tools(request),
        Part::Tools => manner.sends_tools(request),
        Part::Effort => request.effort.is_some(),
        Part::SystemRole => {
            !request.system.is_empty() || request.schema.is_some() || manner.omits(Part::Tools)
        }
        Part::CacheControl => {
            let of_message = |block: &Block| match block {
                Block::Text { cache, .. } | Block::ToolResult { cache, .. } => *cache,
                Block::ToolUse { .. } | Block::Opaque(_) => false,
            };
            let mut blocks = request.messages.iter().flat_map(|message| &message.blocks);
            request.system.iter().any(|block| block.cache) || blocks.any(of_message)
        }
    }
}

fn digest(request: &Request) -> Option<Digest> {
    request
        .schema
        .as_deref()
        .map(|schema| Digest::of(schema.to_string().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::SystemBlock;
    use divisi_core::FailureClass;
    use serde_json::json;

    const ALL: &[Part] = &[
        Part::Schema,
        Part::Strict,
        Part::SchemaWithTools,
        Part::Tools,
        Part::Effort,
    ];

    fn manners() -> Manners {
        Manners::new("lab".into(), Dialect::default(), ALL)
    }

    fn request(model: &str, field: &str) -> Request {
        let mut request = Request::new(model, "p", 16_000);
        request.system = vec![SystemBlock {
            text: "Be brief.".into(),
            cache: false,
        }];
        request.schema = Some(Arc::new(
            json!({"type": "object", "properties": {field: {"type": "string"}}, "required": [field]}),
        ));
        request
    }

    fn refused(objection: Objection) -> ProviderError {
        ProviderError {
            objection: Some(objection),
            ..ProviderError::new(FailureClass::BadRequest, "no")
        }
    }

    fn to(part: Part) -> ProviderError {
        refused(Objection {
            parts: vec![part],
            ..Objection::default()
        })
    }

    fn notice(error: ProviderError) -> String {
        error
            .again
            .and_then(|again| again.notice)
            .unwrap_or_default()
    }

    #[test]
    fn a_lesson_is_told_once_and_holds_for_its_model() {
        let (manners, asked) = (manners(), request("small", "a"));
        let before = manners.of(&asked);
        let first = manners.adapt(to(Part::Schema), &asked, &before);
        insta::assert_snapshot!(notice(first), @r#"small at `lab` does not take a schema for the answer: the prompt tells it instead; to say so beforehand, set `omit = ["schema"]` under [providers.lab.dialect]"#);
        let late = manners.adapt(to(Part::Schema), &asked, &before);
        assert_eq!(
            late.again,
            Some(Again::default()),
            "sent before that was known"
        );
        let after = manners.of(&asked);
        assert!(after.omits_schema(&asked));
        assert_eq!(
            manners.adapt(to(Part::Schema), &asked, &after).again,
            None,
            "there is nothing more to leave out"
        );
        assert!(!manners.of(&request("large", "a")).omits(Part::Schema));
    }

    #[test]
    fn a_schema_is_first_sent_loosely_and_then_told() {
        let manners = manners();
        let (one, other) = (request("small", "a"), request("small", "b"));
        let objection = || {
            refused(Objection {
                to_this_schema: true,
                ..Objection::default()
            })
        };
        for part in [Part::Strict, Part::Schema] {
            let before = manners.of(&one);
            assert!(!before.omits(part));
            assert!(manners.adapt(objection(), &one, &before).again.is_some());
            assert!(manners.of(&one).omits(part));
        }
        assert_eq!(
            manners.adapt(objection(), &one, &manners.of(&one)).again,
            None
        );
        assert_eq!(manners.of(&other), Manner::default());
    }

    #[test]
    fn only_what_was_sent_is_left_out() {
        let (manners, asked) = (manners(), request("small", "a"));
        for part in [Part::Tools, Part::Effort, Part::CacheControl] {
            assert_eq!(
                manners.adapt(to(part), &asked, &manners.of(&asked)).again,
                None,
                "{part:?}"
            );
        }
    }

    #[test]
    fn a_shorter_reply_is_asked_for_where_the_model_writes_no_more() {
        let (manners, asked) = (manners(), request("small", "a"));
        let limit = |most| {
            refused(Objection {
                reply_tokens_max: Some(most),
                ..Objection::default()
            })
        };
        assert_eq!(
            manners
                .adapt(limit(32_000), &asked, &manners.of(&asked))
                .again,
            None
        );
        let told = notice(manners.adapt(limit(4_096), &asked, &manners.of(&asked)));
        assert!(told.contains("no more than 4096 tokens"), "{told}");
        assert_eq!(manners.of(&asked).reply_tokens(16_000), 4_096);
        assert_eq!(manners.of(&asked).reply_tokens(1_000), 1_000);
    }

    #[test]
    fn the_settings_say_beforehand_what_is_left_out() {
        let given: Dialect = serde_json::from_value(
            json!({"omit": ["tools", "effort"], "max_tokens": "max_completion_tokens"}),
        )
        .unwrap();
        let manner = Manners::new("lab".into(), given, ALL).of(&request("small", "a"));
        assert!(
            manner.omits(Part::Tools) && manner.omits(Part::Effort) && !manner.omits(Part::Schema)
        );
        assert_eq!(
            manner.max_tokens(MaxTokens::MaxTokens),
            MaxTokens::MaxCompletionTokens
        );
        assert!(serde_json::from_value::<Dialect>(json!({"omit": ["max_tokens_name"]})).is_err());
    }

    #[test]
    fn a_forgotten_schema_is_only_refused_again() {
        let manners = manners();
        for n in 0..=SCHEMAS_MAX {
            let asked = request("small", &n.to_string());
            let error = refused(Objection {
                to_this_schema: true,
                ..Objection::default()
            });
            assert!(
                manners
                    .adapt(error, &asked, &manners.of(&asked))
                    .again
                    .is_some()
            );
        }
        assert_eq!(manners.learnt()["small"].schemas.len(), SCHEMAS_MAX);
    }
}
