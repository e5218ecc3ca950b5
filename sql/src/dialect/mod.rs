//! Text becomes statements: syntax only, no names are looked up.

mod alter;
mod ast;
mod balance;
mod change;
mod columns;
mod create;
mod error;
mod exclude;
mod external;
mod grammar;
mod grants;
mod limits;
mod materialized;
mod parser;
mod precedence;
mod prefix;
mod prepared;
mod principals;
mod query;
mod secret;
mod session;
mod show;
mod sources;
mod standard;
mod tokens;
mod types;
mod unparse;
mod whole_table;
mod words;

pub use ast::{
    Clustering, CreateExternalTable, CreateTable, CreateView, Delete, Insert, Parsed, Statement, Update,
};
pub use grants::GrantTarget;
pub use limits::{DEPTH_LIMIT, OR_LIMIT, SUBQUERY_LIMIT, TEXT_LIMIT, TOKEN_LIMIT};
pub use parser::parse;
pub use principals::PrincipalStatement;
pub use query::{InsertedRow, inserted_row};
pub use secret::{Secret, redacted};
pub use unparse::{identifier, literal, show_create};
pub use words::{EXPRESSION_KEYWORDS, STATEMENT_KEYWORDS};

pub(crate) use error::{at, syntax as syntax_error};
pub(crate) use exclude::split as split_exclusion;
pub use limits::with_room;
pub(crate) use parser::{parse_expression, parse_query};
pub(crate) use query::read_name;
pub(crate) use sources::definition;
pub(crate) use types::{column_type, folded};

#[cfg(test)]
mod tests;
