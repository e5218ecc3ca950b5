//! Arguments that a function's signature takes and the function does not, such as lists of lists for `dot_product`.
//! DataFusion's functions say so as a broken assumption of their own when they are called.

use datafusion::common::DataFusionError;
use watershed_core::error::{Error, SqlState};

use crate::error::into_datafusion;

pub(super) fn of_types(function: &str, error: DataFusionError) -> DataFusionError {
    let DataFusionError::Internal(message) = error.find_root() else {
        return error;
    };
    // `could not cast array of type List(Float64) to …`
    let Some((_, kinds)) = message.split_once("could not cast array of type ") else {
        return error;
    };
    let given = kinds.split_once(" to ").map_or(kinds, |(given, _)| given);
    let error = Error::new(
        SqlState::UndefinedFunction,
        format!("function {function} does not take these arguments"),
    );
    into_datafusion(
        error
            .with_detail(format!("It takes no value of the type {given} there."))
            .with_hint("Cast the arguments to types that it takes."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::from_datafusion;

    #[test]
    fn types_that_a_function_does_not_take() {
        let inner = DataFusionError::Internal(
            "could not cast array of type List(Float64) to arrow_array::array::PrimitiveArray".to_owned(),
        );
        let error = from_datafusion(of_types("dot_product", inner.context("while computing")));
        assert_eq!(error.code(), SqlState::UndefinedFunction);
        assert_eq!(
            error.detail(),
            Some("It takes no value of the type ARRAY<DOUBLE> there.")
        );
        let other = from_datafusion(of_types("f", DataFusionError::Internal("no".to_owned())));
        assert_eq!(other.code(), SqlState::InternalError);
    }
}
