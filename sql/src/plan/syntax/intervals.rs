//! Intervals as PostgreSQL writes them, `INTERVAL '1 day 02:03:04'` and `INTERVAL '1-2' YEAR TO MONTH`, in the form that
//! DataFusion's planner reads.

use sqlparser::ast::{DateTimeField, Expr, Interval, Value, ValueWithSpan};
use watershed_storage::casts::usual_interval;

/// Rewrites an interval that is written out; what is none stays.
pub(super) fn rewrite(expr: &mut Expr) {
    let Expr::Interval(interval) = expr else {
        return;
    };
    let Expr::Value(ValueWithSpan {
        value: Value::SingleQuotedString(text),
        ..
    }) = interval.value.as_mut()
    else {
        return;
    };
    if let Some(usual) = usual(
        text,
        interval.leading_field.as_ref(),
        interval.last_field.as_ref(),
    ) {
        *text = usual;
        *interval = Interval {
            leading_field: None,
            leading_precision: None,
            last_field: None,
            fractional_seconds_precision: None,
            value: interval.value.clone(),
        };
    }
}

fn usual(text: &str, first: Option<&DateTimeField>, last: Option<&DateTimeField>) -> Option<String> {
    use DateTimeField::{Day, Hour, Minute, Month, Second, Year};
    match (first, last) {
        (None, None) => usual_interval(text),
        (Some(Year), Some(Month)) if text.contains('-') => usual_interval(text),
        (Some(Day), Some(Hour)) => {
            let (days, hours) = text.trim().split_once(' ')?;
            usual_interval(&format!("{days} {}:00", hours.trim()))
        }
        (Some(Day), Some(Minute | Second)) => {
            let is_short = last == Some(&Minute) && text.matches(':').count() > 1;
            (!is_short).then(|| usual_interval(text)).flatten()
        }
        (Some(Hour), Some(Minute | Second)) => usual_interval(text),
        (Some(Minute), Some(Second)) if text.matches(':').count() == 1 => {
            let text = text.trim();
            let (sign, rest) = match text.strip_prefix('-') {
                Some(rest) => ("-", rest),
                None => ("", text),
            };
            usual_interval(&format!("{sign}00:{rest}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::dialect::parse_expression;

    #[test]
    fn written_intervals() {
        let check = |sql: &str, expected: &str| {
            let mut expr = parse_expression(sql).unwrap();
            super::rewrite(&mut expr);
            assert_eq!(expr.to_string(), expected, "{sql}");
        };
        check(
            "INTERVAL '1-2' YEAR TO MONTH",
            "INTERVAL '14 months 0 days 0 nanoseconds'",
        );
        check(
            "INTERVAL '1 02:03' DAY TO MINUTE",
            "INTERVAL '0 months 1 days 7380000000000 nanoseconds'",
        );
        check(
            "INTERVAL '-02:03' MINUTE TO SECOND",
            "INTERVAL '0 months 0 days -123000000000 nanoseconds'",
        );
        check(
            "INTERVAL '1 hour ago'",
            "INTERVAL '0 months 0 days -3600000000000 nanoseconds'",
        );
        check("INTERVAL '1' DAY", "INTERVAL '1' DAY");
        check("INTERVAL 'x'", "INTERVAL 'x'");
    }
}
