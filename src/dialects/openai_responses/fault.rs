//! Errors inside a stream: the `error` event. Whole answers have the envelope of Chat Completions.

use bytes::Bytes;

use crate::dialects::out;
use crate::fault::Fault;

/// The error event of a stream of which no response was written yet.
#[must_use]
pub fn write_fault_event(fault: &Fault, sequence_number: u64) -> Bytes {
    let json = out::object(|out| {
        out.text("type", "error").text("code", code_of(fault)).text("message", fault.message());
        out.text_or_null("param", fault.at()).number("sequence_number", sequence_number);
    });
    format!("event: error\ndata: {json}\n\n").into()
}

/// The code of a fault; every error of this wire has one.
#[must_use]
pub fn code_of(fault: &Fault) -> &'static str {
    fault.error_code().unwrap_or(fault.kind().row().openai_type)
}
