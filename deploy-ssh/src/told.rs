//! What is told of long work on this machine, before any target is touched.

use std::{fmt, sync::Arc};

/// What is told a line.
pub(crate) type Listener = dyn Fn(&str) + Send + Sync;

/// Who is told, if anybody.
#[derive(Clone, Default)]
pub(crate) struct Told(Option<Arc<Listener>>);

impl Told {
    pub(crate) fn to(somebody: Arc<Listener>) -> Self {
        Self(Some(somebody))
    }

    pub(crate) fn line(&self, line: &str) {
        if let Some(told) = &self.0 {
            told(line);
        }
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Told")
    }
}
