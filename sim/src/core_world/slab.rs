//! Things in numbered places: `Slab`. A place that is given up is used again, so that what waits
//! costs no allocation.

pub(super) struct Slab<T> {
    places: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub(super) fn put(&mut self, value: T) -> usize {
        if let Some(at) = self.free.pop() {
            self.places[at] = Some(value);
            return at;
        }
        self.places.push(Some(value));
        self.places.len() - 1
    }

    pub(super) fn get(&self, at: usize) -> &T {
        self.places[at].as_ref().expect("a place that is taken")
    }

    pub(super) fn take(&mut self, at: usize) -> T {
        self.free.push(at);
        self.places[at].take().expect("a place that is taken")
    }
}
