//! The response cache, for its operator.

use std::time::Duration;

use bytes::Bytes;

use super::support::{GRPC, World};
use crate::cache::{Entry, Generation, Place, Scope};
use crate::domain::ids::VirtualKeyId;
use crate::domain::operation::Operation;

#[tokio::test]
async fn an_invalidation_says_how_many_answers_are_gone_and_leaves_a_trace_but_no_revision() {
    let world = World::new().await;
    world.deploy("a").await;
    let revision = world.revision().await;
    let key = VirtualKeyId::from_uuid(uuid::Uuid::from_u128(7));
    for number in 0..3 {
        let place = Place { digest: [number; 32], operation: Operation::TextGenerate, key };
        let entry = Entry { body: Bytes::from_static(b"{}"), model: "a".to_owned(), dropped: Vec::new() };
        world.parts.cache.put(&place, entry, Duration::from_secs(60), Generation(0)).await;
    }
    let scope = Scope { operation: None, key: Some(key) };
    assert_eq!(world.control.cache.invalidate(&GRPC, scope).await.unwrap(), 3);
    assert_eq!(world.control.cache.invalidate(&GRPC, scope).await.unwrap(), 0);
    assert_eq!(world.revision().await, revision);
    let entries = world.parts.stores.audit.list(Some("response_cache"), 10).await.unwrap();
    let traces: Vec<_> = entries.iter().filter_map(|entry| entry.after.as_deref()).collect();
    let trace = format!(r#"{{"operation":null,"virtualKeyId":"{key}","removed":3}}"#);
    assert!(entries.len() == 2 && traces.contains(&trace.as_str()), "{traces:?}");
}
