//! Updates of one document: operators or a replacement. Pure.

use bson::{Bson, DateTime, Document};

use super::answer::Refusal;
use super::compare::{add, compare, multiply};
use super::nesting::{self, check_path};
use super::path::{get, remove, set};
use super::query::{is_operators, matches};

/// The document after `update`; `inserting` makes `$setOnInsert` count.
pub(super) fn updated(before: &Document, update: &Document, inserting: bool) -> Result<Document, Refusal> {
    if !is_operators(update) {
        let mut after = Document::new();
        if let Some(id) = before.get("_id") {
            after.insert("_id", id.clone());
        }
        for (key, value) in update {
            if key.starts_with('$') {
                return Err(Refusal::new(
                    52,
                    "DollarPrefixedFieldName",
                    format!("'{key}' is not allowed here"),
                ));
            }
            after.insert(key, value.clone());
        }
        return same_id(before, after);
    }
    let mut after = before.clone();
    for (operator, arguments) in update {
        let arguments = arguments.as_document().ok_or_else(|| {
            Refusal::failed_to_parse(format!(
                "Modifiers operate on fields but we found another type for {operator}"
            ))
        })?;
        for (path, argument) in arguments {
            if path.split('.').any(|part| part.is_empty() || part.starts_with('$')) {
                let message = format!("the path '{path}' is not supported");
                return Err(Refusal::new(238, "NotImplemented", message));
            }
            check_path(path)?;
            apply(&mut after, operator, path, argument, inserting)?;
        }
    }
    same_id(before, after)
}

fn same_id(before: &Document, after: Document) -> Result<Document, Refusal> {
    match (before.get("_id"), after.get("_id")) {
        (Some(old), Some(new)) if compare(old, new).is_eq() => Ok(after),
        (None, _) => Ok(after),
        _ => Err(Refusal::new(66, "ImmutableField", "the field '_id' cannot be changed")),
    }
}

fn apply(
    at: &mut Document,
    operator: &str,
    path: &str,
    argument: &Bson,
    inserting: bool,
) -> Result<(), Refusal> {
    let old = get(at, path).cloned();
    match operator {
        "$set" => set(at, path, argument.clone()),
        "$setOnInsert" if inserting => set(at, path, argument.clone()),
        "$setOnInsert" => Ok(()),
        "$unset" => {
            remove(at, path);
            Ok(())
        }
        "$inc" | "$mul" => {
            let zero = Bson::Int32(0);
            let old = old.unwrap_or_else(|| zero.clone());
            let number = if operator == "$inc" { add(&old, argument) } else { multiply(&old, argument) };
            let message = format!("Cannot apply {operator} to a value of non-numeric type at '{path}'");
            set(at, path, number.ok_or_else(|| Refusal::type_mismatch(message))?)
        }
        "$min" | "$max" => {
            let order = old.map(|old| compare(argument, &old));
            let wins =
                order.is_none_or(|order| if operator == "$min" { order.is_lt() } else { order.is_gt() });
            if wins { set(at, path, argument.clone()) } else { Ok(()) }
        }
        "$rename" => {
            let to = argument
                .as_str()
                .ok_or_else(|| Refusal::bad_value("The 'to' field for $rename must be a string"))?;
            check_path(to)?;
            match remove(at, path) {
                Some(value) => set(at, to, value)?,
                None => return Ok(()),
            }
            // Each one may lay what the one before made a whole path deeper.
            nesting::check(at)
        }
        "$currentDate" => set(at, path, Bson::DateTime(DateTime::now())),
        "$push" | "$addToSet" | "$pull" | "$pullAll" | "$pop" => {
            let mut values = match old {
                Some(Bson::Array(values)) => values,
                None if matches!(operator, "$push" | "$addToSet") => Vec::new(),
                None => return Ok(()),
                Some(_) => {
                    return Err(Refusal::bad_value(format!(
                        "The field '{path}' must be an array but is another type"
                    )));
                }
            };
            change_list(&mut values, operator, argument)?;
            set(at, path, Bson::Array(values))
        }
        _ => Err(Refusal::failed_to_parse(format!("Unknown modifier: {operator}"))),
    }
}

fn change_list(values: &mut Vec<Bson>, operator: &str, argument: &Bson) -> Result<(), Refusal> {
    let each = |argument: &Bson| match argument.as_document().and_then(|document| document.get("$each")) {
        Some(Bson::Array(each)) => each.clone(),
        _ => vec![argument.clone()],
    };
    if let Some(known) = argument.as_document().filter(|document| document.contains_key("$each"))
        && let Some(other) = known.keys().find(|key| !matches!(key.as_str(), "$each" | "$slice"))
    {
        return Err(Refusal::new(
            238,
            "NotImplemented",
            format!("the embedded store has no {other} in {operator}"),
        ));
    }
    match operator {
        "$push" => {
            values.extend(each(argument));
            if let Some(slice) = argument.as_document().and_then(|document| document.get_i32("$slice").ok()) {
                let most = slice.unsigned_abs() as usize;
                if slice >= 0 {
                    values.truncate(most);
                } else {
                    values.drain(..values.len().saturating_sub(most));
                }
            }
        }
        "$addToSet" => {
            for value in each(argument) {
                if !values.iter().any(|old| compare(old, &value).is_eq()) {
                    values.push(value);
                }
            }
        }
        "$pop" => {
            let first = compare(argument, &Bson::Int32(0)).is_lt();
            if !values.is_empty() {
                values.remove(if first { 0 } else { values.len() - 1 });
            }
        }
        "$pullAll" => {
            let gone = argument
                .as_array()
                .ok_or_else(|| Refusal::bad_value("$pullAll requires an array argument"))?;
            values.retain(|value| !gone.iter().any(|gone| compare(gone, value).is_eq()));
        }
        _ => {
            let mut kept = Vec::new();
            for value in values.drain(..) {
                let gone = match (argument, &value) {
                    (Bson::Document(filter), Bson::Document(document)) if !is_operators(filter) => {
                        matches(document, filter)?
                    }
                    (Bson::Document(filter), _) if is_operators(filter) => {
                        let (mut document, mut condition) = (Document::new(), Document::new());
                        document.insert("v", value.clone());
                        condition.insert("v", filter.clone());
                        matches(&document, &condition)?
                    }
                    (argument, value) => compare(argument, value).is_eq(),
                };
                if !gone {
                    kept.push(value);
                }
            }
            *values = kept;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;

    #[test]
    fn operators_change_what_they_name() {
        let before = doc! {"_id": 1, "a": 1, "b": {"c": [1, 2]}, "gone": true};
        let update = doc! {"$inc": {"a": 2, "n": 1}, "$set": {"b.d": "x"}, "$unset": {"gone": ""}, "$push": {"b.c": 3}, "$pull": {"b.c": {"$lt": 2}}};
        let after = updated(&before, &update, false).unwrap();
        assert_eq!(after, doc! {"_id": 1, "a": 3, "b": {"c": [2, 3], "d": "x"}, "n": 1});
        assert_eq!(updated(&before, &doc! {"x": 1}, false).unwrap(), doc! {"_id": 1, "x": 1});
        assert_eq!(updated(&before, &doc! {"$set": {"_id": 2}}, false).unwrap_err().code, 66);
        assert_eq!(updated(&before, &doc! {"$frob": {"a": 1}}, false).unwrap_err().code, 9);
        assert_eq!(updated(&before, &doc! {"$inc": {"b": 1}}, false).unwrap_err().code, 14);
    }
}
