//! Tokens, versions, errors of a query, cost and throttling.

use serde_json::json;

use crate::shopify::support::{TOKEN, shop};

#[tokio::test]
async fn a_token_comes_of_client_credentials_and_ends() {
    let shop = shop(&[("token_seconds", "2")]).await;
    let path = "/admin/oauth/access_token";
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let body = "client_id=twin_client&client_secret=hush&grant_type=client_credentials";
    let (status, _, given) = shop.post(path, &form, body.to_owned()).await;
    assert_eq!((status, &given["expires_in"]), (200, &json!(2)));
    let token = given["access_token"].as_str().expect("a token").to_owned();
    let call = |token: String| {
        let headers = [("X-Shopify-Access-Token".to_owned(), token)];
        let shop = &shop;
        async move {
            let headers: Vec<(&str, &str)> =
                headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let body = json!({ "query": "{ shop { name } }" }).to_string();
            shop.post("/admin/api/2026-10/graphql.json", &headers, body).await
        }
    };
    assert_eq!(call(token.clone()).await.2["data"]["shop"]["name"], "twin");
    tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
    let (status, _, refused) = call(token).await;
    assert_eq!(status, 401);
    assert_eq!(
        refused["errors"],
        "[API] Invalid API key or access token (unrecognized login or wrong password)"
    );
    let (status, ..) = shop.post(path, &form, body.replace("hush", "hash")).await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn a_refresh_token_rotates_and_the_last_one_lives_until_the_new_one_is_used() {
    let shop = shop(&[]).await;
    let first = shop.act("tokens", json!({})).await;
    assert_eq!(first["expires_in"], 3600);
    let refresh = |token: String| {
        let body = format!(
            "client_id=twin_client&client_secret=hush&grant_type=refresh_token&refresh_token={token}"
        );
        let shop = &shop;
        async move {
            let form = [("Content-Type", "application/x-www-form-urlencoded")];
            shop.post("/admin/oauth/access_token", &form, body).await
        }
    };
    let old = first["refresh_token"].as_str().expect("one").to_owned();
    let (_, _, lost) = refresh(old.clone()).await;
    let (status, _, again) = refresh(old.clone()).await;
    assert_eq!(status, 200, "the reply was lost: the old one still counts");
    assert_ne!(lost["refresh_token"], again["refresh_token"]);
    let new = again["refresh_token"].as_str().expect("one").to_owned();
    assert_eq!(refresh(new).await.0, 200);
    assert_eq!(refresh(old).await.0, 400, "the new one was used");
}

#[tokio::test]
async fn an_expired_version_falls_forward_and_says_so() {
    let shop = shop(&[]).await;
    let body = json!({ "query": "{ shop { id } }" }).to_string();
    for (asked, answered) in [("2024-01", "2026-01"), ("2026-07", "2026-07")] {
        let path = format!("/admin/api/{asked}/graphql.json");
        let headers = [("X-Shopify-Access-Token", TOKEN)];
        let (status, headers, _) = shop.post(&path, &headers, body.clone()).await;
        assert_eq!(status, 200);
        assert_eq!(headers["x-shopify-api-version"], answered);
    }
}

#[tokio::test]
async fn an_unknown_field_and_a_wrong_type_are_errors() {
    let shop = shop(&[]).await;
    let reply = shop.raw("{ products(first: 1) { nodes { colour } } }", json!({})).await;
    assert_eq!(reply["errors"][0]["extensions"]["code"], "undefinedField");
    assert_eq!(reply["errors"][0]["extensions"]["typeName"], "Product");
    assert!(reply.get("data").is_none());
    let query = "query($n: Int!) { products(first: $n) { nodes { id } } }";
    let reply = shop.raw(query, json!({ "n": "many" })).await;
    assert!(reply["errors"][0]["message"].is_string());
    let reply = shop.raw("{ products(first: 251) { nodes { id } } }", json!({})).await;
    assert_eq!(reply["errors"][0]["extensions"]["code"], "BAD_REQUEST");
}

#[tokio::test]
async fn cost_is_reckoned_as_it_was_observed() {
    let shop = shop(&[]).await;
    let query = "query($id: ID!) { product(id: $id) { variants(first: 250) { nodes {
        inventoryItem { id tracked } } } } }";
    let reply = shop.raw(query, json!({ "id": "gid://shopify/Product/1" })).await;
    let cost = &reply["extensions"]["cost"];
    assert_eq!(cost["requestedQueryCost"], 25);
    assert_eq!(cost["actualQueryCost"], 0, "nothing was there");
    assert_eq!(cost["throttleStatus"]["maximumAvailable"].to_string(), "2000.0");
    assert_eq!(cost["throttleStatus"]["restoreRate"].to_string(), "100.0");
}

#[tokio::test]
async fn a_query_may_cost_a_thousand() {
    let shop = shop(&[("cost", "linear")]).await;
    let query = "{ products(first: 250) { nodes { id variants(first: 10) { nodes { id } } } } }";
    let reply = shop.raw(query, json!({})).await;
    assert_eq!(reply["errors"][0]["extensions"]["code"], "MAX_COST_EXCEEDED");
    assert_eq!(reply["errors"][0]["extensions"]["maxCost"], 1000);
    assert!(reply.get("extensions").is_none());
}

#[tokio::test]
async fn throttled_is_a_200_without_a_word_of_when() {
    let shop = shop(&[("plan", "advanced")]).await;
    shop.act("bucket/drain", json!({})).await;
    let body = json!({ "query": "{ products(first: 250) { nodes { id } } }" }).to_string();
    let headers = [("X-Shopify-Access-Token", TOKEN)];
    let (status, headers, reply) =
        shop.post("/admin/api/2026-10/graphql.json", &headers, body).await;
    assert_eq!(status, 200);
    assert!(!headers.contains_key("retry-after"));
    assert_eq!(reply["errors"][0]["extensions"]["code"], "THROTTLED");
    assert!(reply.get("data").is_none());
    let cost = &reply["extensions"]["cost"];
    assert!(cost["actualQueryCost"].is_null());
    assert_eq!(cost["throttleStatus"]["maximumAvailable"].to_string(), "4000.0");
    let wait = cost["requestedQueryCost"].as_i64().expect("points")
        - cost["throttleStatus"]["currentlyAvailable"].as_i64().expect("points");
    let wait = std::time::Duration::from_millis(u64::try_from(wait * 1000 / 200 + 30).expect("ms"));
    tokio::time::sleep(wait).await;
    shop.ask("{ products(first: 250) { nodes { id } } }", json!({})).await;
    let calls = shop.office("calls").await;
    assert_eq!(calls["throttled"], 1);
    assert_eq!(calls["routes"]["QUERY products"]["kind"], "read");
}

#[tokio::test]
async fn faults_come_as_asked_for() {
    let shop = shop(&[]).await;
    shop.act("faults", json!({ "throttle_next": 1, "internal_next": 1 })).await;
    let query = "{ shop { name } }";
    let first = shop.raw(query, json!({})).await;
    assert_eq!(first["errors"][0]["extensions"]["code"], "THROTTLED");
    let second = shop.raw(query, json!({})).await;
    assert_eq!(second["errors"][0]["extensions"]["code"], "INTERNAL_SERVER_ERROR");
    shop.act("faults", json!({ "fail_next": 1, "status": 502 })).await;
    let headers = [("X-Shopify-Access-Token", TOKEN)];
    let body = json!({ "query": query }).to_string();
    let (status, ..) = shop.post("/admin/api/2026-10/graphql.json", &headers, body).await;
    assert_eq!(status, 502);
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    shop.act("faults", json!({ "deny": ["Shop.name"] })).await;
    let reply = shop.raw("{ shop { id } products(first: 1) { nodes { id } } }", json!({})).await;
    assert!(reply.get("errors").is_none());
    shop.act("faults", json!({ "deny": ["Product.vendor", "QueryRoot.customers"] })).await;
    let reply = shop.raw("{ customers(first: 1) { nodes { id } } }", json!({})).await;
    assert_eq!(reply["errors"][0]["extensions"]["code"], "ACCESS_DENIED");
    assert_eq!(reply["errors"][0]["path"], json!(["customers"]));
}

#[tokio::test]
async fn a_reply_that_is_lost_was_work_that_was_done() {
    let shop = shop(&[]).await;
    shop.act("faults", json!({ "reset_after_next": 1 })).await;
    let mutation =
        "mutation { customerCreate(input: { email: \"a@example.com\" }) { customer { id } } }";
    let body = json!({ "query": mutation }).to_string();
    let url = format!("{}/admin/api/2026-10/graphql.json", shop.twin.url());
    let sent = shop.http.post(url).header("X-Shopify-Access-Token", TOKEN).body(body).send().await;
    assert!(sent.is_err(), "the connection broke");
    let data = shop.ask("{ customersCount { count } }", json!({})).await;
    assert_eq!(data["customersCount"]["count"], 1);
}

#[tokio::test]
async fn a_scope_that_was_not_given_denies_one_field_and_answers_the_rest() {
    let shop = shop(&[("scopes", "write_products")]).await;
    let query = "{ product(id: \"gid://shopify/Product/1\") { id }
        customer(id: \"gid://shopify/Customer/1\") { id } shop { name } }";
    let reply = shop.raw(query, json!({})).await;
    assert_eq!(reply["data"]["shop"]["name"], "twin");
    assert!(reply["data"]["customer"].is_null());
    assert_eq!(reply["errors"].as_array().map(Vec::len), Some(1), "to write is to read");
    assert_eq!(reply["errors"][0]["extensions"]["code"], "ACCESS_DENIED");
    assert_eq!(reply["errors"][0]["path"], json!(["customer"]));
}

#[tokio::test]
async fn tokens_are_revoked_from_the_back_office() {
    let shop = shop(&[]).await;
    shop.act("tokens/revoke", json!({ "static": true })).await;
    let headers = [("X-Shopify-Access-Token", TOKEN)];
    let body = json!({ "query": "{ shop { id } }" }).to_string();
    let (status, ..) = shop.post("/admin/api/2026-10/graphql.json", &headers, body).await;
    assert_eq!(status, 401);
}
