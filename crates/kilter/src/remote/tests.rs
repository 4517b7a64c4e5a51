//! What a way out does where its remote is of another version.

use super::*;

#[derive(Debug)]
struct Nowhere;

impl Keep for Nowhere {
    fn load(&self) -> Result<Option<token::Kept>, String> {
        Ok(None)
    }

    fn keep(&self, _: &token::Kept) -> Result<(), String> {
        Err("nowhere".to_owned())
    }
}

#[tokio::test]
async fn another_version_stops_reads_and_writes() {
    let base = fake::serve(|request| {
        let version = if request.contains("/old") { "2025-10" } else { "2026-10" };
        let status = if request.contains("/bare") { 503 } else { 200 };
        (status, format!("X-Version: {version}\r\n"), "{}".to_owned())
    })
    .await;
    let text = "expect = { header = \"x-version\", value = \"2026-10\" }\n";
    let (config, connector) = fake::house(text, &[("url", &base)]);
    let remote = Remote::new(&config.connections["x"], &connector, 1000, Arc::new(Nowhere));
    let remote = remote.unwrap();
    let send = async |path: &str| {
        let request = Request {
            method: "GET".to_owned(),
            path: path.to_owned(),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
            document: None,
        };
        remote.send(&connector, &request, &BTreeMap::new()).await
    };
    assert!(send("/new").await.is_ok());
    let fault = send("/old").await.unwrap_err();
    assert_eq!(fault.text, "answered by version 2025-10, written for 2026-10");
    assert!(fault.kind == FaultKind::Rejected && !fault.proves_not_applied());
    let fault = send("/new").await.unwrap_err();
    assert!(fault.unsent && fault.kind == FaultKind::Unavailable, "{fault}");
    assert!(fault.retry_after.is_some_and(|s| (590..=601).contains(&s)));
    assert_eq!(remote.calls.load(Ordering::Relaxed), 2);
}
