//! Rerankings and moderations from end to end: hosts, paths of other clients, prices by search unit, and answers that are
//! not to be believed.

use serde_json::{Value, json};

use crate::world::World;

fn question(model: &str) -> Value {
    json!({"model": model, "query": "which is longest?", "documents": ["a", "the longest", "middle"], "top_n": 2})
}

#[tokio::test]
async fn documents_are_ranked_by_every_host_at_every_path() {
    let world = World::of(&[]).await;
    for (public, upstream, preset, path) in [
        ("cohere", "rerank-v3.5", "cohere", "/v2/rerank"),
        ("jina", "stub-rank-tokens", "jina", "/v1/rerank"),
        ("voyage", "stub-rank-data", "voyage", "/v1/rerank"),
        ("openrouter", "cohere/rerank-v3.5", "openrouter", "/v1/rerank"),
        ("vllm", "stub-rank-tokens", "vllm", "/v1/rerank"),
    ] {
        world.deploy_with(public, upstream, json!({"provider": preset})).await;
        for own in ["/v1/rerank", "/v2/rerank", "/rerank"] {
            let answer = world.post_as(own, &world.key, &question(public)).await.ok();
            let results = json!([{"index": 1, "relevance_score": 0.9}, {"index": 2, "relevance_score": 0.8}]);
            assert_eq!((&answer["results"], &answer["model"]), (&results, &json!(public)));
        }
        let sent = world.stub.take_requests();
        assert!(sent.iter().all(|request| request.path == path), "{public}: {}", sent[0].path);
        let top = if public == "voyage" { "top_k" } else { "top_n" };
        assert_eq!(sent[0].json()[top], 2, "{public}");
    }
    let mut body = question("cohere");
    body["return_documents"] = json!(true);
    let answer = world.post_as("/v1/rerank", &world.key, &body).await.ok();
    assert_eq!(answer["results"][0]["document"], json!({"text": "the longest"}));
    assert_eq!(answer["meta"]["billed_units"], json!({"search_units": 1}));
}

#[tokio::test]
async fn searches_are_priced_by_the_unit() {
    let world = World::of(&[]).await;
    world.deploy_with("cohere", "rerank-v3.5", json!({"provider": "cohere"})).await;
    world.deploy("unpriced", "stub-rank").await;
    let (id, key) = world.create_key(&json!({"name": "a", "maxBudgetCents": "0.3"})).await;
    world.post_as("/v1/rerank", &key, &question("cohere")).await.ok();
    let usage = world.configure("GET", &format!("/admin/keys/{id}/usage"), &Value::Null).await;
    assert_eq!(usage["spendCents"], "0.2");
    // A second one does not fit into what is left.
    let answer = world.post_as("/v1/rerank", &key, &question("cohere")).await;
    answer.assert_error(429, "rate_limit_error", Some("insufficient_quota"), None);
    let answer = world.post_as("/v1/rerank", &key, &question("unpriced")).await;
    answer.assert_error(400, "invalid_request_error", None, Some("model"));
}

#[tokio::test]
async fn results_that_cannot_be_are_a_failure_of_the_provider() {
    let world = World::of(&["stub-rank-twice", "stub-rank-far"]).await;
    for model in ["my/rank-twice", "my/rank-far"] {
        let answer = world.post_as("/v1/rerank", &world.key, &question(model)).await;
        answer.assert_error(502, "server_error", Some("upstream_error"), None);
    }
    let answer = world.post_as("/v1/rerank", &world.key, &json!({"model": "my/rank-far", "query": "q"})).await;
    answer.assert_error(400, "invalid_request_error", None, Some("documents"));
}

#[tokio::test]
async fn content_is_judged() {
    let world = World::of(&[]).await;
    world.deploy_with("omni-moderation-latest", "omni-moderation-latest", json!({"provider": "openai"})).await;
    world.deploy_with("mistral", "mistral-moderation-2603", json!({"provider": "mistral"})).await;
    let answer = world.post_as("/v1/moderations", &world.key, &json!({"input": ["fine", "harm"]})).await.ok();
    assert_eq!((&answer["results"][0]["flagged"], &answer["results"][1]["flagged"]), (&json!(false), &json!(true)));
    assert_eq!(answer["model"], "omni-moderation-latest");
    let body = json!({"model": "mistral", "input": [{"type": "text", "text": "harm"}]});
    let answer = world.post_as("/v1/moderations", &world.key, &body).await.ok();
    assert_eq!(answer["results"][0]["categories"]["violence"], true);
    let (_, budgeted) = world.create_key(&json!({"name": "b", "maxBudgetCents": "1"})).await;
    world.post_as("/v1/moderations", &budgeted, &json!({"input": "fine"})).await.ok();
}
