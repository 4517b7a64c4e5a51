//! Reading: what bodies of the log say, understood beside the merging, in their order.
//!
//! Reads   texts of the log.   Writes  nothing.
//! Never   says how a change ends; never has more in hand than it was given.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use kilter_core::model::{Change, End};
use kilter_core::sync::house::House;

use crate::pipeline::heard::Heard;
use crate::pipeline::receive::{Understood, asked_for, understand};
use crate::store::changes::Open;
use crate::store::{Error, Result};

/// Changes in their order, and what each says.
pub type Said = VecDeque<(Change, Understood)>;

pub struct Reading {
    house: Arc<House>,
    /// Somebody who reads beside, once there is more than can be merged at a time.
    beside: Option<Beside>,
    /// What was read before, unless somebody reads beside: they have it then.
    heard: Heard,
    /// How many changes were handed over and did not come back yet.
    away: usize,
}

struct Beside {
    to: Sender<Open>,
    back: Receiver<Said>,
}

impl Reading {
    pub fn new(house: &Arc<House>) -> Self {
        Self { house: Arc::clone(house), beside: None, heard: Heard::default(), away: 0 }
    }

    pub fn away(&self) -> usize {
        self.away
    }

    /// What these say, waited for. Nothing may be away.
    pub fn now(&mut self, open: Open) -> Result<Said> {
        if self.beside.is_none() || open.changes.is_empty() {
            return Ok(read(&self.house, open, &mut self.heard));
        }
        self.hand(open)?;
        self.next()
    }

    /// Has these read by somebody else.
    pub fn hand(&mut self, open: Open) -> Result<()> {
        let beside = match self.beside.take() {
            Some(beside) => beside,
            None => begin(&self.house, std::mem::take(&mut self.heard))?,
        };
        self.away += open.changes.len();
        // Who reads is gone if they panicked: whoever waits for them is told.
        beside.to.send(open).ok();
        self.beside = Some(beside);
        Ok(())
    }

    /// What came back first of what is away, if anything did.
    pub fn ready(&mut self) -> Option<Said> {
        let said = self.beside.as_ref().and_then(|beside| beside.back.try_recv().ok())?;
        self.away -= said.len();
        Some(said)
    }

    /// The same, waited for.
    pub fn next(&mut self) -> Result<Said> {
        let said = self.beside.as_ref().and_then(|beside| beside.back.recv().ok());
        let lost = || Error::Refused("read bodies: whoever read them is gone".to_owned());
        let said = said.ok_or_else(lost)?;
        self.away -= said.len();
        Ok(said)
    }
}

/// Reads until nobody hands over any more. A thread of its own: whoever has the store's turn waits for it,
/// and those who wait for the turn may have all others.
fn begin(house: &Arc<House>, mut heard: Heard) -> Result<Beside> {
    let ((to, texts), (give, back)) = (channel::<Open>(), channel());
    let house = Arc::clone(house);
    let work = move || {
        let all = texts.into_iter().map(|open| read(&house, open, &mut heard));
        all.map(|said| give.send(said)).take_while(std::result::Result::is_ok).for_each(drop);
    };
    let thread = std::thread::Builder::new().name("reading".to_owned()).spawn(work);
    thread.map_err(|e| Error::Refused(format!("start a thread to read bodies: {e}")))?;
    Ok(Beside { to, back })
}

fn read(house: &House, open: Open, heard: &mut Heard) -> Said {
    let each = open.changes.into_iter().zip(open.texts);
    let said = each.map(|(change, text)| {
        let understood = meant(house, &change, text, heard);
        (change, understood)
    });
    said.collect()
}

/// What a text says: as it did before, or as it is understood now.
fn meant(house: &House, change: &Change, text: String, heard: &mut Heard) -> Understood {
    if let Some(item) = heard.find(change, &text) {
        let understood = Understood::Item(item);
        debug_assert!(says_all(house, change, &text, &understood), "a key is left out: {text}");
        return understood;
    }
    let understood = match asked_for(house, change, &text) {
        Ok(body) => understand(house, change, &body),
        Err(error) => Understood::Ended(End::Dead(format!("failed to read its body: {error}"))),
    };
    debug_assert!(says_all(house, change, &text, &understood), "a key is left out: {text}");
    if let Understood::Item(item) = &understood {
        heard.keep(change, text, Arc::clone(item));
    }
    understood
}

/// Every test that merges is one of what is asked for: the whole body says no more.
fn says_all(house: &House, change: &Change, text: &str, said: &Understood) -> bool {
    let whole = serde_json::from_str(text).map(|body| understand(house, change, &body));
    whole.map_or(matches!(said, Understood::Ended(End::Dead(_))), |whole| whole == *said)
}
