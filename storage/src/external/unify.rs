//! One type for the values of several files: the narrowest that holds all of them.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields};

use crate::layout::ColumnType;

use super::fit::TIME_OF_DAY;

/// The most digits a decimal has.
const DIGITS_MAX: u8 = 38;

/// The type of columns for values of two types of files. A type that says that there are no values gives way.
pub(super) fn widened_types(a: &DataType, b: &DataType) -> Option<DataType> {
    Some(match (a, b) {
        (DataType::Null, other) | (other, DataType::Null) => other.clone(),
        (a, b) if a == b => a.clone(),
        (DataType::Time32(_) | DataType::Time64(_), DataType::Time32(_) | DataType::Time64(_)) => TIME_OF_DAY,
        (DataType::Struct(a), DataType::Struct(b)) => {
            let mut fields: Vec<Field> = a.iter().map(|field| (**field).clone()).collect();
            for field in b {
                match fields.iter_mut().find(|known| known.name() == field.name()) {
                    Some(known) => {
                        let kind = widened_types(known.data_type(), field.data_type())?;
                        *known = known.clone().with_data_type(kind).with_nullable(true);
                    }
                    None => fields.push((**field).clone()),
                }
            }
            DataType::Struct(Fields::from(fields))
        }
        (a, b) => match element(a).zip(element(b)) {
            Some((a, b)) => {
                let kind = widened_types(a, b)?;
                DataType::List(Arc::new(Field::new("element", kind, true)))
            }
            None => widened(&ColumnType::from_arrow(a)?, &ColumnType::from_arrow(b)?)?.arrow(),
        },
    })
}

fn element(kind: &DataType) -> Option<&DataType> {
    match kind {
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _) => Some(field.data_type()),
        _ => None,
    }
}

/// The type that holds the values of both, if there is one whose values mean the same.
pub(super) fn widened(a: &ColumnType, b: &ColumnType) -> Option<ColumnType> {
    use ColumnType::{Array, BigInt, Date, Decimal, Double, Float, Int, Json, SmallInt, String, Struct};
    use ColumnType::{Timestamp, TinyInt};
    if a == b {
        return Some(a.clone());
    }
    Some(match (a, b) {
        (String, Json) | (Json, String) => String,
        (Date, Timestamp) | (Timestamp, Date) => Timestamp,
        // A float of 32 bits holds whole numbers of 24 bits.
        (Float, TinyInt | SmallInt) | (TinyInt | SmallInt, Float) => Float,
        (Float | Double, TinyInt | SmallInt | Int | BigInt | Float | Double | Decimal { .. })
        | (TinyInt | SmallInt | Int | BigInt | Decimal { .. }, Float | Double) => Double,
        (Decimal { .. } | TinyInt | SmallInt | Int | BigInt, Decimal { .. })
        | (Decimal { .. }, TinyInt | SmallInt | Int | BigInt) => {
            let ((whole, scale), (other, fraction)) = (digits(a)?, digits(b)?);
            let (whole, scale) = (whole.max(other), scale.max(fraction));
            let precision = u8::try_from(i16::from(whole) + i16::from(scale)).ok()?;
            if precision > DIGITS_MAX {
                return None;
            }
            Decimal { precision, scale }
        }
        (TinyInt | SmallInt | Int | BigInt, TinyInt | SmallInt | Int | BigInt) => {
            let rank = |kind: &ColumnType| match kind {
                TinyInt => 0,
                SmallInt => 1,
                Int => 2,
                _ => 3,
            };
            if rank(a) < rank(b) { b.clone() } else { a.clone() }
        }
        (Array(a), Array(b)) => Array(Box::new(widened(a, b)?)),
        (Struct(a), Struct(b)) => {
            let mut fields = a.clone();
            for (name, kind) in b {
                match fields.iter_mut().find(|(known, _)| known == name) {
                    Some((_, known)) => *known = widened(known, kind)?,
                    None => fields.push((name.clone(), kind.clone())),
                }
            }
            Struct(fields)
        }
        _ => return None,
    })
}

/// The digits before and after the point.
fn digits(kind: &ColumnType) -> Option<(i8, i8)> {
    Some(match kind {
        ColumnType::TinyInt => (3, 0),
        ColumnType::SmallInt => (5, 0),
        ColumnType::Int => (10, 0),
        ColumnType::BigInt => (19, 0),
        ColumnType::Decimal { precision, scale } => {
            (i8::try_from(*precision).ok()?.saturating_sub(*scale), *scale)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_two_files() {
        use ColumnType::*;
        fn check(a: ColumnType, b: ColumnType, expected: Option<ColumnType>) {
            assert_eq!(widened(&a, &b), expected, "{a:?} {b:?}");
            assert_eq!(widened(&b, &a), expected, "{b:?} {a:?}");
        }
        let decimal = |precision, scale| Decimal { precision, scale };
        check(Int, BigInt, Some(BigInt));
        check(TinyInt, SmallInt, Some(SmallInt));
        check(BigInt, Double, Some(Double));
        check(Int, Float, Some(Double));
        check(SmallInt, Float, Some(Float));
        check(decimal(10, 2), decimal(12, 6), Some(decimal(14, 6)));
        check(decimal(10, 2), Int, Some(decimal(12, 2)));
        check(decimal(38, 30), BigInt, None);
        check(decimal(20, 0), BigInt, Some(decimal(20, 0)));
        check(decimal(10, 2), Float, Some(Double));
        check(Date, Timestamp, Some(Timestamp));
        check(String, BigInt, None);
        check(Boolean, Int, None);
        check(Binary, String, None);
        check(
            Array(Box::new(Int)),
            Array(Box::new(BigInt)),
            Some(Array(Box::new(BigInt))),
        );
        check(Array(Box::new(Int)), Int, None);
        let fields = |fields: &[(&str, ColumnType)]| {
            Struct(
                fields
                    .iter()
                    .map(|(name, kind)| ((*name).to_owned(), kind.clone()))
                    .collect(),
            )
        };
        assert_eq!(
            widened(
                &fields(&[("a", Int), ("b", String)]),
                &fields(&[("c", Date), ("a", BigInt)])
            ),
            Some(fields(&[("a", BigInt), ("b", String), ("c", Date)]))
        );
    }
}
