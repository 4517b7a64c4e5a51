//! The mapping language: a table of lenses.
