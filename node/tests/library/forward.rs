//! Three members in one process whose clocks a test sets forward: [`Forward`] and [`open`].

use holm::store::Store;
use holm::{Clock, Config, Edges, Node};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The machine's clock, set forward.
pub(crate) struct Forward {
    clock: Arc<dyn Clock>,
    pub(crate) by: AtomicU64,
}

impl Clock for Forward {
    fn now(&self) -> u64 {
        self.clock.now() + self.by.load(Ordering::SeqCst)
    }
}

/// Opens three members of a new cluster in memory, each with a clock of its own.
pub(crate) async fn open() -> (Vec<Node<Store>>, Vec<Arc<Forward>>) {
    let (mut nodes, mut clocks) = (Vec::new(), Vec::new());
    for config in Config::local_cluster(3).await.unwrap() {
        let edges = Edges::in_memory();
        let clock = Arc::new(Forward { clock: edges.clock, by: AtomicU64::new(0) });
        clocks.push(Arc::clone(&clock));
        let edges = Edges { clock, ..edges };
        nodes.push(Node::open_with(config, edges, Store::default()).await.unwrap());
    }
    (nodes, clocks)
}
