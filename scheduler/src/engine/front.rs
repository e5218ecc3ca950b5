//! The engine as the Flight SQL port sees it.

use std::net::IpAddr;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::scalar::ScalarValue;
use watershed_core::id::SessionId;
use watershed_core::settings::SETTINGS;
use watershed_core::{Error, Result};
use watershed_sql::authorize::{Need, validate};
use watershed_sql::catalog::{Object, ObjectName, Privilege, SYSTEM_SCHEMA, Scope, TEMPORARY_SCHEMA};
use watershed_sql::dialect::identifier;
use watershed_sql::plan::Ingest;

use super::Engine;
use super::parameters::Rows;
use crate::flight::{
    self, Credentials, Delivery, Executed, Login, Outcome, Prepared, Principal, RowStream, SessionKey,
    TableEntry, TableKind,
};

#[async_trait]
impl flight::Engine for Engine {
    async fn authenticate(&self, credentials: &Credentials, peer: Option<IpAddr>) -> Result<Login> {
        let parts = self.parts();
        parts.logins.authenticate(&parts.catalog, credentials, peer).await
    }

    async fn check_login(&self, login: &Login, age: Duration) -> Result<()> {
        let parts = self.parts();
        let catalog = parts.logins.recent(&parts.catalog).await?;
        parts.logins.check(&catalog, login, age)
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
        self.prepare_statement(&session, sql, None).await
    }

    async fn prepare_bound(
        &self,
        session: SessionId,
        statement: &Prepared,
        parameters: &[ScalarValue],
    ) -> Result<Prepared> {
        let session = self.parts().sessions.get(session)?;
        self.prepare_statement(&session, &statement.sql, Some(parameters))
            .await
    }

    async fn execute_many(
        &self,
        session: SessionId,
        statement: &Prepared,
        parameters: &[RecordBatch],
    ) -> Result<Executed> {
        let open = self.parts().sessions.get(session)?;
        match self.inserted_rows(&open, statement, parameters)? {
            Some(Rows { into, rows }) => {
                Box::pin(self.run_ingest(&open, into, rows, Some(&statement.sql))).await
            }
            None => flight::execute_each(self, session, statement, parameters).await,
        }
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
        match Box::pin(self.run_ingest(&session, into, rows, None))
            .await?
            .outcome
        {
            Outcome::Count(rows) => Ok(rows),
            Outcome::Rows(_) | Outcome::Done => Err(Error::internal("an ingest gave no count of rows")),
        }
    }

    async fn schemas(&self, session: SessionId) -> Result<Vec<String>> {
        let (catalog, access) = self.newest(session).await?;
        let seen = catalog
            .schemas()
            .into_iter()
            .filter(|schema| access.sees_schema(schema));
        Ok(seen.map(ToOwned::to_owned).collect())
    }

    async fn tables(&self, session: SessionId) -> Result<Vec<TableEntry>> {
        let (catalog, access) = self.newest(session).await?;
        let mut tables = Vec::new();
        for object in catalog.all_objects().filter(|object| access.sees(object)) {
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
        let (catalog, access) = self.newest(session).await?;
        let scope = Scope::object(schema, table);
        if let Some(object) = catalog.object(schema, table)
            && access.sees(object)
            && !access.allows(Privilege::Select, &scope)
        {
            // Whoever may write it has to know its columns.
            return match object {
                Object::Table(def) => Ok(def.layout.arrow_schema()),
                Object::Live(def) => Ok(def.arrow_schema()),
                Object::External(_) | Object::View(_) => Ok(SchemaRef::new(Schema::empty())),
            };
        }
        let session = self.parts().sessions.get(session)?;
        let text = format!("SELECT * FROM {}.{}", identifier(schema), identifier(table));
        Ok(self.prepare_statement(&session, &text, None).await?.schema)
    }

    async fn primary_key(&self, session: SessionId, schema: &str, table: &str) -> Result<Vec<String>> {
        let (catalog, access) = self.newest(session).await?;
        validate(&access, &[Need::Sight(Scope::object(schema, table))])?;
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
        self.access(&catalog, &session)?
            .check_schema(&catalog, schema, None)?;
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
