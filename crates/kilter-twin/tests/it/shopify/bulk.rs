//! Bulk jobs and staged uploads.

use serde_json::{Value, json};

use crate::shopify::support::{Shop, shop};

async fn finished(shop: &Shop, id: &Value) -> Value {
    let query = "query($id: ID!) { bulkOperation(id: $id) { status errorCode objectCount
        rootObjectCount url partialDataUrl type } }";
    for _ in 0..200 {
        let data = shop.ask(query, json!({ "id": id })).await;
        let status = data["bulkOperation"]["status"].as_str().unwrap_or("").to_owned();
        if !["CREATED", "RUNNING", "CANCELING"].contains(&status.as_str()) {
            return data["bulkOperation"].clone();
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the job does not end");
}

async fn lines(shop: &Shop, url: &Value) -> Vec<Value> {
    let answer = shop.http.get(url.as_str().expect("an address")).send().await.expect("an answer");
    let text = answer.text().await.expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

const RUN: &str =
    "mutation($q: String!, $g: Boolean!) { bulkOperationRunQuery(query: $q, groupObjects: $g) {
    bulkOperation { id status } userErrors { field message code } } }";
const PRODUCTS: &str =
    "{ products { edges { node { id title variants { edges { node { id sku } } } } } } }";

#[tokio::test]
async fn a_query_is_read_to_its_end_parents_first() {
    let shop = shop(&[]).await;
    shop.product("A", &[("S-1", "1", 0), ("S-2", "1", 0)]).await;
    shop.product("B", &[("S-3", "1", 0)]).await;
    let done = shop.run(RUN, json!({ "q": PRODUCTS, "g": false })).await;
    assert_eq!(done["userErrors"], json!([]));
    let job = finished(&shop, &done["bulkOperation"]["id"]).await;
    assert_eq!(
        (&job["status"], &job["objectCount"], &job["rootObjectCount"]),
        (&json!("COMPLETED"), &json!("5"), &json!("2"))
    );
    let lines = lines(&shop, &job["url"]).await;
    assert_eq!(lines[0]["title"], "A");
    assert_eq!(lines[1]["title"], "B");
    assert_eq!(lines[2]["__parentId"], lines[0]["id"]);
    assert!(lines[0].get("variants").is_none());
    let none = "{ customers { edges { node { id } } } }";
    let done = shop.run(RUN, json!({ "q": none, "g": false })).await;
    let job = finished(&shop, &done["bulkOperation"]["id"]).await;
    assert!(job["url"].is_null(), "no file for no objects");
}

#[tokio::test]
async fn a_query_must_have_a_connection_and_five_run_at_once() {
    let shop = shop(&[("job_seconds", "5")]).await;
    let done = shop.run(RUN, json!({ "q": "{ shop { name } }", "g": false })).await;
    assert_eq!(done["userErrors"][0]["code"], "INVALID");
    for _ in 0..5 {
        let done = shop.run(RUN, json!({ "q": PRODUCTS, "g": false })).await;
        assert_eq!(done["userErrors"], json!([]));
    }
    let done = shop.run(RUN, json!({ "q": PRODUCTS, "g": false })).await;
    assert_eq!(done["userErrors"][0]["code"], "OPERATION_IN_PROGRESS");
    let data = shop.ask("{ currentBulkOperation(type: QUERY) { id } }", json!({})).await;
    let id = data["currentBulkOperation"]["id"].clone();
    let cancel = "mutation($id: ID!) { bulkOperationCancel(id: $id) { bulkOperation { status } userErrors { message } } }";
    let done = shop.run(cancel, json!({ "id": id })).await;
    assert_eq!(done["bulkOperation"]["status"], "CANCELING");
    assert_eq!(finished(&shop, &id).await["status"], "CANCELED");
}

#[tokio::test]
async fn a_job_that_fails_leaves_partial_data() {
    let shop = shop(&[]).await;
    for n in 0..4 {
        shop.product(&format!("P{n}"), &[(&format!("S-{n}"), "1", 0)]).await;
    }
    shop.act("faults", json!({ "bulk_fail_next": 1 })).await;
    let done = shop.run(RUN, json!({ "q": PRODUCTS, "g": true })).await;
    let job = finished(&shop, &done["bulkOperation"]["id"]).await;
    assert_eq!(
        (&job["status"], &job["errorCode"]),
        (&json!("FAILED"), &json!("INTERNAL_SERVER_ERROR"))
    );
    assert!(job["url"].is_null());
    assert_eq!(lines(&shop, &job["partialDataUrl"]).await.len(), 4);
}

#[tokio::test]
async fn a_mutation_runs_for_each_line_of_an_uploaded_file_and_costs_nothing() {
    let shop = shop(&[]).await;
    let stage = "mutation { stagedUploadsCreate(input: [{ resource: BULK_MUTATION_VARIABLES,
        filename: \"a.jsonl\", mimeType: \"text/jsonl\", httpMethod: POST }]) {
        stagedTargets { url resourceUrl parameters { name value } } userErrors { message } } }";
    let target = shop.run(stage, json!({})).await["stagedTargets"][0].clone();
    let mut body = String::new();
    let mut key = String::new();
    for parameter in target["parameters"].as_array().expect("some") {
        let (name, value) =
            (parameter["name"].as_str().unwrap_or(""), parameter["value"].as_str().unwrap_or(""));
        if name == "key" {
            key = value.to_owned();
        }
        body.push_str(&format!(
            "--X\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        ));
    }
    let rows = "{\"input\":{\"title\":\"One\"}}\n{\"input\":{\"title\":\"\"}}\n";
    body.push_str(&format!(
        "--X\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\r\n{rows}\r\n--X--\r\n"
    ));
    let url = target["url"].as_str().expect("an address");
    let sent =
        shop.http.post(url).header("Content-Type", "multipart/form-data; boundary=X").body(body);
    assert_eq!(sent.send().await.expect("an answer").status().as_u16(), 201);
    let run = "mutation($m: String!, $p: String!) { bulkOperationRunMutation(mutation: $m, stagedUploadPath: $p,
        clientIdentifier: \"0123456789\") { bulkOperation { id } userErrors { code } } }";
    let mutation = "mutation call($input: ProductSetInput!) { productSet(input: $input) {
        product { id title } userErrors { code } } }";
    let gone = shop.run(run, json!({ "m": mutation, "p": "nowhere" })).await;
    assert_eq!(gone["userErrors"][0]["code"], "NO_SUCH_FILE");
    let done = shop.run(run, json!({ "m": mutation, "p": key })).await;
    let job = finished(&shop, &done["bulkOperation"]["id"]).await;
    let lines = lines(&shop, &job["url"]).await;
    assert_eq!(lines[0]["data"]["productSet"]["product"]["title"], "One");
    assert_eq!(lines[1]["data"]["productSet"]["userErrors"][0]["code"], "MISSING_FIELD_REQUIRED");
    assert_eq!(lines[1]["__lineNumber"], 1);
}
