//! The texts of Anthropic's refusals, from its documentation and from public reports.

use super::Case::*;
use super::Sign::{Code, Says};
use super::{Shape, row};

pub(super) static REFUSALS: &[Shape] = &[
    row(TooLong, Code("request_too_large")),
    row(TooLong, Says("prompt is too long")),
    row(TooLong, Says("exceed context limit")),
    row(TooLong, Says("required for long context requests")),
    row(Spent, Code("enforced_spend_limit_reached")),
    row(Spent, Code("contract_spend_limit_reached")),
    row(Spent, Code("linked_organization_spend_limit_reached")),
    row(Spent, Code("billing_error")),
    row(Spent, Says("credit balance is too low")),
    row(Spent, Says("reached your specified api usage limits")),
    row(Window, Says("exceeded your daily rate limit")),
    row(Overloaded, Code("overloaded_error")),
    row(RateLimited, Code("ramp_limit_exceeded")),
];
