//! What a run is remembered as: one value that is printed, stored, drawn and compared.

mod charts;
mod comparison;
mod data;
mod html;
mod markdown;
mod metrics;
mod table;

pub use comparison::{Comparison, Row};
pub use data::{About, PointReport, Report};
pub use html::html;
pub use markdown::markdown;
pub use table::{Now, latencies, pace, table};
