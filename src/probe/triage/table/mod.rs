//! Tables of others: rows, headers, numbers and times as programs and spreadsheets write them.

pub mod header;
pub mod number;
pub mod rows;
pub mod time;
pub mod unit;

#[cfg(test)]
mod tests;
