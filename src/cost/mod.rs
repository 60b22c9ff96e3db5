//! What a stack costs a month at N users a day, why, and the limiting factor. Pure: no IO, clock, randomness or network; today's
//! date and the measured capacity are given by the caller. Money is decimal throughout.
//!
//! `catalogue` holds the prices, `model` turns users into requests, replicas, nodes, connections and memory, `pricing`
//! prices that on a tier; `compare`, `chart` and `explain` show it in other ways, `report` words it.

pub mod assumptions;
pub mod capacity;
pub mod catalogue;
pub mod chart;
pub mod compare;
pub mod data;
pub mod estimate;
pub mod explain;
pub mod model;
pub mod money;
pub mod pricing;
mod reader;
pub mod remarks;
pub mod report;
pub mod stores;
pub mod view;

pub use capacity::{Capacity, MAX_USERS};
pub use catalogue::Catalogue;
pub use estimate::Estimate;
pub use model::Inputs;
pub use pricing::estimate;
