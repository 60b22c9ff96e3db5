//! What the bench has found out, as Markdown.

use std::fmt::Write;

/// A figure that has a goal.
pub(super) struct Goal {
    /// What is measured.
    pub figure: String,
    /// What it should be.
    pub goal: String,
    /// What it is.
    pub measured: String,
    /// Whether that is good.
    pub met: bool,
}

impl Goal {
    /// A figure that should not be larger.
    pub(super) fn at_most(figure: String, goal: f64, measured: f64, unit: &str, digits: usize) -> Self {
        Self::new(figure, "<=", goal, measured, unit, digits, measured <= goal)
    }

    /// A figure that should not be smaller.
    pub(super) fn at_least(figure: String, goal: f64, measured: f64, unit: &str, digits: usize) -> Self {
        Self::new(figure, ">=", goal, measured, unit, digits, measured >= goal)
    }

    fn new(
        figure: String,
        sign: &str,
        goal: f64,
        measured: f64,
        unit: &str,
        digits: usize,
        met: bool,
    ) -> Self {
        let goal = format!("{sign} {goal} {unit}").trim_end().to_owned();
        let measured = format!("{measured:.digits$} {unit}").trim_end().to_owned();
        Self { figure, goal, measured, met }
    }
}

/// One section.
pub(super) struct Part {
    /// Its heading.
    pub title: String,
    /// How it was measured, and its tables.
    pub text: String,
    /// Its figures that have goals.
    pub goals: Vec<Goal>,
}

/// The whole document; `about` says where and when.
pub(super) fn document(about: &str, parts: &[Part]) -> String {
    let goals = || parts.iter().flat_map(|part| &part.goals);
    let met = goals().filter(|goal| goal.met).count();
    let rows = goals().map(|goal| {
        let verdict = if goal.met { "met" } else { "**missed**" };
        vec![goal.figure.clone(), goal.goal.clone(), goal.measured.clone(), verdict.to_owned()]
    });
    let mut text = format!(
        "# Benchmarks\n\nWritten by `cargo xtask bench`, from one run; compare figures only within it.\n\n{about}\n\n\
         ## Goals\n\n{met} of {} are met.\n\n{}",
        goals().count(),
        table(&["figure", "goal", "measured", "verdict"], &rows.collect::<Vec<_>>())
    );
    for part in parts {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n## {}\n\n{}", part.title, part.text);
    }
    text
}

/// A table.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let rule = format!("|{}\n", "---|".repeat(head.len()));
    let rows: String = rows.iter().map(|cells| line(cells)).collect();
    format!("{}{rule}{rows}", line(&head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_that_is_missed_is_told() {
        let goals = vec![
            Goal::at_most("p99".into(), 10.0, 12.0, "ms", 1),
            Goal::at_least("ratio".into(), 0.8, 0.8, "", 2),
        ];
        let part = Part { title: "All".into(), text: "How.\n".into(), goals };
        let text = document("Here.", &[part]);
        assert!(text.contains("1 of 2 are met"), "{text}");
        assert!(text.contains("| p99 | <= 10 ms | 12.0 ms | **missed** |\n"), "{text}");
        assert!(text.contains("| ratio | >= 0.8 | 0.80 | met |\n"), "{text}");
        assert!(text.ends_with("\n## All\n\nHow.\n"), "{text}");
    }
}
