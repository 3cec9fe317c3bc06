//! Totals of connections, counted by the thread that accepts and by the shards.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! tcp_totals {
    ($($(#[$meta:meta])* $name:ident,)*) => {
        /// Totals since the start. None of what they count is fatal.
        #[derive(Debug, Default)]
        pub(crate) struct TcpTotals {
            $($(#[$meta])* pub(crate) $name: AtomicU64,)*
        }

        impl TcpTotals {
            /// Each total with its name.
            pub(crate) fn each(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$((stringify!($name), self.$name.load(Ordering::Relaxed)),)*].into_iter()
            }
        }
    };
}

tcp_totals! {
    tcp_accepted,
    /// Passed a keyed check, and carry media or may.
    tcp_proven,
    tcp_closed,
    /// Too many of one address waited already.
    tcp_refused_address,
    /// There were as many connections as there may be.
    tcp_refused_full,
    /// accept failed: no descriptors, no memory.
    tcp_accept_failed,
    /// Waited longest for its first check where too many waited, and gave way.
    tcp_displaced,
    /// No whole check in time.
    tcp_late,
    /// The first frame is no check, or a frame is longer than any datagram.
    tcp_malformed,
    /// The first check was not valid.
    tcp_forged,
    /// A frame did not fit the queue of a connection that is too slow.
    tcp_send_dropped,
    /// To be sent, but the connection has gone.
    tcp_send_gone,
    /// The thread that accepts began anew.
    tcp_panics,
}

/// Counts one more.
pub(crate) fn count(total: &AtomicU64) {
    total.fetch_add(1, Ordering::Relaxed);
}
