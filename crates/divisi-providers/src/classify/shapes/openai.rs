//! The texts of OpenAI's refusals, from its documentation and from public reports. Some are also
//! used by other vendors, which are named.

use super::Case::*;
use super::Sign::{Code, Says};
use super::{Shape, row};

pub(super) static REFUSALS: &[Shape] = &[
    row(Declined, Code("content_filter")), // OpenAI, Azure
    row(Declined, Code("content_policy_violation")),
    row(Declined, Code("cyber_policy")),
    row(TooLong, Code("context_length_exceeded")), // OpenAI, Groq, Azure
    row(TooLong, Says("exceeds the context window")),
    row(TooLong, Says("maximum context length")), // OpenAI, OpenRouter, vLLM, SGLang, DeepSeek, LiteLLM
    row(Spent, Code("billing_not_active")),
    row(Spent, Code("billing_hard_limit_reached")),
    row(Spent, Code("insufficient_quota")),
    row(Window, Code("usage_limit_reached")),
    row(Overloaded, Code("server_is_overloaded")),
    row(Overloaded, Code("slow_down")),
    row(Overloaded, Says("selected model is at capacity")),
    row(RateLimited, Code("rate_limit_exceeded")), // OpenAI, Groq
    row(NoModel, Code("model_not_found")),
];
