//! What `up` would do, step by step, with the cause of each. Data only.

use serde::{Deserialize, Serialize};

/// What `up` would do. No steps: the stack is as the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// In the order in which they are done.
    pub steps: Vec<Step>,
}

/// One change of one component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// To which component.
    pub component: String,
    /// Why: the values that differ, as `path: old -> new`.
    pub causes: Vec<String>,
}

/// What is done to a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is not there yet.
    Create,
    /// It is changed in place.
    Change,
    /// It is replaced without a gap.
    Restart,
    /// It is no longer wanted.
    Remove,
}

impl Action {
    fn sign(self) -> char {
        match self {
            Self::Create => '+',
            Self::Change | Self::Restart => '~',
            Self::Remove => '-',
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Change => "change",
            Self::Restart => "restart",
            Self::Remove => "remove",
        }
    }
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Adds a step.
    pub fn push(&mut self, action: Action, component: impl Into<String>, causes: Vec<String>) {
        self.steps.push(Step { action, component: component.into(), causes });
    }

    /// For people: one line a step, its causes below it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for step in &self.steps {
            text.push_str(&format!("{} {} {}\n", step.action.sign(), step.action.word(), step.component));
            for cause in &step.causes {
                text.push_str(&format!("    {cause}\n"));
            }
        }
        text
    }
}
