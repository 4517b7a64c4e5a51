//! All tests of the whole program, in one binary: forty of them took minutes to link and to check.
//!
//! Reads, writes  what each file says.
//! Never  lets one test see what another wrote: each has a folder and ports of its own.

mod absent;
mod adopt;
mod backfill;
mod backlog;
mod bad_shop;
mod bulk;
mod bulk_lost;
mod conformance;
mod contracts;
mod crash;
mod drifted;
mod edited;
mod exchanges;
mod fallen;
mod fulfilments;
mod graphql_data;
mod graphql_hooks;
mod graphql_refunds;
mod guard;
mod hooks;
mod ill;
mod isolated;
mod kill;
mod load;
mod merged;
mod parcels;
mod parent_stock;
mod pictures;
mod read_first;
mod readme;
mod refunds;
mod replaced;
mod reshape;
mod retain;
mod rounding;
mod sales;
mod shelves;
mod signatures;
mod silence;
mod storms;
mod support;
mod tidy;
mod together;
mod units;
mod wide;
