//! The catalog at one version: immutable, shared, and all that planning needs to know.

use std::collections::BTreeMap;
use std::sync::Arc;

use watershed_core::error::{Error, Position, Result, SqlState, nearest};
use watershed_core::id::TableId;

use super::builtin;
use super::cache::{CacheLayer, CacheModel, Invalidations};
use super::object::{Object, ObjectName, TableDef};
use super::principals::Principals;
use super::record::Change;

/// The one catalog there is; it may stand before a schema's name.
pub const CATALOG_NAME: &str = "watershed";
/// Where names without a schema are looked up at first.
pub const PUBLIC_SCHEMA: &str = "public";
/// What operating needs to see.
pub const SYSTEM_SCHEMA: &str = "system";
/// The standard's description of the catalog; its tables are made when they are read.
pub const INFORMATION_SCHEMA: &str = "information_schema";

/// A session's own objects. It is there for every session, and no other session sees what is in it.
pub const TEMPORARY_SCHEMA: &str = "temp";

/// All that exists, at one version of the catalog's log.
#[derive(Debug, Clone)]
pub struct Catalog {
    /// The number of records it was made from.
    pub version: u64,
    /// The catalog below a session's own objects, if this one has any.
    base: Option<Arc<Catalog>>,
    pub principals: Arc<Principals>,
    cache: Arc<CacheModel>,
    schemas: BTreeMap<String, BTreeMap<String, Object>>,
}

impl Default for Catalog {
    fn default() -> Self {
        Self::empty()
    }
}

impl Catalog {
    /// What is there before the first record: the live tables, which no record makes.
    pub fn empty() -> Self {
        let mut schemas: BTreeMap<String, BTreeMap<String, Object>> = BTreeMap::new();
        schemas.insert(PUBLIC_SCHEMA.to_owned(), BTreeMap::new());
        for def in builtin::live_tables() {
            schemas
                .entry(def.schema.clone())
                .or_default()
                .insert(def.name.clone(), Object::Live(Arc::clone(def)));
        }
        Self {
            version: 0,
            base: None,
            principals: Arc::default(),
            cache: Arc::default(),
            schemas,
        }
    }

    /// The schemas' names, in order; `information_schema` is one of them.
    pub fn schemas(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.schemas.keys().map(String::as_str).collect();
        names.push(INFORMATION_SCHEMA);
        names.sort_unstable();
        names
    }

    pub fn has_schema(&self, schema: &str) -> bool {
        schema == INFORMATION_SCHEMA || schema == TEMPORARY_SCHEMA || self.schemas.contains_key(schema)
    }

    /// A schema's objects, in the order of their names. None for a schema that is not there.
    pub fn objects(&self, schema: &str) -> impl Iterator<Item = &Object> {
        self.schemas.get(schema).into_iter().flat_map(BTreeMap::values)
    }

    /// Every object of every schema.
    pub fn all_objects(&self) -> impl Iterator<Item = &Object> {
        self.schemas.values().flat_map(BTreeMap::values)
    }

    /// Every managed table.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<TableDef>> {
        self.all_objects().filter_map(|object| match object {
            Object::Table(def) => Some(def),
            Object::External(_) | Object::View(_) | Object::Live(_) => None,
        })
    }

    /// The object of exactly that name.
    pub fn object(&self, schema: &str, name: &str) -> Option<&Object> {
        self.schemas.get(schema)?.get(name)
    }

    /// The object a name means: without a schema, at first one of the session's own.
    pub fn find(&self, name: &ObjectName, current_schema: &str) -> Option<&Object> {
        let own = match name.schema {
            None => self.object(TEMPORARY_SCHEMA, &name.name),
            Some(_) => None,
        };
        own.or_else(|| self.object(name.schema_or(current_schema), &name.name))
    }

    /// [`Catalog::find`], or an error that helps to find the object that was meant.
    pub fn resolve(&self, name: &ObjectName, current_schema: &str) -> Result<Object> {
        self.resolve_among(name, current_schema, |_| true)
    }

    /// The same, with an error that names no other objects than those that are seen.
    pub fn resolve_among(
        &self,
        name: &ObjectName,
        current_schema: &str,
        sees: impl Fn(&Object) -> bool,
    ) -> Result<Object> {
        let schema = name.schema_or(current_schema);
        self.check_schema(schema, name.position)?;
        match self.find(name, current_schema) {
            Some(object) => Ok(object.clone()),
            None => Err(self.unknown(name, schema, sees)),
        }
    }

    /// The same without a session's own objects.
    pub fn without_temporary(self: &Arc<Self>) -> Arc<Self> {
        Arc::clone(self.base.as_ref().unwrap_or(self))
    }

    /// A catalog with a session's own objects on top.
    pub(super) fn with_temporary(self: Arc<Self>, objects: BTreeMap<String, Object>) -> Self {
        let mut schemas = self.schemas.clone();
        schemas.insert(TEMPORARY_SCHEMA.to_owned(), objects);
        Self {
            version: self.version,
            principals: Arc::clone(&self.principals),
            cache: Arc::clone(&self.cache),
            schemas,
            base: Some(self),
        }
    }

    /// The layers of the cache that are on, the nearest first.
    pub fn cache_layers(&self) -> &[CacheLayer] {
        &self.cache.layers
    }

    /// What caches were asked to forget lately.
    pub fn invalidations(&self) -> &Invalidations {
        &self.cache.invalidations
    }

    /// The schemas that objects are in.
    pub(super) fn named_schemas(&self) -> impl Iterator<Item = &str> {
        self.schemas.keys().map(String::as_str)
    }

    /// Counts invalidations that came before those that are known.
    pub(super) fn forget_invalidations(&mut self, before: u64) {
        Arc::make_mut(&mut self.cache).invalidations.forget(before);
    }

    /// An error unless the schema is there.
    pub fn check_schema(&self, schema: &str, position: Option<Position>) -> Result<()> {
        match self.has_schema(schema) {
            true => Ok(()),
            false => Err(self.unknown_schema(schema, position, |_| true)),
        }
    }

    /// Says that a schema is not there, and names no other than those that are seen.
    pub(crate) fn unknown_schema(
        &self,
        schema: &str,
        position: Option<Position>,
        sees: impl Fn(&str) -> bool,
    ) -> Error {
        let mut error = Error::new(
            SqlState::InvalidSchemaName,
            format!("schema \"{schema}\" does not exist"),
        );
        let known = self
            .schemas()
            .into_iter()
            .filter(|known| sees(known) && *known != schema);
        if let Some(near) = nearest(schema, known) {
            error = error.with_hint(format!("Did you mean \"{near}\"?"));
        }
        match position {
            Some(position) => error.with_position(position),
            None => error,
        }
    }

    /// Says that an object is not there, and names no others than those that are seen.
    pub(crate) fn unknown(&self, name: &ObjectName, schema: &str, sees: impl Fn(&Object) -> bool) -> Error {
        let error = name.error(
            SqlState::UndefinedTable,
            format!("table or view \"{name}\" does not exist"),
        );
        let seen = self.objects(schema).filter(|object| sees(object));
        let known: Vec<&str> = seen.map(Object::name).collect();
        if let Some(same) = known
            .iter()
            .find(|known| known.to_lowercase() == name.name.to_lowercase())
        {
            return error.with_hint(format!(
                "Write \"{same}\" in double quotes, as names without quotes fold to lower case."
            ));
        }
        let elsewhere = name.schema.is_none().then(|| {
            self.all_objects()
                .find(|object| object.name() == name.name && object.schema() != schema && sees(object))
        });
        if let Some(Some(object)) = elsewhere {
            return error.with_hint(format!(
                "There is one in schema \"{0}\": write {0}.{1}.",
                object.schema(),
                object.name()
            ));
        }
        match nearest(&name.name, known) {
            Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
            None => error,
        }
    }

    /// The catalog one record later.
    pub(super) fn with(&self, changes: &[Change]) -> Self {
        let mut next = self.clone();
        next.version += 1;
        // A table that one statement replaces goes on under its name, for grants and for views.
        let mut gone: BTreeMap<(&str, &str), TableId> = BTreeMap::new();
        for change in changes {
            match change {
                Change::ObjectDropped { schema, name } => {
                    if let Some(Object::Table(def)) = next.object(schema, name) {
                        gone.insert((schema, name), def.layout.id);
                    }
                }
                Change::TableCreated(def) => {
                    if let Some(replaced) = gone.get(&(def.schema.as_str(), def.name.as_str())) {
                        next.rebind(*replaced, def.layout.id);
                    }
                }
                _ => {}
            }
            next.apply(change);
        }
        next
    }

    /// Lets the views that read a table read another one in its place.
    fn rebind(&mut self, replaced: TableId, by: TableId) {
        for object in self.schemas.values_mut().flat_map(BTreeMap::values_mut) {
            if let Object::View(def) = object
                && def.reads.iter().any(|read| read.table == Some(replaced))
            {
                for read in &mut Arc::make_mut(def).reads {
                    if read.table == Some(replaced) {
                        read.table = Some(by);
                    }
                }
            }
        }
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::SchemaCreated { name } => {
                self.schemas.entry(name.clone()).or_default();
            }
            Change::SchemaDropped { name } => {
                self.schemas.remove(name);
            }
            Change::TableCreated(def) | Change::TableAltered(def) => {
                self.put(Object::Table(Arc::new(def.clone())));
            }
            Change::ExternalCreated(def) => self.put(Object::External(Arc::new(def.clone()))),
            Change::ViewCreated(def) => self.put(Object::View(Arc::new(def.clone()))),
            Change::ObjectDropped { schema, name } => {
                if let Some(objects) = self.schemas.get_mut(schema) {
                    objects.remove(name);
                }
            }
            Change::UserCreated(_)
            | Change::PasswordSet { .. }
            | Change::UserDropped { .. }
            | Change::RoleCreated { .. }
            | Change::RoleDropped { .. }
            | Change::RoleGranted { .. }
            | Change::RoleRevoked { .. }
            | Change::TokenCreated(_)
            | Change::TokenDropped { .. }
            | Change::Granted { .. }
            | Change::Revoked { .. } => Arc::make_mut(&mut self.principals).apply(change),
            Change::CacheLayerSet(_) | Change::CacheLayerDropped { .. } | Change::CacheInvalidated(_) => {
                Arc::make_mut(&mut self.cache).apply(change);
            }
        }
    }

    fn put(&mut self, object: Object) {
        self.schemas
            .entry(object.schema().to_owned())
            .or_default()
            .insert(object.name().to_owned(), object);
    }
}
