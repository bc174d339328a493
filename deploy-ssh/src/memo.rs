//! Values that are each made once, whoever asks first.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::OnceCell;

/// A cell for each key. A value that could not be made is tried again by whoever asks next.
#[derive(Debug)]
pub(crate) struct Memo<K, V>(Mutex<HashMap<K, Arc<OnceCell<V>>>>);

impl<K: Hash + Eq + Clone, V> Memo<K, V> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    pub(crate) fn cell(&self, key: &K) -> Arc<OnceCell<V>> {
        self.cells().entry(key.clone()).or_default().clone()
    }

    /// The cell of `key`, or none where that would be one more than `most` of those like it.
    pub(crate) fn cell_among(
        &self,
        key: &K,
        most: usize,
        alike: impl Fn(&K) -> bool,
    ) -> Option<Arc<OnceCell<V>>> {
        let mut cells = self.cells();
        if !cells.contains_key(key) && cells.keys().filter(|k| alike(k)).count() >= most {
            return None;
        }
        Some(cells.entry(key.clone()).or_default().clone())
    }

    /// The first value that `is_wanted`, of those that were made.
    pub(crate) fn find(&self, is_wanted: impl Fn(&V) -> bool) -> Option<V>
    where
        V: Clone,
    {
        self.cells().values().filter_map(|cell| cell.get()).find(|value| is_wanted(value)).cloned()
    }

    fn cells(&self) -> MutexGuard<'_, HashMap<K, Arc<OnceCell<V>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
