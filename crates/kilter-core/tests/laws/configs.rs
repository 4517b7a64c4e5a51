//! The check of a config: every mistake at once, each with its line and what to do.

use kilter_core::check::check;
use kilter_core::config::Secret;
use kilter_core::doc::Problem;

use crate::support::house::{CONFIG, house, read_house};

/// The mistakes stand beside their lines; `#n` marks the line of mistake n.
const MISTAKEN: &str = r#"
locations = ["main"]

[kilter]
stoer = "x.sqlite"                                     #1

[price_list.retail]
currency = "EUR"

[price_list.trade]                                     #2
tax = "included"

[connection.erp]
connector = "ledger"
url       = "https://erp.example"

[connection.west]
connector = "stal"                                     #3

[connection.north]
connector  = "stall"
url        = "https://north.example"
tokn       = "abc"                                     #4

[connection.south]
connector  = "stall"
url        = "https://south.example"
price_list = "retial"                                  #5
locations  = [
  "main",
  "mian",                                              #11
]
observe    = ["ordres"]                                #12
orders     = { import = ["piad"] }                     #13

[connection.east]
connector = "stall"
url       = "https://east.example"
token     = "${EAST_TOKEN}"                            #6
every     = { orders = "5 parsecs" }                   #7

[connection.east.price_lists]
retail  = "1"
retails = "2"                                          #14

[connection.centre]
connector = "stall"
url       = "centre.example"                           #15
token     = "abc"

[own.product]
"*"   = "erp"
titel = "erp"                                          #8
code  = "epr"                                          #9

[own.variant]
"*"      = "erp"
sellable = "erp"                                       #10
"#;

#[test]
fn each_mistake_is_one_problem_with_its_line_and_a_hint() {
    let mut problems: Vec<Problem> = Vec::new();
    let house = read_house(MISTAKEN, &mut problems);
    check(&house, &mut problems);
    let mut told: Vec<(usize, usize)> = Vec::new();
    for problem in &problems {
        assert_eq!(problem.file, "kilter.toml", "{problem}");
        let text = MISTAKEN.lines().nth(problem.line - 1).unwrap_or_default();
        let mark = text.rsplit_once('#').unwrap_or_else(|| panic!("not there: {problem}")).1;
        told.push((mark.parse().unwrap(), problem.line));
        assert!(!problem.hint.is_empty(), "no hint: {problem}");
    }
    told.sort_unstable();
    let numbers: Vec<usize> = told.iter().map(|(n, _)| *n).collect();
    assert_eq!(numbers, (1..=15).collect::<Vec<_>>(), "{problems:#?}");
    // What was nearly right is named.
    for (line, word) in [
        (1, "store"),
        (3, "stall"),
        (4, "token"),
        (5, "retail"),
        (8, "title"),
        (9, "erp"),
        (11, "main"),
        (12, "orders"),
        (13, "paid"),
        (14, "retail"),
    ] {
        let at = told[line - 1].1;
        let problem = problems.iter().find(|p| p.line == at).unwrap();
        assert!(problem.hint.contains(&format!("\"{word}\"")), "{problem}");
    }
}

#[test]
fn a_config_without_mistakes_has_no_problem() {
    let mut problems = Vec::new();
    check(&house(CONFIG), &mut problems);
    assert!(problems.is_empty(), "{problems:?}");
}

/// Nobody could say whether its order is there.
#[test]
fn a_refund_that_follows_no_order_is_refused() {
    let mut house = house(CONFIG);
    let ledger = house.connectors.get_mut("ledger").unwrap();
    let refunds = ledger.resources.iter_mut().find(|r| r.name == "refunds").unwrap();
    refunds.parent = None;
    let mut problems = Vec::new();
    check(&house, &mut problems);
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    assert!(problem.to_string().contains("refund follows its order"), "{problem}");
}

/// A secret stands in the settings until the connector is asked which of them are secret: neither
/// there nor later may it be printed.
#[test]
fn a_secret_is_never_printed() {
    let mut config = house(CONFIG).config;
    let printed = format!("{config:?} {config:#?}");
    assert!(!printed.contains("north-secret") && !printed.contains("south-secret"));
    let north = config.connections.get_mut("north").unwrap();
    let token = north.settings.remove("token").unwrap();
    north.secrets.insert("token".to_owned(), Secret::new(token));
    let printed = format!("{config:?} {:?}", Secret::new("north-secret"));
    assert!(!printed.contains("north-secret") && printed.contains("***"));
    assert_eq!(config.connections["north"].secrets["token"].expose(), "north-secret");
}

/// A setting called as one of a connection's own sections could never be given.
#[test]
fn a_setting_may_not_be_called_as_a_section_of_the_connection() {
    for name in ["orders", "every", "lookup", "buffer"] {
        let mut house = house(CONFIG);
        let stall = house.connectors.get_mut("stall").unwrap();
        stall.settings[0].name = name.to_owned();
        let mut problems = Vec::new();
        check(&house, &mut problems);
        let told = problems.iter().find(|p| p.file == "connectors/stall/connector.toml");
        assert!(told.is_some_and(|p| p.text.contains(&format!("\"{name}\""))), "{problems:?}");
    }
}
