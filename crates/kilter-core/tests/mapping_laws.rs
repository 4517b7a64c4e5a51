//! The laws of the mapping language, over generated paths, codecs and values.
//!
//! Reads   nothing but what it generates.   Writes  nothing.
//! Never   copies an expected value from output: each one follows from a rule stated beside it.

use std::collections::BTreeMap;

use kilter_core::Json;
use kilter_core::mapping::{Env, Lens, Table};
use proptest::prelude::*;
use serde_json::json;

/// Places of every writable form, and one of their parents' neighbours each.
const PATHS: [&str; 8] = [
    "a",
    "a.b.c",
    "list[0]",
    "list[0].value",
    "meta[key=season].value",
    "values.price[locale=$locale,scope=$channel].data",
    "`odd key|x`.\"a.b\"",
    "lines[id=5].deep.er",
];

struct World {
    vars: BTreeMap<String, Json>,
    tables: BTreeMap<String, Table>,
}

impl World {
    fn new() -> World {
        let vars = [
            ("locale", json!("de_AT")),
            ("channel", Json::Null),
            ("currency", json!("EUR")),
            ("dinar", json!("KWD")),
            ("yen", json!("JPY")),
        ];
        let colors = Table::new([("red", "49"), ("blue", "50"), ("", "0")]).unwrap();
        World {
            vars: vars.map(|(name, value)| (name.to_owned(), value)).into(),
            tables: [("colors".to_owned(), colors)].into(),
        }
    }

    fn env(&self) -> Env<'_> {
        Env { vars: &self.vars, tables: &self.tables, root: None }
    }
}

fn number(text: &str) -> Json {
    serde_json::from_str(text).unwrap()
}

/// A canonical decimal of up to 28 digits, made from an integer and a number of places.
fn plain(mantissa: i128, places: usize) -> String {
    let digits = format!("{:0>width$}", mantissa.unsigned_abs(), width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    let fraction = fraction.trim_end_matches('0');
    let sign = if mantissa < 0 { "-" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

const DIGITS_28: i128 = 10_i128.pow(28) - 1;

fn decimals() -> impl Strategy<Value = String> {
    let wide = (-DIGITS_28..=DIGITS_28, 0..=28_usize);
    let small = (-100_000..=100_000_i128, 0..=4_usize);
    prop_oneof![
        small.prop_map(|(mantissa, places)| plain(mantissa, places)),
        wide.prop_map(|(mantissa, places)| plain(mantissa, places)),
        Just("0".to_owned()),
        Just(plain(DIGITS_28, 28)),
    ]
}

/// Amounts with so many decimals at most, and room for the minor units.
fn amounts(places: usize) -> impl Strategy<Value = String> {
    let amount = -(10_i128.pow(20))..=10_i128.pow(20);
    amount.prop_map(move |mantissa| plain(mantissa, places))
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("x".repeat(100_000)),
        Just("Grüße, 東京 👩‍👩‍👧 e\u{301}".to_owned()),
        ".{0,40}",
        "[a-zA-Z0-9 <>&;,\\\\\"]{0,40}",
    ]
}

/// Instants, among them both ends of daylight saving time in Europe and America.
fn seconds() -> impl Strategy<Value = i64> {
    let turns = [1_774_746_000, 1_792_890_000, 1_772_953_200, 1_793_512_800];
    prop_oneof![
        -60_000_000_000..=250_000_000_000_i64,
        (proptest::sample::select(turns.to_vec()), -3_600..=3_600_i64).prop_map(|(t, d)| t + d),
        Just(0_i64),
        Just(-1_i64),
    ]
}

fn instant(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap().to_string()
}

fn ids() -> impl Strategy<Value = String> {
    let special = ["", "0", "007", "9007199254740993", "gid://shop/Product/1", "12.0", "-5"];
    prop_oneof![
        any::<u128>().prop_map(|id| id.to_string()),
        "[ -~]{0,20}",
        proptest::sample::select(special.to_vec()).prop_map(str::to_owned),
    ]
}

/// Chains whose normal form is the value itself, with values of their type.
fn exact() -> impl Strategy<Value = (String, Json)> {
    fn with<S: Strategy<Value = Json> + 'static>(
        chain: &'static str,
        values: S,
    ) -> BoxedStrategy<(String, Json)> {
        values.prop_map(move |value| (chain.to_owned(), value)).boxed()
    }
    let money = |code: &'static str| move |amount: String| json!(format!("{amount} {code}"));
    let times = || seconds().prop_map(|at| json!(instant(at)));
    let days = || (0..250_000_000_000_i64).prop_map(|at| json!(instant(at)[..10]));
    let years = |at: &i64| *at < 250_000_000_000 && *at > -60_000_000_000;
    let flags = || any::<bool>().prop_map(Json::Bool);
    let words = || proptest::collection::vec("[a-z<&é ]{1,9}", 0..6).prop_map(|list| json!(list));
    let micros = (seconds().prop_filter("a year of four digits", years), 0..1_000_000_u32);
    let fine = micros.prop_map(|(at, micro)| {
        let at = jiff::Timestamp::new(at.abs(), micro as i32 * 1_000).unwrap();
        json!(at.to_string())
    });
    let remote = |id: String| json!({ "$remote": ["products", id] });
    let numbers = any::<i128>().prop_map(|i| number(&i.to_string())).boxed();
    prop_oneof![
        with("text", texts().prop_map(|text| json!(text))),
        with("json", texts().prop_map(|text| json!({ "a": [text, null, 1] }))),
        with("id", ids().prop_map(|id| json!(id))),
        with("id(text)", ids().prop_map(|id| json!(id))),
        with("integer", numbers),
        with("decimal", decimals().prop_map(|amount| json!(amount))),
        with("decimal(number)", decimals().prop_map(|amount| json!(amount))),
        with("decimal(3)", amounts(3).prop_map(|amount| json!(amount))),
        with("money($currency)", decimals().prop_map(money("EUR"))),
        with("money(CHF,number,2)", amounts(2).prop_map(money("CHF"))),
        with("minor_units($currency)", amounts(2).prop_map(money("EUR"))),
        with("minor_units($dinar)", amounts(3).prop_map(money("KWD"))),
        with("minor_units($yen)", amounts(0).prop_map(money("JPY"))),
        with("tagged(Decimal)", decimals().prop_map(|amount| json!(amount))),
        with("bool", flags()),
        with("flag(\"1\",\"0\")", flags()),
        with("flag(yes,no)", flags()),
        with("enum(active=publish,draft=draft,none=0)", {
            proptest::sample::select(vec!["active", "draft", "none"]).prop_map(|word| json!(word))
        }),
        with("lookup(colors)", {
            proptest::sample::select(vec!["red", "blue", ""]).prop_map(|word| json!(word))
        }),
        with("id | lookup(colors)", Just(json!("red"))),
        with("time(naive_utc)", times()),
        with("time(sql_utc)", times()),
        with("time(rfc3339)", fine),
        with("time(epoch)", times()),
        with("time(epoch_ms)", times()),
        with("time(tagged)", times()),
        with("time(date)", days()),
        with("time(tagged_date)", days()),
        with("decimal | unit(kg,g)", amounts(6).prop_map(|amount| json!(amount))),
        with("decimal | unit(lb,oz)", amounts(2).prop_map(|amount| json!(amount))),
        with("decimal | unit(in,mm)", amounts(2).prop_map(|amount| json!(amount))),
        with("decimal | negate", amounts(6).prop_map(|amount| json!(amount))),
        with("money(EUR) | negate", amounts(2).prop_map(|amount| json!(format!("{amount} EUR")))),
        with("split(\",\")", words()),
        with("list", words()),
        with("prefix(\"gid://shop/\")", texts().prop_map(|text| json!(text))),
        with("unprefix(\"gid://shop/\")", texts().prop_map(|t| json!(format!("gid://shop/{t}")))),
        with("pair | id", any::<u64>().prop_map(|id| json!(id.to_string()))),
        with("null_as(false) | text", prop_oneof![Just(Json::Null), Just(json!(""))]),
        with("text | default(x)", texts().prop_map(|text| json!(text))),
        with("ref(products)", ids().prop_map(remote)),
        with("id(text) | ref(products)", ids().prop_map(remote)),
        with("key(tax)", ids().prop_map(|key| json!({ "$key": ["tax", key] }))),
    ]
}

/// Chains that change a value in a known way, with the rule written out.
fn normalising() -> impl Strategy<Value = (String, Json, Json)> {
    let row = |chain: &str, value: Json, normal: Json| (chain.to_owned(), value, normal);
    prop_oneof![
        texts().prop_map(move |text| row("trim", json!(text), json!(text.trim()))),
        texts().prop_map(move |text| {
            let twice = text.to_lowercase().to_lowercase();
            row("lower", json!(text), json!(twice))
        }),
        texts().prop_map(move |text| {
            let twice = text.to_uppercase().to_uppercase();
            row("upper", json!(text), json!(twice))
        }),
        // A third decimal of 5 or more rounds the second one away from zero.
        (-(10_i128.pow(20))..10_i128.pow(20), 0..10_i128).prop_map(move |(cents, third)| {
            let sign = if cents < 0 { -1 } else { 1 };
            let exact = plain(cents * 10 + sign * third, 3);
            let rounded = plain(if third >= 5 { cents + sign } else { cents }, 2);
            row("decimal(2)", json!(exact), json!(rounded))
        }),
        (1..10_i128.pow(20), 0..10_i128).prop_map(move |(cents, third)| {
            let exact = format!("{} EUR", plain(cents * 10 + third, 3));
            let rounded = format!("{} EUR", plain(cents + i128::from(third >= 5), 2));
            row("minor_units($currency)", json!(exact), json!(rounded))
        }),
        // Whole seconds are kept, a fraction is cut towards the past.
        (0..250_000_000_000_i64, 1..1_000_000_i32).prop_map(move |(at, micro)| {
            let exact = jiff::Timestamp::new(at, micro * 1_000).unwrap().to_string();
            row("time(sql_utc)", json!(exact), json!(instant(at)))
        }),
    ]
}

/// Remote values as platforms send them, for each a chain that reads them.
fn remotes() -> impl Strategy<Value = (String, Json)> {
    let row = |chain: &str, value: Json| (chain.to_owned(), value);
    prop_oneof![
        (decimals(), 0..4_usize).prop_map(move |(amount, zeros)| {
            let point = if amount.contains('.') { "" } else { "." };
            let spelt = format!("{amount}{point}{}", "0".repeat(zeros + 1));
            row("decimal | unit(g,g)", json!(spelt))
        }),
        (0..10_i128.pow(18), 0..4_usize)
            .prop_map(move |(m, p)| row("decimal | unit(lb,g)", json!(plain(m, p)))),
        (0..10_i128.pow(18), 0..4_usize)
            .prop_map(move |(m, p)| row("decimal | unit(oz,kg)", number(&plain(m, p)))),
        decimals().prop_map(move |amount| row("money($currency,2)", json!(amount))),
        any::<u128>().prop_map(move |id| row("id", json!(id.to_string()))),
        any::<u128>().prop_map(move |id| row("id", number(&id.to_string()))),
        texts().prop_map(move |text| row("html_text", json!(text))),
        texts().prop_map(move |text| row("html_text | strip_tags | trim", json!(text))),
        texts().prop_map(move |text| row("lower", json!(text))),
        texts().prop_map(move |text| row("join", json!([text]))),
        texts().prop_map(move |text| row("split", json!(text))),
        any::<u64>().prop_map(move |id| row("pair | ref(partners)", json!([id, "Name"]))),
        seconds().prop_map(move |at| {
            let text = instant(at).replace('Z', ".123456789+00:00");
            row("time(rfc3339)", json!(text))
        }),
        "[a-z]{1,9}".prop_map(move |word| row("enum(a=x,b=y,?=other)", json!(word))),
        Just(row("text", Json::Null)),
        Just(row("null_as(\"\") | decimal", json!(""))),
    ]
}

/// An object full of neighbours, none of which a row names.
fn neighbours(noise: &str) -> Json {
    json!({
        "z": noise,
        "a2": { "b": noise },
        "meta": [{ "key": "other", "value": noise }, { "value": 1 }, noise],
        "values": { "price": [{ "locale": "de_AT", "scope": "print", "data": noise }], "x": null },
        "lines": [{ "id": 50, "deep": noise }],
    })
}

/// Every value that stands in `before` still stands in `after`, at the same place.
fn is_kept(before: &Json, after: &Json) -> bool {
    match (before, after) {
        (Json::Object(b), Json::Object(a)) => {
            b.iter().all(|(key, value)| a.get(key).is_some_and(|after| is_kept(value, after)))
        }
        (Json::Array(b), Json::Array(a)) => {
            b.len() <= a.len() && b.iter().zip(a).all(|(before, after)| is_kept(before, after))
        }
        _ => before == after,
    }
}

fn paths() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(PATHS.to_vec())
}

fn put_get(path: &str, chain: &str, value: &Json, normal: &Json) {
    let (world, lens) = (World::new(), Lens::parse(&format!("{path} | {chain}")).unwrap());
    let env = world.env();
    assert_eq!(&lens.normalise(value, &env).unwrap(), normal, "normal form of {}", lens.text());
    let before = neighbours("noise");
    for mut object in [Json::Null, json!({}), before.clone()] {
        lens.write(&mut object, value, &env).unwrap();
        let read = lens.read(&object, &env).unwrap();
        assert_eq!(read.as_ref(), Some(normal), "{} in {object}", lens.text());
        // Written again, as meant or as read, nothing moves.
        let written = object.clone();
        lens.write(&mut object, value, &env).unwrap();
        lens.write(&mut object, normal, &env).unwrap();
        assert_eq!(object, written, "{} moved what it had written", lens.text());
    }
    let mut object = before.clone();
    lens.write(&mut object, value, &env).unwrap();
    assert!(is_kept(&before, &object), "{} touched a neighbour: {object}", lens.text());
}

/// A failure prints its input; no file beside the tests remembers it.
fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn put_get_is_exact_where_nothing_rounds(path in paths(), (chain, value) in exact()) {
        put_get(path, &chain, &value, &value);
    }

    #[test]
    fn put_get_holds_up_to_the_normal_form(path in paths(), row in normalising()) {
        put_get(path, &row.0, &row.1, &row.2);
    }

    #[test]
    fn get_put_changes_nothing(path in paths(), (chain, remote) in remotes(), noise in ".{0,9}") {
        let world = World::new();
        let env = world.env();
        let mut object = neighbours(&noise);
        Lens::parse(path).unwrap().write(&mut object, &remote, &env).unwrap();
        let lens = Lens::parse(&format!("{path} | {chain}")).unwrap();
        let before = object.clone();
        let value = lens.read(&before, &env).unwrap().unwrap();
        lens.write(&mut object, &value, &env).unwrap();
        prop_assert_eq!(object, before);
    }

    #[test]
    fn null_is_neither_absent_nor_empty(path in paths(), (chain, _) in exact()) {
        let world = World::new();
        let env = world.env();
        let lens = Lens::parse(&format!("{path} | {chain}")).unwrap();
        prop_assume!(!chain.contains("default"));
        let mut object = json!({});
        prop_assert_eq!(lens.read(&object, &env).unwrap(), None);
        lens.write(&mut object, &Json::Null, &env).unwrap();
        prop_assert_eq!(lens.read(&object, &env).unwrap(), Some(Json::Null));
    }

    #[test]
    fn any_text_parses_or_says_where_not(text in "[a-c.|()\\[\\]=,$@\"` é*?0-9]{0,30}") {
        if let Err(error) = Lens::parse(&text) {
            prop_assert!(error.at <= text.len());
            prop_assert!(!error.expected.is_empty());
        }
    }

    #[test]
    fn any_remote_value_is_read_or_refused(text in texts(), (chain, _) in exact()) {
        let world = World::new();
        let lens = Lens::parse(&format!("a | {chain}")).unwrap();
        for value in [json!(text), json!([text]), json!({ "__class__": text }), json!(true)] {
            if let Err(error) = lens.decode(value, &world.env()) {
                prop_assert!(error.to_string().chars().count() < 250);
            }
        }
    }
}
