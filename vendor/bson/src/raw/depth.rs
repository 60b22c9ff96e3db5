//! The limit of nesting, and the conversions of raw BSON that recurse, which obey it.
//!
//! Not part of the published crate: see README-VENDORED.md.

use crate::{
    error::{Error, Result},
    Bson,
    Document,
    JavaScriptCodeWithScope,
    RawArray,
    RawBson,
    RawBsonRef,
    RawDocument,
};

/// Most levels that are decoded, the outermost document or array included. A server stores 100 and refuses more
/// than 200 (`BSONDepth::kDefaultMaxAllowableDepth`).
pub(crate) const MAX_DEPTH: usize = 200;

/// The depth inside a document or array that is itself inside of `depth` others.
pub(crate) fn deeper(depth: usize) -> Result<usize> {
    if depth >= MAX_DEPTH {
        return Err(Error::malformed_bytes(format!(
            "documents are nested more than {MAX_DEPTH} levels deep"
        )));
    }
    Ok(depth + 1)
}

pub(super) fn to_document(raw: &RawDocument, depth: usize) -> Result<Document> {
    let depth = deeper(depth)?;
    raw.into_iter()
        .map(|element| {
            let (key, value) = element?;
            Ok((key.as_str().to_owned(), to_bson(value, depth)?))
        })
        .collect()
}

pub(super) fn to_array(raw: &RawArray, depth: usize) -> Result<Vec<Bson>> {
    let depth = deeper(depth)?;
    raw.into_iter().map(|value| to_bson(value?, depth)).collect()
}

/// Nested values are borrowed: a copy at each level would take memory by the product of depth and size.
pub(super) fn to_bson(raw: RawBsonRef<'_>, depth: usize) -> Result<Bson> {
    Ok(match raw {
        RawBsonRef::Document(document) => Bson::Document(to_document(document, depth)?),
        RawBsonRef::Array(array) => Bson::Array(to_array(array, depth)?),
        RawBsonRef::JavaScriptCodeWithScope(code) => {
            Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope {
                code: code.code.to_owned(),
                scope: to_document(code.scope, depth)?,
            })
        }
        flat => RawBson::from(flat).try_into()?,
    })
}
