//! Tickets: what a client redeems for the rows of a statement.

use std::time::Duration;

use arrow_flight::Ticket as WireTicket;
use arrow_flight::sql::{Any, ProstMessageExt, TicketStatementQuery};
use prost::Message;
use uuid::Uuid;
use watershed_core::{Error, Result, SqlState};

use super::engine::Principal;
use super::seal::{Purpose, Seal};

/// A ticket names a kept statement, who may redeem it, and until when on this process's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) handle: Uuid,
    pub(super) expires: Duration,
    /// Which of the statement's streams it stands for.
    pub(super) endpoint: u16,
    pub(super) principal: Principal,
}

const HANDLE_BYTES: usize = 16;
const ENDPOINT_BYTES: usize = 2;
const EXPIRES_BYTES: usize = 8;

impl Ticket {
    /// The ticket in the form that `DoGet` takes.
    pub(super) fn to_wire(&self, seal: &Seal) -> WireTicket {
        let mut content = self.handle.as_bytes().to_vec();
        let micros = u64::try_from(self.expires.as_micros()).unwrap_or(u64::MAX);
        content.extend_from_slice(&micros.to_be_bytes());
        content.extend_from_slice(&self.endpoint.to_be_bytes());
        content.extend_from_slice(self.principal.name().as_bytes());
        let statement = TicketStatementQuery {
            statement_handle: seal.seal(Purpose::Ticket, &content).into(),
        };
        WireTicket::new(statement.as_any().encode_to_vec())
    }

    /// Reads a ticket that may come from anywhere.
    pub(super) fn from_wire(ticket: &[u8], seal: &Seal) -> Result<Self> {
        Any::decode(ticket)
            .ok()
            .and_then(|any| any.unpack::<TicketStatementQuery>().ok().flatten())
            .ok_or_else(invalid)
            .and_then(|statement| Self::open(&statement.statement_handle, seal))
    }

    /// Reads what a [`TicketStatementQuery`] holds.
    pub(super) fn open(sealed: &[u8], seal: &Seal) -> Result<Self> {
        let content = seal.open(Purpose::Ticket, sealed).ok_or_else(invalid)?;
        let (handle, rest) = content.split_at_checked(HANDLE_BYTES).ok_or_else(invalid)?;
        let (expires, rest) = rest.split_at_checked(EXPIRES_BYTES).ok_or_else(invalid)?;
        let (endpoint, principal) = rest.split_at_checked(ENDPOINT_BYTES).ok_or_else(invalid)?;
        let expires = u64::from_be_bytes(expires.try_into().map_err(|_| invalid())?);
        Ok(Self {
            handle: Uuid::from_slice(handle).map_err(|_| invalid())?,
            expires: Duration::from_micros(expires),
            endpoint: u16::from_be_bytes(endpoint.try_into().map_err(|_| invalid())?),
            principal: Principal::new(std::str::from_utf8(principal).map_err(|_| invalid())?),
        })
    }

    /// Whether `principal` may redeem it `now`.
    pub(super) fn check(&self, principal: &Principal, now: Duration) -> Result<()> {
        if self.principal != *principal {
            return Err(Error::new(
                SqlState::InsufficientPrivilege,
                "the ticket belongs to another user",
            ));
        }
        if now >= self.expires {
            return Err(expired());
        }
        Ok(())
    }
}

pub(super) fn expired() -> Error {
    Error::new(
        SqlState::InvalidStatementName,
        "the ticket has expired or its statement was closed",
    )
    .with_hint("Run the statement again.")
}

fn invalid() -> Error {
    Error::new(
        SqlState::InsufficientPrivilege,
        "the ticket was not issued by this server",
    )
    .with_hint("Run the statement again; a server that was restarted does not know its former tickets.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_whole_and_is_checked() {
        let seal = Seal::new().unwrap();
        let ticket = Ticket {
            handle: Uuid::from_u128(7),
            expires: Duration::from_secs(10),
            endpoint: 3,
            principal: Principal::new("ada"),
        };
        let wire = ticket.to_wire(&seal);
        let read = Ticket::from_wire(&wire.ticket, &seal).unwrap();
        assert_eq!(read, ticket);

        let check = |principal: &str, seconds| {
            read.check(&Principal::new(principal), Duration::from_secs(seconds))
                .map_err(|error| error.code())
        };
        assert_eq!(check("ada", 9), Ok(()));
        assert_eq!(check("ada", 10), Err(SqlState::InvalidStatementName));
        assert_eq!(check("bob", 9), Err(SqlState::InsufficientPrivilege));
        let code = |bytes: &[u8]| Ticket::from_wire(bytes, &seal).unwrap_err().code();
        assert_eq!(code(b"forged"), SqlState::InsufficientPrivilege);
        assert_eq!(code(&wire.ticket[1..]), SqlState::InsufficientPrivilege);
    }
}
