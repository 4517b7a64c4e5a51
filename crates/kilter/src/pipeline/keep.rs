//! Keep up: a loop that ended by a mistake is told, and begins again. Others never notice.
//!
//! Reads   how a loop ended.   Writes  a fault, for people.
//! Never   lets one connection's mistake end another's work; never begins again at once.

use std::sync::Arc;
use std::time::Duration;

use kilter_core::model::{Fault, FaultKind};
use tokio::task::{JoinError, JoinSet};

use crate::engine::{Engine, now};
use crate::pipeline::schedule::chain;
use crate::store::Result;

/// After this it begins again.
const AGAIN: Duration = Duration::from_secs(2);

/// Runs a loop for ever: `work` makes it anew each time it ended with an error, or in a panic.
pub async fn up<F, Done>(engine: Arc<Engine>, connection: String, what: &'static str, work: F)
where
    F: Fn(Arc<Engine>, String) -> Done,
    Done: Future<Output = Result<()>> + Send + 'static,
{
    loop {
        // A set of one: dropped, its task ends with it.
        let mut one = JoinSet::new();
        one.spawn(work(Arc::clone(&engine), connection.clone()));
        let text = match one.join_next().await {
            Some(Ok(Err(error))) => chain(&error),
            Some(Err(error)) if error.is_panic() => said(error),
            _ => return,
        };
        tell(&engine, &connection, what, &text).await;
        tokio::time::sleep(AGAIN).await;
    }
}

/// In the log, and among the connection's faults.
pub async fn tell(engine: &Arc<Engine>, connection: &str, what: &'static str, text: &str) {
    tracing::error!(
        connection.id = connection,
        what,
        error = text,
        "a loop ended; it begins again"
    );
    let fault = Fault::new(FaultKind::Unknown, "", format!("a mistake of ours: {text}"));
    let (name, at) = (connection.to_owned(), now());
    let kept = engine.store.write_async(move |tx| tx.write_fault(&name, what, &fault, &at)).await;
    if let Err(error) = kept {
        tracing::error!(error = %chain(&error), "a fault not kept");
    }
}

/// What a panic said.
fn said(error: JoinError) -> String {
    let panic = error.into_panic();
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("a panic: {}", text.unwrap_or_else(|| "it said nothing".to_owned()))
}
