//! Records that are like those of a busy gateway, for programs that measure what it costs to store them.

use unified_gateway::domain::record::{OperationRecord, RECORD_VERSION};
use unified_gateway::time::{Clock, SystemClock};

/// The next record of now, of one of 50 keys, 20 models and 60 deployments.
///
/// # Errors
/// A clock before 1970.
pub(crate) fn made(count: &mut u32) -> Result<OperationRecord, std::num::TryFromIntError> {
    *count += 1;
    let at = SystemClock.now().unix_ms();
    let mut dice = [0; 10];
    dice.iter_mut().zip(count.to_be_bytes()).for_each(|(to, from)| *to = from);
    dice[4] = u8::try_from(at % 251)?;
    let id = uuid::Builder::from_unix_timestamp_millis(u64::try_from(at)?, &dice).into_uuid();
    Ok(OperationRecord {
        version: RECORD_VERSION,
        id: id.to_string(),
        request_id: format!("req_{id}"),
        key_id: Some(format!("00000000-0000-7000-8000-{:012x}", *count % 50)),
        public_model: format!("model-{}", *count % 20),
        deployment_id: Some(format!("00000000-0000-7000-9000-{:012x}", *count % 60)),
        provider: Some("openai".to_owned()),
        operation: "text.generate".to_owned(),
        contract: "chat_completions".to_owned(),
        outcome: "success".to_owned(),
        http_status: 200,
        input_tokens: 1000,
        output_tokens: 100,
        cost: Some(1_000_000),
        upstream_cost: Some(1_000_000),
        started_at: at,
        duration_ms: 2000,
        ..OperationRecord::default()
    })
}
