//! What several trials have one after the other. It is made for the first of them and dropped with the last.

use std::sync::{Arc, Mutex, PoisonError};

/// Something that trials share, in turns.
pub struct Shared<T> {
    make: fn() -> T,
    made: Mutex<Option<T>>,
}

impl<T> Shared<T> {
    /// What `make` makes when it is first used.
    pub fn new(make: fn() -> T) -> Arc<Shared<T>> {
        Arc::new(Shared { make, made: Mutex::new(None) })
    }

    /// Uses it alone.
    pub fn with(&self, test: impl FnOnce(&T)) {
        // A trial that panicked has failed by itself, and the others do not rest on it.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        test(made.get_or_insert_with(self.make));
    }
}
