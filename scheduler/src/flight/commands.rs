//! What arrow-flight dispatches: one method per command of Flight SQL.

use std::sync::Arc;

use arrow_flight::sql::server::{FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionBeginSavepointRequest, ActionBeginSavepointResult, ActionBeginTransactionRequest,
    ActionBeginTransactionResult, ActionCancelQueryRequest, ActionCancelQueryResult,
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, ActionCreatePreparedSubstraitPlanRequest, CommandGetCatalogs,
    CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, CommandGetXdbcTypeInfo,
    CommandPreparedStatementQuery, CommandPreparedStatementUpdate, CommandStatementIngest,
    CommandStatementQuery, CommandStatementUpdate, DoPutPreparedStatementResult, SqlInfo,
    TicketStatementQuery,
};
use arrow_flight::{
    Action, CancelStatus, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse, Ticket,
};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use prost::Message;
use tonic::{Request, Response, Status, Streaming};
use watershed_core::{Error, SqlState};

use super::auth::Claims;
use super::encode::FlightStream;
use super::front::{Front, Notices};
use super::service::{Service, failed, no_foreign_keys, no_transaction, no_transactions, not_prepared, sent};
use super::{actions, ingest, metadata, params};

type Info = Result<Response<FlightInfo>, Status>;
type Rows = Result<Response<FlightStream>, Status>;

#[tonic::async_trait]
impl FlightSqlService for Service {
    type FlightService = Front;

    async fn do_handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<BoxStream<'static, Result<HandshakeResponse, Status>>>, Status> {
        let response = self.gate.handshake(request).await?;
        Ok(response.map(|message| stream::iter([Ok(message)]).boxed()))
    }

    async fn get_flight_info_statement(
        &self,
        command: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Info {
        let caller = self.caller(&request).await.map_err(failed)?;
        let info = self.submit(&caller, &command, request.into_inner()).await;
        info.map(Response::new).map_err(failed)
    }

    async fn get_flight_info_prepared_statement(
        &self,
        command: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Info {
        let caller = self.caller(&request).await.map_err(failed)?;
        let handle = &command.prepared_statement_handle;
        let info = self.submit_prepared(&caller, handle, request.into_inner()).await;
        info.map(Response::new).map_err(failed)
    }

    async fn do_get_statement(&self, ticket: TicketStatementQuery, request: Request<Ticket>) -> Rows {
        let caller = self.caller(&request).await.map_err(failed)?;
        let rows = self.statements.redeem(&caller, &ticket.statement_handle).await;
        rows.map(Response::new).map_err(failed)
    }

    async fn do_put_statement_update(
        &self,
        command: CommandStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let claims = Claims::of(&request);
        let notices = Notices::of(&request);
        let caller = self.gate.caller(&claims).await.map_err(failed)?;
        let transaction = command.transaction_id.as_deref();
        let statement = self
            .prepare(&caller, &command.query, transaction)
            .await
            .map_err(failed)?;
        let (count, given) = self
            .statements
            .update(caller.session, &statement, &[])
            .await
            .map_err(failed)?;
        notices.put(given);
        Ok(count)
    }

    async fn do_action_create_prepared_statement(
        &self,
        command: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let caller = self.caller(&request).await.map_err(failed)?;
        let transaction = command.transaction_id.as_deref();
        let statement = self
            .prepare(&caller, &command.query, transaction)
            .await
            .map_err(failed)
            .map_err(|status| not_prepared(&command.query, status))?;
        let delivery = self.engine.delivery(caller.session).await.map_err(failed)?;
        self.prepared.create(&caller, statement, delivery).map_err(failed)
    }

    async fn do_action_close_prepared_statement(
        &self,
        command: ActionClosePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        let caller = self.caller(&request).await.map_err(failed)?;
        self.prepared.close(&caller, &command.prepared_statement_handle);
        Ok(())
    }

    async fn do_put_prepared_statement_query(
        &self,
        command: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        let claims = Claims::of(&request);
        let caller = self.gate.caller(&claims).await.map_err(failed)?;
        let handle = command.prepared_statement_handle;
        let open = self.prepared.find(&caller, &handle).map_err(failed)?;
        let values = params::read(request.into_inner(), params::Declared::by(&open.statement));
        let values = values.await.map_err(failed)?;
        self.prepared.bind(&handle, &open, values);
        Ok(DoPutPreparedStatementResult {
            prepared_statement_handle: Some(handle),
        })
    }

    async fn do_put_prepared_statement_update(
        &self,
        command: CommandPreparedStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let claims = Claims::of(&request);
        let notices = Notices::of(&request);
        let caller = self.gate.caller(&claims).await.map_err(failed)?;
        let open = self
            .prepared
            .find(&caller, &command.prepared_statement_handle)
            .map_err(failed)?;
        let mut frames = request.into_inner();
        // Some clients send values here, others bound them before and send a command only.
        let inline = match frames.peek().await {
            Some(Ok(first)) => !first.data_header.is_empty(),
            Some(Err(_)) | None => false,
        };
        let mut values = open.bound();
        if inline && open.takes_parameters() {
            let sent = params::read_update(frames, params::Declared::by(&open.statement))
                .await
                .map_err(failed)?;
            if let Some(sent) = sent {
                values = Arc::new(sent);
            }
        }
        let (count, given) = self
            .statements
            .update(caller.session, &open.statement, &values)
            .await
            .map_err(failed)?;
        notices.put(given);
        Ok(count)
    }

    async fn do_put_statement_ingest(
        &self,
        command: CommandStatementIngest,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let claims = Claims::of(&request);
        let caller = self.gate.caller(&claims).await.map_err(failed)?;
        no_transaction(command.transaction_id.as_deref()).map_err(failed)?;
        let rows = ingest::ingest(
            self.engine.as_ref(),
            caller.session,
            command,
            request.into_inner(),
        );
        rows.await.map_err(failed)
    }

    async fn get_flight_info_catalogs(
        &self,
        _: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Info {
        let schema = metadata::catalogs().map_err(failed)?.schema();
        self.described(request, schema).await
    }

    async fn do_get_catalogs(&self, _: CommandGetCatalogs, request: Request<Ticket>) -> Rows {
        self.fixed(&request, metadata::catalogs()).await
    }

    async fn get_flight_info_schemas(
        &self,
        _: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Info {
        self.described(request, metadata::db_schemas_schema()).await
    }

    async fn do_get_schemas(&self, command: CommandGetDbSchemas, request: Request<Ticket>) -> Rows {
        let caller = self.caller(&request).await.map_err(failed)?;
        sent(metadata::db_schemas(self.engine.as_ref(), caller.session, &command).await)
    }

    async fn get_flight_info_tables(
        &self,
        command: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Info {
        self.described(request, metadata::tables_schema(command.include_schema))
            .await
    }

    async fn do_get_tables(&self, command: CommandGetTables, request: Request<Ticket>) -> Rows {
        let caller = self.caller(&request).await.map_err(failed)?;
        sent(metadata::tables(self.engine.as_ref(), caller.session, &command).await)
    }

    async fn get_flight_info_table_types(
        &self,
        _: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Info {
        let schema = metadata::table_types().map_err(failed)?.schema();
        self.described(request, schema).await
    }

    async fn do_get_table_types(&self, _: CommandGetTableTypes, request: Request<Ticket>) -> Rows {
        self.fixed(&request, metadata::table_types()).await
    }

    async fn get_flight_info_sql_info(
        &self,
        _: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Info {
        self.described(request, self.sql_info.schema()).await
    }

    async fn do_get_sql_info(&self, command: CommandGetSqlInfo, request: Request<Ticket>) -> Rows {
        let batch = metadata::built(self.sql_info.record_batch(command.info));
        self.fixed(&request, batch).await
    }

    async fn get_flight_info_xdbc_type_info(
        &self,
        _: CommandGetXdbcTypeInfo,
        request: Request<FlightDescriptor>,
    ) -> Info {
        self.described(request, self.types.schema()).await
    }

    async fn do_get_xdbc_type_info(&self, command: CommandGetXdbcTypeInfo, request: Request<Ticket>) -> Rows {
        let batch = metadata::built(self.types.record_batch(command.data_type));
        self.fixed(&request, batch).await
    }

    async fn get_flight_info_primary_keys(
        &self,
        _: CommandGetPrimaryKeys,
        request: Request<FlightDescriptor>,
    ) -> Info {
        self.described(request, metadata::primary_keys_schema()).await
    }

    async fn do_get_primary_keys(&self, command: CommandGetPrimaryKeys, request: Request<Ticket>) -> Rows {
        let caller = self.caller(&request).await.map_err(failed)?;
        sent(metadata::primary_keys(self.engine.as_ref(), caller.session, &command).await)
    }

    async fn get_flight_info_exported_keys(
        &self,
        _: CommandGetExportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Info {
        self.described(request, metadata::foreign_keys_schema()).await
    }

    async fn do_get_exported_keys(&self, _: CommandGetExportedKeys, request: Request<Ticket>) -> Rows {
        self.fixed(&request, no_foreign_keys()).await
    }

    async fn get_flight_info_imported_keys(
        &self,
        _: CommandGetImportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Info {
        self.described(request, metadata::foreign_keys_schema()).await
    }

    async fn do_get_imported_keys(&self, _: CommandGetImportedKeys, request: Request<Ticket>) -> Rows {
        self.fixed(&request, no_foreign_keys()).await
    }

    async fn get_flight_info_cross_reference(
        &self,
        _: CommandGetCrossReference,
        request: Request<FlightDescriptor>,
    ) -> Info {
        self.described(request, metadata::foreign_keys_schema()).await
    }

    async fn do_get_cross_reference(&self, _: CommandGetCrossReference, request: Request<Ticket>) -> Rows {
        self.fixed(&request, no_foreign_keys()).await
    }

    async fn do_action_cancel_query(
        &self,
        command: ActionCancelQueryRequest,
        request: Request<Action>,
    ) -> Result<ActionCancelQueryResult, Status> {
        let caller = self.caller(&request).await.map_err(failed)?;
        let info = FlightInfo::decode(command.info).map_err(|error| {
            failed(
                Error::new(
                    SqlState::InvalidParameterValue,
                    "the query to cancel cannot be read",
                )
                .with_detail(error.to_string()),
            )
        })?;
        let cancelled = actions::cancel(&self.statements, &caller, &info).map_err(failed)?;
        // The older action's results have the numbers of the newer one's.
        let result = if cancelled {
            CancelStatus::Cancelled
        } else {
            CancelStatus::NotCancellable
        };
        Ok(ActionCancelQueryResult {
            result: result as i32,
        })
    }

    async fn do_action_begin_transaction(
        &self,
        _: ActionBeginTransactionRequest,
        _: Request<Action>,
    ) -> Result<ActionBeginTransactionResult, Status> {
        Err(failed(no_transactions()))
    }

    async fn do_action_begin_savepoint(
        &self,
        _: ActionBeginSavepointRequest,
        _: Request<Action>,
    ) -> Result<ActionBeginSavepointResult, Status> {
        Err(failed(no_transactions()))
    }

    async fn do_action_create_prepared_substrait_plan(
        &self,
        _: ActionCreatePreparedSubstraitPlanRequest,
        _: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        Err(failed(
            Error::unsupported("Substrait plans are not supported").with_hint("Send SQL."),
        ))
    }

    async fn do_action_fallback(
        &self,
        request: Request<Action>,
    ) -> Result<Response<BoxStream<'static, Result<arrow_flight::Result, Status>>>, Status> {
        let caller = self.caller(&request).await.map_err(failed)?;
        let action = request.into_inner();
        let body = actions::answer(self.engine.as_ref(), &self.statements, &caller, &action)
            .await
            .map_err(failed)?;
        let mut response = Response::new(stream::iter([Ok(arrow_flight::Result { body })]).boxed());
        if action.r#type == actions::SET_SESSION_OPTIONS {
            self.gate
                .offer_cookie(&caller, response.metadata_mut())
                .map_err(failed)?;
        }
        Ok(response)
    }

    /// The codes are all known from the start.
    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}
