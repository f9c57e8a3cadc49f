//! Token usage in the formats of all vendors.
//!
//! Some vendors count cached tokens as part of the prompt, some separately; some count thinking as
//! part of the output, some separately; some repeat the counts in every event, some omit them or
//! send zeros at first or at last. So every known name is read in every place, the largest count of
//! each is used, and the total shows what was counted separately. What no count shows is in the
//! table of [`habits`].

mod habits;

pub(crate) use habits::Habits;

use crate::lenient;
use divisi_core::price::{Billing, Service};
use divisi_core::{PicoUsd, Usage};
use habits::{Bill, Thinking};
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use std::fmt;

/// Tokens and billing of a reply by Anthropic, from its `usage` object as programs record it.
///
/// Fields that are missing count nothing.
pub fn usage_of_anthropic(usage: &serde_json::Value) -> (Usage, Billing) {
    // Reading is lenient: what is no count is passed over.
    let counted = Counted::deserialize(usage).unwrap_or_default();
    let habits = Habits::default();
    (counted.usage(true, habits), counted.billing(habits))
}

/// Tokens of a reply or a session of Codex, as that program counts them: its prompt includes those of
/// the cache.
///
/// Fields that are missing count nothing.
pub fn usage_of_codex(usage: &serde_json::Value) -> Usage {
    let count = |name: &str| usage[name].as_u64().unwrap_or_default();
    let read = count("cached_input_tokens");
    let written = count("cache_write_input_tokens");
    Usage {
        input: count("input_tokens").saturating_sub(read.saturating_add(written)),
        cache_write_5m: written,
        cache_read: read,
        output: count("output_tokens"),
        thinking: count("reasoning_output_tokens"),
        ..Usage::default()
    }
}

/// Counts as sent by a vendor.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    /// The prompt including cached tokens.
    prompt: Option<u64>,
    /// The prompt with or without them, depending on the vendor.
    input: Option<u64>,
    output: Option<u64>,
    total: Option<u64>,
    thinking: Option<u64>,
    read: Option<u64>,
    /// Tokens written to a cache, and of these the ones for a short and for a long lifetime.
    written: Option<u64>,
    short: Option<u64>,
    long: Option<u64>,
    /// Number of web searches.
    searches: Option<u64>,
    /// Prompt tokens that are in the total, but not in the prompt.
    tools: Option<u64>,
    /// Thinking under a name that is used only for thinking beside the output.
    thought: Option<u64>,
    served: Served,
    stated: Stated,
    /// Whether cached tokens are counted under Anthropic's names.
    in_words_of_anthropic: bool,
}

/// How a request was served, in Anthropic's words, which stand in the usage.
#[derive(Clone, Copy, Debug, Default)]
struct Served {
    is_batch: Option<bool>,
    is_fast: Option<bool>,
    is_us_only: Option<bool>,
}

/// Amounts of money in the usage, in dollars.
#[derive(Clone, Copy, Debug, Default)]
struct Stated {
    cost: Option<f64>,
    /// The total in an object of costs.
    total: Option<f64>,
    upstream: Option<f64>,
    ticks: Option<f64>,
    is_own_key: bool,
}

/// The meaning of a field of usage.
#[derive(Clone, Copy)]
enum Field {
    Count(Count),
    Word(Word),
    Amount(Amount),
    /// Whether the user's own key for the vendor behind was used.
    OwnKey,
    /// An amount, or an object of amounts.
    Cost,
    /// Nested counts, by the name of their object.
    Within(&'static str),
    Other,
}

#[derive(Clone, Copy)]
enum Count {
    Prompt,
    Input,
    Output,
    Total,
    Thinking,
    Read,
    /// The same under Anthropic's names.
    ReadBeside,
    Written,
    Short,
    Long,
    Searches,
    Tools,
    Thought,
}

#[derive(Clone, Copy)]
enum Word {
    Tier,
    Speed,
    Place,
}

#[derive(Clone, Copy)]
enum Amount {
    Total,
    Upstream,
    Ticks,
}

/// The meaning of field `name` in an object (`""`: the usage itself). All names in use, by format
/// and vendor: gateways send several at once.
fn field(within: &str, name: &str) -> Field {
    use Count::{
        Input, Long, Output, Prompt, Read, ReadBeside, Searches, Short, Thinking, Thought, Tools,
        Total, Written,
    };
    match (within, name) {
        ("", "service_tier") => return Field::Word(Word::Tier),
        ("", "speed") => return Field::Word(Word::Speed),
        ("", "inference_geo") => return Field::Word(Word::Place),
        ("", "cost") => return Field::Cost,
        ("", "is_byok") => return Field::OwnKey,
        ("", "cost_in_usd_ticks") => return Field::Amount(Amount::Ticks),
        ("cost", "total_cost") => return Field::Amount(Amount::Total),
        ("cost_details", "upstream_inference_cost") => return Field::Amount(Amount::Upstream),
        _ => {}
    }
    Field::Count(match (within, name) {
        // The last of each line is Gemini's own.
        ("", "prompt_tokens" | "promptTokenCount") => Prompt,
        ("", "input_tokens" | "inputTokens" | "inputTokenCount") => Input,
        (
            "",
            "completion_tokens" | "output_tokens" | "outputTokens" | "outputTokenCount"
            | "candidatesTokenCount",
        ) => Output,
        ("", "total_tokens" | "totalTokens" | "totalTokenCount") => Total,
        ("", "thoughtsTokenCount") => Thought,
        ("", "toolUsePromptTokenCount") => Tools,
        ("completion_tokens_details" | "output_tokens_details", "reasoning_tokens")
        | ("output_tokens_details", "thinking_tokens")
        // Perplexity.
        | ("", "reasoning_tokens") => Thinking,
        ("", "cache_read_input_tokens") => ReadBeside,
        ("prompt_tokens_details" | "input_tokens_details", "cached_tokens")
        // Mistral's older name of the details; Perplexity.
        | ("prompt_token_details", "cached_tokens")
        | ("input_tokens_details", "cache_read_input_tokens")
        // DeepSeek, Moonshot and Together, Mistral, Bedrock, Gemini.
        | (
            "",
            "prompt_cache_hit_tokens" | "cached_tokens" | "num_cached_tokens" | "cacheReadInputTokens"
            | "cacheReadInputTokenCount" | "cachedContentTokenCount",
        ) => Read,
        ("prompt_tokens_details" | "input_tokens_details", "cache_write_tokens")
        // Qwen, LiteLLM, Bedrock.
        | ("prompt_tokens_details", "cache_creation_input_tokens" | "cache_creation_tokens")
        | ("", "cache_creation_input_tokens" | "cacheWriteInputTokens" | "cacheWriteInputTokenCount") => Written,
        ("cache_creation" | "cache_creation_token_details", "ephemeral_5m_input_tokens") => Short,
        ("cache_creation" | "cache_creation_token_details", "ephemeral_1h_input_tokens")
        // OpenAI's twelve hours are closest to the one-hour class in price.
        | ("cache_write_tokens_details", "ttl_12h_tokens") => Long,
        ("server_tool_use" | "prompt_tokens_details", "web_search_requests")
        // LiteLLM, xAI, Perplexity.
        | ("server_side_tool_usage_details", "web_search_calls")
        | ("", "num_search_queries") => Searches,
        _ => return object(within, name).map_or(Field::Other, Field::Within),
    })
}

/// The name of a nested object with counts.
fn object(within: &str, name: &str) -> Option<&'static str> {
    let inner: &[&'static str] = match within {
        "" => &[
            "completion_tokens_details",
            "output_tokens_details",
            "prompt_tokens_details",
            "prompt_token_details",
            "input_tokens_details",
            "cache_creation",
            "server_tool_use",
            "server_side_tool_usage_details",
            "cost_details",
        ],
        "prompt_tokens_details" => &[
            "cache_creation",
            // LiteLLM.
            "cache_creation_token_details",
            "cache_write_tokens_details",
        ],
        "input_tokens_details" => &["cache_write_tokens_details"],
        _ => &[],
    };
    inner.iter().copied().find(|object| *object == name)
}

impl<'de> Deserialize<'de> for Counted {
    /// A value that is not an object has no counts.
    fn deserialize<D: Deserializer<'de>>(usage: D) -> Result<Self, D::Error> {
        let mut counted = Self::default();
        Object {
            counted: &mut counted,
            within: "",
        }
        .deserialize(usage)?;
        Ok(counted)
    }
}

/// Reads an object of counts.
struct Object<'a> {
    counted: &'a mut Counted,
    within: &'static str,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, object: D) -> Result<(), D::Error> {
        object.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    lenient::absent_otherwise!(());

    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key_seed(Name(self.within))? {
            match field {
                Field::Count(count) => {
                    let new = map.next_value_seed(lenient::Tokens)?;
                    self.counted.in_words_of_anthropic |= matches!(count, Count::ReadBeside);
                    let count = self.counted.of(count);
                    *count = (*count).max(new);
                }
                Field::Within(within) => map.next_value_seed(Object {
                    counted: self.counted,
                    within,
                })?,
                Field::Word(word) => self
                    .counted
                    .hear(word, &map.next_value_seed(lenient::Word)?),
                Field::Amount(amount) => {
                    let new = map.next_value_seed(lenient::Amount)?;
                    let amount = self.counted.stated.of(amount);
                    *amount = new.or(*amount);
                }
                Field::OwnKey => {
                    self.counted.stated.is_own_key |= map.next_value_seed(lenient::Flag)?;
                }
                Field::Cost => map.next_value_seed(Cost(self.counted))?,
                Field::Other => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(())
    }
}

/// Reads a cost: an amount, or an object of amounts.
struct Cost<'a>(&'a mut Counted);

impl<'de> DeserializeSeed<'de> for Cost<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, cost: D) -> Result<(), D::Error> {
        cost.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Cost<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a cost")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, cost: u64) -> Result<(), E> {
        self.visit_f64(cost as f64)
    }

    fn visit_i64<E: de::Error>(self, cost: i64) -> Result<(), E> {
        self.visit_f64(cost as f64)
    }

    fn visit_f64<E: de::Error>(self, cost: f64) -> Result<(), E> {
        self.0.stated.cost = Some(cost);
        Ok(())
    }

    fn visit_str<E: de::Error>(self, cost: &str) -> Result<(), E> {
        let cost = cost.trim().parse().ok();
        self.0.stated.cost = cost.or(self.0.stated.cost);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let within = "cost";
        let counted = self.0;
        Object { counted, within }.visit_map(map)
    }
}

/// Reads the name of a field in an object.
struct Name(&'static str);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Field;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<Field, D::Error> {
        name.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Field, E> {
        Ok(field(self.0, name))
    }
}

impl Counted {
    fn of(&mut self, count: Count) -> &mut Option<u64> {
        match count {
            Count::Prompt => &mut self.prompt,
            Count::Input => &mut self.input,
            Count::Output => &mut self.output,
            Count::Total => &mut self.total,
            Count::Thinking => &mut self.thinking,
            Count::Read | Count::ReadBeside => &mut self.read,
            Count::Written => &mut self.written,
            Count::Short => &mut self.short,
            Count::Long => &mut self.long,
            Count::Searches => &mut self.searches,
            Count::Tools => &mut self.tools,
            Count::Thought => &mut self.thought,
        }
    }

    /// Applies a word about how the request was served. No word changes nothing.
    fn hear(&mut self, word: Word, said: &str) {
        if said.is_empty() {
            return;
        }
        let (flag, meant) = match word {
            Word::Tier => (&mut self.served.is_batch, "batch"),
            Word::Speed => (&mut self.served.is_fast, "fast"),
            Word::Place => (&mut self.served.is_us_only, "us"),
        };
        *flag = Some(said.eq_ignore_ascii_case(meant));
    }

    /// Adds further counts.
    pub(crate) fn raise(&mut self, new: Self) {
        let fields = [
            (&mut self.prompt, new.prompt),
            (&mut self.input, new.input),
            (&mut self.output, new.output),
            (&mut self.total, new.total),
            (&mut self.thinking, new.thinking),
            (&mut self.read, new.read),
            (&mut self.written, new.written),
            (&mut self.short, new.short),
            (&mut self.long, new.long),
            (&mut self.searches, new.searches),
            (&mut self.tools, new.tools),
            (&mut self.thought, new.thought),
        ];
        fields
            .into_iter()
            .for_each(|(count, new)| *count = (*count).max(new));
        self.served.is_batch = new.served.is_batch.or(self.served.is_batch);
        self.served.is_fast = new.served.is_fast.or(self.served.is_fast);
        self.served.is_us_only = new.served.is_us_only.or(self.served.is_us_only);
        self.stated.raise(new.stated);
        self.in_words_of_anthropic |= new.in_words_of_anthropic;
    }

    /// How the request was served and what is billed besides tokens, as far as the usage says.
    ///
    /// Anthropic's tier `priority` is paid by a contract; its tokens have the list price.
    pub(crate) fn billing(&self, habits: Habits) -> Billing {
        let service = match (self.served.is_batch, self.served.is_fast) {
            (Some(true), _) => Service::Batch,
            (_, Some(true)) => Service::Fast,
            _ => Service::Standard,
        };
        Billing {
            service,
            us_only: self.served.is_us_only == Some(true),
            searches: u32::try_from(self.searches.unwrap_or(0)).unwrap_or(u32::MAX),
            stated: self.stated.bill(habits),
        }
    }

    /// The tokens by class.
    ///
    /// `beside` is set if the vendor counts the prompt without cached tokens, as Anthropic does; a
    /// server that uses another vendor's names counts as that vendor does.
    pub(crate) fn usage(&self, beside: bool, habits: Habits) -> Usage {
        let count = |count: Option<u64>| count.unwrap_or(0);
        let (read, long, total) = (count(self.read), count(self.long), count(self.total));
        let thinking = count(self.thinking).max(count(self.thought));
        // A vendor with a single lifetime has only the short one.
        let short = count(self.short).max(count(self.written).saturating_sub(long));
        let cached = read.saturating_add(short).saturating_add(long);
        let (prompt, is_beside) = match (self.prompt, self.input) {
            (Some(prompt), input) => (
                if beside {
                    prompt
                } else {
                    prompt.max(count(input))
                },
                false,
            ),
            (None, Some(input)) => (input, beside || self.in_words_of_anthropic),
            (None, None) => (0, false),
        };
        let prompt = prompt.saturating_add(count(self.tools));
        let said = count(self.output);
        // Thinking larger than the output must be counted separately. Where that is the habit, only
        // a total that has room for nothing else shows the contrary.
        let is_inside = total > 0 && total <= prompt.saturating_add(said);
        let is_separate = self.thought.is_some()
            || thinking > said
            || (habits.thinking == Thinking::Beside && !is_inside);
        let said = if is_separate {
            said.saturating_add(thinking)
        } else {
            said
        };
        let is_beside = is_beside
            || (cached > prompt && total >= prompt.saturating_add(cached).saturating_add(said));
        let prompt = if is_beside {
            prompt.saturating_add(cached)
        } else {
            prompt
        };
        let (prompt, output) = match prompt {
            0 => (total.saturating_sub(said), said),
            prompt => (prompt, said.max(total.saturating_sub(prompt))),
        };
        // Cached tokens cannot exceed the prompt.
        let read = read.min(prompt);
        let short = short.min(prompt - read);
        let long = long.min(prompt - read - short);
        Usage {
            input: prompt - read - short - long,
            cache_write_5m: short,
            cache_write_1h: long,
            cache_read: read,
            output,
            thinking: thinking.min(output),
        }
    }
}

impl Stated {
    fn of(&mut self, amount: Amount) -> &mut Option<f64> {
        match amount {
            Amount::Total => &mut self.total,
            Amount::Upstream => &mut self.upstream,
            Amount::Ticks => &mut self.ticks,
        }
    }

    /// Replaces what newer usage states.
    fn raise(&mut self, new: Self) {
        let Self {
            cost,
            total,
            upstream,
            ticks,
            is_own_key,
        } = *self;
        *self = Self {
            cost: new.cost.or(cost),
            total: new.total.or(total),
            upstream: new.upstream.or(upstream),
            ticks: new.ticks.or(ticks),
            is_own_key: new.is_own_key || is_own_key,
        };
    }

    /// The bill, if a vendor with these habits states one.
    fn bill(self, habits: Habits) -> Option<PicoUsd> {
        /// Ticks in a dollar.
        const TICKS: f64 = 1e10;
        let dollars = match habits.bill? {
            Bill::Dollars if self.is_own_key => self.cost? + self.upstream?,
            Bill::Dollars => self.cost?,
            Bill::Total => self.total.or(self.cost)?,
            Bill::Ticks => self.ticks? / TICKS,
        };
        picodollars(dollars)
    }
}

/// The nearest whole amount; `None` if it is no sensible bill of one request.
fn picodollars(dollars: f64) -> Option<PicoUsd> {
    /// No request costs as much. It also keeps floating-point errors below half a picodollar.
    const DOLLARS_MAX: f64 = 4_000.0;
    let is_sensible = (0.0..DOLLARS_MAX).contains(&dollars);
    is_sensible.then(|| PicoUsd((dollars * PicoUsd::DOLLAR.0 as f64).round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const XAI: Habits = Habits {
        thinking: Thinking::Beside,
        bill: Some(Bill::Ticks),
    };

    fn usage(counts: &[Value], beside: bool) -> String {
        usage_at(counts, beside, Habits::default())
    }

    fn usage_at(counts: &[Value], beside: bool, habits: Habits) -> String {
        let mut counted = Counted::default();
        counts
            .iter()
            .for_each(|count| counted.raise(serde_json::from_value(count.clone()).unwrap()));
        let Usage {
            input,
            cache_write_5m,
            cache_write_1h,
            cache_read,
            output,
            thinking,
        } = counted.usage(beside, habits);
        format!(
            "{input} in, {cache_write_5m}+{cache_write_1h} written, {cache_read} read, {output} out, {thinking} thought"
        )
    }

    #[test]
    fn every_house_counts_in_its_own_way() {
        let inside = |name: &str, counts: Value| format!("{name}: {}", usage(&[counts], false));
        insta::assert_snapshot!([
            inside("OpenAI", json!({"prompt_tokens": 100, "completion_tokens": 400, "total_tokens": 500,
                "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
                "completion_tokens_details": {"reasoning_tokens": 300}})),
            inside("Responses", json!({"input_tokens": 100, "output_tokens": 30, "total_tokens": 130,
                "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10,
                    "cache_write_tokens_details": {"ttl_30m_tokens": 6, "ttl_12h_tokens": 4}},
                "output_tokens_details": {"reasoning_tokens": 5}})),
            inside("xAI", json!({"prompt_tokens": 10120, "completion_tokens": 1499, "total_tokens": 14428,
                "prompt_tokens_details": {"cached_tokens": 128}, "completion_tokens_details": {"reasoning_tokens": 2809}})),
            inside("xAI without a total", json!({"prompt_tokens": 100, "completion_tokens": 10,
                "completion_tokens_details": {"reasoning_tokens": 90}})),
            inside("Gemini", json!({"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 905})),
            inside("DeepSeek", json!({"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105,
                "prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36})),
            inside("Moonshot", json!({"prompt_tokens": 100, "completion_tokens": 5, "cached_tokens": 70})),
            inside("Qwen", json!({"prompt_tokens": 100, "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 20, "cache_creation_input_tokens": 30}})),
            inside("LiteLLM", json!({"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105,
                "cache_read_input_tokens": 60, "cache_creation_input_tokens": 10})),
            inside("Anthropic's words in chat", json!({"input_tokens": 30, "output_tokens": 5, "cache_read_input_tokens": 60})),
            inside("cached beside, by the total", json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 75,
                "prompt_tokens_details": {"cached_tokens": 60}})),
            inside("more cached than there is", json!({"prompt_tokens": 10, "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 60}})),
            inside("only a total", json!({"completion_tokens": 5, "total_tokens": 75})),
            inside("odd forms", json!({"prompt_tokens": "9", "completion_tokens": 2.0, "total_tokens": null,
                "prompt_tokens_details": [], "completion_tokens_details": {"reasoning_tokens": null}})),
            inside("Mistral", json!({"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105, "num_cached_tokens": 64})),
            inside("LiteLLM's lifetimes", json!({"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details":
                {"cached_tokens": 10, "cache_creation_tokens": 30,
                    "cache_creation_token_details": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10}}})),
            inside("both houses' words", json!({"prompt_tokens": 100, "completion_tokens": 5, "input_tokens": 100, "output_tokens": 5})),
        ].join("\n"), @r"
        OpenAI: 30 in, 10+0 written, 60 read, 400 out, 300 thought
        Responses: 30 in, 6+4 written, 60 read, 30 out, 5 thought
        xAI: 9992 in, 0+0 written, 128 read, 4308 out, 2809 thought
        xAI without a total: 100 in, 0+0 written, 0 read, 100 out, 90 thought
        Gemini: 100 in, 0+0 written, 0 read, 805 out, 0 thought
        DeepSeek: 36 in, 0+0 written, 64 read, 5 out, 0 thought
        Moonshot: 30 in, 0+0 written, 70 read, 5 out, 0 thought
        Qwen: 50 in, 30+0 written, 20 read, 5 out, 0 thought
        LiteLLM: 30 in, 10+0 written, 60 read, 5 out, 0 thought
        Anthropic's words in chat: 30 in, 0+0 written, 60 read, 5 out, 0 thought
        cached beside, by the total: 10 in, 0+0 written, 60 read, 5 out, 0 thought
        more cached than there is: 0 in, 0+0 written, 10 read, 5 out, 0 thought
        only a total: 70 in, 0+0 written, 0 read, 5 out, 0 thought
        odd forms: 9 in, 0+0 written, 0 read, 2 out, 0 thought
        Mistral: 36 in, 0+0 written, 64 read, 5 out, 0 thought
        LiteLLM's lifetimes: 60 in, 20+10 written, 10 read, 5 out, 0 thought
        both houses' words: 100 in, 0+0 written, 0 read, 5 out, 0 thought
        ");
    }

    #[test]
    fn anthropic_counts_what_a_cache_gave_beside_the_prompt() {
        let beside = |counts: Value| usage(&[counts], true);
        assert_eq!(
            beside(
                json!({"input_tokens": 12, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 400,
                "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
                "output_tokens": 25, "output_tokens_details": {"thinking_tokens": 7}})
            ),
            "12 in, 10+20 written, 400 read, 25 out, 7 thought"
        );
        assert_eq!(
            beside(
                json!({"inputTokenCount": 12, "cacheReadInputTokenCount": 4, "outputTokenCount": 5})
            ),
            "12 in, 0+0 written, 4 read, 5 out, 0 thought"
        );
        assert_eq!(
            beside(
                json!({"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 60}})
            ),
            "40 in, 0+0 written, 60 read, 5 out, 0 thought"
        );
    }

    #[test]
    fn searches_are_counted_where_vendors_count_them() {
        let searches = |counts: Value| {
            let counted = Counted::deserialize(counts).unwrap();
            counted.billing(Habits::default()).searches
        };
        assert_eq!(
            searches(json!({"server_tool_use": {"web_search_requests": 3}})),
            3
        );
        assert_eq!(
            searches(json!({"prompt_tokens_details": {"web_search_requests": "2"}})),
            2
        );
        assert_eq!(
            searches(json!({"server_side_tool_usage_details": {"web_search_calls": 4}})),
            4
        );
        assert_eq!(
            searches(json!({"num_search_queries": 5, "server_tool_use": null})),
            5
        );
    }

    #[test]
    fn thinking_is_beside_the_output_where_that_is_the_habit() {
        let beside = |counts: Value| usage_at(&[counts], false, XAI);
        let few = json!({"prompt_tokens": 100, "completion_tokens": 90,
            "completion_tokens_details": {"reasoning_tokens": 40}});
        assert_eq!(
            beside(few.clone()),
            "100 in, 0+0 written, 0 read, 130 out, 40 thought"
        );
        let mut whole = few.clone();
        whole["total_tokens"] = 230.into();
        assert_eq!(
            beside(whole.clone()),
            "100 in, 0+0 written, 0 read, 130 out, 40 thought"
        );
        whole["total_tokens"] = 190.into();
        assert_eq!(
            beside(whole),
            "100 in, 0+0 written, 0 read, 90 out, 40 thought",
            "the total has no room for it"
        );
        assert_eq!(
            usage(&[few], false),
            "100 in, 0+0 written, 0 read, 90 out, 40 thought"
        );
    }

    #[test]
    fn geminis_own_names_are_known() {
        let counts = json!({"promptTokenCount": 100, "cachedContentTokenCount": 30, "toolUsePromptTokenCount": 7,
            "candidatesTokenCount": 20, "thoughtsTokenCount": 5, "totalTokenCount": 132});
        assert_eq!(
            usage(&[counts], false),
            "77 in, 0+0 written, 30 read, 25 out, 5 thought"
        );
    }

    #[test]
    fn a_stated_cost_is_read_where_it_is_the_bill() {
        let stated = |bill, counts: &[Value]| {
            let mut counted = Counted::default();
            counts
                .iter()
                .for_each(|count| counted.raise(serde_json::from_value(count.clone()).unwrap()));
            let habits = Habits {
                bill,
                ..Habits::default()
            };
            counted.billing(habits).stated.map(|bill| bill.0)
        };
        let cost = json!({"cost": 0.00123456});
        let dollars = Some(Bill::Dollars);
        assert_eq!(stated(None, std::slice::from_ref(&cost)), None);
        assert_eq!(
            stated(dollars, std::slice::from_ref(&cost)),
            Some(1_234_560_000)
        );
        assert_eq!(
            stated(dollars, &[cost, json!({"cost": null})]),
            Some(1_234_560_000)
        );
        assert_eq!(
            stated(dollars, &[json!({"cost": "1.5e-05"})]),
            Some(15_000_000)
        );
        assert_eq!(stated(dollars, &[json!({"cost": -1})]), None);
        assert_eq!(stated(dollars, &[json!({"cost": 1e9})]), None);
        let own = json!({"cost": 0.0005, "is_byok": true, "cost_details": {"upstream_inference_cost": 0.01}});
        assert_eq!(stated(dollars, &[own]), Some(10_500_000_000));
        let not_own = json!({"cost": 0.0005, "is_byok": false, "cost_details": {"upstream_inference_cost": 0.0004}});
        assert_eq!(stated(dollars, &[not_own]), Some(500_000_000));
        let unknown = json!({"cost": 0.0005, "is_byok": true, "cost_details": null});
        assert_eq!(stated(dollars, &[unknown]), None);
        assert_eq!(
            stated(
                Some(Bill::Ticks),
                &[json!({"cost_in_usd_ticks": 37_756_000})]
            ),
            Some(3_775_600_000)
        );
        assert_eq!(
            stated(
                Some(Bill::Total),
                &[json!({"cost": {"total_cost": 0.006, "request_cost": 0.005}})]
            ),
            Some(6_000_000_000)
        );
    }

    #[test]
    fn counts_are_never_lowered() {
        let first = json!({"prompt_tokens": 100, "completion_tokens": 1});
        let then = json!({"prompt_tokens": 100, "completion_tokens": 40, "prompt_tokens_details": {"cached_tokens": 64}});
        let last = json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "prompt_tokens_details": {}});
        assert_eq!(
            usage(&[first, then, last], false),
            "36 in, 0+0 written, 64 read, 40 out, 0 thought"
        );
    }
}
