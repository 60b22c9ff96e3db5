//! Answers and errors, with the codes of MongoDB's `error_codes.yml`.

use bson::{Bson, Document, doc};

use super::compare::truncated;

/// A refused command.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) code: i32,
    pub(super) name: &'static str,
    pub(super) message: String,
    /// What else the client is told, such as the key that is there already.
    pub(super) more: Option<Box<Document>>,
}

pub(super) type Answer = Result<Document, Refusal>;

impl Refusal {
    pub(super) fn new(code: i32, name: &'static str, message: impl Into<String>) -> Self {
        Self { code, name, message: message.into(), more: None }
    }

    pub(super) fn bad_value(message: impl Into<String>) -> Self {
        Self::new(2, "BadValue", message)
    }

    pub(super) fn failed_to_parse(message: impl Into<String>) -> Self {
        Self::new(9, "FailedToParse", message)
    }

    pub(super) fn type_mismatch(message: impl Into<String>) -> Self {
        Self::new(14, "TypeMismatch", message)
    }

    /// As the whole answer of a command.
    pub(super) fn document(self) -> Document {
        let mut document = doc! {"ok": 0.0, "errmsg": self.message, "code": self.code, "codeName": self.name};
        document.extend(self.more.into_iter().flat_map(|more| *more));
        document
    }

    /// As an entry of `writeErrors`.
    pub(super) fn write_error(self, index: usize) -> Bson {
        let index = i32::try_from(index).unwrap_or(i32::MAX);
        let mut document = doc! {"index": index, "code": self.code, "errmsg": self.message};
        document.extend(self.more.into_iter().flat_map(|more| *more));
        document.into()
    }
}

/// A field that must be a document.
pub(super) fn document_of<'a>(command: &'a Document, key: &str) -> Result<Option<&'a Document>, Refusal> {
    match command.get(key) {
        None | Some(Bson::Null) => Ok(None),
        Some(Bson::Document(document)) => Ok(Some(document)),
        Some(_) => Err(Refusal::type_mismatch(format!("field '{key}' must be an object"))),
    }
}

/// A field that must be a number.
pub(super) fn number_of(command: &Document, key: &str) -> Result<Option<i64>, Refusal> {
    match command.get(key) {
        None | Some(Bson::Null) => Ok(None),
        Some(Bson::Int32(number)) => Ok(Some(i64::from(*number))),
        Some(Bson::Int64(number)) => Ok(Some(*number)),
        Some(Bson::Double(number)) if number.is_finite() => Ok(Some(truncated(*number))),
        Some(_) => Err(Refusal::type_mismatch(format!("field '{key}' must be a number"))),
    }
}

/// A field that must be a text.
pub(super) fn text_of<'a>(command: &'a Document, key: &str) -> Result<&'a str, Refusal> {
    command.get_str(key).map_err(|_| Refusal::type_mismatch(format!("field '{key}' must be a string")))
}

/// Whether a flag is set; numbers count as MongoDB counts them.
pub(super) fn flag_of(command: &Document, key: &str, default: bool) -> bool {
    match command.get(key) {
        Some(Bson::Boolean(flag)) => *flag,
        Some(Bson::Int32(number)) => *number != 0,
        Some(Bson::Int64(number)) => *number != 0,
        Some(Bson::Double(number)) => *number != 0.0,
        _ => default,
    }
}

/// A list of documents, such as the stages of a pipeline.
pub(super) fn documents_of(command: &Document, key: &str) -> Result<Vec<Document>, Refusal> {
    let wrong = || Refusal::type_mismatch(format!("field '{key}' must be an array of objects"));
    let values = command.get_array(key).map_err(|_| wrong())?;
    values.iter().map(|value| value.as_document().cloned().ok_or_else(wrong)).collect()
}
