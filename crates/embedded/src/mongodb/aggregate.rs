//! `aggregate`, in the stages that counting and listing need. A stage that is not known is refused.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use bson::{Bson, Document, doc};

use super::answer::{Answer, Refusal, document_of, documents_of, number_of, text_of};
use super::collection::Found;
use super::compare::{Ordered, add, compare, real, truncated};
use super::connections::{self, Connections};
use super::cursors::{Cursors, Source, View};
use super::data::Data;
use super::nesting;
use super::path::get;
use super::projection::project;
use super::query::matches;
use super::read::{select, sort_by};

/// `aggregate`.
pub(super) fn aggregate(
    data: &Data,
    cursors: &mut Cursors,
    connections: &Connections,
    database: &str,
    command: &Document,
) -> Answer {
    let mut pipeline = documents_of(command, "pipeline")?;
    let empty = Document::new();
    let (namespace, mut flow) = match connections::asked(command, database, &pipeline)? {
        Some(argument) => {
            let listed = connections.current_op(cursors.connection, argument)?;
            pipeline.remove(0);
            (format!("{database}.$cmd.aggregate"), Flow::Made(listed))
        }
        None => {
            let namespace = format!("{database}.{}", text_of(command, "aggregate")?);
            let all = select(data, &namespace, &empty, &empty, 0, usize::MAX)?;
            (namespace, Flow::Stored(all))
        }
    };
    for stage in pipeline {
        let (operator, argument) = match stage.iter().next() {
            Some(pair) if stage.len() == 1 => pair,
            _ => {
                return Err(Refusal::new(
                    40323,
                    "Location40323",
                    "A pipeline stage must contain exactly one field.",
                ));
            }
        };
        flow = apply(flow, operator, argument)?;
    }
    let batch = document_of(command, "cursor")?.map_or(Ok(None), |cursor| number_of(cursor, "batchSize"))?;
    let source = match flow {
        Flow::Stored(found) => Source::Ids(found.into_iter().map(|found| found.id).collect()),
        Flow::Made(documents) => Source::Results(documents.into()),
    };
    cursors.first(data, &namespace, View { source, projection: None }, batch, false)
}

/// What flows from stage to stage: documents as they are stored, or as a stage made them.
enum Flow {
    Stored(Vec<Found>),
    Made(Vec<Document>),
}

impl Borrow<Document> for Found {
    fn borrow(&self) -> &Document {
        &self.document
    }
}

fn apply(flow: Flow, operator: &str, argument: &Bson) -> Result<Flow, Refusal> {
    let body = || {
        argument.as_document().ok_or_else(|| Refusal::failed_to_parse(format!("{operator} needs an object")))
    };
    match (operator, flow) {
        ("$match" | "$sort" | "$skip" | "$limit", Flow::Stored(found)) => {
            Ok(Flow::Stored(choose(found, operator, argument)?))
        }
        ("$match" | "$sort" | "$skip" | "$limit", Flow::Made(documents)) => {
            Ok(Flow::Made(choose(documents, operator, argument)?))
        }
        ("$project", flow) => {
            let projection = body()?;
            let project = |document| project(document, projection);
            Ok(Flow::Made(match flow {
                Flow::Stored(found) => {
                    found.iter().map(|found| project((*found.document).clone())).collect::<Result<_, _>>()?
                }
                Flow::Made(documents) => documents.into_iter().map(project).collect::<Result<_, _>>()?,
            }))
        }
        ("$count", flow) => {
            let name = argument
                .as_str()
                .ok_or_else(|| Refusal::failed_to_parse("the count field must be a string"))?;
            let count = match flow {
                Flow::Stored(found) => found.len(),
                Flow::Made(documents) => documents.len(),
            };
            let shown = i32::try_from(count).unwrap_or(i32::MAX);
            Ok(Flow::Made(if count == 0 { Vec::new() } else { vec![doc! {name: shown}] }))
        }
        ("$group", Flow::Stored(found)) => Ok(Flow::Made(group(&found, body()?)?)),
        ("$group", Flow::Made(documents)) => Ok(Flow::Made(group(&documents, body()?)?)),
        _ => Err(Refusal::new(
            40324,
            "Location40324",
            format!("Unrecognized pipeline stage name: '{operator}'"),
        )),
    }
}

/// The stages that leave documents as they are.
fn choose<T: Borrow<Document>>(
    mut items: Vec<T>,
    operator: &str,
    argument: &Bson,
) -> Result<Vec<T>, Refusal> {
    let body = || {
        argument.as_document().ok_or_else(|| Refusal::failed_to_parse(format!("{operator} needs an object")))
    };
    let number = || {
        let number = real(argument).filter(|number| *number >= 0.0);
        number
            .map(|number| usize::try_from(truncated(number)).unwrap_or(usize::MAX))
            .ok_or_else(|| Refusal::failed_to_parse(format!("{operator} needs a number")))
    };
    match operator {
        "$match" => {
            let filter = body()?;
            let mut kept = Vec::new();
            for item in items {
                if matches(item.borrow(), filter)? {
                    kept.push(item);
                }
            }
            return Ok(kept);
        }
        "$sort" => sort_by(&mut items, body()?, Borrow::borrow)?,
        "$skip" => drop(items.drain(..number()?.min(items.len()))),
        _ => items.truncate(number()?),
    }
    Ok(items)
}

fn group<T: Borrow<Document>>(items: &[T], spec: &Document) -> Result<Vec<Document>, Refusal> {
    let key = spec
        .get("_id")
        .ok_or_else(|| Refusal::new(15955, "Location15955", "a group specification must include an _id"))?;
    let mut groups: BTreeMap<Ordered, Vec<&Document>> = BTreeMap::new();
    for item in items {
        let document = item.borrow();
        groups.entry(Ordered(evaluate(key, document)?)).or_default().push(document);
    }
    let mut results = Vec::new();
    for (key, members) in groups {
        let mut result = doc! {"_id": key.0};
        for (name, accumulator) in spec.iter().filter(|(name, _)| *name != "_id") {
            let accumulator = accumulator.as_document().and_then(|accumulator| accumulator.iter().next());
            let (operator, argument) = accumulator.ok_or_else(|| {
                Refusal::new(
                    40234,
                    "Location40234",
                    format!("The field '{name}' must be an accumulator object"),
                )
            })?;
            result.insert(name, accumulate(operator, argument, &members)?);
        }
        // The next stage can wrap it again, so it is checked here.
        nesting::check(&result)?;
        results.push(result);
    }
    Ok(results)
}

fn accumulate(operator: &str, argument: &Bson, members: &[&Document]) -> Result<Bson, Refusal> {
    let mut values =
        members.iter().map(|member| evaluate(argument, member)).collect::<Result<Vec<Bson>, _>>()?;
    let numbers = || values.iter().filter_map(real).collect::<Vec<f64>>();
    Ok(match operator {
        "$sum" => values
            .iter()
            .filter_map(|value| add(&Bson::Int32(0), value))
            .fold(Bson::Int32(0), |sum, value| add(&sum, &value).unwrap_or(sum)),
        "$avg" => {
            let numbers = numbers();
            if numbers.is_empty() {
                Bson::Null
            } else {
                #[expect(clippy::cast_precision_loss, reason = "there are far fewer than 2^53 members")]
                let count = numbers.len() as f64;
                Bson::Double(numbers.iter().sum::<f64>() / count)
            }
        }
        "$min" => {
            values.into_iter().filter(|value| *value != Bson::Null).min_by(compare).unwrap_or(Bson::Null)
        }
        "$max" => {
            values.into_iter().filter(|value| *value != Bson::Null).max_by(compare).unwrap_or(Bson::Null)
        }
        "$first" => values.drain(..).next().unwrap_or(Bson::Null),
        "$last" => values.pop().unwrap_or(Bson::Null),
        "$push" => Bson::Array(values),
        "$count" => Bson::Int32(i32::try_from(members.len()).unwrap_or(i32::MAX)),
        _ => {
            return Err(Refusal::new(15952, "Location15952", format!("unknown group operator '{operator}'")));
        }
    })
}

/// A constant, or a field such as `$name`.
fn evaluate(expression: &Bson, document: &Document) -> Result<Bson, Refusal> {
    match expression {
        Bson::String(path) if path.starts_with("$$") => {
            Err(Refusal::new(238, "NotImplemented", "the embedded store has no variables in expressions"))
        }
        Bson::String(path) => match path.strip_prefix('$') {
            Some(path) => Ok(get(document, path).cloned().unwrap_or(Bson::Null)),
            None => Ok(expression.clone()),
        },
        Bson::Document(fields) if fields.keys().any(|key| key.starts_with('$')) => Err(Refusal::new(
            168,
            "InvalidPipelineOperator",
            "the embedded store has no operators in expressions",
        )),
        Bson::Document(fields) => {
            let fields = fields.iter().map(|(key, value)| Ok((key.clone(), evaluate(value, document)?)));
            Ok(Bson::Document(fields.collect::<Result<_, Refusal>>()?))
        }
        constant => Ok(constant.clone()),
    }
}
