//! The columns of a table over Parquet files, and which column of each file is meant by each of them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use object_store::ObjectMeta;
use watershed_core::error::{Error, Result, SqlState, nearest};

use super::facts::FileFacts;
use super::fit::{TIME_OF_DAY, fits};
use super::names::places;
use super::unify::widened_types;
use crate::blocks::FooterChange;
use crate::layout::{Column, ColumnType};

/// A column as queries see it. It may be NULL whatever its declaration says: nothing keeps others from writing
/// files without it.
pub(super) fn field_of(column: &Column) -> Field {
    column.field().with_nullable(true)
}

/// A column of files as queries see it. What has no type of ours keeps its own, but times of days, which have the unit of
/// literals to compare with them.
fn field_of_file(name: &str, kind: &DataType) -> Field {
    match (ColumnType::from_arrow(kind), kind) {
        (Some(ours), _) => Column::new(name, ours).field(),
        (None, DataType::Time32(_) | DataType::Time64(_)) => Field::new(name, TIME_OF_DAY, true),
        (None, _) => Field::new(name, kind.clone(), true),
    }
}

/// The columns that hold the values of all files, in the order in which they come.
pub(super) fn inferred(files: &[ObjectMeta], facts: &[Arc<FileFacts>]) -> Result<Vec<Field>> {
    let mut found: Vec<(String, DataType, &ObjectMeta)> = Vec::new();
    let mut seen: Option<&SchemaRef> = None;
    for (file, facts) in files.iter().zip(facts) {
        if seen.is_some_and(|seen| Arc::ptr_eq(seen, &facts.schema)) {
            continue;
        }
        seen = Some(&facts.schema);
        unique(file, &facts.schema)?;
        let fields = facts.meant.fields();
        let of_file = places(
            found.iter().map(|(name, ..)| name.as_str()),
            fields.iter().map(|field| field.name().as_str()),
        )?;
        let mut new: Vec<bool> = vec![true; fields.len()];
        for ((name, kind, first), place) in found.iter_mut().zip(of_file) {
            let Some(place) = place else { continue };
            new[place] = false;
            let other = fields[place].data_type();
            *kind = widened_types(kind, other).ok_or_else(|| {
                Error::new(
                    SqlState::DatatypeMismatch,
                    format!("column \"{name}\" has types that no column holds both of"),
                )
                .with_detail(format!(
                    "it is {kind} in {}, and {other} in {}",
                    first.location, file.location
                ))
                .with_hint(format!(
                    "Declare the columns, with a type for \"{name}\" that both can be read as, or without it."
                ))
            })?;
        }
        for (field, new) in fields.iter().zip(new) {
            if new {
                found.push((field.name().clone(), field.data_type().clone(), file));
            }
        }
    }
    Ok(found
        .into_iter()
        .map(|(name, kind, _)| field_of_file(&name, &kind))
        .collect())
}

fn unique(file: &ObjectMeta, schema: &Schema) -> Result<()> {
    let mut names: Vec<_> = schema.fields().iter().map(|field| field.name()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => Err(Error::new(
            SqlState::DuplicateColumn,
            format!("{} has several columns \"{}\"", file.location, pair[0]),
        )
        .with_hint("Write the file again, with another name for each column.")),
    }
}

/// Files whose columns have the same names and are read alike.
pub(super) struct Class {
    /// The table's columns that lie in files, with the files' names of them, and with the type that they are scanned
    /// as where the scan itself does not give the table's type.
    pub(super) schema: SchemaRef,
    pub(super) change: Option<FooterChange>,
    /// By column of the table, the column of the file; by file.
    pub(super) files: Vec<(usize, Arc<Vec<Option<usize>>>)>,
}

/// The class of a file, and the place in the file of each column.
type Placed = (usize, Arc<Vec<Option<usize>>>);

/// The names of columns in files, what they are scanned as instead of the table's types, and how footers are changed.
type Reading<'a> = (Vec<&'a str>, Vec<Option<DataType>>, Option<FooterChange>);

/// The files by the names of their columns. Each file has been checked: what it holds can be read as the table's
/// columns.
pub(super) fn classes(
    location: &str,
    fields: &[Field],
    files: &[ObjectMeta],
    facts: &[Arc<FileFacts>],
) -> Result<Vec<Class>> {
    let mut classes: Vec<Class> = Vec::new();
    let mut by_reading: HashMap<Reading<'_>, usize> = HashMap::new();
    let mut by_schema: HashMap<*const Schema, Placed> = HashMap::new();
    let mut known = vec![false; fields.len()];
    for (index, (file, facts)) in files.iter().zip(facts).enumerate() {
        let (class, of_file) = match by_schema.get(&Arc::as_ptr(&facts.schema)) {
            Some(found) => found.clone(),
            None => {
                let found = facts.schema.fields();
                let of_file = places(
                    fields.iter().map(|field| field.name().as_str()),
                    found.iter().map(|field| field.name().as_str()),
                )
                .map_err(|error| error.with_detail(format!("file {}", file.location)))?;
                let mut scanned = vec![None; fields.len()];
                for (index, (field, place)) in fields.iter().zip(&of_file).enumerate() {
                    let Some(place) = place else { continue };
                    known[index] = true;
                    let (read, meant) = (found[*place].data_type(), facts.meant.field(*place).data_type());
                    scanned[index] = scanned_as(read, meant, field.data_type());
                    // What a file declares as bytes may be read as the bytes that it has.
                    let kind = match scanned[index] {
                        Some(_) => meant,
                        None => read,
                    };
                    check(file, field, kind)?;
                }
                let names: Vec<&str> = fields
                    .iter()
                    .zip(&of_file)
                    .map(|(field, place)| place.map_or(field.name(), |place| found[place].name()).as_str())
                    .collect();
                let in_files: Vec<Field> = fields
                    .iter()
                    .zip(&names)
                    .zip(&scanned)
                    .map(|((field, name), scanned)| {
                        let kind = scanned.as_ref().unwrap_or(field.data_type());
                        field.clone().with_name(*name).with_data_type(kind.clone())
                    })
                    .collect();
                let reading = (names, scanned, facts.change);
                let class = *by_reading.entry(reading).or_insert_with(|| {
                    classes.push(Class {
                        schema: Arc::new(Schema::new(in_files)),
                        change: facts.change,
                        files: Vec::new(),
                    });
                    classes.len() - 1
                });
                let entry = (class, Arc::new(of_file));
                by_schema.insert(Arc::as_ptr(&facts.schema), entry.clone());
                entry
            }
        };
        if let Some(class) = classes.get_mut(class) {
            class.files.push((index, of_file));
        }
    }
    if let Some((field, _)) = fields.iter().zip(known).find(|(_, known)| !known) {
        let names = facts.iter().flat_map(|facts| facts.schema.fields());
        return Err(missing(
            location,
            field.name(),
            names.map(|field| field.name().as_str()),
        ));
    }
    Ok(classes)
}

/// What a column is scanned as, to be converted above the scan; none where the scan gives the table's type itself.
fn scanned_as(read: &DataType, meant: &DataType, wanted: &DataType) -> Option<DataType> {
    if read != meant {
        // It may be declared as the bytes that it is stored as.
        let as_bytes = ColumnType::from_arrow(read).is_some_and(|bytes| bytes.arrow() == *wanted);
        return (!as_bytes).then(|| read.clone());
    }
    // A date is the midnight of the session's zone, which the reader does not know.
    match (read, wanted) {
        (DataType::Date32 | DataType::Date64, DataType::Timestamp(..)) => Some(DataType::Date32),
        _ => None,
    }
}

fn check(file: &ObjectMeta, field: &Field, found: &DataType) -> Result<()> {
    if fits(found, field.data_type()) {
        return Ok(());
    }
    let wanted = |kind: &DataType| ColumnType::from_arrow(kind).map_or(kind.to_string(), |kind| kind.sql());
    Err(Error::new(
        SqlState::DatatypeMismatch,
        format!(
            "column \"{}\" cannot be read as {}",
            field.name(),
            wanted(field.data_type())
        ),
    )
    .with_detail(format!("it is {found} in {}", file.location))
    .with_hint(format!(
        "Declare the column as {}, or leave out the columns so that the files tell.",
        wanted(found)
    )))
}

/// The error for a column that no file has.
pub(super) fn missing<'a>(location: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Error {
    let error = Error::new(
        SqlState::UndefinedColumn,
        format!("no file at {location:?} has a column \"{name}\""),
    );
    match nearest(name, known.take(10_000)) {
        Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
        None => error.with_hint("Declare only columns that the files have, or none, so that the files tell."),
    }
}
