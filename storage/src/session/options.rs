//! What every process that runs a part of a statement must know of it, as an extension of the
//! session's configuration: distributed plans carry such extensions in headers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datafusion::common::extensions_options;
use datafusion::config::{ConfigExtension, ConfigOptions};
use datafusion::prelude::SessionConfig;
use watershed_core::error::{Error, Result};
use watershed_core::id::StatementId;
use watershed_core::settings::Settings;

extensions_options! {
    /// The settings of a statement's session and the statement's id. Values are safe in headers.
    pub struct StatementOptions {
        /// The settings that differ from their defaults, as JSON in base64.
        pub settings: String, default = String::new()
        /// The statement's id.
        pub statement: String, default = String::new()
        /// The most rows of a batch, where these are fewer than the settings say; 0 leaves it to them.
        pub rows: usize, default = 0
    }
}

impl ConfigExtension for StatementOptions {
    const PREFIX: &'static str = "watershed";
}

impl StatementOptions {
    /// Carries these settings.
    pub fn new(settings: &Settings) -> Self {
        // A map of texts always has a JSON form.
        let json = serde_json::to_vec(settings).unwrap_or_default();
        Self {
            settings: STANDARD.encode(json),
            ..Self::default()
        }
    }

    /// Carries a statement's id as well.
    #[must_use]
    pub fn with_statement(mut self, statement: StatementId) -> Self {
        self.statement = statement.to_string();
        self
    }

    /// Carries a number of rows that batches do not exceed.
    #[must_use]
    pub fn with_rows(self, rows: Option<usize>) -> Self {
        let rows = rows.unwrap_or(0);
        Self { rows, ..self }
    }

    /// The configuration with batches of so many rows.
    #[must_use]
    pub fn limit_rows(&self, config: SessionConfig) -> SessionConfig {
        match self.rows {
            0 => config,
            rows => {
                let rows = rows.min(config.batch_size());
                config.with_batch_size(rows)
            }
        }
    }

    /// What a session's configuration carries; the defaults where it carries nothing.
    pub fn of(options: &ConfigOptions) -> Self {
        options.extensions.get::<Self>().cloned().unwrap_or_default()
    }

    /// Puts it into a configuration.
    pub fn write(self, config: &mut SessionConfig) {
        config.options_mut().extensions.insert(self);
    }

    /// Reads the settings it carries.
    pub fn read_settings(&self) -> Result<Settings> {
        if self.settings.is_empty() {
            return Ok(Settings::default());
        }
        let json = STANDARD
            .decode(&self.settings)
            .map_err(|error| Error::internal(format!("settings of a statement are garbled: {error}")))?;
        serde_json::from_slice(&json)
            .map_err(|error| Error::internal(format!("settings of a statement are garbled: {error}")))
    }

    /// Reads the statement's id, if it carries one.
    pub fn read_statement(&self) -> Option<StatementId> {
        self.statement.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::config::ExtensionOptions;
    use watershed_core::settings::TIME_ZONE;

    use super::*;

    #[test]
    fn travels_as_texts_safe_in_headers() {
        let mut settings = Settings::default();
        settings.set(TIME_ZONE, "Europe/Berlin").unwrap();
        let statement = StatementId::generate();
        let sent = StatementOptions::new(&settings).with_statement(statement);
        let mut received = StatementOptions::default();
        for entry in sent.entries() {
            let value = entry.value.unwrap();
            assert!(value.bytes().all(|byte| byte.is_ascii_graphic()), "{value}");
            received.set(&entry.key, &value).unwrap();
        }
        assert_eq!(received.read_settings().unwrap(), settings);
        assert_eq!(received.read_statement(), Some(statement));
        received.settings = "%".to_owned();
        assert!(received.read_settings().is_err());
        assert_eq!(
            StatementOptions::of(&ConfigOptions::new())
                .read_settings()
                .unwrap(),
            Settings::default()
        );
    }
}
