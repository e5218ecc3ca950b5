//! Lists of one form as arguments of functions. The items of a table's lists are called `element`, those of a list
//! that a query makes `item`, and arrow takes that for two types: DataFusion's functions over both panic, or give
//! another type than they announced. The length of a list is the number of its elements.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{Placeholder, ScalarFunction};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan, TryCast, cast};
use datafusion::optimizer::AnalyzerRule;

use crate::functions::list_length;
use crate::numbers::exprs;

/// Functions that only look into a list.
const READERS: [&str; 6] = [
    "array_element",
    "array_length",
    "array_ndims",
    "array_to_string",
    "cardinality",
    "get_field",
];

/// Casts the lists among arguments. The plan is not yet typed.
#[derive(Debug)]
pub(crate) struct OneFormOfLists;

impl AnalyzerRule for OneFormOfLists {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| match holds_others(&node)? {
            true => exprs::rewrite(node, &convert),
            false => exprs::rewrite(node, &counted),
        })
        .map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        "one_form_of_lists"
    }
}

/// Whether lists of another form come into a node: from its inputs, as values, or by casts. Functions make lists of
/// the one form from what is none. Finding the types of nested calls takes long, and is rarely needed.
fn holds_others(node: &LogicalPlan) -> Result<bool> {
    let other = |kind: &DataType| kind.is_nested() && one_form(kind) != *kind;
    let inputs = node.inputs();
    let mut fields = inputs.iter().flat_map(|input| input.schema().fields());
    if fields.any(|field| other(field.data_type())) {
        return Ok(true);
    }
    let mut found = false;
    node.apply_expressions(|expr| {
        expr.apply(|expr| {
            found |= match expr {
                Expr::Literal(value, _) => other(&value.data_type()),
                Expr::Cast(Cast { field, .. }) | Expr::TryCast(TryCast { field, .. }) => {
                    other(field.data_type())
                }
                Expr::OuterReferenceColumn(field, _) => other(field.data_type()),
                Expr::Placeholder(Placeholder {
                    field: Some(field), ..
                }) => other(field.data_type()),
                Expr::ScalarSubquery(subquery) => {
                    let mut fields = subquery.subquery.schema().fields().iter();
                    fields.any(|field| other(field.data_type()))
                }
                _ => false,
            };
            Ok(match found {
                true => TreeNodeRecursion::Stop,
                false => TreeNodeRecursion::Continue,
            })
        })
    })?;
    Ok(found)
}

/// The length of a list, which is the number of its elements. DataFusion counts the characters of the list as a text.
fn counted(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = &expr else {
        return Ok(Transformed::no(expr));
    };
    Ok(match args.as_slice() {
        [list]
            if func.name() == "character_length"
                && list
                    .get_type(schema)
                    .is_ok_and(|kind| list_length::is_list(&kind)) =>
        {
            Transformed::yes(list_length::call(list.clone()))
        }
        _ => Transformed::no(expr),
    })
}

fn convert(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let expr = match counted(expr, schema)? {
        counted if counted.transformed => return Ok(counted),
        other => other.data,
    };
    let Expr::ScalarFunction(ScalarFunction { func, mut args }) = expr else {
        return Ok(Transformed::no(expr));
    };
    let mut changed = false;
    if !READERS.contains(&func.name()) {
        for arg in &mut args {
            let Ok(kind) = arg.get_type(schema) else { continue };
            let wanted = one_form(&kind);
            if wanted != kind {
                *arg = cast(std::mem::take(arg), wanted);
                changed = true;
            }
        }
    }
    let expr = Expr::ScalarFunction(ScalarFunction { func, args });
    Ok(Transformed::new_transformed(expr, changed))
}

/// The type with the items of all its lists called alike. Fields of structures keep their names.
fn one_form(kind: &DataType) -> DataType {
    let item = |field: &FieldRef| Arc::new(Field::new_list_field(one_form(field.data_type()), true));
    match kind {
        DataType::List(field) => DataType::List(item(field)),
        DataType::LargeList(field) => DataType::LargeList(item(field)),
        DataType::Struct(fields) => {
            let fields = fields.iter().map(|field| {
                let kind = one_form(field.data_type());
                Arc::new(Field::clone(field).with_data_type(kind))
            });
            DataType::Struct(fields.collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_called_alike() {
        let list = |name, kind| DataType::List(Arc::new(Field::new(name, kind, true)));
        let stored = list("element", list("element", DataType::Int32));
        let made = list("item", list("item", DataType::Int32));
        assert_eq!(one_form(&stored), made);
        assert_eq!(one_form(&made), made);
        let fields = |kind| DataType::Struct(vec![Field::new("element", kind, false)].into());
        assert_eq!(one_form(&fields(stored)), fields(made));
    }
}
