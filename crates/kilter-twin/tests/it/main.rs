//! The twins, held against what their platforms do, in one binary.
//!
//! Reads, writes  what each file says.
//! Never  asks a twin's own code what is right.

mod faults;
mod odoo;
mod scenario;
mod shopify;
mod support;
mod woocommerce_deliveries;
mod woocommerce_observed;
mod woocommerce_replay;
mod woocommerce_resources;
mod woocommerce_stock;
mod woocommerce_webhooks;
