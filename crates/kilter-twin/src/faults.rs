//! Faults by name for all twins: one schedule, drawn by a seed, switched on and off while it runs.
//!
//! Reads   names (`storm`, `throttled`, `slow/5`: one in five), the body of `POST /_twin/faults`.
//! Writes  only itself: how many calls and deliveries there were.
//! Never   is on unless asked for; never draws by time: the same calls meet the same faults.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::Error;

/// What can happen to a call, in the order in which it is drawn.
pub const CALLS: &[&str] = &[
    "throttled",
    "throttled_absurdly",
    "errors",
    "errors_after",
    "resets",
    "lost_replies",
    "late",
    "slow",
    "truncated",
    "html",
    "error_in_200",
    "expired",
    "stale",
];
/// What can happen to a delivery. `webhooks` is the first four.
pub const HOOKS: &[&str] = &[
    "webhooks_dropped",
    "webhooks_twice",
    "webhooks_late",
    "webhooks_reordered",
    "subscription_disabled",
    "silent_deletes",
];
const WEBHOOKS: usize = 4;
/// What is so all the time, once it is on.
pub const HABITS: &[&str] = &["normalising"];
/// Nobody is there: for a while, by `gone_ms`.
pub const GONE: &str = "gone";
/// Everything a platform can do, now and then.
pub const STORM: &str = "storm";

const ONE_IN: u64 = 20;
/// With a dozen faults at once, about every fifth call meets one.
const STORM_ONE_IN: u64 = 60;
const SLOW_MS: u64 = 2_000;
const LATE_MS: u64 = 3_000;
/// The forms that a `Retry-After` was seen in, by turns. The date is a second from now.
const RETRY_AFTER: [Wait; 4] = [Wait::None, Wait::Text("1"), Wait::Text("0.5"), Wait::Date];
/// Longer than anybody can wait: by name only, for whoever obeys it comes to no rest.
const ABSURD: &str = "999999999";
const STATUSES: [u16; 4] = [500, 502, 503, 504];

#[derive(Debug, Clone, Copy)]
enum Wait {
    None,
    Text(&'static str),
    Date,
}

/// What happens to one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strike {
    None,
    /// Nobody is there: the connection ends at once.
    Gone,
    /// A refusal for haste, with this `Retry-After`; the number tells one from the next.
    Throttled {
        after: Option<String>,
        number: u64,
    },
    Status {
        status: u16,
        done: bool,
    },
    Reset {
        done: bool,
    },
    /// A time-out is answered; the work is done when this has passed.
    Late(Duration),
    Slow(Duration),
    Truncated,
    Html,
    ErrorIn200,
    Expired,
    /// What the same question was answered a little earlier, if it was asked.
    Stale,
}

/// What happens to one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    None,
    Dropped,
    Twice,
    Late(Duration),
    /// Whatever waits goes first.
    Reordered,
    /// Dropped, and the subscription with it.
    Disabled,
}

/// What a twin can do of all that.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Faults of its own, which it draws itself by `chance`.
    pub own: &'static [&'static str],
    /// Its platform does not do this by itself: by name only, and never in a storm.
    pub apart: &'static [&'static str],
    /// It has no such thing: what its platform never tells cannot fall silent.
    pub lacks: &'static [&'static str],
}

impl Known {
    pub fn names(&self) -> Vec<&'static str> {
        let groups = [STORM, "webhooks"].iter();
        let all = groups.chain(CALLS).chain(HOOKS).chain(HABITS).chain(self.own).copied();
        all.filter(|name| !self.lacks.contains(name)).collect()
    }

    fn storm(&self) -> impl Iterator<Item = &'static str> {
        let all = CALLS.iter().chain(HOOKS).chain(HABITS).chain(self.own).copied();
        let out = |name: &&str| self.apart.contains(name) || self.lacks.contains(name);
        all.filter(move |name| !out(name) && *name != "throttled_absurdly")
    }
}

#[derive(Debug)]
pub struct Schedule {
    known: Known,
    seed: u64,
    /// As they were said.
    said: Vec<String>,
    /// Name → one in so many.
    names: BTreeMap<&'static str, u64>,
    one_in: u64,
    slow_ms: u64,
    late_ms: u64,
    gone_until: Option<Instant>,
    /// Of each fault its number of draws, and how often it struck.
    draws: BTreeMap<&'static str, u64>,
    struck: BTreeMap<&'static str, u64>,
    calls: u64,
    hooks: u64,
}

impl Schedule {
    /// `text` is the setting `faults`: names with commas between.
    pub fn new(known: Known, seed: u64, text: &str) -> Result<Self, Error> {
        let mut schedule = Self {
            known,
            seed,
            said: Vec::new(),
            names: BTreeMap::new(),
            one_in: ONE_IN,
            slow_ms: SLOW_MS,
            late_ms: LATE_MS,
            gone_until: None,
            draws: BTreeMap::new(),
            struck: BTreeMap::new(),
            calls: 0,
            hooks: 0,
        };
        let said = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        schedule.say(said.map(str::to_owned).collect())?;
        Ok(schedule)
    }

    fn say(&mut self, said: Vec<String>) -> Result<(), Error> {
        let mut names = BTreeMap::new();
        for text in &said {
            let (name, rate) = match text.split_once('/') {
                Some((name, rate)) => (name, Some(rate)),
                None => (text.as_str(), None),
            };
            let bad = |reason: String| Error::BadSetting("faults".to_owned(), reason);
            let rate = match rate.map(str::parse::<u64>) {
                None => None,
                Some(Ok(rate)) if rate > 0 => Some(rate),
                Some(_) => return Err(bad(format!("\"{text}\": say NAME/N, one in N calls"))),
            };
            let Some(name) = self.known.names().into_iter().find(|known| *known == name) else {
                let known = self.known.names().join(", ");
                return Err(bad(format!("\"{name}\" is none of {known}")));
            };
            match name {
                STORM => {
                    let rate = rate.unwrap_or(STORM_ONE_IN);
                    names.extend(self.known.storm().map(|name| (name, rate)));
                }
                "webhooks" => {
                    let rate = rate.unwrap_or(0);
                    names.extend(HOOKS[..WEBHOOKS].iter().map(|name| (*name, rate)));
                }
                name => {
                    names.insert(name, rate.unwrap_or(0));
                }
            }
        }
        (self.names, self.said) = (names, said);
        Ok(())
    }

    /// Takes what is its own out of the body of `POST /_twin/faults`; true: nothing else is left.
    /// `{}` and `{"reset": true}` switch all off, and are left for the twin as well.
    pub fn set(&mut self, body: &mut Map<String, Value>) -> Result<bool, Error> {
        if body.is_empty() || body.get("reset") == Some(&json!(true)) {
            self.say(Vec::new())?;
            (self.one_in, self.slow_ms, self.late_ms) = (ONE_IN, SLOW_MS, LATE_MS);
            self.gone_until = None;
            return Ok(false);
        }
        if let Some(names) = body.remove("names") {
            let list = match &names {
                Value::String(text) => text.split(',').map(|n| n.trim().to_owned()).collect(),
                list => list
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|name| name.as_str().map(str::to_owned))
                    .collect::<Vec<_>>(),
            };
            self.say(list.into_iter().filter(|name| !name.is_empty()).collect())?;
        }
        for (name, field) in [
            ("one_in", &mut self.one_in),
            ("slow_ms", &mut self.slow_ms),
            ("late_ms", &mut self.late_ms),
        ] {
            *field = body.remove(name).and_then(|value| value.as_u64()).unwrap_or(*field);
        }
        if let Some(ms) = body.remove("gone_ms").and_then(|value| value.as_u64()) {
            self.gone_until = Some(Instant::now() + Duration::from_millis(ms));
        }
        Ok(body.is_empty())
    }

    /// Its part of `GET /_twin/faults`.
    pub fn show(&self) -> Map<String, Value> {
        let gone = self.gone_until.map_or(Duration::ZERO, |t| t.duration_since(Instant::now()));
        let shown = json!({
            "names": self.said, "known": self.known.names(), "one_in": self.one_in,
            "slow_ms": self.slow_ms, "late_ms": self.late_ms,
            "gone_ms": u64::try_from(gone.as_millis()).unwrap_or(u64::MAX),
            "calls": self.calls, "deliveries": self.hooks, "struck": self.struck,
        });
        shown.as_object().cloned().unwrap_or_default()
    }

    pub fn slow_ms(&self) -> u64 {
        self.slow_ms
    }

    pub fn has(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// Whether it strikes now: decided by the seed, its name and how often it was asked.
    pub fn chance(&mut self, name: &'static str) -> bool {
        let Some(rate) = self.names.get(name).copied() else { return false };
        let one_in = if rate == 0 { self.one_in } else { rate };
        let drawn = self.draws.entry(name).or_default();
        *drawn += 1;
        let hit = one_in > 0 && dice(self.seed, name, *drawn).is_multiple_of(one_in);
        if hit {
            *self.struck.entry(name).or_default() += 1;
        }
        hit
    }

    /// The next call's fault. Every name is drawn at every call, so that none moves another.
    pub fn call(&mut self) -> Strike {
        if self.gone_until.is_some_and(|until| Instant::now() < until) {
            *self.struck.entry(GONE).or_default() += 1;
            return Strike::Gone;
        }
        self.calls += 1;
        let mut first = None;
        for name in CALLS {
            if self.chance(name) && first.is_none() {
                first = Some(*name);
            }
        }
        let Some(name) = first else { return Strike::None };
        let number = self.struck.get(name).copied().unwrap_or(1) - 1;
        let turn = |count: usize| usize::try_from(number).unwrap_or(0) % count;
        match name {
            "throttled" => {
                let after = match RETRY_AFTER[turn(RETRY_AFTER.len())] {
                    Wait::None => None,
                    Wait::Text(text) => Some(text.to_owned()),
                    Wait::Date => Some(in_a_second()),
                };
                Strike::Throttled { after, number }
            }
            "throttled_absurdly" => Strike::Throttled { after: Some(ABSURD.to_owned()), number: 1 },
            "errors" => Strike::Status { status: STATUSES[turn(STATUSES.len())], done: false },
            "errors_after" => Strike::Status { status: STATUSES[turn(STATUSES.len())], done: true },
            "resets" => Strike::Reset { done: false },
            "lost_replies" => Strike::Reset { done: true },
            "late" => Strike::Late(Duration::from_millis(self.late_ms)),
            "slow" => Strike::Slow(Duration::from_millis(self.slow_ms)),
            "truncated" => Strike::Truncated,
            "html" => Strike::Html,
            "error_in_200" => Strike::ErrorIn200,
            "expired" => Strike::Expired,
            _ => Strike::Stale,
        }
    }

    /// The next delivery's fault. What is deleted without a word is so always.
    pub fn delivery(&mut self, deleted: bool) -> Mishap {
        self.hooks += 1;
        if deleted && self.has("silent_deletes") {
            *self.struck.entry("silent_deletes").or_default() += 1;
            return Mishap::Dropped;
        }
        let mut first = None;
        for name in HOOKS.iter().filter(|name| **name != "silent_deletes") {
            if self.chance(name) && first.is_none() {
                first = Some(*name);
            }
        }
        match first {
            None => Mishap::None,
            Some("webhooks_dropped") => Mishap::Dropped,
            Some("webhooks_twice") => Mishap::Twice,
            Some("webhooks_late") => Mishap::Late(Duration::from_millis(self.late_ms)),
            Some("webhooks_reordered") => Mishap::Reordered,
            Some(_) => Mishap::Disabled,
        }
    }
}

fn in_a_second() -> String {
    let then = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(1);
    then.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// The same for the same seed, name and number, and for nothing else (splitmix64).
fn dice(seed: u64, name: &str, number: u64) -> u64 {
    let named = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mut z = seed ^ named ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
