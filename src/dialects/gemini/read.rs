//! Whole answers: the same shape as the one event of a stream that says everything.

use super::fault;
use super::stream::ChunkReader;
use crate::canonical::text::{Collector, Reply};
use crate::dialects::native::ReplyError;
use crate::dialects::node::Node;

/// Reads a whole answer. A list holds the events of a stream that was not asked for as one.
///
/// # Errors
/// [`ReplyError`].
pub fn read_reply(body: &[u8]) -> Result<Reply, ReplyError> {
    let text = std::str::from_utf8(body).map_err(|_| ReplyError::Malformed("it is not UTF-8"))?;
    let json = serde_json::from_str::<&serde_json::value::RawValue>(text);
    let json = json.map_err(|_| ReplyError::Malformed("it is not JSON"))?;
    let root = Node::root(json.get());
    if let Some(error) = fault::find(&root) {
        return Err(ReplyError::Provider(Box::new(fault::read_error_value(&error))));
    }
    let events = if root.is_list() { root.list().unwrap_or_default() } else { vec![root] };
    let mut reader = ChunkReader::default();
    let mut collector = Collector::default();
    let mut deltas = Vec::new();
    for event in &events {
        reader.take(event, &mut deltas)?;
    }
    if !reader.has_candidate() {
        return Err(ReplyError::Malformed("there is no candidate"));
    }
    // What no finish reason has ended.
    reader.end(&mut deltas);
    deltas.iter().for_each(|delta| collector.take(delta));
    Ok(collector.finish())
}
