//! The differences between vendors, and between the APIs of a vendor.

use crate::answer::Answer;
use crate::ask::Ask;
use crate::fault::{ErrorKind, Failure};
use crate::frames::Frames;
use crate::limits::Meters;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

/// One API: its requests and answers.
pub(crate) trait Dialect: 'static {
    /// The vendor of the API.
    type Vendor: Vendor;
    /// Its path.
    const ENDPOINT: &'static str;

    /// Reads a request, or returns what is wrong with it.
    fn read<'a>(headers: &HeaderMap, body: &'a Value) -> Result<Ask<'a>, Failure>;
    /// The answer in one piece.
    fn document(answer: &Answer<'_>) -> Value;
    /// The answer as events.
    fn stream(answer: &Answer<'_>) -> Frames;
    /// The event that reports, in the middle of a stream, that the vendor is overloaded.
    fn overloaded(frames: &mut Frames);
}

/// What all APIs of a vendor have in common.
pub(crate) trait Vendor {
    /// The header with the request's id.
    const REQUEST_ID: &'static str;

    /// The HTTP status of an error.
    fn status(kind: ErrorKind) -> u16;
    /// The body of an error.
    fn error(failure: &Failure, request_id: &str) -> Value;
    /// Adds the headers of the rate limits.
    fn show_meters(meters: &Meters, headers: &mut HeaderMap);
}

/// Adds a header. The name is known to be valid; the value is a number or a word.
pub(crate) fn set(headers: &mut HeaderMap, name: &'static str, value: impl ToString) {
    let value =
        HeaderValue::try_from(value.to_string()).expect("digits and letters make a header value");
    headers.insert(HeaderName::from_static(name), value);
}
