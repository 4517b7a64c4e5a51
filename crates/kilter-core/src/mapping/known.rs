//! The known codecs by name, and what each takes between its brackets.
//!
//! Reads   the text of one codec.   Writes  nothing.
//! Never   takes an argument it does not know, nor leaves one out without saying so.

use super::args::{self, Arg, Operand};
use super::choice::Choice;
use super::number::{self, Format};
use super::scan::{self, Cursor};
use super::{Codec, ParseError, TimeForm, Unit};
use crate::Json;

/// Every name a codec can have.
pub(super) const NAMES: [&str; 39] = [
    "text",
    "id",
    "integer",
    "decimal",
    "money",
    "minor_units",
    "bool",
    "flag",
    "enum",
    "time",
    "tagged",
    "negate",
    "unit",
    "split",
    "join",
    "trim",
    "lower",
    "upper",
    "html_text",
    "strip_tags",
    "prefix",
    "unprefix",
    "lookup",
    "default",
    "null_as",
    "pair",
    "list",
    "first_item",
    "json",
    "ref",
    "key",
    "named",
    "full_name",
    "words",
    "wrapped",
    "sum",
    "some",
    "measured",
    "money_object",
];

/// Most decimals a codec can round to; `Decimal` has no more.
const PLACES_MAX: u32 = 28;

/// A codec that ends where something else begins.
pub(super) fn scan(cursor: &mut Cursor) -> Result<Codec, ParseError> {
    cursor.blanks();
    let at = cursor.at();
    let name = cursor.take_while(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if !NAMES.contains(&name) {
        return Err(unknown(name, at));
    }
    let items = args::scan(cursor)?;
    let args = Args { name, at, items };
    match args.simple() {
        Some(codec) => args.count(0, 0).map(|()| codec),
        None => args.codec(),
    }
}

fn unknown(name: &str, at: usize) -> ParseError {
    let hint = match scan::nearest(name, &NAMES) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known codecs: {}", NAMES.join(", ")),
    };
    ParseError { expected: "a codec".to_owned(), at, hint: Some(hint) }
}

/// The name of a codec and what stood between its brackets.
struct Args<'a> {
    name: &'a str,
    at: usize,
    items: Vec<Arg>,
}

impl Args<'_> {
    /// The codecs that take nothing.
    fn simple(&self) -> Option<Codec> {
        Some(match self.name {
            "text" => Codec::Text,
            "integer" => Codec::Integer,
            "bool" => Codec::Bool,
            "negate" => Codec::Negate,
            "trim" => Codec::Trim,
            "lower" => Codec::Lower,
            "upper" => Codec::Upper,
            "html_text" => Codec::HtmlText,
            "strip_tags" => Codec::StripTags,
            "pair" => Codec::Pair,
            "list" => Codec::List,
            "some" => Codec::Some,
            "first_item" => Codec::FirstItem,
            "json" => Codec::Json,
            _ => return None,
        })
    }

    fn codec(self) -> Result<Codec, ParseError> {
        match self.name {
            "id" => self.id(),
            "decimal" => self.format(0).map(Codec::Decimal),
            "money" => Ok(Codec::Money { currency: self.currency()?, format: self.format(1)? }),
            "minor_units" => {
                self.count(1, 1)?;
                self.currency().map(|currency| Codec::MinorUnits { currency })
            }
            "flag" => self.flag(),
            "enum" => self.choice().map(Codec::Enum),
            "time" => self.one_of(0, &TimeForm::NAMES, TimeForm::named).map(Codec::Time),
            "tagged" => {
                self.one_of(0, &["Decimal"], |name| (name == "Decimal").then_some(()))?;
                Ok(Codec::TaggedDecimal)
            }
            "unit" => self.unit(),
            "split" => self.separator().map(Codec::Split),
            "join" => self.separator().map(Codec::Join),
            "prefix" => self.only_text("a prefix").map(Codec::Prefix),
            "unprefix" => self.only_text("a prefix").map(Codec::Unprefix),
            "lookup" => self.only_text("the name of a lookup table").map(Codec::Lookup),
            "default" => {
                self.count(1, 1)?;
                self.operand(0, "a default").map(|(_, value)| Codec::Default(value.clone()))
            }
            "null_as" => {
                self.count(1, 1)?;
                self.literal(0, "false, \"\" or 0").cloned().map(Codec::NullAs)
            }
            "ref" => self.resources().map(Codec::Ref),
            "key" => self.only_text("the name of an entity").map(Codec::Key),
            "named" => self.named(),
            "full_name" => self.pair().map(|(first, last)| Codec::FullName { first, last }),
            "words" => self.words(),
            "wrapped" => self.only_text("the name of a member").map(Codec::Wrapped),
            "sum" => self.only_text("the path of a member").map(Codec::Sum),
            "money_object" => {
                self.pair().map(|(amount, currency)| Codec::MoneyObject { amount, currency })
            }
            "measured" => self.only_text("the name of a unit").map(Codec::Measured),
            _ => Err(unknown(self.name, self.at)),
        }
    }

    fn named(&self) -> Result<Codec, ParseError> {
        self.pair().map(|(key, field)| Codec::Named { key, field })
    }

    /// The names of two members.
    fn pair(&self) -> Result<(String, String), ParseError> {
        self.count(2, 2)?;
        let text = |index| -> Result<String, ParseError> {
            let value = self.literal(index, "the name of a member")?;
            Ok(number::text(value).unwrap_or_default())
        };
        Ok((text(0)?, text(1)?))
    }

    fn words(&self) -> Result<Codec, ParseError> {
        self.count(1, usize::MAX)?;
        let members = (0..self.items.len()).map(|index| self.text(index, "the name of a member"));
        members.collect::<Result<_, _>>().map(Codec::Words)
    }

    fn id(&self) -> Result<Codec, ParseError> {
        self.count(0, 1)?;
        if !self.items.is_empty() {
            self.one_of(0, &["text"], |name| (name == "text").then_some(()))?;
        }
        Ok(Codec::Id { text: !self.items.is_empty() })
    }

    /// `number` and a number of places, in this order, each optional.
    fn format(&self, from: usize) -> Result<Format, ParseError> {
        self.count(from, from + 2)?;
        let mut format = Format::default();
        for (index, arg) in self.items.iter().enumerate().skip(from) {
            let value = self.literal(index, "`number` or a number of places")?;
            let places = number::text(value).and_then(|text| text.parse().ok());
            match (value.as_str(), places.filter(|places| *places <= PLACES_MAX)) {
                (Some("number"), _) if index == from => format.number = true,
                (_, Some(places)) if format.places.is_none() => format.places = Some(places),
                _ => {
                    let expected = format!("`number` or a number of places up to {PLACES_MAX}");
                    return Err(fail(arg.at, expected));
                }
            }
        }
        Ok(format)
    }

    fn currency(&self) -> Result<Operand, ParseError> {
        let (at, operand) = self.operand(0, "a currency, $name or @path")?;
        match operand {
            Operand::Literal(Json::String(code)) if number::is_currency(code) => {
                Ok(operand.clone())
            }
            Operand::Literal(_) => Err(fail(at, "a currency code like EUR, $name or @path")),
            _ => Ok(operand.clone()),
        }
    }

    fn flag(&self) -> Result<Codec, ParseError> {
        self.count(2, 2)?;
        let yes = self.literal(0, "the value for true")?.clone();
        let no = self.literal(1, "the value for false")?.clone();
        if number::same(&yes, &no) {
            return Err(fail(self.items[1].at, "another value for false than for true"));
        }
        Ok(Codec::Flag { yes, no })
    }

    fn choice(&self) -> Result<Choice, ParseError> {
        let mut choice = Choice { pairs: Vec::new(), keep: false, fallback: None };
        for arg in &self.items {
            let (Some(name), Operand::Literal(value)) = (&arg.name, &arg.value) else {
                return Err(fail(arg.at, "canonical=remote"));
            };
            match name.value.as_str().filter(|_| name.bare) {
                Some("*") if value == "keep" => choice.keep = true,
                Some("*") => return Err(fail(arg.at, "*=keep")),
                Some("?") => choice.fallback = Some(canonical(value)),
                _ => choice.pairs.push((canonical(&name.value), value.clone())),
            }
        }
        if choice.pairs.is_empty() {
            return Err(fail(self.at, "enum(canonical=remote, …)"));
        }
        Ok(choice)
    }

    fn unit(&self) -> Result<Codec, ParseError> {
        self.count(2, 2)?;
        let canonical = self.word(0, &Unit::NAMES, Unit::named)?;
        let remote = self.word(1, &Unit::NAMES, Unit::named)?;
        if canonical.is_length() != remote.is_length() {
            return Err(fail(self.items[1].at, "two units of weight or two of length"));
        }
        Ok(Codec::Unit { canonical, remote })
    }

    fn separator(&self) -> Result<String, ParseError> {
        if self.items.is_empty() {
            return Ok(",".to_owned());
        }
        let separator = self.only_text("a separator")?;
        if separator.is_empty() {
            return Err(fail(self.items[0].at, "a separator that is not empty"));
        }
        Ok(separator)
    }

    fn resources(&self) -> Result<Vec<String>, ParseError> {
        self.count(1, usize::MAX)?;
        (0..self.items.len()).map(|index| self.text(index, "the name of a resource")).collect()
    }

    fn only_text(&self, what: &str) -> Result<String, ParseError> {
        self.count(1, 1)?;
        self.text(0, what)
    }

    fn text(&self, index: usize, what: &str) -> Result<String, ParseError> {
        let value = self.literal(index, what)?;
        number::text(value).ok_or_else(|| fail(self.items[index].at, what))
    }

    /// The only argument, one of a few known words.
    fn one_of<T>(
        &self,
        index: usize,
        known: &[&str],
        named: impl Fn(&str) -> Option<T>,
    ) -> Result<T, ParseError> {
        self.count(1, 1)?;
        self.word(index, known, named)
    }

    fn word<T>(
        &self,
        index: usize,
        known: &[&str],
        named: impl Fn(&str) -> Option<T>,
    ) -> Result<T, ParseError> {
        let word = self.text(index, "a word")?;
        named(&word).ok_or_else(|| ParseError {
            expected: format!("one of {}", known.join(", ")),
            at: self.items[index].at,
            hint: scan::nearest(&word, known).map(|near| format!("did you mean `{near}`?")),
        })
    }

    fn literal(&self, index: usize, what: &str) -> Result<&Json, ParseError> {
        match self.operand(index, what)? {
            (_, Operand::Literal(value)) => Ok(value),
            (at, _) => Err(fail(at, format!("{what}, written out"))),
        }
    }

    fn operand(&self, index: usize, what: &str) -> Result<(usize, &Operand), ParseError> {
        match self.items.get(index) {
            Some(Arg { at, name: None, value }) => Ok((*at, value)),
            Some(Arg { at, .. }) => Err(fail(*at, format!("{what}, without `=`"))),
            None => Err(fail(self.at, format!("{} with {what}", self.name))),
        }
    }

    fn count(&self, least: usize, most: usize) -> Result<(), ParseError> {
        let have = self.items.len();
        if (least..=most).contains(&have) {
            return Ok(());
        }
        let wanted = match (least, most) {
            (0, 0) => "no arguments".to_owned(),
            (least, most) if least == most => format!("{least} arguments"),
            (least, usize::MAX) => format!("at least {least} arguments"),
            (least, most) => format!("{least} to {most} arguments"),
        };
        Err(fail(self.at, format!("{wanted} for {}, not {have}", self.name)))
    }
}

/// Canonical values of an `enum` are texts, but for true, false and null.
fn canonical(value: &Json) -> Json {
    match value {
        Json::Number(number) => Json::String(number.as_str().to_owned()),
        other => other.clone(),
    }
}

fn fail(at: usize, expected: impl Into<String>) -> ParseError {
    ParseError { expected: expected.into(), at, hint: None }
}
