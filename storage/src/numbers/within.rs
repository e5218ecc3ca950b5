//! Decimals within lists and structures, beside floats at the same place: they become floats, as they do outside.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, cast};

use super::kinds::kind_of;
use super::nested::is_nested;
use super::types::double;
use crate::functions::is_over_elements;

/// Functions over lists of one type.
const OVER_LISTS: [&str; 6] = [
    "array_concat",
    "array_except",
    "array_has_all",
    "array_has_any",
    "array_intersect",
    "array_union",
];

/// Casts the nested values among expressions that become one type.
pub(super) fn united(exprs: Vec<&mut Expr>, schema: &DFSchema) -> bool {
    let types: Vec<_> = exprs.iter().map(|expr| kind_of(expr, schema)).collect();
    let mut changed = false;
    for (expr, kind) in exprs.into_iter().zip(&types) {
        let Some(kind) = kind.as_ref().filter(|kind| is_nested(kind)) else {
            continue;
        };
        let wanted = types
            .iter()
            .flatten()
            .fold(kind.clone(), |kind, other| beside(&kind, other));
        if wanted != *kind {
            *expr = cast(std::mem::take(expr), wanted);
            changed = true;
        }
    }
    changed
}

/// Does that for the arguments of functions over lists.
pub(super) fn arguments(name: &str, args: &mut [Expr], schema: &DFSchema) -> bool {
    if OVER_LISTS.contains(&name) {
        return united(args.iter_mut().collect(), schema);
    }
    if !is_over_elements(name) {
        return false;
    }
    let types: Vec<_> = args.iter().map(|arg| kind_of(arg, schema)).collect();
    let item = types.iter().flatten().find_map(item);
    let Some(item) = item else { return false };
    let any = |test: fn(&DataType) -> bool| item_or(&item, &types, test);
    if !any(DataType::is_floating) || !any(DataType::is_decimal) {
        return false;
    }
    for (arg, kind) in args.iter_mut().zip(&types) {
        match kind {
            Some(kind) if kind.is_decimal() => *arg = double(std::mem::take(arg)),
            Some(kind) if self::item(kind).is_some_and(|item| item.is_decimal()) => {
                let wanted = beside(kind, &DataType::new_list(DataType::Float64, true));
                *arg = cast(std::mem::take(arg), wanted);
            }
            _ => {}
        }
    }
    true
}

fn item(kind: &DataType) -> Option<DataType> {
    match kind {
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            Some(field.data_type().clone())
        }
        _ => None,
    }
}

fn item_or(item: &DataType, types: &[Option<DataType>], test: fn(&DataType) -> bool) -> bool {
    test(item) || types.iter().flatten().any(test)
}

/// A type with floats in the places of decimals where the other has floats.
pub(super) fn beside(kind: &DataType, other: &DataType) -> DataType {
    use DataType::{FixedSizeList, LargeList, List, Map, Struct};
    let of = |field: &FieldRef, other: &FieldRef| -> FieldRef {
        let kind = beside(field.data_type(), other.data_type());
        Arc::new(Field::clone(field).with_data_type(kind))
    };
    match (kind, other) {
        (List(field), List(other) | LargeList(other) | FixedSizeList(other, _)) => List(of(field, other)),
        (LargeList(field), List(other) | LargeList(other) | FixedSizeList(other, _)) => {
            LargeList(of(field, other))
        }
        (FixedSizeList(field, length), List(other) | LargeList(other) | FixedSizeList(other, _)) => {
            FixedSizeList(of(field, other), *length)
        }
        (Map(field, ordered), Map(other, _)) => Map(of(field, other), *ordered),
        (Struct(fields), Struct(others)) if fields.len() == others.len() => Struct(
            fields
                .iter()
                .zip(others)
                .map(|(field, other)| of(field, other))
                .collect(),
        ),
        (kind, other) if kind.is_decimal() && other.is_floating() => DataType::Float64,
        (kind, _) => kind.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_become_floats_where_floats_are() {
        let list = |kind| DataType::new_list(kind, true);
        let decimal = DataType::Decimal128(3, 1);
        assert_eq!(
            beside(&list(decimal.clone()), &list(DataType::Float32)),
            list(DataType::Float64)
        );
        let fields = |a: &DataType, b: DataType| {
            DataType::Struct(vec![Field::new("a", a.clone(), true), Field::new("b", b, true)].into())
        };
        assert_eq!(
            beside(
                &fields(&decimal, decimal.clone()),
                &fields(&DataType::Int64, DataType::Float64)
            ),
            fields(&decimal, DataType::Float64)
        );
        assert_eq!(beside(&list(decimal.clone()), &DataType::Float64), list(decimal));
    }
}
