//! YAML text -> nodes with places -> typed values: the one parser and the one reader of every file that a user writes.
//! Pure: no IO, clock, randomness or network.

mod deserializer;
mod node;
mod parser;
mod problem;
mod reader;
mod scalar;
mod words;

pub(crate) use deserializer::{Refusal, deserialize};
pub(crate) use node::{Content, Node};
pub(crate) use parser::{Fault, parse, parse_value};
pub(crate) use problem::report;
pub(crate) use problem::{Origin, Problem};
pub(crate) use reader::{Field, Mapping, Reader, join};
pub(crate) use words::{counted, misspelt, nearest, out_of, refused};

#[cfg(test)]
mod tests;
