//! The words of the demo's catalogue and of its buyers.
//!
//! Reads   nothing.
//! Writes  nothing.
//! Never   names a real brand, person or address.

/// Code, English, German.
pub const NOUNS: &[(&str, &str, &str)] = &[
    ("TEE", "T-Shirt", "T-Shirt"),
    ("HOO", "Hoodie", "Kapuzenpullover"),
    ("JKT", "Rain Jacket", "Regenjacke"),
    ("SCA", "Scarf", "Schal"),
    ("SOC", "Socks", "Strümpfe"),
    ("BLK", "Blanket", "Wolldecke"),
    ("TWL", "Bath Towel", "Badetuch"),
    ("APR", "Apron", "Schürze"),
    ("CUS", "Cushion", "Kissen"),
    ("BAG", "Tote Bag", "Stofftasche"),
    ("GLV", "Gloves", "Handschuhe"),
    ("CAP", "Cap", "Mütze"),
    ("RUG", "Rug", "Läufer"),
    ("SHO", "House Shoes", "Hausschuhe"),
    ("PAN", "Work Trousers", "Arbeitshose"),
];

/// English, German: what tells two products of one kind apart.
pub const SERIES: &[(&str, &str)] = &[
    ("Alder", "Erle"),
    ("Ash", "Esche"),
    ("Beech", "Buche"),
    ("Birch", "Birke"),
    ("Cedar", "Zeder"),
    ("Elm", "Ulme"),
    ("Hazel", "Hasel"),
    ("Juniper", "Wacholder"),
    ("Larch", "Lärche"),
    ("Lime", "Linde"),
    ("Maple", "Ahorn"),
    ("Oak", "Eiche"),
    ("Pine", "Kiefer"),
    ("Rowan", "Vogelbeere"),
    ("Willow", "Weide"),
];

/// Code, English, German: things that come in one version.
pub const SINGLES: &[(&str, &str, &str)] = &[
    ("MUG", "Mug", "Becher"),
    ("JAR", "Storage Jar", "Vorratsglas"),
    ("CND", "Candle", "Kerze"),
    ("BRD", "Cutting Board", "Schneidebrett"),
    ("VAS", "Vase", "Vase"),
    ("SOA", "Hand Soap", "Handseife"),
];

/// Code, name.
pub const COLOURS: &[(&str, &str)] = &[
    ("RED", "Red"),
    ("BLU", "Blue"),
    ("GRN", "Green"),
    ("BLK", "Black"),
    ("WHT", "White"),
    ("GRY", "Grey"),
    ("NAT", "Natural"),
    ("SND", "Sand"),
    ("PLM", "Plum"),
    ("OCH", "Ochre"),
    ("TEA", "Teal"),
];

pub const SIZES: &[&str] = &["XS", "S", "M", "L", "XL", "2XL", "3XL", "4XL", "5XL", "6XL"];

pub const GERMANS: &[(&str, &str)] = &[
    ("Jürgen", "Müller"),
    ("Anna", "Weiß"),
    ("Björn", "Schäfer"),
    ("Käthe", "Groß"),
    ("Lena", "Schmidt"),
    ("Uwe", "Jäger"),
    ("Sophie", "von der Heide"),
    ("Mehmet", "Yıldız"),
];

pub const AMERICANS: &[(&str, &str)] = &[
    ("Mary", "O'Brien"),
    ("James", "Miller"),
    ("Zoë", "Smith-Jones"),
    ("Luis", "Peña"),
    ("Grace", "Lee"),
    ("Robert", "Brown Jr."),
    ("Ava", "Wilson"),
    ("Noah", "D'Angelo"),
];

/// Street, postcode, city.
pub const GERMAN_PLACES: &[(&str, &str, &str)] = &[
    ("Lange Straße 5", "01067", "Dresden"),
    ("Mühlweg 12 a", "89073", "Ulm"),
    ("Am Grün 3", "35037", "Marburg"),
    ("Königsallee 77", "40212", "Düsseldorf"),
];

pub const AMERICAN_PLACES: &[(&str, &str, &str)] = &[
    ("12 Elm Street, Apt #4", "02134", "Boston"),
    ("500 Main St", "97201", "Portland"),
    ("8 \"The Oaks\" Ln", "78701", "Austin"),
    ("77 5th Ave", "10003", "New York"),
];
