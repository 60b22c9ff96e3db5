//! Whether a document matches a filter. What is not known is refused as MongoDB refuses it. Pure.

use std::cmp::Ordering;

use bson::{Bson, Document};
use regex::RegexBuilder;

use super::answer::Refusal;
use super::compare::{compare, rank, real, truncated};
use super::path::values_at;

/// Whether `document` matches `filter`.
pub(super) fn matches(document: &Document, filter: &Document) -> Result<bool, Refusal> {
    for (key, condition) in filter {
        let fits = match key.as_str() {
            "$and" => clauses(key, condition)?
                .iter()
                .try_fold(true, |all, clause| Ok(all && matches(document, clause)?))?,
            "$or" => any(document, clauses(key, condition)?)?,
            "$nor" => !any(document, clauses(key, condition)?)?,
            "$comment" => true,
            "$expr" | "$where" | "$text" | "$jsonSchema" => return Err(unsupported(key)),
            _ if key.starts_with('$') => {
                return Err(Refusal::bad_value(format!("unknown top level operator: {key}")));
            }
            _ => {
                let values = values_at(document, key);
                match condition {
                    Bson::Document(operators) if is_operators(operators) => all_hold(&values, operators)?,
                    Bson::RegularExpression(regex) => {
                        let regex = compile(regex.pattern.as_str(), regex.options.as_str())?;
                        each(&values, |value| value.as_str().is_some_and(|text| regex.is_match(text)))
                    }
                    value => equals(&values, value),
                }
            }
        };
        if !fits {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a document is one of operators, such as `{$gt: 1}`.
pub(super) fn is_operators(document: &Document) -> bool {
    document.keys().next().is_some_and(|key| key.starts_with('$'))
}

fn clauses<'a>(key: &str, condition: &'a Bson) -> Result<Vec<&'a Document>, Refusal> {
    let wrong = || Refusal::bad_value(format!("{key} argument must be a non-empty array of objects"));
    let clauses = condition.as_array().filter(|clauses| !clauses.is_empty()).ok_or_else(wrong)?;
    clauses.iter().map(|clause| clause.as_document().ok_or_else(wrong)).collect()
}

fn any(document: &Document, clauses: Vec<&Document>) -> Result<bool, Refusal> {
    clauses.into_iter().try_fold(false, |any, clause| Ok(any || matches(document, clause)?))
}

/// Whether a value, or an element of it when it is an array, passes the test.
fn each(values: &[&Bson], test: impl Fn(&Bson) -> bool) -> bool {
    values
        .iter()
        .any(|value| test(value) || value.as_array().is_some_and(|elements| elements.iter().any(&test)))
}

fn equals(values: &[&Bson], wanted: &Bson) -> bool {
    (wanted == &Bson::Null && values.is_empty()) || each(values, |value| compare(value, wanted).is_eq())
}

fn all_hold(values: &[&Bson], operators: &Document) -> Result<bool, Refusal> {
    for (operator, argument) in operators {
        if !holds(values, operator, argument, operators)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn holds(values: &[&Bson], operator: &str, argument: &Bson, siblings: &Document) -> Result<bool, Refusal> {
    let list = || {
        let list = argument.as_array();
        list.ok_or_else(|| Refusal::bad_value(format!("{operator} needs an array")))
    };
    let ordered = |test: fn(Ordering) -> bool| {
        each(values, |value| rank(value) == rank(argument) && test(compare(value, argument)))
            || (values.is_empty() && argument == &Bson::Null && test(Ordering::Equal))
    };
    Ok(match operator {
        "$eq" => equals(values, argument),
        "$ne" => !equals(values, argument),
        "$gt" => ordered(Ordering::is_gt),
        "$gte" => ordered(Ordering::is_ge),
        "$lt" => ordered(Ordering::is_lt),
        "$lte" => ordered(Ordering::is_le),
        "$in" => list()?.iter().any(|wanted| equals(values, wanted)),
        "$nin" => !list()?.iter().any(|wanted| equals(values, wanted)),
        "$exists" => values.is_empty() != truth(argument),
        "$not" => match argument {
            Bson::Document(operators) if is_operators(operators) => !all_hold(values, operators)?,
            Bson::RegularExpression(regex) => {
                let regex = compile(regex.pattern.as_str(), regex.options.as_str())?;
                !each(values, |value| value.as_str().is_some_and(|text| regex.is_match(text)))
            }
            _ => return Err(Refusal::bad_value("$not needs a regex or a document")),
        },
        "$regex" => {
            let options = siblings.get_str("$options").unwrap_or_default();
            let regex = match argument {
                Bson::String(pattern) => compile(pattern, options)?,
                Bson::RegularExpression(regex) => compile(regex.pattern.as_str(), regex.options.as_str())?,
                _ => return Err(Refusal::bad_value("$regex has to be a string")),
            };
            each(values, |value| value.as_str().is_some_and(|text| regex.is_match(text)))
        }
        "$options" => true,
        "$size" => {
            let size = real(argument).filter(|size| *size >= 0.0);
            let size = size.ok_or_else(|| Refusal::bad_value("Failed to parse $size. Expected a number"))?;
            values
                .iter()
                .filter_map(|value| value.as_array())
                .any(|elements| u32::try_from(elements.len()).is_ok_and(|count| f64::from(count) == size))
        }
        "$all" => {
            let wanted = list()?;
            !wanted.is_empty() && wanted.iter().all(|wanted| equals(values, wanted))
        }
        "$elemMatch" => {
            let inner =
                argument.as_document().ok_or_else(|| Refusal::bad_value("$elemMatch needs an Object"))?;
            let mut found = false;
            for element in values.iter().filter_map(|value| value.as_array()).flatten() {
                found |= match element {
                    _ if is_operators(inner) => all_hold(&[element], inner)?,
                    Bson::Document(document) => matches(document, inner)?,
                    _ => false,
                };
            }
            found
        }
        "$mod" => {
            let numbers: Vec<i64> = list()?.iter().filter_map(real).map(truncated).collect();
            let [divisor, remainder] = numbers[..] else {
                return Err(Refusal::bad_value("malformed mod, needs two numbers"));
            };
            if divisor == 0 {
                return Err(Refusal::bad_value("divisor cannot be 0"));
            }
            each(values, |value| {
                real(value).is_some_and(|number| truncated(number).checked_rem(divisor) == Some(remainder))
            })
        }
        "$type" => {
            let wanted: Vec<&Bson> =
                argument.as_array().map_or_else(|| vec![argument], |list| list.iter().collect());
            each(values, |value| wanted.iter().any(|wanted| is_type(value, wanted)))
        }
        _ => return Err(Refusal::bad_value(format!("unknown operator: {operator}"))),
    })
}

fn truth(value: &Bson) -> bool {
    match value {
        Bson::Boolean(flag) => *flag,
        Bson::Null | Bson::Undefined => false,
        other => real(other) != Some(0.0),
    }
}

fn is_type(value: &Bson, wanted: &Bson) -> bool {
    let number = value.element_type() as u8;
    match wanted {
        Bson::String(name) => match name.as_str() {
            "number" => rank(value) == 2,
            "double" => number == 1,
            "string" => number == 2,
            "object" => number == 3,
            "array" => number == 4,
            "binData" => number == 5,
            "objectId" => number == 7,
            "bool" => number == 8,
            "date" => number == 9,
            "null" => number == 10,
            "regex" => number == 11,
            "int" => number == 16,
            "timestamp" => number == 17,
            "long" => number == 18,
            "decimal" => number == 19,
            _ => false,
        },
        other => real(other) == Some(f64::from(number)),
    }
}

fn compile(pattern: &str, options: &str) -> Result<regex::Regex, Refusal> {
    let mut builder = RegexBuilder::new(pattern);
    for option in options.chars() {
        match option {
            'i' => builder.case_insensitive(true),
            'm' => builder.multi_line(true),
            's' => builder.dot_matches_new_line(true),
            'x' => builder.ignore_whitespace(true),
            'u' => builder.unicode(true),
            _ => {
                return Err(Refusal::new(
                    51108,
                    "Location51108",
                    format!("invalid flag in regex options: {option}"),
                ));
            }
        };
    }
    // Look-around and back-references, which this engine has not, are refused here too.
    builder.build().map_err(|_| Refusal::new(51091, "Location51091", "Regular expression is invalid"))
}

fn unsupported(operator: &str) -> Refusal {
    Refusal::new(238, "NotImplemented", format!("the embedded store has no {operator}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;

    #[test]
    fn filters_match_as_mongodb_says() {
        let document = doc! {"a": 5, "b": [1, 2, {"c": "x"}], "d": {"e": null}, "name": "Ada"};
        for (filter, fits) in [
            (doc! {}, true),
            (doc! {"a": 5.0}, true),
            (doc! {"a": {"$gt": 4, "$lte": 5}}, true),
            (doc! {"a": {"$gt": "4"}}, false),
            (doc! {"b": 2}, true),
            (doc! {"b.c": "x"}, true),
            (doc! {"b.0": 1}, true),
            (doc! {"b": {"$size": 3}}, true),
            (doc! {"b": {"$all": [1, 2]}}, true),
            (doc! {"b": {"$elemMatch": {"$gt": 1}}}, true),
            (doc! {"missing": null}, true),
            (doc! {"missing": {"$exists": false}}, true),
            (doc! {"d.e": {"$exists": true}}, true),
            (doc! {"a": {"$nin": [5]}}, false),
            (doc! {"a": {"$not": {"$gt": 5}}}, true),
            (doc! {"name": {"$regex": "^a", "$options": "i"}}, true),
            (doc! {"$or": [{"a": 1}, {"a": 5}]}, true),
            (doc! {"$nor": [{"a": 5}]}, false),
            (doc! {"a": {"$mod": [2, 1]}}, true),
            (doc! {"a": {"$type": "int"}}, true),
        ] {
            assert_eq!(matches(&document, &filter), Ok(fits), "{filter}");
        }
        assert_eq!(matches(&document, &doc! {"a": {"$near": 1}}).unwrap_err().code, 2);
        assert_eq!(matches(&document, &doc! {"$where": "x"}).unwrap_err().code, 238);
    }
}
