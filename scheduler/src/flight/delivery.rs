//! How a client wants its rows. What every driver takes is the default; more is for those who ask.

use arrow::ipc::CompressionType;
use arrow::ipc::writer::IpcWriteOptions;
use watershed_core::settings::{FLIGHT_COMPRESSION, FLIGHT_ENDPOINTS, FLIGHT_VIEW_TYPES, Settings};
use watershed_core::{Error, Result};

/// What a session asked for when a statement was planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Streams that share the rows of a query.
    pub endpoints: u16,
    pub compression: Option<CompressionType>,
    /// Whether texts and bytes come as view types.
    pub views: bool,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            endpoints: 1,
            compression: None,
            views: false,
        }
    }
}

impl Delivery {
    pub fn of(settings: &Settings) -> Self {
        Self {
            endpoints: u16::try_from(settings.number(FLIGHT_ENDPOINTS)).unwrap_or(1),
            compression: match settings.choice(FLIGHT_COMPRESSION) {
                "lz4" => Some(CompressionType::LZ4_FRAME),
                "zstd" => Some(CompressionType::ZSTD),
                _ => None,
            },
            views: settings.choice(FLIGHT_VIEW_TYPES) == "on",
        }
    }

    pub(super) fn ipc_options(self) -> Result<IpcWriteOptions> {
        IpcWriteOptions::default()
            .try_with_compression(self.compression)
            .map_err(|error| Error::internal("rows cannot be compressed").with_detail(error.to_string()))
    }
}
