//! The mapping language on the ugly values that real shops send, and on rows with mistakes.
//!
//! Reads   small objects written out below.   Writes  nothing.
//! Never   needs a law's generator: one rule, one value, one answer.

use std::collections::BTreeMap;

use kilter_core::Json;
use kilter_core::mapping::{Env, Lens, ParseError, Path, Table, TableError, WriteError};
use serde_json::json;

fn with_env<T>(run: impl FnOnce(&Env) -> T) -> T {
    let vars = [("currency", json!("EUR")), ("channel", json!("web"))];
    let vars: BTreeMap<String, Json> = vars.map(|(name, v)| (name.to_owned(), v)).into();
    let colors = Table::new([("red", "49"), ("blue", "50")]).unwrap();
    let tables = [("colors".to_owned(), colors)].into();
    let root = json!({ "currency_code": "kwd" });
    run(&Env { vars: &vars, tables: &tables, root: Some(&root) })
}

fn lens(text: &str) -> Lens {
    Lens::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// `v | chain` reads `remote` as `canonical`.
fn reads(chain: &str, remote: Json, canonical: Json) {
    let read = with_env(|env| lens(&format!("v | {chain}")).decode(remote, env));
    assert_eq!(read, Ok(canonical), "{chain}");
}

/// `v | chain` writes `canonical` as `remote`.
fn writes(chain: &str, canonical: Json, remote: Json) {
    let written = with_env(|env| lens(&format!("v | {chain}")).encode(&canonical, env));
    assert_eq!(written, Ok(Some(remote)), "{chain}");
}

fn refuses_to_read(chain: &str, remote: Json, words: &str) {
    let error = with_env(|env| lens(&format!("v | {chain}")).decode(remote, env)).unwrap_err();
    assert_eq!(error.to_string(), words, "{chain}");
}

fn refuses_to_write(chain: &str, canonical: Json, words: &str) -> WriteError {
    let error = with_env(|env| lens(&format!("v | {chain}")).encode(&canonical, env)).unwrap_err();
    assert_eq!(error.to_string(), words, "{chain}");
    error
}

fn refuses_to_parse(text: &str, at: usize, hint: Option<&str>) {
    let error: ParseError = Lens::parse(text).unwrap_err();
    assert_eq!((error.at, error.hint.as_deref()), (at, hint), "{text}: {error}");
}

fn number(text: &str) -> Json {
    serde_json::from_str(text).unwrap()
}

// Observed on a shop: prices are parsed and not validated.
#[test]
fn a_price_is_a_plain_decimal_or_nothing() {
    refuses_to_read("decimal", json!("12,50 €"), "expected a decimal, found \"12,50 €\"");
    refuses_to_write("decimal", json!("12,50 €"), "expected a decimal, found \"12,50 €\"");
    for odd in ["", " 1", "1_000", "1.2.3", "0x1", "NaN", "1e", "-", ".", "1e99", "１"] {
        let words = format!("expected a decimal, found {}", json!(odd));
        refuses_to_read("decimal", json!(odd), &words);
    }
    reads("decimal", number("1.250e1"), json!("12.5"));
    reads("decimal", json!("-0.00"), json!("0"));
    writes("decimal(2)", json!("12.5"), json!("12.50"));
    writes("decimal(2)", json!("-0.005"), json!("-0.01"));
    writes("decimal(number)", json!("12.5"), number("12.5"));
    writes("decimal(number,4)", json!("0.00005"), number("0.0001"));
    reads("null_as(\"\") | decimal", json!(""), Json::Null);
    writes("null_as(\"\") | decimal", Json::Null, json!(""));
}

// 17 and 23: null becomes 0, and "none" is said in many ways.
#[test]
fn none_is_said_in_many_ways() {
    reads("null_as(0) | id", json!(0), Json::Null);
    reads("default(0) | integer", Json::Null, json!(0));
    refuses_to_read("bool", json!("parent"), "expected true or false, found \"parent\"");
    let first = Path::parse("first(variation_id, product_id)").unwrap();
    let read = |object: Json| with_env(|env| first.read(&object, env));
    for none in [json!(0), json!("0"), json!(""), json!(false), Json::Null] {
        assert_eq!(read(json!({ "variation_id": none, "product_id": 7 })), Some(json!(7)));
    }
    assert_eq!(read(json!({ "variation_id": 8, "product_id": 7 })), Some(json!(8)));
    assert_eq!(read(json!({ "variation_id": 0 })), None);
}

// 18: text is rewritten.
#[test]
fn rewritten_text_is_foreseen() {
    reads("html_text", json!("A &amp; B"), json!("A & B"));
    reads(
        "html_text",
        json!("&#039;&#x2019;&lt;&quot;&gt;&nope;&#0;&"),
        json!("'’<\">&nope;&#0;&"),
    );
    reads("html_text", json!("&amp;lt;"), json!("&lt;"));
    writes("html_text", json!("A & B"), json!("A & B"));
    let normal = |text: &str| {
        with_env(|env| lens("v | html_text | strip_tags | trim").normalise(&json!(text), env))
    };
    assert_eq!(normal("A <b>bold</b> B "), Ok(json!("A bold B")));
    assert_eq!(normal("5 < 6 > 4"), Ok(json!("5  4")));
    assert_eq!(normal("5 < 6"), Ok(json!("5 < 6")));
    reads("text", number("12.5"), json!("12.5"));
    // What the remote made of it is left alone.
    let mut object = json!({ "v": "A bold &amp; B" });
    let row = lens("v | html_text | strip_tags");
    with_env(|env| row.write(&mut object, &json!("A <b>bold</b> & B"), env)).unwrap();
    assert_eq!(object, json!({ "v": "A bold &amp; B" }));
}

#[test]
fn money_is_of_one_currency() {
    reads("money($currency)", json!("12.50"), json!("12.5 EUR"));
    reads("money(@currency_code)", json!(1), json!("1 KWD"));
    reads("money(@currency_code, 2) | default(@currency_code)", Json::Null, json!("kwd"));
    writes("money($currency,2)", json!("12.5 EUR"), json!("12.50"));
    writes("money($currency,number,2)", json!("12.345 EUR"), number("12.35"));
    reads("minor_units(JPY)", json!(1250), json!("1250 JPY"));
    reads("minor_units(KWD)", json!("1250"), json!("1.25 KWD"));
    reads("minor_units(HUF)", json!(1250), json!("12.5 HUF"));
    writes("minor_units(ISK)", json!("1250 ISK"), json!(1250));
    refuses_to_read("money($money)", json!(1), "$money is not set");
    let words = "expected an amount in EUR, found \"12.5 USD\"";
    let error = refuses_to_write("money($currency)", json!("12.5 USD"), words);
    assert!(matches!(error, WriteError::WrongCurrency { .. }));
    refuses_to_write(
        "money(EUR)",
        json!("12.5"),
        "expected an amount like \"12.5 EUR\", found \"12.5\"",
    );
}

#[test]
fn times_are_utc() {
    let time = || json!("2026-11-23T07:51:15Z");
    reads("time(naive_utc)", json!("2026-11-23T07:51:15.000"), time());
    reads("time(sql_utc)", json!("2026-11-23 07:51:15"), time());
    reads(
        "time(rfc3339)",
        json!("2026-11-23T08:51:15.250+01:00"),
        json!("2026-11-23T07:51:15.25Z"),
    );
    reads("time(epoch)", json!(1_795_420_275), time());
    writes("time(epoch_ms)", time(), json!(1_795_420_275_000_i64));
    writes("time(date)", time(), json!("2026-11-23"));
    let tag = json!({ "__class__": "datetime", "year": 2026, "month": 11, "day": 23,
        "hour": 7, "minute": 51, "second": 15, "microsecond": 0 });
    reads("time(tagged)", tag.clone(), time());
    writes("time(tagged)", time(), tag);
    let tag = json!({ "__class__": "date", "year": 2026, "month": 2, "day": 28 });
    reads("time(tagged_date)", tag.clone(), json!("2026-02-28"));
    writes("time(tagged_date)", json!("2026-02-28"), tag);
    for odd in ["2026-11-23", "2026-11-23T07:51:15Z", "2026-02-30T00:00:00", "now"] {
        let words = format!("expected a time like \"2026-11-23T07:51:15\", found \"{odd}\"");
        refuses_to_read("time(naive_utc)", json!(odd), &words);
    }
}

#[test]
fn names_differ_on_the_other_side() {
    let status = "enum(active=publish, draft=draft, *=keep)";
    reads(status, json!("publish"), json!("active"));
    refuses_to_read(
        status,
        json!("trash"),
        "expected one of \"publish\", \"draft\", found \"trash\"",
    );
    let mut order = json!({ "v": "on-hold" });
    let row = lens(&format!("v | {status}"));
    with_env(|env| row.write(&mut order, &json!("archived"), env)).unwrap();
    assert_eq!(order, json!({ "v": "on-hold" }));
    refuses_to_write("enum(a=b)", json!("c"), "expected one of \"a\", found \"c\"");
    reads("enum(a=b, ?=other)", json!("zzz"), json!("other"));
    reads("lookup(colors)", json!(49), json!("red"));
    writes("id | lookup(colors)", json!("red"), json!(49));
    let words = "no entry in lookup table colors for value \"green\"";
    let error = refuses_to_write("lookup(colors)", json!("green"), words);
    assert!(matches!(error, WriteError::NoEntry { .. }));
    let twice = Table::new([("red", "49"), ("rot", "49")]).unwrap_err();
    let (first, second, value) = ("red".to_owned(), "rot".to_owned(), "49".to_owned());
    assert_eq!(twice, TableError::NotInvertible { first, second, value });
}

#[test]
fn references_are_projected() {
    reads("ref(a,b)", json!(12), json!({ "$remote": ["a|b", "12"] }));
    reads("null_as(false) | pair | ref(p)", json!([7, "Ann"]), json!({ "$remote": ["p", "7"] }));
    writes("null_as(false) | pair | ref(p)", json!({ "$remote": ["p", "7"] }), json!(7));
    writes("id(text) | ref(p)", json!({ "$remote": ["p", "7"] }), json!("7"));
    writes("prefix(\"gid://P/\") | ref(p)", json!({ "$remote": ["p", "7"] }), json!("gid://P/7"));
    writes("key(tax)", json!({ "$key": ["tax", "20"] }), json!("20"));
    let words = "unresolved reference {\"$record\":\"x\"}";
    let error = refuses_to_write("ref(p)", json!({ "$record": "x" }), words);
    assert!(matches!(error, WriteError::Unresolved { .. }));
    assert_eq!(lens("a | ref(x, y)").refs(), ["x", "y"]);
}

#[test]
fn small_codecs() {
    reads("decimal | unit(kg, g)", json!("1500"), json!("1.5"));
    writes("decimal | unit(kg, lb)", json!("0.45359237"), json!("1"));
    reads("decimal | unit(cm, in)", json!(1), json!("2.54"));
    reads("flag(\"1\",\"0\")", json!("1"), json!(true));
    writes("flag(\"1\",\"0\")", json!(false), json!("0"));
    writes("id", json!("9007199254740993"), number("9007199254740993"));
    writes("id", json!("007"), json!("007"));
    reads("integer", json!("-12"), json!(-12));
    reads("split", json!("a,b"), json!(["a", "b"]));
    refuses_to_write(
        "split",
        json!(["a,b"]),
        "expected a list of texts without \",\", found [\"a,b\"]",
    );
    reads("join(\"\\n\")", json!(["Main St 5", "Door 3"]), json!("Main St 5\nDoor 3"));
    reads("words(first, last)", json!({"first": "Ada", "last": "Byron"}), json!("Ada Byron"));
    reads("words(first, last)", json!({"first": " ", "last": "Byron"}), json!("Byron"));
    reads("words(first, last)", json!({"first": null}), json!(null));
    reads("words(active, sold)", json!({"active": true, "sold": false}), json!("true false"));
    refuses_to_write("words(first)", json!("Ada"), "words can only be read");
    assert!(!lens("a | words(first)").is_invertible());
    reads("first_item", json!([3, 4]), json!(3));
    refuses_to_write("first_item", json!(3), "first_item can only be read");
    reads("tagged(Decimal)", json!({ "__class__": "Decimal", "decimal": "1.0" }), json!("1"));
    reads(
        "unprefix(\"gid://P/\")",
        json!(271_878_346_596_884_015_u64),
        json!("gid://P/271878346596884015"),
    );
    refuses_to_read("prefix(x-)", json!("y"), "expected a text that begins \"x-\", found \"y\"");
}

#[test]
fn a_default_is_made_explicit() {
    let row = lens("status | default(draft)");
    with_env(|env| {
        let mut object = json!({});
        assert_eq!(row.read(&object, env), Ok(Some(json!("draft"))));
        row.write(&mut object, &json!("draft"), env).unwrap();
        assert_eq!(object, json!({ "status": "draft" }));
    });
}

#[test]
fn a_refused_write_leaves_the_object_as_it_was() {
    let before = json!({ "a": "text", "list": [] });
    for text in ["a.b", "list[2]", "list[k=$nothing].v", "new[1]", "$channel", "first(a, b)"] {
        let mut object = before.clone();
        let path = Path::parse(text).unwrap();
        with_env(|env| path.write(&mut object, json!(1), env)).unwrap_err();
        assert_eq!(object, before, "{text}");
    }
    assert!(!lens("first(a, b)").is_invertible());
    assert!(!lens("a | first_item").is_invertible());
    assert!(!lens("a | enum(x=z, y=z)").is_invertible());
    assert!(lens("a | html_text").is_invertible());
    assert_eq!(Path::parse("meta[k=v].x").unwrap().root_key(), Some("meta"));
}

#[test]
fn mistakes_in_a_row_are_shown_where_they_are() {
    refuses_to_parse("price | decimla", 8, Some("did you mean `decimal`?"));
    refuses_to_parse("at | time(rfc339)", 10, Some("did you mean `rfc3339`?"));
    refuses_to_parse("a b", 2, None);
    refuses_to_parse("a | flag(\"1\")", 4, None);
    refuses_to_parse("a | text(5)", 4, None);
    refuses_to_parse("a | unit(kg, cm)", 13, None);
    refuses_to_parse("a | prefix(\"x)", 14, None);
    refuses_to_parse("a | money(12)", 10, None);
    refuses_to_parse("a[b=@c[d=@e]]", 9, None);
    refuses_to_parse("m[key]", 2, Some("to select an item by its key, write [key=value]"));
    let odd = Some("a key with odd characters stands in backticks: `odd key`");
    refuses_to_parse("a.#b", 2, odd);
    let unknown = Lens::parse("a | jq").unwrap_err();
    assert!(unknown.hint.is_some_and(|hint| hint.contains("html_text")));
}

#[test]
fn a_long_value_is_cut_in_an_error() {
    let words = format!("expected a decimal, found \"{}…", "é".repeat(78));
    refuses_to_read("decimal", json!("é".repeat(500)), &words);
}

// A shop shows what it gave back as negative items, an ERP wants a return of negative quantity.
#[test]
fn the_other_sign_is_of_numbers_and_of_money() {
    reads("decimal | negate", number("-1"), json!("1"));
    reads("money(EUR) | negate", json!("-9.90"), json!("9.9 EUR"));
    reads("money(EUR) | negate", json!("0.00"), json!("0 EUR"));
    writes("decimal(number) | negate", json!("3"), number("-3"));
    writes(
        "tagged(Decimal) | negate",
        json!("-19.04"),
        json!({"__class__": "Decimal", "decimal": "19.04"}),
    );
    refuses_to_read(
        "negate",
        json!("a lot"),
        "expected a decimal or an amount like \"12.5 EUR\", found \"a lot\"",
    );
}

#[test]
fn a_name_in_two_members_is_one_text_and_its_last_word_is_the_last_name() {
    let chain = "full_name(first, last)";
    reads(chain, json!({ "first": "Ada King", "last": "Byron", "id": 7 }), json!("Ada King Byron"));
    reads(chain, json!({ "first": null, "last": "Byron" }), json!("Byron"));
    reads(chain, json!({ "first": "", "last": null }), json!(null));
    writes(chain, json!("Ada King  Byron "), json!({ "first": "Ada King", "last": "Byron" }));
    writes(chain, json!("Byron"), json!({ "first": "", "last": "Byron" }));
    // Members of the whole: what else stands there stays.
    with_env(|env| {
        let mut object = json!({ "email": "ada@example.com", "first": "A" });
        let row = lens(". | full_name(first, last)");
        row.write(&mut object, &json!("Ada Byron"), env).unwrap();
        let wanted = json!({ "email": "ada@example.com", "first": "Ada", "last": "Byron" });
        assert_eq!(object, wanted);
    });
}
