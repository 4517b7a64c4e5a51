//! Door: what comes in by webhook, in the story. What is forged is refused, what the twin signs is
//! taken.
//!
//! Reads   the twin's own webhooks, over HTTP.   Writes  requests to our own door.
//! Never   signs in the twin's name: two readings of one signature must meet.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use kilter_core::manifest::Signature;
use tokio::time::Instant;

use super::Told;
use super::steps::Story;
use crate::pipeline::subscribe;
use crate::remote::plain;

/// Longest that a twin's webhook may take.
const PATIENCE: Duration = Duration::from_secs(10);

impl Story {
    pub async fn webhooks(&mut self) -> anyhow::Result<Told> {
        if !self.scene.able.webhooks {
            return Ok(Told::Skipped("it takes no webhooks".to_owned()));
        }
        let listener = self.scene.listener.take().context("open the door twice")?;
        let serving =
            tokio::spawn(crate::api::serve(listener, Arc::clone(&self.scene.engine), pending()));
        let told = self.at_the_door().await;
        serving.abort();
        told
    }

    async fn at_the_door(&mut self) -> anyhow::Result<Told> {
        let x = self.scene.x().to_owned();
        let door = format!("{}/hooks/{x}", self.scene.door);
        let before = self.hooks().await?;
        for (what, (address, headers)) in self.forged(&door)? {
            let (status, _) = plain::post(&address, &headers, BODY.to_owned()).await?;
            ensure!(status == 401, "refuse a webhook {what}: it was answered {status}");
        }
        ensure!(self.hooks().await? == before, "keep nothing of what is forged");
        let refused = "unsigned and forged ones are refused (401)";
        if !self.scene.has_twin() {
            let why = format!("{refused}; no twin that would send a good one");
            return Ok(Told::Ok(why));
        }
        if let Some(why) = self.unchangeable() {
            return Ok(Told::Ok(format!("{refused}; no good one was sent: {why}")));
        }
        let by_hand = self.scene.ring_at(&door).await?;
        let mended = subscribe::run(&self.scene.engine, &x).await;
        let mended = mended.map_err(|fault| anyhow::anyhow!("subscribe: {fault}"))?;
        ensure!(by_hand || mended, "subscribe to webhooks: nothing was subscribed");
        self.stir().await?;
        let started = Instant::now();
        while self.hooks().await? == before {
            ensure!(
                started.elapsed() < PATIENCE,
                "accept a webhook that the twin signed: none was"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.scene.align().await?;
        let kept = self.hooks().await? - before;
        Ok(Told::Ok(format!("{refused}; {kept} of the twin's own accepted")))
    }

    async fn hooks(&self) -> anyhow::Result<i64> {
        Ok(self.scene.engine.store.write_async(|tx| tx.count_via("hook")).await?)
    }

    /// An address and headers that nobody who knows the secret would send.
    fn forged(&self, door: &str) -> anyhow::Result<Vec<(&'static str, Knock)>> {
        let house = &self.scene.engine.house;
        let (_, connector) = house.connector(self.scene.x()).context("find the connection")?;
        let webhook = connector.webhook.as_ref().context("find the webhook")?;
        let forged = match &webhook.signature {
            Signature::HmacSha256Base64 { header, .. } => {
                let forged = (header.clone(), FORGED.to_owned());
                (door.to_owned(), vec![forged])
            }
            Signature::UrlSecret { .. } => (format!("{door}?secret=guessed"), Vec::new()),
        };
        let bare = (door.to_owned(), Vec::new());
        Ok(vec![("without a signature", bare), ("with a bad signature", forged)])
    }
}

type Knock = (String, Vec<(String, String)>);

const BODY: &str = r#"{"id": 1, "story": true}"#;

/// 32 bytes that are no signature of anything: base64 of zeros.
const FORGED: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
