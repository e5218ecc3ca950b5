//! The types of arguments of functions over a list and values like its elements, where DataFusion has none: it takes no
//! DECIMAL beside another numeric type (`ArrayFunctionSignature` of `datafusion-expr` 55; no issue is known upstream).
//! Here a list and values beside it have the type that holds them all: `array_append(ARRAY[1], 1.5)` is `[1.0, 1.5]`.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;

use crate::numbers::common_type;

#[derive(Clone, Copy, PartialEq)]
enum Argument {
    List,
    Element,
    Number,
}

use Argument::{Element, List, Number};

/// The functions with their arguments, the last of which may be absent.
const FUNCTIONS: &[(&str, &[Argument])] = &[
    ("array_append", &[List, Element]),
    ("array_has", &[List, Element]),
    ("array_position", &[List, Element, Number]),
    ("array_positions", &[List, Element]),
    ("array_prepend", &[Element, List]),
    ("array_remove", &[List, Element]),
    ("array_remove_all", &[List, Element]),
    ("array_remove_n", &[List, Element, Number]),
    ("array_replace", &[List, Element, Element]),
    ("array_replace_all", &[List, Element, Element]),
    ("array_replace_n", &[List, Element, Element, Number]),
    ("array_resize", &[List, Number, Element]),
];

/// Whether a function is one of them.
pub fn is_over_elements(name: &str) -> bool {
    arguments(name).is_some()
}

fn arguments(name: &str) -> Option<&'static [Argument]> {
    let found = FUNCTIONS.iter().find(|(function, _)| *function == name)?;
    Some(found.1)
}

/// The types that arguments are cast to: those here, or those of the function.
pub(super) fn coerced_or_as(function: &ScalarUDF, given: &[DataType]) -> Result<Vec<DataType>> {
    if let Some(types) = coerced(function.name(), given) {
        return Ok(types);
    }
    let field = |kind: &DataType| Arc::new(Field::new("argument", kind.clone(), true));
    let fields: Vec<_> = given.iter().map(field).collect();
    let coerced = fields_with_udf(&fields, function)?;
    Ok(coerced.iter().map(|field| field.data_type().clone()).collect())
}

/// The types that arguments are cast to. None where DataFusion has its own.
fn coerced(name: &str, given: &[DataType]) -> Option<Vec<DataType>> {
    let arguments = arguments(name)?;
    if given.len() > arguments.len() {
        return None;
    }
    let mut common: Option<DataType> = None;
    let mut has_decimal = false;
    for (argument, kind) in arguments.iter().zip(given) {
        let kind = match argument {
            List => item(kind)?.data_type(),
            Element => kind,
            Number => continue,
        };
        if kind.is_null() {
            continue;
        }
        if !kind.is_numeric() {
            return None;
        }
        has_decimal |= kind.is_decimal();
        common = Some(match common {
            Some(common) if common != *kind => common_type(&common, kind)?,
            _ => kind.clone(),
        });
    }
    let common = common.filter(|_| has_decimal)?;
    let types = arguments
        .iter()
        .zip(given)
        .map(|(argument, kind)| match argument {
            List => of(kind, &common),
            Element => common.clone(),
            Number => DataType::Int64,
        });
    Some(types.collect())
}

fn item(list: &DataType) -> Option<&Arc<Field>> {
    match list {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => Some(item),
        _ => None,
    }
}

/// A list like another one, of these elements.
fn of(list: &DataType, element: &DataType) -> DataType {
    let item = |item: &Arc<Field>| Arc::new(item.as_ref().clone().with_data_type(element.clone()));
    match list {
        DataType::List(of) | DataType::FixedSizeList(of, _) => DataType::List(item(of)),
        DataType::LargeList(of) => DataType::LargeList(item(of)),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_meet_other_numbers() {
        let list = |kind| DataType::new_list(kind, true);
        let decimal = DataType::Decimal128;
        let of = |given: [DataType; 2]| coerced("array_append", &given);
        assert_eq!(
            of([list(decimal(10, 2)), decimal(4, 3)]),
            Some(vec![list(decimal(11, 3)), decimal(11, 3)])
        );
        assert_eq!(
            of([list(DataType::Int64), decimal(2, 1)]),
            Some(vec![list(decimal(21, 1)), decimal(21, 1)])
        );
        assert_eq!(
            of([list(DataType::Float32), decimal(2, 1)]),
            Some(vec![list(DataType::Float64), DataType::Float64])
        );
        assert_eq!(
            of([list(decimal(3, 1)), DataType::Null]),
            Some(vec![list(decimal(3, 1)), decimal(3, 1)])
        );
        // These are DataFusion's.
        assert_eq!(of([list(DataType::Int64), DataType::Float64]), None);
        assert_eq!(of([list(DataType::Utf8), decimal(2, 1)]), None);
        assert_eq!(of([decimal(2, 1), list(decimal(2, 1))]), None);
    }
}
