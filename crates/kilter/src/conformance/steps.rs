//! Steps: what is asked of every connector, and how it is judged.
//!
//! Reads   what the remote shows, listed again after each step.   Writes  what the source says.
//! Never   passes a step whose fault did not strike, nor changes what the story did not create in
//!         a system that is no twin.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use anyhow::{Context as _, ensure};
use kilter_core::Json;
use kilter_core::config::Secret;
use kilter_core::sync::project::project;
use rust_decimal::Decimal;
use serde_json::json;

use super::Told;
use super::able::{Change, of_goods};
use super::house::SOURCE;
use super::scene::{Good, Scene};
use crate::pipeline::poll::{self, Extent};

pub struct Story {
    pub scene: Scene,
    /// Resource and number of what stands in the twin before the story.
    seeded: Option<(String, usize)>,
    /// The thing that the story created, or the article that it found.
    good: Option<Good>,
    found: bool,
    /// What waited before the story changed anything.
    waited: BTreeSet<String>,
    told: usize,
}

impl Story {
    pub fn new(scene: Scene, seeded: Option<(String, usize)>) -> Self {
        let waited = BTreeSet::new();
        Self { scene, seeded, good: None, found: false, waited, told: 0 }
    }

    fn calls(&self) -> (u64, u64) {
        let remote = self.scene.engine.remotes.get(self.scene.x());
        remote
            .map_or((0, 0), |r| (r.calls.load(Ordering::Relaxed), r.writes.load(Ordering::Relaxed)))
    }

    /// Everything that was read stands here, and nothing new waits.
    async fn in_order(&self) -> anyhow::Result<()> {
        let failed = self.scene.failed();
        ensure!(failed.is_empty(), "read every listing: {}", failed.join("; "));
        let waits = self.scene.waits().await?;
        let new: Vec<&str> = waits.difference(&self.waited).map(String::as_str).collect();
        ensure!(new.is_empty(), "leave nothing waiting: {}", new.join("; "));
        Ok(())
    }

    pub async fn reads(&mut self) -> anyhow::Result<Told> {
        let (before, _) = self.calls();
        let mut pages = String::new();
        if let Some((resource, count)) = self.seeded.clone() {
            let (engine, x) = (&self.scene.engine, self.scene.x());
            poll::whole(engine, x, &resource, Extent::Everything).await?;
            let asked = self.calls().0 - before;
            ensure!(asked >= 3, "ask for three pages of {resource}: {asked} calls were made");
            pages = format!("{count} {resource} on {asked} pages; ");
        }
        self.scene.align().await?;
        let failed = self.scene.failed();
        ensure!(failed.is_empty(), "read every listing: {}", failed.join("; "));
        let house = std::sync::Arc::clone(&self.scene.engine.house);
        for view in house.views().filter(|v| v.connection.name == self.scene.x()) {
            self.scene.items(&view).await?;
        }
        let rows = self.scene.engine.store.write_async(|tx| tx.resource_status()).await?;
        let own: Vec<_> = rows.iter().filter(|r| r.connection == self.scene.x()).collect();
        if let Some((resource, count)) = &self.seeded {
            let known = own.iter().find(|r| r.resource == *resource).map_or(0, |r| r.objects);
            let all = i64::try_from(*count).unwrap_or(i64::MAX);
            ensure!(known == all, "know {count} {resource}, each once: {known} are known");
        }
        let (calls, writes) = self.calls();
        ensure!(writes == 0, "read and write nothing: {writes} writes were sent");
        self.waited = self.scene.waits().await?;
        let objects: i64 = own.iter().map(|r| r.objects).sum();
        Ok(Told::Ok(format!("{pages}{objects} objects in {} calls", calls - before)))
    }

    pub async fn creates(&mut self) -> anyhow::Result<Told> {
        let (goods, orders) = (self.scene.able.goods, self.scene.able.orders);
        if !goods && !orders {
            return Ok(Told::Skipped("it creates neither variants nor orders".to_owned()));
        }
        let mut did = Vec::new();
        if goods {
            let good = self.scene.good(1);
            self.scene.tell_good(&good).await?;
            self.scene.align().await?;
            self.stands_once(&good).await?;
            did.push("a product with its variant");
            self.good = Some(good);
        } else {
            self.good = Some(self.article().await?);
            self.found = true;
        }
        if orders {
            self.order().await?;
            did.push("an order with its customer");
        }
        self.in_order().await?;
        Ok(Told::Ok(did.join(", ")))
    }

    async fn stands_once(&self, good: &Good) -> anyhow::Result<()> {
        let found = self.scene.holding(|r| r.root == "variant", &good.sku).await?.len();
        if found != 1 {
            // What waits says why.
            self.in_order().await?;
        }
        ensure!(found == 1, "find {} there once: {found} show it", good.sku);
        let titled = self.scene.holding(of_goods, &good.title).await?.len();
        ensure!(titled > 0, "find the title \"{}\" there", good.title);
        Ok(())
    }

    /// Something that is sold there already: an order is made of it.
    async fn article(&self) -> anyhow::Result<Good> {
        let house = std::sync::Arc::clone(&self.scene.engine.house);
        let mut views = house.views().filter(|v| v.connection.name == self.scene.x());
        let view = views.find(|v| v.resource.root == "variant").context("find what it sells")?;
        let root = view.root_facet().context("find what it sells")?;
        let row = format!("{}.sku", root.name);
        for (each, item) in self.scene.items(&view).await? {
            let Ok(seen) = project(&view, &item, &each) else { continue };
            if let Some(sku) = seen.rows.get(row.as_str()).and_then(Json::as_str) {
                let mut good = self.scene.good(1);
                good.sku = sku.to_owned();
                let known = json!({ "id": good.n, "sku": sku });
                self.scene.tell("variants", known).await?;
                self.scene.align().await?;
                return Ok(good);
            }
        }
        anyhow::bail!("find an article with a SKU, to order it")
    }

    /// An order of two pieces; it stands there once.
    async fn order(&mut self) -> anyhow::Result<()> {
        self.told += 1;
        let number = format!("{}{}", self.scene.mark, self.told);
        let order = self.order_of(&number)?;
        self.scene.tell("orders", order).await?;
        self.scene.align().await?;
        let found =
            self.scene.holding(|r| r.root == "order" && r.document.is_some(), &number).await?.len();
        if found != 1 {
            self.in_order().await?;
        }
        ensure!(found == 1, "find the order {number} there once: {found} show it");
        Ok(())
    }

    fn order_of(&self, number: &str) -> anyhow::Result<Json> {
        let good = self.good.as_ref().context("find something to order")?;
        let connections = &self.scene.plot.config.connections;
        let x = connections.get(self.scene.x()).context("find the connection")?;
        let source = connections.get(SOURCE).context("find the story's source")?;
        let first = |table: &str| x.lookups.get(table).and_then(|t| t.names().next());
        let rate = first("taxes").unwrap_or("0");
        let country = first("countries").unwrap_or("DE");
        let (net, tax) = parts(rate)?;
        Ok(json!({
            "id": number, "number": number, "status": "paid", "currency": source.currency,
            "placed_at": crate::engine::now(), "tax_included": true,
            "total": GROSS, "total_tax": tax.to_string(),
            "email": format!("story-{}@example.com", self.scene.mark),
            "address": { "name": "Ada Story", "street": "1 Side St", "city": "Berlin",
                "postcode": "10117", "country": country },
            "lines": [{ "id": "1", "sku": good.sku, "name": good.title, "variant": good.n,
                "quantity": 2, "total": net.to_string(), "tax": tax.to_string(),
                "tax_rate": rate }],
        }))
    }

    /// The source changes one field, once more each time. Err: there is nothing to change.
    async fn change(&mut self) -> anyhow::Result<(Change, String, String)> {
        let change = self.scene.able.change.context("change a field")?;
        let good = self.good.as_mut().context("change what was not created")?;
        self.told += 1;
        let (old, new) = match change {
            Change::Title => {
                let new = format!("Told {} {} times", self.scene.mark, self.told);
                (std::mem::replace(&mut good.title, new.clone()), new)
            }
            Change::Barcode => {
                let new = format!("40{:011}", rand::random_range(0..100_000_000_000_u64));
                (std::mem::replace(&mut good.barcode, new.clone()), new)
            }
        };
        if self.found {
            let known = json!({ "id": good.n, "sku": good.sku, "barcode": good.barcode });
            self.scene.tell("variants", known).await?;
        } else {
            self.scene.tell_good(good).await?;
        }
        Ok((change, old, new))
    }

    async fn arrived(&self, old: &str, new: &str) -> anyhow::Result<()> {
        let found = self.scene.holding(of_goods, new).await?.len();
        if found == 0 {
            self.in_order().await?;
        }
        ensure!(found > 0, "find \"{new}\" there");
        if !old.is_empty() {
            let left = self.scene.holding(of_goods, old).await?.len();
            ensure!(left == 0, "find \"{old}\" replaced: {left} show it still");
        }
        self.in_order().await
    }

    /// Why no field can be changed here.
    pub fn unchangeable(&self) -> Option<String> {
        if self.scene.able.change.is_none() {
            return Some("it writes neither a product's title nor a variant's barcode".to_owned());
        }
        let found = self.found && !self.scene.has_twin();
        found.then(|| "it would change an article that is not the story's own".to_owned())
    }

    pub async fn changes(&mut self) -> anyhow::Result<Told> {
        if let Some(why) = self.unchangeable() {
            return Ok(Told::Skipped(why));
        }
        let (_, before) = self.calls();
        let (change, old, new) = self.change().await?;
        self.scene.align().await?;
        self.arrived(&old, &new).await?;
        let (entity, field) = change.field();
        let writes = self.calls().1 - before;
        Ok(Told::Ok(format!("{entity}.{field} in {writes} writes")))
    }

    pub async fn changes_figures(&mut self) -> anyhow::Result<Told> {
        let (prices, stock) = (self.scene.able.prices, self.scene.able.stock);
        if !prices && !stock {
            return Ok(Told::Skipped("it writes no prices and no stock of its own".to_owned()));
        }
        let good = self.good.as_mut().context("change what was not created")?;
        // Numbers that nothing else there has.
        let price = Decimal::new(rand::random_range(100_000..1_000_000), 2);
        good.price = price.to_string();
        good.pieces = rand::random_range(1_000..9_000);
        let pieces = good.pieces;
        self.scene.tell_good(good).await?;
        self.scene.align().await?;
        self.in_order().await?;
        let x = self.scene.plot.config.connections.get(self.scene.x());
        let x = x.context("find the connection")?;
        let all = pieces * u32::try_from(x.locations.len()).unwrap_or(1);
        let sellable = [pieces, all].map(|n| n.saturating_sub(x.buffer).to_string());
        let mut did = Vec::new();
        if prices {
            let start = format!("{} ", price.normalize());
            ensure!(
                self.scene.shows(&[".amount"], |v| v.starts_with(&start)).await?,
                "find the price {price} there"
            );
            did.push(format!("a price of {price}"));
        }
        if stock {
            let rows = [".sellable", ".available"];
            let shown = self.scene.shows(&rows, |v| sellable.iter().any(|n| n == v)).await?;
            let later = self.scene.later().await?.join("; ");
            ensure!(shown, "find {pieces} pieces there; what waits: {later}");
            did.push(format!("{pieces} pieces"));
        }
        Ok(Told::Ok(did.join(", ")))
    }

    pub async fn sends_twice(&mut self) -> anyhow::Result<Told> {
        if self.good.is_none() {
            return Ok(Told::Skipped("nothing was created".to_owned()));
        }
        // The source says the same once more: nothing is sent.
        if let Some(good) = self.good.as_ref().filter(|_| !self.found) {
            let (_, before) = self.calls();
            self.scene.tell_good(good).await?;
            self.scene.align().await?;
            let writes = self.calls().1 - before;
            ensure!(writes == 0, "send nothing for what was said before: {writes} writes");
        }
        let before = self.scene.faults(UNSURE).await?;
        if !self.scene.fault("lost").await? {
            let why = "no twin whose answers can be lost; what was said twice was sent once";
            return Ok(Told::Skipped(why.to_owned()));
        }
        if self.scene.able.goods {
            let good = self.scene.good(2);
            self.scene.tell_good(&good).await?;
            self.scene.align().await?;
            self.stands_once(&good).await?;
        } else {
            self.order().await?;
        }
        let struck = self.scene.faults(UNSURE).await? - before;
        ensure!(struck > 0, "lose an answer: none was lost");
        self.in_order().await?;
        Ok(Told::Ok(
            "its create was done, the answer was lost, and it stands there once".to_owned(),
        ))
    }

    pub async fn is_throttled(&mut self) -> anyhow::Result<Told> {
        if let Some(why) = self.unchangeable() {
            return Ok(Told::Skipped(why));
        }
        let before = self.scene.faults(&["throttled"]).await?;
        let started = tokio::time::Instant::now();
        if !self.scene.fault("throttled").await? {
            return Ok(Told::Skipped("no twin that throttles".to_owned()));
        }
        let (_, old, new) = self.change().await?;
        self.scene.deliver().await?;
        let waited = started.elapsed();
        let struck = self.scene.faults(&["throttled"]).await? - before;
        ensure!(struck > 0, "be throttled: no answer was taken for that");
        self.arrived(&old, &new).await?;
        Ok(Told::Ok(format!("told to wait {struck} times, there after {} ms", waited.as_millis())))
    }

    pub async fn loses_its_token(&mut self) -> anyhow::Result<Told> {
        let x = self.scene.x().to_owned();
        let store = self.scene.engine.store.clone();
        let name = x.clone();
        let kept = store.write_async(move |tx| tx.token(&name)).await?;
        if let Some(token) = kept {
            let name = x.clone();
            let lost = crate::remote::token::Kept { access: "lost".to_owned(), ..token.clone() };
            store.write_async(move |tx| tx.set_token(&name, &lost)).await?;
            let engine = self.scene.with(|_| ()).await?;
            self.read_with(&engine, &x).await?;
            let after = store.write_async(move |tx| tx.token(&x)).await?;
            let renewed = after.is_some_and(|t| t.access != "lost");
            ensure!(renewed, "renew a token that is refused: the old one is kept");
            return Ok(Told::Ok("refused, renewed, and read again".to_owned()));
        }
        let connection = self.scene.plot.config.connections.get(&x);
        if connection.is_none_or(|c| c.secrets.is_empty()) {
            return Ok(Told::Skipped("it has no credentials".to_owned()));
        }
        let wrong = self.scene.with(|plot| {
            for connection in plot.config.connections.values_mut() {
                for secret in connection.secrets.values_mut() {
                    *secret = Secret::new("not the key");
                }
            }
        });
        let Err(fault) = self.read_with(&wrong.await?, &x).await else {
            anyhow::bail!("be refused with credentials that are wrong: it was let in");
        };
        let said = format!("{fault:#}");
        ensure!(said.contains("auth"), "name the fault auth: it says {said}");
        self.read_with(&self.scene.engine, &x).await.context("go on with the right ones")?;
        Ok(Told::Ok(format!("it stops and says: {said}")))
    }

    /// Reads the first listing of a connection.
    async fn read_with(
        &self,
        engine: &std::sync::Arc<crate::engine::Engine>,
        x: &str,
    ) -> anyhow::Result<()> {
        let house = std::sync::Arc::clone(&engine.house);
        let mut views = house.views().filter(|v| v.connection.name == x);
        let view = views.find(|v| v.resource.list.is_some()).context("find a listing")?;
        poll::whole(engine, x, &view.resource.name, Extent::SinceCursor).await?;
        Ok(())
    }

    /// Something changes there, so that it has something to tell.
    pub async fn stir(&mut self) -> anyhow::Result<()> {
        let (_, old, new) = self.change().await?;
        self.scene.deliver().await?;
        self.arrived(&old, &new).await
    }

    pub async fn archives(&mut self) -> anyhow::Result<Told> {
        if !self.scene.able.archive {
            return Ok(Told::Skipped("it takes nothing away".to_owned()));
        }
        let good = self.good.as_mut().context("archive what was not created")?;
        good.status = "archived";
        self.scene.tell_good(good).await?;
        self.scene.align().await?;
        let mut states = Vec::new();
        for text in [&good.sku, &good.title] {
            for seen in self.scene.holding(of_goods, text).await? {
                let status = seen.rows.into_iter().find(|(row, _)| row.ends_with(".status"));
                states.extend(status.map(|(_, value)| value.clone()));
            }
        }
        let said: Vec<String> = states.iter().map(kilter_core::manifest::plain).collect();
        let gone = states.iter().all(|s| s == "archived");
        ensure!(gone, "find it archived or gone: it is {}", said.join(", "));
        self.in_order().await?;
        let how = if states.is_empty() { "it is gone" } else { "it is archived" };
        Ok(Told::Ok(how.to_owned()))
    }
}

/// Faults that leave open whether a write was done.
const UNSURE: &[&str] = &["unavailable", "unknown"];

/// What two pieces cost, tax included.
const GROSS: &str = "20.00";

/// The same without its tax, and the tax.
fn parts(rate: &str) -> anyhow::Result<(Decimal, Decimal)> {
    let rate: Decimal = rate.parse().with_context(|| format!("read the tax rate {rate}"))?;
    let gross: Decimal = GROSS.parse().context("read the story's price")?;
    let net = (gross / (Decimal::ONE + rate / Decimal::ONE_HUNDRED)).round_dp(2);
    Ok((net, gross - net))
}
