//! The Shopify twin, held against the platform's facts.
//!
//! Reads   the twin over HTTP; the vendor's schemas where they are present.
//! Writes  nothing.
//! Never   looks into the twin's memory: only its answers count.

mod bulk;
mod catalogue;
mod cost;
mod orders;
mod reading;
mod subset;
mod support;
mod webhooks;
