//! The totals and taxes of an order, always computed from its lines, shipping, fees and coupons.
//!
//! Reads   tax settings, product prices.
//! Writes  the order at hand.
//! Never   takes a total from a body.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::model::{CouponLine, Line, Order, Product, Totals};
use super::money::{self, round};
use super::shop::Shop;
use super::text;

impl Shop {
    /// Percent of a tax class.
    pub fn rate(&self, class: &str) -> Decimal {
        match class {
            _ if self.settings.tax_rate.is_zero() => Decimal::ZERO,
            "reduced-rate" => self.settings.reduced_tax_rate,
            "zero-rate" => Decimal::ZERO,
            _ => self.settings.tax_rate,
        }
    }

    fn rate_id(class: &str) -> u64 {
        match class {
            "reduced-rate" => 2,
            "zero-rate" => 3,
            _ => 1,
        }
    }

    /// What `quantity` of a product costs without tax.
    pub fn net(&self, product: &Product, quantity: i64) -> Decimal {
        let price = text::decimal(&self.price(product)).unwrap_or_default();
        let amount = price * Decimal::from(quantity);
        let rate = self.rate(product.field("tax_class"));
        if !self.settings.prices_include_tax || rate.is_zero() {
            return amount;
        }
        let hundred = Decimal::ONE_HUNDRED;
        let tax = round(amount - amount * hundred / (hundred + rate), 6);
        amount - tax
    }

    /// Tax of a net amount: unrounded (six places) and as it is charged.
    fn tax(&self, amount: Decimal, class: &str, taxable: bool) -> (Decimal, Decimal) {
        if !taxable {
            return (Decimal::ZERO, Decimal::ZERO);
        }
        let exact = round(amount * self.rate(class) / Decimal::ONE_HUNDRED, 6);
        let places = self.settings.decimals;
        let charged = if self.settings.prices_include_tax {
            money::round_down(exact, places)
        } else {
            round(exact, places)
        };
        (exact, charged)
    }

    pub fn total_up(&self, order: &mut Order) {
        let places = self.settings.decimals;
        let mut totals = Totals::default();
        let mut sum = Decimal::ZERO;
        for line in &mut order.lines {
            line.subtotal_tax = self.tax(line.subtotal, &line.tax_class, line.taxable).1;
            line.total_tax = self.tax(line.total, &line.tax_class, line.taxable).1;
            totals.discount += line.subtotal - line.total;
            totals.discount_tax += line.subtotal_tax - line.total_tax;
            totals.cart_tax += line.total_tax;
            sum += round(line.total, places);
        }
        for fee in &mut order.fees {
            fee.total_tax = self.tax(fee.total, &fee.tax_class, fee.taxable).1;
            totals.cart_tax += fee.total_tax;
            sum += round(fee.total, places);
        }
        for shipping in &mut order.shipping_lines {
            shipping.total_tax = self.tax(shipping.total, "", shipping.taxable).1;
            totals.shipping += shipping.total;
            totals.shipping_tax += shipping.total_tax;
        }
        let charged = round(totals.shipping, places) + totals.cart_tax + totals.shipping_tax;
        totals.total = sum + charged;
        order.totals = totals;
    }

    /// `taxes` of a line: one entry per rate that applies.
    pub fn line_taxes(&self, line: &Line) -> Value {
        if self.settings.tax_rate.is_zero() || !line.taxable || line.empty {
            return json!([]);
        }
        let total = self.tax(line.total, &line.tax_class, true).0;
        let subtotal = self.tax(line.subtotal, &line.tax_class, true).0;
        json!([{
            "id": Self::rate_id(&line.tax_class),
            "total": total.normalize().to_string(),
            "subtotal": subtotal.normalize().to_string(),
        }])
    }

    pub fn charge_taxes(&self, amount: Decimal, class: &str, taxable: bool) -> Value {
        if self.settings.tax_rate.is_zero() || !taxable {
            return json!([]);
        }
        let tax = self.tax(amount, class, true).0.normalize().to_string();
        json!([{ "id": Self::rate_id(class), "total": tax, "subtotal": "" }])
    }

    /// `tax_lines`: the tax of the order by rate.
    pub fn tax_lines(&self, order: &Order, dp: u32) -> Value {
        if self.settings.tax_rate.is_zero() {
            return json!([]);
        }
        let country = self.settings.locale.split('_').nth(1).unwrap_or("DE").to_owned();
        let mut out = Vec::new();
        for class in ["", "reduced-rate"] {
            let same = |other: &str| Self::rate_id(other) == Self::rate_id(class);
            let lines = order.lines.iter().filter(|l| same(&l.tax_class) && l.taxable && !l.empty);
            let fees = order.fees.iter().filter(|f| same(&f.tax_class) && f.taxable);
            let shipping = order.shipping_lines.iter().filter(|s| s.taxable && class.is_empty());
            let used = lines.clone().count() + fees.clone().count() + shipping.clone().count();
            if used == 0 {
                continue;
            }
            let tax: Decimal = lines.map(|l| l.total_tax).chain(fees.map(|f| f.total_tax)).sum();
            let shipping: Decimal = shipping.map(|s| s.total_tax).sum();
            let id = Self::rate_id(class);
            out.push(json!({
                "id": order.id * 1000 + id, "rate_code": format!("{country}-VAT-{id}"),
                "rate_id": id, "label": "VAT", "compound": false,
                "tax_total": money::text(tax, dp),
                "shipping_tax_total": money::text(shipping, dp),
                "rate_percent": money::number(self.rate(class)), "meta_data": [],
            }));
        }
        Value::Array(out)
    }

    /// Takes the order's coupons off its lines, cent by cent.
    pub fn take_coupons(&self, order: &mut Order) {
        for line in &mut order.lines {
            line.total = line.subtotal;
        }
        let places = self.settings.decimals;
        let mut coupons = std::mem::take(&mut order.coupons);
        for coupon in &mut coupons {
            let before: Decimal = order.lines.iter().map(|l| l.total).sum();
            let wanted = wanted(coupon, order, before, places);
            let mut left = wanted;
            let count = order.lines.len();
            for (at, line) in order.lines.iter_mut().enumerate() {
                let share = if before.is_zero() { Decimal::ZERO } else { line.total / before };
                let share = if at + 1 == count {
                    left
                } else {
                    (wanted * share)
                        .round_dp_with_strategy(places, rust_decimal::RoundingStrategy::ToZero)
                };
                let share = share.min(line.total).max(Decimal::ZERO);
                line.total -= share;
                left -= share;
                let tax = self.tax(share, &line.tax_class, line.taxable).1;
                coupon.discount_tax += tax;
                coupon.discount += share;
            }
        }
        order.coupons = coupons;
    }
}

/// What one coupon takes off altogether.
fn wanted(coupon: &mut CouponLine, order: &Order, before: Decimal, places: u32) -> Decimal {
    coupon.discount = Decimal::ZERO;
    coupon.discount_tax = Decimal::ZERO;
    let amount = match coupon.kind.as_str() {
        "percent" => before * coupon.amount / Decimal::ONE_HUNDRED,
        "fixed_product" => {
            let units: i64 = order.lines.iter().map(|l| l.quantity).sum();
            coupon.amount * Decimal::from(units)
        }
        _ => coupon.amount,
    };
    round(amount.min(before), places)
}
