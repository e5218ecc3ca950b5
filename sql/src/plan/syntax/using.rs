//! `JOIN … USING` and `NATURAL JOIN`, written out: DataFusion takes a shared column of whichever table comes first by
//! name. It is the left one's in an inner or LEFT join, the right one's in a RIGHT, the one not NULL in a FULL join.

use datafusion::common::{DataFusionError, SchemaError};
use sqlparser::ast::{
    BinaryOperator, ExcludeSelectItem, Expr, Join, JoinConstraint, JoinOperator, ObjectName, OrderBy,
    OrderByKind, Select, SelectItem, TableFactor, TableWithJoins, WildcardAdditionalOptions,
};
use watershed_core::error::Error;
use watershed_storage::error::{from_datafusion, into_datafusion};

use super::calls::call;
use super::columns::{InputColumn, Scopes, quoted};
use super::shared_columns::{Replace, item_of};
use crate::dialect::folded;

/// FROM: its columns for `*`, and those shared by joined tables.
#[derive(Default)]
struct Relation {
    columns: Vec<InputColumn>,
    shared: Vec<InputColumn>,
}

pub(super) fn rewrite(
    select: &mut Select,
    order_by: Option<&mut OrderBy>,
    scopes: &Scopes<'_, '_>,
) -> Result<(), DataFusionError> {
    if !select.from.iter().any(has_shared_columns) {
        return Ok(());
    }
    let mut all = Relation::default();
    for from in &mut select.from {
        let relation = joined(from, scopes)?;
        all.columns.extend(relation.columns);
        all.shared.extend(relation.shared);
    }
    expand_wildcards(&mut select.projection, &all.columns);
    let mut replace = Replace::new(&all.shared, scopes);
    for item in &mut select.projection {
        replace.item(item);
    }
    let expressions = [&mut select.selection, &mut select.having, &mut select.qualify];
    for expr in expressions.into_iter().flatten() {
        replace.walk(expr);
    }
    replace.walk(&mut select.group_by);
    replace.walk(&mut select.distinct);
    replace.walk(&mut select.named_window);
    if let Some(OrderBy {
        kind: OrderByKind::Expressions(keys),
        ..
    }) = order_by
    {
        let named: Vec<String> = select.projection.iter().filter_map(name_of).collect();
        for key in keys {
            // By itself it is the name of a column of the result, if one is called so.
            let by_name = matches!(&key.expr, Expr::Identifier(ident) if named.contains(&folded(ident)));
            if !by_name {
                replace.walk(&mut key.expr);
            }
        }
    }
    Ok(())
}

fn name_of(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::UnnamedExpr(Expr::Identifier(ident)) => Some(folded(ident)),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().map(folded),
        SelectItem::ExprWithAlias { alias, .. } => Some(folded(alias)),
        _ => None,
    }
}

fn has_shared_columns(from: &TableWithJoins) -> bool {
    let nested = |factor: &TableFactor| match factor {
        TableFactor::NestedJoin { table_with_joins, .. } => has_shared_columns(table_with_joins),
        _ => false,
    };
    nested(&from.relation)
        || from.joins.iter().any(|join| {
            matches!(
                constraint(&join.join_operator),
                Some(JoinConstraint::Using(_) | JoinConstraint::Natural)
            ) || nested(&join.relation)
        })
}

pub(super) fn constraint(operator: &JoinOperator) -> Option<&JoinConstraint> {
    use JoinOperator as Op;
    match operator {
        Op::Join(found)
        | Op::Inner(found)
        | Op::Left(found)
        | Op::LeftOuter(found)
        | Op::Right(found)
        | Op::RightOuter(found)
        | Op::FullOuter(found)
        | Op::CrossJoin(found)
        | Op::Semi(found)
        | Op::LeftSemi(found)
        | Op::RightSemi(found)
        | Op::Anti(found)
        | Op::LeftAnti(found)
        | Op::RightAnti(found) => Some(found),
        _ => None,
    }
}

fn constraint_mut(operator: &mut JoinOperator) -> Option<&mut JoinConstraint> {
    use JoinOperator as Op;
    match operator {
        Op::Join(found)
        | Op::Inner(found)
        | Op::Left(found)
        | Op::LeftOuter(found)
        | Op::Right(found)
        | Op::RightOuter(found)
        | Op::FullOuter(found)
        | Op::CrossJoin(found)
        | Op::Semi(found)
        | Op::LeftSemi(found)
        | Op::RightSemi(found)
        | Op::Anti(found)
        | Op::LeftAnti(found)
        | Op::RightAnti(found) => Some(found),
        _ => None,
    }
}

fn factor(factor: &mut TableFactor, scopes: &Scopes<'_, '_>) -> Result<Relation, DataFusionError> {
    match factor {
        TableFactor::NestedJoin {
            table_with_joins,
            alias: None,
        } => joined(table_with_joins, scopes),
        other => Ok(Relation {
            columns: scopes
                .of(other)
                .map_err(|error| unplanned(other, scopes, error))?,
            shared: Vec::new(),
        }),
    }
}

/// Why the columns of an item of FROM are not known: one that reads columns of its neighbours, or of a query around it,
/// has none by itself.
fn unplanned(factor: &TableFactor, scopes: &Scopes<'_, '_>, error: DataFusionError) -> DataFusionError {
    let reads_columns = match factor {
        TableFactor::Table { args: None, .. } => false,
        TableFactor::Derived { lateral: false, .. } => scopes.within_another(),
        _ => true,
    };
    match error.find_root() {
        DataFusionError::SchemaError(reason, _)
            if reads_columns && matches!(**reason, SchemaError::FieldNotFound { .. }) =>
        {
            into_datafusion(
                Error::unsupported("USING and NATURAL beside lateral subqueries are not supported")
                    .with_detail(from_datafusion(error).message())
                    .with_hint("Write the condition with ON."),
            )
        }
        _ => error,
    }
}

/// Writes the joins of one item of FROM out.
fn joined(from: &mut TableWithJoins, scopes: &Scopes<'_, '_>) -> Result<Relation, DataFusionError> {
    let mut left = factor(&mut from.relation, scopes)?;
    for join in &mut from.joins {
        let right = factor(&mut join.relation, scopes)?;
        left = step(left, join, right, scopes);
    }
    Ok(left)
}

fn step(mut left: Relation, join: &mut Join, right: Relation, scopes: &Scopes<'_, '_>) -> Relation {
    use JoinOperator as Op;
    let operator = join.join_operator.clone();
    let Some(constraint) = constraint_mut(&mut join.join_operator) else {
        return with_all(left, right);
    };
    let names: Vec<String> = match constraint {
        JoinConstraint::Using(names) => names.iter().filter_map(column_name).collect(),
        JoinConstraint::Natural => left
            .columns
            .iter()
            .map(|column| column.name.clone())
            .filter(|name| right.columns.iter().any(|column| column.name == *name))
            .collect(),
        JoinConstraint::On(condition) => {
            let shared = [left.shared.as_slice(), right.shared.as_slice()].concat();
            Replace::new(&shared, scopes).walk(condition);
            Vec::new()
        }
        JoinConstraint::None => Vec::new(),
    };
    let written_out = matches!(constraint, JoinConstraint::Using(_) | JoinConstraint::Natural);
    let mut condition: Option<Expr> = None;
    for name in &names {
        // A name that is missing or that several columns have is left for the planner to refuse.
        let (Some(at), Some(other)) = (position(&left.columns, name), position(&right.columns, name)) else {
            return with_all(left, right);
        };
        let (l, r) = (left.columns[at].expr.clone(), right.columns[other].expr.clone());
        let equal = binary(l.clone(), BinaryOperator::Eq, r.clone());
        condition = Some(match condition.take() {
            Some(others) => binary(others, BinaryOperator::And, equal),
            None => equal,
        });
        let value = match &operator {
            Op::Right(_) | Op::RightOuter(_) | Op::RightSemi(_) | Op::RightAnti(_) => r,
            Op::FullOuter(_) => coalesce(l, r),
            _ => l,
        };
        left.columns[at].expr = value.clone();
        left.shared.retain(|column| column.name != *name);
        left.shared.push(InputColumn {
            name: name.clone(),
            expr: value,
        });
    }
    if written_out {
        *constraint = match condition {
            Some(condition) => JoinConstraint::On(condition),
            None => JoinConstraint::None,
        };
    }
    let kept = |column: &InputColumn| !names.contains(&column.name);
    let (of_left, of_right): (Vec<_>, Vec<_>) = (left.columns, right.columns);
    let columns = match &operator {
        Op::Semi(_) | Op::LeftSemi(_) | Op::Anti(_) | Op::LeftAnti(_) => of_left,
        Op::RightSemi(_) | Op::RightAnti(_) => of_right,
        _ => of_left
            .into_iter()
            .chain(of_right.into_iter().filter(kept))
            .collect(),
    };
    let shared = left
        .shared
        .into_iter()
        .chain(right.shared.into_iter().filter(kept));
    let shared: Vec<InputColumn> = shared.collect();
    // A name that is no longer that of one column alone means nothing without a table.
    let unique = |column: &InputColumn| columns.iter().filter(|other| other.name == column.name).count() <= 1;
    let shared = shared.into_iter().filter(unique).collect();
    Relation { columns, shared }
}

fn with_all(left: Relation, right: Relation) -> Relation {
    Relation {
        columns: [left.columns, right.columns].concat(),
        shared: [left.shared, right.shared].concat(),
    }
}

/// The place of the only column of a name.
fn position(columns: &[InputColumn], name: &str) -> Option<usize> {
    let mut found = columns
        .iter()
        .enumerate()
        .filter(|(_, column)| column.name == name);
    let (index, _) = found.next()?;
    found.next().is_none().then_some(index)
}

fn column_name(name: &ObjectName) -> Option<String> {
    match name.0.as_slice() {
        [part] => part.as_ident().map(folded),
        _ => None,
    }
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp {
        left: Box::new(left),
        op,
        right: Box::new(right),
    }
}

fn coalesce(left: Expr, right: Expr) -> Expr {
    call("coalesce", vec![left, right])
}

/// `*` as the list of its columns. One with options that are not known here stays.
fn expand_wildcards(projection: &mut Vec<SelectItem>, columns: &[InputColumn]) {
    let items = std::mem::take(projection);
    for item in items {
        match item {
            SelectItem::Wildcard(options) => match left_out(&options) {
                Some(without) => {
                    let named = columns.iter().filter(|column| !without.contains(&column.name));
                    projection.extend(named.map(|column| as_item(column, &options)));
                }
                None => projection.push(SelectItem::Wildcard(options)),
            },
            other => projection.push(other),
        }
    }
}

fn left_out(options: &WildcardAdditionalOptions) -> Option<Vec<String>> {
    if options.opt_ilike.is_some() || options.opt_rename.is_some() || options.opt_alias.is_some() {
        return None;
    }
    let mut names = Vec::new();
    if let Some(except) = &options.opt_except {
        names.push(folded(&except.first_element));
        names.extend(except.additional_elements.iter().map(folded));
    }
    match &options.opt_exclude {
        Some(ExcludeSelectItem::Single(name)) => names.extend(column_name(name)),
        Some(ExcludeSelectItem::Multiple(several)) => names.extend(several.iter().filter_map(column_name)),
        None => {}
    }
    Some(names)
}

fn as_item(column: &InputColumn, options: &WildcardAdditionalOptions) -> SelectItem {
    let replaced = options.opt_replace.iter().flat_map(|replace| &replace.items);
    let mut replaced = replaced.filter(|item| folded(&item.column_name) == column.name);
    match replaced.next() {
        Some(item) => SelectItem::ExprWithAlias {
            expr: item.expr.clone(),
            alias: quoted(&column.name),
        },
        None => item_of(column.expr.clone(), &column.name),
    }
}
