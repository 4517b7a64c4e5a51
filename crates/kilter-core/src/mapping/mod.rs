//! The mapping language: a table of lenses, one row a field, read and written by the same row.
//!
//! Reads   the text of a row, a remote object, the connection's names and lookup tables.
//! Writes  the place of the row inside a remote object, nothing beside it.
//! Never   touches a clock, a file or a network; never passes a number through floating point.
//!
//! ```text
//! values.price[scope=$channel].amount | null_as("") | money($currency, 2)
//! └──────────── path ───────────────┘   └────────── codecs ──────────┘
//! read  left to right: place → text or number → canonical value
//! write right to left: canonical value → text or number → place
//! ```
//!
//! Three laws hold, and `tests/mapping_laws.rs` holds us to them:
//!
//! | law       | says                                                                          |
//! |-----------|-------------------------------------------------------------------------------|
//! | put-get   | what was written is read back as `Lens::normalise` said beforehand              |
//! | get-put   | writing what was read changes nothing (`Lens::write` leaves an equal value be)  |
//! | isolation | a row changes only its own place                                                |
//!
//! The one exception to get-put is wanted: `default(v)` makes an absent value explicit when it is
//! written, because the remote's own default may be another one. It reads the same as before.
//!
//! Absent (`None`), null and `""` are three different things everywhere.

mod args;
mod choice;
mod codec;
mod error;
mod known;
mod lens;
mod markup;
mod named;
mod number;
mod path;
mod refer;
mod scan;
mod table;
mod time;
mod unit;
mod wrapped;

pub use args::Operand;
pub use choice::Choice;
pub use codec::Codec;
pub use error::{ParseError, ReadError, TableError, WriteError};
pub use lens::Lens;
pub use number::Format;
pub use path::Path;
pub use table::{Env, Table};
pub use time::TimeForm;
pub use unit::Unit;
