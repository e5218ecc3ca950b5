//! Prepared statements: planned once, bound and executed many times, found by a handle that belongs
//! to who made it.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow_flight::sql::ActionCreatePreparedStatementResult;
use bytes::Bytes;
use parking_lot::Mutex;
use uuid::Uuid;
use watershed_core::clock::Clock;
use watershed_core::{Error, Result, SqlState};

use super::auth::Caller;
use super::delivery::Delivery;
use super::engine::{Prepared, Principal};
use super::registry::{Bounds, Registry};
use super::seal::Seal;
use super::{params, wire};

/// The values that a client bound last.
pub(super) type Bound = Arc<Vec<RecordBatch>>;

pub(super) struct PreparedStatements {
    seal: Arc<Seal>,
    open: Registry<Open>,
}

pub(super) struct Open {
    principal: Principal,
    pub(super) statement: Arc<Prepared>,
    /// As its schema was announced, so its rows come.
    pub(super) delivery: Delivery,
    bound: Mutex<Bound>,
}

impl Open {
    pub(super) fn bound(&self) -> Bound {
        Arc::clone(&self.bound.lock())
    }

    pub(super) fn takes_parameters(&self) -> bool {
        !self.statement.parameters.fields().is_empty()
    }
}

impl PreparedStatements {
    pub(super) fn new(seal: Arc<Seal>, clock: Arc<dyn Clock>, bounds: Bounds) -> Self {
        Self {
            seal,
            open: Registry::new(bounds, clock),
        }
    }

    pub(super) fn create(
        &self,
        caller: &Caller,
        statement: Prepared,
        delivery: Delivery,
    ) -> Result<ActionCreatePreparedStatementResult> {
        let handle = self.seal.handle()?;
        let result = ActionCreatePreparedStatementResult {
            prepared_statement_handle: Bytes::copy_from_slice(handle.as_bytes()),
            // Drivers tell by its emptiness that a statement is an update.
            dataset_schema: wire::message(&wire::result_schema(&statement.schema, delivery.views))?,
            parameter_schema: wire::message(&wire::parameter_schema(&statement.parameters))?,
        };
        let bytes = statement.weight();
        let open = Open {
            principal: caller.principal.clone(),
            statement: Arc::new(statement),
            delivery,
            bound: Mutex::default(),
        };
        self.open.insert(handle, open, bytes);
        Ok(result)
    }

    /// The statement of a handle. It is found by who made it and not by session, so that it outlives
    /// a connection.
    pub(super) fn find(&self, caller: &Caller, handle: &[u8]) -> Result<Arc<Open>> {
        Uuid::from_slice(handle)
            .ok()
            .and_then(|handle| self.open.get(&handle))
            .filter(|open| open.principal == caller.principal)
            .ok_or_else(unknown)
    }

    pub(super) fn bind(&self, handle: &[u8], open: &Open, values: Vec<RecordBatch>) {
        let bytes: usize = values.iter().map(params::size).sum();
        *open.bound.lock() = Arc::new(values);
        if let Ok(handle) = Uuid::from_slice(handle) {
            self.open.weigh(&handle, open.statement.weight() + bytes);
        }
    }

    /// Lets go of what nobody has used for long.
    pub(super) fn sweep(&self) {
        self.open.sweep();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Closing what is not there is no error: it may have expired.
    pub(super) fn close(&self, caller: &Caller, handle: &[u8]) {
        if self.find(caller, handle).is_ok()
            && let Ok(handle) = Uuid::from_slice(handle)
        {
            self.open.remove(&handle);
        }
    }
}

fn unknown() -> Error {
    Error::new(
        SqlState::InvalidStatementName,
        "the prepared statement does not exist, was closed, or has expired",
    )
    .with_hint("Prepare it again.")
}
