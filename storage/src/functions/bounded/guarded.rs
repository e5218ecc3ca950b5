//! A function with a guard.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ExpressionPlacement, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, StructFieldMapping,
};
use watershed_core::error::{Error, SqlState};
use watershed_core::interrupt;

use super::call::Call;
use super::long::LongCall;
use super::rules::Rule;
use super::{guarded, refused, sizes};
use crate::error::into_datafusion;
use crate::functions::elements;

/// The most bytes of one value that a function makes.
const VALUE_BYTES: u64 = 64 << 20;
/// What part of the memory for operators the results of one call may take.
const BATCH_PART: u64 = 4;
const BATCH_BYTES: std::ops::RangeInclusive<u64> = 128 << 20..=1 << 30;
/// The most steps of one value, which take about a second, and of one call.
const VALUE_STEPS: u64 = 1 << 28;
const BATCH_STEPS: u64 = 1 << 33;
/// The most bytes of constants that are made while one statement is planned.
const PLANNED_BYTES: u64 = 1 << 30;
/// A call that takes more bytes or steps leaves its thread's other tasks to other threads.
const LONG: u64 = 4 << 20;

/// So many steps are made between two looks at whether the statement goes on.
const PART_STEPS: u64 = 1 << 26;

/// The most bytes of the results of one call, in this process.
static BATCH_LIMIT: AtomicU64 = AtomicU64::new(*BATCH_BYTES.end());

/// Sets what calls may take in a process of so many threads, whose operators have so much memory.
pub(crate) fn set_resources(bytes: usize, threads: usize) {
    LongCall::set_most(threads);
    let part = bytes as u64 / BATCH_PART;
    BATCH_LIMIT.store(
        part.clamp(*BATCH_BYTES.start(), *BATCH_BYTES.end()),
        Ordering::Relaxed,
    );
}

/// How much the results of one call may take.
pub(in crate::functions) fn batch_limit() -> u64 {
    BATCH_LIMIT.load(Ordering::Relaxed)
}

/// A rule by the name that it has.
#[derive(Debug, Clone, Copy)]
struct ByName(&'static Rule);

impl PartialEq for ByName {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for ByName {}

impl std::hash::Hash for ByName {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.name.hash(state);
    }
}

/// See the module.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Guarded {
    inner: Arc<ScalarUDF>,
    rule: ByName,
    /// That of a function whose arguments [`elements`] coerces.
    signature: Option<Signature>,
}

impl Guarded {
    pub(super) fn new(inner: Arc<ScalarUDF>, rule: &'static Rule) -> Self {
        let over_elements = elements::is_over_elements(inner.name());
        let signature = over_elements.then(|| Signature::user_defined(inner.signature().volatility));
        Self {
            inner,
            rule: ByName(rule),
            signature,
        }
    }

    fn call(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let result = self.inner.inner().invoke_with_args(args);
        result.map_err(|error| refused::of_types(self.inner.name(), error))
    }

    fn long_call(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        interrupt::computing(|| {
            let _running = LongCall::begin()?;
            self.call(args)
        })
    }

    /// The bytes that a row may take, refused where they are too many for one value.
    fn bytes(&self, call: &Call<'_>, row: usize) -> Result<u64> {
        let rule = self.rule.0;
        let Some(bytes) = rule.bytes else { return Ok(0) };
        let most = bytes(call, row);
        if most <= VALUE_BYTES {
            return Ok(most);
        }
        let bytes = rule.exact.map_or(most, |exact| exact(call, row));
        match bytes <= VALUE_BYTES {
            true => Ok(bytes),
            false => Err(into_datafusion(self.too_large(bytes))),
        }
    }

    /// The bytes that all rows may take.
    fn all_bytes(&self, call: &Call<'_>) -> Result<u64> {
        let rule = self.rule.0;
        if rule.bytes.is_none() {
            return Ok(0);
        }
        if rule.sum {
            let bytes = call.all_bytes();
            if bytes <= VALUE_BYTES {
                return Ok(bytes);
            }
        }
        let mut all = 0_u64;
        for row in 0..call.rows() {
            all = all.saturating_add(self.bytes(call, row)?);
        }
        Ok(all)
    }

    /// The steps of all rows.
    fn steps(&self, call: &Call<'_>) -> Result<u64> {
        let Some(steps) = self.rule.0.steps else {
            return Ok(0);
        };
        let mut all = 0_u64;
        for row in 0..call.rows() {
            let of_row = steps(call, row);
            all = all.saturating_add(of_row);
            if of_row > VALUE_STEPS || all > BATCH_STEPS {
                return Err(into_datafusion(self.too_long()));
            }
        }
        Ok(all)
    }

    fn too_large(&self, bytes: u64) -> Error {
        Error::new(
            SqlState::OutOfMemory,
            format!("{} would give a value of {bytes} bytes", self.name()),
        )
        .with_hint(format!(
            "A value that a function gives has at most {VALUE_BYTES} bytes."
        ))
    }

    fn too_many(&self, bytes: u64, rows: usize, limit: u64) -> Error {
        Error::new(
            SqlState::OutOfMemory,
            format!("{} would give {bytes} bytes for {rows} rows", self.name()),
        )
        .with_hint(format!(
            "The results of one call may have {limit} bytes; SET watershed.batch_size makes it a call for fewer rows."
        ))
    }

    /// Counts a constant.
    fn constant(&self, bytes: u64) -> Result<()> {
        let made = interrupt::made(bytes);
        match made > PLANNED_BYTES {
            true => Err(into_datafusion(
                Error::new(
                    SqlState::OutOfMemory,
                    format!(
                        "{} would bring the constants of the statement to {made} bytes",
                        self.name()
                    ),
                )
                .with_hint(format!(
                    "All constants of a statement may have {PLANNED_BYTES} bytes."
                )),
            )),
            false => Ok(()),
        }
    }

    fn too_long(&self) -> Error {
        Error::new(
            SqlState::StatementTooComplex,
            format!(
                "{} of arguments that are so long takes too many steps",
                self.name()
            ),
        )
        .with_hint("Cut the arguments to what has to be compared.")
    }

    /// Calls the function for parts of the rows, none of which may take more bytes than `limit`, or steps than one part
    /// has. The estimate of the bytes is the most that there may be: how many there are is seen when they are there.
    fn by_parts(&self, args: &ScalarFunctionArgs, call: &Call<'_>, limit: u64) -> Result<ColumnarValue> {
        let (mut parts, mut made): (Vec<ArrayRef>, u64) = (Vec::new(), 0);
        let mut from = 0;
        while from < call.rows() {
            interrupt::check().map_err(into_datafusion)?;
            let (mut to, mut bytes, mut steps) = (from, 0_u64, 0_u64);
            while to < call.rows() {
                bytes = bytes.saturating_add(self.bytes(call, to)?);
                steps = steps.saturating_add(self.rule.0.steps.map_or(0, |steps| steps(call, to)));
                if to > from && (bytes > limit - made || steps > PART_STEPS) {
                    break;
                }
                to += 1;
            }
            let part = self
                .long_call(rows_of(args, from, to - from))?
                .into_array(to - from)?;
            made = made.saturating_add(sizes::total(&part));
            if made > limit {
                return Err(into_datafusion(self.too_many(made, to, limit)));
            }
            parts.push(part);
            from = to;
        }
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        Ok(ColumnarValue::Array(arrow::compute::concat(&parts)?))
    }
}

/// The call for some of its rows.
fn rows_of(args: &ScalarFunctionArgs, from: usize, rows: usize) -> ScalarFunctionArgs {
    let mut part = args.clone();
    for value in &mut part.args {
        if let ColumnarValue::Array(values) = value {
            *values = values.slice(from, rows);
        }
    }
    part.number_rows = rows;
    part
}

impl ScalarUDFImpl for Guarded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.inner().schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.signature.as_ref().unwrap_or_else(|| self.inner.signature())
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.inner().return_type(types)
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        let inner = Arc::new(self.inner.inner().with_updated_config(config)?);
        Some(ScalarUDF::from(Self::new(inner, self.rule.0)))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = self.inner.inner().return_field_from_args(args)?;
        match sizes::width(field.data_type()) {
            bytes if bytes > VALUE_BYTES => Err(into_datafusion(self.too_large(bytes))),
            _ => Ok(field),
        }
    }

    fn is_strict(&self) -> bool {
        self.inner.inner().is_strict()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        // Constants are folded call by call.
        interrupt::check().map_err(into_datafusion)?;
        let limit = batch_limit();
        let long = {
            let call = Call::new(&args.args, args.number_rows)?;
            let steps = self.steps(&call)?;
            let bytes = self.all_bytes(&call)?;
            if (bytes > limit || steps > PART_STEPS) && call.rows() > 1 {
                return self.by_parts(&args, &call, limit);
            }
            if args
                .args
                .iter()
                .all(|arg| matches!(arg, ColumnarValue::Scalar(_)))
            {
                self.constant(bytes)?;
            }
            bytes.max(steps) > LONG
        };
        match long {
            true => self.long_call(args),
            false => self.call(args),
        }
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Ok(match self.inner.inner().simplify(args, info)? {
            // What a function becomes may be calls again.
            ExprSimplifyResult::Simplified(expr) => {
                let guarded = expr.transform_up(|expr| match expr {
                    Expr::ScalarFunction(ScalarFunction { func, args }) => {
                        let func = guarded(func);
                        Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction {
                            func,
                            args,
                        })))
                    }
                    other => Ok(Transformed::no(other)),
                })?;
                ExprSimplifyResult::Simplified(guarded.data)
            }
            original => original,
        })
    }

    fn preimage(&self, args: &[Expr], value: &Expr, info: &SimplifyContext) -> Result<PreimageResult> {
        self.inner.inner().preimage(args, value, info)
    }

    fn short_circuits(&self) -> bool {
        self.inner.inner().short_circuits()
    }

    fn conditional_arguments<'a>(&self, args: &'a [Expr]) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.inner.inner().conditional_arguments(args)
    }

    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        self.inner.inner().evaluate_bounds(inputs)
    }

    fn propagate_constraints(
        &self,
        interval: &Interval,
        inputs: &[&Interval],
    ) -> Result<Option<Vec<Interval>>> {
        self.inner.inner().propagate_constraints(interval, inputs)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.inner.inner().output_ordering(inputs)
    }

    fn preserves_lex_ordering(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.inner.inner().preserves_lex_ordering(inputs)
    }

    fn strictly_order_preserving(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.inner.inner().strictly_order_preserving(inputs)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if self.signature.is_none() {
            return self.inner.inner().coerce_types(types);
        }
        elements::coerced_or_as(&self.inner, types)
    }

    fn struct_field_mapping(&self, constants: &[Option<ScalarValue>]) -> Option<StructFieldMapping> {
        self.inner.inner().struct_field_mapping(constants)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.inner().documentation()
    }

    fn placement(&self, args: &[ExpressionPlacement]) -> ExpressionPlacement {
        self.inner.inner().placement(args)
    }
}
