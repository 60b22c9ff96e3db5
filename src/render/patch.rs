//! `patches:` of the stack file: operations of JSON Patch (RFC 6902) on rendered documents. Pure.
//!
//! A path that leads nowhere is an error, so that a patch cannot fall silent when a template changes.

use std::collections::BTreeMap;

use anyhow::Result;
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, RemoveOperation, ReplaceOperation};
use serde_json::Value;

use crate::document;
use crate::error::{ExitStatus, Failure};
use crate::render::{Draft, Overrides, TARGETS, quote};
use crate::stack::model::Patch;
use crate::stack::{Stack, TargetKind};

/// Applies the patches that are for `target`.
pub(super) fn apply(
    mut drafts: Vec<Draft>,
    target: TargetKind,
    patches: &BTreeMap<String, Vec<Patch>>,
) -> Result<Vec<Draft>> {
    for (name, operations) in patches {
        let Some(path) = path_on(target, name) else { continue };
        let known: Vec<String> =
            drafts.iter().map(|draft| format!("{}/{}", target.as_str(), draft.path)).collect();
        let Some(draft) = drafts.iter_mut().find(|draft| draft.path == path) else {
            let near = document::nearest(name, known.iter().map(String::as_str));
            let hint = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("documents: `{}`", known.join("`, `")),
            };
            return Err(wrong(format!("patches: unknown document `{name}`")).hint(hint).into());
        };
        if !path.ends_with(".yml") && !path.ends_with(".yaml") {
            return Err(wrong(format!("patches: `{name}` cannot be patched; only YAML documents can"))
                .hint(format!("edit its template instead: appforge render --eject {name}"))
                .into());
        }
        let node = document::parse(&draft.text).map_err(|error| {
            wrong(format!("`{name}` is invalid: line {}: {}", error.place.line, error.message))
        })?;
        let mut value = node.to_json();
        for (index, operation) in operations.iter().enumerate() {
            change(&mut value, operation).map_err(|reason| {
                wrong(format!("patches.{name}[{index}]: {reason}")).hint(format!(
                    "`appforge render --stdout --target {}` shows the document",
                    target.as_str()
                ))
            })?;
        }
        draft.text = quote::block(&value);
    }
    Ok(drafts)
}

/// Tries the patches that are for another target than the one that is rendered, so that a wrong one does not wait for its own.
pub(super) fn check_others(stack: &Stack, rendered: TargetKind, overrides: &Overrides) -> Result<()> {
    for target in TARGETS.into_iter().filter(|target| *target != rendered) {
        if stack.patches.keys().any(|name| path_on(target, name).is_some())
            // What keeps the stack from that target is said there.
            && let Ok(drafts) = super::drafts(stack, target, overrides)
        {
            apply(drafts, target, &stack.patches)?;
        }
    }
    Ok(())
}

/// The path of a document, when it is one of `target`.
fn path_on(target: TargetKind, name: &str) -> Option<&str> {
    name.strip_prefix(target.as_str())?.strip_prefix('/')
}

fn change(root: &mut Value, patch: &Patch) -> Result<(), String> {
    let (Patch::Add { path, .. } | Patch::Replace { path, .. } | Patch::Remove { path }) = patch;
    let gone = || format!("path `{path}` not found");
    let pointer = PointerBuf::parse(path.as_str()).ok().filter(|pointer| !pointer.is_root());
    let pointer =
        pointer.ok_or_else(|| format!("expected a path such as `/services/redis/logging`, got `{path}`"))?;
    let operation = match patch {
        Patch::Add { value, .. } => PatchOperation::Add(AddOperation { path: pointer, value: value.clone() }),
        Patch::Replace { value, .. } => {
            PatchOperation::Replace(ReplaceOperation { path: pointer, value: value.clone() })
        }
        Patch::Remove { .. } => {
            let (parent, key) = pointer.split_back().ok_or_else(gone)?;
            if let Some(Value::Object(members)) = root.pointer_mut(parent.as_str()) {
                // json-patch would fill the gap with the last member; a document keeps its order.
                return members.shift_remove(key.decoded().as_ref()).map(drop).ok_or_else(gone);
            }
            PatchOperation::Remove(RemoveOperation { path: pointer })
        }
    };
    json_patch::patch_unsafe(root, &[operation]).map_err(|_| gone())
}

fn wrong(message: String) -> Failure {
    Failure::new(ExitStatus::Config, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn changed(patch: Value) -> Result<Value, String> {
        let mut document = json!({"a": {"b/c": 1}, "list": ["x", "y"], "last": 1});
        change(&mut document, &serde_json::from_value(patch).unwrap()).map(|()| document)
    }

    #[test]
    fn operations_are_those_of_json_patch() {
        let add = changed(json!({"op": "add", "path": "/a/new", "value": true})).unwrap();
        assert_eq!(add["a"]["new"], true);
        let replace = changed(json!({"op": "replace", "path": "/a/b~1c", "value": 2})).unwrap();
        assert_eq!(replace["a"]["b/c"], 2);
        let append = changed(json!({"op": "add", "path": "/list/-", "value": "z"})).unwrap();
        assert_eq!(append["list"], json!(["x", "y", "z"]));
        let remove = changed(json!({"op": "remove", "path": "/list/0"})).unwrap();
        assert_eq!(remove["list"], json!(["y"]));
        let remove = changed(json!({"op": "remove", "path": "/a"})).unwrap();
        let keys: Vec<&String> = remove.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["list", "last"], "the order of the others stays");
    }

    #[test]
    fn a_path_that_is_gone_is_an_error() {
        for patch in [
            json!({"op": "replace", "path": "/a/gone", "value": 1}),
            json!({"op": "remove", "path": "/list/2"}),
            json!({"op": "add", "path": "/gone/x", "value": 1}),
            json!({"op": "remove", "path": "a"}),
            json!({"op": "remove", "path": "/gone"}),
            json!({"op": "add", "path": "", "value": {}}),
            json!({"op": "replace", "path": "/list/-", "value": 1}),
            json!({"op": "replace", "path": "/list/00", "value": 1}),
            json!({"op": "remove", "path": "/list/01"}),
            json!({"op": "add", "path": "/list/+1", "value": 1}),
            json!({"op": "add", "path": "/list/18446744073709551616", "value": 1}),
        ] {
            changed(patch.clone()).expect_err(&patch.to_string());
        }
    }
}
