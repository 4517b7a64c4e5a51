//! What a shop that speaks GraphQL keeps beside goods, prices and orders: people, pictures,
//! collections, fields of a merchant's own, and money in two currencies.

mod collections;
mod customers;
mod fields;
mod images;
mod money;
mod third;
