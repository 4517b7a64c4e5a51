//! Spread: which of what is open of a whole (an order, in a shop) a part of it (a parcel) closes.
//!
//! Reads   the part's lines, the whole's object as it was last read.   Writes  nothing.
//! Never   closes more than is open, what the remote holds back, or a piece that it does not name.
//!
//! | the part                                | what is open there              | plan              |
//! |-----------------------------------------|---------------------------------|-------------------|
//! | names only lines of the whole           | that much, at one place         | these pieces      |
//! | names none, or another (a kit's pieces) | anything, and `whole_if` holds  | all that is open  |
//! | the same, and `whole_if` does not hold  |                                 | nothing yet       |
//! | any                                     | held back there                 | waits, looks again |
//! | any                                     | less, or at several places      | held, with why    |

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde_json::json;

use crate::Json;
use crate::manifest::{Spread, plain, render};
use crate::model::record::{fold, record_of};
use crate::model::{Object, ObjectId, RecordId, Rows, Seq, WaitKind};
use crate::sync::derive::decimal;
use crate::sync::house::View;
use crate::sync::plan::{Plan, Stop, over, stop};
use crate::sync::world::{Key, World};
use crate::sync::{reference, seat, words};

/// A value of `held` that says it is not held back.
const NOT_HELD: &str = "no";

/// One line of a part.
struct Line {
    variant: Option<RecordId>,
    sku: String,
    quantity: Decimal,
}

impl Line {
    fn is(&self, other: &Self) -> bool {
        same((self.variant, &self.sku), (other.variant, &other.sku))
    }
}

/// Two variants that are known say it. Else the SKU, which a deleted variant leaves behind.
fn same(one: (Option<RecordId>, &str), two: (Option<RecordId>, &str)) -> bool {
    match (one.0, two.0) {
        (Some(one), Some(two)) => one == two,
        _ => !one.1.is_empty() && fold(one.1) == fold(two.1),
    }
}

/// One item of what is open.
#[derive(Clone)]
struct Open {
    group: Json,
    place: String,
    /// Why it cannot be closed now; empty where it can.
    held: String,
    id: Json,
    variant: Option<RecordId>,
    sku: String,
    left: Decimal,
}

impl Open {
    fn is(&self, line: &Line) -> bool {
        same((self.variant, &self.sku), (line.variant, &line.sku))
    }
}

/// What comes before a create of a part: nothing of it yet, or its whole is read first.
pub(super) fn before(
    view: &View<'_>,
    world: &mut World,
    root: RecordId,
    fresh_since: Seq,
) -> Option<Plan> {
    let spread = view.resource.spread.as_ref()?;
    let nameless = lines(view, world, root, spread).is_empty();
    if nameless && !seat::meets(view, world, root, &spread.whole_if) {
        return Some(Plan::Nothing);
    }
    let whole = over(view, world, root).filter(|whole| whole.remote.is_some())?;
    // What was closed since it was read is read first, whoever closed it.
    let stale = fresh_since > 0 && (whole.asked < fresh_since || whole.look.is_some());
    stale.then_some(Plan::ReadAbove(whole.id))
}

/// `$parent` of a part: what it closes, as the templates say it.
pub(super) fn spread(
    view: &View<'_>,
    world: &mut World,
    root: RecordId,
    spread: &Spread,
) -> Result<Json, Stop> {
    let Some(whole) = over(view, world, root).filter(|whole| whole.remote.is_some()) else {
        let reason = format!("waits for what it is part of in {}", view.connection.name);
        return stop(WaitKind::Parked, reason, None);
    };
    let mut open = open(view, world, &whole);
    if spread.closed {
        close(view, world, (root, &whole), spread, &mut open);
    }
    let said = Said::of(view, world, root, &whole);
    if open.iter().all(|item| item.left.is_zero()) {
        let Said { part, whole, here } = &said;
        let reason = format!("nothing of {whole} is open in {here} any more: {part} is not told");
        return stop(WaitKind::Parked, reason, None);
    }
    let lines = lines(view, world, root, spread);
    if lines.is_empty() {
        return all(view, spread, &open, &said);
    }
    if let Some(odd) = lines.iter().find(|line| !line.quantity.is_integer()) {
        let Said { part, here, .. } = &said;
        let reason = format!(
            "{part} holds {} × {}, and {here} counts whole pieces: tell it there by hand",
            odd.quantity.normalize(),
            odd.sku
        );
        return stop(WaitKind::Held, reason, None);
    }
    let free: Vec<Open> = open.iter().filter(|item| item.held.is_empty()).cloned().collect();
    if let Some(taken) = at_one_place(&free, &lines) {
        return Ok(told(view, spread, &taken));
    }
    if let Some(taken) = at_one_place(&open, &lines) {
        return said.held_back(taken.iter().map(|(item, _)| item));
    }
    match take(&open, &lines) {
        Ok(_) => said.several_places(),
        Err((line, left)) => said.more_than_open(line, left),
    }
}

/// A part that names nothing: all that is open, at its one place.
fn all(view: &View<'_>, spread: &Spread, open: &[Open], said: &Said) -> Result<Json, Stop> {
    let open: Vec<&Open> = open.iter().filter(|item| !item.left.is_zero()).collect();
    if open.iter().any(|item| !item.held.is_empty()) {
        return said.held_back(open.into_iter());
    }
    if open.iter().any(|item| item.place != open[0].place) {
        return said.several_places();
    }
    if spread.group.is_some() {
        // All of a group is said by its name alone.
        let groups = open.iter().map(|item| ((*item).clone(), Decimal::ZERO)).collect::<Vec<_>>();
        return Ok(told(view, spread, &groups));
    }
    let items: Vec<_> = open.into_iter().map(|item| (item.clone(), item.left)).collect();
    Ok(told(view, spread, &items))
}

/// The first place at which there is enough of every line.
fn at_one_place(open: &[Open], lines: &[Line]) -> Option<Vec<(Open, Decimal)>> {
    let mut places: Vec<&str> = Vec::new();
    for item in open {
        if !places.contains(&item.place.as_str()) {
            places.push(&item.place);
        }
    }
    places.into_iter().find_map(|place| {
        let here: Vec<Open> = open.iter().filter(|item| item.place == place).cloned().collect();
        take(&here, lines).ok()
    })
}

/// Takes each line out of what is open, in its order. Err: the first of which there is less.
fn take<'l>(open: &[Open], lines: &'l [Line]) -> Result<Vec<(Open, Decimal)>, (&'l Line, Decimal)> {
    let mut left: Vec<Decimal> = open.iter().map(|item| item.left).collect();
    let mut taken = vec![Decimal::ZERO; open.len()];
    for line in lines {
        let mut wanted = line.quantity;
        for (at, _) in open.iter().enumerate().filter(|(_, item)| item.is(line)) {
            let part = wanted.min(left[at]);
            left[at] -= part;
            taken[at] += part;
            wanted -= part;
        }
        if !wanted.is_zero() {
            let there = open.iter().filter(|item| item.is(line)).map(|item| item.left).sum();
            return Err((line, there));
        }
    }
    let pairs = open.iter().cloned().zip(taken);
    Ok(pairs.filter(|(_, quantity)| !quantity.is_zero()).collect())
}

/// As the templates say it. A quantity of zero: all of its group.
fn told(view: &View<'_>, spread: &Spread, taken: &[(Open, Decimal)]) -> Json {
    let vars = view.connection.vars("");
    let mut groups: Vec<(&Json, Vec<Json>)> = Vec::new();
    for (item, quantity) in taken {
        let mut own = vars.clone();
        own.insert("id".into(), item.id.clone());
        own.insert("quantity".into(), json!(quantity.to_i64().unwrap_or_default()));
        let one = render(&spread.item, &own).filter(|_| !quantity.is_zero());
        match groups.iter_mut().find(|(group, _)| *group == &item.group) {
            Some((_, items)) => items.extend(one),
            None => groups.push((&item.group, one.into_iter().collect())),
        }
    }
    let Some(template) = &spread.group else {
        return groups.into_iter().flat_map(|(_, items)| items).collect();
    };
    let group = |(group, items): (&Json, Vec<Json>)| {
        let mut own: BTreeMap<String, Json> = vars.clone();
        own.insert("group".into(), group.clone());
        if !items.is_empty() {
            own.insert("items".into(), Json::Array(items));
        }
        render(template, &own)
    };
    groups.into_iter().filter_map(group).collect()
}

/// The part's lines; none where one of them is no line of the whole (a kit's piece, a gift).
fn lines(view: &View<'_>, world: &mut World, root: RecordId, spread: &Spread) -> Vec<Line> {
    let own = lines_of(world, root, &spread.lines);
    let whole = view.resource.parent.as_ref().and_then(|parent| {
        let facet = view.resource.facets.iter().find(|f| f.name == parent.facet)?;
        seat::facet_record(view, world, root, facet)
    });
    let Some(whole) = whole else { return own };
    let sold = lines_of(world, whole, &spread.lines);
    if own.iter().all(|line| sold.iter().any(|other| other.is(line))) { own } else { Vec::new() }
}

fn lines_of(world: &mut World, record: RecordId, field: &str) -> Vec<Line> {
    let list = world.record(record).and_then(|r| r.value(field, "")).cloned();
    let mut out: Vec<Line> = Vec::new();
    for item in list.as_ref().and_then(Json::as_array).into_iter().flatten() {
        let quantity = item.get("quantity").and_then(decimal).unwrap_or_default();
        let variant = item.get("variant").and_then(record_of);
        let sku = item.get("sku").and_then(Json::as_str).map(str::to_owned);
        let key = || world.record(variant?).and_then(|r| r.key.clone()).map(String::from);
        let sku = sku.or_else(key).unwrap_or_default();
        let line = Line { variant, sku, quantity };
        match out.iter_mut().find(|known| known.is(&line)) {
            Some(known) => known.quantity += quantity,
            None if quantity > Decimal::ZERO => out.push(line),
            None => {}
        }
    }
    out
}

/// What the whole showed as open when it was last read.
fn open(view: &View<'_>, world: &mut World, whole: &Object) -> Vec<Open> {
    let row = view.resource.parent.as_ref().and_then(|p| p.row.as_ref());
    let list = row.and_then(|row| whole.shadow.get(row.as_str())).and_then(Json::as_array).cloned();
    let mut out = Vec::new();
    for item in list.into_iter().flatten() {
        let item = reference::resolve(view, world, &item);
        let text = |name: &str| item.get(name).and_then(Json::as_str).unwrap_or_default();
        let held = Some(text("held")).filter(|held| *held != NOT_HELD).unwrap_or_default();
        out.push(Open {
            group: item.get("group").cloned().unwrap_or_default(),
            place: text("place").to_owned(),
            held: held.replace('_', " "),
            id: item.get("id").cloned().unwrap_or_default(),
            variant: item.get("variant").and_then(record_of),
            sku: text("sku").to_owned(),
            left: item.get("open").and_then(|n| plain(n).parse().ok()).unwrap_or_default(),
        });
    }
    out
}

/// Takes out what other parts of the whole closed, where the remote itself does not show it.
fn close(
    view: &View<'_>,
    world: &mut World,
    (root, whole): (RecordId, &Object),
    spread: &Spread,
    open: &mut [Open],
) {
    let parent = view.resource.parent.as_ref();
    let facet = parent.and_then(|p| view.resource.facets.iter().find(|f| f.name == p.facet));
    let (Some(field), Some(order)) = (facet.and_then(|f| f.of.clone()), whole.root) else { return };
    let entity = view.resource.root.clone();
    for other in world.ids(&Key::Referrers(entity.into(), field.into(), order)) {
        let object = world.object_of_root(&view.connection.name, &view.resource.name, other);
        let live = object.and_then(|id| world.object(id)).is_some_and(|o| o.remote.is_some());
        if other == root || !live {
            continue;
        }
        let lines = lines(view, world, other, spread);
        if lines.is_empty() {
            open.iter_mut().for_each(|item| item.left = Decimal::ZERO);
        }
        for line in lines {
            let mut wanted = line.quantity;
            for item in open.iter_mut().filter(|item| item.is(&line)) {
                let part = wanted.min(item.left);
                item.left -= part;
                wanted -= part;
            }
        }
    }
}

/// Does what is open of a whole differ? Then its parts look again, those that were refused too.
pub(super) fn moved(view: &View<'_>, before: &Object, rows: &Rows) -> bool {
    view.connector.resources.iter().filter(|r| r.spread.is_some()).any(|resource| {
        let parent = resource.parent.as_ref().filter(|p| p.resource == view.resource.name);
        let row = parent.and_then(|p| p.row.as_ref());
        row.is_some_and(|row| before.shadow.get(row.as_str()) != rows.get(row.as_str()))
    })
}

/// Does closing this part change what is open of its whole? The whole, then.
pub fn closes(view: &View<'_>, world: &mut World, root: RecordId) -> Option<ObjectId> {
    view.resource.spread.as_ref()?;
    over(view, world, root).map(|whole| whole.id)
}

/// The names that its sentences bear.
struct Said {
    part: String,
    whole: String,
    here: String,
}

impl Said {
    fn of(view: &View<'_>, world: &mut World, root: RecordId, whole: &Object) -> Self {
        let record = world.record(root).cloned();
        let number = record.as_ref().and_then(|r| r.text("tracking")).filter(|t| !t.is_empty());
        let own = number.or_else(|| record.as_ref().and_then(|r| r.key.as_deref()));
        let of = whole.root.and_then(|id| world.record(id));
        Self {
            part: format!("the parcel {}", own.unwrap_or_default()),
            whole: of.and_then(words::named).unwrap_or("its order").to_owned(),
            here: view.connection.name.clone(),
        }
    }

    fn held_back<'o, T>(&self, items: impl Iterator<Item = &'o Open>) -> Result<T, Stop> {
        let Self { part, whole, here } = self;
        let mut why = items.map(|item| item.held.as_str()).filter(|held| !held.is_empty());
        let why = why.next().unwrap_or_default();
        let reason =
            format!("{here} holds {whole} back ({why}): release it there, then {part} is told");
        stop(WaitKind::Later, reason, None)
    }

    fn several_places<T>(&self) -> Result<T, Stop> {
        let Self { part, whole, here } = self;
        let reason = format!(
            "{here} sends {whole} from several places, and {part} is one: move its goods to one \
             place there, or tell it there by hand"
        );
        stop(WaitKind::Held, reason, None)
    }

    fn more_than_open<T>(&self, line: &Line, left: Decimal) -> Result<T, Stop> {
        let Self { part, whole, here } = self;
        let reason = format!(
            "{part} holds {} × {}, of which {here} has {} open of {whole}: was it sent, cancelled \
             or given back there? It goes on once that much is open",
            line.quantity.normalize(),
            line.sku,
            left.normalize()
        );
        stop(WaitKind::Held, reason, None)
    }
}
