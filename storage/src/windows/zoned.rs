//! Frames of RANGE over instants whose distances hold days or months, which are those of the session's zone.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, WindowFrameBound, WindowFrameUnits, cast, lit};

use super::computed::{Edge, Ends};
use crate::functions;

/// Where the frames of such a call begin and end, with the columns that say so; none of another call.
pub(super) fn ends(
    call: &WindowFunction,
    schema: &DFSchema,
    zone: &str,
) -> Result<Option<(Ends, Vec<Expr>)>> {
    let params = &call.params;
    let frame = &params.window_frame;
    let ([sort], WindowFrameUnits::Range) = (params.order_by.as_slice(), frame.units) else {
        return Ok(None);
    };
    if zone == "UTC"
        || ![&frame.start_bound, &frame.end_bound]
            .into_iter()
            .any(counts_days)
    {
        return Ok(None);
    }
    let kind = sort.expr.get_type(schema)?;
    let DataType::Timestamp(unit, Some(_)) = &kind else {
        return Ok(None);
    };
    let key = cast(sort.expr.clone(), DataType::Timestamp(*unit, Some(zone.into())));
    let mut columns = Vec::new();
    let mut edge = |bound: &WindowFrameBound| -> Result<Edge> {
        let (distance, back) = match bound {
            WindowFrameBound::CurrentRow => return Ok(Edge::Peers),
            WindowFrameBound::Preceding(distance) => (distance, sort.asc),
            WindowFrameBound::Following(distance) => (distance, !sort.asc),
        };
        if distance.is_null() {
            return Ok(Edge::Partition);
        }
        let name = if back { "date_subtract" } else { "date_add" };
        let away = functions::named(name)?.call(vec![key.clone(), lit(distance.clone())]);
        columns.push(cast(away, kind.clone()));
        Ok(Edge::Column)
    };
    let ends = Ends {
        start: edge(&frame.start_bound)?,
        end: edge(&frame.end_bound)?,
        descending: !sort.asc,
    };
    Ok(Some((ends, columns)))
}

fn counts_days(bound: &WindowFrameBound) -> bool {
    match bound {
        WindowFrameBound::CurrentRow => false,
        WindowFrameBound::Preceding(distance) | WindowFrameBound::Following(distance) => matches!(
            distance,
            ScalarValue::IntervalMonthDayNano(Some(interval)) if interval.months != 0 || interval.days != 0
        ),
    }
}
