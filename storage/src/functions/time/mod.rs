//! Functions over dates and timestamps. A timestamp's type names the zone whose clock counts.

mod age;
mod at_zone;
mod bucket;
mod calendar;
mod date_add;
mod date_part;
mod date_trunc;
mod difference;
mod epoch;
mod field;
mod format;
mod from_pattern;
mod instant_from_local;
mod instant_from_text;
mod make;
mod names;
mod number_pattern;
mod part;
mod pattern;
mod read;
mod scan;
mod series;
mod span;
mod to_char;
mod values;
pub(super) mod wrapped;
mod zone;

use datafusion::logical_expr::ScalarUDF;

pub(crate) use zone::dates_go_back;

pub(super) fn udfs() -> Vec<ScalarUDF> {
    let mut udfs = vec![
        age::udf(),
        at_zone::udf(),
        bucket::date_bin(),
        bucket::time_bucket(),
        date_add::subtract(),
        date_add::udf(),
        date_part::udf(),
        date_trunc::udf(),
        difference::date_diff(),
        difference::date_sub(),
        from_pattern::instant_from_pattern(),
        from_pattern::to_date(),
        from_pattern::to_timestamp(),
        instant_from_local::udf(),
        make::udf(),
        series::generate_series(),
        series::range(),
        to_char::udf(),
    ];
    udfs.extend(epoch::udfs());
    udfs.extend(instant_from_text::udfs());
    udfs.extend(names::udfs());
    udfs
}
