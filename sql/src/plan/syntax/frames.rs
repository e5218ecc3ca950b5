//! Bounds of window frames that are constant expressions, `ROWS BETWEEN 1 + 1 PRECEDING …`: DataFusion takes numbers and
//! intervals that are written out.

use datafusion::common::DataFusionError;
use sqlparser::ast::{
    BinaryOperator, Expr, UnaryOperator, Value, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowType,
};
use watershed_core::error::{Error, SqlState};
use watershed_storage::error::into_datafusion;

/// Computes the bounds of a call's frame.
pub(super) fn rewrite(expr: &mut Expr) -> Result<(), DataFusionError> {
    let Expr::Function(function) = expr else {
        return Ok(());
    };
    let Some(WindowType::WindowSpec(spec)) = &mut function.over else {
        return Ok(());
    };
    let Some(WindowFrame {
        units,
        start_bound,
        end_bound,
    }) = &mut spec.window_frame
    else {
        return Ok(());
    };
    for bound in std::iter::once(start_bound).chain(end_bound) {
        let (WindowFrameBound::Preceding(Some(distance)) | WindowFrameBound::Following(Some(distance))) =
            bound
        else {
            continue;
        };
        if is_written(distance, *units) {
            continue;
        }
        match value(distance) {
            Some(number) if number >= 0 => {
                **distance = Expr::value(Value::Number(number.to_string(), false));
            }
            Some(_) => {
                return Err(into_datafusion(Error::new(
                    SqlState::InvalidPrecedingOrFollowingSize,
                    "the distance of a frame must not be negative",
                )));
            }
            None => {
                return Err(into_datafusion(
                    Error::new(
                        SqlState::FeatureNotSupported,
                        format!("the distance {distance} of a frame is no constant"),
                    )
                    .with_hint("Write a number, or an interval after RANGE."),
                ));
            }
        }
    }
    Ok(())
}

/// Whether DataFusion reads a distance as it stands there.
fn is_written(distance: &Expr, units: WindowFrameUnits) -> bool {
    match distance {
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) => {
                units == WindowFrameUnits::Range || number.chars().all(|ch| ch.is_ascii_digit())
            }
            // A parameter without a value yet: the error of the planner says what is expected.
            Value::Placeholder(_) => true,
            _ => false,
        },
        Expr::Interval(_) => units == WindowFrameUnits::Range,
        _ => false,
    }
}

/// The value of an expression over whole numbers.
fn value(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Value(literal) => match &literal.value {
            Value::Number(number, _) => number.parse().ok(),
            _ => None,
        },
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => value(inner),
        Expr::UnaryOp { op, expr } => match op {
            UnaryOperator::Minus => value(expr)?.checked_neg(),
            UnaryOperator::Plus => value(expr),
            _ => None,
        },
        Expr::BinaryOp { left, op, right } => {
            let (left, right) = (value(left)?, value(right)?);
            match op {
                BinaryOperator::Plus => left.checked_add(right),
                BinaryOperator::Minus => left.checked_sub(right),
                BinaryOperator::Multiply => left.checked_mul(right),
                _ => None,
            }
        }
        _ => None,
    }
}
