//! What sockets could not do, counted by reason.

use std::io;

macro_rules! totals {
    ($(#[$about:meta])* $type:ident { $($(#[$meta:meta])* $name:ident,)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $type {
            $($(#[$meta])* pub $name: u64,)*
        }

        impl $type {
            /// Each total with its name.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }
    };
}

totals! {
    /// What sockets could not receive, by reason. None of it is fatal.
    ReceiveFailures {
        /// Longer than any media datagram, or from no IP address.
        receive_truncated,
        receive_failed,
    }
}

totals! {
    /// What sockets could not send, by reason. None of it is fatal.
    SendFailures {
        /// EAGAIN: the send buffer stayed full.
        send_blocked,
        /// ENOBUFS, ENOMEM: the interface's queue was full.
        send_no_buffers,
        /// ENETUNREACH, EHOSTUNREACH, ENETDOWN, EADDRNOTAVAIL: no route, or our address has gone.
        send_unreachable,
        /// EPERM, EACCES: a firewall, or a broadcast address.
        send_forbidden,
        /// ECONNREFUSED: nobody listens there any more.
        send_refused,
        /// EMSGSIZE: longer than the path takes.
        send_too_long,
        send_failed,
        /// Messages of several datagrams that were refused whole: their datagrams were then sent one by one.
        send_unsegmented,
    }
}

impl SendFailures {
    /// Datagrams that a full queue on this machine refused.
    pub(crate) fn crowded(&self) -> u64 {
        self.send_blocked + self.send_no_buffers
    }

    /// Books `datagrams` that were not sent for the reason of `error`.
    pub(crate) fn count(&mut self, error: &io::Error, datagrams: u64) {
        let total = match error.raw_os_error() {
            Some(libc::ENOBUFS | libc::ENOMEM) => &mut self.send_no_buffers,
            Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::EADDRNOTAVAIL) => {
                &mut self.send_unreachable
            }
            Some(libc::EPERM | libc::EACCES) => &mut self.send_forbidden,
            Some(libc::ECONNREFUSED) => &mut self.send_refused,
            Some(libc::EMSGSIZE) => &mut self.send_too_long,
            _ => &mut self.send_failed,
        };
        *total += datagrams;
    }
}
