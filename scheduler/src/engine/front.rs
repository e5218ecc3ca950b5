//! The engine as the Flight SQL port sees it.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::scalar::ScalarValue;
use watershed_core::id::SessionId;
use watershed_core::settings::SETTINGS;
use watershed_core::{Error, Result};
use watershed_sql::catalog::{
    Catalog, INFORMATION_SCHEMA, Object, ObjectName, SYSTEM_SCHEMA, TEMPORARY_SCHEMA,
};
use watershed_sql::dialect::identifier;
use watershed_sql::plan::Ingest;

use super::Engine;
use crate::flight::{
    self, Credentials, Delivery, Executed, Outcome, Prepared, Principal, RowStream, SessionKey, TableEntry,
    TableKind,
};

impl Engine {
    /// The newest catalog as a session sees it.
    async fn catalog(&self, session: SessionId) -> Result<Arc<Catalog>> {
        let session = self.parts().sessions.get(session)?;
        Ok(session.catalog(self.parts().catalog.refresh().await?))
    }
}

#[async_trait]
impl flight::Engine for Engine {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Principal> {
        // Whoever names itself is believed, as this port is open to all who reach it.
        Ok(match credentials {
            Credentials::Password { user, .. } if !user.is_empty() => Principal::new(user),
            Credentials::Password { .. } | Credentials::Anonymous | Credentials::Token(_) => {
                Principal::new(Principal::ANONYMOUS)
            }
        })
    }

    async fn session(&self, key: &SessionKey, principal: &Principal) -> Result<SessionId> {
        Ok(self.parts().sessions.open(key, principal).id)
    }

    async fn close_session(&self, session: SessionId) -> Result<()> {
        self.parts().sessions.close(session);
        Ok(())
    }

    async fn prepare(&self, session: SessionId, sql: &str) -> Result<Prepared> {
        let session = self.parts().sessions.get(session)?;
        self.prepare_statement(&session, sql).await
    }

    async fn execute(
        &self,
        session: SessionId,
        statement: &Prepared,
        parameters: &[ScalarValue],
    ) -> Result<Executed> {
        let session = self.parts().sessions.get(session)?;
        Box::pin(self.run_statement(&session, &statement.sql, parameters)).await
    }

    fn ingests(&self) -> bool {
        true
    }

    async fn ingest(&self, session: SessionId, target: flight::Ingest, rows: RowStream) -> Result<u64> {
        let session = self.parts().sessions.get(session)?;
        let schema = if target.temporary {
            Some(TEMPORARY_SCHEMA.to_owned())
        } else {
            target.schema
        };
        let into = Ingest {
            table: ObjectName {
                schema,
                name: target.table,
                position: None,
            },
            mode: target.mode,
        };
        match Box::pin(self.run_ingest(&session, into, rows)).await?.outcome {
            Outcome::Count(rows) => Ok(rows),
            Outcome::Rows(_) | Outcome::Done => Err(Error::internal("an ingest gave no count of rows")),
        }
    }

    async fn schemas(&self, session: SessionId) -> Result<Vec<String>> {
        let catalog = self.catalog(session).await?;
        let mut schemas: Vec<_> = catalog.schemas().into_iter().map(ToOwned::to_owned).collect();
        if !schemas.iter().any(|schema| schema == INFORMATION_SCHEMA) {
            schemas.push(INFORMATION_SCHEMA.to_owned());
        }
        schemas.sort();
        Ok(schemas)
    }

    async fn tables(&self, session: SessionId) -> Result<Vec<TableEntry>> {
        let catalog = self.catalog(session).await?;
        let mut tables = Vec::new();
        for object in catalog.all_objects() {
            let (schema, name) = (object.schema().to_owned(), object.name().to_owned());
            let kind = match object {
                Object::View(_) => TableKind::View,
                Object::Live(_) if schema == SYSTEM_SCHEMA => TableKind::SystemTable,
                Object::Table(_) | Object::External(_) | Object::Live(_) => TableKind::Table,
            };
            tables.push(TableEntry { schema, name, kind });
        }
        Ok(tables)
    }

    async fn table_schema(&self, session: SessionId, schema: &str, table: &str) -> Result<SchemaRef> {
        let session = self.parts().sessions.get(session)?;
        let text = format!("SELECT * FROM {}.{}", identifier(schema), identifier(table));
        Ok(self.prepare_statement(&session, &text).await?.schema)
    }

    async fn primary_key(&self, session: SessionId, schema: &str, table: &str) -> Result<Vec<String>> {
        let catalog = self.catalog(session).await?;
        Ok(match catalog.resolve(&ObjectName::full(schema, table), schema)? {
            Object::Table(table) => table.layout.primary_key.clone(),
            Object::Live(def) => def.primary_key.clone(),
            Object::External(_) | Object::View(_) => Vec::new(),
        })
    }

    async fn current_schema(&self, session: SessionId) -> Result<String> {
        Ok(self.parts().sessions.get(session)?.schema())
    }

    async fn delivery(&self, session: SessionId) -> Result<Delivery> {
        Ok(Delivery::of(&self.parts().sessions.get(session)?.settings()))
    }

    async fn use_schema(&self, session: SessionId, schema: &str) -> Result<()> {
        let session = self.parts().sessions.get(session)?;
        let catalog = self.parts().catalog.refresh().await?;
        catalog.check_schema(schema, None)?;
        session.use_schema(schema);
        Ok(())
    }

    async fn settings(&self, session: SessionId) -> Result<Vec<(String, String)>> {
        let settings = self.parts().sessions.get(session)?.settings();
        SETTINGS
            .iter()
            .map(|setting| Ok((setting.name.to_owned(), settings.get(setting.name)?.to_owned())))
            .collect()
    }

    async fn set(&self, session: SessionId, name: &str, value: Option<&str>) -> Result<()> {
        self.parts().sessions.get(session)?.set(name, value)
    }
}
