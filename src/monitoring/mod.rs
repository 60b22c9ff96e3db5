//! Reads what replicas measure, keeps its history, and shows it: in the supervisor, on a page, in a terminal.

mod book;
mod exposition;
mod figures;
pub(crate) mod history;
mod names;
pub(crate) mod page;
mod problems;
mod reader;
mod reading;
mod recorder;
pub(crate) mod source;
pub(crate) mod text;
mod tracker;
pub(crate) mod view;

pub(crate) use recorder::Chronicle;
