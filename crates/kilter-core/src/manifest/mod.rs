//! The connector language: what a `connectors/<name>/` folder says, read, checked, compiled.

pub mod auth;
pub mod bulk;
pub mod connector;
pub mod entries;
pub mod error;
pub mod graphql;
pub mod limit;
pub mod mentions;
pub mod parts;
pub mod places;
pub mod resource;
pub mod spread;
pub mod stand;
pub mod template;
pub mod types;
pub mod ways;

pub use auth::{Auth, Grant, GrantKind};
pub use bulk::{Bulk, Job, Load};
pub use connector::read_connector;
pub use entries::Entries;
pub use error::Errors;
pub use limit::{Cost, Figures, Limit};
pub use mentions::Mentions;
pub use places::Places;
pub use spread::Spread;
pub use stand::{Mode, Stand};
pub use template::{Call, Request, Vars, plain, render};
pub use types::*;
pub use ways::{Answer, AnswerKind, Carry, Class, Kind, Lifecycle, Permit, Rounding, Step, Write};
