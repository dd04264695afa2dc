//! How many bytes of commands may wait in memory: `Room` gives each its `Place`, which is free
//! again when it is dropped, wherever that happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Room for so many bytes, shared by all handles of a node.
#[derive(Debug)]
pub(crate) struct Room {
    free: AtomicUsize,
}

/// A part of the room that is taken.
#[derive(Debug)]
pub(crate) struct Place {
    room: Arc<Room>,
    bytes: usize,
}

impl Room {
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self { free: AtomicUsize::new(bytes) })
    }

    /// A place of so many bytes, if they are free.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Option<Place> {
        let taken = |free: usize| free.checked_sub(bytes);
        self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).ok()?;
        Some(Place { room: Arc::clone(self), bytes })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.free.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_free_again_once_it_is_dropped() {
        let room = Room::new(10);
        let first = room.take(6).expect("it fits");
        assert!(room.take(5).is_none(), "only four are free");
        let second = room.take(4).expect("it just fits");
        drop(first);
        assert!(room.take(7).is_none());
        drop((room.take(6).expect("free again"), second));
        assert!(room.take(10).is_some());
    }
}
