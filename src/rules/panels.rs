//! What a dashboard shows: panels in rows, each with its queries.

use super::facts::Facts;
use super::panel::Panel;
use super::{service_panels, store_panels};

/// The panels whose metrics exist, in their order.
pub fn panels(facts: &Facts) -> Vec<Panel> {
    let all = [service_panels::panels(facts), store_panels::panels(facts), service_panels::processes(facts)];
    all.into_iter().flatten().filter(|panel| panel.needs.iter().all(|need| facts.has(*need))).collect()
}
