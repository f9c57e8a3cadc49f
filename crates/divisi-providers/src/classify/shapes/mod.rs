//! The table of refusals, from documentation and public reports of vendors.
//!
//! Refusals of Anthropic and OpenAI have a file each; this table has those of other servers with
//! their APIs. All rows apply to every server, because gateways pass on refusals of other vendors.
//! Of the matching rows the first [`Case`] decides, whatever the status: quota errors come with
//! status 400, 401, 402, 403 and 429. Without a matching row the status decides. `reports.yaml` has
//! an example body for each row, with its source.

mod anthropic;
mod openai;

use super::told::Told;
use Case::*;
use Sign::{At, Both, Code, CodePart, Says};
use divisi_core::FailureClass;

/// One row.
pub(super) struct Shape {
    case: Case,
    sign: Sign,
}

/// The meaning of a row. Earlier cases take precedence, because a text may contain words of
/// several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Case {
    /// The prompt is refused.
    Declined,
    /// The request exceeds what the model or the account ever accepts.
    TooLong,
    /// The free quota is used up, in the words of a rate limit.
    Unpaid,
    /// A limit per minute, in the words of a quota.
    Minute,
    /// The balance or the budget is used up.
    Spent,
    /// The plan's allowance for hours, days or months is used up.
    Window,
    /// The vendor is overloaded.
    Overloaded,
    /// A rate limit.
    RateLimited,
    /// The key is refused, with any status.
    Auth,
    /// The model's own output was invalid: another try may succeed.
    Output,
    /// Not available for this account or on this machine.
    Missing,
    /// There is no such model.
    NoModel,
}

/// The result of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A failure of this class.
    Class(FailureClass),
    /// A limit over hours, days or months: a rate limit if the wait is short, else a quota.
    Window,
    /// There is no such model.
    NoModel,
}

impl Case {
    fn verdict(self) -> Verdict {
        Verdict::Class(match self {
            Declined => FailureClass::Declined,
            TooLong => FailureClass::TooLong,
            Unpaid | Spent => FailureClass::Quota,
            Minute | RateLimited => FailureClass::RateLimited,
            Overloaded => FailureClass::Overloaded,
            Auth => FailureClass::Auth,
            Output => FailureClass::Server,
            Missing => FailureClass::Unavailable,
            Window => return Verdict::Window,
            NoModel => return Verdict::NoModel,
        })
    }
}

/// How a row is recognised. Everything is compared in lower case.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sign {
    /// One of the error codes is this.
    Code(&'static str),
    /// One of the error codes contains this.
    CodePart(&'static str),
    /// The text contains this; `…` matches anything.
    Says(&'static str),
    /// One of the error codes is the first, and the text contains the second.
    Both(&'static str, &'static str),
    /// The host's name contains the first, and one of the error codes is the second.
    At(&'static str, &'static str),
}

/// A row.
pub(super) const fn row(case: Case, sign: Sign) -> Shape {
    Shape { case, sign }
}

/// Refusals of vendors without a file of their own.
static OTHERS: &[Shape] = &[
    // The prompt is refused.
    row(Declined, Code("responsibleaipolicyviolation")), // Azure, through gateways
    row(Declined, Code("data_inspection_failed")),       // DashScope
    row(Declined, Code("datainspectionfailed")),         // DashScope
    row(Declined, Code("1301")),                         // z.ai
    row(Declined, Says("content exists risk")),          // DeepSeek
    row(Declined, Says("content management policy")),    // Azure, through gateways
    row(
        Declined,
        Says("input data may contain inappropriate content"),
    ), // DashScope
    row(Declined, Says("considered high risk")),         // Moonshot
    // The request exceeds what the model or the account ever accepts.
    row(TooLong, Code("exceed_context_size_error")), // llama.cpp
    row(TooLong, Code("1261")),                      // z.ai
    row(TooLong, Says("prompt too long")),           // Ollama, SGLang
    row(TooLong, Says("reduce the length of the messages")), // Groq
    row(TooLong, Says("input token count … exceeds the maximum")), // Gemini
    row(TooLong, Says("prompt token count of … exceeds the limit")), // GitHub Copilot
    row(TooLong, Says("input is too long for requested model")), // Bedrock
    row(TooLong, Says("maximum prompt length is")),  // xAI
    row(TooLong, Says("longer than the model's context length")), // SGLang, Together
    row(TooLong, Says("exceeds the maximum allowed input length")), // OpenRouter
    row(TooLong, Says("range of input length should be")), // DashScope
    row(TooLong, Says("exceeded model token limit")), // Moonshot
    row(TooLong, Says("context window exceeds limit")), // MiniMax
    row(TooLong, Says("exceeds the available context size")), // llama.cpp
    row(TooLong, Says("exceed context window of")),  // llama-cpp-python
    row(TooLong, Says("cannot truncate prompt with n_keep")), // LM Studio
    row(TooLong, Says("when context the overflows")), // LM Studio
    row(TooLong, Says("greater than the context length")), // LM Studio
    row(TooLong, Says("max_tokens must be at least 1, got -")), // vLLM
    row(TooLong, Says("longer than the maximum model length")), // vLLM
    row(TooLong, Says("`inputs` tokens + `max_new_tokens` must be")), // Text Generation Inference
    row(
        TooLong,
        Says("total number of tokens in the prompt cannot exceed"),
    ), // Cohere
    row(TooLong, Says("request entity too large")),  // nginx
    // A limit per minute, in the words of a quota.
    row(Minute, Says("rate limit exceeded(rpm)")), // MiniMax
    row(Unpaid, CodePart("perday")),               // Gemini
    row(Unpaid, Says("quota exceeded for metric … limit: 0,")), // Gemini, without a free tier
    row(Minute, CodePart("perminute")),            // Gemini
    row(Minute, Says("per_minute_per_project")),   // Vertex
    row(Unpaid, CodePart("freetieronly")),         // DashScope
    row(Unpaid, Says("free allocated quota exceeded")), // DashScope
    row(Minute, Says("allocated quota exceeded")), // DashScope
    row(Minute, Both("insufficient_quota", "token-limit")), // DashScope
    row(Minute, Both("insufficient_quota", "aliyun.com")), // DashScope
    row(Minute, Both("insufficient_quota", "alibabacloud.com")), // DashScope
    row(Minute, At("dashscope", "insufficient_quota")), // DashScope
    // The balance or the budget is used up.
    row(Spent, Code("exceeded_current_quota_error")), // Moonshot
    row(Spent, Code("1113")),                         // z.ai
    row(Spent, Code("1309")),                         // z.ai
    row(Spent, Says("insufficient balance")),         // DeepSeek, z.ai, MiniMax, Moonshot
    row(Spent, Says("insufficient account")),         // Xiaomi
    row(Spent, Code("creditserror")),                 // OpenCode
    row(Spent, Says("余额不足")),                     // z.ai
    row(Spent, Says("balance is insufficient")),      // SiliconFlow
    row(Spent, Code("accountoverdueerror")),          // Volcengine
    row(Spent, Code("arrearage")),                    // DashScope
    row(Spent, Says("account is in good standing")),  // DashScope
    row(Spent, Says("used all available credits")),   // xAI
    row(Spent, Says("reached its monthly spending limit")), // xAI
    row(Spent, Says("reaching the monthly spending limit")), // Fireworks
    row(Spent, Says("requires more credits")),        // OpenRouter
    row(Spent, Says("key limit exceeded")),           // OpenRouter
    row(Spent, Says("insufficient credits")),         // OpenRouter
    row(Spent, Says("payment is past due")),          // Ollama
    row(Spent, Code("budget_exceeded")),              // LiteLLM
    row(Spent, Says("budget has been exceeded")),     // LiteLLM
    row(Spent, Says("exceededbudget")),               // LiteLLM
    row(Spent, Says("crossed budget")),               // LiteLLM
    // The plan's allowance for hours, days or months is used up.
    row(Window, Code("1304")),                               // z.ai
    row(Window, Code("1308")),                               // z.ai
    row(Window, Code("1310")),                               // z.ai
    row(Window, Says("limit will reset at")),                // z.ai
    row(Window, Says("将在 … 重置")),                        // z.ai
    row(Window, Code("openrouter_free_tier_daily")),         // OpenRouter
    row(Window, Says("free-models-per-day")),                // OpenRouter
    row(Window, Says("exceeded your current quota")),        // Gemini, without details
    row(Window, Says("per day (")),                          // Groq, OpenAI
    row(Window, Says("tokens per day")),                     // Bedrock, Cerebras
    row(Window, Says("requests per day")),                   // Cerebras
    row(Window, Says("api calls / month")),                  // Cohere
    row(Window, Says("used up your daily free allocation")), // Cloudflare
    row(Window, Says("daily request limit reached")),        // Baidu
    row(Window, Says("hourly usage limit")),                 // Ollama
    row(Window, Says("session usage limit")),                // Ollama
    row(Window, Says("weekly usage limit")),                 // Ollama
    row(Window, Says("usage limit for this billing cycle")), // Kimi
    row(Window, Says("(7-day) usage limit")),                // Kimi
    row(Window, Says("exceeded the … usage quota")),         // Volcengine
    row(Window, Says("monthly usage limit")),                // Kiro, Anthropic
    row(Window, Code("monthly_request_count")),              // Kiro
    row(Window, Says("exceeded your monthly quota")),        // GitHub Copilot
    row(Window, Says("monthly included")),                   // Hugging Face
    // The vendor is overloaded.
    row(Overloaded, Code("engine_overloaded_error")), // Moonshot
    row(Overloaded, Code("1305")),                    // z.ai
    row(Overloaded, Code("1312")),                    // z.ai
    row(Overloaded, Says("service tier capacity exceeded")), // Mistral
    row(Overloaded, Says("no capacity available for model")), // Gemini
    row(Overloaded, Says("currently overloaded")),    // OpenAI, Moonshot
    row(Overloaded, Says("model is overloaded")),     // Gemini
    row(
        Overloaded,
        Says("experiencing high demand and cannot process"),
    ), // Azure
    // A rate limit.
    row(RateLimited, Code("throttlingexception")), // Bedrock
    row(RateLimited, Code("throttling.ratequota")), // DashScope
    row(RateLimited, Code("limit_requests")),      // DashScope
    row(RateLimited, Code("rate_limit_reached_error")), // Moonshot
    row(RateLimited, Code("1302")),                // z.ai
    row(RateLimited, Code("1303")),                // z.ai
    row(RateLimited, Says("error code: 1015")),    // Cloudflare
    row(
        RateLimited,
        Says("no deployments available for selected model, try again in"),
    ), // LiteLLM
    // The key is refused, with another status than 401.
    row(Auth, Code("api_key_invalid")),            // Gemini
    row(Auth, Says("api key not valid")),          // Gemini
    row(Auth, Says("incorrect api key provided")), // xAI, OpenAI, DashScope
    row(Auth, Code("1000")),                       // z.ai
    row(Auth, Code("1002")),                       // z.ai
    row(Auth, Code("1004")),                       // z.ai
    // The model's own output was invalid: another try may succeed.
    row(Output, Code("tool_use_failed")),      // Groq
    row(Output, Code("json_validate_failed")), // Groq
    // Not available for this account or on this machine.
    row(Missing, Says("matching your data policy")), // OpenRouter
    row(Missing, Says("model requires more system memory")), // Ollama
    row(Missing, Says("on-demand throughput isn't supported")), // Bedrock
    // There is no such model.
    row(NoModel, Code("deploymentnotfound")),      // Azure
    row(NoModel, Code("modelnotfound")),           // DashScope
    row(NoModel, Code("1211")),                    // z.ai
    row(NoModel, Says("model not exist")),         // DeepSeek
    row(NoModel, Says("is not a valid model id")), // OpenRouter
    row(NoModel, Says("invalid model")),           // Mistral
    row(NoModel, Says("try pulling it first")),    // Ollama
    row(NoModel, Says("no models loaded")),        // LM Studio
    row(NoModel, Says("the model … does not exist")), // vLLM, xAI, Groq
];

fn all() -> impl Iterator<Item = &'static Shape> {
    [anthropic::REFUSALS, openai::REFUSALS, OTHERS]
        .into_iter()
        .flatten()
}

/// The result of the deciding row, and the error code it matched.
pub(super) fn find(told: &Told, said: &str, host: &str) -> Option<(Verdict, Option<&'static str>)> {
    let shape = all().nth(place(told, said, host)?)?;
    let word = match shape.sign {
        Code(code) | Both(code, _) | At(_, code) => Some(code),
        CodePart(_) | Says(_) => None,
    };
    Some((shape.case.verdict(), word))
}

/// Index of the deciding row.
pub(super) fn place(told: &Told, said: &str, host: &str) -> Option<usize> {
    let kinds: Vec<String> = told.kinds.iter().map(|kind| kind.to_lowercase()).collect();
    let is = |code: &str| kinds.iter().any(|kind| kind == code);
    let fits = |sign: Sign| match sign {
        Code(code) => is(code),
        CodePart(part) => kinds.iter().any(|kind| kind.contains(part)),
        Says(phrase) => says(said, phrase),
        Both(code, phrase) => is(code) && says(said, phrase),
        At(part, code) => host.contains(part) && is(code),
    };
    let fitting = all().enumerate().filter(|(_, shape)| fits(shape.sign));
    fitting
        .min_by_key(|(_, shape)| shape.case)
        .map(|(place, _)| place)
}

/// Whether `said` contains the parts of `phrase`, separated by `…`, in this order.
pub(super) fn says(said: &str, phrase: &str) -> bool {
    let mut rest = said;
    phrase
        .split('…')
        .map(str::trim)
        .all(|part| match rest.find(part) {
            Some(at) => {
                rest = &rest[at + part.len()..];
                true
            }
            None => false,
        })
}

#[cfg(test)]
pub(super) fn rows() -> impl Iterator<Item = (Case, String)> {
    all().map(|shape| (shape.case, format!("{:?}", shape.sign)))
}
