//! What statements came to, by their texts: a query asked again over the same catalog need not be planned
//! to know its answer's key, if its tables have the versions that they had.

use std::num::NonZeroUsize;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;
use lru::LruCache;
use parking_lot::Mutex;
use watershed_sql::catalog::TableDef;

use super::fingerprint::Fingerprint;
use super::generic::Template;
use crate::engine::Session;
use crate::flight::Prepared;

/// Texts that are known.
const MAX_TEXTS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4_095);
/// Longer texts are planned every time.
const MAX_TEXT: usize = 16 << 10;

/// All that planning depends on, but for the versions of tables.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TextKey {
    text: String,
    parameters: Vec<ScalarValue>,
    /// Of the parameters: instants with and without a zone are equal values to DataFusion.
    kinds: Vec<DataType>,
    principal: String,
    schema: String,
    settings: Vec<(String, String)>,
    /// Of the catalog, with all grants.
    catalog: u64,
}

impl TextKey {
    /// None for texts that are not worth it, and for sessions with objects of their own.
    pub(crate) fn of(
        text: &str,
        parameters: &[ScalarValue],
        session: &Session,
        settings: &watershed_core::settings::Settings,
        catalog: u64,
    ) -> Option<Self> {
        if text.len() > MAX_TEXT || session.has_temporary() || session.has_prepared() {
            return None;
        }
        Some(Self {
            text: text.to_owned(),
            parameters: parameters.to_vec(),
            kinds: parameters.iter().map(ScalarValue::data_type).collect(),
            principal: session.principal.name().to_owned(),
            schema: session.schema(),
            settings: settings
                .changed()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            catalog,
        })
    }
}

/// What a text came to.
#[derive(Default)]
struct Known {
    /// As planning described it.
    prepared: Option<Arc<Prepared>>,
    answer: Option<KnownAnswer>,
    plan: Option<Arc<KnownPlan>>,
    /// Whether it hangs on an instant that does not come again. What was so once is taken to be so whenever it
    /// is asked; where that is wrong, an answer is not kept, or kept for nothing.
    momentary: Option<bool>,
}

/// Where the answer lies, as long as the tables have these versions.
#[derive(Debug, Clone)]
pub(crate) struct KnownAnswer {
    pub(crate) tables: Vec<(Arc<TableDef>, u64)>,
    pub(crate) print: Arc<Fingerprint>,
    pub(crate) schema: arrow::datatypes::SchemaRef,
}

/// How it is planned.
#[derive(Debug)]
pub(crate) struct KnownPlan {
    pub(crate) template: Template,
    /// The tables in it.
    pub(crate) tables: Vec<Arc<TableDef>>,
    /// The tables and views that it names.
    pub(crate) reads: Arc<Vec<(String, String)>>,
}

/// The newest of them. Its lock is held for moments only.
pub(crate) struct Texts(Mutex<LruCache<TextKey, Known>>);

impl Default for Texts {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(MAX_TEXTS)))
    }
}

impl Texts {
    pub(crate) fn prepared(&self, key: &TextKey) -> Option<Arc<Prepared>> {
        self.0.lock().get(key)?.prepared.clone()
    }

    pub(crate) fn answer(&self, key: &TextKey) -> Option<KnownAnswer> {
        self.0.lock().get(key)?.answer.clone()
    }

    pub(crate) fn plan(&self, key: &TextKey) -> Option<Arc<KnownPlan>> {
        self.0.lock().get(key)?.plan.clone()
    }

    pub(crate) fn learn_plan(&self, key: TextKey, plan: KnownPlan) {
        self.0.lock().get_or_insert_mut(key, Known::default).plan = Some(Arc::new(plan));
    }

    /// None where that is not known.
    pub(crate) fn is_momentary(&self, key: &TextKey) -> Option<bool> {
        self.0.lock().get(key)?.momentary
    }

    pub(crate) fn learn_momentary(&self, key: TextKey, momentary: bool) {
        self.0.lock().get_or_insert_mut(key, Known::default).momentary = Some(momentary);
    }

    pub(crate) fn learn_prepared(&self, key: TextKey, prepared: Arc<Prepared>) {
        self.0.lock().get_or_insert_mut(key, Known::default).prepared = Some(prepared);
    }

    pub(crate) fn learn_answer(&self, key: TextKey, answer: KnownAnswer) {
        self.0.lock().get_or_insert_mut(key, Known::default).answer = Some(answer);
    }
}
