//! The demo's catalogue: what the ERP holds at the start, its ugly cases among it.
//!
//! Reads   a seed and a scale.
//! Writes  nothing.
//! Never   repeats a SKU, but for the one pair that differs by case alone.

use rust_decimal::Decimal;

use super::dice::Dice;
use super::script::{B2B_USD, RETAIL_EUR};
use super::words::{COLOURS, NOUNS, SERIES, SINGLES, SIZES};

/// Products with variations, and without, at scale 1; with the ugly cases on top.
const VARIABLE: usize = 150;
const SIMPLE: usize = 60;

/// Two SKUs that a shop which ignores case takes for one.
pub const CASE_PAIR: [&str; 2] = ["KLT-Case-1", "KLT-CASE-1"];
pub const LONG_SKU: &str = "KLT-LONG-0123456789-ABCDEFGHIJKLMNOPQRST";
pub const ZERO_SKU: &str = "000471";
pub const PENNY_SKU: &str = "KLT-PENNY";

#[derive(Debug, Clone)]
pub struct Variant {
    pub sku: String,
    pub barcode: Option<String>,
    pub weight: Decimal,
    /// Attribute to value.
    pub options: Vec<(&'static str, &'static str)>,
    pub eur: Decimal,
    pub usd: Decimal,
    /// What business customers pay, in dollars.
    pub b2b: Decimal,
    pub main: i64,
    pub west: i64,
}

impl Variant {
    /// What it costs at the start, in that list of the ERP.
    pub fn price(&self, list: &str) -> Decimal {
        match list {
            RETAIL_EUR => self.eur,
            B2B_USD => self.b2b,
            _ => self.usd,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Template {
    pub english: String,
    pub german: String,
    pub variants: Vec<Variant>,
    /// Why no shop that ignores case can take it; predicted, so no fault there.
    pub clash: Option<&'static str>,
}

impl Template {
    pub fn is_simple(&self) -> bool {
        self.variants.len() == 1 && self.variants[0].options.is_empty()
    }
}

#[derive(Debug, Clone)]
pub struct Catalogue {
    pub templates: Vec<Template>,
}

impl Catalogue {
    pub fn new(seed: u64, scale: u32) -> Self {
        let scale = usize::try_from(scale.max(1)).unwrap_or(1);
        let mut maker = Maker { dice: Dice::new(seed, "catalogue"), barcodes: 0 };
        let mut templates: Vec<Template> =
            (0..VARIABLE * scale).map(|number| maker.variable(number)).collect();
        templates.extend((0..SIMPLE * scale).map(|number| maker.simple(number)));
        templates.push(maker.wide());
        templates.extend(maker.ugly());
        Self { templates }
    }

    /// What every shop can take.
    pub fn sellable(&self) -> impl Iterator<Item = &Template> {
        self.templates.iter().filter(|template| template.clash.is_none())
    }

    pub fn variants(&self) -> impl Iterator<Item = (&Template, &Variant)> {
        self.templates.iter().flat_map(|t| t.variants.iter().map(move |v| (t, v)))
    }
}

/// Cents as an amount.
pub fn cents(amount: i64) -> Decimal {
    Decimal::new(amount, 2)
}

struct Maker {
    dice: Dice,
    barcodes: u64,
}

impl Maker {
    fn variable(&mut self, number: usize) -> Template {
        let (code, english, german) = NOUNS[number % NOUNS.len()];
        let (english, german) = titles(english, german, number / NOUNS.len());
        let base = self.dice.between(9, 89) * 100;
        let colours = self.some(COLOURS.len(), 2 + number % 2);
        let first_size = self.dice.below(4);
        let sizes: Vec<usize> = (first_size..first_size + 2 + number % 3).collect();
        let code = format!("{code}-{:04}", number + 1);
        let variants = self.grid(&code, base, &colours, &sizes);
        Template { english, german, variants, clash: None }
    }

    fn simple(&mut self, number: usize) -> Template {
        let (code, english, german) = SINGLES[number % SINGLES.len()];
        let (english, german) = titles(english, german, number / SINGLES.len());
        let base = self.dice.between(4, 59) * 100;
        let sku = format!("{code}-{:04}", number + 1);
        Template { english, german, variants: vec![self.variant(sku, base, vec![])], clash: None }
    }

    /// More variations than one batch of a shop carries.
    fn wide(&mut self) -> Template {
        let colours: Vec<usize> = (0..COLOURS.len()).collect();
        let sizes: Vec<usize> = (0..SIZES.len()).collect();
        Template {
            english: "Coverall in Every Colour & Size".to_owned(),
            german: "Overall in jeder Farbe & Größe".to_owned(),
            variants: self.grid("ALL-0001", 4900, &colours, &sizes),
            clash: None,
        }
    }

    fn ugly(&mut self) -> Vec<Template> {
        let pair = "the shop ignores case: two SKUs of the ERP are one SKU there";
        let rows = [
            (LONG_SKU, "Salt & Pepper Mill", "Salz- & Pfeffermühle", None),
            (ZERO_SKU, "Jam \"Grandmother's Best\"", "Marmelade \"Großmutters Beste\"", None),
            (
                "KLT-UML-ÄÖÜ",
                "Crème Brûlée Dish – Ø 12 cm",
                "Schälchen für Crème brûlée, Ø 12 cm",
                None,
            ),
            ("KLT-FEATHER", "Goose Feather 125 g", "Gänsefeder 125 g", None),
            (PENNY_SKU, "Gift Card Envelope", "Umschlag für Gutscheine", None),
            (CASE_PAIR[0], "Spectacle Case", "Brillenetui", Some(pair)),
            (CASE_PAIR[1], "Suitcase", "Handkoffer", Some(pair)),
        ];
        let mut templates = Vec::new();
        for (sku, english, german, clash) in rows {
            let mut variant = self.variant(sku.to_owned(), 1900, vec![]);
            match sku {
                "KLT-FEATHER" => variant.weight = Decimal::new(125, 3),
                PENNY_SKU => {
                    (variant.eur, variant.usd, variant.b2b) = (cents(1), cents(1), cents(1))
                }
                _ => {}
            }
            let (english, german) = (english.to_owned(), german.to_owned());
            templates.push(Template { english, german, variants: vec![variant], clash });
        }
        templates
    }

    /// `count` different places below `bound`, in order.
    fn some(&mut self, bound: usize, count: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..bound).collect();
        self.dice.shuffle(&mut all);
        all.truncate(count);
        all.sort_unstable();
        all
    }

    fn grid(&mut self, code: &str, base: i64, colours: &[usize], sizes: &[usize]) -> Vec<Variant> {
        let mut variants = Vec::new();
        for colour in colours {
            for size in sizes {
                let ((short, colour), size) = (COLOURS[*colour], SIZES[*size]);
                let sku = format!("{code}-{short}-{size}");
                let options = vec![("Colour", colour), ("Size", size)];
                variants.push(self.variant(sku, base, options));
            }
        }
        variants
    }

    /// Prices differ by list, and a little by variant.
    fn variant(
        &mut self,
        sku: String,
        base: i64,
        options: Vec<(&'static str, &'static str)>,
    ) -> Variant {
        let step = self.dice.between(0, 4) * 50;
        let abroad = base * self.dice.between(104, 118) / 10_000 * 100;
        let barcode = self.dice.one_in(2).then(|| self.barcode());
        let usd = abroad + step + 99;
        Variant {
            sku,
            barcode,
            weight: Decimal::new(self.dice.between(5, 250), 2),
            options,
            eur: cents(base + step + 95),
            usd: cents(usd),
            b2b: cents(usd * 85 / 100),
            main: if self.dice.one_in(12) { 0 } else { self.dice.between(8, 120) },
            west: if self.dice.one_in(4) { 0 } else { self.dice.between(3, 60) },
        }
    }

    /// An EAN-13 of the range that shops give out themselves.
    fn barcode(&mut self) -> String {
        self.barcodes += 1;
        let body = format!("2000{:08}", self.barcodes);
        let sum: u32 = body
            .bytes()
            .enumerate()
            .map(|(at, digit)| u32::from(digit - b'0') * if at % 2 == 0 { 1 } else { 3 })
            .sum();
        format!("{body}{}", (10 - sum % 10) % 10)
    }
}

fn titles(english: &str, german: &str, number: usize) -> (String, String) {
    let (tree, baum) = SERIES[number % SERIES.len()];
    let round = number / SERIES.len();
    let more = if round == 0 { String::new() } else { format!(" {}", round + 1) };
    (format!("{english} {tree}{more}"), format!("{german} {baum}{more}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_catalogue_is_as_large_and_as_ugly_as_promised() {
        let catalogue = Catalogue::new(7, 1);
        let skus: Vec<&str> = catalogue.variants().map(|(_, v)| v.sku.as_str()).collect();
        assert!(catalogue.sellable().count() >= 200 && skus.len() >= 1000);
        assert_eq!(skus.iter().collect::<BTreeSet<_>>().len(), skus.len());
        let folded: BTreeSet<String> = skus.iter().map(|sku| sku.to_lowercase()).collect();
        assert_eq!(folded.len() + 1, skus.len(), "one pair differs by case alone");
        assert_eq!(LONG_SKU.chars().count(), 40);
        assert!(catalogue.variants().any(|(_, v)| v.weight.normalize().scale() == 3));
        assert!(catalogue.variants().any(|(_, v)| v.eur == cents(1)));
        assert!(catalogue.sellable().any(|t| t.variants.len() > 100));
        let titles: BTreeSet<&str> =
            catalogue.templates.iter().map(|t| t.english.as_str()).collect();
        assert_eq!(titles.len(), catalogue.templates.len());
    }

    #[test]
    fn a_seed_repeats_a_scale_multiplies() {
        let skus = |seed, scale| -> Vec<(String, Decimal, i64)> {
            let catalogue = Catalogue::new(seed, scale);
            catalogue.variants().map(|(_, v)| (v.sku.clone(), v.eur, v.main)).collect()
        };
        assert_eq!(skus(7, 1), skus(7, 1));
        assert_ne!(skus(7, 1), skus(8, 1));
        assert!(skus(7, 3).len() > 2 * skus(7, 1).len());
    }
}
