//! A bucket of points, as a remote keeps one for us: what is in it, what flies, what a call asks.
//!
//! Reads   the time it is given, what answers tell.   Writes  nothing.
//! Never   waits, nor looks at a clock: whoever asks does.
//!
//! A remote takes from its bucket what a call *asks*, and gives back what it did not *spend*. So
//! do we, a little earlier: the points are reserved when the call leaves and set right when its
//! answer comes. What the remote says is left bounds our own count from both sides:
//!
//! ```text
//! said left - what may not have arrived when it was said  <=  our count  <=  said left
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use kilter_core::manifest::Figures;

/// What a call is taken to ask whose like was never sent, as a share of the full bucket.
const FIRST_SHARE: f64 = 0.5;
/// Seconds of refill that stay in the bucket: a remote may refill it in steps.
const MARGIN_SECONDS: f64 = 1.0;
/// What an earlier, dearer call of the same kind still counts for.
const MEMORY: f64 = 0.9;
/// Most kinds of calls that are remembered.
const KINDS_MAX: usize = 1_000;
/// How long to wait where the remote says that it refills nothing.
const NO_REFILL: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub struct Bucket {
    known: Option<Known>,
    /// What calls in flight have reserved, and how many they are.
    reserved: f64,
    flying: usize,
    /// All that landed calls spent, ever.
    spent: f64,
    asked: BTreeMap<String, f64>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    left: f64,
    most: f64,
    refill: f64,
    at: Duration,
}

/// The right to send one call. It must land.
#[derive(Debug)]
pub struct Ticket {
    kind: String,
    points: f64,
    spent_before: f64,
}

/// What is to be done with a call now.
#[derive(Debug)]
pub enum Turn {
    Go(Ticket),
    Wait(Duration),
    /// Nothing is known of the bucket yet: until the call in flight has landed.
    WaitForAnswer,
}

impl Bucket {
    /// `kind`: what calls have in common that cost about the same.
    pub fn ask(&mut self, now: Duration, kind: &str) -> Turn {
        let points = match &mut self.known {
            None if self.flying > 0 => return Turn::WaitForAnswer,
            None => 0.0,
            Some(known) => {
                known.refill(now);
                let first = known.most * FIRST_SHARE;
                let points = self.asked.get(kind).copied().unwrap_or(first).min(known.most);
                let need = (points + known.refill * MARGIN_SECONDS).min(known.most);
                if known.left < need {
                    return Turn::Wait(known.until(need));
                }
                known.left -= points;
                points
            }
        };
        self.reserved += points;
        self.flying += 1;
        Turn::Go(Ticket { kind: kind.to_owned(), points, spent_before: self.spent })
    }

    /// A call's answer came. None: it never left, so it spent nothing.
    pub fn land(&mut self, now: Duration, ticket: Ticket, figures: Option<Figures>) {
        self.flying = self.flying.saturating_sub(1);
        self.reserved = if self.flying == 0 { 0.0 } else { self.reserved - ticket.points };
        let told = figures.unwrap_or_default();
        let spent = match (figures, told.spent) {
            (None, _) => 0.0,
            (_, Some(spent)) => spent,
            // Told how much is left and not what was spent: it was not let in.
            _ if told.left.is_some() => 0.0,
            _ => ticket.points,
        };
        if let Some(asked) = told.asked {
            if self.asked.len() >= KINDS_MAX {
                self.asked.clear();
            }
            let before = self.asked.get(&ticket.kind).copied().unwrap_or(0.0);
            self.asked.insert(ticket.kind, asked.max(before * MEMORY));
        }
        if let Some(known) = &mut self.known {
            known.refill(now);
            known.left = (known.left + ticket.points - spent).min(known.most);
        }
        if let Some(left) = told.left {
            let unseen = self.reserved + (self.spent - ticket.spent_before);
            self.learn(now, left, unseen, told);
        }
        self.spent += spent;
    }

    /// `unseen`: what may not have been in the bucket's count when it was told.
    fn learn(&mut self, now: Duration, left: f64, unseen: f64, told: Figures) {
        let before = self.known;
        let most = told.most.or(before.map(|k| k.most)).unwrap_or(left).max(left);
        let refill = told.refill.or(before.map(|k| k.refill)).unwrap_or(0.0);
        let least = left - unseen;
        let own = before.map_or(least, |k| k.left.clamp(least, left));
        self.known = Some(Known { left: own, most, refill, at: now });
    }
}

impl Known {
    fn refill(&mut self, now: Duration) {
        let seconds = now.saturating_sub(self.at).as_secs_f64();
        self.left = (self.left + seconds * self.refill).min(self.most);
        self.at = self.at.max(now);
    }

    fn until(&self, need: f64) -> Duration {
        if self.refill <= 0.0 {
            return NO_REFILL;
        }
        Duration::try_from_secs_f64((need - self.left) / self.refill).unwrap_or(NO_REFILL)
    }
}

/// How long a call waits that was not let in, in whole seconds.
pub fn wait_seconds(figures: Figures) -> Option<u32> {
    let (asked, left, refill) = (figures.asked?, figures.left?, figures.refill?);
    if refill <= 0.0 {
        return None;
    }
    let seconds = ((asked - left) / refill).ceil().clamp(1.0, 3600.0);
    // Between 1 and 3600: it fits.
    Some(seconds as u32)
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use proptest::prelude::*;

    use super::*;

    /// The remote's own bucket.
    struct Server {
        left: f64,
        most: f64,
        refill: f64,
        at: Duration,
        /// Refills in steps of so many milliseconds.
        step: u64,
        spent: f64,
        throttled: usize,
    }

    impl Server {
        fn answer(&mut self, now: Duration, asked: f64, spent: f64) -> Figures {
            let whole = |d: Duration| d.as_millis() as u64 / self.step;
            let seconds = (whole(now) - whole(self.at)) as f64 * self.step as f64 / 1000.0;
            self.left = (self.left + seconds * self.refill).min(self.most);
            self.at = now;
            let admitted = self.left >= asked;
            self.throttled += usize::from(!admitted);
            if admitted {
                self.left -= spent;
                self.spent += spent;
            }
            Figures {
                asked: Some(asked),
                spent: admitted.then_some(spent),
                left: Some(self.left),
                refill: Some(self.refill),
                most: Some(self.most),
            }
        }
    }

    #[derive(Debug, Clone)]
    struct World {
        refill: f64,
        step: u64,
        concurrency: usize,
        /// Kinds of calls: what each asks, and the share of it that it spends.
        kinds: Vec<(f64, f64)>,
        /// Which kind comes next, and its way there and back in milliseconds.
        calls: Vec<(usize, u64, u64)>,
        /// Every so many calls an answer is lost; 0: none.
        lost: usize,
    }

    enum Event {
        Arrives(usize),
        Lands(usize, Option<Figures>),
        Wakes,
    }

    const END_MS: u64 = 600_000;

    /// Work always waits. Returns the remote at the end.
    fn run(world: &World) -> Server {
        let most = world.refill * 20.0;
        let (refill, step) = (world.refill, world.step);
        let mut server =
            Server { left: most, most, refill, at: Duration::ZERO, step, spent: 0.0, throttled: 0 };
        let mut bucket = Bucket::default();
        let mut events = BinaryHeap::from([Reverse((0, 0))]);
        let mut what = vec![Some(Event::Wakes)];
        let mut tickets: Vec<Option<Ticket>> = Vec::new();
        let mut flying = 0;
        while let Some(Reverse((ms, n))) = events.pop() {
            if ms > END_MS {
                break;
            }
            let now = Duration::from_millis(ms);
            let taken = std::mem::take(&mut what[n]);
            let mut later_events = Vec::new();
            match taken.unwrap() {
                Event::Arrives(call) => {
                    let (kind, _, back) = world.calls[call % world.calls.len()];
                    let (asked, share) = world.kinds[kind % world.kinds.len()];
                    let asked = asked * most;
                    let figures = server.answer(now, asked, asked * share);
                    let lost = world.lost > 0 && call % world.lost == world.lost - 1;
                    later_events.push((ms + back, Event::Lands(call, (!lost).then_some(figures))));
                }
                Event::Lands(call, figures) => {
                    let ticket = tickets[call].take().unwrap();
                    flying -= 1;
                    bucket.land(now, ticket, Some(figures.unwrap_or_default()));
                }
                Event::Wakes => {}
            }
            while flying < world.concurrency {
                let call = tickets.len();
                let (kind, there, _) = world.calls[call % world.calls.len()];
                match bucket.ask(now, &(kind % world.kinds.len()).to_string()) {
                    Turn::Go(ticket) => {
                        tickets.push(Some(ticket));
                        flying += 1;
                        later_events.push((ms + there, Event::Arrives(call)));
                    }
                    Turn::Wait(wait) => {
                        later_events.push((ms + wait.as_millis() as u64 + 1, Event::Wakes));
                        break;
                    }
                    Turn::WaitForAnswer => break,
                }
            }
            for (at, event) in later_events {
                events.push(Reverse((at, what.len())));
                what.push(Some(event));
            }
        }
        server
    }

    fn worlds() -> impl Strategy<Value = World> {
        let kinds = prop::collection::vec((0.03..0.5_f64, 0.5..1.0_f64), 1..5);
        let calls = prop::collection::vec((0..5_usize, 5..150_u64, 5..250_u64), 1..60);
        let refill = prop::sample::select(vec![100.0, 200.0, 1000.0]);
        let step = prop::sample::select(vec![1_u64, 100, 1000]);
        (refill, step, 2..8_usize, kinds, calls, prop::sample::select(vec![0_usize, 7, 40]))
            .prop_map(|(refill, step, concurrency, kinds, calls, lost)| World {
                refill,
                step,
                concurrency,
                kinds,
                calls,
                lost,
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Alone on its bucket, and with work that waits.
        #[test]
        fn it_never_overdraws_and_leaves_nothing_unused(world in worlds()) {
            let server = run(&world);
            let budget = server.most + server.refill * (END_MS as f64 / 1000.0);
            prop_assert_eq!(server.throttled, 0);
            prop_assert!(server.spent >= 0.95 * budget, "{} of {budget}", server.spent);
        }
    }

    fn told(asked: f64, spent: Option<f64>, left: f64) -> Figures {
        Figures {
            asked: Some(asked),
            spent,
            left: Some(left),
            refill: Some(100.0),
            most: Some(2000.0),
        }
    }

    fn go(turn: Turn) -> Ticket {
        match turn {
            Turn::Go(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_call_goes_alone() {
        let mut bucket = Bucket::default();
        let first = go(bucket.ask(Duration::ZERO, "a"));
        assert!(matches!(bucket.ask(Duration::ZERO, "b"), Turn::WaitForAnswer));
        bucket.land(Duration::ZERO, first, Some(told(500.0, Some(300.0), 1700.0)));
        // A known one asks what it asked; one never seen asks half the bucket.
        go(bucket.ask(Duration::ZERO, "a"));
        go(bucket.ask(Duration::ZERO, "b"));
        let Turn::Wait(wait) = bucket.ask(Duration::ZERO, "a") else { panic!() };
        assert_eq!(wait, Duration::from_secs(4));
    }

    #[test]
    fn a_call_that_was_not_let_in_sets_the_bucket() {
        let mut bucket = Bucket::default();
        let first = go(bucket.ask(Duration::ZERO, "a"));
        let figures = told(862.0, None, 572.0);
        bucket.land(Duration::ZERO, first, Some(figures));
        assert_eq!(wait_seconds(figures), Some(3));
        let Turn::Wait(wait) = bucket.ask(Duration::ZERO, "a") else { panic!() };
        assert_eq!(wait, Duration::from_millis(3900));
        go(bucket.ask(Duration::from_secs(4), "a"));
    }

    #[test]
    fn what_never_left_is_given_back() {
        let mut bucket = Bucket::default();
        let first = go(bucket.ask(Duration::ZERO, "a"));
        bucket.land(Duration::ZERO, first, Some(told(900.0, Some(900.0), 1100.0)));
        let second = go(bucket.ask(Duration::ZERO, "a"));
        assert!(matches!(bucket.ask(Duration::ZERO, "a"), Turn::Wait(_)));
        bucket.land(Duration::ZERO, second, None);
        go(bucket.ask(Duration::ZERO, "a"));
    }
}
