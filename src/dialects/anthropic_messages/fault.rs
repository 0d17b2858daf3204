//! Errors in the Anthropic envelope: `{"type":"error","error":{"type","message"}}`.

use bytes::Bytes;

use crate::dialects::out;
use crate::fault::Fault;

/// The envelope of a fault, as a JSON document.
#[must_use]
pub fn write_fault(fault: &Fault, request_id: Option<&str>) -> Bytes {
    let row = fault.kind().row();
    let json = out::object(|out| {
        out.text("type", "error").object("error", |error| {
            error.text("type", row.anthropic_type).text("message", fault.message());
        });
        out.text_if("request_id", request_id);
    });
    json.into()
}

/// The error event of a stream that has begun.
#[must_use]
pub fn write_fault_event(fault: &Fault) -> Bytes {
    let json = write_fault(fault, None);
    let mut event = Vec::with_capacity(json.len() + 24);
    event.extend_from_slice(b"event: error\ndata: ");
    event.extend_from_slice(&json);
    event.extend_from_slice(b"\n\n");
    event.into()
}
