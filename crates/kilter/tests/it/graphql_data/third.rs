//! A third shop beside the rig's two, that speaks GraphQL, and what a test asks and does there.
//!
//! Reads   its twin's back office; Kilter's database, read only.   Writes  as its client, its staff or a person would.
//! Never   waits longer than it says.

use std::collections::BTreeMap;

use kilter_twin::{Options, Running};
use serde_json::{Value, json};

use crate::support::Rig;

/// The kind of shop: its headers bear its name.
const KIND: &str = "shopify"; // tidy: names

/// Where the ERP is told which of its databases is meant.
const DATABASE: &str = "x-odoo-database"; // tidy: names

const TABLE: &str = r#"
[connection.plus]
connector = "{kind}"
url = "{url}"
token = "shpat_twin"
client_secret = "hush"
locale = "en_US"
currency = "USD"
price_list = "retail-usd"
locations = { main = "{main}" }
"#;

pub struct Third<'r> {
    pub rig: &'r Rig,
    pub twin: Running,
}

impl<'r> Third<'r> {
    /// The twin, and its connection in the rig's config with `more` behind it.
    pub async fn join(rig: &'r Rig, settings: &[(&str, &str)], more: &str) -> Self {
        let usual = [("plan", "plus"), ("currency", "USD"), ("locations", "main")];
        // Else a change would be found by a poll a second later only.
        let usual = usual.into_iter().chain([("search_lag_seconds", "0")]);
        let settings: BTreeMap<String, String> = usual
            .chain(settings.iter().copied())
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect();
        let options = Options { port: None, seed: 7, settings };
        let twin = kilter_twin::start(KIND, options).await.unwrap();
        let state = rig.get(&format!("{}/_twin/state", twin.url())).await;
        let text = std::fs::read_to_string(rig.toml()).unwrap();
        let main = state["locations"][0]["gid"].as_str().unwrap();
        let table = TABLE.replace("{kind}", KIND).replace("{url}", &twin.url());
        std::fs::write(rig.toml(), text + &table.replace("{main}", main) + more).unwrap();
        Self { rig, twin }
    }

    pub async fn state(&self) -> Value {
        self.rig.get(&format!("{}/_twin/state", self.twin.url())).await
    }

    /// Rows of the twin's state, those that hold.
    pub async fn rows(&self, kind: &str, holds: impl Fn(&Value) -> bool) -> Vec<Value> {
        let state = self.state().await;
        state[kind].as_array().unwrap().iter().filter(|row| holds(row)).cloned().collect()
    }

    pub async fn office(&self, page: &str, body: &Value) -> Value {
        self.rig.post(&format!("{}/_twin/{page}", self.twin.url()), body).await
    }

    /// As another client of the shop would.
    pub async fn ask(&self, query: &str, variables: Value) -> Value {
        let url = format!("{}/admin/api/2026-10/graphql.json", self.twin.url());
        let request =
            self.rig.http.post(url).header(format!("x-{KIND}-access-token"), "shpat_twin");
        let body = json!({ "query": query, "variables": variables });
        let request = request.header("content-type", "application/json").body(body.to_string());
        let text = request.send().await.unwrap().text().await.unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert!(answer.get("errors").is_none(), "{answer}");
        answer["data"].clone()
    }
}

pub async fn sync(rig: &Rig) {
    let (code, told) = rig.run(&["sync"]).await;
    assert_eq!(code, 0, "{told}");
}

/// Nothing is left to do.
pub async fn at_rest(rig: &Rig) {
    let (code, told) = rig.run(&["plan"]).await;
    assert_eq!(code, 0, "the plan is not empty:\n{told}");
}

/// One column of what a query finds in Kilter's database.
pub fn found(rig: &Rig, sql: &str) -> Vec<String> {
    let database = rusqlite::Connection::open(rig.database()).unwrap();
    let mut query = database.prepare(sql).unwrap();
    let rows = query.query_map([], |row| row.get::<_, Option<String>>(0)).unwrap();
    rows.map(|row| row.unwrap().unwrap_or_default()).collect()
}

/// Replaces a part of the rig's config.
pub fn reconfigure(rig: &Rig, from: &str, to: &str) {
    let text = std::fs::read_to_string(rig.toml()).unwrap();
    assert!(text.contains(from), "{from} stands in the config");
    std::fs::write(rig.toml(), text.replace(from, to)).unwrap();
}

/// A call of the ERP's own API.
pub async fn erp(rig: &Rig, path: &str, body: &Value) -> Value {
    let url = format!("{}/json/2/{path}", rig.erp.url());
    let request = rig.http.post(url).header("authorization", "bearer test-key");
    let request = request.header(DATABASE, "erp").header("content-type", "application/json");
    let text = request.body(body.to_string()).send().await.unwrap().text().await.unwrap();
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}: {text}"))
}
