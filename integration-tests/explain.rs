//! The dry run of routing: what it says is what happens, and nothing happens because of it.

use serde_json::{Value, json};

use crate::world::{World, question};

async fn explain(world: &World, body: Value) -> Value {
    world.configure("POST", "/admin/route/explain", &body).await
}

fn verdicts(explained: &Value) -> Vec<&str> {
    let candidates = explained["candidates"].as_array().unwrap().iter();
    candidates.map(|candidate| candidate["verdict"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_route_is_explained_by_what_would_serve_and_what_would_not() {
    let world = World::of(&[]).await;
    let first = world.deploy_with("my/pool", "gpt-a", json!({"priority": 5, "weight": 3})).await;
    let second = world.deploy_with("my/pool", "gpt-b", json!({"priority": 5, "weight": 1})).await;
    let spare = world.deploy_with("my/pool", "gpt-c", json!({})).await;
    let off = world.deploy_with("my/pool", "gpt-d", json!({"enabled": false})).await;
    world.deploy("my/other", "gpt-e").await;
    world.set_chain("my/pool", "general", &["my/other"]).await;
    let explained = explain(&world, json!({"publicModel": "my/pool", "tools": true})).await;
    assert_eq!((&explained["refusal"], &explained["scope"]), (&Value::Null, &json!("allowed")));
    assert_eq!(verdicts(&explained), ["kept", "kept", "kept", "disabled"]);
    let by_id = |id: &str| {
        let mut candidates = explained["candidates"].as_array().unwrap().iter();
        candidates.find(|candidate| candidate["deploymentId"] == id).unwrap()
    };
    assert_eq!((&by_id(&first)["share"], &by_id(&second)["share"]), (&json!(0.75), &json!(0.25)));
    assert_eq!((&by_id(&spare)["position"], &by_id(&spare)["share"]), (&json!(3), &json!(0.0)));
    assert_eq!((&by_id(&off)["position"], &by_id(&off)["lane"]), (&Value::Null, &Value::Null));
    assert_eq!((&by_id(&first)["lane"], &by_id(&first)["transport"]), (&json!("native"), &json!("chat_completions")));
    let chain = &explained["chains"][0];
    assert_eq!((&chain["reason"], &chain["targets"][0]["publicModel"]), (&json!("general"), &json!("my/other")));
    assert_eq!(chain["targets"][0]["candidates"][0]["verdict"], "kept");
    assert!(world.stub.take_requests().is_empty(), "no provider was called");
    assert_eq!(by_id(&first)["standing"]["requestsPerMinute"], 0);
}

#[tokio::test]
async fn what_is_explained_is_what_happens() {
    let world = World::of(&["stub-500", "stub-text"]).await;
    world.configure("PUT", "/admin/router-settings", &json!({"cooldownSeconds": 60, "allowedFails": 0})).await;
    world.once().await;
    assert_eq!(world.ask("my/500").await.status, 502);
    for model in ["my/500", "my/nobody"] {
        let refusal = explain(&world, json!({"publicModel": model})).await["refusal"].clone();
        let answer = world.ask(model).await;
        assert_eq!(refusal["status"], answer.status, "{refusal}");
        assert_eq!(refusal["message"], answer.json()["error"]["message"]);
        assert_eq!(refusal["code"], answer.json()["error"]["code"]);
    }
    let explained = explain(&world, json!({"publicModel": "my/500"})).await;
    assert_eq!(verdicts(&explained), ["cooldown"]);
    assert!(explained["candidates"][0]["waitMs"].as_u64().unwrap() > 50_000);
    world.set_chain("my/500", "general", &["my/text"]).await;
    let explained = explain(&world, json!({"publicModel": "my/500"})).await;
    assert_eq!((&explained["refusal"], &explained["chainServes"]), (&Value::Null, &json!(true)));
    assert_eq!(world.ask("my/500").await.status, 200);
}

#[tokio::test]
async fn scope_limits_and_budget_of_a_key_are_weighed_and_nothing_is_held() {
    let world = World::of(&[]).await;
    let price = json!({"pricing": {"inputCentsPerMTokens": "100", "outputCentsPerMTokens": "200"}});
    world.deploy_with("my/priced", "gpt-a", price).await;
    world.deploy_with("my/free", "gpt-b", json!({})).await;
    let fields = json!({"name": "app", "allowedModels": ["my/priced"], "rpm": 1, "maxBudgetCents": "1"});
    let (id, key) = world.create_key(&fields).await;
    let ask = json!({"publicModel": "my/priced", "keyId": id, "inputTokens": 1_000, "maxOutputTokens": 2_000});
    for _ in 0..3 {
        let explained = explain(&world, ask.clone()).await;
        assert_eq!(explained["refusal"], Value::Null, "{explained}");
        let limit = json!({"name": "rpm", "limit": 1, "used": 0, "needs": 1, "fits": true});
        assert_eq!(explained["limits"], json!([limit]));
        // 1,000 tokens in at 100 and 2,000 out at 200 cents per million.
        assert_eq!((&explained["budget"]["needsCents"], &explained["budget"]["heldCents"]), (&json!(0.5), &json!(0)));
        assert_eq!(explained["candidates"][0]["costCents"], json!(0.5));
    }
    let dear = json!({"publicModel": "my/priced", "keyId": id, "inputTokens": 9_000, "maxOutputTokens": 2_000});
    assert_eq!(explain(&world, dear).await["refusal"]["code"], "insufficient_quota");
    let other = explain(&world, json!({"publicModel": "my/free", "keyId": id})).await;
    assert_eq!((&other["scope"], &other["refusal"]["status"]), (&json!("model_not_allowed"), &json!(403)));
    assert_eq!(world.client.chat(&key, &question("my/priced")).await.status, 200);
    let full = explain(&world, ask).await;
    assert_eq!((&full["limits"][0]["used"], &full["refusal"]["status"]), (&json!(1), &json!(429)));
    let nobody = json!({"publicModel": "my/free", "keyId": "018f0000-0000-7000-8000-000000000000"});
    assert_eq!(world.admin("POST", "/admin/route/explain", &nobody).await.status, 404);
}

#[tokio::test]
async fn fields_that_would_be_lost_and_lanes_are_told_for_every_shape_and_for_whole_bodies() {
    let world = World::of(&[]).await;
    world.deploy("my/chat", "gpt-a").await;
    for contract in ["chat_completions", "responses", "messages"] {
        let shape = json!({"publicModel": "my/chat", "contract": contract, "stream": true, "tools": true, "vision": true,
            "structuredOutputs": true, "reasoning": "low", "maxOutputTokens": 100});
        let explained = explain(&world, shape).await;
        assert_eq!(verdicts(&explained), ["kept"], "{contract}: {explained}");
        let lane = if contract == "chat_completions" { "native" } else { "translated" };
        assert_eq!(explained["candidates"][0]["lane"], lane);
    }
    let claude = json!({"provider": "anthropic", "credentials": {"apiKey": "sk-stub"}});
    world.deploy_with("my/messages", "claude-fable-5", claude).await;
    let parameters = json!({"publicModel": "my/messages", "parameters": {"logit_bias": {"50256": -100}}});
    let explained = explain(&world, parameters).await;
    assert_eq!(explained["candidates"][0]["dropped"], json!(["logit_bias"]), "{explained}");
    let picture = json!([{"type": "image", "source": {"type": "url", "url": "https://pictures.example/cat.png"}}]);
    let body = json!({"model": "my/chat", "max_tokens": 9, "messages": [{"role": "user", "content": picture}]});
    let explained = explain(&world, json!({"contract": "messages", "body": body})).await;
    assert_eq!(verdicts(&explained), ["kept"], "{explained}");
    for (bad, param) in [
        (json!({"publicModel": "my/chat", "contract": "smoke_signals"}), "contract"),
        (json!({"publicModel": "my/chat", "reasoning": "wild"}), "reasoning"),
        (json!({"publicModel": "my/chat", "operation": "rerank"}), "operation"),
        (json!({"publicModel": "my/chat", "body": {}}), "body"),
    ] {
        let answer = world.admin("POST", "/admin/route/explain", &bad).await;
        answer.assert_error(400, "invalid_request_error", None, Some(param));
    }
}

#[tokio::test]
async fn who_keeps_the_breakpoints_of_a_prompts_cache_comes_first_in_its_tier_and_no_higher() {
    let world = World::of(&[]).await;
    let claude = |priority: i32| json!({"provider": "anthropic", "credentials": {"apiKey": "sk-stub"}, "priority": priority, "weight": 1});
    let keeper = world.deploy_with("my/pool", "claude-fable-5", claude(1)).await;
    world.deploy_with("my/pool", "gpt-a", json!({"priority": 1, "weight": 1000})).await;
    let text = |cache: bool| {
        let mut part = json!({"type": "text", "text": "a long prompt"});
        if cache {
            part["cache_control"] = json!({"type": "ephemeral"});
        }
        let turns = json!([{"role": "user", "content": [part]}]);
        json!({"contract": "messages", "body": {"model": "my/pool", "max_tokens": 9, "messages": turns}})
    };
    for _ in 0..8 {
        let explained = explain(&world, text(true)).await;
        assert_eq!(explained["candidates"][0]["deploymentId"], json!(keeper), "{explained}");
        assert_eq!((&explained["pinnedBy"], &explained["candidates"][0]["dropped"]), (&json!("content"), &json!([])));
    }
    assert_eq!(explain(&world, text(false)).await["pinnedBy"], Value::Null);
    // What the operator puts above stays above.
    let above = world.deploy_with("my/pool", "gpt-b", json!({"priority": 2})).await;
    let explained = explain(&world, text(true)).await;
    assert_eq!(explained["candidates"][0]["deploymentId"], json!(above), "{explained}");
    assert_eq!(explained["candidates"][0]["dropped"], json!(["cache_control"]));
}
