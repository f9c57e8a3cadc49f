//! The shapes of refusals, vendor by vendor, as their documentation and public reports have them.
//!
//! Read from the top: the first row that fits decides, whatever the status, because the same
//! wall stands under 400, 401, 402, 403 and 429. What no row fits is decided by its status.
//! `reports.yaml` has a body for each row, with where it is from.

use super::told::Told;
use Sign::{At, Both, Code, CodePart, Says};
use Verdict::{Class, NoModel, Window};
use divisi_core::FailureClass::{self, *};

/// One row.
pub(super) struct Shape {
    pub(super) verdict: Verdict,
    sign: Sign,
}

/// What a row stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A failure of this class.
    Class(FailureClass),
    /// A limit over hours, days or months: to be waited for if that takes moments, else a quota.
    Window,
    /// There is no such model.
    NoModel,
}

/// By what a row is known. Everything is compared in lower case.
#[derive(Clone, Copy, Debug)]
enum Sign {
    /// One of its words is this.
    Code(&'static str),
    /// One of its words contains this.
    CodePart(&'static str),
    /// It says this; `…` stands for anything.
    Says(&'static str),
    /// One of its words is the first, and it says the second.
    Both(&'static str, &'static str),
    /// It comes from a host with the first in its name, and one of its words is the second.
    At(&'static str, &'static str),
}

const fn row(verdict: Verdict, sign: Sign) -> Shape {
    Shape { verdict, sign }
}

/// All rows.
static SHAPES: &[Shape] = &[
    // The prompt is refused.
    row(Class(Declined), Code("content_filter")), // OpenAI, Azure
    row(Class(Declined), Code("responsibleaipolicyviolation")), // Azure, through gateways
    row(Class(Declined), Code("content_policy_violation")), // OpenAI
    row(Class(Declined), Code("cyber_policy")),   // OpenAI
    row(Class(Declined), Code("data_inspection_failed")), // DashScope
    row(Class(Declined), Code("datainspectionfailed")), // DashScope
    row(Class(Declined), Code("1301")),           // z.ai
    row(Class(Declined), Says("content exists risk")), // DeepSeek
    row(Class(Declined), Says("content management policy")), // Azure, through gateways
    row(Class(Declined), Says("input data may contain inappropriate content")), // DashScope
    row(Class(Declined), Says("considered high risk")), // Moonshot
    // The request is longer than the model, or the account, ever takes.
    row(Class(TooLong), Code("context_length_exceeded")), // OpenAI, Groq, Azure
    row(Class(TooLong), Code("exceed_context_size_error")), // llama.cpp
    row(Class(TooLong), Code("request_too_large")),       // Anthropic
    row(Class(TooLong), Code("1261")),                    // z.ai
    row(Class(TooLong), Says("prompt is too long")),      // Anthropic
    row(Class(TooLong), Says("prompt too long")),         // Ollama, SGLang
    row(Class(TooLong), Says("exceed context limit")),    // Anthropic
    row(Class(TooLong), Says("required for long context requests")), // Anthropic
    row(Class(TooLong), Says("exceeds the context window")), // OpenAI
    row(Class(TooLong), Says("too large for model with … maximum context length")), // Mistral
    row(Class(TooLong), Says("maximum context length")), // OpenAI, OpenRouter, vLLM, SGLang, DeepSeek, LiteLLM
    row(Class(TooLong), Says("reduce the length of the messages")), // Groq
    row(Class(TooLong), Says("input token count … exceeds the maximum")), // Gemini
    row(Class(TooLong), Says("prompt token count of … exceeds the limit")), // GitHub Copilot
    row(Class(TooLong), Says("input is too long for requested model")), // Bedrock
    row(Class(TooLong), Says("maximum prompt length is")), // xAI
    row(Class(TooLong), Says("longer than the model's context length")), // SGLang, Together
    row(Class(TooLong), Says("exceeds the maximum allowed input length")), // OpenRouter
    row(Class(TooLong), Says("range of input length should be")), // DashScope
    row(Class(TooLong), Says("exceeded model token limit")), // Moonshot
    row(Class(TooLong), Says("context window exceeds limit")), // MiniMax
    row(Class(TooLong), Says("exceeds the available context size")), // llama.cpp
    row(Class(TooLong), Says("exceed context window of")), // llama-cpp-python
    row(Class(TooLong), Says("cannot truncate prompt with n_keep")), // LM Studio
    row(Class(TooLong), Says("when context the overflows")), // LM Studio
    row(Class(TooLong), Says("greater than the context length")), // LM Studio
    row(Class(TooLong), Says("max_tokens must be at least 1, got -")), // vLLM
    row(Class(TooLong), Says("longer than the maximum model length")), // vLLM
    row(Class(TooLong), Says("`inputs` tokens + `max_new_tokens` must be")), // Text Generation Inference
    row(Class(TooLong), Says("total number of tokens in the prompt cannot exceed")), // Cohere
    row(Class(TooLong), Says("request entity too large")), // nginx
    // A limit by the minute in the words of a quota.
    row(Class(RateLimited), Says("rate limit exceeded(rpm)")), // MiniMax
    row(Class(Quota), CodePart("perday")),                     // Gemini
    row(Class(Quota), Says("quota exceeded for metric … limit: 0,")), // Gemini, without a free tier
    row(Class(RateLimited), CodePart("perminute")),            // Gemini
    row(Class(RateLimited), Says("per_minute_per_project")),   // Vertex
    row(Class(Quota), CodePart("freetieronly")),               // DashScope
    row(Class(Quota), Says("free allocated quota exceeded")),  // DashScope
    row(Class(RateLimited), Says("allocated quota exceeded")), // DashScope
    row(Class(RateLimited), Both("insufficient_quota", "token-limit")), // DashScope
    row(Class(RateLimited), Both("insufficient_quota", "aliyun.com")), // DashScope
    row(Class(RateLimited), Both("insufficient_quota", "alibabacloud.com")), // DashScope
    row(Class(RateLimited), At("dashscope", "insufficient_quota")), // DashScope
    // The balance or the budget is used up.
    row(Class(Quota), Code("enforced_spend_limit_reached")), // Anthropic
    row(Class(Quota), Code("contract_spend_limit_reached")), // Anthropic
    row(Class(Quota), Code("linked_organization_spend_limit_reached")), // Anthropic
    row(Class(Quota), Code("billing_error")),                // Anthropic
    row(Class(Quota), Says("credit balance is too low")),    // Anthropic
    row(Class(Quota), Says("reached your specified api usage limits")), // Anthropic
    row(Class(Quota), Code("billing_not_active")),           // OpenAI
    row(Class(Quota), Code("billing_hard_limit_reached")),   // OpenAI
    row(Class(Quota), Code("insufficient_quota")),           // OpenAI
    row(Class(Quota), Code("exceeded_current_quota_error")), // Moonshot
    row(Class(Quota), Code("1113")),                         // z.ai
    row(Class(Quota), Code("1309")),                         // z.ai
    row(Class(Quota), Says("insufficient balance")),         // DeepSeek, z.ai, MiniMax, Moonshot
    row(Class(Quota), Says("insufficient account")),         // Xiaomi
    row(Class(Quota), Code("creditserror")),                 // OpenCode
    row(Class(Quota), Says("余额不足")),                     // z.ai
    row(Class(Quota), Says("balance is insufficient")),      // SiliconFlow
    row(Class(Quota), Code("accountoverdueerror")),          // Volcengine
    row(Class(Quota), Code("arrearage")),                    // DashScope
    row(Class(Quota), Says("account is in good standing")),  // DashScope
    row(Class(Quota), Says("used all available credits")),   // xAI
    row(Class(Quota), Says("reached its monthly spending limit")), // xAI
    row(Class(Quota), Says("reaching the monthly spending limit")), // Fireworks
    row(Class(Quota), Says("requires more credits")),        // OpenRouter
    row(Class(Quota), Says("key limit exceeded")),           // OpenRouter
    row(Class(Quota), Says("insufficient credits")),         // OpenRouter
    row(Class(Quota), Says("payment is past due")),          // Ollama
    row(Class(Quota), Code("budget_exceeded")),              // LiteLLM
    row(Class(Quota), Says("budget has been exceeded")),     // LiteLLM
    row(Class(Quota), Says("exceededbudget")),               // LiteLLM
    row(Class(Quota), Says("crossed budget")),               // LiteLLM
    // What a plan allows in hours, days or months is used up.
    row(Window, Code("1304")),                               // z.ai
    row(Window, Code("1308")),                               // z.ai
    row(Window, Code("1310")),                               // z.ai
    row(Window, Code("usage_limit_reached")),                // OpenAI
    row(Window, Says("limit will reset at")),                // z.ai
    row(Window, Says("将在 … 重置")),                        // z.ai
    row(Window, Code("openrouter_free_tier_daily")),         // OpenRouter
    row(Window, Says("free-models-per-day")),                // OpenRouter
    row(Window, Says("exceeded your current quota")),        // Gemini, without details
    row(Window, Says("per day (")),                          // Groq, OpenAI
    row(Window, Says("tokens per day")),                     // Bedrock, Cerebras
    row(Window, Says("requests per day")),                   // Cerebras
    row(Window, Says("exceeded your daily rate limit")),     // Anthropic
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
    // There is no capacity now.
    row(Class(Overloaded), Code("overloaded_error")), // Anthropic
    row(Class(Overloaded), Code("server_is_overloaded")), // OpenAI
    row(Class(Overloaded), Code("slow_down")),        // OpenAI
    row(Class(Overloaded), Code("engine_overloaded_error")), // Moonshot
    row(Class(Overloaded), Code("1305")),             // z.ai
    row(Class(Overloaded), Code("1312")),             // z.ai
    row(Class(Overloaded), Says("service tier capacity exceeded")), // Mistral
    row(Class(Overloaded), Says("no capacity available for model")), // Gemini
    row(Class(Overloaded), Says("model is overloaded")), // Gemini
    row(Class(Overloaded), Says("currently overloaded")), // OpenAI, Moonshot
    row(Class(Overloaded), Says("selected model is at capacity")), // OpenAI
    row(Class(Overloaded), Says("experiencing high demand and cannot process")), // Azure
    // Too much at once.
    row(Class(RateLimited), Code("rate_limit_exceeded")), // OpenAI, Groq
    row(Class(RateLimited), Code("ramp_limit_exceeded")), // Anthropic
    row(Class(RateLimited), Code("throttlingexception")), // Bedrock
    row(Class(RateLimited), Code("throttling.ratequota")), // DashScope
    row(Class(RateLimited), Code("limit_requests")),      // DashScope
    row(Class(RateLimited), Code("rate_limit_reached_error")), // Moonshot
    row(Class(RateLimited), Code("1302")),                // z.ai
    row(Class(RateLimited), Code("1303")),                // z.ai
    row(Class(RateLimited), Says("error code: 1015")),    // Cloudflare
    row(Class(RateLimited), Says("no deployments available for selected model, try again in")), // LiteLLM
    // The key is refused under another status than 401.
    row(Class(Auth), Code("api_key_invalid")),            // Gemini
    row(Class(Auth), Says("api key not valid")),          // Gemini
    row(Class(Auth), Says("incorrect api key provided")), // xAI, OpenAI, DashScope
    row(Class(Auth), Code("1000")),                       // z.ai
    row(Class(Auth), Code("1002")),                       // z.ai
    row(Class(Auth), Code("1004")),                       // z.ai
    // The model's own output did not pass: another try may.
    row(Class(Server), Code("tool_use_failed")),      // Groq
    row(Class(Server), Code("json_validate_failed")), // Groq
    // This account or machine does not have it.
    row(Class(Unavailable), Says("matching your data policy")), // OpenRouter
    row(Class(Unavailable), Says("model requires more system memory")), // Ollama
    row(Class(Unavailable), Says("on-demand throughput isn't supported")), // Bedrock
    // There is no such model.
    row(NoModel, Code("model_not_found")),            // OpenAI
    row(NoModel, Code("deploymentnotfound")),         // Azure
    row(NoModel, Code("modelnotfound")),              // DashScope
    row(NoModel, Code("1211")),                       // z.ai
    row(NoModel, Says("model not exist")),            // DeepSeek
    row(NoModel, Says("is not a valid model id")),    // OpenRouter
    row(NoModel, Says("invalid model")),              // Mistral
    row(NoModel, Says("try pulling it first")),       // Ollama
    row(NoModel, Says("no models loaded")),           // LM Studio
    row(NoModel, Says("the model … does not exist")), // vLLM, xAI, Groq
];

/// The first row that fits, and the word it was known by.
pub(super) fn find(told: &Told, said: &str, host: &str) -> Option<(Verdict, Option<&'static str>)> {
    let shape = &SHAPES[place(told, said, host)?];
    let word = match shape.sign {
        Code(code) | Both(code, _) | At(_, code) => Some(code),
        CodePart(_) | Says(_) => None,
    };
    Some((shape.verdict, word))
}

/// The place of the first row that fits.
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
    SHAPES.iter().position(|shape| fits(shape.sign))
}

/// Whether `said` has the parts of `phrase`, which `…` divides, in this order.
pub(super) fn says(said: &str, phrase: &str) -> bool {
    let mut rest = said;
    phrase.split('…').map(str::trim).all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

#[cfg(test)]
pub(super) fn rows() -> impl Iterator<Item = (Verdict, String)> {
    SHAPES.iter().map(|shape| (shape.verdict, format!("{:?}", shape.sign)))
}
