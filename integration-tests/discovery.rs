//! What clients can find out about models: every operation with its endpoints, prices by their units, and the list in the shape
//! that clients of Anthropic read.

use serde_json::{Value, json};

use crate::support::Answer;
use crate::world::World;

async fn get(world: &World, path: &str, headers: &[(&str, &str)]) -> Answer {
    let bearer = format!("Bearer {}", world.key);
    let headers: Vec<_> = headers.iter().copied().chain([("authorization", bearer.as_str())]).collect();
    world.client.send("GET", path, &headers, "").await
}

async fn world() -> World {
    let world = World::of(&[]).await;
    for (public, upstream, preset) in [
        ("embed/small", "text-embedding-3-small", "openai"),
        ("judge", "omni-moderation-latest", "openai"),
        ("rank", "rerank-v3.5", "cohere"),
        ("talk", "gpt-4o-mini", "openai"),
    ] {
        world.deploy_with(public, upstream, json!({"provider": preset})).await;
    }
    world
}

#[tokio::test]
async fn models_say_what_they_do_where_and_for_how_much() {
    let world = world().await;
    let text = json!(["/v1/chat/completions", "/v1/responses", "/v1/messages"]);
    for (model, operation, endpoints, output, price, amount) in [
        ("embed/small", "embedding.create", json!(["/v1/embeddings"]), "embedding", "prompt", "0.00000002"),
        ("judge", "moderate", json!(["/v1/moderations"]), "text", "prompt", "0"),
        ("rank", "rerank", json!(["/v1/rerank"]), "score", "per_search_unit", "0.002"),
        ("talk", "text.generate", text, "text", "prompt", "0.00000015"),
    ] {
        let found = get(&world, &format!("/v1/models/{model}"), &[]).await.ok();
        assert_eq!(found["operations"], json!([{"id": operation, "endpoints": endpoints}]), "{model}");
        assert_eq!(found["architecture"]["output_modalities"], json!([output]), "{model}");
        assert_eq!(found["pricing"][price], amount, "{model}: {}", found["pricing"]);
        let pool = get(&world, &format!("/v1/models/{model}/deployments"), &[]).await.ok();
        assert_eq!((&pool["data"][0]["status"], pool["data"].as_array().unwrap().len()), (&json!("available"), 1));
    }
}

#[tokio::test]
async fn clients_of_anthropic_read_the_list_page_by_page() {
    let world = world().await;
    let version = [("anthropic-version", "2023-06-01")];
    let ids = |page: &Value| -> Vec<String> {
        page["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
    };
    let first = get(&world, "/v1/models?limit=3", &version).await;
    assert!(first.header("request-id").is_some());
    let first = first.ok();
    assert_eq!(
        (ids(&first), &first["has_more"]),
        (vec!["echo".into(), "embed/small".into(), "judge".into()], &json!(true))
    );
    assert_eq!((&first["first_id"], &first["last_id"]), (&json!("echo"), &json!("judge")));
    let rest = get(&world, "/v1/models?limit=3&after_id=judge", &version).await.ok();
    assert_eq!((ids(&rest), &rest["has_more"]), (vec!["rank".to_owned(), "talk".to_owned()], &json!(false)));
    let one = get(&world, "/v1/models/embed/small", &version).await.ok();
    assert_eq!((&one["type"], &one["display_name"]), (&json!("model"), &json!("embed/small")));
    assert!(one["created_at"].as_str().unwrap().ends_with('Z'));
    let missing = get(&world, "/v1/models/nothing", &version).await;
    assert_eq!((missing.status, &missing.json()["error"]["type"]), (404, &json!("not_found_error")));
    // Without the header it is the list of OpenAI.
    assert_eq!(get(&world, "/v1/models", &[]).await.ok()["object"], "list");
}
