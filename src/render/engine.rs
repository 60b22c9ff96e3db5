//! The template engine: Tera with the project's rules. Neutral to targets.
//!
//! In a YAML template every value is quoted on its way out, whether or not the template asks for it, so that none can be
//! taken for a date, a number or a key.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;
use tera::{Context, ErrorKind, Tera};

use crate::error::{ExitStatus, Failure};
use crate::render::templates::KUSTOMIZATION;
use crate::render::{quote, templates};

/// How a value is written into a YAML document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// As a double-quoted scalar.
    Yaml,
    /// The same, and `$` doubled, since Compose replaces `${NAME}`.
    Compose,
}

/// The templates of one target, ready to be filled.
pub struct Engine {
    tera: Tera,
    folder: &'static str,
}

impl Engine {
    /// Reads the templates below `folder`; those of `overrides` win. An override that replaces nothing is an error.
    pub fn new(folder: &'static str, dialect: Dialect, overrides: &BTreeMap<String, String>) -> Result<Self> {
        let mut tera = Tera::new();
        tera.autoescape_on(vec![".yml", ".yaml", KUSTOMIZATION]);
        match dialect {
            Dialect::Yaml => tera.set_escape_fn(|text, out| out.write_all(quote::yaml(text).as_bytes())),
            Dialect::Compose => tera
                .set_escape_fn(|text, out| out.write_all(quote::yaml(&text.replace('$', "$$")).as_bytes())),
        }
        for (name, text) in templates::under(folder) {
            let text = overrides.get(name).map_or(text, String::as_str);
            tera.add_raw_template(name, text).map_err(|error| wrong(name, error))?;
        }
        Ok(Self { tera, folder })
    }

    /// Fills the template of the document `path`.
    pub fn fill<C: Serialize>(&self, path: &str, context: &C) -> Result<String> {
        let name = format!("{}/{path}", self.folder);
        let context = Context::from_serialize(context).map_err(|error| wrong(&name, error))?;
        self.tera.render(&name, &context).map_err(|error| wrong(&name, error))
    }
}

fn wrong(name: &str, error: tera::Error) -> anyhow::Error {
    let cause = match error.kind() {
        // The error's own text shows the line of the template, which may be a link to any file.
        ErrorKind::SyntaxError(report) | ErrorKind::RenderingError(report) => {
            let (place, at) = (report.span(), report.filename());
            anyhow::anyhow!("{at}:{}:{}: {}", place.start_line, place.start_col + 1, report.message())
        }
        _ => error.into(),
    };
    Failure::new(ExitStatus::Config, format!("cannot render the template `{name}`"))
        .hint(format!("fix `templates/{name}.tera`, or remove it to use the embedded template"))
        .caused_by(cause)
        .into()
}
