//! Orders and parcels: what was sold, held against the ERP's orders and the shops' own.
//!
//! Reads   the script, the ERP's orders, the shops' orders.
//! Writes  rows of the verdict.
//! Never   trusts a reference where the content says something else.

use std::collections::{BTreeMap, BTreeSet};

use super::erp::Order;
use super::script::{Sale, Script};
use super::shops::{Facts, ShopOrder};
use super::verdict::{EXAMPLES_MAX, Example, Orders, Row};

/// Who bought what: what an order is, whatever its reference says.
type Content<'a> = (&'a str, &'a [(String, i64)]);

/// Which orders of the ERP stand for which sale.
pub struct Ledger<'a> {
    sales: &'a [Sale],
    orders: &'a [Order],
    /// By sale: places in `orders`, the confirmed ones first.
    found: Vec<Vec<usize>>,
    stray: Vec<usize>,
    /// Sales that only their reference found: buyer or lines differ.
    changed: BTreeSet<usize>,
}

impl<'a> Ledger<'a> {
    pub fn new(script: &'a Script, orders: &'a [Order]) -> Self {
        let sales = script.sales.as_slice();
        let mut by_content: BTreeMap<Content<'_>, Vec<usize>> = BTreeMap::new();
        for (at, order) in orders.iter().enumerate() {
            by_content.entry((&order.email, &order.lines)).or_default().push(at);
        }
        let mut used = BTreeSet::new();
        let mut found: Vec<Vec<usize>> = Vec::new();
        for sale in sales {
            let key = (sale.email.as_str(), sale.lines.as_slice());
            let mut places = by_content.get(&key).cloned().unwrap_or_default();
            places.sort_by_key(|at| !orders[*at].is_confirmed());
            used.extend(places.iter().copied());
            found.push(places);
        }
        let mut changed = BTreeSet::new();
        for (sale, places) in found.iter_mut().enumerate().filter(|(_, places)| places.is_empty()) {
            let named = (0..orders.len())
                .filter(|at| !used.contains(at))
                .find(|at| refers(&orders[*at].reference, &sales[sale]));
            if let Some(at) = named {
                used.insert(at);
                places.push(at);
                changed.insert(sale);
            }
        }
        let stray = (0..orders.len()).filter(|at| !used.contains(at)).collect();
        Self { sales, orders, found, stray, changed }
    }

    /// The ERP's order of a sale, once it is confirmed and says the same.
    pub fn confirmed(&self, sale: usize) -> Option<&'a Order> {
        let order = &self.orders[*self.found[sale].first()?];
        Some(order).filter(|order| order.is_confirmed() && !self.changed.contains(&sale))
    }

    pub fn confirmed_count(&self) -> usize {
        (0..self.sales.len()).filter(|sale| self.confirmed(*sale).is_some()).count()
    }

    /// SKU → units that a shop has sold and the ERP's forecast does not know of.
    pub fn unsettled(&self) -> BTreeMap<String, i64> {
        let mut units = BTreeMap::new();
        for (at, sale) in self.sales.iter().enumerate() {
            let known = self.found[at].iter().any(|order| self.orders[*order].is_confirmed());
            if !known {
                for (sku, quantity) in &sale.lines {
                    *units.entry(sku.clone()).or_default() += quantity;
                }
            }
        }
        units
    }

    /// SKU → units that the ERP's confirmed orders have promised.
    pub fn promised(&self) -> BTreeMap<String, i64> {
        let mut units = BTreeMap::new();
        for (sku, quantity) in
            self.orders.iter().filter(|order| order.is_confirmed()).flat_map(|order| &order.lines)
        {
            *units.entry(sku.clone()).or_default() += quantity;
        }
        units
    }

    pub fn judge(&self, script: &Script, wanted: usize) -> (Orders, Row) {
        let refused = script.refused.iter().filter(|(_, _, meant)| *meant).count();
        let mut orders = Orders { wanted, placed: self.sales.len(), refused, ..Orders::default() };
        let mut row = Row::new("erp", "orders");
        for (at, sale) in self.sales.iter().enumerate() {
            self.sale(at, sale, &mut orders, &mut row);
        }
        for at in &self.stray {
            let order = &self.orders[*at];
            orders.stray += 1;
            let what = format!("{} ({})", order.name, order.reference);
            row.extra(&what, "nothing", "an order that nobody placed so");
            note(&mut orders, &what, "nothing", "an order that nobody placed so");
        }
        (orders, row)
    }

    fn sale(&self, at: usize, sale: &Sale, orders: &mut Orders, row: &mut Row) {
        let what = format!("{} order {}", sale.shop, sale.number);
        let places = &self.found[at];
        let Some(first) = places.first().map(|at| &self.orders[*at]) else {
            orders.missing += 1;
            note(orders, &what, "one order in the ERP", "none");
            return row.wrong(&what, "one order in the ERP", "none");
        };
        let (expected, found) = if self.changed.contains(&at) {
            let say = |email: &str, lines: &[(String, i64)]| format!("{email}: {lines:?}");
            orders.missing += 1;
            (say(&sale.email, &sale.lines), say(&first.email, &first.lines))
        } else if first.is_confirmed() {
            orders.in_erp += 1;
            let expected = format!("{} {}", sale.total, sale.currency);
            let found = format!("{} {}", first.total, first.currency);
            orders.wrong_totals += usize::from(expected != found);
            (expected, found)
        } else {
            orders.parked += 1;
            ("a confirmed order".to_owned(), format!("{}, {}", first.name, first.state))
        };
        let names: Vec<&str> = places.iter().map(|at| self.orders[*at].name.as_str()).collect();
        if names.len() > 1 {
            orders.duplicated += names.len() - 1;
            note(orders, &what, "one order in the ERP", &names.join(", "));
            return row.wrong(&what, "one order in the ERP", &names.join(", "));
        }
        if expected != found {
            note(orders, &what, &expected, &found);
        }
        row.compare(&what, &expected, &found);
    }
}

fn note(orders: &mut Orders, what: &str, expected: &str, found: &str) {
    if orders.examples.len() < EXAMPLES_MAX {
        let (what, expected, found) = (what.to_owned(), expected.to_owned(), found.to_owned());
        orders.examples.push(Example { what, expected, found });
    }
}

/// A reference that names the shop, and the order's number among its parts.
fn refers(reference: &str, sale: &Sale) -> bool {
    let reference = reference.to_lowercase();
    let mut parts = reference.split(|c: char| !c.is_alphanumeric());
    reference.contains(sale.shop) && parts.any(|part| part == sale.number.to_lowercase())
}

/// What a shop shows of its own orders: there, paid the same, and shipped if the ERP shipped.
pub fn in_shop(shop: &Facts, script: &Script, shown: &[ShopOrder]) -> Vec<Row> {
    let name = shop.name;
    let mut orders = Row::new(name, "orders");
    let mut shipments = Row::new(name, "shipments");
    let known: BTreeMap<u64, &ShopOrder> = shown.iter().map(|order| (order.id, order)).collect();
    for sale in script.sales.iter().filter(|sale| sale.shop == name) {
        let what = format!("order {}", sale.number);
        let shipped = script.parcels.iter().any(|p| p.shop == name && p.order == sale.id);
        let expected = format!("{}, {}", if shipped { "shipped" } else { "open" }, sale.total);
        let found = known
            .get(&sale.id)
            .map_or("missing".to_owned(), |order| format!("{}, {}", order.state, order.total));
        orders.compare(&what, &expected, &found);
    }
    for parcel in script.parcels.iter().filter(|parcel| parcel.shop == name) {
        let what = format!("order {}", parcel.order);
        let expected = format!("{} {}", parcel.carrier, parcel.tracking);
        let shown = known.get(&parcel.order).map_or(String::new(), |o| o.parcels.join(", "));
        shipments.compare(&what, &expected, &shown);
    }
    vec![orders, shipments]
}
