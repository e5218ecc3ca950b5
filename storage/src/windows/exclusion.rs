//! `EXCLUDE`: which rows of its frame a row does not see.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exclusion {
    CurrentRow,
    /// The current row and its peers.
    Group,
    /// The peers of the current row.
    Ties,
}

impl Exclusion {
    const ALL: [Self; 3] = [Self::CurrentRow, Self::Group, Self::Ties];

    pub fn name(self) -> &'static str {
        match self {
            Self::CurrentRow => "current row",
            Self::Group => "group",
            Self::Ties => "ties",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|exclusion| exclusion.name() == name)
    }

    /// The name of the function that marks a window with it.
    pub fn mark(self) -> String {
        format!("{MARK}{}", self.name())
    }

    /// The exclusion that an expression among those of PARTITION BY marks.
    pub(super) fn of(expr: &Expr) -> Option<Self> {
        match expr {
            Expr::ScalarFunction(ScalarFunction { func, .. }) => Self::marked(func.name()),
            Expr::Alias(alias) => Self::of(&alias.expr),
            _ => None,
        }
    }

    fn marked(name: &str) -> Option<Self> {
        name.strip_prefix(MARK).and_then(Self::named)
    }
}

const MARK: &str = "exclude ";

/// The function that marks a window, by its name. DataFusion's windows have no place for an exclusion, so that a
/// call of this function among the expressions of PARTITION BY holds it until the plan is analyzed.
pub fn mark(name: &str) -> Option<Arc<ScalarUDF>> {
    let exclusion = Exclusion::marked(name)?;
    MARKS.iter().find(|mark| mark.name() == exclusion.mark()).cloned()
}

static MARKS: LazyLock<Vec<Arc<ScalarUDF>>> = LazyLock::new(|| {
    let marks = Exclusion::ALL.into_iter().map(|exclusion| {
        Arc::new(ScalarUDF::from(Mark {
            name: exclusion.mark(),
            signature: Signature::nullary(Volatility::Immutable),
        }))
    });
    marks.collect()
});

#[derive(Debug, PartialEq, Eq, Hash)]
struct Mark {
    name: String,
    signature: Signature,
}

impl ScalarUDFImpl for Mark {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("EXCLUDE was left in a window")
    }
}
