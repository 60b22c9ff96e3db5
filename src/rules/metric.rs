//! Which metrics an expression reads.

use std::collections::BTreeSet;

/// The names of metrics in a PromQL expression as this module writes them: each name is followed by its braces.
pub fn metrics(expression: &str) -> BTreeSet<&str> {
    let names = expression.match_indices('{').filter_map(|(at, _)| {
        let before = expression.get(..at)?;
        let start = before.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
        let name = start.map_or(Some(before), |start| before.get(start + 1..))?;
        (!name.is_empty()).then_some(name)
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::metrics;

    #[test]
    fn metrics_are_the_names_before_braces() {
        let found = metrics(
            "sum by (stack) (rate(a_total{stack=\"s\"}[5m]))\n/ ignoring (state) b:c:d{x=~\"{\"} > 1",
        );
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["a_total", "b:c:d"]);
        assert!(metrics("vector(1)").is_empty());
    }
}
