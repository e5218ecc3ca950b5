//! Every command of Flight SQL, and which calls take it.

use arrow_flight::sql::{
    ActionBeginSavepointRequest, ActionBeginSavepointResult, ActionBeginTransactionRequest,
    ActionBeginTransactionResult, ActionCancelQueryRequest, ActionCancelQueryResult,
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, ActionCreatePreparedSubstraitPlanRequest, ActionEndSavepointRequest,
    ActionEndTransactionRequest, Any, Command, CommandGetCatalogs, CommandGetCrossReference,
    CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys, CommandGetPrimaryKeys,
    CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, CommandGetXdbcTypeInfo,
    CommandPreparedStatementQuery, CommandPreparedStatementUpdate, CommandStatementIngest,
    CommandStatementQuery, CommandStatementSubstraitPlan, CommandStatementUpdate,
    DoPutPreparedStatementResult, DoPutUpdateResult, TicketStatementQuery,
};

use super::spec;

/// How a command is answered where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// `GetFlightInfo`, `GetSchema` and `PollFlightInfo` take it, and its ticket gives rows of this schema.
    Metadata(&'static str),
    /// `GetFlightInfo`, `GetSchema` and `PollFlightInfo` take it.
    Query,
    /// The same, and `DoPut` binds values.
    Prepared,
    /// `DoPut` takes it.
    Update,
    /// `DoGet` and `PollFlightInfo` take it.
    Ticket,
    /// It is the body of an action of this name.
    Action(&'static str),
    /// It is the body of an action of this name, which the engine has nothing for.
    RefusedAction(&'static str),
    /// The engine has nothing for it.
    Refused,
    /// It is what servers send. No call takes it.
    Answer,
}

/// One row per command. The match has no wildcard: a new command in arrow-flight has to be thought about.
macro_rules! commands {
    ($($name:ident($sample:expr) => $usage:expr;)+) => {
        pub fn usage(command: &Command) -> Use {
            match command {
                $(Command::$name(_) => $usage,)+
            }
        }

        /// One of each, over the table `t`.
        pub fn all() -> Vec<Command> {
            vec![$(Command::$name($sample)),+]
        }
    };
}

commands! {
    CommandGetCatalogs(CommandGetCatalogs {}) => Use::Metadata(spec::CATALOGS);
    CommandGetDbSchemas(CommandGetDbSchemas::default()) => Use::Metadata(spec::DB_SCHEMAS);
    CommandGetTables(CommandGetTables::default()) => Use::Metadata(spec::TABLES);
    CommandGetTableTypes(CommandGetTableTypes {}) => Use::Metadata(spec::TABLE_TYPES);
    CommandGetSqlInfo(CommandGetSqlInfo::default()) => Use::Metadata(spec::SQL_INFO);
    CommandGetXdbcTypeInfo(CommandGetXdbcTypeInfo::default()) => Use::Metadata(spec::TYPE_INFO);
    CommandGetPrimaryKeys(of_t()) => Use::Metadata(spec::PRIMARY_KEYS);
    CommandGetExportedKeys(CommandGetExportedKeys::default()) => Use::Metadata(spec::FOREIGN_KEYS);
    CommandGetImportedKeys(CommandGetImportedKeys::default()) => Use::Metadata(spec::FOREIGN_KEYS);
    CommandGetCrossReference(CommandGetCrossReference::default()) => Use::Metadata(spec::FOREIGN_KEYS);
    CommandStatementQuery(select()) => Use::Query;
    CommandPreparedStatementQuery(CommandPreparedStatementQuery::default()) => Use::Prepared;
    CommandStatementUpdate(CommandStatementUpdate::default()) => Use::Update;
    CommandPreparedStatementUpdate(CommandPreparedStatementUpdate::default()) => Use::Update;
    CommandStatementIngest(CommandStatementIngest::default()) => Use::Update;
    TicketStatementQuery(TicketStatementQuery::default()) => Use::Ticket;
    ActionCreatePreparedStatementRequest(ActionCreatePreparedStatementRequest::default())
        => Use::Action("CreatePreparedStatement");
    ActionClosePreparedStatementRequest(ActionClosePreparedStatementRequest::default())
        => Use::Action("ClosePreparedStatement");
    ActionCancelQueryRequest(ActionCancelQueryRequest::default()) => Use::Action("CancelQuery");
    ActionBeginTransactionRequest(ActionBeginTransactionRequest {})
        => Use::RefusedAction("BeginTransaction");
    ActionEndTransactionRequest(ActionEndTransactionRequest::default())
        => Use::RefusedAction("EndTransaction");
    ActionBeginSavepointRequest(ActionBeginSavepointRequest::default())
        => Use::RefusedAction("BeginSavepoint");
    ActionEndSavepointRequest(ActionEndSavepointRequest::default()) => Use::RefusedAction("EndSavepoint");
    ActionCreatePreparedSubstraitPlanRequest(ActionCreatePreparedSubstraitPlanRequest::default())
        => Use::RefusedAction("CreatePreparedSubstraitPlan");
    CommandStatementSubstraitPlan(CommandStatementSubstraitPlan::default()) => Use::Refused;
    ActionBeginSavepointResult(ActionBeginSavepointResult::default()) => Use::Answer;
    ActionBeginTransactionResult(ActionBeginTransactionResult::default()) => Use::Answer;
    ActionCancelQueryResult(ActionCancelQueryResult::default()) => Use::Answer;
    ActionCreatePreparedStatementResult(ActionCreatePreparedStatementResult::default()) => Use::Answer;
    DoPutPreparedStatementResult(DoPutPreparedStatementResult::default()) => Use::Answer;
    DoPutUpdateResult(DoPutUpdateResult::default()) => Use::Answer;
    Unknown(nobodys()) => Use::Answer;
}

fn of_t() -> CommandGetPrimaryKeys {
    CommandGetPrimaryKeys {
        table: "t".to_owned(),
        ..CommandGetPrimaryKeys::default()
    }
}

fn select() -> CommandStatementQuery {
    CommandStatementQuery {
        query: "SELECT * FROM t".to_owned(),
        transaction_id: None,
    }
}

fn nobodys() -> Any {
    Any {
        type_url: "type.googleapis.com/arrow.flight.protocol.sql.CommandNobodyKnows".to_owned(),
        value: Vec::new().into(),
    }
}
