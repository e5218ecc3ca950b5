//! Asks a Watershed server over Arrow Flight SQL: a library, and the shell made of it.
//!
//! ```no_run
//! use futures::TryStreamExt;
//! use watershed_client::{Answer, Client};
//!
//! # async fn example() -> watershed_core::Result<()> {
//! let client = Client::connect("http://127.0.0.1:32010").await?;
//! if let Answer::Rows(mut rows) = client.run("SELECT 1 AS one").await? {
//!     while let Some(batch) = rows.try_next().await? {
//!         assert_eq!(batch.num_columns(), 1);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! It is *not* privileged: whatever it does, any other Flight SQL driver can do.
//!
//! Reading order: [`connect`], [`query`], [`error`], [`shell`].

pub mod connect;
pub mod error;
pub mod query;
pub mod shell;

pub use connect::{Client, ConnectOptions, Credentials, Secret};
pub use query::{Answer, Prepared, RowStream};
