//! What a session's principal may do, asked where there is no statement to ask for.

use std::sync::Arc;

use watershed_core::Result;
use watershed_core::id::{SessionId, StatementId};
use watershed_sql::authorize::{Access, Need, validate};
use watershed_sql::catalog::Catalog;

use super::admission::Who;
use super::{Engine, Session};

impl Engine {
    /// What the session's principal may do at a version of the catalog.
    pub fn access(&self, catalog: &Catalog, session: &Session) -> Result<Access> {
        self.parts().logins.access(catalog, &session.principal)
    }

    /// Whose statements a session's are.
    pub(super) fn who(&self, session: &Session) -> Result<Who> {
        let parts = self.parts();
        if !parts.logins.lets_in_users_only() {
            return Ok(Who::Anyone);
        }
        let access = self.access(&parts.catalog.current(), session)?;
        Ok(match access.is_admin() {
            true => Who::Administrator,
            false => Who::User(session.principal.name().to_owned()),
        })
    }

    /// The newest catalog as a session sees it, and what the session's principal may do in it.
    pub(super) async fn newest(&self, session: SessionId) -> Result<(Arc<Catalog>, Access)> {
        let session = self.parts().sessions.get(session)?;
        let catalog = session.catalog(self.parts().catalog.refresh().await?);
        let access = self.access(&catalog, &session)?;
        Ok((catalog, access))
    }

    /// Cancels a statement: one's own, or anyone's for who may do everything.
    pub(super) fn kill(&self, session: &Session, statement: StatementId) -> Result<()> {
        let parts = self.parts();
        let access = self.access(&parts.catalog.current(), session)?;
        parts.queries.kill(statement, |principal| access.owns(principal))
    }

    /// An error unless the session's principal may do all of it, by the newest catalog.
    pub async fn authorize(&self, session: &Session, needs: &[Need]) -> Result<()> {
        let catalog = self.parts().catalog.refresh().await?;
        validate(&self.access(&catalog, session)?, needs)
    }
}
