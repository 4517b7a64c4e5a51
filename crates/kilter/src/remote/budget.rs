//! The budget of one connection: calls wait here until the remote's bucket holds their points.
//!
//! Reads   a clock.   Writes  the bucket.
//! Never   counts a wait as a failure, nor lets a small call overtake a large one that waits.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kilter_core::Json;
use kilter_core::manifest::{Cost, Figures, Request};
use kilter_core::mapping::Env;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::bucket::{Bucket, Ticket, Turn};

#[derive(Debug)]
pub struct Budget {
    cost: Option<Cost>,
    bucket: Mutex<Bucket>,
    /// Who holds it is next.
    line: tokio::sync::Mutex<()>,
    landed: Notify,
    started: Instant,
}

/// A call that may leave. Dropped without a word, it counts as sent and never answered.
#[derive(Debug)]
pub struct Admission<'b> {
    budget: &'b Budget,
    ticket: Option<Ticket>,
}

/// Longest wait before the bucket is looked at again.
const LOOK_EVERY: Duration = Duration::from_secs(5);

impl Budget {
    pub fn new(cost: Option<Cost>) -> Self {
        Self {
            cost,
            bucket: Mutex::default(),
            line: tokio::sync::Mutex::new(()),
            landed: Notify::new(),
            started: Instant::now(),
        }
    }

    /// Waits until the call may leave.
    pub async fn admit(&self, request: &Request, body: Option<&str>) -> Admission<'_> {
        if self.cost.is_none() {
            return Admission { budget: self, ticket: None };
        }
        let kind = kind(request, body);
        let _next = self.line.lock().await;
        loop {
            // Registered before the bucket is asked, so that no landing is missed.
            let landed = self.landed.notified();
            let turn = self.bucket().ask(self.started.elapsed(), &kind);
            let wait = match turn {
                Turn::Go(ticket) => return Admission { budget: self, ticket: Some(ticket) },
                Turn::Wait(wait) => wait.min(LOOK_EVERY),
                Turn::WaitForAnswer => LOOK_EVERY,
            };
            // A landing gives points back.
            let _ = tokio::time::timeout(wait, landed).await;
        }
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn land(&self, ticket: Option<Ticket>, figures: Option<Figures>) {
        if let Some(ticket) = ticket {
            self.bucket().land(self.started.elapsed(), ticket, figures);
            self.landed.notify_one();
        }
    }
}

impl Admission<'_> {
    /// What the answer tells of the bucket.
    pub fn learn(mut self, body: &Json, env: &Env<'_>) -> Figures {
        let cost = self.budget.cost.as_ref();
        let figures = cost.map(|c| c.figures(body, env)).unwrap_or_default();
        self.budget.land(self.ticket.take(), Some(figures));
        figures
    }

    /// The call never left.
    pub fn unused(mut self) {
        self.budget.land(self.ticket.take(), None);
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        self.budget.land(self.ticket.take(), Some(Figures::default()));
    }
}

/// What costs about the same: one document, and about as much said to it.
fn kind(request: &Request, body: Option<&str>) -> String {
    let size = body.map_or(0, |b| b.len().checked_ilog2().unwrap_or(0));
    match &request.document {
        Some(document) => format!("{document} {size}"),
        None => format!("{} {} {size}", request.method, request.path),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kilter_core::manifest::Call;
    use kilter_core::mapping::Path;
    use serde_json::json;

    use super::*;

    fn budget() -> Budget {
        let path = |text| Path::parse(text).unwrap();
        Budget::new(Some(Cost {
            asked: path("cost.asked"),
            spent: path("cost.spent"),
            left: path("cost.left"),
            refill: path("cost.refill"),
            most: path("cost.most"),
        }))
    }

    fn request() -> Request {
        let call = Call {
            method: "POST".into(),
            path: vec!["g".into()],
            query: json!({}),
            headers: json!({}),
            body: None,
            document: Some("a.graphql".into()),
        };
        call.render(&BTreeMap::new()).unwrap()
    }

    #[tokio::test]
    async fn a_call_waits_for_its_points_and_for_its_turn() {
        let (vars, tables) = (BTreeMap::new(), BTreeMap::new());
        let env = Env { vars: &vars, tables: &tables, root: None };
        let (budget, request) = (budget(), request());
        let first = budget.admit(&request, None).await;
        let cost = json!({ "asked": 2000, "spent": 2000, "left": "11000.0", "refill": 10_000, "most": 20_000 });
        first.learn(&json!({ "cost": cost }), &env);
        let started = Instant::now();
        let second = budget.admit(&request, None).await;
        // 2000 and a second's refill, less the 11000 that were left.
        assert!(started.elapsed() >= Duration::from_millis(99), "{:?}", started.elapsed());
        second.unused();
        let started = Instant::now();
        drop(budget.admit(&request, None).await);
        let given_back = started.elapsed();
        // The one that was dropped may have been sent: its points are gone.
        let _third = budget.admit(&request, None).await;
        assert!(started.elapsed() >= given_back + Duration::from_millis(90));
    }
}
