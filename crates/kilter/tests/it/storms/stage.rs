//! The stage of a storm: the rig, with a relay before each twin and one before Kilter's door.
//!
//! Reads   the environment: seeds and sizes.   Writes  the rig's config.
//! Never   runs for ever: what is awaited has an end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::storms::relay::{Door, Relay, Weather};
use crate::support::{Rig, Serving, Urls};

pub struct Stage {
    pub rig: Rig,
    pub erp: Arc<Relay>,
    pub de: Arc<Relay>,
    pub us: Arc<Relay>,
    pub door: Arc<Door>,
    /// The twins' own faults strike as well.
    pub own_faults: bool,
}

/// What a platform does now and then to calls, but what nobody can wait out, and to webhooks. A system
/// that normalises is no storm: it stays so, and is told.
fn own_faults() -> impl Iterator<Item = &'static str> {
    let calls = kilter_twin::faults::CALLS.iter().copied();
    calls.filter(|name| *name != "throttled_absurdly").chain(["webhooks", "subscription_disabled"])
}

const OWN_ONE_IN: u64 = 25;
const OWN_SLOW_MS: u64 = 500;

/// What the environment says, or what is said here.
pub fn told(name: &str, default: usize) -> usize {
    let said = std::env::var(name).ok();
    said.map_or(default, |n| n.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// The seed of this run, printed: `KILTER_SEED` runs it again.
pub fn seed() -> u64 {
    let said = std::env::var("KILTER_SEED").ok();
    let seed = said.map_or_else(rand::random, |n| n.parse().expect("KILTER_SEED is a number"));
    println!("KILTER_SEED={seed}");
    seed
}

impl Stage {
    /// `change`: what is another in the config.
    pub async fn start(name: &str, change: impl Fn(String) -> String) -> Self {
        let rig = Rig::start(name).await;
        let (erp, erp_url) = Relay::start(rig.erp.url()).await;
        let (de, de_url) = Relay::start(rig.de.url()).await;
        let (us, us_url) = Relay::start(rig.us.url()).await;
        let shops = BTreeMap::from([("de", Arc::clone(&de)), ("us", Arc::clone(&us))]);
        let (door, door_url) = Door::start(rig.port, shops).await;
        rig.config(&Urls { erp: erp_url, de: de_url, us: us_url });
        let text = std::fs::read_to_string(rig.toml()).unwrap();
        let public = format!("public_url = \"http://127.0.0.1:{}\"", rig.port);
        assert!(text.contains(&public), "the config says where its door is");
        let text = change(text.replace(&public, &format!("public_url = \"{door_url}\"")));
        std::fs::write(rig.toml(), text).unwrap();
        Self { rig, erp, de, us, door, own_faults: false }
    }

    pub fn relays(&self) -> [&Arc<Relay>; 3] {
        [&self.erp, &self.de, &self.us]
    }

    /// The twins' own faults begin, or pause while somebody acts who is not Kilter.
    pub async fn own(&self, on: bool) {
        let names: Vec<&str> = own_faults().filter(|_| on).collect();
        let said = json!({ "names": names, "one_in": OWN_ONE_IN, "slow_ms": OWN_SLOW_MS });
        for twin in
            [&self.rig.erp, &self.rig.de, &self.rig.us].into_iter().filter(|_| self.own_faults)
        {
            self.rig.post(&format!("{}/_twin/faults", twin.url()), &said).await;
        }
    }

    /// How often each of them struck, in all twins.
    pub async fn met(&self) -> BTreeMap<String, u64> {
        let mut all = BTreeMap::new();
        for twin in [&self.rig.erp, &self.rig.de, &self.rig.us] {
            let told = self.rig.get(&format!("{}/_twin/faults", twin.url())).await;
            for (name, n) in told["struck"].as_object().into_iter().flatten() {
                *all.entry(name.clone()).or_default() += n.as_u64().unwrap();
            }
        }
        all
    }

    /// The weather clears up: nothing is lost, late or refused any more.
    pub async fn clear_up(&self) {
        *self.door.weather.lock().unwrap() = Weather::Clear;
        self.relays().into_iter().for_each(|relay| relay.calm());
        for shop in [&self.rig.de, &self.rig.us] {
            self.rig.post(&format!("{}/_twin/faults", shop.url()), &json!({ "reset": true })).await;
        }
        self.own(false).await;
        let none = json!({ "fail_next": 0 });
        self.rig.post(&format!("{}/_twin/faults", self.rig.erp.url()), &none).await;
    }

    /// Write calls to the ERP and the two shops.
    pub fn writes(&self) -> [u64; 3] {
        self.relays().map(|relay| relay.writes.load(Ordering::SeqCst))
    }

    pub fn struck(&self) -> u64 {
        self.relays().iter().map(|relay| relay.struck.load(Ordering::SeqCst)).sum()
    }

    /// Serves with guards switched off, as a negative control does.
    pub async fn served(&self, without: &str) -> Serving {
        let mut serving = self.rig.serve_without(without);
        self.rig.healthy(&mut serving).await;
        serving
    }

    pub async fn state(&self, url: &str) -> Value {
        self.rig.get(&format!("{url}/_twin/state")).await
    }
}
